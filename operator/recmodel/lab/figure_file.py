"""Where a picture goes: looked at before minutes of work, as a path that cannot be written would lose them."""

from __future__ import annotations

import os
from pathlib import Path

PNG = b"\x89PNG"


def check_figure(path: Path | None) -> None:
    """That a PNG can be written there: a new file, or in place of another PNG. ``ValueError`` with the way out where not."""
    if path is None:
        return
    if path.suffix.lower() != ".png":
        raise ValueError(f"--figure {path}: the picture is a PNG: name a file that ends in .png")
    check_folder(path, "--figure")
    if not path.exists():
        return
    if not path.is_file() or not os.access(path, os.W_OK):
        raise ValueError(f"--figure {path}: that is no file that can be written to: name another one")
    with path.open("rb") as there:
        if there.read(len(PNG)) not in (PNG, b""):
            raise ValueError(f"--figure {path}: that file is no PNG, and stays: name another one")


def check_folder(path: Path, option: str) -> None:
    """That a file can be made in the folder of ``path``, which ``option`` gave."""
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"{option} {path}: {folder} is no folder that can be written to: name a file in another one")

"""Where the page goes: looked at before anything is asked, and written as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

from recmodel.lab.figure_file import check_folder
from recmodel.lab.weekly.page import TITLE

BEGINNING_CHARACTERS = 2000  # the title of a page stands within them


def check(path: Path) -> None:
    """That a page can be written there: a new file, or in place of a page. ``ValueError`` with the way out where not."""
    check_folder(path, "--html")
    if not path.exists():
        return
    if not path.is_file():
        raise ValueError(f"--html {path}: that is no file: name one, or leave --html out for standard output")
    with path.open(encoding="utf-8", errors="replace") as there:
        if f"<title>{TITLE}" not in there.read(BEGINNING_CHARACTERS):
            raise ValueError(f"--html {path}: that file is no page of recmodel report, and stays: name another one")


def write(text: str, path: Path) -> None:
    """In place of what was there; whoever reads meanwhile has the one or the other."""
    place = path.resolve()
    part = place.with_name(f".{place.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)

"""Writes one docker-archive with the local cluster's system images: each is one program, most of them on top of a shared base layer.

No image builder is needed for that, and the archive holds the base only once. Usage:
    docker_archive.py OUT BASE_TAR NAME=PROGRAM[,base] ...
NAME is the image's whole name, PROGRAM a path on this machine; with ",base" the program lies above the base layer.
NAME alone is the base itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CREATED = "1970-01-01T00:00:00Z"  # the same inputs give the same image


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def program_layer(program: Path, folder: Path) -> tuple[Path, str]:
    """A layer with the program in /usr/local/bin, and the program's path in the image."""
    target = f"usr/local/bin/{program.name}"
    layer = folder / f"{program.name}.tar"
    with tarfile.open(layer, "w") as archive, program.open("rb") as file:
        info = tarfile.TarInfo(target)
        info.size, info.mode = program.stat().st_size, 0o755
        archive.addfile(info, file)
    return layer, f"/{target}"


def add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    """Adds a file with this text."""
    data = text.encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def write(out: Path, base: Path, images: list[str], folder: Path) -> None:
    """Writes the archive under a temporary name, then renames it."""
    partial = out.with_suffix(".tmp")
    added: set[str] = set()
    manifest: list[dict[str, object]] = []
    with tarfile.open(partial, "w") as archive:
        for image in images:
            name, _, source = image.partition("=")
            program, _, above = source.partition(",")
            layers = [base] if not source or above == "base" else []
            config: dict[str, object] = {"Env": [PATH], "Cmd": ["python3"]}
            if program:
                layer, path = program_layer(Path(program), folder)
                layers.append(layer)
                config = {"Env": [PATH], "Entrypoint": [path]}
            digests = [digest(layer) for layer in layers]
            for layer, layer_digest in zip(layers, digests, strict=True):
                if layer_digest not in added:
                    archive.add(layer, f"{layer_digest}.tar")
                    added.add(layer_digest)
            rootfs = {"type": "layers", "diff_ids": [f"sha256:{value}" for value in digests]}
            # One entry of history a layer: builders that put layers on top refuse an image without it.
            history = [{"created": CREATED, "created_by": layer.name} for layer in layers]
            image_config = {
                "architecture": "amd64",
                "os": "linux",
                "created": CREATED,
                "config": config,
                "rootfs": rootfs,
            }
            text = json.dumps(image_config | {"history": history})
            config_name = hashlib.sha256(text.encode()).hexdigest() + ".json"
            add_text(archive, config_name, text)
            manifest.append(
                {"Config": config_name, "RepoTags": [name], "Layers": [f"{value}.tar" for value in digests]}
            )
        add_text(archive, "manifest.json", json.dumps(manifest))
    os.replace(partial, out)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:], Path(scratch))

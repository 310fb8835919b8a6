"""A certificate authority of a test, by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str, given: str = "") -> None:
    subprocess.run(["openssl", *arguments], input=given, text=True, check=True, capture_output=True)


class Authority:
    """It signs certificates for names. ``certificate`` is its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        own = ("-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt")
        _openssl("req", "-x509", *_KEY, "-days", "1", "-subj", f"/CN={folder.name}", *own)
        self.certificate = (folder / "ca.crt").read_bytes()

    def signed(self, name: str) -> tuple[bytes, bytes]:
        """A new key, and a certificate for it that holds for ``name``, of a server and of a client."""
        key, request, made = (self._folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        authority = ("-CA", f"{self._folder}/ca.crt", "-CAkey", f"{self._folder}/ca.key", "-CAcreateserial")
        extensions = self._folder / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n", encoding="utf-8")
        _openssl(
            "x509",
            "-req",
            "-in",
            str(request),
            *authority,
            "-days",
            "1",
            "-out",
            str(made),
            "-extfile",
            str(extensions),
        )
        return key.read_bytes(), made.read_bytes()

"""Follows the load generator's log while its pod runs, and keeps every line once read."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from watch.generator_log import ClientLog, parse

TERMINATE_SECONDS = 3.0


class FollowedLog:
    """``kubectl logs --follow`` of a Job, started again from the log's beginning whenever it ends before the log does.

    Each start may bring less than the one before, or nothing: the pod may be gone, its log rotated, the connection
    cut. So the lines of all starts are joined in ``path``. Every line has its own time stamp: the same line is the same text.
    """

    def __init__(self, namespace: str, job: str, path: Path) -> None:
        self._command = ["kubectl", "logs", "-n", namespace, f"job/{job}", "--timestamps"]
        self._path = path
        self._path.touch()
        self._following = path.with_suffix(".following")  # what the present kubectl has written
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: dict[bytes, None] = {}  # in the order in which they were first read
        self._read_bytes = 0  # of the present kubectl's output
        self._log = ClientLog(None, (), False)

    def read(self) -> ClientLog:
        """What has been written so far; never less than before."""
        ended = self._process is None or self._process.poll() is not None
        if self._process is not None:
            self._take_over()
        if ended and not self._log.finished:
            self._start()
        return self._log

    def finish(self, timeout_seconds: float = 20.0) -> ClientLog:
        """Stops following, and fetches the whole log once more, so that no cut connection leaves a hole in it. Where it
        cannot be had any more, what was read counts.
        """
        self.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keep(subprocess.run(self._command, capture_output=True, timeout=timeout_seconds, check=False).stdout)
        return self._log

    def close(self) -> None:
        """Ends ``kubectl``."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TERMINATE_SECONDS)
        self._take_over()
        self._process = None

    def _start(self) -> None:
        self._read_bytes = 0
        with self._following.open("wb") as file:
            self._process = subprocess.Popen([*self._command, "--follow"], stdout=file, stderr=subprocess.DEVNULL)

    def _take_over(self) -> None:
        with self._following.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]  # the rest of the last line has not come yet
        self._read_bytes += len(whole)
        self._keep(whole)

    def _keep(self, text: bytes) -> None:
        new = [line for line in text.splitlines(keepends=True) if line.endswith(b"\n") and line not in self._lines]
        if new:
            self._lines.update(dict.fromkeys(new))
            self._path.write_bytes(b"".join(self._lines))
            self._log = parse(self._path.read_text())

"""Follows the load generator's log into a file while its pod runs."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from watch.generator_log import ClientLog, parse

TERMINATE_SECONDS = 3.0


class FollowedLog:
    """``kubectl logs --follow`` of a Job, started again from the log's beginning whenever it ends before the log
    does.
    """

    def __init__(self, namespace: str, job: str, path: Path) -> None:
        self._command = ["kubectl", "logs", "-n", namespace, f"job/{job}", "--timestamps"]
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._size = -1
        self._log = ClientLog(None, (), False)

    def read(self) -> ClientLog:
        """What has been written so far."""
        if not self._log.finished and (self._process is None or self._process.poll() is not None):
            self._start()
        size = self._path.stat().st_size
        if size != self._size:
            self._size, self._log = size, parse(self._path.read_text())
        return self._log

    def finish(self, timeout_seconds: float = 20.0) -> ClientLog:
        """Stops following, and fetches the whole log once more, so that no cut connection leaves a hole in it.

        Raises subprocess.SubprocessError when the log cannot be had any more and none was followed.
        """
        self.close()
        fetched = subprocess.run(self._command, capture_output=True, timeout=timeout_seconds, check=False)
        if fetched.returncode == 0 and len(fetched.stdout) >= self._path.stat().st_size:
            self._path.write_bytes(fetched.stdout)
        self._log = parse(self._path.read_text())
        return self._log

    def close(self) -> None:
        """Ends ``kubectl``."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TERMINATE_SECONDS)
        self._process = None

    def _start(self) -> None:
        with self._path.open("wb") as file:
            self._process = subprocess.Popen([*self._command, "--follow"], stdout=file, stderr=subprocess.DEVNULL)

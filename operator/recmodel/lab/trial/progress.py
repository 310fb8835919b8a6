"""How far several runs are, on one line of a terminal; elsewhere a line at each quarter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

QUARTERS = 4


class Progress:
    """Called with a name and the share done."""

    def __init__(self, out: TextIO, names: Sequence[str]) -> None:
        self._out = out
        self._done = dict.fromkeys(names, 0.0)
        self._live = out.isatty()

    def __call__(self, name: str, done: float) -> None:
        before, self._done[name] = self._done[name], done
        if self._live:
            self._out.write("\r" + "   ".join(f"{who} {share:4.0%}" for who, share in self._done.items()))
        elif int(QUARTERS * done) > int(QUARTERS * before):
            self._out.write(f"{name} {int(QUARTERS * done) / QUARTERS:.0%}\n")
        self._out.flush()

    def end(self) -> None:
        """The line is done with."""
        if self._live:
            self._out.write("\n")

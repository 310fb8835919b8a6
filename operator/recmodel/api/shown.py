"""A value in a message: short, however large or deep it is."""

from __future__ import annotations

import reprlib
from typing import Any

SHOWN_CHARACTERS = 80


def shown(value: Any, characters: int = SHOWN_CHARACTERS) -> str:
    """The value as Python writes it, cut to so many characters: ``'abc'``, ``{'name': 'cpu', ...}``."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 4, characters, characters, characters
    short.maxdict = short.maxlist = short.maxtuple = 8
    text = short.repr(value).encode(errors="replace").decode()
    return text if len(text) <= characters else text[: characters - 3] + "..."

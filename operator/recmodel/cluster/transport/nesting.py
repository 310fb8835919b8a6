"""JSON that is nested deeper than Python's parser goes: an object of somebody's CRD may be, and it comes in one list with all
the others.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100  # arrays and objects within each other; what is read here is at most a dozen deep
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def shallow(body: bytes) -> Any:
    """The JSON value with null for everything that lies deeper than ``DEEPEST``; ``ValueError`` where it is no JSON."""
    text = body.decode(errors="replace")
    kept: list[str] = []
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == DEEPEST + 1:
                kept.append(text[begin : token.start()])
        elif token[0] in "]}":
            depth -= 1
            if depth == DEEPEST:
                kept.append("null")
                begin = token.end()
    return json.loads("".join([*kept, text[begin:] if depth <= DEEPEST else ""]))

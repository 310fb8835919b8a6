"""What the API server answers, or something in its place: whatever comes, it is an object or a ``ValueError``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from recmodel.api.shown import shown
from recmodel.cluster.transport.nesting import shallow

Object = dict[str, Any]


async def as_object(response: aiohttp.ClientResponse) -> Object:
    """The answer; ``ValueError`` where it is no object."""
    try:
        found = await response.json()
    except RecursionError:
        found = await asyncio.to_thread(shallow, await response.read())
    if not isinstance(found, dict):
        raise ValueError(f"the answer is no object: {shown(found)}")
    return found


async def change_of(line: bytes) -> tuple[str, Object]:
    """One line of a watch as (type, object); ``ValueError`` where it holds no object."""
    try:
        event = json.loads(line)
    except RecursionError:
        event = await asyncio.to_thread(shallow, line)
    change, found = (event.get("type"), event.get("object")) if isinstance(event, dict) else (None, None)
    if not isinstance(change, str) or not isinstance(found, dict):
        raise ValueError(f"the event is none: {shown(event)}")
    return change, found


def status_of(found: Object) -> int:
    """The HTTP status that a Status object tells; 500 where it tells none, ``ValueError`` where it is no number."""
    code = found.get("code") or 500
    if not isinstance(code, int):
        raise ValueError(f"the code is {shown(code)}: no HTTP status")
    return code


async def whatever(response: aiohttp.ClientResponse) -> Any:
    """The body of an answer that refuses: JSON, else text."""
    try:
        return await response.json()
    except (aiohttp.ContentTypeError, ValueError, RecursionError):
        return await response.text(errors="replace")


def patience_seconds(response: aiohttp.ClientResponse) -> float:
    """How long the server asks to wait before the next attempt; 0 where it does not say, or gives a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0

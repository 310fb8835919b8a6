"""The last valid spec of a RecModel as it stands in the status, so that an invalid edit survives a restart of the operator.

The status is the operator's alone to write. What is read back is held to the same rules as any spec, so whoever could
change it gains nothing over whoever may write the RecModel.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

LARGEST_PACKED_CHARACTERS = 65536  # the field's limit: some ten times as much before it is packed
LARGEST_BYTES = 1 << 20  # of the spec itself; etcd takes little more


def packed(spec: Mapping[str, Any], largest_bytes: int = LARGEST_BYTES) -> str | None:
    """The spec as text of the status; None where it is too large to be kept."""
    raw = json.dumps(spec, separators=(",", ":"), sort_keys=True).encode()
    if len(raw) > largest_bytes:  # it would hold up the event loop for nothing
        return None
    text = base64.b64encode(zlib.compress(raw)).decode()
    return text if len(text) <= LARGEST_PACKED_CHARACTERS else None


def unpacked(text: str | None, largest_bytes: int = LARGEST_BYTES) -> dict[str, Any] | None:
    """The spec of such a text; None where there is none, or it is none. What lies beyond ``largest_bytes`` is not unpacked."""
    if not text or len(text) > LARGEST_PACKED_CHARACTERS:
        return None
    try:
        reader = zlib.decompressobj()
        found = json.loads(reader.decompress(base64.b64decode(text, validate=True), largest_bytes))
    except (ValueError, binascii.Error, zlib.error, RecursionError):
        return None
    return found if isinstance(found, dict) else None

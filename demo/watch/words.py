"""How figures read: the same words in the live view, the compact lines and the report. Unknown is a dash, never a
zero.
"""

from __future__ import annotations

from watch.snapshot import Bracket, PoolSnapshot

UNKNOWN = "–"


def milliseconds(value: Bracket | float | None) -> str:
    """``50–100 ms``; ``over 2500 ms`` above all edges; ``83 ms`` for a single figure."""
    if value is None:
        return UNKNOWN
    if not isinstance(value, Bracket):
        return f"{value * 1000:.0f} ms"
    if value.upper is None:
        return f"over {value.lower * 1000:.0f} ms"
    return f"{value.lower * 1000:.0f}–{value.upper * 1000:.0f} ms"


def share(value: Bracket | float | None) -> str:
    """``97.3 %``, or ``96.1–98.0 %`` where the threshold is no edge of the histogram."""
    if value is None:
        return UNKNOWN
    if not isinstance(value, Bracket):
        return f"{value * 100:.1f} %"
    if value.upper is None or abs(value.upper - value.lower) < 0.0005:
        return f"{value.lower * 100:.1f} %"
    return f"{value.lower * 100:.1f}–{value.upper * 100:.1f} %"


def rate(value: float | None) -> str:
    """``83/s``."""
    return UNKNOWN if value is None else f"{value:.0f}/s"


def amount(value: float | None) -> str:
    """Of money, in the one currency of the RecModel."""
    return UNKNOWN if value is None else f"{value:.4f}"


def whole(value: int | None) -> str:
    """``3``."""
    return UNKNOWN if value is None else str(value)


def device(pool: PoolSnapshot) -> str:
    """``nvidia.com/gpu, emulated``: an accelerator that the nodes only pretend to have is never shown without the
    word.
    """
    return f"{pool.device}, emulated" if pool.emulated else pool.device


def clock(seconds: float) -> str:
    """``6:05``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def missed(value: Bracket | None, threshold_seconds: float) -> bool | None:
    """True: the percentile is above the threshold for certain; False: within it for certain; None: unknown or in
    between.
    """
    if value is None:
        return None
    if value.lower >= threshold_seconds:
        return True
    return False if value.upper is not None and value.upper <= threshold_seconds * (1 + 1e-9) else None

"""What the tests measured, for one table at the end of the session."""

from __future__ import annotations

_MEASURED: list[tuple[str, str]] = []


def measured(what: str, value: str) -> None:
    """One figure; printed with the test as well, so that a failing one shows what it saw."""
    _MEASURED.append((what, value))
    print(f"{what}: {value}")


def table() -> list[str]:
    """A line for each figure."""
    width = max((len(what) for what, _ in _MEASURED), default=0)
    return [f"{what:<{width}}  {value}" for what, value in _MEASURED]

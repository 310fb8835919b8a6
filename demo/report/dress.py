"""How a picture is dressed: colours for light and dark screens, and matplotlib's settings for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recmodel.lab import style


@dataclass(frozen=True)
class Dress:
    """Colours of one appearance."""

    paper: str
    ink: str
    faint: str
    grid: str
    pools: tuple[str, ...]
    load: str
    forecast: str
    objective: str
    crowd: str
    hpa: str


LIGHT = Dress(
    "#ffffff",
    "#1f2328",
    "#656d76",
    "#e6e8eb",
    ("#2f6fdb", "#e07b21", "#3a9d5d", "#9a55c9"),
    "#0f8b8d",
    "#c59a00",
    "#cf222e",
    "#c084fc",
    "#7d8590",
)
DARK = Dress(
    "#0d1117",
    "#e6edf3",
    "#9198a1",
    "#262c36",
    ("#5b9bff", "#ff9b4a", "#56c97c", "#c58aff"),
    "#3cc5c7",
    "#e3b93c",
    "#ff6b6b",
    "#a855f7",
    "#8b949e",
)


def settings(dress: Dress) -> dict[str, Any]:
    """For ``matplotlib.rc_context``."""
    return style.settings(dress.paper, dress.ink, dress.faint, dress.grid)

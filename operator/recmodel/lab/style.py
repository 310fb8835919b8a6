"""How pictures look: matplotlib's settings, and colours that stay apart for the colour-blind (Okabe and Ito's)."""

from __future__ import annotations

from typing import Any

PAPER, INK, FAINT, GRID = "#ffffff", "#1f2328", "#656d76", "#e6e8eb"
ENGINE = "#0072b2"
RIVALS = ("#d55e00", "#3d4349", "#cc79a7", "#009e73", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = ((0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))  # of rivals: no colour is needed
LOAD = "#e6eaee"
OBJECTIVE = "#a40e26"


def settings(paper: str = PAPER, ink: str = INK, faint: str = FAINT, grid: str = GRID) -> dict[str, Any]:
    """For ``matplotlib.rc_context``."""
    return {
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        "savefig.facecolor": paper,
        "text.color": ink,
        "axes.labelcolor": faint,
        "axes.edgecolor": grid,
        "xtick.color": faint,
        "ytick.color": faint,
        "grid.color": grid,
        "axes.grid": True,
        "grid.linewidth": 0.8,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "font.size": 10,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
    }

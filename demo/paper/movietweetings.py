"""The film ratings as the optimiser reads them, and the designs for them.

Evaluation rows look features up as the server does; training rows bring the smoothed means of their own time (inner tensors
``user_stats`` and ``item_stats``), so that no feature contains its own label.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recmodel.variants.designs import Side

INNER = ("user_stats", "item_stats")
DEMO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DEMO / "ranker"))

import dataset  # noqa: E402


@dataclass(frozen=True)
class Films:
    """Both sides' fixed tables, and where the splits were written."""

    user: Side
    item: Side
    training: Path
    evaluation: Path
    baselines: dict[str, float]


def prepare(out: Path, *, rows: int | None = None) -> Films:
    """Writes ``training.npz`` and ``movietweetings.npz`` (the last tenth by time) into ``out``."""
    data = dataset.load(DEMO / "data", rows=rows)
    paths = out / "training.npz", out / "movietweetings.npz"
    for path, part in zip(paths, (data.train, data.valid), strict=True):
        columns: dict[str, NDArray[Any]] = {
            "user": part.user,
            "item": part.item,
            "label": part.liked.astype(np.int8),
            "group": part.user,
        }
        if part is data.train:
            stats = np.hstack([part.item_stats, data.item_table[part.item, 2:]])
            columns |= {"user_stats": part.user_stats, "item_stats": stats}
        np.savez_compressed(path, allow_pickle=True, **columns)
    return Films(
        Side("user", data.user_table), Side("item", data.item_table, data.genres), *paths, dataset.baselines(data)
    )

"""The film ratings as the optimiser reads them, and the designs for them.

Evaluation rows look features up as the server does; training rows bring the smoothed means of their own time (inner tensors
``user_stats`` and ``item_stats``), so that no feature contains its own label.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace
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
    """Both sides' fixed tables, and where the splits were written; ``baselines`` are of the report rows."""

    user: Side
    item: Side
    training: Path
    evaluation: Path
    report: Path
    baselines: dict[str, float]


# The best of what needs no model, as a column of the later rows.
BASELINE, BEST_BASELINE = "means", "mean of the user + mean of the item"


def prepare(out: Path, *, rows: int | None = None) -> Films:
    """Writes three files into ``out``, in order of time.

    ``training.npz`` are eight tenths. ``movietweetings.npz`` is the ninth, which chooses recipes and variants. The last one,
    ``movietweetings-later.npz``, chooses nothing.
    """
    data = dataset.load(DEMO / "data", rows=rows, train_share=0.8)
    middle = len(data.valid.user) // 2
    earlier, later = _part(data.valid, slice(middle)), _part(data.valid, slice(middle, None))
    paths = out / "training.npz", out / "movietweetings.npz", out / "movietweetings-later.npz"
    for path, part in zip(paths, (data.train, earlier, later), strict=True):
        columns: dict[str, NDArray[Any]] = {
            "user": part.user,
            "item": part.item,
            "label": part.liked.astype(np.int8),
            "group": part.user,
        }
        if part is data.train:
            stats = np.hstack([part.item_stats, data.item_table[part.item, 2:]])
            columns |= {"user_stats": part.user_stats, "item_stats": stats}
        else:
            columns[BASELINE] = part.user_stats[:, 0] + part.item_stats[:, 0]
        np.savez_compressed(path, allow_pickle=True, **columns)
    baselines = dataset.baselines(replace(data, valid=later))
    return Films(Side("user", data.user_table), Side("item", data.item_table, data.genres), *paths, baselines)


def _part(ratings: dataset.Ratings, which: slice) -> dataset.Ratings:
    return dataset.Ratings(**{entry.name: getattr(ratings, entry.name)[which] for entry in fields(ratings)})

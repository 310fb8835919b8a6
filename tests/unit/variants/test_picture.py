"""The picture of what was tried: which candidates are on the frontier, and that only those and the baseline are named."""

from __future__ import annotations

from pathlib import Path

import matplotlib.axes
import pytest

from recmodel.variants.picture import Picture, Point, draw, frontier


def point(name: str, milliseconds: float, loss: float, *, chosen: bool = False) -> Point:
    return Point(name, milliseconds / 1e3, loss, (loss - 0.002, loss + 0.002), chosen, baseline=name == "full")


FULL = point("full", 9.0, 0.0)
FAST, BETTER = point("fast", 0.8, 0.004), point("better", 1.0, 0.001, chosen=True)
BEATEN, TOO_MUCH, FAR_TOO_MUCH = point("beaten", 1.2, 0.003), point("too much", 0.5, 0.012), point("far", 0.4, 0.09)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([FULL], [FULL]),
        ([FULL, BETTER, BEATEN, FAST], [FAST, BETTER, FULL]),
        ([FULL, TOO_MUCH, FAR_TOO_MUCH], [FULL]),
        ([point("slow twin", 0.9, 0.004), FAST], [FAST]),
        ([TOO_MUCH], []),
    ],
)
def test_the_frontier_is_what_nothing_beats_in_both_within_the_budget(
    points: list[Point], expected: list[Point]
) -> None:
    assert frontier(points, 0.01) == expected


def test_only_the_frontier_the_chosen_one_and_the_baseline_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[str] = []
    legend = matplotlib.axes.Axes.legend

    def remembered(axes: matplotlib.axes.Axes, **options: object) -> object:
        labels.extend(axes.get_legend_handles_labels()[1])
        return legend(axes, **options)

    monkeypatch.setattr(matplotlib.axes.Axes, "legend", remembered)
    path = tmp_path / "pareto.png"
    draw([FULL, FAST, BETTER, BEATEN, TOO_MUCH, FAR_TOO_MUCH], Picture("ratings", "AUC", 200, 0.01), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert {"fast: 0.80 ms, +0.40%", "better (chosen): 1.00 ms, +0.10%", "full (baseline): 9.00 ms, +0.00%"} <= set(
        labels
    )
    assert not [label for label in labels if label.startswith(("beaten", "too much", "far"))]

"""The picture of a past: what ran and what the engine would have run, cost above lateness, totals in the legend."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.lab import style
from recmodel.lab.past.charts import ENGINE
from recmodel.lab.past.compare import measured
from recmodel.lab.past.judged import Judged, middle_measured
from recmodel.lab.past.replay import load_of
from recmodel.lab.past.words import minutes_text
from recmodel.lab.trace import DAY_SECONDS

INCHES_WIDE, INCHES_HIGH = 11.5, 7.5
LONGEST_POINTS = 1440  # beyond these a line is a mean of several minutes


def drawn(judged: Judged, path: Path) -> str:
    """Writes the PNG, and says so; without matplotlib it says why there is none."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return (
            f"no picture: {path} needs matplotlib, which the operator's image has not; run it from a checkout for one"
        )
    with mpl.rc_context(style.settings()):  # type: ignore[arg-type]
        _draw(Figure, judged, path)
    return f"picture: {path}"


def _draw(figure_of: Any, judged: Judged, path: Path) -> None:
    figure = figure_of(figsize=(INCHES_WIDE, INCHES_HIGH), dpi=110, layout="constrained")
    load, cost, late = figure.subplots(3, 1, sharex=True, height_ratios=(1.0, 1.6, 1.6))
    ran = measured(judged.ground.past, judged.ground.model)
    times, prices = judged.ground.past.seconds, np.array([pool.cost_per_hour for pool in judged.ground.model.pools])
    a_step = 3600.0 / judged.ground.past.step_seconds
    costs = (np.where(ran.known, ran.cost * a_step, np.nan), judged.outcomes[0].replicas @ prices)
    found = judged.comparison
    sides = (("what ran", style.RIVALS[0], "--", found.ran), (ENGINE, style.ENGINE, "-", found.engine))
    load.fill_between(_since(times), 0.0, _thinned(load_of(judged.ground.past)), color=style.LOAD, linewidth=0)
    load.set_ylabel("requests/s")
    for (name, colour, dashes, side), values, share in zip(sides, costs, middle_measured(judged), strict=True):
        cost.step(
            _since(times), _thinned(values), where="post", color=colour, linestyle=dashes, linewidth=1.4,
            label=f"{name}: {side.cost.middle:.1f}",
        )  # fmt: skip
        late.plot(
            _since(times), 100.0 * _thinned(share, largest=True), color=colour, linestyle=dashes, linewidth=1.2,
            label=f"{name}: {side.late_ratio.middle:.2%}, {minutes_text(side.minutes_over.middle)} over",
        )  # fmt: skip
    cost.set_ylabel("cost an hour")
    late.set_ylabel("late, % of a minute")
    late.axhline(100.0 * found.allowed_ratio, color=style.OBJECTIVE, linewidth=0.9, label="objective")
    for axis in (load, cost, late):
        _dressed(axis)
    late.set_xlabel(
        f"{'days' if _in_days(times) else 'hours'} from {datetime.fromtimestamp(float(times[0]), UTC):%Y-%m-%d %H:%M} UTC"
    )
    figure.suptitle(judged.text.split("\n", 1)[0], x=0.012, ha="left", fontsize=11, fontweight="bold", wrap=True)
    figure.savefig(path, metadata={"Software": None})


def _dressed(axis: Any) -> None:
    axis.set_ylim(bottom=0.0)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)


def _since(seconds: Floats) -> Floats:
    """Days, or hours of less than two days."""
    return _thinned((seconds - seconds[0]) / (DAY_SECONDS if _in_days(seconds) else 3600.0))


def _in_days(seconds: Floats) -> bool:
    return bool(seconds[-1] - seconds[0] >= 2 * DAY_SECONDS)


def _thinned(values: Floats, largest: bool = False) -> Floats:
    """Means, or the largest, of as many minutes as make the line short enough; what is not known is left out of them."""
    step = -(-len(values) // LONGEST_POINTS)
    padded = np.append(values, np.full(-len(values) % step, np.nan)).reshape(-1, step)
    known = np.isfinite(padded)
    means = np.where(known, padded, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    made = np.where(known, padded, -np.inf).max(1) if largest else means
    return np.asarray(np.where(known.any(1), made, np.nan), np.float64)

"""The picture of a run: load, latency, replicas, weights and cost over the same minutes, in light and in dark."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from report.collect import Run, Series, Side
from report.dress import Dress, settings
from report.measures import Measures, cost, late_so_far
from watch.schedule import Schedule
from watch.snapshot import PoolSnapshot, Snapshot

HEIGHTS = (2.2, 2.1, 1.9, 1.1, 1.5, 1.5)
HPA = "the HPA beside it, CPU pods alone"


def picture(run: Run, measures: Measures, dress: Dress, title: bool = True) -> bytes:
    """A PNG; with a title, it says what was replayed as well."""
    with mpl.rc_context(settings(dress)):  # type: ignore[arg-type]
        buffer = io.BytesIO()
        drawn(run, measures, dress, title).savefig(buffer, format="png")
        return buffer.getvalue()


def drawn(run: Run, measures: Measures, dress: Dress, title: bool = True) -> Figure:
    """The figure. Panels share the time axis, in minutes of the replay."""
    with mpl.rc_context(settings(dress)):  # type: ignore[arg-type]
        figure = Figure(figsize=(11.5, 15.4), dpi=130, layout="constrained")
        panels: Sequence[Axes] = figure.subplots(6, 1, sharex=True, height_ratios=HEIGHTS)
        _load(panels[0], run, dress)
        _latency(panels[1], run, dress)
        _replicas(panels[2], run, dress)
        _weights(panels[3], run, dress)
        _cost(panels[4], run, measures, dress)
        _late(panels[5], run, measures, dress)
        for panel in panels:
            _crowd(panel, run, dress)
            _warm_up(panel, run, dress)
            panel.set_xlim(0, run.schedule.seconds / 60)
        panels[-1].set_xlabel("minutes of the replay")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        if title:
            figure.suptitle(
                f"RecModel {run.subject.model.key} under a replayed trace\n{run.replayed}",
                x=0.012,
                ha="left",
                fontsize=12,
                fontweight="bold",
            )
        return figure


def _load(panel: Axes, run: Run, dress: Dress) -> None:
    arrivals = np.array([s.due for s in run.served.log.seconds], dtype=np.float64)
    at = np.array([s.second for s in run.served.log.seconds], dtype=np.float64)
    smooth = _windows5(arrivals).mean(axis=1)
    panel.fill_between(at / 60, 0, smooth, color=dress.load, alpha=0.18, lw=0, label="offered (5 s mean)")
    panel.plot(run.measured.times / 60, run.measured.total_load(), color=dress.load, label="measured (20 s rate)")
    horizons = [s.forecast_seconds for s in run.served.snapshots if s.forecast_seconds is not None]
    ahead = f"next {np.median(horizons):.0f} s" if horizons else "ahead"
    panel.step(
        run.measured.times / 60,
        run.measured.forecast,
        where="post",
        color=dress.forecast,
        lw=1.4,
        label=f"forecast, upper ({ahead})",
    )
    capacity = _values([s.capacity_per_second() for s in run.served.snapshots])
    panel.step(
        _minutes(run.served),
        capacity,
        where="post",
        color=dress.faint,
        lw=1.0,
        ls=(0, (1, 1.5)),
        label="ready capacity, as found",
    )
    panel.set_ylim(0, None)
    _named(panel, "Load", "requests/s")


def _latency(panel: Axes, run: Run, dress: Dress) -> None:
    model, times = run.subject.model, run.measured.times / 60
    percent = f"p{model.within_ratio * 100:g}"
    for i, (name, band) in enumerate(run.measured.percentile.items()):
        panel.fill_between(
            times,
            band.lower * 1000,
            band.upper * 1000,
            color=dress.pools[i % 4],
            alpha=0.28,
            lw=0,
            step="mid",
            label=f"{_label(run, name)}, at the gateway",
        )
    if percent == "p95":
        _clients(panel, run.served, label="all, at the clients (median of 5 s)", color=dress.ink)
        if run.beside is not None:
            _clients(panel, run.beside, label="the HPA's clients", color=dress.hpa, ls=(0, (4, 2)))
    panel.axhline(
        model.threshold_seconds * 1000,
        color=dress.objective,
        lw=1.4,
        ls=(0, (5, 3)),
        label=f"objective: {model.threshold_seconds * 1000:.0f} ms",
    )
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
    ticks = [
        value
        for value in (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
        if panel.get_ylim()[0] <= value <= panel.get_ylim()[1]
    ]
    panel.set_yticks(ticks)
    _named(panel, f"Latency, {percent}", "ms (bands: bucket edges)")


def _clients(panel: Axes, side: Side, **line: Any) -> None:
    """What a side's clients saw; the generator writes down the 95th percentile alone."""
    seconds = [s for s in side.log.seconds if s.p95_seconds is not None]
    if seconds:
        values = np.array([s.p95_seconds for s in seconds], dtype=np.float64) * 1000
        panel.plot([s.second / 60 for s in seconds], _median5(values), lw=1.1, **line)


def _replicas(panel: Axes, run: Run, dress: Dress) -> None:
    times = _minutes(run.served)
    for i, pool in enumerate(run.subject.model.pools):
        seen = [_pool(s, pool.name) for s in run.served.snapshots]
        colour = dress.pools[i % 4]
        panel.step(
            times,
            _values([p.desired if p else None for p in seen]),
            where="post",
            color=colour,
            lw=1.1,
            ls=(0, (1, 1.5)),
        )
        panel.step(
            times,
            _values([p.ready if p else None for p in seen]),
            where="post",
            color=colour,
            lw=2.2,
            label=f"{_label(run, pool.name)}: ready (dotted: asked for)",
        )
    if run.beside is not None:
        asked = _values([s.pools[0].desired for s in run.beside.snapshots])
        panel.step(
            _minutes(run.beside),
            asked,
            where="post",
            color=dress.hpa,
            lw=1.6,
            ls=(0, (4, 2)),
            label=f"{HPA}: asked for",
        )
    panel.set_ylim(0, max(panel.get_ylim()[1], 1.0) * 1.08)
    panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    _named(panel, "Replicas", "pods")


def _weights(panel: Axes, run: Run, dress: Dress) -> None:
    times = _minutes(run.served)
    below = np.zeros(len(run.served.snapshots))
    for i, pool in enumerate(run.subject.model.pools):
        weight = np.nan_to_num(
            _values([p.weight if (p := _pool(s, pool.name)) else None for s in run.served.snapshots]) / 10.0
        )
        panel.fill_between(
            times,
            below,
            below + weight,
            step="post",
            color=dress.pools[i % 4],
            alpha=0.75,
            lw=0,
            label=_label(run, pool.name),
        )
        below = below + weight
    panel.set_ylim(0, 100)
    panel.set_yticks([0, 50, 100])
    _named(panel, "Weights of the route", "% of the traffic")


def _cost(panel: Axes, run: Run, measures: Measures, dress: Dress) -> None:
    costs = [counted.cost if counted else None for counted in (measures.served, measures.beside)]
    _both(panel, run, dress, cost, [_total(value, ".3f") for value in costs])
    _named(panel, "Cost so far", "currency of costPerHour")


def _late(panel: Axes, run: Run, measures: Measures, dress: Dress) -> None:
    shares = [counted.late_ratio if counted else None for counted in (measures.served, measures.beside)]
    _both(panel, run, dress, late_so_far, [_total(share, ".2%") for share in shares])
    _named(panel, "Late or lost so far", "requests")


def _both(
    panel: Axes,
    run: Run,
    dress: Dress,
    course: Callable[[Side, Schedule], tuple[Series, Series]],
    totals: Sequence[str],
) -> None:
    """The course of what the RecModel served, and of what the HPA did."""
    at, values = course(run.served, run.schedule)
    panel.plot(at / 60, values, color=dress.pools[0], lw=2.2, label=f"RecModel{totals[0]}")
    if run.beside is not None:
        at, values = course(run.beside, run.schedule)
        panel.plot(at / 60, values, color=dress.hpa, ls=(0, (4, 2)), lw=1.8, label=f"{HPA}{totals[1]}")
    panel.set_ylim(0, None)


def _warm_up(panel: Axes, run: Run, dress: Dress) -> None:
    if run.schedule.counts_from:
        panel.axvspan(0, run.schedule.counts_from / 60, color=dress.faint, alpha=0.12, lw=0)
        if panel.get_title(loc="left") == "Load":
            panel.text(
                0.01, 0.95, "warm-up, not counted", transform=panel.transAxes, va="top", color=dress.faint, fontsize=9
            )


def _crowd(panel: Axes, run: Run, dress: Dress) -> None:
    if run.schedule.flash_start is not None and run.schedule.flash_end is not None:
        panel.axvspan(run.schedule.flash_start / 60, run.schedule.flash_end / 60, color=dress.crowd, alpha=0.13, lw=0)
        if panel.get_title(loc="left") == "Load":
            panel.annotate(
                "flash crowd",
                (run.schedule.flash_start / 60, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-4, -2),
                textcoords="offset points",
                ha="right",
                va="top",
                color=dress.crowd,
                fontsize=9,
                fontweight="bold",
            )


def _named(panel: Axes, title: str, unit: str) -> None:
    panel.set_title(title)
    panel.set_ylabel(unit)
    panel.grid(visible=False, axis="x")
    panel.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1, handlelength=1.8, columnspacing=1.4
    )


def _label(run: Run, name: str) -> str:
    return f"{name} (emulated accelerator)" if name in run.subject.emulated else name


def _total(value: float | None, form: str) -> str:
    return "" if value is None else f": {value:{form}}"


def _minutes(side: Side) -> Series:
    """When its snapshots were taken."""
    return np.array([(s.time_seconds - side.start_seconds) / 60 for s in side.snapshots])


def _values(values: Sequence[float | int | None]) -> Series:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _pool(snapshot: Snapshot, name: str) -> PoolSnapshot | None:
    return next((pool for pool in snapshot.pools if pool.name == name), None)


def _median5(values: Series) -> Series:
    return np.asarray(np.median(_windows5(values), axis=1))


def _windows5(values: Series) -> Series:
    """Around each value the five nearest ones; the first and the last are repeated at the ends."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, mode="edge"), 5)

"""A past that was read, replayed under the engine, and judged: the verdict, what it rests on, tables and a chart, as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.core.types import Model, Pool
from recmodel.lab.past.charts import chart, days_table, sides_table
from recmodel.lab.past.compare import Comparison, compare, measured, unexplained
from recmodel.lab.past.replay import Ground, Outcome, Variant, replay, variants
from recmodel.lab.past.servers import Server, servers
from recmodel.lab.past.words import cost_text, over_text, verdict
from recmodel.prometheus.edge_words import shown_time
from recmodel.prometheus.past import Past, PoolPast
from recmodel.prometheus.past_scaling import Scaler

ASSUMED_STARTUP_SECONDS = 45.0
SPREAD_LIMIT = 2.0  # times the most replicas that ran: where no autoscaler tells its limit
WHAT_IF = (1.5, 2.0)  # times the largest load that a replica was seen to carry
DAY_MINUTES = 1440


@dataclass(frozen=True)
class Given:
    """What is judged. ``prices``: of one replica an hour, by pool; empty: all cost 1, and costs are replica-hours."""

    past: Past
    before: Floats  # requests/s by the minute, right before the past
    within_ratio: float
    threshold_seconds: float
    scalers: Mapping[str, Scaler] = field(default_factory=dict)
    startup_seconds: float | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    seeds: int = 3


@dataclass(frozen=True)
class Judged:
    """What came out."""

    ground: Ground
    comparison: Comparison
    outcomes: tuple[Outcome, ...]  # the middle one first
    text: str


def model_of(given: Given) -> Model:
    """The model as its owner would declare it: the limits are those of the autoscalers that acted."""
    pools = tuple(
        _pool(pool, given.scalers.get(pool.name), given.prices.get(pool.name, 1.0)) for pool in given.past.pools
    )
    return Model("backtest/backtest", given.within_ratio, given.threshold_seconds, pools)


def judge(given: Given, progress: Callable[[str, float], None] | None = None) -> Judged:
    """Replays and compares; ``ValueError`` says what is missing."""
    model = model_of(given)
    known = servers(given.past, model)
    ground = Ground(given.past, model, known, given.startup_seconds or ASSUMED_STARTUP_SECONDS, given.before)
    tried = variants(known, given.seeds)
    ifs = [
        Variant(tuple(s.middle * (factor if s.only_a_bound else 1.0) for s in known), 0)
        for factor in (WHAT_IF if any(s.only_a_bound for s in known) else ())
    ]
    outcomes = replay(ground, [*tried, *ifs], None if progress is None else lambda done: progress("replay", done))
    found = compare(ground, outcomes[: len(tried)])
    what_if = [
        (factor, compare(ground, [outcome])) for factor, outcome in zip(WHAT_IF, outcomes[len(tried) :], strict=False)
    ]
    bound = all(s.only_a_bound for s in known)
    who = ran_by(given)
    lines = [verdict(found, who, bound), *_bounds(known, what_if), "", sides_table(found, who, bool(given.prices)), ""]
    lines += [*_basis(given, ground, found), ""]
    if ground.days > 1:
        lines += [days_table(ground, outcomes[0]), ""]
    lines.append(chart(ground, outcomes[0]))
    return Judged(ground, found, tuple(outcomes[: len(tried)]), "\n".join(lines))


def ran_by(given: Given) -> str:
    """Who scaled what ran, in words."""
    names = [given.scalers[pool.name].shown for pool in given.past.pools if pool.name in given.scalers]
    return " and ".join(dict.fromkeys(names)) or "what ran"


def _pool(pool: PoolPast, scaler: Scaler | None, price: float) -> Pool:
    most_ran = int(np.nanmax(pool.running)) if np.isfinite(pool.running).any() else 1
    least = scaler.minimum if scaler is not None and scaler.minimum is not None else 1
    most = scaler.maximum if scaler is not None and scaler.maximum is not None else math.ceil(SPREAD_LIMIT * most_ran)
    return Pool(pool.name, least, max(most, most_ran, least, 1), price)


def _bounds(known: Sequence[Server], what_if: Sequence[tuple[float, Comparison]]) -> Iterator[str]:
    for server in known:
        if server.only_a_bound:
            yield (
                f"Your replicas of {server.name} were never loaded beyond {server.loaded_to:.3g} requests/s each: how far they go is not "
                "known. So this takes them to be late right beyond that: the saving is at least this, the minutes over are at most these."
            )
    for factor, found in what_if:
        yield f"If they carry {factor:g} times as much: {cost_text(found.saving)}, {over_text(found)}."


def _basis(given: Given, ground: Ground, found: Comparison) -> Iterator[str]:
    """What it rests on: measured, learned, assumed."""
    past = given.past
    objective = f"{100 * given.within_ratio:g} % of the requests within {shown_time(given.threshold_seconds)}"
    yield f"objective: {objective}; {found.minutes} of {found.all_minutes} minutes are known, rates over {past.window_seconds:g} s"
    for pool, server, declared in zip(past.pools, ground.servers, ground.model.pools, strict=True):
        if not server.only_a_bound:
            yield (
                f"learned: a replica of {server.name} carries {server.low:.3g} to {server.high:.3g} requests/s, as many as usually ran; "
                f"the most that one had was {server.loaded_to:.3g}"
            )
        who = given.scalers.get(pool.name)
        limits = (
            "of its autoscaler"
            if who is not None
            else "a guess, as no kube_horizontalpodautoscaler_* series names its autoscaler"
        )
        yield f"limits of {pool.name}: {declared.min_replicas} to {declared.max_replicas} replicas, {limits}"
        if pool.edges.lower != pool.edges.upper:
            yield (
                f"{pool.name}: the histogram has no edge at {shown_time(given.threshold_seconds)}, only at {shown_time(pool.edges.lower)} "
                f"and {shown_time(pool.edges.upper)}: how much was late is known only between two values; configure an edge there"
            )
    known = given.startup_seconds
    yield (
        f"a pod is taken to be Ready after {known:.0f} s, the median of kube-state-metrics"
        if known
        else f"assumed: a pod is Ready after {ASSUMED_STARTUP_SECONDS:g} s; set it with --startup"
    )
    yield f"replicas are counted by {past.counted_by}"
    if found.unexplained:
        yield (
            f"{found.unexplained} of the minutes over are not explained by the load: they would have been late with more replicas as well, "
            "and count on both sides"
        )
    if past.partial:
        yield "Prometheus said that a part of its answers may be missing"
    if found.minutes < DAY_MINUTES:
        yield "less than a day knows no shape of a day: take a longer range for a figure to rely on"


def middle_measured(judged: Judged) -> tuple[Floats, Floats]:
    """For a picture: the share late of what ran and of the engine, by the minute; NaN where it is not known."""
    ran = measured(judged.ground.past, judged.ground.model)
    outcome, always = judged.outcomes[0], unexplained(judged.ground, ran)
    theirs = ran.late_low / np.maximum(ran.requests, 1e-9)
    mine = outcome.late / np.maximum(outcome.requests, 1e-9)
    mine = np.where(always, np.maximum(mine, theirs), mine)
    return np.where(ran.known, theirs, np.nan), np.where(ran.known, mine, np.nan)

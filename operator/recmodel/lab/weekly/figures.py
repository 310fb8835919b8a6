"""From what was read to what is said of it: every figure of the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.core.types import Model, Pool
from recmodel.lab.past.compare import Measured, measured
from recmodel.lab.past.servers import servers
from recmodel.lab.weekly import latencies, words
from recmodel.lab.weekly.absence import with_absent
from recmodel.lab.weekly.bottleneck import ROUNDING, by_hour_of_day, limiting
from recmodel.lab.weekly.clock import HOURS, Clock, Ints, change_words, known_ratio, largest, means, sums
from recmodel.lab.weekly.latencies import known
from recmodel.lab.weekly.spending import minutes_budget, spent_of
from recmodel.lab.weekly.values import Day, Figures, Given, HalfLoad, PoolFigures, Report, Signs
from recmodel.prometheus.histogram import Bracket
from recmodel.prometheus.past import Past, PoolPast
from recmodel.prometheus.past_slots import PoolSlots
from recmodel.prometheus.past_use import LIMIT, PART_LIMIT, POD_PROCESSES, PROCESSES, REQUEST

WHOLE = 1  # one place for all


def report_of(given: Given) -> Report:
    """The report; whatever is missing of the past, this raises nothing."""
    given = replace(given, past=with_absent(given.past))
    past, slots = given.past, given.slots
    clock = Clock.of(past.seconds, given.calendar)
    minutes, parts = clock.places(past.seconds), clock.places(slots.seconds)
    hours, carries = clock.hours_of_day, carried(given)
    ran, allowed = measured(past, _model(given)), 1.0 - given.within_ratio

    def figures(of_minutes: Ints, of_parts: Ints, number: int) -> tuple[Figures, ...]:
        return _together(given, ran, of_minutes, of_parts, number)

    def day(places: Ints) -> Ints:
        return np.where(places >= 0, hours[np.maximum(places, 0)], -1)

    by_hour = figures(day(minutes), day(parts), HOURS)
    pairs = list(zip(past.pools, slots.pools, strict=True))
    of_day = {p.name: _pool(p, s, day(minutes), day(parts), HOURS, carries.get(p.name)) for p, s in pairs}
    whole = {p.name: _pool(p, s, minutes * 0, parts * 0, WHOLE, carries.get(p.name))[0] for p, s in pairs}
    signs = [_signs(p, s, minutes, parts, clock.number, carries.get(p.name)) for p, s in pairs]
    names = [pool.name for pool in past.pools]
    limits, times, judged = by_hour_of_day(names, *limiting(signs, allowed), hours)
    days = _days(ran, clock, minutes, allowed)
    spent = spent_of(given, carries, day(minutes), day(parts))
    name = f"p{100 * given.within_ratio:g}"

    def kinds(places: Ints, number: int) -> dict[str, tuple[Figures, ...]]:
        return {
            kind: latencies.figures(found, places, number, given.within_ratio, given.threshold_seconds)
            for kind, found in latencies.kinds_together(slots.kinds).items()
        }

    return Report(
        title=f"{', '.join(names)} in {given.namespace}",
        span=_span(given, clock),
        objective=f"{100 * given.within_ratio:g} % of the requests within {words.time(given.threshold_seconds)}",
        percentile_name=name,
        threshold_seconds=given.threshold_seconds,
        allowed_ratio=allowed,
        zone=given.zone,
        clock_changes=tuple(change_words(*change) for change in clock.changes(past.seconds)),
        first_line=words.first_line(name, by_hour, days, limits, judged, spent),
        hours=by_hour,
        whole=figures(minutes * 0, parts * 0, WHOLE)[0],
        pools=of_day,
        pool_whole=whole,
        carries={pool: _carried_words(found) for pool, found in carries.items()},
        kinds=kinds(day(parts), HOURS),
        kind_whole={kind: found[0] for kind, found in kinds(parts * 0, WHOLE).items()},
        kinds_by=given.kinds_by,
        limits=limits,
        limit_times=times,
        judged_times=judged,
        days=days,
        spent=spent,
        budget=minutes_budget(given, ran),
        decisions=given.decisions,
        notes=(*given.notes, *_notes(given, ran)),
    )


def _together(given: Given, ran: Measured, minutes: Ints, parts: Ints, number: int) -> tuple[Figures, ...]:
    """Of all pools, of each place that the ``minutes`` and the slots' ``parts`` lie in."""
    every = latencies.together([pool.latencies for pool in given.slots.pools])
    brackets = latencies.percentiles(every, parts, number, given.within_ratio)
    mean, late = latencies.mean_seconds(every, parts, number), _late(ran, minutes, number)
    rates = np.where(ran.known, ran.requests / given.past.step_seconds, np.nan)
    load, peak = means(rates, minutes, number), largest(rates, minutes, number)
    return tuple(Figures(known(load[i]), known(peak[i]), known(mean[i]), brackets[i], late[i]) for i in range(number))


def carried(given: Given) -> Mapping[str, HalfLoad]:
    """What one replica of each pool carries, as the operator would learn it; pools of which nothing is known are absent."""
    found = {}
    for pool in given.past.pools:
        alone = Past(given.past.seconds, (pool,), given.past.window_seconds, given.past.counted_by)
        try:
            (server,) = servers(alone, _model(given, pool))
        except ValueError:
            continue
        found[pool.name] = HalfLoad(server.middle, server.only_a_bound)
    return found


def _model(given: Given, only: PoolPast | None = None) -> Model:
    pools = tuple(
        Pool(pool.name, 1, max(int(np.nan_to_num(pool.running).max(initial=1)), 1), given.prices.get(pool.name, 1.0))
        for pool in given.past.pools
        if only is None or pool is only
    )
    return Model("report/report", given.within_ratio, given.threshold_seconds, pools)


def _late(ran: Measured, places: Ints, number: int) -> list[Bracket | None]:
    requests, low, high = (
        sums(np.where(ran.known, values, np.nan), places, number)
        for values in (ran.requests, ran.late_low, ran.late_high)
    )
    return [
        Bracket(float(low[i] / requests[i]), float(high[i] / requests[i])) if requests[i] > 0 else None
        for i in range(number)
    ]


def _pool(
    past: PoolPast, slots: PoolSlots, minutes: Ints, parts: Ints, number: int, carries: HalfLoad | None
) -> tuple[PoolFigures, ...]:
    load, replicas = means(past.per_second, minutes, number), means(past.running, minutes, number)
    cpu, gpu, queue = (
        means(v, parts, number) for v in (known_ratio(slots.cpu_cores, slots.cpu_bound_cores), slots.gpu_ratio, slots.queue)
    )  # fmt: skip
    used = means(_load_ratio(past, carries), minutes, number)
    return tuple(
        PoolFigures(*(known(values[i]) for values in (load, replicas, cpu, gpu, used, queue))) for i in range(number)
    )


def _signs(
    past: PoolPast, slots: PoolSlots, minutes: Ints, parts: Ints, number: int, carries: HalfLoad | None
) -> Signs:
    requests = np.where(past.per_second > 0, past.per_second, np.nan)
    busy = {
        "CPU": means(known_ratio(slots.cpu_cores, slots.cpu_bound_cores), parts, number),
        "GPU": means(slots.gpu_ratio, parts, number),
    }
    # A pod may use more than it requests, and so may a container without a limit, of which a process may be.
    if slots.cpu_bound != LIMIT or slots.cpu_used_by == POD_PROCESSES:
        busy["CPU"] = np.full(number, math.nan)
    if carries is not None and not carries.bound:
        busy["load"] = means(_load_ratio(past, carries), minutes, number)
    return Signs(means(past.late_low, minutes, number, requests), busy)


def _load_ratio(past: PoolPast, carries: HalfLoad | None) -> Floats:
    """The load by the minute, of what the ready replicas carry."""
    if carries is None:
        return np.full(len(past.per_second), math.nan)
    return known_ratio(past.per_second, past.ready * carries.per_second)


def _days(ran: Measured, clock: Clock, places: Ints, allowed: float) -> tuple[Day, ...]:
    """Each hour of the range."""
    late, requests = _late(ran, places, clock.number), sums(np.where(ran.known, ran.requests, np.nan), places, clock.number)  # fmt: skip
    there = np.bincount(places[places >= 0], minlength=clock.number) > 0
    found: dict[str, list[str]] = {}
    for place, hour in enumerate(clock.hours_of_day):
        share, state = late[place], "idle" if requests[place] == 0 else "" if there[place] else words.GONE
        if share is not None:
            certain, possible = share.lower > allowed + ROUNDING, share.upper > allowed + ROUNDING
            state = "over" if certain else "perhaps" if possible else "within"
        found.setdefault(clock.day(place), [""] * HOURS)[hour] = state
    return tuple(Day(name, tuple(states)) for name, states in found.items())


def _span(given: Given, clock: Clock) -> str:
    seconds = given.past.seconds
    ends = clock.local(np.array([seconds[0], seconds[-1] + given.past.step_seconds]))
    begin, end = (f"{datetime.fromtimestamp(float(moment), UTC):%Y-%m-%d %H:%M}" for moment in ends)
    return f"{begin} to {end} ({given.zone})"


def _carried_words(found: HalfLoad) -> str:
    return f"{'at least ' if found.bound else ''}{words.number(found.per_second)} requests/s"


def _notes(given: Given, ran: Measured) -> tuple[str, ...]:
    """What is not known, and the way out."""
    threshold, found = words.time(given.threshold_seconds), []
    unknown = len(ran.known) - int(ran.known.sum())
    if unknown:
        are = "is" if unknown == 1 else "are"
        gaps = "load, late requests or replicas have gaps. No figure counts them"
        found.append(f"Of {len(ran.known)} minutes {unknown} {are} not known: {gaps}")
    lacking = latencies.lacking_ratio(latencies.together([pool.latencies for pool in given.slots.pools]))
    if lacking:
        found.append(
            f"For {100 * lacking:.0f} % of the time with requests the histogram lacks edges that it has now, so "
            f"p{100 * given.within_ratio:g} is that of the rest alone"
        )
    for past, slots in zip(given.past.pools, given.slots.pools, strict=True):
        name = past.name
        if past.edges.lower != past.edges.upper:
            found.append(
                f"{name}: the histogram has no edge at {threshold}, so how much was late is known only between two values: configure one"
            )
        if not np.isfinite(slots.latencies.spent).any():
            found.append(f"{name}: the mean latency is not known, as Prometheus has no _sum of its histogram")
        found += [f"{name}: {said}" for said in _cpu_notes(slots)]
        if not np.isfinite(slots.gpu_ratio).any():
            found.append(
                f"{name}: GPU utilisation is not known (DCGM_FI_DEV_GPU_UTIL, nv_gpu_utilization); a pool without GPU has none"
            )
        if not np.isfinite(slots.queue).any():
            found.append(
                f"{name}: the queue is not known, as the profile of its metrics has no such series, or Prometheus has none"
            )
    if given.past.partial or given.slots.partial:
        found.append("Prometheus said that a part of its answers may be missing")
    return tuple(found)


def _cpu_notes(slots: PoolSlots) -> Iterator[str]:
    if not np.isfinite(known_ratio(slots.cpu_cores, slots.cpu_bound_cores)).any():
        used = np.isfinite(slots.cpu_cores).any()
        what = "kube_pod_container_resource_limits" if used else "container_cpu_usage_seconds_total"
        yield f"CPU utilisation is not known, as Prometheus has no {what} of its pods"
        return
    if slots.cpu_used_by == PROCESSES:
        yield (
            "CPU is that of the processes whose pages are read (process_cpu_seconds_total), of what bounds their containers: a "
            "container without a page, and a process beside the one with the page, are not in it. Have Prometheus read cAdvisor"
        )
    elif slots.cpu_used_by == POD_PROCESSES:
        yield (
            "CPU is that of the processes whose pages are read (process_cpu_seconds_total), of what bounds the whole pod, as no label "
            "tells the containers of a pod apart: it is no sign of a bottleneck. Have Prometheus read cAdvisor"
        )
    if slots.cpu_bound == PART_LIMIT:
        yield (
            "CPU is that of the containers with a limit, as others have none: it is no sign of a bottleneck. Set a limit of each container"
        )
    elif slots.cpu_bound == REQUEST:
        yield "CPU is of what a replica requests, as it has no limit: it is no sign of a bottleneck"

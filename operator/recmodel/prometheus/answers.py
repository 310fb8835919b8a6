"""From answers to values: whose series it is, and which numbers can be believed."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from recmodel.prometheus.client import Vector
from recmodel.prometheus.histogram import upper_bound_seconds
from recmodel.prometheus.pod_names import owner_by_name
from recmodel.prometheus.profile import Histogram, Profile
from recmodel.prometheus.readings import ModelView, PoolView

PoolKey = tuple[str, str]  # ("namespace/name", pool)
Owner = Callable[[Mapping[str, str]], PoolKey | None]

# So few requests expected in the window make it no surprise that none came: e^-3 is 5 %.
UNSURPRISING_REQUESTS = 3.0
# Digits: a route has fewer backends. Whoever exports a series names its cluster, and Python reads no number of 5,000 digits.
LONGEST_INDEX = 9


def owner_of(profile: Profile, models: Sequence[ModelView]) -> Owner:
    """A function from a series' labels to the pool of ``models`` that it belongs to; None for everybody else's."""
    identity = profile.identity
    if identity.cluster:
        return _owner_by_cluster(re.compile(identity.cluster.pattern), identity.cluster.label, models)
    whose = owner_by_name(models) if identity.named else _owner_by_labels(profile, models)
    named = {model.key: model.metrics.model for model in models}

    def owner(series: Mapping[str, str]) -> PoolKey | None:
        pool = whose(series)
        served = series.get(identity.served, "") if identity.served else ""
        # Of a page with several models only the one that its clients ask for is load; the steps of an ensemble are not.
        return None if pool and served and named[pool[0]] not in (None, served) else pool

    return owner


def _owner_by_labels(profile: Profile, models: Sequence[ModelView]) -> Owner:
    identity = profile.identity
    pools: dict[tuple[str, ...], PoolKey] = {}
    ambiguous: set[tuple[str, ...]] = set()
    for model in models:
        for pool in model.pools:
            names = (f"{model.name}-{pool.name}",) if identity.workload else (model.name, pool.name)
            values = (model.namespace, *names)
            if values in pools:  # a-b with pool c, and a with pool b-c: one Service cannot serve both
                ambiguous.add(values)
            pools[values] = (model.key, pool.name)
    for values in ambiguous:
        del pools[values]
    labels = identity.owner_labels
    return lambda series: pools.get(tuple(series.get(label, "") for label in labels))


def served_models(
    series: Iterable[Mapping[str, str]], profile: Profile, models: Sequence[ModelView]
) -> dict[PoolKey, list[str]]:
    """The server's models that each pool's pages count requests of, from the labels of the ``series``; nothing where a
    profile cannot tell.
    """
    label = profile.identity.served
    if label is None:
        return {}
    unnamed = [replace(model, metrics=model.metrics.model_copy(update={"model": None})) for model in models]
    owner = owner_of(profile, unnamed)
    found: dict[PoolKey, set[str]] = defaultdict(set)
    for labels in series:
        pool = owner(labels)
        if pool is not None and labels.get(label):
            found[pool].add(labels[label])
    return {pool: sorted(names) for pool, names in found.items()}


def _owner_by_cluster(pattern: re.Pattern[str], label: str, models: Sequence[ModelView]) -> Owner:
    places = {
        model.key: [pool.name for pool in model.pools] if model.backends is None else [b.pool for b in model.backends]
        for model in models
    }
    ours = {(model.key, pool.name) for model in models for pool in model.pools}

    @cache  # each name comes once for every query and bucket
    def owner_of_cluster(name: str) -> PoolKey | None:
        match = pattern.fullmatch(name)
        if match is None or len(match["index"]) > LONGEST_INDEX:
            return None
        key, index = f"{match['namespace']}/{match['model']}", int(match["index"])
        mine = places.get(key, [])
        pool = (key, mine[index] or "") if index < len(mine) else None
        return pool if pool in ours else None

    return lambda series: owner_of_cluster(series.get(label, ""))


def arrivals_of(profile: Profile, models: Sequence[ModelView]) -> Owner:
    """From a series' labels to the model whose arrivals it counts, and one of several addends: the pool, or the place
    among a route's backends, whichever pool stood there.
    """
    cluster = profile.identity.cluster
    if cluster is None:
        return owner_of(profile, models)
    pattern, keys = re.compile(cluster.pattern), {model.key for model in models}

    def place(series: Mapping[str, str]) -> PoolKey | None:
        match = pattern.fullmatch(series.get(cluster.label, ""))
        key = f"{match['namespace']}/{match['model']}" if match else ""
        return (key, match["index"]) if match and key in keys else None

    return place


@dataclass(slots=True)
class Values:
    """Numbers by pool, and the pools whose number was NaN, infinite, negative or given twice."""

    known: dict[PoolKey, float] = field(default_factory=dict)
    invalid: set[PoolKey] = field(default_factory=set)


def values(vector: Vector, owner: Owner, combined: Callable[[float, float], float] | None = None) -> Values:
    """One number a pool; ``combined`` makes one of two where each pod has a row of its own."""
    found = Values()
    for labels, value in vector.rows:
        pool = owner(labels)
        if pool is None:
            continue
        if not believable(value) or (pool in found.known and combined is None):
            found.invalid.add(pool)
        elif combined is not None and pool in found.known:
            found.known[pool] = combined(found.known[pool], value)
        else:
            found.known[pool] = value
    for pool in found.invalid:
        found.known.pop(pool, None)
    return found


def believable(value: float) -> bool:
    """Whether a rate, an age or a length can be this."""
    return math.isfinite(value) and value >= 0.0


def spacing_seconds(answer: Vector) -> float | None:
    """The time between scrapes that an answer to ``scrape_spacing`` gives; None where there are none."""
    seconds = answer.rows[0][1] if answer.rows else 0.0
    return seconds if believable(seconds) and seconds > 0 else None


_EVEN = Vector(())


@dataclass(slots=True)
class Buckets:
    """Cumulative requests/s by upper bound in seconds, by pool; the bounds that only some of a pool's servers have, which are
    left out; and the pools with a bucket that cannot be believed.
    """

    known: dict[PoolKey, dict[float, float]] = field(default_factory=dict)
    left_out: dict[PoolKey, tuple[float, ...]] = field(default_factory=dict)
    invalid: set[PoolKey] = field(default_factory=set)


def buckets(vector: Vector, owner: Owner, histogram: Histogram, uneven: Vector = _EVEN) -> Buckets:
    """The histogram of each pool; one without ``+Inf`` is invalid, since the number of all requests is missing.

    ``uneven``: by edge the share of a row's series that have it, where that is not 1. What only some servers count below
    an edge says nothing of the others' requests: the sum over such an edge would be too small. A pool may have several rows
    an edge, one a pod.
    """
    shares = _shares(uneven)
    having: dict[PoolKey, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    by_edge: dict[PoolKey, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    bounds: dict[float, float] = {}
    found = Buckets()
    for labels, value in vector.rows:
        pool = owner(labels)
        if pool is None:
            continue
        try:
            edge = float(labels.get("le", ""))
            if edge not in bounds:
                bounds[edge] = upper_bound_seconds(edge, histogram.unit, whole_units=histogram.whole_units)
        except ValueError:
            found.invalid.add(pool)
            continue
        if not believable(value):
            found.invalid.add(pool)
        having[pool][edge] += shares.get(frozenset(labels.items()), 1.0) if shares else 1.0
        by_edge[pool][edge] += value  # 1 and 1.0 are one edge, of pods whose servers spell it differently
    found.invalid |= {pool for pool, rows in by_edge.items() if math.inf not in rows}
    for pool, rows in by_edge.items():
        if pool in found.invalid:
            continue
        every = having[pool][math.inf] * (1.0 - 1e-9)
        found.known[pool] = _by_bound(
            {edge: value for edge, value in rows.items() if having[pool][edge] >= every}, bounds
        )
        if left_out := {bounds[edge] for edge in rows} - found.known[pool].keys():
            found.left_out[pool] = tuple(sorted(left_out))
    return found


def _shares(uneven: Vector) -> dict[frozenset[tuple[str, str]], float]:
    """By the labels of the row, ``le`` as it is spelled: of servers that spell an edge in two ways each part has one."""
    return {frozenset(labels.items()): share for labels, share in uneven.rows if "le" in labels and believable(share)}


def _by_bound(rows: Mapping[float, float], bounds: Mapping[float, float]) -> dict[float, float]:
    """By upper bound in seconds. Edges within one whole unit (0.5 and 0.7 ms) are one bound, and cumulative: the larger
    one holds the other.
    """
    found: dict[float, float] = {}
    for edge, value in rows.items():
        found[bounds[edge]] = max(value, found.get(bounds[edge], 0.0))
    return found


def idle(
    pool: PoolView, *, page_is_fresh: bool, expected_requests: float | None, dropped_per_second: float | None
) -> bool:
    """Whether a pool that has no series at all got no requests, rather than being unknown.

    A gateway makes a pool's series at its first request, so "no series" also means "no request yet". That is believed
    only if the page on which they would be is fresh, and no request was to be expected:

    - the pool's weight is 0;
    - or it has no ready pod while the gateway drops nothing (``dropped_per_second`` is 0: what a weight sends to a pool
      without pods is answered with errors that no series of the pool shows), and another pool is there to answer;
    - or its weight is so small beside the model's other pools that fewer than ``UNSURPRISING_REQUESTS`` were due.

    Everything else stays unknown: relabelling, a wrong gateway, or a route that is not attached look the same.
    """
    if not page_is_fresh:
        return False
    if pool.weight == 0:
        return True
    if pool.ready == 0:
        return dropped_per_second == 0
    return expected_requests is not None and expected_requests < UNSURPRISING_REQUESTS

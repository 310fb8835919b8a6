"""The gateway's rules: in which order weights and replicas move, so that no request is answered with an error.

All of them were measured with Envoy Gateway under load:

* A weight that points at a pool without pods answers exactly that share with 503, and no pool's statistics show it.
  So a pool without a ready pod has weight 0, at once. Only where *no* pool has a ready pod do the weights stay: any
  other choice is as bad, and moving them costs more.
* Weight 0 removes the pool's Envoy cluster, and a step straight from or to 0 answers a few requests with 500. So a
  pool with ready pods keeps at least 1 of 1,000, and goes to and from 0 through 1.
* A pool leaves in the order weight 1, weight 0, replicas 0, and comes in the order replicas, Ready, weight 1, weight.

``step`` returns the next step of that way from what the cluster shows now. It keeps no state, so a crash between
two steps costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from recmodel.cluster.weight_pace import WeightPace, paced

TOTAL = 1000  # weights are shares of this: 1 of it is a share that nobody notices
JOIN_SETTLE_SECONDS = 0.5  # at weight 1 before more: Envoy took up new weights within 34 ms of the PATCH in all runs
LEAVE_SETTLE_SECONDS = 3.0  # at weight 1 before 0, and at 0 before the pods go: requests under way end meanwhile


@dataclass(frozen=True, slots=True)
class PoolTraffic:
    """What stands in the cluster for one pool, and what was decided for it."""

    weight: int  # in the route now, of 1,000
    ready: int  # pods that are Ready and not being deleted
    replicas: int  # spec.replicas of the Deployment now
    wanted_replicas: int
    wanted_share: float  # any non-negative number; shares of their sum
    leaves_at_once: bool = False  # it answers with errors, or should answer nothing: its traffic goes at no pace


@dataclass(frozen=True, slots=True)
class Step:
    """The next step: weights (of 1,000) and replicas of every pool, and after how long to look again (None:
    arrived).
    """

    weights: Mapping[str, int]
    replicas: Mapping[str, int]
    again_seconds: float | None = None


def step(
    pools: Mapping[str, PoolTraffic], settled_seconds: float, routed: bool = True, pace: WeightPace | None = None
) -> Step:
    """The next step towards what is wanted.

    ``settled_seconds`` is the time since the route's weights last changed (0 where unknown: waits once more).
    ``routed`` is False for a model without a route of ours: nothing can be drained then, so replicas are allowed as
    wanted. Weights sum up to 1,000 over the pools with ready pods whenever there is one. With a ``pace`` they move no faster, and
    pods of a pool stay while it bears more than it is to.

    >>> cpu, gpu = PoolTraffic(1000, 2, 2, 2, 0.6), PoolTraffic(0, 1, 1, 1, 0.4)
    >>> dict(step({"cpu": cpu, "gpu": gpu}, settled_seconds=60.0).weights)  # the gpu pool has just become ready
    {'cpu': 999, 'gpu': 1}
    """
    if not routed:
        return Step(dict.fromkeys(pools, 0), {name: pool.wanted_replicas for name, pool in pools.items()})
    weights, moving = _weights(pools, settled_seconds)
    held: set[str] = set()
    pacing: float | None = None
    if pace is not None:
        wanted, (weights, pacing) = weights, _paced(pools, weights, settled_seconds, pace)
        held = {name for name, pool in pools.items() if weights[name] > wanted[name] and not pool.leaves_at_once}
    replicas, draining = _replicas(pools, weights, settled_seconds, held)
    waits = [seconds for seconds in (moving if pacing is None else pacing, draining) if seconds is not None]
    return Step(weights, replicas, min(waits) if waits else None)


def holding(pools: Mapping[str, PoolTraffic], settled_seconds: float) -> Step:
    """The step where the weights stay as they stand: replicas grow, and no pool that bears a weight goes to 0."""
    weights = {name: pool.weight for name, pool in pools.items()}
    replicas, draining = _replicas(pools, weights, settled_seconds, ())
    return Step(weights, replicas, draining)


def spread(shares: Mapping[str, float], total: int = TOTAL) -> dict[str, int]:
    """Whole weights of ``total`` in proportion to ``shares`` (largest remainder, at least 1 each); equal where they
    sum up to 0.

    >>> spread({"a": 0.999, "b": 0.0001})
    {'a': 999, 'b': 1}
    """
    if not shares:
        return {}
    clean = {name: share if math.isfinite(share) and share > 0 else 0.0 for name, share in shares.items()}
    largest = max(clean.values())
    # Divided by the largest first, so that neither huge nor tiny numbers overflow or vanish in the sum.
    clean = {name: share / largest if largest > 0 else 1.0 for name, share in clean.items()}
    free = total - len(clean)
    exact = {name: 1 + free * share / sum(clean.values()) for name, share in clean.items()}
    if len(clean) > 1:  # exact shares where the least weight of 1 does not bind
        plain = {name: total * share / sum(clean.values()) for name, share in clean.items()}
        exact = plain if min(plain.values()) >= 1 else exact
    result = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (result[name] - exact[name], name))
    for name in by_remainder[: total - sum(result.values())]:
        result[name] += 1
    return result


def differs(old: Mapping[str, float], new: Mapping[str, float], tolerance_ratio: float = 0.01) -> bool:
    """Whether shares differ by more than ``tolerance_ratio`` of the whole traffic: smaller moves are not worth a write.

    >>> differs({"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 2.01}), differs({"a": 1.0}, {"a": 0.5, "b": 0.5})
    (False, True)
    """
    if set(old) != set(new):
        return True
    before, after = spread(old, 1_000_000), spread(new, 1_000_000)
    return any(abs(before[name] - after[name]) > tolerance_ratio * 1_000_000 for name in old)


def _weights(pools: Mapping[str, PoolTraffic], settled_seconds: float) -> tuple[dict[str, int], float | None]:
    """The next weights, and the seconds until the step after them (None: these are the last ones)."""
    live = {name: pool for name, pool in pools.items() if pool.ready > 0}
    if not live:
        return {name: pool.weight for name, pool in pools.items()}, None
    leaving = {name for name, pool in live.items() if pool.wanted_replicas == 0}
    warm = {name for name, pool in live.items() if pool.weight > 0}
    # One that is wanted at 1 has arrived there: to wait for more with it would move the others to and fro.
    last = spread({name: pool.wanted_share for name, pool in live.items() if name not in leaving})
    joining = {
        name
        for name, pool in live.items()
        if name not in leaving
        and (pool.weight == 0 or (pool.weight == 1 < last[name] and settled_seconds < JOIN_SETTLE_SECONDS))
    }
    bearers = {name for name in live if name not in leaving | joining and live[name].wanted_share > 0}
    weights = dict.fromkeys(pools, 0)
    if bearers:
        shares = {name: live[name].wanted_share for name in bearers}
    else:  # who is wanted cannot bear the traffic yet: who bears it now goes on, in today's proportions
        choices = [set(live) - leaving - joining, leaving & warm, warm, set(live) - leaving, set(live)]
        bearers = next(choice for choice in choices if choice)
        shares = {name: float(live[name].weight) for name in bearers}
    for name in set(live) - bearers:
        weights[name] = 1
        # Only a pool whose traffic others bear already goes on to 0.
        if name in leaving and (live[name].weight == 0 or (live[name].weight == 1 and _left(settled_seconds) == 0)):
            weights[name] = 0
    weights.update(spread(shares, TOTAL - sum(weights.values())))
    changed = any(weights[name] != pool.weight for name, pool in pools.items())
    settled = 0.0 if changed else settled_seconds
    waits = []
    if joining - bearers:
        waits.append(max(JOIN_SETTLE_SECONDS - settled, 0.01))
    if any(weights[name] == 1 for name in leaving - bearers):
        waits.append(max(LEAVE_SETTLE_SECONDS - settled, 0.01))
    return weights, min(waits) if waits else None


def _paced(
    pools: Mapping[str, PoolTraffic], wanted: Mapping[str, int], settled_seconds: float, pace: WeightPace
) -> tuple[dict[str, int], float | None]:
    """The weights, no further from those that stand than the pace allows."""
    now = {name: pool.weight for name, pool in pools.items()}
    at_once = {name for name, pool in pools.items() if pool.ready == 0 or pool.leaves_at_once}
    return paced(now, wanted, at_once, pace, settled_seconds)


def _left(settled_seconds: float) -> float:
    return max(LEAVE_SETTLE_SECONDS - settled_seconds, 0.0)


def _replicas(
    pools: Mapping[str, PoolTraffic], weights: Mapping[str, int], settled_seconds: float, held: Collection[str]
) -> tuple[dict[str, int], float | None]:
    """The replicas allowed now, and the seconds until more is allowed (None: nothing waits for time). Those of the pools that are
    ``held`` do not shrink.
    """
    replicas: dict[str, int] = {}
    wait: float | None = None
    # A pool that is to take over traffic and has no ready pod yet: until it has, the others keep theirs.
    awaited = {n for n, p in pools.items() if p.wanted_replicas > 0 and p.wanted_share > 0 and p.ready == 0}
    for name, pool in pools.items():
        replicas[name] = pool.wanted_replicas
        if pool.wanted_replicas >= pool.replicas:
            continue
        if name in held:
            replicas[name] = pool.replicas
            continue
        bears = pool.weight > 0 or weights[name] > 0
        if bears and (awaited - {name} or not any(weights.values())):
            replicas[name] = pool.replicas
        elif pool.wanted_replicas == 0 and bears:
            # Nobody is wanted at all: there is nothing that could wake a pool on a request, so one pod stays.
            replicas[name] = pool.replicas if any(p.wanted_replicas > 0 for p in pools.values()) else 1
            if weights[name] == 0:  # this step takes the weight away, a later one the pods
                wait = LEAVE_SETTLE_SECONDS
        elif pool.wanted_replicas == 0 and pool.ready > 0 and _left(settled_seconds) > 0:
            replicas[name] = pool.replicas
            wait = max(_left(settled_seconds), 0.01)
    return replicas, wait

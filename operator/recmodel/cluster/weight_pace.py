"""How fast weights may move where their owner has said so (``route.shift``): a pool whose requests come all at once meets them with
empty caches.

What is bounded is the traffic that moves, not the weight of each pool. What leaves a pool that answers nothing, or with errors, is
not: an answer of a cold pool is better than none.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

ROUNDING = 1e-6  # of a weight: a number that misses a whole one by less is that one


@dataclass(frozen=True, slots=True)
class WeightPace:
    """At most ``most`` of the weights' total move in ``seconds``."""

    most: float
    seconds: float


def paced(
    now: Mapping[str, int],
    wanted: Mapping[str, int],
    at_once: Collection[str],
    pace: WeightPace,
    settled_seconds: float,
) -> tuple[dict[str, int], float | None]:
    """Weights on the way from ``now`` to ``wanted``, which have the same total, and the seconds until the next step (None: arrived).

    What leaves the pools ``at_once`` is given in proportion to what the others lack, whenever the weights last moved. Of the rest so
    much moves as the pace allows, in proportion to what each pool lacks. From 800 and 200 towards 500 and 500 with 100 a step the next
    ones are 700 and 300. ``settled_seconds`` is the time since the weights last changed.

    To and from a weight of 1 no traffic to speak of moves, and the order of such steps is the gateway's (:mod:`weight_steps`).
    """
    stands = _with_steps_of_one(now, wanted)
    lacks = {name: max(wanted[name] - stands[name], 0) for name in now}
    leaves = {name: max(stands[name] - wanted[name], 0) for name in now}
    moves, urgent = sum(lacks.values()), sum(leaves[name] for name in at_once)
    allowed = urgent + (pace.most if settled_seconds >= pace.seconds else 0.0)
    # Where nothing bears traffic yet, or the weights have another total, there is nothing to move slowly.
    if moves <= allowed or moves != sum(leaves.values()):
        return dict(wanted), None
    slow = (allowed - urgent) / (moves - urgent)
    weights = {
        name: stands[name] - leaves[name] * (1.0 if name in at_once else slow) + lacks[name] * allowed / moves
        for name in now
    }
    changes = allowed > 0 or dict(now) != stands
    return _whole(weights, sum(stands.values())), pace.seconds if changes else max(pace.seconds - settled_seconds, 0.01)


def _whole(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole weights of the same total: what is left of rounding down goes to those that lost the most by it."""
    result = {name: math.floor(weight + ROUNDING) for name, weight in weights.items()}
    lost = sorted(weights, key=lambda name: (result[name] - weights[name], name))
    for name in lost[: total - sum(result.values())]:
        result[name] += 1
    return result


def _with_steps_of_one(now: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, int]:
    """The weights with the steps from 0 to 1 and from 1 to 0 taken, at the cost of the largest weight."""
    stands = {name: wanted[name] if now[name] + wanted[name] == 1 else now[name] for name in now}
    largest = max(stands, key=lambda name: stands[name])
    stands[largest] += sum(now.values()) - sum(stands.values())
    return stands

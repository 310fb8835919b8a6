"""Where each pool stands among the route's backends, and how one leaves or moves without a request answered with an error. Pure.

Envoy Gateway names the Envoy cluster of a backend by its place, and builds it only while the place has a weight. What is sent
there in the moment between the new route and the new cluster is answered with 500 (``cluster_not_found``), up to 30 ms after the
write. So a place never goes from nothing to a large weight in one write, nor back: it goes through 1 of 1,000, as in
:mod:`recmodel.cluster.weight_steps`, and a pool moves to another place by standing at both for a moment.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

Backend = dict[str, Any]  # one of the route's backendRefs


def arranged(standing: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The order in which the backends ``wanted`` stand, where ``standing`` is how they stand now: each stays at its place. A place
    that becomes free is for one that is new, which has no weight yet; else for the last one.

    >>> arranged(["old", "small", "new"], ["new", "small"])
    ['new', 'small']
    >>> arranged(["old", "small"], ["small", "new"])
    ['new', 'small']
    """
    newcomers = [name for name in wanted if name not in standing]
    places: list[str | None] = []
    for name in standing:
        stays = name in wanted and name not in places
        places.append(name if stays else newcomers.pop(0) if newcomers else None)
    result = places + newcomers
    while None in result:
        last = result.pop()
        if last is not None:
            result[result.index(None)] = last
    return [name for name in result if name is not None]


def passages(standing: Sequence[Backend], wanted: Sequence[Backend]) -> list[list[Backend]]:
    """The backends to write one after the other before those ``wanted``, each with a moment to settle; none where nothing leaves or
    moves under weight.

    >>> old, new = [{"name": "a", "weight": 0}, {"name": "b", "weight": 1000}], [{"name": "b", "weight": 1000}]
    >>> [[(each["name"], each["weight"]) for each in step] for step in passages(old, new)]
    [[('b', 1), ('b', 999)], [('b', 999), ('b', 1)]]
    """
    drained = _drained(standing, wanted)
    moved = _moved(drained, wanted)
    return [step for before, step in itertools.pairwise([list(standing), drained, *moved]) if step != before]


def _drained(standing: Sequence[Backend], wanted: Sequence[Backend]) -> list[Backend]:
    """Those that leave come down to 1, where others bear the traffic."""
    stay = {backend["name"] for backend in wanted}
    if not any(backend["name"] in stay and _weight(backend) > 1 for backend in standing):
        return list(standing)
    return [b if b["name"] in stay or _weight(b) <= 1 else {**b, "weight": 1} for b in standing]


def _moved(standing: Sequence[Backend], wanted: Sequence[Backend]) -> list[list[Backend]]:
    """Those that move: first at 1 at the new place, then at 1 at the old one."""
    target = {backend["name"]: place for place, backend in enumerate(wanted)}
    arriving, leaving = list(standing), list(standing)
    for place, backend in enumerate(standing):
        name, weight = backend["name"], _weight(backend)
        to = target.get(name, place)
        if to == place or weight <= 1 or to >= len(standing):
            continue
        there = standing[to]
        both = there["name"] == name  # an operator was killed in the middle of it: the rest of the way is the same
        if there["name"] in target and not both:
            continue
        total, first = (weight + _weight(there), _weight(there)) if both else (weight, 1)
        arriving[to], arriving[place] = (
            {**backend, "weight": max(first, 1)},
            {**backend, "weight": total - max(first, 1)},
        )
        leaving[to], leaving[place] = {**backend, "weight": total - 1}, {**backend, "weight": 1}
    return [arriving, leaving]


def _weight(backend: Backend) -> int:
    return int(backend.get("weight", 1))

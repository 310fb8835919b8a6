"""Which pool is the bottleneck, and when: the one with more late requests than the objective allows, else the busiest above a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from recmodel.core.arrays.fleet import Bools
from recmodel.lab.weekly.clock import HOURS, Ints
from recmodel.lab.weekly.values import Limit, Signs

BUSY_RATIO = 0.8  # of its CPU, its GPU, or what its replicas carry
ROUNDING = 1e-9  # 1 - 0.9 is less than 0.1
OFTEN_RATIO = 0.5  # of the hours at the same time of the day


def limiting(signs: Sequence[Signs], allowed_ratio: float) -> tuple[Ints, list[str], Bools]:
    """By hour of the range: the place of the pool that is the bottleneck, -1 where none is; the sign of it; and where this can be said.

    Of pools ``cpu`` with 91 % of its CPU and ``gpu`` with 70 % of its GPU, of which none is late, ``cpu`` is it, and the sign ``CPU``.
    """
    number = len(signs[0].late)
    found, words, judged = np.full(number, -1), [""] * number, np.zeros(number, np.bool_)
    for hour in range(number):
        worst = (False, BUSY_RATIO)
        for place, pool in enumerate(signs):
            late = bool(pool.late[hour] > allowed_ratio + ROUNDING)
            busy = {what: float(values[hour]) for what, values in pool.busy.items() if np.isfinite(values[hour])}
            judged[hour] |= bool(busy) or bool(np.isfinite(pool.late[hour]))
            most = max(busy, key=lambda what: busy[what], default="")
            rank = (late, busy.get(most, 0.0))
            if rank >= worst:
                worst, found[hour] = rank, place
                words[hour] = most if busy.get(most, 0.0) >= BUSY_RATIO else "late requests"
    return found, words, judged


def by_hour_of_day(
    names: Sequence[str], limit: Ints, words: Sequence[str], judged: Bools, hours: Ints
) -> tuple[tuple[Limit | None, ...], Mapping[str, tuple[int, ...]], tuple[int, ...]]:
    """The usual one of each hour of the day; how often each pool was it; and of how many hours that can be said."""
    of = np.bincount(hours[judged], minlength=HOURS)
    times = {name: np.bincount(hours[limit == place], minlength=HOURS) for place, name in enumerate(names)}
    usual: list[Limit | None] = []
    for hour in range(HOURS):
        name = max(names, key=lambda name: times[name][hour])
        often = int(times[name][hour])
        if often == 0 or often < OFTEN_RATIO * of[hour]:
            usual.append(None)
            continue
        mine = np.flatnonzero((limit == list(names).index(name)) & (hours == hour))
        sign = Counter(words[int(i)] for i in mine).most_common(1)[0][0]
        usual.append(Limit(name, often, int(of[hour]), sign))
    return tuple(usual), {name: tuple(map(int, found)) for name, found in times.items()}, tuple(map(int, of))

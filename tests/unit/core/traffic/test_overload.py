"""How pools share a load that they do not carry together."""

from __future__ import annotations

import math

import numpy as np

from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.reindex import with_budget_left
from recmodel.core.traffic.overload import opened_wide
from recmodel.core.types import Model, Observation, Pool, PoolObservation

TICK_SECONDS, WINDOW_SECONDS, THRESHOLD_SECONDS = 5.0, 20.0, 0.4
FULL, LIGHT = Pool("full", 2, 5, 1.0, 0.0), Pool("light", 1, 1, 1.0, 0.04)
FEED = Model("shop/feed", 0.95, THRESHOLD_SECONDS, (FULL, LIGHT), accuracy_budget_ratio=0.01)


def test_beyond_what_all_may_carry_a_pool_whose_end_is_known_keeps_to_it() -> None:
    def shares(sure: list[float], hoped: list[float], end_seen: list[bool], demand: float) -> list[float]:
        endless = np.full((1, 2), math.inf)
        told = opened_wide(np.array([sure]), np.array([hoped]), np.array([end_seen]), endless, np.array([demand]))
        return [round(float(share), 1) for share in told[0]]

    assert shares([200.0, 50.0], [200.0, 75.0], [True, False], 400.0) == [50.0, 50.0]
    assert shares([200.0, 50.0], [200.0, 75.0], [True, False], 250.0) == [72.7, 27.3]  # enough: in proportion
    assert shares([200.0, 50.0], [200.0, 75.0], [True, False], 4000.0) == [40.0, 60.0]  # four times what is hoped for
    assert shares([200.0, 50.0], [220.0, 80.0], [True, True], 400.0) == [80.0, 20.0]
    assert shares([200.0, 50.0], [220.0, 80.0], [False, False], 400.0) == [73.3, 26.7]
    assert shares([200.0, 50.0], [200.0, 75.0], [True, False], math.nan) == [72.7, 27.3]
    assert shares([0.0, 0.0], [0.0, 0.0], [False, False], 400.0) == [0.0, 0.0]


def test_a_pool_that_answers_beyond_its_end_has_not_ended_there() -> None:
    """As it was on a busy node. 35 requests/s become 100, of which two pods of the full model carry 50. In the window in which they
    do, 8 % of the requests to the light variant are late, too, by chance. From the next one on it answers more, in time.
    """
    # Requests/s and late share of the full model and of the light variant; weight of the full model; tick by tick.
    readings = [(27.1, 0.04, 7.2, 0.0, 775)] + [(27.0, 0.01, 7.2, 0.0, 775)] * 3
    readings += [(25.8, 0.03, 7.6, 0.0, 775), (25.1, 0.01, 8.5, 0.0, 775), (26.6, 0.01, 8.4, 0.0, 775)]
    readings += [(37.9, 0.30, 11.7, 0.08, 859)]
    spike = [(57.2, 0.70, 14.1, 0.01), (74.2, 0.90, 18.5, 0.053), (82.3, 1.0, 18.6, 0.0), (78.7, 1.0, 20.1, 0.03)]
    memory = with_budget_left(begin([FEED], TICK_SECONDS, rate_window_seconds=WINDOW_SECONDS), {FEED.key: 0.9})
    shares = []
    for tick, (full, full_late, light, light_late, weight) in enumerate([*readings, *((*s, 778) for s in spike)]):
        pools = {
            "full": PoolObservation(2, 2, 0, weight, 45.0, full, 0.0, in_time(full, full_late)),
            "light": PoolObservation(1, 1, 0, 1000.0 - weight, 1.0, light, 0.0, in_time(light, light_late)),
        }
        now = tick * TICK_SECONDS
        memory, decisions = step(memory, [Observation(now, pools)], now)
        decided = decisions.unsplit(0).pools
        shares.append(decided["light"].weight / (decided["full"].weight + decided["light"].weight))
    assert np.isfinite(decisions.capacity.ceiling[0]).all()  # both were seen to end
    assert min(shares[-len(spike) :]) > 0.6


def in_time(rate: float, late: float) -> dict[float, float]:
    return {THRESHOLD_SECONDS: rate * (1.0 - late), math.inf: rate}

"""A restart of the operator in a simulation: what the next process finds decides what it knows at first, and what the hour costs."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from recmodel.lab.benchmark.restarts import After, table
from recmodel.lab.controllers.restarted import AWAY_TICKS, Finds, Restarted
from recmodel.lab.simulator.scenario import CPU_POOL, Scenario
from recmodel.lab.simulator.simulation import simulate
from recmodel.lab.trace import Trace

SCENARIO = Scenario((CPU_POOL,), start_seconds=86_400.0)
PAST = Trace(0.0, 60.0, np.full(1440, 200.0))
RATES = np.linspace(150.0, 300.0, 1200)
RESTART = 900.0


def believed(finds: Finds) -> tuple[float | None, float]:
    """Of the first decision after the restart: the capacity of a replica, and the middle of the forecast."""
    decisions = simulate(SCENARIO, RATES, Restarted(SCENARIO, PAST, RATES, RESTART, finds)).decisions
    before, after = (int(RESTART / SCENARIO.tick_seconds) + ticks for ticks in (-1, AWAY_TICKS))
    if finds != "all":
        assert decisions[before] is decisions[before + 1] is decisions[after - 1], "nobody decides meanwhile"
    return decisions[after].estimates["cpu"].capacity_per_replica, decisions[after].forecast["cpu"].p50_per_second


def test_the_next_process_knows_what_it_finds() -> None:
    known = {finds: believed(finds) for finds in get_args(Finds)}
    capacity, load = known["all"]
    assert known["kept"][0] == pytest.approx(capacity, rel=0.02)
    assert known["kept, no past"][0] == pytest.approx(capacity, rel=0.02)
    assert known["past"][0] is known["nothing"][0] is None
    for _, expected in known.values():
        assert expected == pytest.approx(load, rel=0.15)


def test_costs_are_told_relative_to_no_restart() -> None:
    told = list(table([After(finds, 2.0 + i, i) for i, finds in enumerate(get_args(Finds))]))
    assert told[0] == "  all             cost    2.000 (1.000)  minutes over 0 in 1 hours"
    assert told[-1] == "  nothing         cost    6.000 (3.000)  minutes over 4 in 1 hours"

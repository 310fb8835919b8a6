"""A mix that is known to be dearer is not kept for good because a change costs a start-up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.simulator.simulation import CPU_POOL, GPU_POOL, Scenario, simulate

LOAD_PER_SECOND, MINUTES = 1500.0, 75


@pytest.mark.usefixtures("compiled_simulator")
def test_a_slow_pool_that_turns_out_dearer_goes_once_it_has_cost_a_start() -> None:
    """Two GPU replicas at 6.5 an hour need five minutes to start. Beside two CPU replicas they carry what eleven of those would, at 15.0
    an hour in place of 11.0. To start one again would cost 0.54, which is saved in a quarter of an hour.
    """
    cpu = replace(CPU_POOL, initial_replicas=4)
    gpu = replace(GPU_POOL, price=6.5, startup_seconds=300.0, initial_replicas=2)
    scenario = Scenario(pools=(cpu, gpu))
    result = simulate(scenario, np.full(MINUTES * 60, LOAD_PER_SECOND), EngineController(scenario), seed=0)
    by_minute = {name: [int(count) for count in counts] for name, counts in result.replicas.items()}
    assert by_minute["gpu"][-1] == 0, by_minute
    assert by_minute["cpu"][-1] <= 12
    assert result.summary().minutes_over_ratio <= 0.03

"""What tests share without asking for it. Properties are about values: how long one example takes on a busy machine is none of them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from builders.prometheus_server import Server, asking
from recmodel.prometheus.client import PrometheusClient

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def server() -> Iterator[Server]:
    """A Prometheus that answers as the test says."""
    with Server() as made:
        yield made


@pytest.fixture
def client(server: Server) -> Iterator[PrometheusClient]:
    """A client of that server."""
    with asking(server) as made:
        yield made


@pytest.fixture(scope="session")
def compiled_simulator(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The simulator's kernel takes seconds to compile: of tests that run beside each other one compiles, and the others read it."""
    from recmodel.lab.controllers.baselines import Static
    from recmodel.lab.simulator.scenario import CPU_POOL, GPU_POOL, Scenario
    from recmodel.lab.simulator.simulation import simulate

    scenario = Scenario((CPU_POOL, GPU_POOL))
    with (tmp_path_factory.getbasetemp().parent / "simulator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fewer = Static(scenario, {"cpu": 1, "gpu": 1}, {"cpu": 50.0, "gpu": 50.0})
        simulate(scenario, np.full(60, 500.0), fewer)

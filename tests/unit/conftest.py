"""What tests share without asking for it. Properties are about values: how long one example takes on a busy machine is none of them."""

from __future__ import annotations

from collections.abc import Iterator

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

"""Steady load changes nothing: for three minutes among the other tests, for ten with `make test-slow`."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable

import pytest
from figures import measured
from kube import Event, Kube, eventually
from requests_sent import Load, failed, within
from serving import Pool, Served, weights_of

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

MINUTES = float(os.environ.get("STEADY_MINUTES", "2"))
SETTLE_SECONDS = 60.0
SMALL = Pool("small", least=1, most=4, service_ms=20.0, slots=1)
LARGE = Pool("large", least=0, most=2, service_ms=10.0, slots=1, cost_per_hour="3.0")
PER_SECOND = 60.0


def test_steady_load_changes_replicas_at_most_once(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(SMALL, LARGE)
    served.wait_ready(small=1)
    labels = f"{names.MODEL_LABEL}={served.name}"
    with Load(served, 25.0) as load:
        for rate in (35.0, 45.0, PER_SECOND):
            load.rate(rate)
            time.sleep(10.0)
        eventually("the objective is met", served.has("ObjectiveMet", "True"), 120.0)
        eventually("nothing is under way", served.has("Progressing", "False"), 60.0)
        time.sleep(SETTLE_SECONDS)
        mark, started = load.now(), served.replicas()
        with (
            kube.watching(names.DEPLOYMENT, served.namespace, labels) as deployments,
            kube.watching(names.ROUTE, served.namespace, labels) as routes,
            kube.watching(names.RECMODEL, served.namespace) as statuses,
        ):
            time.sleep(60.0 * MINUTES)
        answers = load.answers(since=mark)
    changes = sum(replica_changes(deployments, served.name, pool, started[pool]) for pool in served.pools)
    shares = [weights_of(event.object, served.name) for event in routes]
    measured(
        f"{MINUTES:g} min at {PER_SECOND:g} requests/s",
        f"{started} -> {served.replicas()}: {changes} changes of replicas, {len(shares)} of weights, {len(statuses)} of the status; "
        f"{len(answers)} requests, {failed(answers)}, {100 * within(answers):.1f} % within 100 ms",
    )
    assert changes <= 1
    assert failed(answers) == {}
    assert within(answers) >= 0.95


def replica_changes(events: list[Event], model: str, pool: str, start: int) -> int:
    """How often a pool's number changed."""
    name = names.child_name(model, pool)
    seen = [start, *(int(e.object["spec"]["replicas"]) for e in events if e.object["metadata"]["name"] == name)]
    return sum(new != old for old, new in itertools.pairwise(seen))

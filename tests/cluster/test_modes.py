"""Recommend and Paused change nothing, whatever the load; Recommend says what it would do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from figures import measured
from kube import eventually, throughout
from requests_sent import Load
from serving import Pool, Served
from side_by_side import together

pytestmark = pytest.mark.cluster

# One pod carries 50 requests/s and gets 45: two are wanted at once.
BUSY = Pool(service_ms=20.0, slots=1)
PER_SECOND = 45.0


@together
def test_recommend_and_paused_change_nothing_under_load(serve: Callable[..., Served]) -> None:
    models = [serve(BUSY, Pool("spare", least=0), name=mode.lower(), mode=mode) for mode in ("Recommend", "Paused")]
    # A paused model has no children of the operator's making, so it is made first and paused then.
    recommending, paused = models
    recommending.wait_ready(cpu=1, spare=0)
    paused.change({"mode": "Auto"})
    paused.wait_ready(cpu=1, spare=0)
    paused.change({"mode": "Paused"})
    with Load(recommending, PER_SECOND, "load-a"), Load(paused, PER_SECOND, "load-b"):
        before = [(model.replicas(), model.weights()) for model in models]
        generations = [model.deployment("cpu")["metadata"]["generation"] for model in models]
        eventually("decisions are made", lambda: recommending.status().get("state") == "Recommending", 30.0)
        eventually("the pause is told", lambda: paused.status().get("state") == "Paused", 30.0)
        eventually("the load is seen", recommending.has("MetricsAvailable", "True"), 60.0)

        def unchanged() -> None:
            assert [(model.replicas(), model.weights()) for model in models] == before
            assert [model.deployment("cpu")["metadata"]["generation"] for model in models] == generations

        throughout(40.0, unchanged)  # eight ticks
        (latest, *_) = recommending.status()["decisions"]
        assert latest["state"] == "Recommending"
        measured("Recommend under load", f"runs {before[0][0]}, would have {latest['proposedReplicas']}")
        assert sum(latest["proposedReplicas"].values()) > 1, (
            "the load needs more than runs, and the status does not say so"
        )
        assert latest["replicas"] == before[0][0]
        assert sum(float(p.get("loadPerSecond", 0)) for p in recommending.status()["pools"]) > 0.5 * PER_SECOND

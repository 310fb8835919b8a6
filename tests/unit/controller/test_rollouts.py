"""Rollouts in the whole operator, against an API server in a dictionary: what is written to Deployments and the status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from builders.operator_stage import Api, Seeing, operated, recmodel
from builders.reconciler_world import deployment_version
from builders.variant_records import config_map, record
from recmodel.cluster import names
from recmodel.cluster.children.versions import VERSION_ON_TRIAL, serving_of
from recmodel.controller.operator import Operator
from recmodel.prometheus import Bracket, GatherSettings, ModelReading, ModelView, PoolReading, Readings, Verdict


class Watched(Seeing):
    """A decider whose Prometheus sees so many late requests a second of 40, by the version that stands."""

    def __init__(self, late: Callable[[], float]) -> None:
        super().__init__(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
        self._late = late

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        good = 40.0 - self._late()
        pools = {"cpu": PoolReading(40.0, 0.0, {0.1: good, float("inf"): 40.0})}
        reading = ModelReading(Verdict.AVAILABLE, "MetricsFound", "found", pools, Bracket(0.99, 0.99))
        return Readings(now_seconds, {view.key: reading for view in views})


def ranked() -> dict[str, Any]:
    body = recmodel()
    body["spec"]["variants"] = [{"name": "full"}]
    body["spec"]["rollout"] = {"stepDuration": "1s", "minRequests": 10}
    return body


def serve(operator: Operator, api: Api) -> None:
    """What a real cluster does: the pods become ready, the Deployment's controller reports that all are new."""
    deployment = api.cluster.objects["Deployment", "feed-cpu"]
    metadata = deployment["metadata"]
    replicas = deployment["spec"]["replicas"]
    deployment["status"] = {
        "observedGeneration": metadata["generation"], "updatedReplicas": replicas, "replicas": replicas,
    }  # fmt: skip
    api.cluster._version += 1
    metadata["resourceVersion"] = str(api.cluster._version)
    operator.inventory.see(names.DEPLOYMENT, "MODIFIED", {**deployment, "metadata": dict(metadata)})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}
    pod = {"namespace": "shop", "name": "p", "uid": "p", "resourceVersion": "", "creationTimestamp": "2026-01-01T00:00:00Z",
           "labels": {names.MODEL_LABEL: "feed", names.POOL_LABEL: "cpu"}}  # fmt: skip
    operator.inventory.see(names.POD, "MODIFIED", {"metadata": pod, "status": {"conditions": [ready]}})


async def until(operator: Operator, api: Api, what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, api.status.get("rollouts")
        serve(operator, api)
        await asyncio.sleep(0.1)


def phases(api: Api) -> list[str]:
    """Of the rollouts in the status; none before the first report."""
    return [found["phase"] for found in api.status.get("rollouts", [])]


def test_a_version_comes_by_its_record_and_a_bad_one_goes_back() -> None:
    api_now: list[Api] = []

    def late() -> float:
        bad = bool(api_now) and deployment_version(api_now[0].cluster, "feed-cpu") == "3"
        return 20.0 if bad else 0.0

    async def story(operator: Operator, api: Api) -> None:
        api_now.append(api)
        operator.inventory.see(names.CONFIG_MAP, "ADDED", config_map(record("full", version="1")))
        operator.observe(ranked())
        operator.listed()
        await asyncio.sleep(0.3)
        assert deployment_version(api.cluster, "feed-cpu") == "1"
        for version, phase, ends in (("2", "Proven", "2"), ("3", "RolledBack", "2")):
            operator.inventory.see(
                names.CONFIG_MAP, "MODIFIED", config_map(record("full", version=version), version=version)
            )
            await until(operator, api, lambda v=version: deployment_version(api.cluster, "feed-cpu") == v)  # type: ignore[misc]
            assert (
                serving_of(api.cluster.objects["Deployment", "feed-cpu"]["metadata"]["annotations"]).trial
                == VERSION_ON_TRIAL
            )
            await until(operator, api, lambda p=phase: phases(api) == [p])  # type: ignore[misc]
            await until(operator, api, lambda e=ends: deployment_version(api.cluster, "feed-cpu") == e)  # type: ignore[misc]
        said = {c["type"]: (c["status"], c["reason"]) for c in api.status["conditions"]}
        assert said["RolledOut"] == ("False", "RolloutRolledBack")
        assert api.status["rollouts"][0]["to"] == "full@3"
        wanted = {"RolloutAdvanced", "RolloutDone", "RolloutRolledBack"}  # Events follow the status
        await until(operator, api, lambda: wanted <= {event["reason"] for event in api.events})
        series = {s.labels["phase"] for m in operator._metrics.rollout.collect() for s in m.samples}
        assert series == {"RolledBack"}
        # A new process knows from the Deployment and the status that this version is not to be tried again.
        body = {**ranked(), "status": api.status}
        operator.forget("shop/feed")
        operator.observe(body)
        await asyncio.sleep(2.5)
        assert deployment_version(api.cluster, "feed-cpu") == "2"

    operated(story, Watched(late))

"""The whole operator in one process: what RecModels that come, change and go start, and which of several acts."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from builders.operator_stage import Api, operated, recmodel
from recmodel.cluster.leases import lease as lease_module
from recmodel.cluster.transport.errors import ApiRefused
from recmodel.controller.operator import Operator


def test_a_recmodel_is_served_decided_on_and_reported() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(2.2)
        assert api.cluster.weights() == [1000]
        assert api.status["pools"][0]["loadPerSecond"] == "5.00"
        assert {c["type"]: c["status"] for c in api.status["conditions"]}["MetricsAvailable"] == "True"
        assert api.status["decisions"][0]["replicas"]["cpu"] >= 1
        writes = len(api.cluster.writes)
        await asyncio.sleep(2.0)
        assert len(api.cluster.writes) == writes, "a steady model causes no writes"
        operator.forget("shop/feed")
        assert operator.reconciler.models == {}

    operated(story)


def test_a_new_pool_that_the_api_refuses_is_planned_around_and_the_others_are_decided_on() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.6)
        api.cluster.refused["Deployment feed-spare"] = ApiRefused("PATCH x", 403, "exceeded quota: few")
        edited = recmodel(generation=2)
        spare = copy.deepcopy(edited["spec"]["pools"][0]) | {"name": "spare"}
        edited["spec"]["pools"][0]["replicas"]["min"] = 3
        edited["spec"]["pools"].append(spare)
        operator.observe(edited)
        await asyncio.sleep(2.4)
        assert api.cluster.replicas("feed-cpu") == 3
        conditions = {c["type"]: c for c in api.status["conditions"]}
        assert "Deployment shop/feed-spare is refused: HTTP 403: exceeded quota: few" in conditions["Ready"]["message"]
        assert "1 of pool spare" in conditions["CapacityAvailable"]["message"]

    operated(story)


def test_an_invalid_edit_touches_nothing_that_serves_and_says_so_at_once() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        await asyncio.sleep(0.5)
        writes = len(api.cluster.writes)
        assert writes > 0
        bad = recmodel(generation=2)
        bad["spec"]["pools"][0]["replicas"] = {"min": 9, "max": 1}
        operator.observe(bad)
        await asyncio.sleep(0.3)
        said = {c["type"]: c["reason"] for c in api.status["conditions"]}
        assert said["Stalled"] == "InvalidSpec"
        assert said["Ready"] != "InvalidSpec"
        assert len(api.cluster.writes) == writes
        operator.observe(recmodel(generation=3))
        await asyncio.sleep(0.3)
        assert all(c["type"] != "Stalled" for c in api.status["conditions"])

    operated(story)


@pytest.mark.parametrize("generation", [4, 5])
def test_after_a_restore_of_etcd_the_spec_of_the_backup_counts_whatever_its_number(generation: int) -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel(generation=5))
        operator.listed()
        await asyncio.sleep(1.6)
        restored = recmodel(generation=generation)
        restored["spec"]["pools"][0]["template"]["metadata"] = {"labels": {"from": "backup"}}
        restored["spec"]["pools"][0]["replicas"] = {"min": 3, "max": 8}
        operator.observe(restored)
        await asyncio.sleep(2.4)
        template = api.cluster.objects["Deployment", "feed-cpu"]["spec"]["template"]
        assert template["metadata"]["labels"]["from"] == "backup"
        assert api.cluster.replicas("feed-cpu") == 3

    operated(story)


def test_a_word_that_says_nothing_new_of_a_recmodel_and_one_that_is_being_deleted_start_no_work() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel(generation=5))
        await asyncio.sleep(1.0)
        writes = len(api.cluster.writes)
        operator.observe(recmodel(generation=5))
        await asyncio.sleep(0.2)
        operator.observe(recmodel(generation=6, deletionTimestamp="2026-01-01T00:00:00Z"))
        await asyncio.sleep(0.2)
        assert operator.reconciler.models == {}
        assert len(api.cluster.writes) == writes

    operated(story)


def lease(holder: str) -> dict[str, Any]:
    metadata = {"name": "recmodel", "namespace": "here", "resourceVersion": "1"}
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 10, "renewTime": "2026-01-01T00:00:00.000000Z"}
    return {"metadata": metadata, "spec": spec}


def test_one_that_stands_by_learns_along_writes_nothing_and_takes_over_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.2)
    stands = {"conditions": [], "state": "Tracking", "decisions": [
        {"time": "2026-01-01T00:00:00Z", "state": "Tracking", "replicas": {"cpu": 7}, "weights": {"cpu": 1000},
         "reason": "Steady", "message": "by the other one"},
    ]}  # fmt: skip

    async def story(operator: Operator, api: Api) -> None:
        api.lease = lease("another one")
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.7)
        assert api.cluster.writes == []
        assert api.status == {}
        assert operator.healthy
        operator.observe({**recmodel(), "status": stands})
        api.lease = lease("")
        await asyncio.sleep(1.7)
        assert api.lease["spec"]["holderIdentity"] == "me"
        assert api.cluster.weights() == [1000]
        assert [d["message"] for d in api.status["decisions"]][-1:] == ["by the other one"]
        writes = len(api.cluster.writes)
        api.lease = lease("a third one")
        await asyncio.sleep(0.6)
        operator.observe(recmodel(generation=2, name="feed"))
        await asyncio.sleep(1.2)
        assert len(api.cluster.writes) == writes
        assert operator.healthy

    api = operated(story, lease_name="recmodel", lease_namespace="here", identity="me")
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == "a third one"  # what is not ours is not given back


def test_one_that_ends_gives_the_lease_back() -> None:
    async def story(operator: Operator, api: Api) -> None:
        await asyncio.sleep(0.3)
        assert operator.lease is not None
        assert operator.lease.held

    api = operated(story, lease_name="recmodel", lease_namespace="here", identity="me")
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == ""

"""The whole operator beside others: what it does where another release acts, and when its time ends within its work."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from builders.operator_stage import Api, operated, recmodel
from builders.virtual_time import until
from recmodel.cluster import weight_steps
from recmodel.cluster.leases import lease as lease_module
from recmodel.controller.operator import Operator

ONE_OF_SEVERAL = {"lease_name": "recmodel", "lease_namespace": "here", "identity": "me"}


def lease(place: str, holder: str) -> dict[str, Any]:
    namespace, name = place.split("/")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}
    return {"metadata": {"name": name, "namespace": namespace, "resourceVersion": "1"}, "spec": spec}


def samples(operator: Operator, name: str) -> list[tuple[dict[str, str], float]]:
    found = [sample for metric in operator._metrics.registry.collect() for sample in metric.samples]
    return [(sample.labels, sample.value) for sample in found if sample.name == name]


@pytest.mark.parametrize(
    ("claim", "namespace"), [("shop/recmodel.dev", "shop"), ("default/all.recmodel.dev", "*")], ids=["one", "all"]
)
def test_where_another_release_acts_nothing_is_written_and_the_metrics_say_who_does(claim: str, namespace: str) -> None:
    async def story(operator: Operator, api: Api) -> None:
        api.leases[claim] = lease(claim, "elsewhere/other")
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.7)
        assert api.cluster.writes == []
        assert (api.status, api.events) == ({}, [])
        assert operator.healthy
        assert samples(operator, "recmodel_acting") == [({}, 0.0)]
        stands_by = [({"namespace": namespace, "release": "elsewhere/other"}, 1.0)]
        assert samples(operator, "recmodel_stands_by") == stands_by
        assert samples(operator, "recmodel_decision_timestamp_seconds") == []

    operated(story, **ONE_OF_SEVERAL)


def test_a_claim_that_is_refused_is_a_metric_and_a_line_in_the_log_and_no_illness(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Other namespaces are served; the series goes with the refusal, or with the namespace's last RecModel."""
    said = 'leases.coordination.k8s.io "recmodel.dev" is forbidden: exceeded quota: objects'
    of_shop = [({"namespace": "shop"}, 1.0)]

    async def story(operator: Operator, api: Api) -> None:
        api.leases_refused["shop"] = said
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(20.0)
        assert (api.cluster.writes, api.status, api.events) == ([], {}, [])
        assert samples(operator, "recmodel_claim_refused") == of_shop
        assert samples(operator, "recmodel_stands_by") == []
        lines = [line for line in caplog.messages if line.startswith("does not act in namespace shop")]
        assert len(lines) == 1
        assert said in lines[0]
        assert operator.healthy
        api.leases_refused.clear()
        await until(lambda: api.cluster.writes != [])
        assert samples(operator, "recmodel_claim_refused") == []
        api.leases_refused["shop"] = said
        await until(lambda: samples(operator, "recmodel_claim_refused") == of_shop)
        operator.forget("shop/feed")
        await until(lambda: samples(operator, "recmodel_claim_refused") == [])
        assert operator.healthy

    operated(story, **ONE_OF_SEVERAL)


def test_the_pause_before_a_stale_child_is_deleted_rechecks_and_is_no_failure_of_the_model(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(weight_steps, "LEAVE_SETTLE_SECONDS", 1.0)
    caplog.set_level("INFO")
    two = recmodel()
    extra = copy.deepcopy(two["spec"]["pools"][0]) | {"name": "more"}
    two["spec"]["pools"].append(extra)

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(two)
        operator.listed()
        await asyncio.sleep(1.0)
        assert ("Deployment", "feed-more") in api.cluster.objects
        operator.observe(recmodel(generation=2))
        await asyncio.sleep(0.5)  # the pool has left the route, and its objects wait for what is under way
        api.lease = lease("here/recmodel", "another one")
        await asyncio.sleep(1.5)
        assert "DELETE" not in [method for method, path in api.requests if "/leases/" not in path]
        assert "not sent, this operator does not act in shop any more" in caplog.text
        assert operator.reconciler.models["shop/feed"].applied.failed is None
        assert operator.reconciler._failures == {}
        assert operator.healthy

    operated(story, **ONE_OF_SEVERAL)


def test_its_own_time_ends_on_the_clock_alone() -> None:
    """A process that was asleep acts on nothing before it has looked at its Leases."""

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.0)
        assert operator._client.fence("shop").seconds_left > 0
        assert operator._client.fence("elsewhere").seconds_left < 0  # never claimed
        assert operator.lease is not None
        operator.lease._acts_until -= lease_module.ACT_SECONDS  # it slept for so long, in effect
        assert operator._client.fence("shop").seconds_left <= 0
        assert api.cluster.writes != []

    operated(story, **ONE_OF_SEVERAL)


def test_a_namespace_that_is_left_says_so_in_the_status_of_its_recmodels_and_is_given_back() -> None:
    served = {"state": "Tracking", "conditions": [
        {"type": "Ready", "status": "True", "reason": "Serving", "message": "pools with ready replicas: cpu",
         "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3},
        {"type": "Degraded", "status": "False", "reason": "AsWished", "message": "", "lastTransitionTime": "x"},
    ]}  # fmt: skip

    async def story(operator: Operator, api: Api) -> None:
        await until(lambda: bool(api.status))
        ready, degraded = api.status["conditions"]
        assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("False", "NotServed", 3)
        assert "here/recmodel does not serve namespace shop any more" in ready["message"]
        assert "watchNamespaces" in ready["message"]
        assert (degraded["reason"], api.status["state"]) == ("AsWished", "Tracking")
        claim = "shop/recmodel.dev"
        await until(lambda: api.leases[claim]["spec"]["holderIdentity"] == "")  # another release may begin at once
        assert api.cluster.writes == []
        assert samples(operator, "recmodel_acting") == [({}, 1.0)]
        assert operator.healthy

    settings = {**ONE_OF_SEVERAL, "namespaces": ("news",), "leave_namespaces": ("shop",)}
    operated(story, listed=[{**recmodel(), "status": served}], **settings)


def test_what_another_release_serves_is_not_called_unserved() -> None:
    async def story(operator: Operator, api: Api) -> None:
        api.leases["shop/recmodel.dev"] = lease("shop/recmodel.dev", "elsewhere/other")
        await until(lambda: operator._left_namespaces is not None and not operator._left_namespaces.left)
        await until(lambda: samples(operator, "recmodel_stands_by") == [])  # this one does not want it
        assert api.status == {}

    settings = {**ONE_OF_SEVERAL, "namespaces": ("news",), "leave_namespaces": ("shop",)}
    operated(story, listed=[{**recmodel(), "status": {"conditions": []}}], **settings)

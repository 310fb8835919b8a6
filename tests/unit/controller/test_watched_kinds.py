"""Kinds that are installed late, deleted or refused, and an API server that is away: who needs them waits, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from builders.operator_stage import Api, operated, recmodel
from builders.virtual_time import until
from recmodel.cluster.transport import client as client_module
from recmodel.cluster.transport import watch as watch_module
from recmodel.controller import watches
from recmodel.controller.operator import Operator


def test_the_crd_of_pod_monitors_that_is_installed_late_is_found_without_a_restart() -> None:
    async def story(operator: Operator, api: Api) -> None:
        body = recmodel()
        body["spec"]["metrics"] = {"profile": "triton"}
        operator.observe(body)
        operator.listed()
        await asyncio.sleep(3.0)
        assert ("HTTPRoute", "feed") in api.cluster.objects
        assert ("PodMonitor", "feed") not in api.cluster.objects
        api.monitors = True
        await asyncio.sleep(65.0)
        assert ("PodMonitor", "feed") in api.cluster.objects
        assert any("podmonitors" in path for method, path in api.requests if method == "GET")  # followed, too

    operated(story)


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "ABSENT_RECMODELS_SECONDS", 0.2)


@pytest.mark.usefixtures("_soon")
def test_a_crd_that_is_installed_late_deleted_and_installed_again_is_served() -> None:
    async def story(operator: Operator, api: Api) -> None:
        api.recmodels = "absent"
        await asyncio.sleep(1.5)
        assert operator.healthy
        api.recmodels = [recmodel(resourceVersion="1")]
        await asyncio.sleep(1.5)
        assert operator.reconciler.models["shop/feed"].owner.uid == "u"
        api.recmodels = "absent"
        api.end_watches()
        await asyncio.sleep(1.5)
        assert operator.reconciler.models == {}
        assert operator.healthy
        api.recmodels = [
            recmodel(uid="another", resourceVersion="1"),
            {"metadata": {"name": "odd", "namespace": "shop"}},
        ]
        await asyncio.sleep(1.5)
        assert operator.reconciler.models["shop/feed"].owner.uid == "another"

    operated(story)


def test_an_api_server_that_is_away_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_SECONDS", 0.001)
    for module in (watches, watch_module):
        monkeypatch.setattr(module, "backoff_seconds", lambda failures: 0.1)

    async def story(operator: Operator, api: Api) -> None:
        await asyncio.sleep(1.0)
        assert operator.healthy
        assert operator.reconciler.models == {}
        api.away = False
        await asyncio.sleep(4.0)
        assert operator.reconciler.models["shop/feed"].decision is not None

    operated(story, listed=[recmodel(resourceVersion="1")], away=True)


@pytest.mark.parametrize(
    "hidden", ["services", "poddisruptionbudgets", "horizontalpodautoscalers", "grpcroutes", "configmaps"]
)
def test_a_kind_that_cannot_be_followed_stops_only_those_who_need_it(hidden: str) -> None:
    async def story(operator: Operator, api: Api) -> None:
        variants = recmodel(name="tested", uid="t")
        variants["spec"]["variants"] = [{"name": "full"}]
        variants["spec"]["pools"][0]["variant"] = "full"
        operator.observe(recmodel())
        operator.observe(variants)
        operator.listed()
        await asyncio.sleep(2.8)
        assert operator.reconciler.models["shop/feed"].decision is not None
        waits = operator.reconciler.models["shop/tested"]
        assert (waits.decision is None) == (hidden == "configmaps")
        following = operator._metrics.registry.get_sample_value("recmodel_following", {"resource": hidden})
        assert following == 0.0
        if hidden == "configmaps":
            assert waits.decided.undecided is not None
            assert waits.decided.undecided.message == "not known yet: configmaps"
            api.hides = ""
            await until(lambda: waits.decision is not None)

    operated(story, hides=hidden)

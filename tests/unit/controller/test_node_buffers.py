"""CapacityBuffers: made where a pool asks for one and the cluster knows them, sized as decided, and removed where nobody asks."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from builders.deciding import Deciding
from builders.operator_stage import Api, operated, recmodel
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.cluster.transport.errors import ApiRefused, NotFound
from recmodel.controller.operator import Operator

BETA, ALPHA = names.CAPACITY_BUFFERS
BUFFER = ("CapacityBuffer", "feed-cpu")


def asking(generation: int = 1, mode: str = "Auto", asks: bool = True) -> dict[str, Any]:
    body = recmodel(generation=generation)
    body["spec"]["mode"] = mode
    body["spec"]["pools"] = body["spec"]["pools"][:1]
    if asks:
        body["spec"]["pools"][0]["nodeBuffer"] = {}
    return body


def served(kind: names.Kind | None = BETA) -> Api:
    api = Api()
    api.buffers = kind
    return api


def judge(ahead: int | None = 3) -> Deciding:
    found = Deciding(2)
    found.ahead = {"cpu": ahead}
    return found


def replicas(api: Api) -> int | None:
    found = api.cluster.objects.get(BUFFER)
    return found["spec"]["replicas"] if found else None


def writes(api: Api) -> list[str]:
    return [what for what in api.cluster.writes if "CapacityBuffer" in what]


def said(api: Api, condition: str) -> str:
    (found,) = [c["message"] for c in api.status["conditions"] if c["type"] == condition]
    return str(found)


@pytest.mark.parametrize("kind", [BETA, ALPHA])
def test_a_buffer_is_sized_as_decided_in_the_newest_version_that_is_served_and_goes_when_nobody_asks(
    kind: names.Kind,
) -> None:
    decides = judge()

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(asking())
        operator.listed()
        await until(lambda: replicas(api) == 3)
        found = api.cluster.objects[BUFFER]
        assert found["apiVersion"] == kind.group_version
        assert found["spec"] == {
            "scalableRef": {"apiGroup": "apps", "kind": "Deployment", "name": "feed-cpu"},
            "replicas": 3,
        }
        (owner,) = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("RecModel", "u", True)
        await asyncio.sleep(30.0)
        assert len(writes(api)) == 1, "what stands is not written again"
        decides.ahead = {"cpu": 5}
        await until(lambda: replicas(api) == 5)
        await until(lambda: (api.status["pools"][0].get("nodeBuffer") or {}).get("standing") == 5)
        assert api.status["pools"][0]["nodeBuffer"] == {
            "replicas": 5,
            "standing": 5,
            "reason": "NodeBufferSized",
            "message": "as the test says",
        }
        labels = {"namespace": "shop", "model": "feed", "pool": "cpu"}
        assert operator._metrics.registry.get_sample_value("recmodel_pool_node_buffer_replicas", labels) == 5.0
        decides.ahead = {"cpu": None}
        await asyncio.sleep(5.0)
        assert replicas(api) == 5, "unknown is not zero"
        decides.ahead = {"cpu": 0}
        await until(lambda: replicas(api) == 0)
        operator.observe(asking(2, asks=False))
        await until(lambda: replicas(api) is None)
        assert ("Deployment", "feed-cpu") in api.cluster.objects

    operated(story, decides, api=served(kind), node_buffers=True)


def test_a_kind_that_comes_later_is_found_and_until_then_the_condition_says_what_is_missing() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(asking())
        operator.listed()
        await asyncio.sleep(5.0)
        assert writes(api) == []
        assert "nodeBuffer of pool cpu: the cluster serves no CapacityBuffer" in said(api, "CapacityAvailable")
        assert ("Deployment", "feed-cpu") in api.cluster.objects
        api.buffers = BETA
        await asyncio.sleep(65.0)
        assert replicas(api) == 3
        await until(lambda: "serves no" not in said(api, "CapacityAvailable"))

    operated(story, judge(), api=served(None), node_buffers=True)


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({"node_buffers": False}, "Auto"),
        ({"node_buffers": True, "rights": "observe"}, "Auto"),
        ({"node_buffers": True}, "Recommend"),
        ({"node_buffers": True}, "Paused"),
    ],
)
def test_without_the_rights_or_in_another_mode_no_buffer_is_made(settings: dict[str, Any], mode: str) -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(asking(mode=mode))
        operator.listed()
        await asyncio.sleep(10.0)
        assert writes(api) == []
        allowed = settings == {"node_buffers": True}
        assert any("capacitybuffers" in path for _, path in api.requests) == allowed, (
            "what is not allowed is not asked for"
        )
        assert ("the operator may make no CapacityBuffers" in said(api, "CapacityAvailable")) != allowed

    operated(story, judge(), api=served(), **settings)


def test_in_mode_recommend_a_buffer_stays_as_it_is_and_one_that_is_no_longer_asked_for_goes() -> None:
    decides = judge()

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(asking())
        operator.listed()
        await until(lambda: replicas(api) == 3)
        operator.observe(asking(2, "Recommend"))
        decides.ahead = {"cpu": 7}
        await asyncio.sleep(5.0)
        assert replicas(api) == 3
        operator.observe(asking(3, "Paused", asks=False))
        await asyncio.sleep(5.0)
        assert replicas(api) == 3, "Paused touches nothing"
        operator.observe(asking(4, "Recommend", asks=False))
        await until(lambda: replicas(api) is None)

    operated(story, decides, api=served(), node_buffers=True)


def test_one_that_is_refused_holds_up_nothing_is_told_and_is_tried_again() -> None:
    api = served()
    api.cluster.refused = {"CapacityBuffer feed-cpu": ApiRefused("no", 403, "capacitybuffers is forbidden")}

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(asking())
        operator.listed()
        await until(lambda: "scale feed-cpu 2" in api.cluster.writes)
        await until(lambda: api.status and "capacitybuffers is forbidden" in said(api, "Degraded"))
        ready = next(c for c in api.status["conditions"] if c["type"] == "Ready")
        assert "forbidden" not in ready["message"], "no request depends on it"
        api.cluster.refused = {}
        await until(lambda: replicas(api) == 3)
        await until(lambda: "forbidden" not in said(api, "Degraded"))

    operated(story, judge(), api=api, node_buffers=True)


def test_what_somebody_else_sets_is_put_back_at_growing_intervals() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(asking())
        operator.listed()
        await until(lambda: replicas(api) == 3)
        for _ in range(40):
            api.cluster.edit(*BUFFER, "spec", "replicas", value=9)
            operator.inventory.see(BETA, "MODIFIED", copy.deepcopy(api.cluster.objects[BUFFER]))
            await asyncio.sleep(1.0)
        assert 3 < len(writes(api)) < 12, writes(api)

    operated(story, judge(), api=served(), node_buffers=True)


def test_a_buffer_of_somebody_else_with_its_name_is_left_alone() -> None:
    api = served()
    theirs = {"metadata": {"name": "feed-cpu", "namespace": "shop", "uid": "theirs"}, "spec": {"replicas": 1}}

    async def story(operator: Operator, api: Api) -> None:
        api.cluster.objects[BUFFER] = theirs
        operator.observe(asking())
        operator.listed()
        await until(lambda: api.status and "conflict with its field manager" in said(api, "Degraded"))
        assert api.cluster.objects[BUFFER] == theirs

    operated(story, judge(), api=api, node_buffers=True)


def test_a_kind_that_goes_is_told_and_found_again_and_an_object_that_is_gone_is_no_such_kind() -> None:
    decides, api = judge(), served()
    gone = NotFound("no", 404, "the server could not find the requested resource")

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(asking())
        operator.listed()
        await until(lambda: replicas(api) == 3)
        api.cluster.refused = {"CapacityBuffer feed-cpu": gone}  # as of a namespace that is on its way out
        decides.ahead = {"cpu": 4}
        await until(lambda: "could not find the requested resource" in said(api, "Degraded"))
        await asyncio.sleep(5.0)
        assert "serves no CapacityBuffer" not in said(api, "CapacityAvailable")
        api.buffers = None
        api.cluster.objects.pop(BUFFER)  # with their CRD
        await until(lambda: "serves no CapacityBuffer" in said(api, "CapacityAvailable"))
        await until(lambda: "could not find" not in said(api, "Degraded"))
        api.buffers, api.cluster.refused = ALPHA, {}
        await until(lambda: replicas(api) == 4)
        assert api.cluster.objects[BUFFER]["apiVersion"] == ALPHA.group_version

    operated(story, decides, api=api, node_buffers=True)

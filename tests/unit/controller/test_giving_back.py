"""Deleting a RecModel gives back what was handed over: what is restored, when, and what is left alone."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest

from builders.handover_route import Routed, weights_moved
from builders.handover_scene import Namespace, autoscaler, same
from builders.references import reference_recmodel
from recmodel.cluster import names
from recmodel.cluster.transport.user_client import UserClient
from recmodel.controller.giving_back import GRACE_SECONDS, RETRY_SECONDS, GivingBack
from recmodel.report.handover.store import KEEP, RESTORE

MOVED = "PATCH httproutes/shop"
RESTORED, GONE_ON = "POST horizontalpodautoscalers/ranker-cpu", "PATCH scaledobjects/ranker-gpu"
FORGOTTEN = "DELETE configmaps/ranker-handover"


def handed_over(on_delete: str = RESTORE, *scalers: dict[str, Any]) -> Namespace:
    shop = Namespace("Recommend", *scalers)
    code, said = shop.run("handover", on_delete=on_delete)
    assert code == 0, said
    shop.writes.clear()
    return shop


def routed(*scalers: dict[str, Any]) -> Routed:
    """One whose weights the operator has moved before the RecModel was deleted."""
    shop = weights_moved(*scalers)
    del shop.objects["recmodels"]["ranker"]
    shop.writes.clear()
    return shop


def told(shop: Namespace, known: set[str] | None = None, acts: bool = True, seconds: float = 40.0) -> list[str]:
    """Has an operator that has just started look for so long, and returns the reasons of its Events."""

    async def story(client: UserClient) -> int:
        giving = GivingBack(client, known or set(), lambda _: acts)
        following = asyncio.create_task(follow(giving, shop))
        task = asyncio.create_task(giving.run())
        await asyncio.sleep(seconds)
        for one in (task, following):
            one.cancel()
        return 0

    shop.served(story)
    shop.play()
    return [body["reason"] for body in shop.objects["events"].values()]


async def follow(giving: GivingBack, shop: Namespace) -> None:
    """As the watch does."""
    while True:
        giving.replace(names.CONFIG_MAP, list(copy.deepcopy(shop.objects["configmaps"]).values()), None)
        await asyncio.sleep(1.0)


def test_a_recmodel_that_was_deleted_gives_back_what_was_there_also_by_an_operator_that_was_down() -> None:
    shop = Namespace()
    before = [shop.look("horizontalpodautoscalers", "ranker-cpu"), shop.look("scaledobjects", "ranker-gpu")]
    shop.run("handover")
    del shop.objects["recmodels"]["ranker"]
    shop.writes.clear()
    assert told(shop, seconds=GRACE_SECONDS - 1.0) == [], "a tool may make it again"
    assert told(shop) == ["HandingBack", "HandedBack"]
    assert [w for w in shop.writes if "events" not in w] == [RESTORED, GONE_ON, FORGOTTEN]
    assert same(shop.look("horizontalpodautoscalers", "ranker-cpu"), before[0])
    assert same(shop.look("scaledobjects", "ranker-gpu"), before[1])
    shop.writes.clear()
    told(shop, seconds=300.0)
    assert shop.writes == [], "once"
    said = [body["message"] for body in shop.objects["events"].values()]
    assert said[0] == "RecModel ranker was deleted, so what ConfigMap ranker-handover holds is given back"
    assert said[1].startswith(
        "create HorizontalPodAutoscaler ranker-cpu as it was stored: Deployment ranker-cpu, 2 to 40"
    )


LEFT_ALONE: dict[str, Callable[[Namespace], Any]] = {
    "it does not act there": lambda shop: None,
    "it was told to keep it": lambda shop: None,
    "it has no label": lambda shop: store(shop)["labels"].clear(),
    "it is of another RecModel": lambda shop: store(shop)["labels"].update({names.HANDOVER_LABEL: "other"}),
    "its annotation says nothing": lambda shop: store(shop).pop("annotations"),
    "it is being deleted": lambda shop: store(shop).update(deletionTimestamp="2026-01-01T00:00:00Z"),
    "its namespace is being deleted": lambda shop: shop.denied.add(("create", "events")),
    "the RecModel stands, and is only not known here": lambda shop: shop.add(
        "recmodels", reference_recmodel(name="ranker")
    ),
}


@pytest.mark.parametrize("why", LEFT_ALONE)
def test_what_is_left_alone(why: str) -> None:
    shop = handed_over(KEEP if "keep" in why else RESTORE)
    shop.objects["recmodels"].clear()
    LEFT_ALONE[why](shop)
    assert told(shop, acts="does not act" not in why, seconds=300.0) == []
    assert (shop.writes, shop.autoscalers) == ([], [])


def test_a_recmodel_that_is_made_again_keeps_its_workloads() -> None:
    shop, known = handed_over(), {"shop/ranker"}
    recmodel = shop.objects["recmodels"].pop("ranker")

    async def story(client: UserClient) -> int:
        giving = GivingBack(client, known, lambda _: True)
        giving.replace(names.CONFIG_MAP, list(shop.objects["configmaps"].values()), None)
        task = asyncio.create_task(giving.run())
        await asyncio.sleep(10.0)
        assert giving.namespaces == set()
        known.clear()
        await asyncio.sleep(GRACE_SECONDS - 6.0)
        assert giving.namespaces == {"shop"}, "so that it claims it, though no RecModel is left"
        shop.objects["recmodels"]["ranker"] = recmodel
        known.add("shop/ranker")
        await asyncio.sleep(300.0)
        task.cancel()
        return 0

    shop.served(story)
    assert shop.writes == []


def store(shop: Namespace) -> dict[str, Any]:
    metadata: dict[str, Any] = shop.objects["configmaps"]["ranker-handover"]["metadata"]
    return metadata


def test_what_cannot_be_restored_is_told_once_keeps_nothing_else_and_is_tried_again() -> None:
    shop = handed_over()
    del shop.objects["recmodels"]["ranker"]
    shop.refused[RESTORED] = "a policy says no"
    assert told(shop, seconds=GRACE_SECONDS + 3.5 * RETRY_SECONDS) == ["HandingBack", "HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == [GONE_ON], "and not the store"
    said = list(shop.objects["events"].values())[-1]["message"]
    assert "create HorizontalPodAutoscaler ranker-cpu as it was stored" in said
    assert "a policy says no" in said
    assert "or run recmodel handback, or delete ConfigMap ranker-handover to give nothing more back" in said
    shop.refused.clear()
    told(shop)
    assert (shop.autoscalers, shop.objects["configmaps"]) == (["keda-hpa-ranker-gpu", "ranker-cpu"], {})


def test_an_autoscaler_that_somebody_else_made_since_is_left_as_it_stands_and_the_store_stays() -> None:
    shop = handed_over(RESTORE, autoscaler())
    del shop.objects["recmodels"]["ranker"]
    other = autoscaler()
    other["spec"]["maxReplicas"] = 7
    shop.add("horizontalpodautoscalers", other)
    assert told(shop, seconds=200.0) == ["HandingBack", "HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == []
    said = list(shop.objects["events"].values())[-1]["message"]
    assert said.startswith(
        "What stands differs from what is stored, and was left as it is: ranker-cpu. It is tried again"
    )


@pytest.mark.parametrize(
    "data", [None, {}, {"autoscalers.json": "{"}, {"autoscalers.json": '{"items": [7]}', "paused.json": "{}"}]
)
def test_a_store_that_cannot_be_read_is_told_and_stops_no_other(data: Any) -> None:
    shop = handed_over()
    del shop.objects["recmodels"]["ranker"]
    broken = copy.deepcopy(shop.objects["configmaps"]["ranker-handover"])
    broken["metadata"] |= {"name": "a-handover", "uid": "a", "labels": {names.HANDOVER_LABEL: "a"}}
    shop.objects["configmaps"] = {"a-handover": {**broken, "data": data}, **shop.objects["configmaps"]}
    assert sorted(told(shop)) == ["HandbackStopped", "HandedBack", "HandingBack"]
    assert list(shop.objects["configmaps"]) == ["a-handover"]


def test_scaled_objects_that_may_not_be_listed_are_not_guessed_at() -> None:
    shop = handed_over()
    del shop.objects["recmodels"]["ranker"]
    shop.denied = {("list", "scaledobjects")}
    assert told(shop) == ["HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == []


def test_the_weights_of_a_rule_come_back_as_they_were_before_the_operator_moved_them() -> None:
    shop = routed()
    assert told(shop) == ["HandingBack", "HandedBack"]
    assert shop.weights == [60, 40]
    assert [w for w in shop.writes if "events" not in w] == [MOVED, RESTORED, GONE_ON, FORGOTTEN]
    said = list(shop.objects["events"].values())[-1]["message"]
    assert "set the weights of rule 1 of HTTPRoute shop as they were stored: ranker-cpu:80 60, ranker-gpu:80 40" in said


def test_a_share_comes_back_when_a_pod_is_ready_and_what_scales_does_not_wait_for_it() -> None:
    shop = routed()
    shop.runs("ranker-gpu", 0)
    shop.set_weights(1000, 0)
    shop.starts = False
    assert told(shop, seconds=GRACE_SECONDS + 2.5 * RETRY_SECONDS) == ["HandingBack", "HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == ["PATCH deployments/ranker-gpu", RESTORED, GONE_ON]
    said = list(shop.objects["events"].values())[-1]["message"]
    assert said.startswith("wait until a pod of Deployment ranker-gpu is ready: no pod of it is ready"), said
    assert shop.weights == [1000, 0]
    shop.is_ready("ranker-gpu")
    told(shop)
    assert (shop.weights, shop.objects["configmaps"]) == ([60, 40], {})


def test_a_rule_that_is_another_one_by_now_is_left_alone_with_the_way_out() -> None:
    shop = routed()
    shop.objects["httproutes"]["shop"]["spec"]["rules"][1]["backendRefs"][1]["name"] = "other"
    assert told(shop, seconds=200.0) == ["HandingBack", "HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == [RESTORED, GONE_ON]
    said = list(shop.objects["events"].values())[-1]["message"]
    assert said.startswith(
        "the weights of rule 1 of HTTPRoute shop are left as they are, and were ranker-cpu:80 60, ranker-gpu:80 40: it sends to "
        "ranker-cpu:80, other:80 now"
    ), said
    assert "patch httproute" not in said, "to these backends none fits"


def test_weights_that_somebody_has_set_since_the_operator_did_are_left_and_an_event_says_so_once() -> None:
    shop = routed()
    shop.set_weights(500, 500, manager="kubectl-edit")
    assert told(shop, seconds=GRACE_SECONDS + 3.5 * RETRY_SECONDS) == ["HandingBack", "HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == [RESTORED, GONE_ON], "neither the weights nor the store"
    said = list(shop.objects["events"].values())[-1]["message"]
    assert said.startswith(
        "the weights of rule 1 of HTTPRoute shop are left as they are, and were ranker-cpu:80 60, ranker-gpu:80 40: they are "
        "ranker-cpu:80 500, ranker-gpu:80 500 now, and the field manager kubectl-edit wrote the rules of the route last, not the operator; "
    ), said
    assert said.endswith("or run recmodel handback, or delete ConfigMap ranker-handover to give nothing more back")
    shop.set_weights(60, 40, manager="kubectl-edit")
    told(shop)
    assert (shop.weights, shop.objects["configmaps"]) == ([60, 40], {})


def test_weights_that_another_recmodel_sets_now_are_left_to_it_until_it_is_gone() -> None:
    shop = routed()
    shop.another()
    assert told(shop, known={"shop/another"}, seconds=200.0) == ["HandingBack", "HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == [RESTORED, GONE_ON]
    assert "RecModel another refers to it in mode Auto" in list(shop.objects["events"].values())[-1]["message"]
    del shop.objects["recmodels"]["another"]
    told(shop)
    assert (shop.weights, shop.objects["configmaps"]) == ([60, 40], {})


@pytest.mark.parametrize("first", ["ranker", "another"])
def test_of_two_that_were_handed_over_in_turn_and_deleted_the_rule_gets_what_it_had_before_both(first: str) -> None:
    shop = weights_moved()
    shop.another("Recommend")
    code, said = shop.run("handover", name="another")
    assert code == 0, said
    shop.set_weights(1, 999)
    shop.objects["recmodels"].pop(first)
    (left,) = shop.objects["recmodels"]
    assert told(shop, known={f"shop/{left}"}, seconds=200.0) == ["HandingBack", "HandbackStopped"]
    assert shop.weights == [1, 999]
    shop.objects["recmodels"].clear()
    told(shop, seconds=200.0)
    assert (shop.weights, shop.objects["configmaps"]) == ([60, 40], {})


def test_weights_that_somebody_sets_while_a_pod_is_waited_for_are_left() -> None:
    shop = routed()
    shop.runs("ranker-gpu", 0)
    shop.set_weights(1000, 0)
    shop.starts = False
    told(shop)
    shop.set_weights(900, 100, manager="kubectl-edit")
    shop.is_ready("ranker-gpu")
    told(shop, seconds=GRACE_SECONDS + 2.5 * RETRY_SECONDS)
    assert (shop.weights, MOVED in shop.writes, "ranker-handover" in shop.objects["configmaps"]) == (
        [900, 100],
        False,
        True,
    )


@pytest.mark.parametrize("change", ["no route", "another route", "no workloads"])
def test_a_store_whose_weights_are_not_those_that_its_author_was_asked_about_is_not_followed(change: str) -> None:
    shop = routed()
    data = shop.objects["configmaps"]["ranker-handover"]["data"]
    if change == "another route":
        data["weights.json"] = data["weights.json"].replace(
            '"rule": 1', '"kind": "HTTPRoute", "name": "bank", "rule": 1'
        )
        assert told(shop) == ["HandingBack", "HandedBack"], "the plain line says which"
        assert MOVED in shop.writes
        return
    del data["route" if change == "no route" else "workloads"]
    assert told(shop) == ["HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == []


def test_a_route_whose_kind_is_gone_keeps_no_autoscaler_from_coming_back() -> None:
    shop = routed()
    shop.unserved.add("httproutes")
    assert told(shop) == ["HandingBack", "HandedBack"]
    assert [w for w in shop.writes if "events" not in w] == [RESTORED, GONE_ON, FORGOTTEN]
    said = list(shop.objects["events"].values())[-1]["message"]
    assert said.endswith("HTTPRoute shop is gone, so nothing of its weights is restored"), said


@pytest.mark.parametrize(("plural", "shown"), [("httproutes", "HTTPRoute shop"), ("deployments", "Deployment ranker-")])
def test_what_cannot_be_read_keeps_no_autoscaler_from_coming_back_and_the_store_stays(plural: str, shown: str) -> None:
    shop = routed()
    shop.denied.add(("list", plural))
    assert told(shop, seconds=GRACE_SECONDS + 2.5 * RETRY_SECONDS) == ["HandingBack", "HandbackStopped"]
    assert [w for w in shop.writes if "events" not in w] == [RESTORED, GONE_ON]
    said = list(shop.objects["events"].values())[-1]["message"]
    assert said.startswith(f"{shown}"), said
    assert "cannot be read, so the weights of rule 1 of HTTPRoute shop are left as they are: " in said
    assert f"{plural} is forbidden" in said
    shop.denied.clear()
    told(shop)
    assert (shop.weights, shop.objects["configmaps"]) == ([60, 40], {})


def test_a_pool_that_something_takes_to_0_again_is_started_once() -> None:
    shop = routed()
    shop.runs("ranker-gpu", 0)
    shop.set_weights(1000, 0)
    shop.starts = False
    # As KEDA does with a ScaledObject that scales to zero, once it goes on.
    shop.on_write = lambda write: shop.runs("ranker-gpu", 0) if write == GONE_ON else None
    assert told(shop, seconds=GRACE_SECONDS + 5.5 * RETRY_SECONDS) == [
        "HandingBack",
        "HandbackStopped",
        "HandbackStopped",
    ]
    assert shop.writes.count("PATCH deployments/ranker-gpu") == 1
    said = list(shop.objects["events"].values())[-1]["message"]
    assert said.startswith(
        "scale Deployment ranker-gpu from 0 to 1 replica, as the weights send requests to it: this was done once"
    ), said
    assert "have it keep one" in said
    shop.runs("ranker-gpu", 1)
    told(shop)
    assert (shop.weights, shop.objects["configmaps"]) == ([60, 40], {})

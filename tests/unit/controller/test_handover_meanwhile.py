"""``recmodel handover`` and ``handback`` while others write as well, or what they rely on is not as it should be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from builders.handover_scene import Namespace, autoscaler, same
from recmodel.cluster.transport.user_client import UserClient
from recmodel.controller import handover
from recmodel.report.handover.found import PAUSED

STORE, MODE = "POST configmaps/ranker-handover", "PATCH recmodels/ranker"
AGAIN, FORGET = "PATCH configmaps/ranker-handover", "DELETE configmaps/ranker-handover"
PAUSE, REMOVE = "PATCH scaledobjects/ranker-gpu", "DELETE horizontalpodautoscalers/ranker-cpu"
RESTORE = "POST horizontalpodautoscalers/ranker-cpu"


def annotations(shop: Namespace) -> dict[str, Any]:
    return dict(shop.objects["scaledobjects"]["ranker-gpu"]["metadata"]["annotations"])


@pytest.mark.parametrize(("after", "written"), [(MODE, [STORE, MODE]), (PAUSE, [STORE, MODE, PAUSE])])
def test_nothing_more_is_taken_away_when_somebody_sets_the_mode_back(after: str, written: list[str]) -> None:
    shop = Namespace()

    def sync(write: str) -> None:
        if write == after:
            recmodel = shop.objects["recmodels"]["ranker"]
            recmodel["spec"]["mode"] = "Recommend"
            recmodel["metadata"]["generation"] += 1

    shop.on_write = sync
    code, said = shop.run("handover")
    assert (code, shop.writes) == (1, written)
    assert "ranker-cpu" in shop.autoscalers
    assert "somebody has set spec.mode of the RecModel to Recommend, or deletes it: see who keeps it" in said


def test_nothing_is_taken_away_when_somebody_else_hands_back_meanwhile() -> None:
    shop = Namespace()
    shop.operator_runs = False
    said: list[str] = []

    async def story(client: UserClient) -> int:
        mine = asyncio.create_task(handover.perform(client, "handover", ("shop", "ranker"), True, said.append))
        await asyncio.sleep(5)
        assert await handover.perform(client, "handback", ("shop", "ranker"), True, lambda text: None) == 0
        shop.operator_runs = True
        return await mine

    assert shop.served(story) == 1
    assert "ranker-cpu" in shop.autoscalers
    assert PAUSE not in shop.writes
    assert "somebody has set spec.mode" in "\n".join(said)


@pytest.mark.parametrize(
    ("data", "says"),
    [(None, "the ConfigMap that keeps it is gone"), ('{"items": []}', "does not hold it as it was planned")],
)
def test_nothing_is_taken_away_without_the_store_that_was_written(data: str | None, says: str) -> None:
    shop = Namespace("Recommend", autoscaler())

    def somebody(write: str) -> None:
        if write == MODE and data is None:
            shop.objects["configmaps"].clear()
        elif write == MODE:
            shop.objects["configmaps"]["ranker-handover"]["data"]["autoscalers.json"] = data

    shop.on_write = somebody
    code, said = shop.run("handover")
    assert code == 1
    assert "ranker-cpu" in shop.autoscalers
    assert says in said


def test_a_store_that_somebody_made_or_changed_meanwhile_is_not_taken_for_ours() -> None:
    shop = Namespace()
    theirs = {
        "metadata": {"namespace": "shop", "name": "ranker-handover", "uid": "x", "labels": {}},
        "data": {"a": "1"},
    }
    shop.before_write = lambda write: shop.add("configmaps", theirs) if write == STORE else None
    code, said = shop.run("handover")
    assert (code, shop.writes) == (1, [])
    assert "is none that recmodel handover wrote" in said
    shop = Namespace()
    shop.broken = {MODE}
    shop.run("handover")
    shop.broken = set()
    shop.add("horizontalpodautoscalers", autoscaler(labels={"team": "b"}))
    written = shop.objects["configmaps"]["ranker-handover"]
    shop.before_write = lambda write: shop.add("configmaps", newer(written)) if write == AGAIN else None
    code, said = shop.run("handover")
    assert code == 1
    assert "1. STOPPED" in said
    assert "the object has been modified" in said


def newer(body: dict[str, Any]) -> dict[str, Any]:
    """The same, written once more."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
    return {**body, "metadata": metadata}


def test_an_autoscaler_that_is_being_deleted_does_not_stand_when_it_is_handed_back() -> None:
    held = autoscaler(finalizers=["example.org/keep"])
    shop = Namespace("Recommend", held)
    leaving = autoscaler(finalizers=["example.org/keep"], deletionTimestamp="2026-01-01T00:00:00Z")
    shop.on_write = lambda write: shop.add("horizontalpodautoscalers", leaving) if write == REMOVE else None
    assert shop.run("handover")[0] == 1
    shop.on_write = lambda write: None
    code, said = shop.run("handback")
    assert code == 1
    assert "its finalizers example.org/keep keep it" in said
    assert "ranker-handover" in shop.objects["configmaps"]
    del shop.objects["horizontalpodautoscalers"]["ranker-cpu"]
    assert shop.run("handback")[0] == 0
    assert same(shop.look("horizontalpodautoscalers", "ranker-cpu"), held)


@pytest.mark.parametrize(
    ("kind", "reason", "message"),
    [
        ("MetricsAvailable", "PrometheusUnreachable", "Prometheus did not answer"),
        ("Degraded", "AnotherReleaser", "Canary x releases it"),
    ],
)
def test_an_operator_that_could_not_scale_gets_no_workload(kind: str, reason: str, message: str) -> None:
    shop = Namespace()
    status = "False" if kind == "MetricsAvailable" else "True"
    bad = {"type": kind, "status": status, "reason": reason, "message": message}
    if kind == "Degraded":
        shop.degraded = lambda recmodel: bad  # type: ignore[method-assign]
    else:
        shop.noted = [bad]
    code, said = shop.run("handover")
    assert (code, shop.writes) == (1, [STORE, MODE])
    assert message in said


def test_an_operator_that_does_not_begin_is_told() -> None:
    shop = Namespace()
    well = shop.degraded
    refused = {"type": "Degraded", "status": "True", "reason": "ApplyFailed", "message": "scale is forbidden"}
    shop.degraded = lambda recmodel: well(recmodel) if shop.autoscalers else refused  # type: ignore[method-assign]
    code, said = shop.run("handover")
    assert (code, shop.autoscalers) == (1, [])
    assert "wait until the operator scales the pools: not within 120 s: scale is forbidden" in said
    assert "The operator scales from here on" not in said
    assert "the operator scales nothing of it: scale is forbidden" in shop.run("handover")[1]


def test_an_autoscaler_that_changes_while_it_is_deleted_is_deleted_only_as_it_is_stored() -> None:
    shop = Namespace()
    changes = iter([{"currentReplicas": 4}, None])

    def somebody(write: str) -> None:
        if write == REMOVE and (status := next(changes)) is not None:
            shop.add("horizontalpodautoscalers", autoscaler() | {"status": status})

    shop.before_write = somebody
    assert shop.run("handover")[0] == 0, "its status alone changes all the time"
    shop.before_write = lambda write: None
    shop.run("handback")
    edited = autoscaler()
    edited["spec"]["maxReplicas"] = 60
    shop.before_write = lambda write: shop.add("horizontalpodautoscalers", edited) if write == REMOVE else None
    code, said = shop.run("handover")
    assert code == 1
    assert "it was changed since it was stored (spec.maxReplicas)" in said
    assert shop.objects["horizontalpodautoscalers"]["ranker-cpu"]["spec"]["maxReplicas"] == 60


def test_nothing_is_restored_in_another_namespace() -> None:
    shop = Namespace()
    shop.run("handover")
    store = shop.objects["configmaps"]["ranker-handover"]["data"]
    store["autoscalers.json"] = store["autoscalers.json"].replace('"namespace": "shop"', '"namespace": "kube-system"')
    shop.writes.clear()
    code, said = shop.run("handback")
    assert (code, shop.writes) == (2, [])
    assert "names the namespace 'kube-system', and not shop" in said


def test_what_cannot_be_restored_keeps_no_other_from_it() -> None:
    shop = Namespace()
    shop.run("handover")
    shop.writes.clear()
    shop.refused = {PAUSE: 'admission webhook "x" denied the request: no'}
    code, said = shop.run("handback")
    assert (code, shop.writes, shop.mode) == (1, [RESTORE], "Auto")
    assert "ranker-handover" in shop.objects["configmaps"]
    assert "By hand: kubectl -n shop annotate" in said
    shop.refused = {}
    assert (shop.run("handback")[0], shop.mode) == (0, "Recommend")


def test_what_the_team_has_paused_stays_paused() -> None:
    shop = Namespace()
    shop.broken = {MODE}
    assert shop.run("handover")[0] == 1
    shop.broken = set()
    shop.objects["scaledobjects"]["ranker-gpu"]["metadata"]["annotations"][PAUSED] = "true"
    shop.play()
    code, said = shop.run("handover")
    assert code == 0
    assert "ScaledObject ranker-gpu was paused by somebody else, and handback leaves it so" in said
    shop.run("handback")
    assert annotations(shop) == {PAUSED: "true"}


def test_what_the_team_pauses_while_the_operator_takes_note_is_left_to_them() -> None:
    shop = Namespace()

    def somebody(write: str) -> None:
        if write == MODE:
            shop.objects["scaledobjects"]["ranker-gpu"]["metadata"]["annotations"][PAUSED] = "yes"

    shop.on_write = somebody
    code, said = shop.run("handover")
    assert code == 1
    assert "somebody has paused it, or gone on with it, since it was looked at: run this again" in said
    assert annotations(shop) == {PAUSED: "yes"}


def test_the_store_is_enough_where_the_recmodel_became_another_one() -> None:
    shop = Namespace()
    shop.run("handover")
    for pool in shop.objects["recmodels"]["ranker"]["spec"]["pools"]:
        del pool["targetRef"]
    shop.writes.clear()
    code, said = shop.run("handback")
    assert (code, shop.writes) == (0, [RESTORE, PAUSE, FORGET])
    assert "of which only the store is looked at: RecModel shop/ranker has no targetRef in pool cpu, gpu" in said


def test_what_the_team_has_replaced_does_not_come_back_beside_it() -> None:
    shop = Namespace("Recommend", autoscaler("old"))
    shop.broken = {MODE}
    assert shop.run("handover")[0] == 1
    shop.broken = set()
    del shop.objects["horizontalpodautoscalers"]["old"]
    shop.add("horizontalpodautoscalers", autoscaler("new"))
    assert shop.run("handover")[0] == 0
    assert shop.run("handback")[0] == 0
    assert shop.autoscalers == ["new"]

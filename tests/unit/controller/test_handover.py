"""``recmodel handover`` and ``handback`` against an API server over HTTP: what they write, in which order, and where they stop."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from kubernetes.aio.config import ConfigException

from builders.handover_scene import Namespace, autoscaler, of_keda, same, scaled_object
from recmodel.cli import main
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.credentials import Credentials
from recmodel.cluster.transport.user_client import UserClient
from recmodel.controller import handover
from recmodel.report.handover.found import PAUSED

STORE, MODE = "POST configmaps/ranker-handover", "PATCH recmodels/ranker"
PAUSE, REMOVE = "PATCH scaledobjects/ranker-gpu", "DELETE horizontalpodautoscalers/ranker-cpu"
AGAIN = "PATCH configmaps/ranker-handover"
RESTORE, FORGET = "POST horizontalpodautoscalers/ranker-cpu", "DELETE configmaps/ranker-handover"
HANDED_OVER, HANDED_BACK = [STORE, MODE, PAUSE, REMOVE], [RESTORE, PAUSE, MODE, FORGET]


def replicas(shop: Namespace) -> list[int]:
    return [body["spec"]["replicas"] for body in shop.objects["deployments"].values()]


@pytest.mark.parametrize("mode", ["Recommend", "Auto", "Paused"])
def test_what_scales_is_stored_and_taken_away_and_comes_back_byte_for_byte(mode: str) -> None:
    shop = Namespace(mode)
    before = shop.look("horizontalpodautoscalers", "ranker-cpu")
    scaled = shop.look("scaledobjects", "ranker-gpu")
    code, said = shop.run("handover")
    assert (code, shop.mode, shop.autoscalers) == (0, "Auto", [])
    assert shop.writes == [write for write in HANDED_OVER if (write, mode) != (MODE, "Auto")]
    assert shop.objects["scaledobjects"]["ranker-gpu"]["metadata"]["annotations"] == {PAUSED: "true"}
    assert "HorizontalPodAutoscaler ranker-cpu scales it (2 to 40, on cpu at 70%)" in said
    assert "ScaledObject ranker-gpu scales it (by HorizontalPodAutoscaler keda-hpa-ranker-gpu)" in said
    assert "Replicas before: cpu 3, gpu 1; now: cpu 3, gpu 1." in said
    assert said.endswith("To give them back: recmodel handback ranker -n shop --yes")
    shop.writes.clear()
    code, said = shop.run("handover")
    assert (code, shop.writes) == (0, [])
    assert "is handed over: its mode is Auto, and no autoscaler scales its pools" in said
    code, said = shop.run("handback")
    assert (code, shop.writes, shop.mode) == (0, HANDED_BACK, "Paused" if mode == "Paused" else "Recommend")
    assert same(shop.look("horizontalpodautoscalers", "ranker-cpu"), before)
    assert same(shop.look("scaledobjects", "ranker-gpu"), scaled)
    assert shop.autoscalers == ["keda-hpa-ranker-gpu", "ranker-cpu"]
    assert replicas(shop) == [3, 1]
    assert shop.run("handback")[1].endswith("is not there, so nothing is stored to be given back.")


def test_what_cannot_scale_is_not_said_to_scale() -> None:
    shop = Namespace()
    blind = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}
    for body in shop.objects["horizontalpodautoscalers"].values():
        body["status"]["conditions"] = [blind]
    _, said = shop.run("handover", yes=False)
    cannot = "and cannot now: FailedGetResourceMetric"
    assert f"HorizontalPodAutoscaler ranker-cpu is to scale it (2 to 40, on cpu at 70%) {cannot}" in said
    assert f"ScaledObject ranker-gpu is to scale it (by HorizontalPodAutoscaler keda-hpa-ranker-gpu) {cannot}" in said
    assert shop.run("handover")[0] == 0, "it is taken away as any other"


@pytest.mark.parametrize("command", ["handover", "handback"])
def test_without_yes_the_plan_is_shown_and_nothing_is_written(command: str) -> None:
    shop = Namespace()
    if command == "handback":
        shop.run("handover")
    shop.writes.clear()
    before = copy.deepcopy(shop.objects)
    code, said = shop.run(command, yes=False)
    assert (code, shop.writes, shop.objects) == (0, [], before)
    assert said.endswith(f"Nothing was changed. To carry it out: recmodel {command} ranker -n shop --yes")
    steps = [line.split(". ", 1)[1] for line in said.splitlines() if line.startswith("  ")]
    carried_out = shop.run(command)[1]
    assert [line.split(". done: ")[1] for line in carried_out.splitlines() if ". done: " in line] == steps


@pytest.mark.parametrize("command", ["handover", "handback"])
@pytest.mark.parametrize("number", range(4))
def test_it_goes_on_or_back_from_wherever_it_was_broken_off(command: str, number: int) -> None:
    wanted = HANDED_OVER if command == "handover" else HANDED_BACK
    for then in ("handover", "handback"):
        shop = Namespace()
        before = shop.look("horizontalpodautoscalers", "ranker-cpu")
        if command == "handback":
            shop.run("handover")
        shop.writes.clear()
        shop.broken = {wanted[number]}
        code, said = shop.run(command)
        # A restore that fails keeps no other from being restored; the mode and the store wait for all of them.
        later = [PAUSE] if wanted[number] == RESTORE else []
        assert (code, shop.writes) == (1, [*wanted[:number], *later])
        assert "STOPPED: " in said
        assert "etcdserver: no leader" in said
        assert f"To go on: recmodel {command} ranker -n shop --yes" in said
        # At each moment somebody scales, or it is known how to go back: an autoscaler goes last and under a mode that acts.
        if command == "handover":
            assert shop.mode == "Auto" or shop.autoscalers == ["keda-hpa-ranker-gpu", "ranker-cpu"]
        shop.broken.clear()
        code, said = shop.run(then)
        assert code == 0, said
        if then == "handover":
            assert (shop.mode, shop.autoscalers) == ("Auto", [])
            shop.run("handback")
        assert (shop.mode, shop.autoscalers) == ("Recommend", ["keda-hpa-ranker-gpu", "ranker-cpu"])
        assert same(shop.look("horizontalpodautoscalers", "ranker-cpu"), before)
        assert shop.objects["configmaps"] == {}
        assert replicas(shop) == [3, 1]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (None, "not within 120 s: its status is of an older spec"),
        (("Degraded", "RightsObserveOnly", "install it with rights: act"), "install it with rights: act"),
        (("Stalled", "InvalidSpec", "spec.mode is 'Auto': no"), "its spec is refused: spec.mode is 'Auto': no"),
    ],
)
def test_an_operator_that_does_not_act_gets_no_workload(condition: tuple[str, str, str] | None, says: str) -> None:
    shop = Namespace()
    if condition is None:
        shop.operator_runs = False
    else:
        kind, reason, message = condition
        shop.noted = [{"type": kind, "status": "True", "reason": reason, "message": message}]
    code, said = shop.run("handover")
    assert (code, shop.writes) == (1, [STORE, MODE])
    assert shop.autoscalers == ["keda-hpa-ranker-gpu", "ranker-cpu"]
    assert says in said
    assert (
        "This run touched no autoscaler: those that stand scale as before. In the operator's pod `recmodel doctor shop/ranker`"
        in said
    )
    assert "To go back: recmodel handback ranker -n shop --yes" in said
    assert shop.run("handback")[0] == 0
    assert (shop.mode, shop.objects["configmaps"]) == ("Recommend", {})


def test_an_operator_that_died_in_mode_auto_gets_no_workload() -> None:
    shop = Namespace("Auto")
    shop.operator_runs = False
    shop.objects["recmodels"]["ranker"]["status"]["lastDecisionTime"] = "2026-01-01T00:00:00Z"
    code, said = shop.run("handover")
    assert (code, shop.writes) == (1, [STORE])
    assert "its last decision is " in said


def test_keda_that_does_not_pause_is_waited_for_and_named() -> None:
    shop = Namespace()
    shop.keda_runs = False
    code, said = shop.run("handover")
    assert (code, shop.writes) == (1, [STORE, MODE, PAUSE])
    assert (
        "not within 60 s: it is still there. It scales until then. See whether KEDA runs, and is 2.12 or later" in said
    )
    code, said = shop.run("handover")
    assert (code, shop.writes) == (1, [STORE, MODE, PAUSE]), "paused, and KEDA's autoscaler still scales"
    shop.keda_runs = True
    shop.play()
    assert shop.run("handover")[0] == 0
    assert shop.autoscalers == []


def test_an_autoscaler_that_was_changed_since_it_was_stored_is_not_deleted_until_that_is_stored() -> None:
    shop = Namespace()

    def somebody(write: str) -> None:
        if write == MODE:
            shop.objects["horizontalpodautoscalers"]["ranker-cpu"]["spec"]["maxReplicas"] = 60

    shop.on_write = somebody
    code, said = shop.run("handover")
    assert code == 1
    assert "it was changed since it was stored (spec.maxReplicas)" in said
    assert "ranker-cpu" in shop.autoscalers
    shop.on_write = lambda write: None
    assert shop.run("handover")[0] == 0
    assert shop.run("handback")[0] == 0
    assert shop.objects["horizontalpodautoscalers"]["ranker-cpu"]["spec"]["maxReplicas"] == 60


def test_one_that_was_deleted_with_a_finalizer_is_waited_for() -> None:
    held = autoscaler(finalizers=["example.org/keep"], deletionTimestamp="2026-01-01T00:00:00Z")
    shop = Namespace("Recommend", held)

    def kept(write: str) -> None:
        if write == REMOVE:
            shop.add("horizontalpodautoscalers", held)

    shop.on_write = kept
    code, said = shop.run("handover")
    assert code == 1
    assert "not within 60 s: it is still there, and its finalizers example.org/keep keep it" in said


def test_the_recmodel_may_be_gone_when_it_is_given_back() -> None:
    shop = Namespace()
    before = shop.look("horizontalpodautoscalers", "ranker-cpu")
    shop.run("handover")
    shop.objects["recmodels"].clear()
    shop.writes.clear()
    code, said = shop.run("handback")
    assert (code, shop.writes) == (0, [RESTORE, PAUSE, FORGET])
    assert said.startswith("handback of RecModel shop/ranker, which does not exist any more")
    assert same(shop.look("horizontalpodautoscalers", "ranker-cpu"), before)
    code, said = shop.run("handback")
    assert (code, said) == (
        2,
        "there is no RecModel shop/ranker; the namespace has none: correct the name, or name the namespace with -n",
    )


def test_what_somebody_else_made_meanwhile_is_left_as_it_stands() -> None:
    shop = Namespace()
    shop.run("handover")
    again = autoscaler()
    again["spec"]["maxReplicas"] = 8
    shop.add("horizontalpodautoscalers", again)
    shop.objects["scaledobjects"]["ranker-gpu"]["metadata"]["annotations"][PAUSED] = "false"
    shop.writes.clear()
    code, said = shop.run("handback")
    assert (code, shop.writes) == (0, [MODE])
    assert (
        "HorizontalPodAutoscaler ranker-cpu stands already, and is not as it was stored: spec.maxReplicas differ"
        in said
    )
    assert "ScaledObject ranker-gpu is not paused any more" in said
    assert "ranker-handover" in shop.objects["configmaps"]
    del shop.objects["horizontalpodautoscalers"]["ranker-cpu"]
    assert shop.run("handback")[0] == 0
    assert shop.objects["configmaps"] == {}


@pytest.mark.parametrize(
    ("pause", "after"), [({PAUSED: "false"}, {PAUSED: "false"}), ({PAUSED: "true"}, {PAUSED: "true"})]
)
def test_the_pause_annotation_becomes_what_it_was_and_one_of_somebody_else_stays(
    pause: dict[str, str], after: dict[str, str]
) -> None:
    shop = Namespace("Recommend", scaled_object(**pause))
    assert shop.run("handover")[0] == 0
    assert shop.objects["scaledobjects"]["ranker-gpu"]["metadata"]["annotations"] == {PAUSED: "true"}
    assert shop.run("handback")[0] == 0
    assert shop.objects["scaledobjects"]["ranker-gpu"]["metadata"]["annotations"] == after


def test_a_right_that_is_missing_is_named_before_anything_is_written() -> None:
    shop = Namespace()
    shop.denied = {("delete", "horizontalpodautoscalers"), ("patch", "scaledobjects")}
    code, said = shop.run("handover", yes=False)
    assert code == 0
    for part in (
        "this account may not delete horizontalpodautoscalers.autoscaling in namespace shop, which step 6 needs: run this with an "
        "account that may, or have somebody do that step by: kubectl -n shop delete horizontalpodautoscaler ranker-cpu",
        "this account may not patch scaledobjects.keda.sh in namespace shop, which step 4 needs: run this with an account that may, or "
        "have somebody do that step by: kubectl -n shop annotate --overwrite --field-manager=recmodel-handover scaledobject ranker-gpu "
        f"{PAUSED}=true",
    ):
        assert part in said
    code, said = shop.run("handover")
    assert (code, shop.writes) == (2, [])
    assert "nothing was changed: this account may not" in said
    shop.denied = {("list", "deployments")}
    code, said = shop.run("handover")
    assert code == 2
    assert "this account must be able to list deployments.apps in namespace shop: run this with one that may" in said


def test_what_the_api_server_would_refuse_is_told_before_anything_is_written() -> None:
    shop = Namespace()
    said = "with mode: Auto a RecModel has one pool with a targetRef so far"
    shop.refused = {MODE: f'RecModel.recmodel.dev "ranker" is invalid: spec: Invalid value: {said}'}
    code, plan = shop.run("handover", yes=False)
    assert code == 0
    assert (
        f'WARNING step 2 would be refused: RecModel.recmodel.dev "ranker" is invalid: spec: Invalid value: {said}'
        in plan
    )
    code, refused = shop.run("handover")
    assert (code, shop.writes) == (2, [])
    assert "nothing was changed: step 2 would be refused: RecModel.recmodel.dev" in refused
    shop.refused = {PAUSE: 'admission webhook "vscaledobject.kb.io" does not support dry run'}
    assert "WARNING" not in shop.run("handover", yes=False)[1]


def test_scaled_objects_that_may_not_be_listed_are_known_by_their_autoscalers() -> None:
    shop = Namespace()
    shop.denied = {("list", "scaledobjects")}
    code, said = shop.run("handover", yes=False)
    assert code == 0
    assert "pause ScaledObject ranker-gpu" in said
    assert "a ScaledObject that has no HorizontalPodAutoscaler yet is not seen" in said
    assert shop.run("handover")[0] == 2
    assert shop.writes == []
    shop.keda_installed = False
    shop.objects["horizontalpodautoscalers"].pop("keda-hpa-ranker-gpu")
    shop.keda_runs = False
    assert "WARNING" not in shop.run("handover", yes=False)[1]


def test_the_store_is_owned_by_nobody_and_kubectl_takes_what_is_in_it() -> None:
    shop = Namespace()
    shop.run("handover")
    store = shop.objects["configmaps"]["ranker-handover"]
    assert "ownerReferences" not in store["metadata"]
    (item,) = json.loads(store["data"]["autoscalers.json"])["items"]
    assert (item["apiVersion"], item["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
    assert same(item, autoscaler())
    assert not {"uid", "resourceVersion", "managedFields", "creationTimestamp"} & item["metadata"].keys()
    assert "status" not in item


def test_from_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def none() -> Credentials:
        raise ConfigException("Invalid kube-config file. No configuration found.")

    monkeypatch.setattr(credentials, "load", none)
    assert main(["handover", "ranker", "-n", "shop"]) == 2
    printed: Any = capsys.readouterr()
    assert printed.err.startswith(
        "recmodel handover: Invalid kube-config file. No configuration found: set KUBECONFIG, or run"
    )
    assert printed.err.count("\n") == 1


def test_what_is_interrupted_says_where_it_is() -> None:
    shop, said = Namespace(), []

    async def story(client: UserClient) -> int:
        task = asyncio.current_task()
        shop.on_write = lambda write: task.cancel() if task and write == MODE else None
        with pytest.raises(asyncio.CancelledError):
            await handover.perform(client, "handover", ("shop", "ranker"), True, said.append)
        return 0

    shop.served(story)
    assert shop.writes == [STORE, MODE]
    assert "2. STOPPED: set spec.mode of RecModel ranker from Recommend to Auto" in said[-2]
    assert "it was interrupted; it may be done or not, and the next run sees which" in said[-2]
    assert "6. not done: delete HorizontalPodAutoscaler ranker-cpu" in said[-1]


def test_keda_without_an_autoscaler_of_its_own_yet_is_paused_as_well() -> None:
    shop = Namespace("Recommend", autoscaler(), scaled_object())
    shop.objects["horizontalpodautoscalers"].pop("keda-hpa-ranker-gpu")
    shop.keda_runs = False
    assert shop.run("handover")[0] == 0
    assert shop.writes == HANDED_OVER
    assert of_keda()["metadata"]["name"] not in shop.autoscalers

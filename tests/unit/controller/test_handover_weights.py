"""``recmodel handover`` and ``handback`` where the RecModel refers to a route: its weights are stored and restored exactly, before any
autoscaler is, and no share is given to a pool without a ready pod.
"""

from __future__ import annotations

import copy
import json
import shlex
from typing import Any

import pytest

from builders.handover_route import Routed
from builders.handover_scene import autoscaler
from builders.route_world import but_weights
from recmodel.report.handover.store import KEEP, Stored, config_map, restorable, stored
from recmodel.report.handover.weights import StoredRule

Object = dict[str, Any]


def handed_over(**more: tuple[int, int]) -> Routed:
    """The operator has taken over, and moved all to cpu."""
    shop = Routed(**more)
    code, said = shop.run("handover")
    assert code == 0, said
    assert "the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40) in ConfigMap" in said
    shop.set_weights(999, 1)
    shop.writes.clear()
    return shop


def test_the_weights_come_back_exactly_before_the_autoscalers_and_after_the_mode() -> None:
    shop = handed_over()
    before = copy.deepcopy(shop.objects["httproutes"]["shop"])
    code, said = shop.run("handback")
    assert code == 0, said
    assert shop.weights == [60, 40]
    assert but_weights(shop.objects["httproutes"]["shop"]) == but_weights(before)
    assert shop.writes == [
        "PATCH recmodels/ranker", "PATCH httproutes/shop", "POST horizontalpodautoscalers/ranker-cpu",
        "PATCH scaledobjects/ranker-gpu", "DELETE configmaps/ranker-handover",
    ]  # fmt: skip
    assert "set the weights of rule 1 of HTTPRoute shop as they were stored: ranker-cpu:80 60, ranker-gpu:80 40" in said


def test_a_rule_of_a_grpcroute_is_treated_alike() -> None:
    shop = Routed(kind="GRPCRoute")
    assert shop.run("handover")[0] == 0
    shop.set_weights(999, 1)
    shop.another()
    _, said = shop.run("handback", yes=False)
    assert "the weights of rule 1 of GRPCRoute shop are left as they are: RecModel another refers to it" in said
    shop.another("Recommend")
    shop.set_weights(500, 500, manager="kubectl-edit")
    _, said = shop.run("handback", yes=False)
    assert "by kubectl -n shop patch grpcroute shop --type=json -p " in said
    shop.set_weights(999, 1)
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said
    assert shop.writes[-4] == "PATCH grpcroutes/shop"


OPERATORS = (
    "WARNING the operator may have set ranker-cpu:80 999, ranker-gpu:80 1 of rule 1 of HTTPRoute shop, and no store has what was there "
    "before: handback restores these"
)


def test_weights_of_the_operator_that_are_stored_as_those_before_are_told() -> None:
    shop = Routed()
    assert "the operator may have set" not in shop.run("handover")[1]
    shop.set_weights(999, 1)
    _, said = shop.run("handover")
    assert "the operator may have set" not in said, "the store has what was there before"
    shop.objects["configmaps"].clear()
    _, said = shop.run("handover", yes=False)
    assert OPERATORS in said


def test_a_pool_that_was_taken_to_0_gets_a_ready_pod_first_and_then_its_share() -> None:
    shop = handed_over()
    shop.runs("ranker-gpu", 0)
    shop.set_weights(1000, 0)
    code, said = shop.run("handback")
    assert code == 0, said
    assert shop.writes[:3] == ["PATCH recmodels/ranker", "PATCH deployments/ranker-gpu", "PATCH httproutes/shop"]
    assert (shop.weights, shop.objects["deployments"]["ranker-gpu"]["spec"]["replicas"]) == ([60, 40], 1)


def test_a_share_is_not_given_to_a_pool_without_a_ready_pod_and_all_else_is_restored() -> None:
    shop = handed_over()
    shop.runs("ranker-gpu", 0)
    shop.set_weights(1000, 0)
    shop.starts = False
    code, said = shop.run("handback")
    assert code == 1
    assert (
        "STOPPED: wait until a pod of Deployment ranker-gpu is ready: not within 600 s: no pod of it is ready" in said
    )
    assert shop.weights == [1000, 0]
    assert "ranker-cpu" in shop.autoscalers
    assert "ranker-handover" in shop.objects["configmaps"]
    shop.is_ready("ranker-gpu")
    code, said = shop.run("handback")
    assert (code, shop.weights) == (0, [60, 40]), said
    assert shop.objects["configmaps"] == {}


def test_it_works_without_the_recmodel_and_knows_which_workload_answers() -> None:
    shop = handed_over()
    shop.objects["recmodels"].clear()
    shop.runs("ranker-gpu", 0)
    shop.starts = False
    code, _ = shop.run("handback")
    assert (code, shop.weights) == (1, [999, 1])
    shop.is_ready("ranker-gpu")
    shop.runs("ranker-gpu", 1)
    code, said = shop.run("handback")
    assert (code, shop.weights) == (0, [60, 40]), said


def test_an_operator_that_has_not_heard_of_the_mode_yet_does_not_keep_its_weights() -> None:
    shop = handed_over()
    shop.later = [(999, 1), (999, 1)]
    code, said = shop.run("handback")
    assert (code, shop.weights) == (0, [60, 40]), said
    shop = handed_over()
    shop.later = [(999, 1)] * 9
    code, said = shop.run("handback")
    assert (code, shop.weights) == (1, [999, 1])
    assert "it did not stand within 5 attempts" in said
    assert "ranker-cpu" in shop.autoscalers


@pytest.mark.parametrize("moved", ["", "places", "port"])
def test_what_is_printed_for_a_person_sets_the_weights_of_these_backends_and_of_no_others(moved: str) -> None:
    shop = handed_over()
    shop.later = [(999, 1)] * 9
    _, said = shop.run("handback")
    (line,) = [line for line in said.splitlines() if "By hand: kubectl -n shop patch" in line]
    steps = json.loads(shlex.split(line.partition("By hand: ")[2])[-1])
    backends = shop.objects["httproutes"]["shop"]["spec"]["rules"][1]["backendRefs"]
    if moved == "places":
        backends.reverse()
    elif moved == "port":
        backends[1]["port"] = 8080
    before = shop.weights
    shop.later.clear()
    assert shop.patched(steps).status == (422 if moved else 200)
    assert shop.weights == (before if moved else [60, 40])


def test_what_was_stored_first_stays_stored_however_often_it_is_handed_over() -> None:
    shop = handed_over()
    code, said = shop.run("handover")
    assert code == 0, said
    kept = stored(shop.objects["configmaps"]["ranker-handover"]).rule
    assert kept is not None
    assert kept.backends == (("ranker-cpu:80", 60), ("ranker-gpu:80", 40))
    assert kept.workloads == {"ranker-cpu:80": "Deployment ranker-cpu", "ranker-gpu:80": "Deployment ranker-gpu"}


def test_what_somebody_has_set_since_is_stored_in_place_of_what_could_not_be_restored_any_more() -> None:
    shop = handed_over()
    shop.set_weights(500, 500, manager="kubectl-edit")
    code, said = shop.run("handover")
    assert code == 0, said
    assert (
        "1. done: store the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 500, ranker-gpu:80 500; in place of ranker-cpu:80 60, "
        "ranker-gpu:80 40, as somebody else has written the rule since) in ConfigMap ranker-handover, which keeps what it holds: "
        "HorizontalPodAutoscaler ranker-cpu"
    ) in said
    shop.set_weights(999, 1)
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [500, 500], {}), said


LEFT = (
    "WARNING the weights of rule 1 of HTTPRoute shop are left as they are: they are ranker-cpu:80 500, ranker-gpu:80 500 now, and the "
    "field manager kubectl-edit wrote the rules of the route last, not the operator. If what stands is not right, set them by hand to "
    "ranker-cpu:80 60, ranker-gpu:80 40 by kubectl -n shop patch httproute shop --type=json -p "
)


def test_weights_that_somebody_has_set_since_the_operator_did_are_left_and_the_plan_says_so() -> None:
    shop = handed_over()
    shop.set_weights(500, 500, manager="kubectl-edit")
    _, said = shop.run("handback", yes=False)
    assert LEFT in said
    assert "set the weights of rule 1 of HTTPRoute shop as they were stored" not in said
    code, said = shop.run("handback")
    assert (code, shop.weights) == (0, [500, 500])
    assert LEFT in said
    assert shop.writes == [
        "PATCH recmodels/ranker", "POST horizontalpodautoscalers/ranker-cpu", "PATCH scaledobjects/ranker-gpu",
    ], "the rest is restored, and what could not be stays stored"  # fmt: skip
    shop.set_weights(60, 40, manager="kubectl-patch")
    code, said = shop.run("handback")
    assert (code, shop.objects["configmaps"]) == (0, {}), said


@pytest.mark.parametrize("noted", [None, [], [{"manager": "helm", "fieldsV1": {"f:spec": {"f:hostnames": {}}}}]])
def test_weights_of_which_nobody_is_known_to_be_the_owner_are_restored(noted: list[Object] | None) -> None:
    shop = handed_over()
    metadata = shop.objects["httproutes"]["shop"]["metadata"]
    metadata.pop("managedFields")
    if noted is not None:
        metadata["managedFields"] = noted
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said


def test_weights_of_a_writer_that_has_no_name_are_somebody_elses() -> None:
    shop = handed_over()
    shop.set_weights(500, 500, manager="")
    code, said = shop.run("handback")
    assert (code, shop.weights, "ranker-handover" in shop.objects["configmaps"]) == (0, [500, 500], True)
    assert "and somebody else wrote the rules of the route last, not the operator" in said


def test_weights_that_another_recmodel_sets_now_are_left_to_it_until_it_sets_none() -> None:
    shop = handed_over()
    shop.another()
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.autoscalers) == (0, [999, 1], ["keda-hpa-ranker-gpu", "ranker-cpu"])
    assert (
        "WARNING the weights of rule 1 of HTTPRoute shop are left as they are: RecModel another refers to it in mode Auto, and may set "
        "its own again: set mode: Recommend in it, or hand it back first"
    ) in said
    shop.another("Recommend")
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said


def test_weights_that_are_as_they_were_stay_stored_while_another_recmodel_may_move_them() -> None:
    shop = handed_over()
    shop.set_weights(60, 40)
    shop.another()
    code, said = shop.run("handback")
    assert (code, "ranker-handover" in shop.objects["configmaps"]) == (0, True), said
    assert "RecModel another refers to it in mode Auto, and may set its own again" in said
    _, said = shop.run("handback")
    assert said.endswith("The weights of rule 1 of HTTPRoute shop are left as they are, and stay stored."), said
    shop.set_weights(1, 999)
    shop.another("Recommend")
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said


def test_whose_weights_another_recmodel_sets_is_told_before_they_are_stored() -> None:
    shop = Routed()
    shop.another()
    _, said = shop.run("handover", yes=False)
    assert (
        "WARNING RecModel another refers to rule 1 of HTTPRoute shop, too, in mode Auto: only the older one sets its weights, and those "
        "that are stored may be of its making. Hand it back first, or set mode: Recommend in it"
    ) in said


def test_weights_that_somebody_sets_while_they_are_restored_are_left_as_well() -> None:
    shop = handed_over()
    shop.later, shop.latecomer = [(500, 500)], "kubectl-edit"
    code, said = shop.run("handback")
    assert (code, shop.weights) == (1, [500, 500])
    assert "STOPPED: set the weights of rule 1 of HTTPRoute shop as they were stored" in said
    assert "the field manager kubectl-edit wrote the rules of the route last, not the operator" in said


@pytest.mark.parametrize("change", ["a backend", "gone"])
def test_a_rule_that_is_another_one_by_now_is_left_alone_and_told(change: str) -> None:
    shop = handed_over()
    if change == "gone":
        shop.objects["httproutes"].clear()
    else:
        shop.objects["httproutes"]["shop"]["spec"]["rules"][1]["backendRefs"][1]["name"] = "other"
    code, said = shop.run("handback")
    assert (code, "PATCH httproutes/shop" in shop.writes) == (0, False)
    if change == "gone":
        assert "WARNING HTTPRoute shop is gone, so nothing of its weights is restored" in said
        assert shop.objects["configmaps"] == {}
    else:
        assert (
            "WARNING the weights of rule 1 of HTTPRoute shop are left as they are: it sends to ranker-cpu:80, other:80 now"
            in said
        )
        assert "ranker-handover" in shop.objects["configmaps"], "what could not be restored stays stored"


def test_a_route_whose_kind_is_gone_keeps_nothing_else_from_being_restored() -> None:
    shop = handed_over()
    shop.unserved.add("httproutes")
    code, said = shop.run("handback")
    assert (code, shop.objects["configmaps"]) == (0, {}), said
    assert "ranker-cpu" in shop.autoscalers
    assert "WARNING HTTPRoute shop is gone, so nothing of its weights is restored" in said


def test_a_route_from_git_is_told_before() -> None:
    shop = Routed()
    shop.objects["httproutes"]["shop"]["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    _, said = shop.run("handover", yes=False)
    assert (
        "WARNING Flux (Kustomization shop) has HTTPRoute shop in Git, and its next sync may set its weights back"
        in said
    )
    assert "patch httproutes" not in said, "handing over writes no weight itself"


def planted(shop: Routed, uid: str | None) -> Object:
    """What somebody wrote who may only create ConfigMaps: weights, a workload and an autoscaler of their choice."""
    other = autoscaler("bank", "bank")
    rule = StoredRule(
        "HTTPRoute", "shop", 1, (("ranker-cpu:80", 0), ("ranker-gpu:80", 7)), {"ranker-gpu:80": "Deployment bank"}
    )
    body = config_map("shop", "ranker", Stored({"bank": restorable(other)}, on_delete=KEEP, rule=rule))
    if uid is None:
        del body["data"]["recmodel-uid"]
    else:
        body["data"]["recmodel-uid"] = uid
    body["metadata"]["uid"] = "planted"
    shop.add("configmaps", body)
    return body


@pytest.mark.parametrize("uid", [None, "", "u-of-an-earlier-one"])
def test_a_store_that_is_not_of_this_very_recmodel_is_not_gone_on_with(uid: str | None) -> None:
    shop = Routed()
    planted(shop, uid)
    code, said = shop.run("handover")
    assert (code, shop.writes) == (2, [])
    assert "ConfigMap shop/ranker-handover has " in said
    assert "and not u-ranker, which is that of RecModel ranker: what it holds is not gone on with" in said
    assert "kubectl -n shop delete configmap ranker-handover" in said
    _, said = shop.run("handback", yes=False)
    assert "create HorizontalPodAutoscaler bank as it was stored: Deployment bank, 2 to 40" in said, (
        "as the way out says"
    )


def test_all_that_is_carried_over_from_a_store_is_named_and_the_workloads_are_those_of_now() -> None:
    shop = Routed()
    shop.set_weights(60, 40)
    planted(shop, "u-ranker")
    code, said = shop.run("handover")
    assert code == 0, said
    assert (
        "in ConfigMap ranker-handover, which keeps what it holds: HorizontalPodAutoscaler bank (Deployment bank, 2 to 40, on cpu at "
        "70%), the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 0, ranker-gpu:80 7; by Deployment ranker-cpu, Deployment "
        "ranker-gpu)"
    ) in said
    kept = stored(shop.objects["configmaps"]["ranker-handover"]).rule
    assert kept is not None
    assert kept.workloads == {"ranker-cpu:80": "Deployment ranker-cpu", "ranker-gpu:80": "Deployment ranker-gpu"}

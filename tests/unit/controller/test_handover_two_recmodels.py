"""``recmodel handover`` and ``handback`` of two RecModels that refer to the same rule: in the end the rule has the weights that it had
before either of them, and neither store stays.
"""

from __future__ import annotations

import copy

import pytest

from builders.handover_route import Routed, weights_moved
from builders.handover_scene import Namespace
from builders.references import referring
from recmodel.report.handover.store import stored

STORE, OTHERS = "ranker-handover", "another-handover"


def in_turn() -> Routed:
    """RecModel ``ranker`` was handed over and has moved the weights, then ``another`` was."""
    shop = weights_moved()
    shop.another("Recommend")
    code, said = shop.run("handover", name="another")
    assert code == 0, said
    assert "of its making" not in said, "it is what was there before"
    assert (
        "store the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40; as ConfigMap ranker-handover has them, and not "
        "ranker-cpu:80 999, ranker-gpu:80 1, which the operator may have set) in ConfigMap another-handover"
    ) in said
    shop.set_weights(1, 999)
    return shop


@pytest.mark.parametrize("order", [("ranker", "another"), ("another", "ranker")])
def test_handed_back_in_any_order_the_rule_is_as_it_was_before_both(order: tuple[str, str]) -> None:
    shop = in_turn()
    code, said = shop.run("handback", name=order[0])
    assert (code, shop.weights) == (0, [1, 999])
    assert f"RecModel {order[1]} refers to it in mode Auto, and may set its own again" in said
    code, said = shop.run("handback", name=order[1])
    assert (code, shop.weights, list(shop.objects["configmaps"])) == (0, [60, 40], [f"{order[0]}-handover"]), said
    code, said = shop.run("handback", name=order[0])
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said


def test_what_handing_the_other_one_back_has_set_is_not_somebody_elses() -> None:
    shop = Routed()
    assert shop.run("handover")[0] == 0
    shop.set_weights(500, 500, manager="kubectl-edit")
    shop.another("Recommend")
    code, said = shop.run("handover", name="another")
    assert "store the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 500, ranker-gpu:80 500) in ConfigMap" in said
    other = (
        "WARNING ConfigMap ranker-handover has other weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40): those that "
        "are handed back last stand"
    )
    assert (code, other in said) == (0, True), said
    shop.set_weights(1, 999)
    shop.run("handback")
    code, said = shop.run("handback", name="another")
    assert (code, other in said, shop.weights) == (0, True, [500, 500]), said
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said


def test_a_store_of_a_recmodel_that_is_gone_is_handed_back_before_another_one_is_handed_over() -> None:
    shop = in_turn()
    shop.objects["configmaps"].pop(OTHERS)
    del shop.objects["recmodels"]["ranker"]
    shop.writes.clear()
    code, said = shop.run("handover", name="another")
    assert (code, shop.writes) == (2, [])
    assert (
        "ConfigMap shop/ranker-handover has the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40), over which the "
        "operator may have set those that stand, and is of no RecModel that stands"
    ) in said
    assert "hand it back by recmodel handback ranker -n shop --yes" in said
    shop.another("Recommend")
    assert shop.run("handback")[0] == 0
    code, said = shop.run("handover", name="another")
    assert code == 0, said
    assert "the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40) in ConfigMap" in said


def test_a_store_that_somebody_writes_in_the_name_of_no_recmodel_is_not_taken_from() -> None:
    shop = in_turn()
    planted = shop.objects["configmaps"].pop(OTHERS)
    planted["metadata"] |= {"name": "bank-handover", "labels": {"recmodel.dev/handover-of": "bank"}}
    planted["data"]["weights.json"] = planted["data"]["weights.json"].replace("60", "7")
    planted["data"]["recmodel-uid"] = "u-ranker"
    shop.add("configmaps", planted)
    code, said = shop.run("handover", name="another")
    assert code == 0, said
    assert "(ranker-cpu:80 60, ranker-gpu:80 40; as ConfigMap ranker-handover has them" in said
    shop.objects["configmaps"] = {"bank-handover": planted}
    code, said = shop.run("handover", name="another")
    assert code == 2
    assert "ConfigMap shop/bank-handover has the weights" in said


@pytest.mark.parametrize("broken", ["data", "labels"])
def test_a_store_of_another_that_cannot_be_read_is_no_source_and_stops_nothing(broken: str) -> None:
    shop = weights_moved()
    shop.another("Recommend")
    shop.objects["configmaps"][STORE].pop("data") if broken == "data" else shop.objects["configmaps"][STORE][
        "metadata"
    ].pop("labels")
    code, said = shop.run("handover", name="another")
    assert code == 0, said
    assert "(ranker-cpu:80 999, ranker-gpu:80 1) in ConfigMap another-handover" in said


UNLISTED = "your account may not list recmodels.recmodel.dev in namespace shop"


def test_who_may_only_read_the_own_recmodel_hands_over_and_gets_back_all_but_the_weights() -> None:
    shop = Routed()
    shop.by_name.add("recmodels")
    code, said = shop.run("handover")
    assert code == 0, said
    assert (
        f"WARNING {UNLISTED}, so whether another RecModel sets the weights of rule 1 of HTTPRoute shop is not known"
        in said
    )
    assert "the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40) in ConfigMap" in said
    shop.set_weights(999, 1)
    shop.another()
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.mode) == (0, [999, 1], "Recommend")
    assert "ranker-cpu" in shop.autoscalers
    assert (
        "WARNING the weights of rule 1 of HTTPRoute shop are left as they are: whether another RecModel sets them is not known, since "
        f"{UNLISTED}: use one that may. Then run this again"
    ) in said
    shop.by_name.clear()
    shop.another("Recommend")
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said


def test_where_no_route_is_referred_to_the_other_recmodels_do_not_matter() -> None:
    shop = Namespace()
    shop.by_name |= {"recmodels", "configmaps"}
    for command in ("handover", "handback"):
        code, said = shop.run(command)
        assert (code, "WARNING" in said) == (0, False), said
    code, said = shop.run("handover", name="ranked")
    assert code == 2
    assert "there is no RecModel shop/ranked; this account may not list the others: correct the name" in said


@pytest.mark.parametrize("unlisted", ["recmodels", "configmaps"])
def test_weights_of_the_operator_are_not_stored_where_it_is_not_known_what_was_before(unlisted: str) -> None:
    shop = weights_moved()
    shop.another("Recommend")
    shop.by_name.add(unlisted)
    code, said = shop.run("handover", name="another")
    assert code == 0, said
    assert (
        "WARNING the weights of rule 1 of HTTPRoute shop are not stored: the operator may have set ranker-cpu:80 999"
        in said
    )
    assert f"your account may not list {unlisted}" in said
    kept = shop.objects["configmaps"].get(OTHERS)
    assert kept is None or stored(kept).rule is None
    shop.by_name.clear()
    code, said = shop.run("handover", name="another")
    assert "(ranker-cpu:80 60, ranker-gpu:80 40; as ConfigMap ranker-handover has them" in said


def test_weights_that_handing_back_has_set_are_stored_though_no_other_store_may_be_listed() -> None:
    shop = Routed()
    shop.by_name.add("configmaps")
    shop.run("handover")
    shop.set_weights(999, 1)
    shop.run("handback")
    code, said = shop.run("handover")
    assert code == 0
    assert "the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40) in ConfigMap" in said


def test_weights_of_a_rule_that_the_recmodel_has_left_are_not_forgotten() -> None:
    shop = weights_moved()
    spec = shop.objects["httproutes"]["shop"]["spec"]
    spec["rules"].append(copy.deepcopy(spec["rules"][1]))
    shop.objects["recmodels"]["ranker"]["spec"]["route"]["ref"]["rule"] = 2
    shop.writes.clear()
    code, said = shop.run("handover")
    assert (code, shop.writes) == (2, [])
    assert (
        "ConfigMap shop/ranker-handover has the weights of rule 1 of HTTPRoute shop (ranker-cpu:80 60, ranker-gpu:80 40), over which the "
        "operator may have set ranker-cpu:80 999, ranker-gpu:80 1, and RecModel ranker refers to rule 2 of HTTPRoute shop now: hand back "
        "first by recmodel handback ranker -n shop --yes, then run this again"
    ) in said
    assert shop.run("handback")[0] == 0
    assert shop.weights == [60, 40]
    code, said = shop.run("handover")
    assert code == 0, said
    assert "the weights of rule 2 of HTTPRoute shop (ranker-cpu:80 999, ranker-gpu:80 1) in ConfigMap" in said


def test_a_recmodel_that_only_its_store_is_looked_at_of_may_set_its_weights_again() -> None:
    shop = weights_moved()
    spec = shop.objects["recmodels"]["ranker"]["spec"]
    spec["pools"].append(referring({"apiVersion": "x.example/v1", "kind": "Gone", "name": "g"}, name="gone"))
    shop.unserved.add("gones")
    code, said = shop.run("handback")
    assert (code, shop.weights, "ranker-handover" in shop.objects["configmaps"]) == (0, [999, 1], True), said
    assert "of which only the store is looked at" in said
    assert "RecModel ranker refers to it in mode Auto, and may set its own again: set mode: Recommend in it" in said
    spec["mode"] = "Recommend"
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said


def test_without_the_crd_there_is_no_recmodel_and_all_is_given_back() -> None:
    shop = weights_moved()
    shop.unserved.add("recmodels")
    assert shop.run("handback")[0] == 2, "another version of it may be served"
    shop.gone_groups.add("recmodel.dev")
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said
    assert "ranker-cpu" in shop.autoscalers


@pytest.mark.parametrize("why", ["refused", "illegible"])
def test_a_route_that_cannot_be_read_keeps_no_autoscaler_from_being_handed_back(why: str) -> None:
    shop = weights_moved()
    kept = copy.deepcopy(shop.objects["httproutes"]["shop"])
    if why == "refused":
        shop.denied.add(("list", "httproutes"))
    else:
        shop.objects["httproutes"]["shop"]["spec"]["rules"] = 7
    assert shop.run("handover")[0] == 2
    code, said = shop.run("handback")
    assert (code, "ranker-handover" in shop.objects["configmaps"], shop.mode) == (0, True, "Recommend"), said
    assert "ranker-cpu" in shop.autoscalers
    assert "WARNING the weights of rule 1 of HTTPRoute shop are left as they are: HTTPRoute shop" in said
    shop.denied.clear()
    shop.objects["httproutes"]["shop"] = kept
    code, said = shop.run("handback")
    assert (code, shop.weights, shop.objects["configmaps"]) == (0, [60, 40], {}), said

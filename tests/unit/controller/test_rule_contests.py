"""A rule of a route that stands already: whoever writes over its weights is named, and left alone at growing intervals, also over a
restart.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from builders.operator_stage import operated
from builders.references import condition
from builders.route_world import ExistingRoutes, route, routed_recmodel
from builders.rule_stage import ROUTE, Judge, begin, seconds, told
from builders.virtual_time import until
from recmodel.controller.operator import Operator


def test_a_write_that_somebody_comes_before_is_made_again_over_what_stands_then_and_ever_later() -> None:
    api = ExistingRoutes()
    api.conflicts = 1000

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(600)
        assert 8 <= len(api.patches) <= 20, "at growing intervals, whatever asks for it meanwhile"
        versions = [patch[1]["value"] for patch in api.patches]
        assert len(set(versions)) == len(versions), "over what was read since"
        assert condition(api, "Degraded")["status"] == "False", "nobody wrote other weights"
        api.conflicts = 0
        await until(lambda: api.weights == [750, 250], 61.0)

    operated(story, Judge(), api=api)


def test_our_own_weights_whose_answer_was_lost_are_nobody_elses() -> None:
    judge, api = Judge(), ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        for cpu in (1.0, 3.0, 1.0, 3.0, 1.0):
            api.lost = True
            judge.wanted = {"cpu": (2, cpu), "gpu": (1, 4.0 - cpu)}
            await until(lambda: api.weights == [250 * cpu, 1000 - 250 * cpu], 70.0)  # noqa: B023
            stale = copy.deepcopy(api.route)
            await seconds(10)
        await seconds(70)
        operator._reference_pools.rules.watch.seen(ROUTE, stale)
        await seconds(5)
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, judge, api=api)


async def overwritten(operator: Operator, api: ExistingRoutes, manager: str = "argocd-controller") -> None:
    """Waits for the next write of ours, and has somebody write 60 and 40 over it, as the watch tells."""
    count = len(api.patches)
    await until(lambda: len(api.patches) > count, 1300.0)
    await seconds(2)
    api.set_weights(60, 40, manager=manager)
    told(operator, api)


def test_weights_that_somebody_writes_back_three_times_are_left_alone_and_the_writer_is_named() -> None:
    api = ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        for _ in range(3):
            await overwritten(operator, api)
        await seconds(30)
        assert (len(api.patches), api.weights) == (3, [60, 40]), "the third time they are left alone"
        found = condition(api, "Degraded")
        assert (found["status"], found["reason"]) == ("True", "Contested")
        assert (
            "the field manager argocd-controller keeps writing over the weights of rule 1 of HTTPRoute shop"
            in found["message"]
        )
        assert 'jqPathExpressions: [".spec.rules[1].backendRefs[].weight"]' in found["message"]
        await seconds(120)
        assert len(api.patches) == 4, "after two minutes it is tried again"
        api.set_weights(60, 40)
        told(operator, api)
        await seconds(200)
        assert len(api.patches) == 4, "and then for twice as long"
        await seconds(60)
        assert len(api.patches) == 5
        await seconds(1200)
        assert api.weights == [750, 250]
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Judge(), api=api)


async def fought(operator: Operator, api: ExistingRoutes) -> None:
    """Begins, and somebody writes the weights back until they are contested."""
    begin(operator)
    for _ in range(3):
        await overwritten(operator, api)
    await until(lambda: condition(api, "Degraded").get("reason") == "Contested", 30.0)


def restarted(operator: Operator, api: ExistingRoutes, **status: Any) -> None:
    """All that this process knows of the RecModel is gone, and another one begins with the status that stands."""
    operator.forget("shop/feed")
    operator.observe({**routed_recmodel(), "status": {**copy.deepcopy(api.status), **status}})


def test_a_restart_goes_on_with_a_contest_of_weights_where_it_stood() -> None:
    api = ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        await fought(operator, api)
        said = condition(api, "Degraded")
        for _ in range(5):
            await seconds(18)
            restarted(operator, api)
            await seconds(3)
            assert condition(api, "Degraded") == said
        assert (len(api.patches), api.weights) == (3, [60, 40]), (
            "left alone for the two minutes that it would have been"
        )
        await until(lambda: len(api.patches) == 4, 30.0)
        api.set_weights(60, 40)
        told(operator, api)
        await seconds(5)
        assert api.status["routeContested"]["times"] == 4
        restarted(operator, api)
        await seconds(200)
        assert len(api.patches) == 4, "and then for twice as long"
        await until(lambda: len(api.patches) == 5, 60.0)
        await seconds(5)
        restarted(operator, api)  # the weights stay, and this process has written none of them
        await seconds(120)
        assert condition(api, "Degraded")["reason"] == "Contested"
        await seconds(600)
        assert condition(api, "Degraded")["status"] == "False"
        assert "routeContested" not in api.status
        assert (len(api.patches), api.weights) == (5, [750, 250])

    operated(story, Judge(), api=api)


@pytest.mark.parametrize(
    "change",
    [
        {"target": "rule 0 of HTTPRoute shop"}, {"lastTime": "soon"}, {"times": "x"}, {"lastTime": "9999-12-31T23:59:59-12:00"},
        {"stoodSeconds": 10**30},
    ],
)  # fmt: skip
def test_a_contest_of_another_rule_or_that_cannot_be_read_is_not_gone_on_with(change: dict[str, Any]) -> None:
    api = ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        await fought(operator, api)
        count = len(api.patches)
        restarted(operator, api, routeContested={**api.status["routeContested"], **change})
        await until(lambda: len(api.patches) == count + 1, 20.0)
        await until(lambda: condition(api, "Degraded")["status"] == "False", 20.0)

    operated(story, Judge(), api=api)


def test_whoever_takes_over_goes_on_with_a_contest_of_weights() -> None:
    api = ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        await fought(operator, api)
        operator._acting_changed("shop", False)
        operator.observe({**routed_recmodel(), "status": copy.deepcopy(api.status)})
        operator._acting_changed("shop", True)
        await seconds(90)
        assert (len(api.patches), condition(api, "Degraded")["reason"]) == (3, "Contested")
        await until(lambda: len(api.patches) == 4, 40.0)

    operated(story, Judge(), api=api)


def test_while_the_weights_are_contested_no_pool_is_taken_away_that_they_send_requests_to() -> None:
    judge, api = Judge(cpu=(2, 1.0), gpu=(0, 0.0)), ExistingRoutes(route(60, 40))

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        for _ in range(3):
            await overwritten(operator, api)
        await seconds(60)
        assert api.weights == [60, 40]
        assert condition(api, "Degraded")["reason"] == "Contested"
        assert api.existing["deployments"][1]["spec"]["replicas"] == 1
        model, seen = judge.seen["shop/feed"]
        assert (model.routed, seen.pools["gpu"].weight) == (False, 400.0)

    operated(story, judge, api=api)

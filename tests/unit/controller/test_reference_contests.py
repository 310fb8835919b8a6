"""Pools by reference in mode Auto: whoever writes over their replicas is named, and left alone at growing intervals, also over a
restart.
"""

from __future__ import annotations

import copy
from typing import Any

from aiohttp import web

from builders.acting_references import automatic, existing, minutes, put_back, replicas, written
from builders.deciding import Deciding
from builders.operator_stage import operated
from builders.references import (
    ExistingWorkloads,
    condition,
    pod,
    workload,
)
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.controller.operator import Operator


class Lossy(ExistingWorkloads):
    """Writes what it is asked for, and answers that it timed out: the watch has told of it before the next attempt."""

    lost = False
    told: Any = None

    def _scaled(self, path: str, body: dict[str, Any]) -> web.Response:
        answer = super()._scaled(path, body)
        if self.lost and answer.status == 200:
            self.told()
            return web.json_response({"kind": "Status", "message": "etcdserver: request timed out"}, status=504)
        return answer


def test_our_own_number_whose_answer_was_lost_is_nobody_elses() -> None:
    judge, api = Deciding(wanted=4), Lossy(deployments=[workload()], pods=[pod("a"), pod("b"), pod("c")])

    async def story(operator: Operator, api: Lossy) -> None:
        def told() -> None:
            (watched,) = operator._references._watched
            operator._references.seen(watched, copy.deepcopy(api.existing["deployments"][0]))

        api.told = told
        operator.observe(automatic())
        operator.listed()
        for count in (5, 6, 7, 8):
            api.lost, judge.wanted = True, count
            await until(lambda: replicas(api) == count, 5.0)  # noqa: B023
            await minutes(0.2)
            api.lost, judge.wanted = False, count + 10
            await until(lambda: replicas(api) == count + 10, 5.0)  # noqa: B023
        await minutes(0.2)
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, judge, api=api)


async def overwritten(operator: Operator, api: ExistingWorkloads, manager: str = "argocd-controller") -> None:
    """Waits for the next write of ours, and has somebody write 3 over it, as the watch tells."""
    count = len(api.scales)
    await until(lambda: len(api.scales) > count, 700.0)
    await minutes(0.1)
    put_back(operator, api, manager)


def test_replicas_that_somebody_writes_back_three_times_are_left_alone_and_the_writer_is_named() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await minutes(0.5)
        assert written(api) == [5, 5, 5], "the third time it is left alone"
        found = condition(api, "Degraded")
        assert (found["status"], found["reason"]) == ("True", "Contested")
        assert "pool cpu: the field manager argocd-controller keeps writing over spec.replicas" in found["message"]
        assert "ignoreDifferences: [{group: apps, kind: Deployment, name: ranker-cpu, " in found["message"]
        assert api.status["state"] == "Recommending"
        await minutes(1)
        assert written(api) == [5, 5, 5]
        await minutes(1)
        assert written(api) == [5, 5, 5, 5], "after two minutes it is tried again"
        put_back(operator, api, "argocd-controller")
        await minutes(3.5)
        assert written(api) == [5, 5, 5, 5], "and then for twice as long"
        await minutes(1)
        assert written(api) == [5, 5, 5, 5, 5]
        assert condition(api, "Degraded")["reason"] == "Contested"
        await minutes(20)  # the field stays
        assert written(api) == [5, 5, 5, 5, 5]
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Deciding(), api=existing())


def restarted(operator: Operator, api: ExistingWorkloads, **status: Any) -> None:
    """All that this process knows of the RecModel is gone, and another one begins with the status that stands."""
    operator.forget("shop/feed")
    operator.observe({**automatic(), "status": {**copy.deepcopy(api.status), **status}})


def test_a_restart_goes_on_with_a_contest_where_it_stood() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await until(lambda: condition(api, "Degraded").get("reason") == "Contested", 30.0)
        said = condition(api, "Degraded")
        for _ in range(5):
            await minutes(0.3)
            restarted(operator, api)
            await minutes(0.05)
            assert condition(api, "Degraded") == said
        assert written(api) == [5, 5, 5], "it is left alone for the two minutes that it would have been"
        await until(lambda: len(api.scales) == 4, 30.0)
        put_back(operator, api, "argocd-controller")
        await minutes(0.1)
        assert api.status["pools"][0]["contested"]["times"] == 4
        restarted(operator, api)
        await minutes(3.5)
        assert written(api) == [5, 5, 5, 5], "and then for twice as long"
        await until(lambda: len(api.scales) == 5, 60.0)
        await minutes(0.1)
        restarted(operator, api)  # the field stays, and this process has written none of it
        await minutes(2)
        assert condition(api, "Degraded")["reason"] == "Contested"
        await minutes(10)
        assert condition(api, "Degraded")["status"] == "False"
        assert "contested" not in api.status["pools"][0]
        assert written(api) == [5] * 5

    operated(story, Deciding(), api=existing())


def test_a_contest_of_another_workload_or_that_cannot_be_read_is_not_gone_on_with() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await until(lambda: condition(api, "Degraded").get("reason") == "Contested", 30.0)
        (pool,) = copy.deepcopy(api.status["pools"])
        strange: tuple[dict[str, Any], ...] = (
            {"target": "Deployment others"}, {"times": "x"}, {"lastTime": "soon"}, {"lastTime": "9999-12-31T23:59:59-12:00"},
            {"lastTime": "0001-01-01T00:00:00+14:00"}, {"lastTime": "2199-01-01T00:00:00Z"}, {"stoodSeconds": 10**30}, {"times": 2**63 - 1},
            {"stoodSeconds": 31 * 86_400},
        )  # fmt: skip
        for change in strange:
            put_back(operator, api, "argocd-controller")
            count = len(api.scales)
            restarted(operator, api, pools=[{**pool, "contested": {**pool["contested"], **change}}])
            await until(lambda: len(api.scales) == count + 1, 20.0)  # noqa: B023
            await until(lambda: condition(api, "Degraded")["status"] == "False", 20.0)

    operated(story, Deciding(), api=existing())


def test_whoever_takes_over_goes_on_with_a_contest() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        body = automatic()
        operator.observe(body)
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await until(lambda: condition(api, "Degraded").get("reason") == "Contested", 30.0)
        operator._acting_changed("shop", False)
        operator.observe({**body, "status": copy.deepcopy(api.status)})
        operator._acting_changed("shop", True)
        await minutes(1.5)
        assert written(api) == [5, 5, 5]
        assert condition(api, "Degraded")["reason"] == "Contested"
        await until(lambda: len(api.scales) == 4, 40.0)
        await minutes(20)
        assert condition(api, "Degraded")["status"] == "False"
        another = copy.deepcopy(api.status)  # in which another process says that it is over
        operator.reconciler.models["shop/feed"].contests.made([(names.DEPLOYMENT, "ranker-cpu")] * 3, 1e9)
        operator.observe({**body, "status": another})
        operator._acting_changed("shop", True)
        assert operator.reconciler.models["shop/feed"].contests.fighting(0.0) == set()

    operated(story, Deciding(), api=existing())


def test_a_change_by_hand_is_put_back_by_the_next_decision_and_is_no_contest() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await until(lambda: replicas(api) == 5, 5.0)
        for pause in (0, 0, 25):
            await minutes(pause)
            put_back(operator, api, "kubectl-edit")
            await until(lambda: replicas(api) == 5, 5.0)
        await minutes(0.1)
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Deciding(), api=existing())

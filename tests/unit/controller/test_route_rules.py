"""Pools by reference with a rule of a route that stands already: its weights follow the decisions, and nothing else of it is written."""

from __future__ import annotations

import copy

import pytest

from builders.operator_stage import operated
from builders.references import condition, pod
from builders.route_world import ExistingRoutes, but_weights, pools, route, routed_recmodel
from builders.rule_stage import Judge, begin, pods_of_gpu, seconds
from builders.virtual_time import until
from recmodel.controller.operator import Operator


def test_weights_follow_and_nothing_but_weights_of_that_rule_is_written() -> None:
    judge, api = Judge(), ExistingRoutes()
    before = copy.deepcopy(api.route)

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await until(lambda: api.weights == [750, 250], 10.0)
        patch = api.patches[0]
        assert patch[:4] == [
            {"op": "test", "path": "/metadata/uid", "value": "r-shop"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "20"},
            {"op": "test", "path": "/spec/rules/1/backendRefs/0/name", "value": "ranker-cpu"},
            {"op": "test", "path": "/spec/rules/1/backendRefs/1/name", "value": "ranker-gpu"},
        ]
        judge.wanted = {"cpu": (2, 1.0), "gpu": (1, 3.0)}
        await until(lambda: api.weights == [250, 750], 10.0)
        await seconds(60)
        assert len(api.patches) == 2, "nothing is written that stands"
        assert but_weights(api.route) == but_weights(before)
        assert condition(api, "Degraded")["status"] == "False"
        assert [pool["weight"] for pool in api.status["pools"]] == [250, 750]
        model, seen = judge.seen["shop/feed"]
        assert model.routed
        assert [pool.weight for pool in seen.pools.values()] == [250.0, 750.0]

    operated(story, judge, api=api)


def test_a_pool_is_drained_by_1_then_0_then_replicas_and_comes_back_by_replicas_ready_1_and_more() -> None:
    judge, api = Judge(cpu=(2, 1.0), gpu=(0, 0.0)), ExistingRoutes(route(900, 100))
    steps: list[tuple[list[int], int]] = []

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        def note() -> tuple[list[int], int]:
            now = api.weights, int(api.existing["deployments"][1]["spec"]["replicas"])
            if not steps or steps[-1] != now:
                steps.append(now)
            return now

        begin(operator)
        await until(lambda: note() == ([1000, 0], 0), 60.0)
        assert steps == [([900, 100], 1), ([999, 1], 1), ([1000, 0], 1), ([1000, 0], 0)]
        pods_of_gpu(operator, api)
        await seconds(30)
        steps.clear()
        judge.wanted = {"cpu": (2, 1.0), "gpu": (1, 1.0)}
        await until(lambda: note()[1] == 1, 10.0)
        await seconds(20)
        assert note()[0] == [1000, 0], "no weight before a pod is ready"
        pods_of_gpu(operator, api, pod("g2", app="ranker-gpu"))
        await until(lambda: note()[0] == [500, 500], 10.0)
        assert steps == [([1000, 0], 0), ([1000, 0], 1), ([999, 1], 1), ([500, 500], 1)]

    operated(story, judge, api=api)


def test_a_pool_that_loses_its_last_ready_pod_loses_its_weight_at_once_and_without_metrics() -> None:
    judge, api = Judge(), ExistingRoutes(route(750, 250))

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(5)
        judge.away = True
        await seconds(5)
        pods_of_gpu(operator, api, pod("g1", ready=False, app="ranker-gpu"))
        await until(lambda: api.weights == [1000, 0], 0.9)  # less than a tick

    operated(story, judge, api=api)


@pytest.mark.parametrize("weights", [(100, 0), (999, 1), (60, 40)])
def test_without_metrics_no_weight_moves_however_the_pods_are(weights: tuple[int, int]) -> None:
    """Of a pool that is drained, or that its owner leaves out, half of the requests must not go to it because nothing is known."""
    judge, api = Judge(cpu=(2, 1.0), gpu=(1, 1.0)), ExistingRoutes(route(*weights))
    judge.away = True

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(120)
        assert api.patches == []
        judge.away = False
        await until(lambda: api.weights == [500, 500], 10.0)

    operated(story, judge, api=api)


def test_in_mode_recommend_nothing_is_written_and_the_status_says_which_weights_would_be() -> None:
    api = ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator, routed_recmodel(mode="Recommend"))
        await seconds(60)
        assert (api.patches, api.scales) == ([], [])
        found = api.status["recommendation"]
        assert found["running"]["weights"] == {"cpu": 600, "gpu": 400}
        assert found["recommended"]["weights"] == {"cpu": 750, "gpu": 250}
        assert found["message"].endswith(
            "; would set the weights cpu 750, gpu 250 of 1,000, which are cpu 600, gpu 400"
        )
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Judge(), api=api)


def test_a_refusal_of_the_write_itself_is_told_with_its_sentence() -> None:
    api = ExistingRoutes()
    api.route_refused = (403, "httproutes is forbidden: a policy says no")

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(20)
        found = condition(api, "Degraded")
        assert (found["reason"], "a policy says no" in found["message"]) == ("ApiRefused", True)
        api.route_refused = None
        await until(lambda: api.weights == [750, 250], 120.0)

    operated(story, Judge(), api=api)


def test_what_was_decided_for_one_rule_is_not_written_to_another() -> None:
    api = ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await until(lambda: api.weights == [750, 250], 10.0)
        body = routed_recmodel(*pools(), route={"ref": {"kind": "HTTPRoute", "name": "shop", "rule": 0}})
        body["metadata"]["generation"] = 2
        operator.observe(body)
        await seconds(30)
        assert len(api.patches) == 1
        assert condition(api, "Degraded")["reason"] == "RouteMismatch"

    operated(story, Judge(), api=api)

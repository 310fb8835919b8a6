"""Pools by reference with a rule of a route that stands already: its weights follow the decisions, nothing else of it is written, and
what is unknown, refused or contested leaves them as they are.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from builders.operator_stage import Seeing, operated
from builders.references import pod, workload
from builders.route_world import ExistingRoutes, but_weights, pools, route, routed_recmodel, served
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.cluster.observed.referenced import Workload
from recmodel.cluster.observed.referenced_routes import NamedRoute
from recmodel.controller.operator import Operator
from recmodel.core.types import Decision, Model, Observation, PoolDecision
from recmodel.prometheus import GatherSettings, ModelReading, ModelView, Readings, Verdict

ROUTE = NamedRoute(names.ROUTE, "shop", "shop")
GPU = Workload(names.DEPLOYMENT, "shop", "ranker-gpu")
HPA = {
    "metadata": {"namespace": "shop", "name": "ranker", "uid": "h", "resourceVersion": "3"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "ranker-gpu"}, "maxReplicas": 6},
}


class Judge(Seeing):
    """Decides for ``wanted`` replicas and shares where the weights are ours, else for what runs; ``away``: the metrics are."""

    def __init__(self, **wanted: tuple[int, float]) -> None:
        super().__init__(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
        self.wanted = wanted or {"cpu": (2, 3.0), "gpu": (1, 1.0)}
        self.away = False
        self.seen: dict[str, tuple[Model, Observation]] = {}

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        found = super().gather(views, now_seconds)
        lost = ModelReading(Verdict.MISSING, "PrometheusUnavailable", "away", {})
        return replace(found, models=dict.fromkeys(found.models, lost)) if self.away else found

    def decide(
        self, models: Sequence[Model], observations: Sequence[Observation], now_seconds: float
    ) -> tuple[dict[str, Decision], dict[str, str]]:
        self.seen = {model.key: (model, seen) for model, seen in zip(models, observations, strict=True)}
        return {model.key: self._one(model, seen, now_seconds) for model, seen in self.seen.values()}, {}

    def _one(self, model: Model, seen: Observation, now_seconds: float) -> Decision:
        runs = {name: pool.desired for name, pool in seen.pools.items()}
        acts = model.acts and model.routed
        pools = {n: PoolDecision(self.wanted[n][0] if acts else runs[n], self.wanted[n][1]) for n in runs}
        proposed = {name: self.wanted[name][0] for name in runs}
        return Decision(now_seconds, pools, "Tracking", (), proposed_replicas=proposed, acting_replicas=proposed)


def condition(api: ExistingRoutes, kind: str) -> dict[str, Any]:
    return next((dict(c) for c in api.status.get("conditions", ()) if c["type"] == kind), {})


def told(operator: Operator, api: ExistingRoutes) -> None:
    """The watch tells of the route as it stands."""
    operator._reference_pools.rules.watch.seen(ROUTE, copy.deepcopy(api.route) if api.existing["httproutes"] else None)


def begin(operator: Operator, body: dict[str, Any] | None = None) -> None:
    operator.observe(body or routed_recmodel())
    operator.listed()


def pods_of_gpu(operator: Operator, api: ExistingRoutes, *ready: dict[str, Any]) -> None:
    """The watch tells which pods the gpu pool has."""
    watch = operator._references
    (follower,) = [w for w in watch._watched if w == GPU]
    before = operator.referenced.ready(follower)
    operator.referenced.list_pods(GPU, list(ready))
    assert operator.referenced.ready(follower) != before
    watch.pods_changed(GPU)


async def seconds(count: float) -> None:
    await asyncio.sleep(count)


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


def test_a_target_that_is_not_there_moves_no_weight() -> None:
    api = ExistingRoutes(deployments=[workload("ranker-cpu", 2)])

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(120)
        assert api.patches == []
        assert condition(api, "Degraded")["reason"] == "TargetMissing"

    operated(story, Judge(), api=api)


def other(**more: Any) -> dict[str, Any]:
    """The route with another first rule."""
    body = route()
    body["spec"]["rules"][0] |= more
    return body


def only(*names_and_ports: tuple[str, int]) -> dict[str, Any]:
    """The route with other backends in the rule."""
    body = route()
    rule = body["spec"]["rules"][1]
    rule["backendRefs"] = [{"name": name, "port": port, "weight": 1} for name, port in names_and_ports]
    return body


def owned() -> dict[str, Any]:
    body = route()
    body["metadata"]["ownerReferences"] = [{"kind": "RecModel", "name": "other", "uid": "o", "controller": True}]
    return body


def switched() -> dict[str, Any]:
    body = route()
    body["spec"]["rules"].reverse()
    return body


NAMED = {"namespace": "shop", "name": "shop", "uid": "r"}
REFUSED = {
    "gone": (None, "RouteMissing", "there is no HTTPRoute shop/shop: create it, or correct route.ref"),
    "a backend more": (only(("ranker-cpu", 80), ("ranker-gpu", 80), ("old", 80)), "RouteMismatch", "ranker-gpu:80, old:80"),
    "a backend less": (only(("ranker-cpu", 80)), "RouteMismatch", "give each pool the service of one backend"),
    "another port": (only(("ranker-cpu", 80), ("ranker-gpu", 81)), "RouteMismatch", ":81, and the pools' services are ranker-cpu:80, "),
    "twice": (only(("ranker-cpu", 80), ("ranker-cpu", 80)), "RouteMismatch", "each once"),
    "no backend": (only(), "RouteMismatch", "rule 1 of HTTPRoute shop sends to no backend"),
    "another place": (switched(), "RouteMismatch", "rule 0 does: set route.ref.rule: 0"),
    "another rule too": (
        other(backendRefs=[{"name": "ranker-gpu", "port": 8080, "weight": 1}]), "RouteMismatch", "rule 0 of HTTPRoute shop sends to",
    ),
    "another namespace": (
        other(backendRefs=[{"name": "ranker-gpu", "namespace": "ads", "port": 80}]), "", "",
    ),
    "refused": (route(accepted="False"), "RouteNotAccepted", "Accepted is False"),
    "not answered": (route(accepted="Unknown"), "RouteNotAccepted", "does not answer for the route"),
    "made here": (owned(), "RouteMismatch", "is made by RecModel other"),
    "no route": ({"metadata": {**NAMED, "resourceVersion": "21"}, "spec": {"rules": 5}}, "RouteUnreadable", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_where_it_is_not_sure_what_a_weight_does_all_stay_as_they_are_and_why_is_told(name: str) -> None:
    body, reason, said = REFUSED[name]
    api = ExistingRoutes(*([body] if body else []))
    if body is None:
        api.existing["httproutes"] = []

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(60)
        found = condition(api, "Degraded")
        if not reason:
            assert len(api.patches) == 1
            return
        assert api.patches == []
        assert (found["status"], found["reason"]) == ("True", reason)
        assert said in found["message"]
        assert condition(api, "Ready")["status"] == "True"
        api.existing["httproutes"] = [body or route()]
        api.set_route(route())
        told(operator, api)
        await until(lambda: api.weights == [750, 250], 10.0)
        await until(lambda: condition(api, "Degraded")["status"] == "False", 5.0)

    operated(story, Judge(), api=api)


def test_a_route_that_may_not_be_read_is_told_and_its_weights_stay() -> None:
    api = ExistingRoutes()
    api.forbidden = {"httproutes"}

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(60)
        assert api.patches == []
        found = condition(api, "Degraded")
        assert found["reason"] == "RouteUnreadable"
        assert "let the operator's account list and watch httproutes" in found["message"]

    operated(story, Judge(), api=api)


def test_a_pool_that_somebody_else_scales_keeps_all_weights_as_they_are() -> None:
    judge, api = Judge(), ExistingRoutes(horizontalpodautoscalers=[HPA])

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(30)
        assert api.patches == []
        assert not judge.seen["shop/feed"][0].routed, "each pool is planned for what it gets"
        operator.inventory.see(names.AUTOSCALER, "DELETED", HPA)
        await until(lambda: api.weights == [750, 250], 10.0)
        assert judge.seen["shop/feed"][0].routed

    operated(story, judge, api=api)


def made(name: str, created: str, mode: str = "Auto", generation: int = 1) -> dict[str, Any]:
    """One of several RecModels on the rule and its workloads."""
    body = routed_recmodel(name=name, mode=mode)
    body["metadata"] |= {"creationTimestamp": created, "generation": generation}
    return body


def degraded(api: ExistingRoutes, name: str) -> dict[str, Any]:
    return next((dict(c) for c in api.statuses[name]["conditions"] if c["type"] == "Degraded"), {})


@pytest.mark.parametrize("old", ["2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z"])
def test_of_two_recmodels_on_one_rule_the_older_one_sets_the_weights_and_of_equal_ones_the_first_by_name(
    old: str,
) -> None:
    api = ExistingRoutes(deployments=[workload(name, 1) for name in ("ranker-cpu", "ranker-gpu", "a", "b")])

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        young = made("young", "2026-05-01T00:00:00Z")
        for pool, name in zip(young["spec"]["pools"], ("a", "b"), strict=True):  # nothing but the rule is shared
            pool["targetRef"]["name"] = name
        operator.observe(young)
        begin(operator, made("old", old))
        await until(lambda: api.weights == [750, 250], 10.0)
        await seconds(30)
        assert len(api.patches) == 1
        found = degraded(api, "young")
        assert (found["status"], found["reason"]) == ("True", "AnotherRecModel")
        assert "RecModel old sets the weights of rule 1 of HTTPRoute shop, too, and is older" in found["message"]
        assert "set mode: Recommend in one of the two, or delete one" in found["message"]
        assert degraded(api, "old")["status"] == "False"

    operated(story, Judge(), api=api)


def test_an_older_recmodel_that_begins_to_act_takes_the_rule_over_without_a_fight_and_gives_it_up_again() -> None:
    judge, api = Judge(), ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        operator.observe(made("old", "2026-01-01T00:00:00Z", "Recommend"))
        begin(operator, made("young", "2026-05-01T00:00:00Z"))
        await until(lambda: api.weights == [750, 250], 10.0)
        assert "old" not in api.statuses or degraded(api, "old")["status"] == "False"
        judge.wanted = {"cpu": (2, 1.0), "gpu": (1, 3.0)}
        operator.observe(made("old", "2026-01-01T00:00:00Z", generation=2))
        await until(lambda: api.weights == [250, 750], 10.0)
        await seconds(60)
        assert len(api.patches) == 2
        assert (degraded(api, "young")["reason"], degraded(api, "old")["status"]) == ("AnotherRecModel", "False")
        assert "routeContested" not in api.statuses["young"]
        operator.forget("shop/old")
        judge.wanted = {"cpu": (2, 1.0), "gpu": (1, 1.0)}
        await until(lambda: api.weights == [500, 500], 10.0)
        await until(lambda: degraded(api, "young")["status"] == "False", 10.0)

    operated(story, judge, api=api)


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


def test_a_hidden_rule_of_one_pool_is_as_good_as_any() -> None:
    """A pool of its own needs no weight, and none is written."""
    api = ExistingRoutes(only(("ranker-cpu", 80)))

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator, routed_recmodel(served("cpu", "ranker-cpu")))
        await seconds(30)
        assert api.patches == []
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Judge(cpu=(2, 1.0)), api=api)


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

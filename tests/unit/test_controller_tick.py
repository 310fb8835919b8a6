"""The tick: who is left out when deciding fails, when ticks come, what the past adds; and the whole in one process."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration
from test_cluster_apply import FakeCluster
from test_controller_spec import GOOD
from test_controller_variants import config_map, record

from recmodel.api.v1alpha1 import Metrics as SpecMetrics
from recmodel.cluster import lease as lease_module
from recmodel.cluster import names
from recmodel.cluster.client import Client
from recmodel.cluster.credentials import Credentials
from recmodel.controller import past
from recmodel.controller import tick as tick_module
from recmodel.controller.metrics import Metrics
from recmodel.controller.operator import Operator
from recmodel.controller.settings import Settings
from recmodel.controller.tick import QUARANTINE_TICKS, Decider, Loop
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.prometheus import (
    GatherSettings,
    History,
    ModelReading,
    ModelView,
    PoolReading,
    PrometheusUnavailable,
    Readings,
    Verdict,
)

MODELS = [Model(key, 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for key in ("shop/a", "shop/poison", "shop/c")]


def seen(models: Sequence[Model]) -> list[Observation]:
    return [Observation(0.0, {"cpu": PoolObservation(2, 2, rate_per_second=10.0)}) for _ in models]


def decider() -> Decider:
    return Decider(None, GatherSettings(), 15.0, 0.0, 300.0)  # type: ignore[arg-type]


def test_a_model_that_breaks_the_core_is_left_out_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real, broken = tick_module.step, True

    def step(memory: Any, observations: Any, now: float) -> Any:
        if broken and any(model.key == "shop/poison" for model in memory.fleet.models):
            raise ZeroDivisionError("poison")
        return real(memory, observations, now)

    monkeypatch.setattr(tick_module, "step", step)
    judge = decider()
    decisions, failed = judge.decide(MODELS, seen(MODELS), 0.0)
    assert set(decisions) == {"shop/a", "shop/c"}
    assert failed == {"shop/poison": "deciding failed: ZeroDivisionError: poison"}
    for tick in range(1, QUARANTINE_TICKS):
        decisions, failed = judge.decide(MODELS, seen(MODELS), 15.0 * tick)
        assert set(failed) == {"shop/poison"}
    broken = False
    decisions, failed = judge.decide(MODELS, seen(MODELS), 15.0 * QUARANTINE_TICKS)
    assert set(decisions) == {"shop/a", "shop/poison", "shop/c"}
    assert failed == {}


def test_a_memory_that_breaks_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = decider()
    judge.decide(MODELS, seen(MODELS), 0.0)
    real, old = tick_module.step, judge._memory

    def step(memory: Any, observations: Any, now: float) -> Any:
        if memory is old:
            raise FloatingPointError("memory")
        return real(memory, observations, now)

    monkeypatch.setattr(tick_module, "step", step)
    decisions, failed = judge.decide(MODELS, seen(MODELS), 15.0)
    assert (len(decisions), failed) == (3, {})


def test_models_that_come_and_go_keep_their_decisions_apart() -> None:
    judge = decider()
    for models in (MODELS, MODELS[:1], MODELS[1:], []):
        decisions, failed = judge.decide(models, seen(models), 0.0)
        assert set(decisions) == {model.key for model in models}
        assert failed == {}


def test_the_past_is_taken_over_before_and_after_the_first_tick() -> None:
    seconds = np.arange(0.0, 86400.0, 300.0)
    past = {"shop/a": History(seconds, 50.0 + 40.0 * np.sin(seconds / 86400.0 * 2 * np.pi))}
    early, late, never = decider(), decider(), decider()
    early.learn(MODELS, past)
    for judge in (early, late, never):
        judge.decide(MODELS, seen(MODELS), 86400.0)
    late.learn(MODELS, past)
    forecasts = []
    for judge in (early, late, never):
        decisions, _ = judge.decide(MODELS, seen(MODELS), 86415.0)
        forecasts.append(judge._memory.forecast.season[0])  # type: ignore[union-attr]
        assert set(decisions) == {model.key for model in MODELS}
    known = [np.isfinite(season).mean() for season in forecasts]  # share of the day whose usual load is known
    assert min(known[:2]) > 0.9
    assert known[2] < 0.1


def test_a_later_past_touches_only_the_models_that_it_is_of() -> None:
    seconds = np.arange(0.0, 86400.0, 60.0)
    day = History(seconds, 50.0 + 40.0 * np.sin(seconds / 86400.0 * 2 * np.pi))
    judge = decider()
    judge.learn(MODELS, {"shop/a": day})
    for i in range(20):
        judge.decide(MODELS, seen(MODELS), 86400.0 + 15.0 * i)
    before = judge._memory
    assert before is not None
    judge.learn(MODELS, {"shop/c": day, "shop/poison": History(seconds, np.full(seconds.size, np.nan))})
    after = judge._memory
    assert after is not None
    a, poison, c = range(3)
    for field in ("season", "errors", "loss", "level", "slope"):
        old, new = getattr(before.forecast, field), getattr(after.forecast, field)
        np.testing.assert_array_equal(new[[a, poison]], old[[a, poison]], field)
    assert np.isfinite(after.forecast.season[c]).mean() > 0.9
    assert not np.array_equal(after.forecast.errors[c], before.forecast.errors[c])
    assert after.forecast.level[c] == before.forecast.level[c]  # what was seen since is newer than the past
    assert after.forecast.tick == before.forecast.tick
    np.testing.assert_array_equal(after.capacity.origin, before.capacity.origin)


def test_ticks_come_at_fixed_times_and_a_failing_one_does_not_end_them(caplog: pytest.LogCaptureFixture) -> None:
    times: list[float] = []

    async def tick(now: float) -> None:
        loop_now = asyncio.get_running_loop().time()
        times.append(loop_now)
        await asyncio.sleep(0.01 if len(times) % 2 else 0.03)
        if len(times) == 2:
            raise RuntimeError("once")

    async def run() -> None:
        work = asyncio.create_task(Loop(tick, 0.1, Metrics()).run())
        await asyncio.sleep(0.75)
        work.cancel()
        await asyncio.wait([work])

    asyncio.run(run())
    assert len(times) >= 6
    offsets = [(t - times[0]) / 0.1 for t in times]
    assert all(abs(offset - round(offset)) < 0.5 for offset in offsets)  # no drift: a busy machine may delay one
    assert abs(offsets[-1] - (len(times) - 1)) < 0.6
    assert "once" in caplog.text


def test_a_loop_whose_ticks_do_not_end_is_stuck() -> None:
    async def run() -> tuple[bool, bool]:
        loop = Loop(lambda now: asyncio.sleep(60), 0.02, Metrics())
        before = loop.stuck
        work = asyncio.create_task(loop.run())
        await asyncio.sleep(0.2)
        work.cancel()
        await asyncio.wait([work])
        return before, loop.stuck

    assert asyncio.run(run()) == (False, True)


class Api:
    """An API server over HTTP: lists and watches that stay silent, writes into a dictionary; what the role ``hides`` may
    not be listed.
    """

    def __init__(self, hides: str = "") -> None:
        self.hides = hides
        self.cluster = FakeCluster()
        self.status: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.lease: dict[str, Any] | None = None
        self.jobs: list[dict[str, Any]] = []
        self._kinds = {kind.plural: kind for kind in names.CHILD_KINDS}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if request.query.get("watch"):
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.sleep(30)
            return response
        if "leases" in parts:
            if request.method == "GET" and self.lease is None:
                return web.json_response({"message": "no"}, status=404)
            if request.method != "GET":
                self.lease = await request.json()
            return web.json_response(self.lease)
        if request.method == "POST" and parts[-1] == names.JOB.plural:
            made = await request.json()
            made["metadata"] |= {"uid": f"job-{len(self.jobs)}", "resourceVersion": "1"}
            self.jobs.append(made)
            return web.json_response(made, status=201)
        if request.method == "POST":
            self.events.append(await request.json())
            return web.json_response({}, status=201)
        if "recmodels" in parts:
            self.status = (await request.json())["status"]
            return web.json_response({})
        if request.method == "GET":
            if "namespaces" not in parts:
                if parts[-1] == self.hides:
                    return web.json_response({"message": "forbidden"}, status=403)
                if parts[-1] in self._kinds or parts[-1] in ("pods", "horizontalpodautoscalers"):
                    return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})
                return web.json_response({"message": "no"}, status=404)
            return web.json_response({"message": "no"}, status=404)
        body, kind = await request.json(), self._kinds[parts[parts.index("namespaces") + 2]]
        if parts[-1] == "scale":
            scale = await self.cluster.apply_replicas(kind, "shop", parts[-2], body["spec"]["replicas"])
            return web.json_response(scale)
        return web.json_response(await self.cluster.apply(kind, body))


class Seeing(Decider):
    """A decider whose Prometheus says the same all the time."""

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        pools = {"cpu": PoolReading(rate_per_second=5.0, latency={0.1: 5.0, float("inf"): 5.0})}
        reading = ModelReading(Verdict.AVAILABLE, "MetricsFound", "found", pools)
        return Readings(now_seconds, {view.key: reading for view in views}, queries=7)


class Remembering(Seeing):
    """Notes whose past is asked for; Prometheus does not answer the first ``deaf`` times."""

    def __init__(self, deaf: int = 0) -> None:
        super().__init__(None, GatherSettings(), 1.0, 3600.0, 60.0)  # type: ignore[arg-type]
        self.asked: list[list[str]] = []
        self.deaf = deaf

    def read_history(self, views: Sequence[ModelView], now_seconds: float) -> dict[str, History]:
        self.asked.append([view.key for view in views])
        if len(self.asked) <= self.deaf:
            raise PrometheusUnavailable("nobody answers")
        seconds = np.arange(now_seconds - 3600.0, now_seconds, 60.0)
        return {view.key: History(seconds, np.full(seconds.size, 20.0)) for view in views}


def recmodel(**metadata: Any) -> dict[str, Any]:
    body = copy.deepcopy(GOOD)
    body["metadata"] |= {"uid": "u", "generation": 1, **metadata}
    body["spec"]["route"] = {"parentRefs": [{"name": "edge"}]}
    return body


async def operated(story: Any, judge: Decider | None = None, hides: str = "", **more: Any) -> Api:
    """Runs a story with the whole operator but kopf, against the API server above."""
    api = Api(hides)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server:
        credentials = Credentials(str(server.make_url("")).rstrip("/"), False, Configuration())
        settings = Settings(tick_seconds=1.0, **{"history_seconds": 0, **more})
        judge = judge or Seeing(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
        operator = Operator(settings, Client(credentials), judge, Metrics())
        await operator.start()
        try:
            await story(operator, api)
            assert operator.healthy
        finally:
            await operator.stop()
    return api


def test_a_recmodel_is_served_decided_on_and_reported() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(2.2)
        assert api.cluster.weights() == [1000]
        assert api.status["pools"][0]["loadPerSecond"] == "5.00"
        assert {c["type"]: c["status"] for c in api.status["conditions"]}["MetricsAvailable"] == "True"
        assert api.status["decisions"][0]["replicas"]["cpu"] >= 1
        writes = len(api.cluster.writes)
        await asyncio.sleep(2.0)
        assert len(api.cluster.writes) == writes, "a steady model causes no writes"
        operator.forget("shop/feed")
        assert operator.keeper.models == {}

    asyncio.run(operated(story))


def test_an_invalid_edit_touches_nothing_that_serves_and_says_so_at_once() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        await asyncio.sleep(0.5)
        writes = len(api.cluster.writes)
        assert writes > 0
        bad = recmodel(generation=2)
        bad["spec"]["pools"][0]["replicas"] = {"min": 9, "max": 1}
        operator.observe(bad)
        await asyncio.sleep(0.3)
        assert api.status["conditions"][0]["reason"] == "InvalidSpec"
        assert len(api.cluster.writes) == writes
        operator.observe(recmodel(generation=3))
        await asyncio.sleep(0.3)
        assert api.status["conditions"][0]["reason"] != "InvalidSpec"

    asyncio.run(operated(story))


def optimising(**metadata: Any) -> dict[str, Any]:
    body = recmodel(**metadata)
    container = {"name": "optimise", "image": "optimiser:1"}
    body["spec"] |= {
        "variants": [{"name": "int8"}],
        "optimisation": {"template": {"spec": {"containers": [container]}}},
    }
    return body


def said(api: Api, kind: str) -> tuple[str, str]:
    """A condition in the status that was written last."""
    return next((c["status"], c["reason"]) for c in api.status["conditions"] if c["type"] == kind)


def exported(operator: Operator) -> list[tuple[str, str]]:
    """The same in the metric: status and reason of each series."""
    (family,) = operator._metrics.variants_ready.collect()
    return [(s.labels["status"], s.labels["reason"]) for s in family.samples if s.value == 1]


def ended(job: dict[str, Any], kind: str, reason: str) -> dict[str, Any]:
    """The Job as the API's word of its end has it."""
    condition = {"type": kind, "status": "True", "reason": reason, "message": "said so"}
    metadata = {**job["metadata"], "resourceVersion": "2"}
    return {**job, "metadata": metadata, "status": {"conditions": [condition]}}


def test_a_job_that_fails_is_said_and_told_and_changes_nothing_that_serves() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(2.2)
        (job,) = api.jobs
        assert said(api, "VariantsReady") == ("Unknown", "OptimisationRunning")
        assert exported(operator) == [("Unknown", "OptimisationRunning")]
        assert api.status["optimisationJob"] == job["metadata"]["name"]
        ready, writes = said(api, "Ready"), len(api.cluster.writes)
        operator.inventory.see(names.JOB, "MODIFIED", ended(job, "Failed", "DeadlineExceeded"))
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("False", "OptimisationFailed")
        assert exported(operator) == [("False", "OptimisationFailed")]
        (event,) = [event for event in api.events if event["reason"] == "OptimisationFailed"]
        assert event["type"] == "Warning"
        assert "DeadlineExceeded: said so" in event["message"]
        assert said(api, "Ready") == ready
        assert (len(api.cluster.writes), len(api.jobs)) == (writes, 1)
        operator.observe(recmodel(generation=2))
        await asyncio.sleep(1.2)
        assert exported(operator) == [], "without spec.optimisation there is nothing to say of a Job"

    asyncio.run(operated(story))


def test_the_metric_of_a_job_goes_with_its_recmodel() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(1.2)
        tracked = operator.keeper.models["shop/feed"]
        assert exported(operator) == [("Unknown", "OptimisationRunning")]
        operator.forget("shop/feed")
        operator._report(tracked)  # a worker may still be at it
        assert exported(operator) == []

    asyncio.run(operated(story))


@pytest.mark.parametrize(("hidden", "serves"), [("jobs", True), ("pods", False)])
def test_nothing_that_serves_waits_for_the_right_to_see_jobs(hidden: str, serves: bool) -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(2.2)
        assert bool(api.cluster.writes) == serves
        assert ("Ready" in {c["type"] for c in api.status.get("conditions", [])}) == serves

    asyncio.run(operated(story, hides=hidden))


def test_a_job_that_ended_well_and_is_gone_is_still_known_to_a_new_process() -> None:
    async def first(operator: Operator, api: Api) -> None:
        operator.inventory.see(names.CONFIG_MAP, "ADDED", config_map(record()))
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(1.2)
        operator.inventory.see(names.JOB, "MODIFIED", ended(api.jobs[0], "Complete", "CompletionsReached"))
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("True", "OptimisationComplete")
        assert "OptimisationComplete" in [event["reason"] for event in api.events]
        operator.inventory.see(names.JOB, "DELETED", api.jobs[0])
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("True", "OptimisationComplete")
        assert len(api.jobs) == 1

    stands = asyncio.run(operated(first)).status

    async def second(operator: Operator, api: Api) -> None:
        operator.inventory.see(names.CONFIG_MAP, "ADDED", config_map(record()))
        operator.observe({**optimising(), "status": stands})
        operator.listed()
        await asyncio.sleep(1.5)
        assert api.jobs == []
        operator.observe({**optimising(generation=2), "status": stands})  # has the status written, whatever stands
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("True", "OptimisationComplete")
        assert "OptimisationComplete" not in [event["reason"] for event in api.events]
        assert api.jobs == []

    asyncio.run(operated(second))


def test_an_old_word_of_a_recmodel_and_one_that_is_being_deleted_start_no_work() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel(generation=5))
        await asyncio.sleep(0.3)
        writes = len(api.cluster.writes)
        operator.observe(recmodel(generation=4))
        await asyncio.sleep(0.2)
        assert operator.keeper.models["shop/feed"].generation == 5
        operator.observe(recmodel(generation=6, deletionTimestamp="2026-01-01T00:00:00Z"))
        await asyncio.sleep(0.2)
        assert operator.keeper.models == {}
        assert len(api.cluster.writes) == writes

    asyncio.run(operated(story))


def lease(holder: str) -> dict[str, Any]:
    metadata = {"name": "recmodel", "namespace": "here", "resourceVersion": "1"}
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 10, "renewTime": "2026-01-01T00:00:00.000000Z"}
    return {"metadata": metadata, "spec": spec}


def test_one_that_stands_by_learns_along_writes_nothing_and_takes_over_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.2)
    stands = {"conditions": [], "state": "Tracking", "decisions": [
        {"time": "2026-01-01T00:00:00Z", "state": "Tracking", "replicas": {"cpu": 7}, "weights": {"cpu": 1000},
         "reason": "Steady", "message": "by the other one"},
    ]}  # fmt: skip

    async def story(operator: Operator, api: Api) -> None:
        api.lease = lease("another one")
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.7)
        assert api.cluster.writes == []
        assert api.status == {}
        assert operator.healthy
        operator.observe({**recmodel(), "status": stands})
        api.lease = lease("")
        await asyncio.sleep(1.7)
        assert api.lease["spec"]["holderIdentity"] == "me"
        assert api.cluster.weights() == [1000]
        assert [d["message"] for d in api.status["decisions"]][-1:] == ["by the other one"]
        writes = len(api.cluster.writes)
        api.lease = lease("a third one")
        await asyncio.sleep(0.6)
        operator.observe(recmodel(generation=2, name="feed"))
        await asyncio.sleep(1.2)
        assert len(api.cluster.writes) == writes
        assert operator.healthy

    api = asyncio.run(operated(story, lease_name="recmodel", lease_namespace="here", identity="me"))
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == "a third one"  # what is not ours is not given back


def test_one_that_ends_gives_the_lease_back() -> None:
    async def story(operator: Operator, api: Api) -> None:
        await asyncio.sleep(0.3)
        assert operator.lease is not None
        assert operator.lease.held

    api = asyncio.run(operated(story, lease_name="recmodel", lease_namespace="here", identity="me"))
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == ""


def test_the_past_of_models_that_come_later_is_read_once_and_together() -> None:
    judge = Remembering()

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.8)
        assert judge.asked == [["shop/feed"]]
        for name in ("late", "later"):
            operator.observe(recmodel(name=name, uid=name))
        await asyncio.sleep(2.2)
        assert judge.asked == [["shop/feed"], ["shop/late", "shop/later"]]
        operator.forget("shop/late")
        await asyncio.sleep(1.2)
        operator.observe(recmodel(name="late", uid="made anew"))
        await asyncio.sleep(1.2)
        assert judge.asked[2:] == [["shop/late"]]
        assert judge._memory is not None
        assert np.isfinite(judge._memory.forecast.season).any(1).all()

    asyncio.run(operated(story, judge, history_seconds=3600))


def test_a_past_that_cannot_be_read_holds_no_tick_up_and_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "RETRY_SECONDS", 1.0)
    judge = Remembering(deaf=2)

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.0)
        assert operator.keeper.models["shop/feed"].decision is not None
        assert len(judge.asked) == 1
        await asyncio.sleep(2.5)
        assert judge.asked == [["shop/feed"]] * 3

    asyncio.run(operated(story, judge, history_seconds=3600))


def test_a_reading_of_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "MODELS_A_READING", 2)
    judge = Remembering()

    async def run() -> None:
        known = past.Past(judge, list)
        known.want([ModelView("shop", name, 0.1, 0.95, SpecMetrics(), ()) for name in "abcde"], 7200.0)
        await known.first(5.0)
        await known.stop()

    asyncio.run(run())
    assert judge.asked == [["shop/a", "shop/b"], ["shop/c", "shop/d"], ["shop/e"]]


def test_what_was_left_of_the_accuracy_budget_is_taken_over() -> None:
    pools = (Pool("full", 1, 9, 1.0, accuracy_loss_ratio=0.0), Pool("light", 1, 9, 1.0, accuracy_loss_ratio=0.04))
    models = [Model(key, 0.95, 0.1, pools, accuracy_budget_ratio=0.01) for key in ("shop/a", "shop/b")]
    seen = [Observation(0.0, {p.name: PoolObservation(2, 2, rate_per_second=10.0) for p in pools}) for _ in models]
    judge = decider()
    judge.recall("shop/a", 0.62)
    judge.recall("shop/b", None)
    decisions, _ = judge.decide(models, seen, 0.0)
    assert decisions["shop/a"].accuracy_budget_left_ratio == pytest.approx(0.62)
    assert decisions["shop/b"].accuracy_budget_left_ratio == 0.0
    judge.recall("shop/a", 0.1)  # only the first load counts
    decisions, _ = judge.decide(models, seen, 15.0)
    left = decisions["shop/a"].accuracy_budget_left_ratio
    assert left is not None
    assert left > 0.5

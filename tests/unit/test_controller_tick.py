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

from recmodel.cluster import names
from recmodel.cluster.client import Client
from recmodel.cluster.credentials import Credentials
from recmodel.controller import tick as tick_module
from recmodel.controller.metrics import Metrics
from recmodel.controller.operator import Operator
from recmodel.controller.settings import Settings
from recmodel.controller.tick import QUARANTINE_TICKS, Decider, Loop
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.prometheus import GatherSettings, History, ModelReading, ModelView, PoolReading, Readings, Verdict

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
    """An API server over HTTP: lists and watches that stay silent, writes into a dictionary."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.status: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self._kinds = {kind.plural: kind for kind in names.CHILD_KINDS}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if request.query.get("watch"):
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.sleep(30)
            return response
        if request.method == "POST":
            self.events.append(await request.json())
            return web.json_response({}, status=201)
        if "recmodels" in parts:
            self.status = (await request.json())["status"]
            return web.json_response({})
        if request.method == "GET":
            if "namespaces" not in parts:
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


def recmodel(**metadata: Any) -> dict[str, Any]:
    body = copy.deepcopy(GOOD)
    body["metadata"] |= {"uid": "u", "generation": 1, **metadata}
    body["spec"]["route"] = {"parentRefs": [{"name": "edge"}]}
    return body


async def operated(story: Any) -> Api:
    """Runs a story with the whole operator but kopf, against the API server above."""
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server:
        credentials = Credentials(str(server.make_url("")).rstrip("/"), False, Configuration())
        settings = Settings(tick_seconds=1.0, history_seconds=0)
        judge = Seeing(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
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

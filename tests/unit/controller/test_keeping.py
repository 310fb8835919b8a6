"""What was learned survives the process: it is in the status when the operator ends, and known at the first decision of the next one."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from builders import virtual_time
from builders.deciders import decider
from builders.inventories import deployment, pod
from builders.operator_stage import Api, Seeing, operated, recmodel
from recmodel.cluster import names
from recmodel.controller import decider as decider_module
from recmodel.controller import keeping, kept_memory, status_refresh
from recmodel.controller.last_valid_spec import packed, unpacked
from recmodel.controller.operator import Operator
from recmodel.core import engine
from recmodel.core.kept import KeptModel
from recmodel.core.memory import Memory
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.prometheus import GatherSettings, Readings

LONG = 40.0  # virtual seconds, until a load was seen for longer than a rate window


def seeing() -> Seeing:
    return Seeing(None, GatherSettings(window_seconds=8.0, scrape_interval_seconds=2.0), 1.0, 0.0, 300.0)  # type: ignore[arg-type]


async def served(operator: Operator, seconds: float, status: Any = None, body: dict[str, Any] | None = None) -> None:
    """A RecModel as it stands, with a ready pod, for some seconds."""
    operator.observe({**(body or recmodel()), **({"status": copy.deepcopy(status)} if status else {})})
    operator.listed()
    if seconds:
        await asyncio.sleep(1.0)  # the pods are listed
        operator.inventory.see(names.POD, "ADDED", pod())
        await asyncio.sleep(seconds)


def held() -> Api:
    """An API server in which another operator acts."""
    api = Api()
    api.lease = {
        "metadata": {"name": "recmodel", "namespace": "here", "resourceVersion": "1"},
        "spec": {"holderIdentity": "other", "leaseDurationSeconds": 1000, "renewTime": "2026-01-01T00:00:00.000000Z"},
    }
    return api


@pytest.fixture(scope="module")
def left() -> dict[str, Any]:
    """The status that an operator leaves behind."""

    async def story(operator: Operator, api: Api) -> None:
        await served(operator, LONG)

    return operated(story, seeing()).status


def capacity_at_first(status: dict[str, Any], body: dict[str, Any] | None = None) -> float | None:
    """What the first decision of another process believes of a replica, with the status as it finds it."""
    seen: list[float | None] = []

    async def story(operator: Operator, api: Api) -> None:
        await served(operator, 0.0, status, body)
        tracked = operator.reconciler.models["shop/feed"]
        await virtual_time.until(lambda: tracked.decision is not None)
        assert tracked.decision is not None
        seen.append(tracked.decision.estimates["cpu"].capacity_per_replica)

    operated(story, seeing())
    return seen[0]


def test_the_first_decision_of_the_next_process_knows_what_the_last_one_knew(left: dict[str, Any]) -> None:
    assert capacity_at_first(left) == pytest.approx(float(left["pools"][0]["capacityPerReplica"]), rel=0.01)
    assert capacity_at_first({name: part for name, part in left.items() if name != "memory"}) is None


def test_an_older_operators_status_and_one_that_cannot_be_read_are_as_none(
    left: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert capacity_at_first({**left, "memory": "what is this"}) is None
    assert "shop/feed: status.memory is none that can be read, so it is left out" in caplog.text
    newer = packed({**(unpacked(left["memory"]) or {}), "version": 9})
    assert capacity_at_first({**left, "memory": newer}) is None
    assert "version is 9" in caplog.text
    assert capacity_at_first({**left, "memory": 7}) is None
    # The rest of the status may be a newer operator's.
    assert capacity_at_first({**left, "rollouts": "in other words"}) is not None


def test_price_and_limits_may_change_meanwhile_and_the_template_makes_it_doubtful(left: dict[str, Any]) -> None:
    dearer, other = recmodel(), recmodel()
    dearer["spec"]["pools"][0] |= {"costPerHour": "7.5", "replicas": {"min": 2, "max": 20}}
    other["spec"]["pools"][0]["template"]["spec"]["containers"][0]["image"] = "another:1"

    def version(body: dict[str, Any]) -> str:
        found: list[str] = []

        async def story(operator: Operator, api: Api) -> None:
            operator.observe({**body, "status": left})
            kept = operator._decider._kept["shop/feed"](time.time())
            assert kept is not None
            found.extend(pool.version for pool in kept.pools)

        operated(story, seeing())
        return found[0]

    same = version(recmodel())
    assert version(dearer) == same
    assert version(other) != same
    assert capacity_at_first(left, other) is not None


def test_it_is_written_rarely_and_with_a_status_that_is_written_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keeping.KEEP_SECONDS == 300.0
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 25.0)
    monkeypatch.setattr(status_refresh, "LEAST_SECONDS", 10.0)
    written: list[tuple[str | None, str]] = []

    async def story(operator: Operator, api: Api) -> None:
        await served(operator, 20.0)
        for _ in range(60):
            await asyncio.sleep(1.0)
            written.append((api.status.get("memory"), api.status["lastDecisionTime"]))

    last = operated(story, seeing()).status["memory"]
    memories, times = ({one[i] for one in written} for i in (0, 1))
    assert 2 <= len(memories) <= 4
    assert len(times) >= 5
    assert last not in memories  # once more at the end


def test_one_that_never_saw_a_load_leaves_what_was_kept_and_one_that_stands_by_writes_nothing(
    left: dict[str, Any],
) -> None:
    class Blind(Seeing):
        def gather(self, views: Any, now_seconds: float) -> Any:
            return Readings(now_seconds, {}, queries=1)

    async def story(operator: Operator, api: Api) -> None:
        await served(operator, 5.0, left)

    blind = Blind(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
    assert operated(story, blind).status["memory"] == left["memory"]

    by = operated(story, seeing(), api=held(), lease_name="recmodel", lease_namespace="here", identity="me")
    assert by.status == {}


def test_one_that_stands_by_takes_over_what_the_one_that_acts_had_learned(left: dict[str, Any]) -> None:
    """Also where that was written after it began, and nothing of it was known then."""
    believed: list[float | None] = []
    made = deployment()
    made["metadata"]["ownerReferences"] = [{"kind": "RecModel", "name": "feed", "uid": "u", "controller": True}]

    async def story(operator: Operator, api: Api) -> None:
        await served(operator, 2.0)
        operator.inventory.see(names.DEPLOYMENT, "ADDED", made)
        tracked = operator.reconciler.models["shop/feed"]
        for status in (None, left):
            if status is not None:
                operator.observe({**recmodel(), "status": copy.deepcopy(status)})
            await asyncio.sleep(1.5)
            assert tracked.decision is not None
            believed.append(tracked.decision.estimates["cpu"].capacity_per_replica)
        assert api.status == {}

    operated(story, seeing(), api=held(), lease_name="recmodel", lease_namespace="here", identity="me")
    assert believed[0] is None
    assert believed[1] == pytest.approx(float(left["pools"][0]["capacityPerReplica"]), rel=0.01)


def test_many_are_read_in_parts_and_one_that_breaks_the_reading_is_left_out_alone(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decider_module, "KEPT_AT_ONCE", 2)
    models = [Model(f"shop/{i}", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for i in range(5)]
    kept = kept_memory.read(left["memory"], {"cpu": ""}, time.time())[0]
    assert kept is not None
    judge = decider()
    for model in models:
        judge.take_back(model.key, lambda _, kept=kept: replace(kept, threshold_seconds=0.1))  # type: ignore[misc]
    judge.take_back("shop/3", lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    judge.decide(models, [Observation(0.0, {"cpu": PoolObservation(2, 2, rate_per_second=10.0)})] * 5, 1e9)
    found = [judge.keep(model.key) for model in models]
    assert [len(one.pools) if one else None for one in found] == [1, 1, 1, 0, 1]
    assert "shop/3: what was kept of it cannot be read" in caplog.text


def test_what_is_kept_is_read_once_though_one_model_breaks_the_deciding_and_nothing_of_it_is_lost(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, Any]
) -> None:
    """Deciding is tried again for ever smaller parts; thousands of texts read each time would hold all up for minutes."""
    kept = kept_memory.read(left["memory"], {"cpu": ""}, time.time())[0]
    assert kept is not None
    models = [Model(f"shop/{i}", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for i in range(9)]
    broken, asked = {"shop/3"}, list[str]()

    def step(memory: Memory, observations: Any, now_seconds: float) -> Any:
        if broken & {model.key for model in memory.fleet.models}:
            raise ValueError("a broken one")
        return engine.step(memory, observations, now_seconds)

    def read(key: str) -> Callable[[float], KeptModel]:
        return lambda _: asked.append(key) or replace(kept, threshold_seconds=0.1)  # type: ignore[func-returns-value]

    monkeypatch.setattr(decider_module, "step", step)
    judge = decider()
    for model in models:
        judge.take_back(model.key, read(model.key))
    seen = [Observation(0.0, {"cpu": PoolObservation(2, 2, rate_per_second=10.0)})] * 9
    assert judge.decide(models, seen, 1e9)[1].keys() == broken
    assert sorted(asked) == [model.key for model in models]
    broken.clear()
    for tick in range(1, decider_module.QUARANTINE_TICKS + 2):
        judge.decide(models, seen, 1e9 + 15.0 * tick)
    found = [judge.keep(model.key) for model in models]
    assert [len(one.pools) if one else None for one in found] == [1] * 9
    assert len(asked) == 9


def test_an_end_at_which_the_api_server_refuses_or_is_away_is_an_end_all_the_same() -> None:
    async def story(operator: Operator, api: Api) -> None:
        await served(operator, 5.0)
        api.away = True

    assert operated(story, seeing()).away

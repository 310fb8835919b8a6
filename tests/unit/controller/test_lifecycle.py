"""RecModels that go leave nothing behind, one of the same name starts clean, and an operator that decides none is ill."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from builders.operator_stage import Api, invalid_recmodel, operated, recmodel
from recmodel.cluster import names
from recmodel.cluster.observed.backends import REMEMBERED_SECONDS
from recmodel.controller import operator as operator_module
from recmodel.controller.operator import Operator

Object = dict[str, Any]


def pod(model: str, uid: str, ready: bool = True, **metadata: Any) -> Object:
    """A pod that had a node after one second and became ready after five."""
    found = {
        "namespace": "shop", "name": f"{model}-{uid}", "uid": uid, "resourceVersion": "",
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {names.MODEL_LABEL: model, names.POOL_LABEL: "cpu"},
    }  # fmt: skip
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
        *([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}] if ready else []),
    ]
    return {"metadata": {**found, **metadata}, "status": {"conditions": conditions}}


def sizes(part: Any, path: str = "", seen: set[int] | None = None) -> dict[str, int]:
    """The size of each collection that hangs from an object of ours, by its path."""
    seen = set() if seen is None else seen
    if id(part) in seen:
        return {}
    seen.add(id(part))
    found: dict[str, int] = {}
    if isinstance(part, dict | set | list | tuple | frozenset):
        if "metrics" not in path and "registry" not in path:
            found[path] = len(part)
        return found
    if type(part).__module__.startswith("recmodel.") and hasattr(part, "__dict__"):
        for name, value in vars(part).items():
            found |= sizes(value, f"{path}.{name}", seen)
    return found


def series(operator: Operator) -> set[tuple[str, ...]]:
    """The operator's series that are of a RecModel."""
    metrics = operator._metrics.registry.collect()
    return {
        (sample.name, *sample.labels.values())
        for metric in metrics
        for sample in metric.samples
        if "model" in sample.labels
    }


def gone(operator: Operator, api: Api, name: str) -> None:
    """Deletes a RecModel; the cluster's garbage collector takes its children and pods."""
    operator.forget(f"shop/{name}")
    collected(operator, api, name)


def collected(operator: Operator, api: Api, name: str) -> None:
    """What the garbage collector takes of a RecModel that is gone."""
    for kind in names.CHILD_KINDS:
        for place in [p for p in api.cluster.objects if p[0] == kind.kind]:
            obj = api.cluster.objects[place]
            if obj["metadata"]["labels"][names.MODEL_LABEL] == name:
                operator.inventory.see(kind, "DELETED", api.cluster.objects.pop(place))
    leaving = pod(name, f"pod-{name}", deletionTimestamp="2026-01-01T01:00:00Z")
    operator.inventory.see(names.POD, "MODIFIED", leaving)
    operator.inventory.see(names.POD, "DELETED", leaving)


def test_a_hundred_recmodels_that_come_and_go_leave_nothing_behind() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.8)
        before, known = sizes(operator), series(operator)
        others = [f"model-{number}" for number in range(100)]
        for name in others:
            operator.observe(recmodel(name=name, uid=name))
            for ready in (False, True):
                operator.inventory.see(names.POD, "MODIFIED", pod(name, f"pod-{name}", ready))
        operator._decider._quarantined["shop/model-7"] = 20, "poison"
        for _ in range(60):
            await asyncio.sleep(0.5)
            if sum(t.decision is not None for t in operator.reconciler.models.values()) >= 100:
                break
        assert sum(t.decision is not None for t in operator.reconciler.models.values()) >= 100
        assert len(series(operator)) > 100 * len(known) / 2
        for name in others:
            gone(operator, api, name)
            operator.reconciler.wake(f"shop/{name}")
        for _ in range(20):
            await asyncio.sleep(1.0)
            for name in others:  # what was being written meanwhile, too
                collected(operator, api, name)
            memory = operator._decider._memory
            known_models = 0 if memory is None else len(memory.fleet.models)
            if known_models == len(operator.inventory._children) == 1 and not len(operator.reconciler._queue):
                break
        assert memory is not None
        assert [model.key for model in memory.fleet.models] == ["shop/feed"]
        assert series(operator) == known
        after = sizes(operator)
        free = operator.inventory.free_routes
        free.left(names.ROUTE, ("shop", "another"), operator.inventory.clock() + REMEMBERED_SECONDS + 1.0)
        assert len(free._left) == 1  # since when a name is free is known for two hours, and no longer
        after.pop(".inventory.free_routes._left")
        assert {path: (before.get(path), size) for path, size in after.items() if size > before.get(path, 0)} == {}

    operated(story, acts_per_second=1000.0, acts_burst=10_000)


def test_the_same_name_made_at_once_starts_clean() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        await asyncio.sleep(0.5)
        for ready in (False, True):
            operator.inventory.see(names.POD, "MODIFIED", pod("feed", "old", ready))
        operator.listed()
        await asyncio.sleep(2.8)
        assert operator.inventory._startups.of("shop/feed", "cpu").starting_seconds == 4.0
        memory = operator._decider._memory
        assert memory is not None
        assert memory.forecast.known_ticks[0] >= 2
        operator.observe(recmodel(uid="made again"))  # its deletion was missed, its children still stand
        operator.inventory.see(names.POD, "MODIFIED", pod("feed", "old", deletionTimestamp="2026-01-01T01:00:00Z"))
        again = operator.reconciler.models["shop/feed"]
        assert (again.decision, again.applied.failed, again.versions.serving) == (None, None, {})
        state = operator._pools(again)["cpu"]
        assert (state.exists, state.ready, state.pods) == (False, 0, ())
        assert operator.inventory._startups.of("shop/feed", "cpu").starting_seconds is None
        assert series(operator) == set()
        gone(operator, api, "feed")
        operator.observe(recmodel(uid="made again"))
        await asyncio.sleep(2.5)
        again = operator.reconciler.models["shop/feed"]
        assert again.decision is not None
        memory = operator._decider._memory
        assert memory is not None
        assert memory.forecast.known_ticks[0] <= 3

    operated(story)


def test_no_decision_for_long_is_an_illness_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(operator: Operator, api: Api) -> None:
        monkeypatch.setattr(operator_module, "UNDECIDED_SECONDS", 4.0)
        monkeypatch.setattr(operator_module, "UNDECIDED_TICKS", 0)
        operator.observe(invalid_recmodel(name="bad", uid="b"))
        operator.listed()
        await asyncio.sleep(1.0)
        began = operator.tick.decided_at
        await asyncio.sleep(2.5)
        assert operator.tick.decided_at > began, "there is none that is valid"
        operator.observe(recmodel(name="good", uid="g"))
        await asyncio.sleep(2.5)
        value = operator._metrics.registry.get_sample_value
        assert (value("recmodel_known_models"), value("recmodel_decided_models")) == (1.0, 1.0)
        assert operator.healthy

        def fails(*_: Any) -> Any:
            raise KeyError("a fault")

        monkeypatch.setattr("recmodel.controller.tick.core_model", fails)
        await asyncio.sleep(6.0)
        assert operator.illness is not None
        assert "none was decided" in operator.illness
        assert (value("recmodel_known_models"), value("recmodel_decided_models")) == (1.0, 0.0)
        monkeypatch.undo()
        await asyncio.sleep(2.5)
        assert operator.healthy

    operated(story)

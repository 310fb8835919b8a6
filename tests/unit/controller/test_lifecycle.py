"""RecModels that go leave nothing behind, one of the same name starts clean, and an invalid edit survives a restart."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import zlib
from typing import Any

import pytest

from builders.operator_stage import Api, operated, recmodel
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.cluster.observed.backends import REMEMBERED_SECONDS
from recmodel.cluster.transport import client as client_module
from recmodel.cluster.transport import watch as watch_module
from recmodel.controller import operator as operator_module
from recmodel.controller import watches
from recmodel.controller.last_valid_spec import LARGEST_BYTES, packed, unpacked
from recmodel.controller.operator import Operator
from recmodel.controller.recalled import Recalled, recall
from recmodel.rollout.steps import as_dict, begin
from recmodel.rollout.trial import reported

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
        free.left(("shop", "another"), operator.inventory.clock() + REMEMBERED_SECONDS + 1.0)
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
        assert (again.decision, again.failed, again.versions.serving) == (None, None, {})
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


def invalid(**metadata: Any) -> Object:
    body = recmodel(generation=2, **metadata)
    body["spec"]["pools"][0]["template"]["spec"]["serviceAccountName"] = "admin"
    return body


def test_an_invalid_edit_and_a_restart_leave_the_model_managed_as_before() -> None:
    written: list[Object] = []

    async def first(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.8)
        operator.observe({**invalid(), "status": api.status})
        await asyncio.sleep(0.4)
        written.append(api.status)

    async def second(operator: Operator, api: Api) -> None:
        operator.observe({**invalid(), "status": written[0]})
        operator.listed()
        await asyncio.sleep(1.8)
        tracked = operator.reconciler.models["shop/feed"]
        assert tracked.spec is not None
        assert tracked.decision is not None
        assert tracked.invalid is not None
        assert "serviceAccountName" in tracked.invalid.message
        assert api.cluster.weights() == [1000]
        assert tracked.kept == written[0]["lastValidSpec"]
        operator.observe(recmodel(generation=3))
        await asyncio.sleep(0.4)
        assert operator.reconciler.models["shop/feed"].invalid is None

    operated(first)
    spec = unpacked(written[0]["lastValidSpec"])
    assert spec == recmodel()["spec"]
    operated(second)


@pytest.mark.parametrize(
    "kept",
    [
        None, "", "abc", "é", "A" * 70_000, base64.b64encode(b"no zlib").decode(),
        base64.b64encode(zlib.compress(b"[1]")).decode(), base64.b64encode(zlib.compress(b"{")).decode(),
        base64.b64encode(zlib.compress(b"[" * 100_000)).decode(),
        base64.b64encode(zlib.compress(b" " * 40_000_000 + b"{}")).decode(),  # 40 MB out of 40 kB
        packed(invalid()["spec"]), packed({"mode": "Auto", "pools": []}),
    ],
)  # fmt: skip
def test_what_is_kept_of_a_spec_is_held_to_the_same_rules(kept: str | None) -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe({**invalid(), "status": {"lastValidSpec": kept} if kept is not None else {}})
        tracked = operator.reconciler.models["shop/feed"]
        assert tracked.spec is None
        assert tracked.invalid is not None

    operated(story)


def test_the_crd_of_pod_monitors_that_is_installed_late_is_found_without_a_restart() -> None:
    async def story(operator: Operator, api: Api) -> None:
        body = recmodel()
        body["spec"]["metrics"] = {"profile": "triton"}
        operator.observe(body)
        operator.listed()
        await asyncio.sleep(3.0)
        assert ("HTTPRoute", "feed") in api.cluster.objects
        assert ("PodMonitor", "feed") not in api.cluster.objects
        api.monitors = True
        await asyncio.sleep(65.0)
        assert ("PodMonitor", "feed") in api.cluster.objects
        assert any("podmonitors" in path for method, path in api.requests if method == "GET")  # followed, too

    operated(story)


ROLLOUT = as_dict(begin("cpu", "full@7", 1.0))


@pytest.mark.parametrize("left", ["abc", "", "%", "nan%", "1e400%", "-5%", "101%", "[" * 5000, "\u0663%", "1_0 %"])
@pytest.mark.parametrize(
    "memory",
    [
        "[" * 4000, "null", "5", '"x"', "{}", '{"usual": 1}',
        json.dumps({**ROLLOUT, "usual": [10**400, 1]}), json.dumps({**ROLLOUT, "usual": [float("nan"), 0]}),
        json.dumps({**ROLLOUT, "usual": None, "requests": 10**400}), json.dumps({**ROLLOUT, "usual": None, "began": 1e300}),
    ],
)  # fmt: skip
def test_whatever_stands_in_the_status_the_recmodel_is_taken_in_and_reported(left: str, memory: str) -> None:
    """Somebody else may have written it, or an older operator: the model is managed all the same."""
    said = {
        "pool": "cpu",
        "to": "full@7",
        "phase": "Running",
        "since": "?",
        "reason": "R",
        "message": "m",
        "memory": memory,
    }
    body = {"status": {"accuracyBudgetLeft": left, "rollouts": [said]}}
    found = recall(body, Recalled(), 1e9)
    assert found.budget_left_ratio is None or 0.0 <= found.budget_left_ratio <= 1.0
    assert found.trials is not None
    trial = found.trials["cpu"]
    assert reported(trial, 0.5).to == "full@7"
    assert trial.shares_before is None


def test_a_spec_that_is_too_large_is_not_kept() -> None:
    assert packed({"x": "y" * LARGEST_BYTES}) is None
    assert unpacked(packed({"x": ["y"] * 1000})) == {"x": ["y"] * 1000}
    assert json.loads(json.dumps(copy.deepcopy(packed({"b": 1, "a": 2})))) == packed({"a": 2, "b": 1})


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "ABSENT_RECMODELS_SECONDS", 0.2)


@pytest.mark.usefixtures("_soon")
def test_a_crd_that_is_installed_late_deleted_and_installed_again_is_served() -> None:
    async def story(operator: Operator, api: Api) -> None:
        api.recmodels = "absent"
        await asyncio.sleep(1.5)
        assert operator.healthy
        api.recmodels = [recmodel(resourceVersion="1")]
        await asyncio.sleep(1.5)
        assert operator.reconciler.models["shop/feed"].owner.uid == "u"
        api.recmodels = "absent"
        api.end_watches()
        await asyncio.sleep(1.5)
        assert operator.reconciler.models == {}
        assert operator.healthy
        api.recmodels = [
            recmodel(uid="another", resourceVersion="1"),
            {"metadata": {"name": "odd", "namespace": "shop"}},
        ]
        await asyncio.sleep(1.5)
        assert operator.reconciler.models["shop/feed"].owner.uid == "another"

    operated(story)


def test_an_api_server_that_is_away_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRIES", 0)
    for module in (watches, watch_module):
        monkeypatch.setattr(module, "backoff_seconds", lambda failures: 0.1)

    async def story(operator: Operator, api: Api) -> None:
        await asyncio.sleep(1.0)
        assert operator.healthy
        assert operator.reconciler.models == {}
        api.away = False
        await asyncio.sleep(4.0)
        assert operator.reconciler.models["shop/feed"].decision is not None

    operated(story, listed=[recmodel(resourceVersion="1")], away=True)


def test_no_decision_for_long_is_an_illness_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(operator: Operator, api: Api) -> None:
        monkeypatch.setattr(operator_module, "UNDECIDED_SECONDS", 4.0)
        monkeypatch.setattr(operator_module, "UNDECIDED_TICKS", 0)
        operator.observe(invalid(name="bad", uid="b"))
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


@pytest.mark.parametrize("hidden", ["services", "poddisruptionbudgets", "horizontalpodautoscalers", "configmaps"])
def test_a_kind_that_cannot_be_followed_stops_only_those_who_need_it(hidden: str) -> None:
    async def story(operator: Operator, api: Api) -> None:
        variants = recmodel(name="tested", uid="t")
        variants["spec"]["variants"] = [{"name": "full"}]
        variants["spec"]["pools"][0]["variant"] = "full"
        operator.observe(recmodel())
        operator.observe(variants)
        operator.listed()
        await asyncio.sleep(2.8)
        assert operator.reconciler.models["shop/feed"].decision is not None
        waits = operator.reconciler.models["shop/tested"]
        assert (waits.decision is None) == (hidden == "configmaps")
        following = operator._metrics.registry.get_sample_value("recmodel_following", {"resource": hidden})
        assert following == 0.0
        if hidden == "configmaps":
            assert waits.decided.undecided is not None
            assert waits.decided.undecided.message == "not known yet: configmaps"
            api.hides = ""
            await until(lambda: waits.decision is not None)

    operated(story, hides=hidden)

"""What a status keeps for the next process: the last valid spec survives an invalid edit and a restart, and nothing in it is trusted."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import zlib
from typing import Any

import pytest

from builders.operator_stage import Api, invalid_recmodel, operated, recmodel
from recmodel.controller.last_valid_spec import LARGEST_BYTES, packed, unpacked
from recmodel.controller.operator import Operator
from recmodel.controller.recalled import Recalled, recall
from recmodel.rollout.steps import as_dict, begin
from recmodel.rollout.trial import reported


def test_an_invalid_edit_and_a_restart_leave_the_model_managed_as_before() -> None:
    written: list[dict[str, Any]] = []

    async def first(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.8)
        operator.observe({**invalid_recmodel(), "status": api.status})
        await asyncio.sleep(0.4)
        written.append(api.status)

    async def second(operator: Operator, api: Api) -> None:
        operator.observe({**invalid_recmodel(), "status": written[0]})
        operator.listed()
        await asyncio.sleep(1.8)
        tracked = operator.reconciler.models["shop/feed"]
        assert tracked.spec is not None
        assert tracked.decision is not None
        assert tracked.desired.invalid is not None
        assert "serviceAccountName" in tracked.desired.invalid.message
        assert api.cluster.weights() == [1000]
        assert tracked.desired.kept == written[0]["lastValidSpec"]
        operator.observe(recmodel(generation=3))
        await asyncio.sleep(0.4)
        assert operator.reconciler.models["shop/feed"].desired.invalid is None

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
        packed(invalid_recmodel()["spec"]), packed({"mode": "Auto", "pools": []}),
    ],
)  # fmt: skip
def test_what_is_kept_of_a_spec_is_held_to_the_same_rules(kept: str | None) -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe({**invalid_recmodel(), "status": {"lastValidSpec": kept} if kept is not None else {}})
        tracked = operator.reconciler.models["shop/feed"]
        assert tracked.spec is None
        assert tracked.desired.invalid is not None

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

"""What is kept of the memory as text of the status: small, exact enough, and nothing in it is trusted."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recmodel.controller.kept_memory import LARGEST_CHARACTERS, read, written
from recmodel.controller.last_valid_spec import packed, unpacked
from recmodel.core.arrays.fleet import Floats
from recmodel.core.capacity.bins import BINS
from recmodel.core.capacity.evidence import BINNED, LARGEST_WEIGHT
from recmodel.core.engine import step
from recmodel.core.forecast.errors import ERROR_BINS
from recmodel.core.kept import KeptForecast, KeptModel, KeptPool, with_kept
from recmodel.core.memory import begin
from recmodel.core.types import Model, Observation, Pool, PoolObservation

NOW = 1_790_000_000.0
NAMES = ("cpu", "gpu")
MADE = dict.fromkeys(NAMES, "as it is")
FEED = Model("shop/feed", 0.95, 0.1, tuple(Pool(name, 1, 50, 1.0, version="full@1") for name in NAMES))


def bins(count: int) -> Floats:
    """Of a pool that was seen at so many loads, from 20 requests/s on."""
    load = 20.0 * np.exp(0.06 * np.arange(count) + 0.013)
    late = np.linspace(0.0, 0.04, count)
    return np.array([
        load, np.full(count, 7.0), late, late + 0.001, np.linspace(30.0, LARGEST_WEIGHT, count), 5 * late,
        np.linspace(0.1, 0.9, count), np.linspace(3.0, 4000.0, count),
    ])  # fmt: skip


def learned(pools: int = 2, count: int = 30) -> KeptModel:
    random = np.random.default_rng(1)
    return KeptModel(
        NOW,
        0.1,
        tuple(
            KeptPool(name, "full@1", math.log(20.0) - 0.66, bins(count), 2)
            for name in [*NAMES, *(f"p{i}" for i in range(6))][:pools]
        ),
        KeptForecast(
            errors=random.gamma(0.3, 3.0, (4, 3, ERROR_BINS)).astype(np.float32),
            loss=random.uniform(0.01, 0.1, (4, 3)),
            day=random.normal(5.0, 0.5, 288).astype(np.float32),
            week=random.normal(0.0, 0.1, 336).astype(np.float16),
            jump=random.uniform(0.0, 0.7, 288).astype(np.float16),
            saved_by_week=0.0123,
            ahead_seconds=7200.0,
        ),
    )


TEXT, UNWRITTEN = written(learned(), MADE)
assert UNWRITTEN == []
BODY = unpacked(TEXT)
assert BODY is not None


def test_it_comes_back_as_it_was_to_a_fraction_of_what_it_is_known_to() -> None:
    before = learned()
    found, wrong = read(TEXT, MADE, NOW)
    assert wrong == []
    assert found is not None
    assert (found.time_seconds, found.threshold_seconds) == (NOW, 0.1)
    for old, new in zip(before.pools, found.pools, strict=True):
        assert (new.name, new.version, new.failed_retests) == (old.name, old.version, old.failed_retests)
        assert new.origin == pytest.approx(old.origin, abs=1e-4)
        assert new.bins == pytest.approx(old.bins, rel=1e-3, abs=1e-5)
    assert before.forecast is not None
    assert found.forecast is not None
    for name in ("errors", "loss", "day", "week", "saved_by_week", "ahead_seconds"):
        assert getattr(found.forecast, name) == pytest.approx(getattr(before.forecast, name), abs=1e-3), name
    assert found.forecast.jump == pytest.approx(before.forecast.jump, abs=0.006)


@pytest.mark.parametrize("pools", [1, 2, 8])
def test_it_has_a_few_kib_and_the_most_that_there_can_be_still_fits(pools: int) -> None:
    """Random numbers pack worse than any that were learned: 2,100 characters after six hours of two pools."""
    text, wrong = written(learned(pools, count=BINS), {})
    assert wrong == []
    assert text is not None
    assert len(text) <= LARGEST_CHARACTERS


def test_a_pool_that_is_made_from_something_else_counts_as_one_of_another_version_and_one_that_is_gone_not() -> None:
    found, wrong = read(TEXT, {"cpu": "another template", "arm": "new"}, NOW)
    assert found is not None
    assert wrong == []
    assert [(pool.name, pool.version == "full@1") for pool in found.pools] == [("cpu", False)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, None),
        ("", None),
        ("abc", "none that can be read"),
        ("A" * (LARGEST_CHARACTERS + 4), "none that can be read"),
        (packed({}), "version is None"),
        (packed({**BODY, "version": 2}), "version is 2"),
        (packed({**BODY, "version": "1"}), "version is '1'"),
        (packed({**BODY, "timeSeconds": math.nan}), "timeSeconds is nan"),
        (packed({**BODY, "timeSeconds": 10**400}), "timeSeconds is"),
        (packed({**BODY, "timeSeconds": NOW + 3600.0}), "3600 s from now"),
        (packed({**BODY, "thresholdSeconds": 0}), "thresholdSeconds is 0"),
    ],
)
def test_what_makes_all_of_it_useless_leaves_out_all(text: str | None, reason: str | None) -> None:
    found, wrong = read(text, MADE, NOW)
    assert found is None
    assert (reason is None and wrong == []) or (reason is not None and reason in " ".join(wrong))


def edited(part: str, **values: Any) -> str | None:
    body = json.loads(json.dumps(BODY))
    (body["pools"][0] if part == "pools" else body["forecast"]).update(values)
    return packed(body)


@pytest.mark.parametrize(
    ("text", "reason", "pools", "forecast"),
    [
        (edited("pools", load=[1.0]), r"the columns have \[1, 30\] numbers", ["gpu"], True),
        (edited("pools", load=[]), r"pools\[0\].load", ["gpu"], True),
        (edited("pools", load=[1.0] * 29 + [math.inf]), "load.29 is inf", ["gpu"], True),
        (edited("pools", weight=[1.0] * 29 + [1e5]), "weight.29 is 100000", ["gpu"], True),
        (edited("pools", weight=[True] * 30), "weight.0 is True", ["gpu"], True),
        (edited("pools", lateLow=[0.5] * 29 + [1.5]), "lateLow.29 is 1.5", ["gpu"], True),
        (edited("pools", origin=40.0), "origin is 40", ["gpu"], True),
        (edited("pools", failedRetests=10**400), "failedRetests", ["gpu"], True),
        (edited("pools", more="x"), "pools.0. has 14 fields, and 13 are known", ["gpu"], True),
        (edited("forecast", day=[1.0]), "forecast.day", ["cpu", "gpu"], False),
        (edited("forecast", day=[math.nan] * 288), "forecast.day.0 is nan", ["cpu", "gpu"], False),
        (edited("forecast", errors=[]), "forecast.errors is \\[\\]: List should have at least 4", ["cpu", "gpu"], False),
        (edited("forecast", errorsFrom=[[99] * 3] * 4), "errorsFrom.0.0 is 99", ["cpu", "gpu"], False),
        (edited("forecast", errorsFrom=[[95] * 3] * 4), None, ["cpu", "gpu"], True),  # what lies beyond the last is dropped
        (packed({**BODY, "pools": {}}), None, [], True),
        (packed({**BODY, "pools": [BODY["pools"][0]] * 20}), None, ["cpu"], True),
        (packed({**BODY, "forecast": 5}), "forecast is 5", ["cpu", "gpu"], False),
        (packed({**BODY, "forecast": None}), None, ["cpu", "gpu"], False),
    ],
)  # fmt: skip
def test_a_part_that_keeps_no_rule_is_left_out_alone_and_said(
    text: str | None, reason: str | None, pools: list[str], forecast: bool
) -> None:
    found, wrong = read(text, MADE, NOW)
    assert found is not None
    assert [pool.name for pool in found.pools] == pools
    assert (found.forecast is not None) == forecast
    if reason is None:
        assert wrong == []
    else:
        with pytest.raises(ValueError, match=reason):
            raise ValueError(" ".join(wrong))


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "pools": [[]] * 300_000},
        {**BODY, "forecast": {"errorsFrom": [["a"] * 250_000]}},
        {**BODY, "forecast": {"errors": [[["a"] * 90] * 2700]}},
        {**BODY, "forecast": {"errorsFrom": [["a"] * 15_000]}},
        {**BODY, "pools": [dict.fromkeys(map(str, range(3000)), 0)]},
        {**BODY, "pools": [{**pool, name: ["a"] * BINS} for pool in BODY["pools"] * 4 for name in ["load"]]},
    ],
)
def test_a_small_text_never_costs_more_than_a_large_one_of_ours(body: dict[str, Any]) -> None:
    """A KiB of packed text may be a MiB of anything, and of a MiB each number may be an error of its own: half a minute of work, which
    all RecModels of the tick would wait for.
    """
    text = packed(body)
    assert text is not None
    assert len(text) < LARGEST_CHARACTERS
    seconds = []
    for _ in range(3):  # the garbage of all tests before may be collected during one of them
        began = time.process_time()
        assert read(text, MADE, NOW)[1] != []
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.25


def test_a_name_that_is_none_of_ours_is_no_line_of_the_log() -> None:
    pool = {**BODY["pools"][0], "x\nERROR all is lost " + 9999 * "!": 0}
    lacks = {name: value for name, value in pool.items() if name != "slow"}  # as many fields as are known
    wrong = read(packed({**BODY, "pools": [pool, lacks | {"slow": 5}, lacks]}), MADE, NOW)[1]
    assert len(wrong) == 3
    assert all("\n" not in sentence and len(sentence) < 400 for sentence in wrong)


def test_what_would_not_be_read_is_not_written() -> None:
    before = learned()
    cpu, gpu = before.pools
    text, wrong = written(replace(before, pools=(replace(cpu, origin=math.nan), gpu)), MADE)
    assert "pool cpu.origin is nan" in wrong[0]
    found, said = read(text, MADE, NOW)
    assert said == []
    assert found is not None
    assert [pool.name for pool in found.pools] == ["gpu"]


NUMBERS = st.one_of(
    st.floats(), st.integers(-(10**20), 10**20), st.none(), st.booleans(), st.text(max_size=3), st.floats(0, 1)
)
JSON = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_stands_there_the_engine_decides(data: st.DataObject) -> None:
    """Any value of any field is replaced, or a number within its list; what is believed then never breaks a decision."""
    body = json.loads(json.dumps(BODY))
    part = data.draw(st.sampled_from([body, *body["pools"], body["forecast"]]))
    field = data.draw(st.sampled_from(sorted(part)))
    if isinstance(part[field], list) and data.draw(st.booleans()):
        part[field][data.draw(st.integers(0, len(part[field]) - 1))] = data.draw(NUMBERS)
    else:
        part[field] = data.draw(JSON)
    decides(read(packed(body), MADE, NOW)[0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_evidence_within_the_limits_is_one_that_the_engine_can_decide_with(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, BINS))
    limits = [(1e-6, 1e9), (1, 1e6), (0, 1), (0, 1), (1e-6, LARGEST_WEIGHT), (0, 1), (0, 10), (0, 1e9)]
    columns = np.array([data.draw(st.lists(st.floats(*limit), min_size=count, max_size=count)) for limit in limits])
    origin = math.log(columns[0, 0]) - data.draw(st.floats(0.0, 3.5))
    kept = replace(learned(), pools=tuple(KeptPool(name, "full@1", origin, columns) for name in NAMES))
    text, unwritten = written(kept, MADE)
    found, wrong = read(text, MADE, NOW)
    assert unwritten == wrong == []
    assert found is not None
    assert len(found.pools) == 2
    assert len(columns) == len(BINNED)
    decides(found)


def decides(kept: KeptModel | None) -> None:
    memory = with_kept(begin([FEED]), {FEED.key: kept} if kept is not None else {}, NOW)
    for tick in range(3):
        now = NOW + 15.0 * tick
        one = PoolObservation(3, 3, 0, 50.0, 45.0, 100.0, 0.0, {0.1: 99.0, math.inf: 100.0}, 0.4)
        memory, decisions = step(memory, [Observation(now, dict.fromkeys(NAMES, one))], now)
        decision = decisions[0]
        assert all(1 <= pool.replicas <= 50 for pool in decision.pools.values())
        assert all(math.isfinite(pool.weight) for pool in decision.pools.values())

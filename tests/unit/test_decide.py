"""The ``recmodel decide`` protocol: its example, its errors, and that the same lines give the same answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recmodel.core.types import Model
from recmodel.decide import InvalidManifest, decide, parse, read_model

MANIFEST = """
apiVersion: recmodel.dev/v1alpha1
kind: RecModel
metadata: {name: home-feed, namespace: shop}
spec:
  objective: {latency: {percentile: 95, threshold: 100ms}}
  pools:
  - name: cpu
    replicas: {min: 1, max: 200}
    costPerHour: "1.0"
    port: 8080
    template: {spec: {containers: [{name: server, image: "server:1", resources: {limits: {cpu: "2"}}}]}}
  - name: gpu
    replicas: {min: 0, max: 60}
    costPerHour: "1.6"
    port: 8080
    template: {spec: {containers: [{name: server, image: "server:1", resources: {limits: {nvidia.com/gpu: "1"}}}]}}
"""

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "decide.md").read_text(encoding="utf-8")
EXAMPLE, ANSWER = re.findall(r"^```json\n(.*)\n```$", PAGE, re.MULTILINE)  # the documented ones, letter by letter


@pytest.fixture
def model(tmp_path: Path) -> Model:
    path = tmp_path / "model.yaml"
    path.write_text(MANIFEST)
    return read_model(path)


def line(time: float, rate: float | None = 118.2, **cpu: Any) -> str:
    good = None if rate is None else {"0.05": 0.8 * rate, "0.1": 0.98 * rate, "+Inf": rate}
    seen = {"desired": 4, "ready": 4, "weight": 60.0, "rate": rate, "errors": 0.0, "latency": good, **cpu}
    return json.dumps({"time": time, "pools": {"cpu": seen, "gpu": {"desired": 0, "ready": 0}}})


def test_the_documented_answer_is_the_one_that_is_given() -> None:
    assert list(decide([EXAMPLE], read_model(ROOT / "manifests" / "samples" / "minimal.yaml"))) == [ANSWER]


def test_the_documented_example_is_answered_in_the_documented_shape(model: Model) -> None:
    (answer,) = (json.loads(text) for text in decide([EXAMPLE], model))
    assert answer["time"] == 86400.0
    assert set(answer["pools"]) == {"cpu", "gpu"}
    for pool in answer["pools"].values():
        assert set(pool) == {"replicas", "weight"}
        assert isinstance(pool["replicas"], int)
    assert answer["pools"]["cpu"]["weight"] == 100.0  # gpu has nothing ready
    assert answer["state"] in ("Tracking", "Learning")
    assert all(set(reason) == {"reason", "message"} for reason in answer["reasons"])
    assert set(answer["forecast"]["cpu"]) == {"seconds", "p50", "upper"}
    assert answer["forecast"]["cpu"]["upper"] > answer["forecast"]["cpu"]["p50"]


@pytest.mark.parametrize(("mode", "state"), [("Recommend", "Recommending"), ("Paused", "Paused")])
def test_the_state_tells_the_modes_apart_that_change_nothing(tmp_path: Path, mode: str, state: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(MANIFEST.replace("spec:\n  objective", f"spec:\n  mode: {mode}\n  objective"))
    answers = [json.loads(text) for text in decide([line(0.0), line(15.0, rate=None)], read_model(path))]
    assert [(answer["state"], answer["pools"]["cpu"]["replicas"]) for answer in answers] == [(state, 4)] * 2


BAD = {
    "": None,  # an empty line is no line
    "{": "not JSON",
    "[]": "must be an object with time and pools",
    "null": "must be an object with time and pools",
    '"NaN"': "must be an object with time and pools",
    "[" * 100_000: "not JSON",
    '{"time": 61.0, "pools": {"cpu": {"desired": 1, "ready": 1, "rate": "fast"}}}': "pools.cpu.rate: 'fast': Input should",
    '{"pools": {}}': "time: Field required",
    '{"time": NaN, "pools": {}}': "time: nan: Input should be a finite number",
    '{"time": "soon", "pools": {}}': "time: 'soon': Input should be a valid number",
    '{"time": 1e300, "pools": {}}': "time: 1e+300: Input should be less than or equal to",
    '{"time": -1e300, "pools": {}}': "time: -1e+300: Input should be greater than or equal to",
    '{"time": 61.0, "pools": {"tpu": {"desired": 1, "ready": 1}}}': "pools.tpu: the model has no such pool",
    '{"time": 61.0, "pools": {"cpu": {"desired": 1}}}': "pools.cpu.ready: Field required",
    '{"time": 61.0, "pools": {"cpu": {"desired": -1, "ready": 1}}}': "pools.cpu.desired: -1: Input should be greater than or equal to 0",
    '{"time": 61.0, "pools": {"cpu": {"desired": 1.5, "ready": 1}}}': "pools.cpu.desired: 1.5: Input should be a valid integer",
    '{"time": 61.0, "pools": {"cpu": {"desired": 1e400, "ready": 1}}}': "pools.cpu.desired: inf: Input should be a finite number",
    '{"time": 61.0, "pools": {"cpu": {"desired": 1, "ready": 1, "latency": {"fast": 1.0}}}}': "bucket edges",
    line(60.0): "time: 60.0 is not after 60.0",
    line(15.0): "time: 15.0 is not after 60.0",
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_a_line_that_is_no_observation_is_answered_by_one_error_and_changes_nothing(bad: str, model: Model) -> None:
    before, after = [line(45.0, 110.0), line(60.0)], [line(75.0, 130.0), line(90.0, 150.0)]
    expected = list(decide([*before, *after], model))
    found = list(decide([*before, bad, *after], model))
    rule = BAD[bad]
    if rule is None:
        assert found == expected
        return
    error = json.loads(found.pop(2))
    assert list(error) == ["error"]
    assert rule in error["error"]
    assert found == expected


def test_what_is_unknown_may_be_null_or_absent_or_not_a_number_and_is_the_same(model: Model) -> None:
    known = [line(15.0 * tick, 400.0) for tick in range(1, 9)]
    fields = (
        "unschedulable",
        "weight",
        "startupSeconds",
        "rate",
        "errors",
        "latency",
        "utilisation",
        "queue",
        "readyForSeconds",
    )
    null = json.dumps({"time": 200.0, "pools": {"cpu": {"desired": 4, "ready": 4, **dict.fromkeys(fields)}}})
    absent = json.dumps({"time": 200.0, "pools": {"cpu": {"desired": 4, "ready": 4}}})
    nan = (
        '{"time": 200.0, "pools": {"cpu": {"desired": 4, "ready": 4, "rate": NaN, "latency": {"0.1": NaN}}, "gpu": {}}}'
    )
    negative = '{"time": 200.0, "pools": {"cpu": {"desired": 4, "ready": 4, "rate": -3, "queue": -1}}}'
    answers = {list(decide([*known, text], model))[-1] for text in (null, absent, nan, negative)}
    (answer,) = (json.loads(text) for text in answers)
    assert answer["pools"]["cpu"]["replicas"] >= 4
    assert answer["state"] == "Holding"
    assert "MetricsMissing" in [reason["reason"] for reason in answer["reasons"]] or answer["pools"]["cpu"] == {
        "replicas": 4, "weight": 100.0,
    }  # fmt: skip


@pytest.mark.parametrize("pools", [{}, {"cpu": {}}, {"cpu": {}, "gpu": {"desired": 0, "ready": 0}}])
def test_a_pool_of_which_a_line_says_nothing_keeps_what_was_decided(pools: dict[str, Any], model: Model) -> None:
    """A line that a collector cut short is no fleet of nothing."""
    known = [line(15.0 * tick, 900.0, desired=20, ready=20) for tick in range(1, 9)]
    cut = [json.dumps({"time": 15.0 * tick, "pools": pools}) for tick in (9, 10)]
    answers = [json.loads(text) for text in decide([*known, *cut], model)]
    before = answers[7]["pools"]["cpu"]["replicas"]
    assert before > 10
    assert [(a["state"], a["pools"]["cpu"]) for a in answers[8:]] == [
        ("Holding", {"replicas": before, "weight": 0.0})
    ] * 2


@pytest.mark.parametrize("bucket", [-5.0, 1e300, None])
def test_a_bucket_that_no_rate_can_be_says_nothing_of_who_was_late(bucket: float | None, model: Model) -> None:
    odd = {"0.05": 80.0, "0.1": bucket, "+Inf": 118.2}
    told = [line(15.0 * tick, latency=odd) for tick in range(1, 9)]
    assert list(decide(told, model)) == list(decide([line(15.0 * tick, latency=None) for tick in range(1, 9)], model))


def test_the_same_input_gives_the_same_output_byte_for_byte(model: Model) -> None:
    rates = 200.0 + 80.0 * np.sin(np.arange(60) / 9.0)
    lines = [line(15.0 * (tick + 1), round(float(rate), 2)) for tick, rate in enumerate(rates)]
    assert list(decide(lines, model)) == list(decide(lines, model))


def test_answers_come_line_by_line_before_the_input_ends(model: Model) -> None:
    asked: list[int] = []

    def lines() -> Any:
        for tick in (1, 2):
            asked.append(tick)
            yield line(15.0 * tick)

    answers = decide(lines(), model)
    next(answers)
    assert asked == [1]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{", "model.yaml"),
        ("kind: Pod", "not a RecModel of recmodel.dev/v1alpha1"),
        ("a: " + "[" * 3000 + "]" * 3000, "maximum recursion depth exceeded"),
        (MANIFEST.replace("max: 60", "max: 0"), r"spec\.pools\.1\.replicas\.max: 0: Input should be greater"),
        (MANIFEST.replace("100ms", "fast"), r"spec\.objective\.latency\.threshold: 'fast': String should match"),
        (MANIFEST.replace("port: 8080", "prot: 8080", 1), r"spec\.pools\.0\.prot: 8080: Extra inputs"),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_the_field_and_the_rule(text: str, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(InvalidManifest, match=rule):
        read_model(path)


def test_two_spellings_of_an_edge_are_one(model: Model) -> None:
    def asked(latency: dict[str, float]) -> str:
        pool = {"desired": 4, "ready": 4, "rate": 150.0, "errors": 0.0, "latency": latency}
        return json.dumps({"time": 15.0, "pools": {"cpu": pool}})

    once, twice = (
        parse(asked(latency), model).pools["cpu"].latency
        for latency in ({"0.1": 135.0, "+Inf": 150.0}, {"0.1": 90.0, "0.10": 45.0, "Inf": 50.0, "+Inf": 100.0})
    )
    assert once == twice

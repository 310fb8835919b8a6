"""The command line: what it prints, its exit codes, and one real process that answers while it is still being asked."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recmodel import __version__
from recmodel.api.crd import crd_yaml
from recmodel.cli import main

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "manifests" / "samples" / "minimal.yaml"


def observation_line(time: float, rate: float = 300.0) -> str:
    latency = {"0.05": 0.7 * rate, "0.1": 0.99 * rate, "+Inf": rate}
    cpu = {"desired": 4, "ready": 4, "weight": 100.0, "rate": rate, "errors": 0.0, "latency": latency}
    return json.dumps({"time": time, "pools": {"cpu": cpu}})


def test_decide_answers_each_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{observation_line(15.0)}\nnonsense\n{observation_line(30.0)}\n"))
    assert main(["decide", "--model", str(SAMPLE)]) == 0
    answers = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [set(answer) & {"pools", "error"} for answer in answers] == [{"pools"}, {"error"}, {"pools"}]


def test_a_real_process_answers_each_line_before_the_next_is_sent() -> None:
    command = [sys.executable, "-m", "recmodel.cli", "decide", "--model", str(SAMPLE)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        for time in (15.0, 30.0):
            process.stdin.write(observation_line(time) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["time"] == time
        process.stdin.close()
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decide", "--model", "missing.yaml"], "recmodel decide: missing.yaml: "),
        (["decide", "--model", str(SAMPLE), "--history", "missing.csv"], "recmodel decide: "),
        (["explain", str(SAMPLE.parent / "missing.json")], "recmodel explain: "),
    ],
)
def test_wrong_input_ends_with_2_and_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == 1


def test_crds_prints_the_definition_and_version_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    assert capsys.readouterr().out == crd_yaml()
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


def test_explain_tells_the_story_of_a_recorded_decision(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(observation_line(15.0 * tick) for tick in range(1, 12))
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    main(["decide", "--model", str(SAMPLE)])
    recorded = capsys.readouterr().out
    last = json.loads(recorded.splitlines()[-1])
    monkeypatch.setattr("sys.stdin", io.StringIO(recorded))
    assert main(["explain"]) == 0
    story = capsys.readouterr().out
    assert story.startswith(f"at 165 s: cpu {last['pools']['cpu']['replicas']}, gpu ")
    assert f"({last['state']})" in story
    assert "traffic: cpu 100 %" in story
    for reason in last["reasons"]:
        assert f"{reason['reason']}: {reason['message']}" in story
    assert f"a replica of cpu carries {last['capacity']['cpu']['perReplica']:g}/s" in story
    assert f"at most {last['forecast']['cpu']['upper']:g}/s" in story
    assert (
        "100% of a week's latency budget is left: 0 of 2.75 known minutes were over the objective, 50.4 may be" in story
    )


def test_explain_tells_the_story_of_a_recmodel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decision = {
        "time": "2026-01-02T03:04:05Z", "state": "Tracking", "replicas": {"cpu": 5, "gpu": 1}, "weights": {"cpu": 600},
        "proposedReplicas": {"cpu": 4, "gpu": 1}, "reason": "ForecastRise", "message": "load 300/s", "runnerUp": "cpu 9 at 9.0",
    }  # fmt: skip
    body = {
        "kind": "RecModel",
        "metadata": {"name": "feed", "namespace": "shop"},
        "status": {
            "state": "Tracking",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "6 of 6 ready"}],
            "pools": [{"name": "cpu", "desired": 5, "ready": 4, "weight": 600, "capacityPerReplica": "121.5"}],
            "forecast": [{"pool": "cpu", "seconds": 100, "p50PerSecond": "310.0", "upperPerSecond": "390.0"}],
            "decisions": [decision],
            "accuracyBudgetLeft": "62%",
            "latencyBudgetLeft": "93%",
        },
    }
    path = tmp_path / "recmodel.json"
    path.write_text(json.dumps(body))
    assert main(["explain", str(path)]) == 0
    story = capsys.readouterr().out
    for part in (
        "shop/feed: Tracking", "Serving: 6 of 6 ready", "pool cpu: 4 of 5 ready, weight 600 of 1000",
        "a replica carries 121.5/s", "forecast for cpu: 310.0/s, at most 390.0/s within 100 s",
        "2026-01-02T03:04:05Z cpu 5, gpu 1 (Tracking, ForecastRise)", "the plan wanted cpu 4, gpu 1", "load 300/s",
        "next best: cpu 9 at 9.0", "62% of an hour's accuracy budget is left",
        "93% of a week's latency budget is left",
    ):  # fmt: skip
        assert part in story
    body["status"]["pools"][0]["plannedPerReplica"] = "60.0"
    path.write_text(json.dumps(body))
    assert main(["explain", str(path)]) == 0
    assert "a replica carries 121.5/s (the estimate; the plan counts on 60.0/s)" in capsys.readouterr().out
    del body["status"]
    path.write_text(json.dumps(body))
    assert main(["explain", str(path)]) == 0
    assert "no decision yet" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["List", "RecModelList"])  # of kubectl, and of the API
def test_explain_tells_of_each_recmodel_of_a_list(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [{"kind": "RecModel", "metadata": {"namespace": "shop", "name": name}} for name in ("a", "b")]
    for count, told in (
        (2, "shop/a: no decision yet\n\nshop/b: no decision yet\n"),
        (0, "there are no RecModels in this list\n"),
    ):
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"kind": kind, "items": items[:count]})))
        assert main(["explain"]) == 0
        assert capsys.readouterr().out == told
    mixed = {"kind": kind, "items": [*items, {"kind": "Pod"}]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(mixed)))
    assert main(["explain"]) == 2
    assert "nor a list of them" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", "hello", "kind: Pod", '{"error": "not JSON"}'])
def test_explain_refuses_what_it_does_not_know(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["explain"]) == 2
    assert "neither a RecModel" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        '{"pools": {}, "reasons": []}',
        '{"time": "x", "pools": {"cpu": 7}, "reasons": [], "state": "Tracking"}',
        '{"kind": "RecModel", "metadata": {"name": "a"}, "status": {"conditions": "x"}}',
        '{"kind": "RecModel", "metadata": {"name": "a"}, "status": {"pools": [{"name": "cpu"}]}}',
        '{"kind": "RecModel", "metadata": {"name": "a"}, "status": "abc"}',
    ],
)
def test_explain_refuses_what_was_changed_or_cut_short_in_one_line(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["explain"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("recmodel explain: a field of it is not as recmodel writes it")
    assert said.count("\n") == 1

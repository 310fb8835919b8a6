"""What the demo runs beside RecModel: the same pods, under an HPA with its defaults."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

from builders import demo_scenes as demo

sys.path.insert(0, str(demo.DEMO / "load"))

import beside
from recmodel.api.v1alpha1 import RecModelSpec

RUN = (demo.DEMO / "run.sh").read_text()


def test_the_same_cpu_pods_under_an_hpa(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["beside", "--prefix", "registry.example/"])
    beside.main()
    model, hpa = json.loads(capsys.readouterr().out)["items"]
    spec = RecModelSpec.model_validate(model["spec"])
    assert (spec.mode, [pool.name for pool in spec.pools]) == ("Recommend", ["cpu"])
    assert (
        model["spec"]["pools"][0]["template"]["spec"]["containers"][0]["image"]
        == "registry.example/recmodel-ranker:dev"
    )
    assert hpa["spec"]["scaleTargetRef"]["name"] == hpa["metadata"]["name"] == "ranker-hpa-cpu"
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 8)
    assert "metrics" not in hpa["spec"], "80 % of the requested CPU, which is the default"
    assert {model["metadata"]["namespace"], hpa["metadata"]["namespace"]} == {"demo"}


def test_the_script_sends_the_load_to_what_is_made() -> None:
    assert f"BESIDE={beside.NAME} " in RUN
    assert f'generator "$BESIDE_JOB" {beside.HOST} ' in RUN
    (host,) = yaml.safe_load(beside.SAMPLE.read_text())["spec"]["route"]["hostnames"]
    assert f'generator "$JOB" {host} ' in RUN
    assert "BESIDE_JOB=load-beside" in RUN, "demo/watch follows the Job JOB-beside"

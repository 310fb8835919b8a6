"""What the ranker's image and pods are made of fits together, and fits the API."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from recmodel.api.v1alpha1 import RecModelSpec

ROOT = Path(__file__).resolve().parents[3]
RANKER = ROOT / "demo" / "ranker"


def _locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (RANKER / name).read_text(), re.MULTILINE))


def test_the_model_is_made_with_the_runtime_that_serves_it() -> None:
    serving, training = _locked("requirements.lock"), _locked("training.lock")
    assert {"mlserver", "onnxruntime", "aiohttp", "prometheus-client", "numpy"} <= set(serving)
    assert "onnx" in training
    assert "onnx" not in serving
    assert {name: training[name] for name in training if name in serving} == {
        name: serving[name] for name in training if name in serving
    }


@pytest.mark.parametrize("name", ["requirements.lock", "training.lock"])
def test_every_package_is_pinned_by_hash(name: str) -> None:
    text = (RANKER / name).read_text()
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_dockerfile_copies_what_exists_and_does_not_run_as_root() -> None:
    text = (RANKER / "Dockerfile").read_text()
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert len(copied) > 8
    assert [source for source in copied if not (ROOT / source).is_file()] == []
    last = text.split("\nFROM ")[-1]
    assert re.search(r"^USER (\d+)", last, re.MULTILINE).group(1) != "0"  # type: ignore[union-attr]
    assert "training.lock" not in last


def test_the_pool_templates_are_accepted_by_the_api() -> None:
    parts: dict[str, Any] = yaml.safe_load((RANKER / "pool-templates.yaml").read_text())
    spec = RecModelSpec.model_validate(
        {
            "objective": {"latency": {"percentile": 95, "threshold": "100ms"}},
            "route": {"parentRefs": [{"name": "edge"}]},
            **parts,
        }
    )
    assert {pool.variant for pool in spec.pools} == {"fp32", "int8"}
    for pool in spec.pools:
        (container,) = pool.template.spec.containers
        ports = {port.name: port.container_port for port in container.ports or []}
        assert ports == {"http": pool.port, "metrics": 8082}


def test_the_server_settings_leave_to_the_environment_what_differs_between_pools() -> None:
    # MLServer lets its files win over the environment: what a pod sets must not stand in them.
    model = json.loads((RANKER / "model-settings.json").read_text())
    server = json.loads((RANKER / "settings.json").read_text())
    assert "uri" not in model["parameters"]
    assert not {"max_batch_size", "max_batch_time"} & set(model)
    assert not {"server_name", "http_port", "metrics_port"} & set(server)
    assert server["parallel_workers"] == 0
    parts = yaml.safe_load((RANKER / "pool-templates.yaml").read_text())
    for pool in parts["pools"]:
        names = {entry["name"] for entry in pool["template"]["spec"]["containers"][0]["env"]}
        assert {"MLSERVER_MODEL_URI", "MLSERVER_SERVER_NAME"} <= names

"""The Job's manifest and image fit the command, the record and the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from recmodel.api.records import config_map
from recmodel.arguments import parser
from recmodel.cluster.names import RECMODEL
from recmodel.variants.command import task_of
from recmodel.variants.record import read_target

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "operator" / "recmodel" / "variants" / "Dockerfile"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    documents = yaml.safe_load_all((ROOT / "manifests" / "optimise" / "job.yaml").read_text(encoding="utf-8"))
    return {body["kind"]: body for body in documents}


def test_the_arguments_are_the_commands(manifest: dict[str, Any]) -> None:
    (container,) = manifest["Job"]["spec"]["template"]["spec"]["containers"]
    options = parser().parse_args(container["args"])
    task = task_of(options)
    assert task.budget_ratio == 0.01
    assert list(task.designs) == ["narrow", "two-tower"]
    assert task.size == 200
    assert read_target(options.record) == ("demo", "ranker")


def test_the_account_may_do_what_the_record_takes_and_no_more(manifest: dict[str, Any]) -> None:
    pod = manifest["Job"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == manifest["ServiceAccount"]["metadata"]["name"]
    assert manifest["RoleBinding"]["subjects"][0]["name"] == pod["serviceAccountName"]
    assert manifest["RoleBinding"]["roleRef"]["name"] == manifest["Role"]["metadata"]["name"]
    written = config_map("demo", "ranker", [])["metadata"]["name"]
    allowed = {
        (rule["resources"][0], verb, *rule.get("resourceNames", ["*"]))
        for rule in manifest["Role"]["rules"]
        for verb in rule["verbs"]
    }
    assert allowed == {
        (RECMODEL.plural, "get", "ranker"),
        ("configmaps", "get", written),
        ("configmaps", "patch", written),
        ("configmaps", "create", "*"),
    }


def test_what_the_pod_runs_is_in_the_image(manifest: dict[str, Any]) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{source.split('/')[0]}" for source in copied} <= set(ignored)
    pod = manifest["Job"]["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["command"][1] == "/app/demo/paper/prepare.py"
    last = text.split("\nFROM ")[-1]
    assert "COPY demo/paper /app/demo/paper" in last
    assert re.search(r"^USER (\d+)", last, re.MULTILINE).group(1) != "0"  # type: ignore[union-attr]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_optimisers_versions_are_those_that_serve() -> None:
    def locked(path: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))

    making, serving, product, more = (
        locked(path)
        for path in (
            "requirements-variants.lock",
            "demo/ranker/requirements.lock",
            "requirements.lock",
            "requirements-openvino.lock",
        )
    )
    assert making["onnxruntime"] == serving["onnxruntime"]
    assert {"jax", "optax", "onnx", "scikit-learn"} <= set(making)
    assert not {"jax", "optax", "onnx", "onnxruntime", "scikit-learn"} & set(product)
    assert {name: making[name] for name in product} == product
    # NNCF comes on top of these and moves none of them; in the image it is not.
    assert "nncf" in set(more) - set(making)
    assert {name: version for name, version in more.items() if making.get(name, version) != version} == {}

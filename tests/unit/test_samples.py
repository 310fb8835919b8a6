"""Every sample, and every YAML and JSON block of the README and the docs, is what the operator really takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster.children.builders import Owner, children, route
from recmodel.cluster.observed import referenced
from recmodel.controller import left_namespaces, spec_reading
from recmodel.controller import tick as tick_module
from recmodel.controller.spec_reading import read_spec
from recmodel.core import reasons as core_reasons
from recmodel.core.types import Reason
from recmodel.decide import decide, read_model
from recmodel.prometheus import profile_for, readings
from recmodel.report import conditions, refusals, variant_conditions
from recmodel.rollout.known_variants import known_variants

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language in a page."""
    return [text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def recmodels(text: str) -> list[dict[str, Any]]:
    """The RecModels among the YAML documents of ``text``."""
    return [body for body in yaml.safe_load_all(text) if isinstance(body, dict) and body.get("kind") == KIND]


def test_there_are_the_samples_that_the_readme_names() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in SAMPLES} == {
        "attach.yaml", "custom-metrics.yaml", "grpc.yaml", "minimal.yaml", "ranker.yaml", "rollout.yaml", "three-pools.yaml", "triton.yaml",
    }  # fmt: skip
    assert [path.name for path in SAMPLES if path.name not in readme] == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_one_valid_recmodel_with_children(path: Path) -> None:
    (body,) = recmodels(path.read_text(encoding="utf-8"))
    assert body["apiVersion"] == API_VERSION
    spec = read_spec(body)
    assert not isinstance(spec, Reason), spec
    if spec.by_reference:  # which have none
        return
    owner = Owner(body["metadata"]["namespace"], body["metadata"]["name"], "uid")
    kinds = [kind.kind for kind, _ in children(owner, spec, True, profile_for(spec.metrics).pod_page)]
    assert kinds.count("Deployment") == len(spec.pools) == kinds.count("Service")
    if spec.route:
        backends = route(owner, spec, {pool.name: 1 for pool in spec.pools})["spec"]["rules"][0]["backendRefs"]
        assert len(backends) == len(spec.pools)


def test_what_is_tried_first_takes_no_traffic_of_others_and_fits_a_small_cluster() -> None:
    shown = [body for text in blocks(ROOT / "README.md", "yaml") for body in recmodels(text)]
    minimal = recmodels((ROOT / "manifests" / "samples" / "minimal.yaml").read_text(encoding="utf-8"))
    samples = [body for path in SAMPLES for body in recmodels(path.read_text(encoding="utf-8"))]
    assert shown
    assert samples
    for body in (*shown, *samples):
        assert body["spec"].get("route", {"hostnames": ["none"]})["hostnames"]
    (cheap,) = [pool for pool in minimal[0]["spec"]["pools"] if pool["name"] == "cpu"]
    (container,) = cheap["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "250m"}


def test_the_records_of_a_sample_fill_its_variants() -> None:
    text = (ROOT / "manifests" / "samples" / "rollout.yaml").read_text(encoding="utf-8")
    records, body = yaml.safe_load_all(text)
    spec = read_spec(body)
    assert not isinstance(spec, Reason), spec
    found = known_variants(spec, [records], {})
    assert found.problems == found.unmeasured == ()
    assert {pool.name for pool in spec.pools if (target := found.target(pool.name)) and target.uri} == {"full", "int8"}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_can_be_decided_on(path: Path) -> None:
    model = read_model(path)
    pools = {
        pool.name: {"desired": max(1, pool.min_replicas), "ready": max(1, pool.min_replicas)} for pool in model.pools
    }
    (answer,) = decide([json.dumps({"time": 0.0, "pools": pools})], model)
    assert set(json.loads(answer)["pools"]) == set(pools)


def test_the_demos_sample_has_the_pools_that_were_measured() -> None:
    (body,) = recmodels((ROOT / "manifests" / "samples" / "ranker.yaml").read_text(encoding="utf-8"))
    measured = yaml.safe_load((ROOT / "demo" / "ranker" / "pool-templates.yaml").read_text(encoding="utf-8"))
    assert {name: body["spec"][name] for name in measured} == measured


def test_a_wrong_sample_is_refused_with_the_field_and_the_rule(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((ROOT / "manifests/samples/minimal.yaml").read_text().replace("min: 0", "min: -1"))
    with pytest.raises(ValueError, match=r"spec\.pools\.1\.replicas\.min: -1: Input should be greater than or equal"):
        read_model(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_blocks_parse_and_their_recmodels_are_valid(page: Path) -> None:
    for text in blocks(page, "yaml"):
        documents = list(yaml.safe_load_all(text))
        assert documents
        assert None not in documents
        for body in recmodels(text):
            spec = read_spec(body)
            assert not isinstance(spec, Reason), spec


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_blocks_are_one_json_value_a_line(page: Path) -> None:
    for text in blocks(page, "json"):
        for line in text.splitlines():
            json.loads(line)


def test_the_readme_shows_a_recmodel() -> None:
    assert any(recmodels(text) for text in blocks(ROOT / "README.md", "yaml"))


def test_pages_made_from_the_code_are_fresh() -> None:
    script = ROOT / "hack" / "api-docs.py"
    result = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_reason_is_explained() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    modules = (
        core_reasons,
        readings,
        conditions,
        variant_conditions,
        refusals,
        spec_reading,
        tick_module,
        left_namespaces,
        referenced,
    )
    words = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and re.fullmatch(r"([A-Z][a-z]+)+", value)
    }
    assert {"ForecastRise", "NoSeries", "Serving", "NameTaken", "InvalidSpec", "DecidingFailed"} <= words
    assert sorted(word for word in words if f"`{word}`" not in manual) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    # Not pictures: they are made by `make demo`.
    for target in re.findall(r"(?<!!)\[[^\]]+\]\((?!https?://|#)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"

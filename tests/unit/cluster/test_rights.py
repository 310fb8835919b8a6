"""The rights that ``recmodel doctor`` asks for are those that the chart grants, with each value of ``rights``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest
import yaml

from recmodel.cluster.rights import BUFFERING, HANDING_BACK, NEEDED, OWN, Right, Rights, needed
from recmodel.cluster.scale_targets import ScaleTarget

TEMPLATES = Path(__file__).resolve().parents[3] / "charts" / "recmodel" / "templates"


Granted = set[tuple[str, str, str, tuple[str, ...]]]


def granted(rules: str) -> Granted:
    """By group, resource, verb and names."""
    text = (TEMPLATES / "_helpers.tpl").read_text()
    found = re.search(rf'define "recmodel.rules.{rules}" -\}}\}}\n(.*?)\{{\{{- end \}}\}}', text, re.DOTALL)
    assert found is not None
    return {
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in yaml.safe_load(found[1])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights_of(rights: Iterable[Right]) -> Granted:
    return {(right.group, right.resource, verb, right.names) for right in rights for verb in right.verbs}


@pytest.mark.parametrize("rights", get_args(Rights))
def test_the_chart_grants_exactly_what_is_needed(rights: Rights) -> None:
    assert granted(rights) == rights_of(needed(rights))


def test_the_chart_grants_what_handing_back_needs_beside() -> None:
    assert granted("handback") == rights_of(HANDING_BACK)
    assert needed("observe", handback=True) == needed("observe")


def test_the_chart_grants_what_node_buffers_need_beside() -> None:
    assert granted("nodeBuffers") == rights_of(BUFFERING)
    assert {*needed("act", node_buffers=True)} - {*needed("act")} == {*BUFFERING}
    assert needed("observe", node_buffers=True) == needed("observe"), "nothing of them is written, so nothing is read"


def test_who_observes_watches_all_that_it_would_act_on_and_writes_only_of_itself() -> None:
    found = needed("observe")
    writes = {(right.resource, verb) for right in found for verb in right.verbs if verb not in ("get", "list", "watch")}
    assert writes == {("recmodels/status", "patch"), ("events", "create"), ("leases", "update"), ("leases", "create")}
    assert {right.resource for right in found} >= OWN

    def watched(rights: Rights) -> set[str]:
        return {right.shown for right in needed(rights) if "watch" in right.verbs}

    assert watched("observe") == watched("act") == {right.shown for right in NEEDED if "watch" in right.verbs}


def test_every_role_of_the_operator_goes_by_the_value() -> None:
    """Cluster-wide, and in each of ``watchNamespaces``."""
    text = (TEMPLATES / "rbac.yaml").read_text()
    assert len(re.findall(r'include \(printf "recmodel\.rules\.%s" \(default "act" ', text)) == 2
    for more in ("handback", "nodeBuffers", "scaleTargets"):
        assert text.count(f'include "recmodel.rules.{more}"') == 2
    assert text.count('"recmodel.rules.') == 8


def test_of_further_kinds_the_object_and_its_scale_are_read_and_the_scale_alone_is_written() -> None:
    """What the chart renders for them is in tests/cluster/test_chart_renders.py."""
    target = ScaleTarget("argoproj.io", "Rollout", "rollouts")
    for rights, verbs in (("act", ("get", "patch")), ("observe", ("get",))):
        assert set(needed(rights, targets=[target])) - set(needed(rights)) <= {
            Right("argoproj.io", "rollouts", ("list", "watch")),
            Right("argoproj.io", "rollouts/scale", verbs),
        }
        assert Right("argoproj.io", "rollouts/scale", verbs) in needed(rights, targets=[target])

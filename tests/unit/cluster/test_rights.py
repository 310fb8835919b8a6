"""The rights that ``recmodel doctor`` asks for are those that the chart grants."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from recmodel.cluster.rights import NEEDED

HELPERS = Path(__file__).resolve().parents[3] / "charts" / "recmodel" / "templates" / "_helpers.tpl"


def test_the_chart_grants_exactly_what_is_needed() -> None:
    found = re.search(r'define "recmodel.rules" -\}\}\n(.*?)\{\{- end \}\}', HELPERS.read_text(), re.DOTALL)
    assert found is not None
    granted = {
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in yaml.safe_load(found[1])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {(right.group, right.resource, verb, right.names) for right in NEEDED for verb in right.verbs}

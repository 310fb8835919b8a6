"""What the types refuse and take. The same tables go to a real API server in tests/cluster/test_admission.py."""

from __future__ import annotations

import re

import pytest

from builders.refused_specs import REFUSED
from builders.spec_cases import Case, recmodel
from builders.taken_specs import TAKEN
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner, children
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason
from recmodel.decide import InvalidManifest, model_of
from recmodel.prometheus import profile_for


def test_the_recmodel_of_the_tables_is_valid() -> None:
    assert isinstance(read_spec(recmodel()), RecModelSpec)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_refused_spec_is_answered_with_the_field_the_value_and_the_rule(case: Case) -> None:
    found = read_spec(case.body())
    assert isinstance(found, Reason)
    place, _, rule = re.sub(r"\[cpu\]", "[0]", found.message).replace("[]", "[1]").partition(" is ")
    assert place.startswith(case.field) or case.field.startswith(place), found.message
    assert rule
    assert case.says in found.message
    with pytest.raises(InvalidManifest):  # recmodel decide refuses the same
        model_of([case.body()])


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_what_manifests_carry_is_taken_and_becomes_children(case: Case) -> None:
    body = case.body()
    spec = read_spec(body)
    assert isinstance(spec, RecModelSpec), spec
    made = children(Owner("default", "feed", "u-1"), spec, monitors=True, page=profile_for(spec.metrics).pod_page)
    template = next(child for kind, child in made if kind.kind == "Deployment")["spec"]["template"]
    assert set(template["metadata"]) <= {"labels", "annotations"}, "a pod's own name and date are dropped"
    written = body["spec"]["pools"][0]["template"]["spec"]
    assert set(written) <= set(template["spec"]), "whatever else is taken is handed on"

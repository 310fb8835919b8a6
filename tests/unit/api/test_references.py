"""Pools by reference: what is refused, with the way out, and what is taken. The same tables go to a real API server."""

from __future__ import annotations

import pytest

from builders.refused_references import REFUSED_REFERENCES, TAKEN_MIXES, TAKEN_REFERENCES
from builders.spec_cases import Case, recmodel
from recmodel.api.reference import POD_PROFILES
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner, children, deployment, initial_replicas
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason
from recmodel.decide import model_of
from recmodel.prometheus import PROFILE_NAMES, load_profile


@pytest.mark.parametrize("case", REFUSED_REFERENCES, ids=lambda case: case.says[:60] or case.name)
def test_what_makes_no_sense_for_a_reference_is_refused_with_the_way_out(case: Case) -> None:
    found = read_spec(case.body())
    assert isinstance(found, Reason)
    assert found.message.startswith("spec.")
    assert case.says in found.message


@pytest.mark.parametrize("case", TAKEN_REFERENCES, ids=lambda case: case.name)
def test_what_is_taken_acts_in_mode_auto_alone_and_no_child_can_be_built_of_it(case: Case) -> None:
    spec = read_spec(case.body())
    assert isinstance(spec, RecModelSpec), spec
    assert spec.by_reference
    assert spec.model("shop/feed").acts == model_of([case.body()]).acts == (spec.mode == "Auto")
    owner = Owner("shop", "feed", "u")
    assert children(owner, spec, monitors=True, page=("metrics", "/metrics")) == []
    with pytest.raises(ValueError, match="is a reference and has no"):
        deployment(owner, spec.pools[0])


@pytest.mark.parametrize("case", TAKEN_MIXES, ids=lambda case: case.name)
def test_of_pools_of_both_sorts_only_those_with_a_template_have_children(case: Case) -> None:
    spec = read_spec(case.body())
    assert isinstance(spec, RecModelSpec), spec
    assert (spec.by_reference, spec.model("shop/feed").routed) == (True, False)
    (pool,) = spec.made_pools
    made = children(Owner("shop", "feed", "u"), spec, monitors=True, page=("metrics", "/metrics"))
    assert {body["metadata"]["name"] for _, body in made} == {f"feed-{pool.name}", "feed"}
    assert {kind for kind, _ in made} == {names.SERVICE, names.DISRUPTION_BUDGET, names.DEPLOYMENT, names.POD_MONITOR}
    assert initial_replicas(spec) == {pool.name: 0}, "those that stand already answer"


def test_another_target_is_another_version_to_the_engine_and_its_traffic_is_not_ours() -> None:
    spec = read_spec(TAKEN_REFERENCES[0].body())
    assert isinstance(spec, RecModelSpec)
    model = spec.model("shop/feed")
    assert ([pool.version for pool in model.pools], model.routed) == (["Deployment ranker-cpu"], False)


def test_a_template_needs_its_port() -> None:
    body = recmodel()
    del body["spec"]["pools"][0]["port"]
    found = read_spec(body)
    assert isinstance(found, Reason)
    assert found.message.endswith("port must be set with a template, and only there")


def test_the_profiles_for_references_are_those_of_model_servers() -> None:
    of_pods = {name for name in PROFILE_NAMES if load_profile(name).scope == "pod" and not load_profile(name).refusal}
    assert {*POD_PROFILES} == {*of_pods, "custom"}


def test_the_kinds_of_the_api_are_those_that_can_be_looked_at() -> None:
    (taken, *_) = TAKEN_REFERENCES
    for kind in names.REFERABLE:
        body = taken.body()
        body["spec"]["pools"][0]["targetRef"]["kind"] = kind
        assert isinstance(read_spec(body), RecModelSpec)

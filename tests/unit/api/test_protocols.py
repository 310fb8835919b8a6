"""What pools speak: which specs are taken, and which are refused. The same tables go to a real API server."""

from __future__ import annotations

from typing import get_args

import pytest

from builders.protocol_specs import EDITED_PROTOCOLS, REFUSED_PROTOCOLS, TAKEN_PROTOCOLS
from builders.spec_cases import Case, recmodel
from recmodel.api.crd import structural
from recmodel.api.pool import PoolSpec
from recmodel.api.protocol import REST_PROFILES
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import APP_PROTOCOLS, Owner, children, route, route_kind
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason
from recmodel.prometheus import load_profile

OWNER = Owner("shop", "feed", "u")


@pytest.mark.parametrize("case", REFUSED_PROTOCOLS, ids=lambda case: case.says[:60] or case.name)
def test_what_no_route_can_do_is_refused_with_the_way_out(case: Case) -> None:
    found = read_spec(case.body())
    assert isinstance(found, Reason)
    assert found.message.startswith("spec.")
    assert case.says in found.message


@pytest.mark.parametrize("case", TAKEN_PROTOCOLS, ids=lambda case: case.name)
def test_what_is_taken_says_on_each_service_what_is_spoken_and_has_one_route(case: Case) -> None:
    spec = read_spec(case.body())
    assert isinstance(spec, RecModelSpec), spec
    services = [body for kind, body in children(OWNER, spec, monitors=False) if kind == names.SERVICE]
    spoken = [body["spec"]["ports"][0].get("appProtocol") for body in services]
    assert spoken == [{"HTTP": None, None: None}.get(pool.protocol, "kubernetes.io/h2c") for pool in spec.pools]
    kind = names.GRPC_ROUTE if spec.pools[0].protocol == "GRPC" else names.ROUTE
    made = route(OWNER, spec, {})
    assert route_kind(spec) == kind
    assert made is None or (made["kind"], made["apiVersion"]) == (kind.kind, kind.group_version)


def test_each_protocol_but_the_default_has_a_word_for_services() -> None:
    (words, _) = get_args(PoolSpec.model_fields["protocol"].annotation)
    assert {"HTTP", *APP_PROTOCOLS} == {*get_args(words)}


def test_the_crd_writes_no_protocol_into_objects_that_have_none() -> None:
    """With a default an older operator would refuse each of them: it knows no such field."""
    schema = structural(PoolSpec)["properties"]["protocol"]
    assert schema["enum"] == ["HTTP", "H2C", "GRPC"]
    assert "default" not in schema


def test_both_sides_of_an_edit_are_valid_by_themselves() -> None:
    """Only the API server, which has the spec before, can tell that the one must not become the other."""
    for before, after, _ in EDITED_PROTOCOLS:
        for spec in (before, after):
            assert isinstance(read_spec({**recmodel(), "spec": spec}), RecModelSpec)


def test_the_profiles_that_count_no_call_are_those_of_rest_pages() -> None:
    for name in REST_PROFILES:
        assert any(note.startswith("Counts REST only") for note in load_profile(name).notes)

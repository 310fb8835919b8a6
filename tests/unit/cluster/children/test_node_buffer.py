"""The CapacityBuffer of a pool, and how one that stands is read."""

from __future__ import annotations

from typing import Any

import pytest

from recmodel.api.pool import PoolSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.node_buffer import node_buffer
from recmodel.cluster.observed.node_buffers import NOT_TAKEN_UP, NodeBufferState, node_buffer_state

OWNER = Owner("shop", "feed", "u-1")
BETA, ALPHA = names.CAPACITY_BUFFERS
TEMPLATE = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
MADE = {"port": 8080, "template": TEMPLATE}


@pytest.mark.parametrize(
    ("pool", "scalable"),
    [
        (MADE, {"apiGroup": "apps", "kind": "Deployment", "name": "feed-cpu"}),
        (
            {"targetRef": {"kind": "StatefulSet", "name": "ranker"}},
            {"apiGroup": "apps", "kind": "StatefulSet", "name": "ranker"},
        ),
        (
            {"targetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "ranker"}},
            {"apiGroup": "argoproj.io", "kind": "Rollout", "name": "ranker"},
        ),
    ],
)
@pytest.mark.parametrize("kind", [BETA, ALPHA])
def test_it_names_the_workload_of_the_pool_and_so_many_replicas(
    kind: names.Kind, pool: dict[str, Any], scalable: dict[str, str]
) -> None:
    asked = PoolSpec.model_validate({"name": "cpu", "replicas": {"max": 9}, "nodeBuffer": {}, **pool})
    body = node_buffer(kind, OWNER, asked, 3)
    assert (body["apiVersion"], body["kind"]) == (kind.group_version, "CapacityBuffer")
    assert body["spec"] == {"scalableRef": scalable, "replicas": 3}
    assert (body["metadata"]["name"], body["metadata"]["namespace"]) == ("feed-cpu", "shop")
    assert body["metadata"]["labels"] == names.labels("feed", "cpu")
    assert body["metadata"]["ownerReferences"] == [OWNER.reference()]
    other = node_buffer(kind, OWNER, asked, 4)
    hashes = {b["metadata"]["annotations"][names.APPLIED_ANNOTATION] for b in (body, other)}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("asked", "seconds"), [({}, 180.0), ({"leadTime": "90s"}, 90.0), ({"leadTime": "30m"}, 1800.0)]
)
def test_the_lead_time_is_what_the_owner_says_or_three_minutes(asked: dict[str, str], seconds: float) -> None:
    pool = {"name": "cpu", "replicas": {"max": 9}, **MADE}
    assert PoolSpec.model_validate({**pool, "nodeBuffer": asked}).node_lead_seconds == seconds
    assert PoolSpec.model_validate(pool).node_lead_seconds is None


def conditions(*found: tuple[str, str]) -> dict[str, Any]:
    return {"conditions": [{"type": t, "status": s, "reason": "Because", "message": f"{t}\n of it"} for t, s in found]}


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, NodeBufferState()),
        ({"spec": {"replicas": 2}}, NodeBufferState(2, (NOT_TAKEN_UP,))),
        ({"spec": {"replicas": 0}}, NodeBufferState(0)),  # nothing is asked for, so nothing is to be said
        (
            {"spec": {"replicas": 2}, "status": conditions(("ReadyForProvisioning", "True"), ("Provisioning", "True"))},
            NodeBufferState(2),
        ),
        (
            {
                "spec": {"replicas": 2},
                "status": conditions(
                    ("ReadyForProvisioning", "False"), ("LimitedByQuotas", "True"), ("Other", "False")
                ),
            },
            NodeBufferState(
                2,
                (
                    "ReadyForProvisioning is False (Because): ReadyForProvisioning of it",
                    "LimitedByQuotas is True (Because): LimitedByQuotas of it",
                ),
            ),
        ),
        ({"spec": {"replicas": "2"}, "status": 7}, NodeBufferState()),
        ({"spec": None, "status": {"conditions": "odd"}}, NodeBufferState()),
        ({"spec": {"replicas": 1}, "status": {"conditions": [None, {"type": []}]}}, NodeBufferState(1)),
    ],
)
def test_what_stands_is_read_whatever_it_holds(live: dict[str, Any] | None, expected: NodeBufferState) -> None:
    assert node_buffer_state(live) == expected

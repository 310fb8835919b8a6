"""Where and how the operator of the tests is installed."""

from __future__ import annotations

from pathlib import Path

from kube import Kube, Object

from recmodel.cluster import names

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_NAMESPACE, RELEASE = "recmodel-system", "recmodel"
TICK_SECONDS = 5
# A kind that the cluster does not have: test_scaled_kinds.py brings it.
SCALE_TARGETS = [{"group": "shop.example", "kind": "Widget", "resource": "widgets"}]
PREFIX = "recmodel-test-"  # of the namespaces


LEASE = "recmodel"


def operator_pod(kube: Kube) -> Object:
    """The operator's pod that is not on its way out."""
    pods = kube.list(names.POD, OPERATOR_NAMESPACE, f"app.kubernetes.io/instance={RELEASE}")
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    assert len(staying) == 1, f"{len(staying)} pods of the operator"
    return staying[0]


def holder(kube: Kube) -> str:
    """Who has the Lease."""
    return str(kube.get(names.LEASE, OPERATOR_NAMESPACE, LEASE)["spec"]["holderIdentity"])

"""A namespace for each test, and what is said of one whose test failed."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installed import OPERATOR_NAMESPACE, PREFIX, RELEASE
from kube import CONFIG_MAP, NAMESPACE, Kube, Object
from serving import SCRIPTS

from recmodel.cluster import names

MADE: list[str] = []  # those of this session
SAID = pytest.StashKey[Callable[[], str]]()  # of a test: what is shown beside its failure


@contextlib.contextmanager
def fresh_namespace(kube: Kube) -> Iterator[str]:
    """A namespace with the scripts of the tests' pods; on its way out afterwards."""
    name = f"{PREFIX}{uuid.uuid4().hex[:6]}"
    body: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    MADE.append(name)
    kube.create(NAMESPACE, None, body)
    scripts = {path.name: path.read_text() for path in (Path(__file__).parent / "pods").glob("*.py")}
    config_map: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SCRIPTS}, "data": scripts}
    kube.create(CONFIG_MAP, name, config_map)
    try:
        yield name
    finally:
        # The RecModels first: while its owner is there, the operator would recreate a deleted child.
        for model in kube.list(names.RECMODEL, name):
            kube.delete(names.RECMODEL, name, model["metadata"]["name"])
        for pod in kube.list(names.POD, name):
            kube.delete(names.POD, name, pod["metadata"]["name"], grace_seconds=1)
        kube.delete(NAMESPACE, None, name)


def namespaces_left(kube: Kube) -> list[str]:
    """Those of this session that are still there."""
    found = {namespace["metadata"]["name"] for namespace in kube.list(NAMESPACE, None)}
    return [name for name in MADE if name in found]


def said_of(namespace: str) -> str:
    """RecModels, children and Events of a namespace, and the operator's last words."""
    parts = [
        ("kubectl", "get", "deployments,pods,httproutes,grpcroutes", "-n", namespace, "-o", "wide"),
        ("kubectl", "get", "recmodels", "-n", namespace, "-o", "jsonpath={range .items[*]}{.status}{'\\n'}{end}"),
        ("kubectl", "get", "events", "-n", namespace, "--sort-by=.lastTimestamp"),
        ("kubectl", "logs", "-n", OPERATOR_NAMESPACE, f"deployment/{RELEASE}", "--tail=60"),
    ]
    said = []
    for part in parts:
        result = subprocess.run(part, capture_output=True, text=True, timeout=60, check=False)
        said.append((result.stdout + result.stderr)[-6000:])
    return "\n".join(said)

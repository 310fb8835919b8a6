"""A release of the operator beside the one under test, in a namespace of its own and with the same image and Prometheus."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator

from chart import CHART
from installed import OPERATOR_NAMESPACE, RELEASE
from kube import NAMESPACE, Kube, eventually, run

from recmodel.cluster import names

OTHER, OTHER_NAMESPACE = "recmodel-other", "recmodel-other"


def values() -> list[str]:
    """The settings of the release under test, for another one; the namespaces aside."""
    found = json.loads(run("helm", "get", "values", RELEASE, "-n", OPERATOR_NAMESPACE, "-o", "json"))
    kept = {name: found[name] for name in ("image", "prometheus", "tickSeconds") if name in found}
    return [part for name, value in kept.items() for part in ("--set-json", f"{name}={json.dumps(value)}")]


def claim(kube: Kube, namespace: str) -> str:
    """Which release acts in a namespace, as ``namespace/name`` of its Lease; empty: none."""
    return str(kube.get(names.LEASE, namespace, "recmodel.dev")["spec"].get("holderIdentity") or "")


@contextlib.contextmanager
def second_release(kube: Kube) -> Iterator[Callable[..., None]]:
    """Installs it with these settings; gone again afterwards."""

    def install(*settings: str) -> None:
        more = [part for setting in settings for part in ("--set", setting)]
        run(
            "helm", "install", OTHER, str(CHART), "-n", OTHER_NAMESPACE, "--create-namespace", *values(), *more,
            "--wait", "--timeout", "120s", seconds=150.0,
        )  # fmt: skip

    yield install
    run("helm", "uninstall", OTHER, "-n", OTHER_NAMESPACE, "--ignore-not-found", seconds=120.0)
    kube.delete(NAMESPACE, None, OTHER_NAMESPACE)
    eventually("its namespace is gone", lambda: kube.find(NAMESPACE, None, OTHER_NAMESPACE) is None, 60.0)

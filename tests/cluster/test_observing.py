"""A release with ``rights: observe``: it recommends, tries no write that its account is refused, and acts after an upgrade."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from chart import CHART
from figures import measured
from kube import Kube, eventually, run
from requests_sent import Load
from second_release import OTHER, OTHER_NAMESPACE, claim
from serving import Pool, Served, recmodel
from test_attach import CALM_PER_SECOND, NAMED_AS_IT_IS, existing, referring, standing, wait_until_it_answers

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

OBSERVING = f"{OTHER_NAMESPACE}/{OTHER}"
# What the operator makes of a RecModel with a template, and what somebody else has of it in the namespace.
FOREIGN = {
    names.DEPLOYMENT: ["shop-ranker"],
    names.SERVICE: ["shop-ranker"],
    names.DISRUPTION_BUDGET: [],
    names.ROUTE: [],
}


def test_a_release_that_observes_recommends_and_acts_after_an_upgrade(
    kube: Kube, namespace: str, other: Callable[..., None]
) -> None:
    """It has the namespace before the release under test does."""
    existing(kube, namespace)
    other(f"watchNamespaces={{{namespace}}}", "rights=observe")
    eventually("it has the namespace", lambda: claim(kube, namespace) == OBSERVING, 30.0)
    wait_until_it_answers(kube, namespace)
    before = standing(kube, namespace)
    small = Pool("small", least=1, most=2, service_ms=20.0, slots=1)
    templated = Served(kube, recmodel(namespace, "own", small))
    reference = Served(kube, referring(namespace))
    with Load(reference, CALM_PER_SECOND, url=f"http://shop-ranker.{namespace}/"):
        eventually("the way out is told", templated.has("Ready", "False", "RightsObserveOnly"), 30.0)
        assert templated.has("Degraded", "True", "RightsObserveOnly")()
        said = eventually("what would run is told", lambda: recommended(reference), 60.0)
    measured("rights: observe, of a Deployment and a StatefulSet", said)
    assert said.startswith("runs cpu 1, spare 1 at 4.00 an hour (HorizontalPodAutoscaler shop-ranker ")
    assert NAMED_AS_IT_IS.search(said), said
    assert standing(kube, namespace) == before
    assert {kind: [o["metadata"]["name"] for o in kube.list(kind, namespace)] for kind in FOREIGN} == FOREIGN
    assert "forbidden" not in run("kubectl", "logs", "-n", OTHER_NAMESPACE, f"deployment/{OTHER}")
    upgrade = (
        "helm",
        "upgrade",
        OTHER,
        str(CHART),
        "-n",
        OTHER_NAMESPACE,
        "--reset-then-reuse-values",
        "--set",
        "rights=act",
    )
    run(*upgrade, "--wait", "--timeout", "120s", seconds=150.0)
    eventually("its pool is made", lambda: kube.find(names.DEPLOYMENT, namespace, "own-small"), 60.0)
    assert claim(kube, namespace) == OBSERVING


def recommended(served: Served) -> str:
    """The sentence, once it says what would run; else empty."""
    message = str(served.status().get("recommendation", {}).get("message", ""))
    return message if "; would run " in message else ""

"""Two operators: one acts, and the other one goes on when it ends or dies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from chart import CHART
from figures import measured
from installed import LEASE, OPERATOR_NAMESPACE, RELEASE, holder
from kube import Kube, Refused, eventually, run
from requests_sent import Load, failed
from serving import Pool, Served

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

SMALL = Pool("small", least=1, most=4, service_ms=20.0, slots=1)


@pytest.fixture
def two_operators(operator: None) -> Iterator[None]:
    """A second pod of the operator; gone again afterwards."""

    def pods(count: int) -> None:
        run(
            "helm", "upgrade", RELEASE, str(CHART), "-n", OPERATOR_NAMESPACE, "--reuse-values",
            "--set", f"replicas={count}", "--force-conflicts", "--wait", "--timeout", "180s", seconds=200.0,
        )  # fmt: skip

    pods(2)
    yield
    pods(1)


def pages(kube: Kube) -> dict[str, str]:
    """The metrics page of each pod of the operator that answers."""
    found = {}
    for pod in kube.list(names.POD, OPERATOR_NAMESPACE, f"app.kubernetes.io/instance={RELEASE}"):
        name = pod["metadata"]["name"]
        try:
            found[name] = kube.proxied(OPERATOR_NAMESPACE, name, 9090, "/metrics")
        except Refused:  # it does not listen yet, or any more
            continue
    return found


def acting(kube: Kube) -> list[str]:
    """The pods that say that they act."""
    return [name for name, page in pages(kube).items() if re.search(r"^recmodel_acting 1\.0$", page, re.MULTILINE)]


def decided(kube: Kube, served: Served) -> list[str]:
    """The pods that report a decision about this RecModel: only who acts does."""
    series = f'recmodel_decision_timestamp_seconds{{model="{served.name}",namespace="{served.namespace}"}}'
    return [name for name, page in pages(kube).items() if series in page]


def test_the_one_that_stands_by_goes_on_when_the_one_that_acts_is_killed(
    kube: Kube, two_operators: None, serve: Callable[..., Served]
) -> None:
    served = serve(SMALL)
    served.wait_ready(small=1)
    with Load(served, 25.0) as load:
        eventually("metrics come", served.has("MetricsAvailable", "True"), 60.0)
        eventually("one decides", lambda: decided(kube, served), 30.0)
        first = holder(kube)
        assert acting(kube) == decided(kube, served) == [first]
        assert len(pages(kube)) == 2
        began = time.monotonic()
        run("kubectl", "delete", "pod", "-n", OPERATOR_NAMESPACE, first, "--grace-period=0", "--force")
        (second,) = eventually("the other one decides", lambda: [p for p in decided(kube, served) if p != first], 60.0)
        first_seconds = time.monotonic() - began
        measured("operator killed to the decision of the one that stood by", f"{first_seconds:.1f} s")
        assert first_seconds < 30.0
        assert holder(kube) == second
        load.rate(40.0)
        time.sleep(8.0)
        load.rate(55.0)
        eventually("it scales", lambda: served.ready()["small"] >= 2, 120.0)
        assert acting(kube) == [second]
    answers = load.answers()
    measured("requests over an operator killed beside another one", f"{len(answers)}, {failed(answers)}")
    assert failed(answers) == {}


def test_a_lease_whose_holder_is_dead_is_taken_over_in_time(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(SMALL)
    served.wait_ready(small=1)
    (mine,) = eventually("it acts", lambda: acting(kube), 30.0)
    taken = {"holderIdentity": "a dead one", "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
    began = time.monotonic()
    kube.merge(names.LEASE, OPERATOR_NAMESPACE, LEASE, {"spec": taken})
    eventually("it acts no more", lambda: not acting(kube), 7.0)
    assert decided(kube, served) == []
    eventually("it acts again", lambda: acting(kube) == [mine], 30.0)
    seconds = time.monotonic() - began
    measured("lease of a dead holder to the next one that acts", f"{seconds:.1f} s")
    assert seconds < 15.0
    eventually("it decides", lambda: decided(kube, served) == [mine], 30.0)
    assert served.replicas() == {"small": 1}

"""A spike that needs more replicas than can start in time: lighter variants answer meanwhile, within the accuracy budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from figures import measured
from installed import OPERATOR_NAMESPACE, operator_pod
from kube import Kube, eventually
from requests_sent import Load, failed, share, within
from serving import Pool, Served

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

CALM, SPIKE = 35.0, 100.0  # requests a second
SPIKE_SECONDS, NOTICED_SECONDS = 60.0, 30.0  # a scrape, a tick, and the end of the queue that grew until then
# 25 requests/s a pod, and three quarters of a minute to start one; the light variant's pod carries 200, and stands by. A pod with a
# queue stays ready: were no full one ready, the light one would answer everything, measured or not, since an answer beats an error.
FULL = Pool("full", least=2, most=5, variant="full", service_ms=40.0, slots=1, start_seconds=45.0, unready_after=100)
LIGHT = Pool("light", least=1, most=1, variant="light", service_ms=5.0, slots=1)
BUDGET = {"latency": {"percentile": 95, "threshold": "400ms"}, "accuracy": {"maxLoss": "1%"}}


def variants(measured_light: bool) -> list[dict[str, object]]:
    """The full one, and a light one that loses 4 %: it may answer a quarter of the traffic; unmeasured, nothing."""
    accuracy = {"accuracy": {"metric": "AUC", "value": "0.768"}} if measured_light else {}
    return [{"name": "full", "accuracy": {"metric": "AUC", "value": "0.8"}}, {"name": "light", **accuracy}]


@dataclass(frozen=True)
class Survived:
    """What became of a spike."""

    within: float  # share within the objective's threshold
    later: float  # the same, once it could be noticed and until the first new pod was ready
    light: float  # share that the light variant answered
    lost: dict[str, int]
    left: str | None  # of the accuracy budget when it began


def spike(kube: Kube, served: Served) -> Survived:
    """A quiet load with the budget unspent, then three times as much for a minute."""
    with Load(served, CALM, name=f"load-{served.name}") as load:
        eventually("the objective is met", served.has("ObjectiveMet", "True"), 60.0)
        # The budget fills in hours. An operator that starts takes over what the one before had left of it.
        kube.merge(names.RECMODEL, served.namespace, served.name, {"status": {"accuracyBudgetLeft": "90%"}}, "status")
        killed = operator_pod(kube)["metadata"]["name"]
        kube.delete(names.POD, OPERATOR_NAMESPACE, killed, grace_seconds=1)
        eventually("another operator has begun", lambda: began(kube, killed), 60.0)
        time.sleep(30.0)  # the rates' window, and something learned of what the pods carry
        left = served.status().get("accuracyBudgetLeft")
        mark = load.now()
        load.rate(SPIKE)
        time.sleep(SPIKE_SECONDS)
        load.rate(CALM)
        answers = [a for a in load.answers(since=mark) if a.sent < mark + SPIKE_SECONDS]
    threshold = 0.4
    later = [a for a in answers if mark + NOTICED_SECONDS <= a.sent < mark + FULL.start_seconds]
    return Survived(
        within(answers, threshold), within(later, threshold), share(answers, "light"), failed(answers), left
    )


def began(kube: Kube, before: str) -> bool:
    """Whether another operator's pod than this is ready."""
    pod = operator_pod(kube)
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return pod["metadata"]["name"] != before and conditions.get("Ready") == "True"


def test_a_spike_is_survived_by_lighter_variants(kube: Kube, serve: Callable[..., Served]) -> None:
    found = {}
    for name, has_light in (("with", True), ("without", False)):
        served = serve(FULL, LIGHT, name=name, objective=BUDGET, variants=variants(has_light))
        served.wait_ready(full=2, light=1)
        found[name] = spike(kube, served)
        measured(
            f"{CALM:g} -> {SPIKE:g} requests/s, pods that need {FULL.start_seconds:g} s, {name} the light variant",
            f"{100 * found[name].within:.1f} % within 400 ms, {100 * found[name].later:.1f} % from {NOTICED_SECONDS:g} s on, "
            f"light {100 * found[name].light:.0f} %, lost {found[name].lost}, budget left before {found[name].left}",
        )
        kube.delete(names.RECMODEL, served.namespace, name)
    # An operator that has just begun knows little of what its pods carry, so the budget is spent in steps.
    assert found["with"].within > found["without"].within + 0.3
    assert found["with"].later > found["without"].later + 0.3
    assert sum(found["with"].lost.values()) <= 0.01 * sum(found["without"].lost.values())
    assert found["with"].light > 0.25
    assert found["without"].light < 0.02

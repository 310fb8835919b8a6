"""A spike that needs more replicas than can start in time: lighter variants answer meanwhile, within the accuracy budget."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from figures import measured
from installed import operator_pod
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
WITHIN_SECONDS = 0.4
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
    left: float  # of the accuracy budget when it began, in %


def survived(load: Load, mark: float, left: float) -> Survived:
    """What became of the spike that began at the time ``mark`` of the load's clock."""
    answers = [answer for answer in load.answers(since=mark) if answer.sent < mark + SPIKE_SECONDS]
    later = [a for a in answers if mark + NOTICED_SECONDS <= a.sent < mark + FULL.start_seconds]
    return Survived(
        within(answers, WITHIN_SECONDS), within(later, WITHIN_SECONDS), share(answers, "light"), failed(answers), left
    )


def ready(kube: Kube) -> bool:
    """Whether the operator's pod is ready."""
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in operator_pod(kube)["status"].get("conditions", [])
    )


def left_percent(served: Served) -> float:
    return float(served.status()["accuracyBudgetLeft"].rstrip("%"))


def test_a_spike_is_survived_by_lighter_variants(
    kube: Kube, serve: Callable[..., Served], down: Callable[[bool], None]
) -> None:
    both = {
        name: serve(FULL, LIGHT, name=name, objective=BUDGET, variants=variants(name == "with"))
        for name in ("with", "without")
    }
    with contextlib.ExitStack() as stack:
        loads = {}
        for name, served in both.items():
            served.wait_ready(full=2, light=1)
            loads[name] = stack.enter_context(Load(served, CALM, name=f"load-{name}"))
        for served in both.values():
            eventually("the objective is met", served.has("ObjectiveMet", "True"), 60.0)
        # The budget fills in hours. An operator that starts takes over what the one before had left of it, which that one writes at
        # its end.
        down(True)
        for served in both.values():
            kube.merge(
                names.RECMODEL, served.namespace, served.name, {"status": {"accuracyBudgetLeft": "90%"}}, "status"
            )
        down(False)
        eventually("the operator is ready again", lambda: ready(kube), 60.0)
        time.sleep(30.0)  # the rates' window, and something learned of what the pods carry
        left = {name: left_percent(served) for name, served in both.items()}
        marks = {name: load.now() for name, load in loads.items()}
        for load in loads.values():
            load.rate(SPIKE)
        time.sleep(SPIKE_SECONDS)
        for load in loads.values():
            load.rate(CALM)
        found = {name: survived(load, marks[name], left[name]) for name, load in loads.items()}
    for name, one in found.items():
        measured(
            f"{CALM:g} -> {SPIKE:g} requests/s, pods that need {FULL.start_seconds:g} s, {name} the light variant",
            f"{100 * one.within:.1f} % within {1000 * WITHIN_SECONDS:g} ms, {100 * one.later:.1f} % from {NOTICED_SECONDS:g} s on, "
            f"light {100 * one.light:.0f} %, lost {one.lost}, budget left before {one.left:g} %",
        )
    assert found["with"].left >= 80.0
    # An operator that has just begun knows little of what its pods carry, so the budget is spent in steps.
    assert found["with"].within > found["without"].within + 0.3
    assert found["with"].later > found["without"].later + 0.3
    assert sum(found["with"].lost.values()) <= 0.01 * sum(found["without"].lost.values())
    assert found["with"].light > 0.25
    assert found["without"].light < 0.02

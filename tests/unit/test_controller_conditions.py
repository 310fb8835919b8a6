"""The conditions: one for each way in which something can be wrong, and when it flipped."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from status_scene import NOW, STATE, condition, decision, reading, status, tracked

from recmodel.cluster.acceptance import Acceptance
from recmodel.core.types import Reason
from recmodel.prometheus import Bracket

CASES = {
    "an invalid spec": (
        tracked(invalid=Reason("InvalidSpec", "spec.x is 1: no")), {"cpu": STATE}, "Ready", ("False", "InvalidSpec")),
    "children that cannot be applied": (
        tracked(failed=Reason("NameTaken", "Service exists")), {"cpu": STATE}, "Ready", ("False", "NameTaken")),
    "a route that a gateway refuses": (
        tracked(route=Acceptance(refused=("Gateway a/b: no",))), {"cpu": STATE}, "Ready", ("False", "RouteNotAccepted")),
    "a refused route while pods start": (
        tracked(route=Acceptance(refused=("Gateway a/b: no",))), {"cpu": replace(STATE, ready=0)}, "Ready",
        ("False", "RouteNotAccepted")),
    "a route that no gateway answers for": (
        tracked(route=Acceptance(silent=("Gateway a/b does not answer",))), {"cpu": STATE}, "Ready",
        ("False", "RouteNotAccepted")),
    "a route that is new while pods start": (
        tracked(route=Acceptance(silent=("Gateway a/b does not answer",))), {"cpu": replace(STATE, ready=0)}, "Ready",
        ("False", "Starting")),
    "a route that points to nothing": (
        tracked(route=Acceptance(unresolved=("Gateway a/b: no Service",))), {"cpu": STATE}, "Ready",
        ("False", "RouteNotResolved")),
    "a gateway that has no endpoints to send to": (
        tracked(route=Acceptance(impaired=("Gateway a/b: BackendsAvailable is False",))), {"cpu": STATE}, "Ready",
        ("False", "RouteImpaired")),
    "a route that Recommend does not make": (
        tracked(route=Acceptance(withheld=True)), {"cpu": STATE}, "Ready", ("False", "RouteWithheld")),
    "no pod answers yet": (tracked(), {"cpu": replace(STATE, ready=0)}, "Ready", ("False", "Starting")),
    "no pods at all": (tracked(), {"cpu": replace(STATE, ready=0, desired=0)}, "Ready", ("False", "NoReadyPool")),
    "late requests": (
        tracked(reading=reading(Bracket(0.9, 0.9))), {"cpu": STATE}, "ObjectiveMet", ("False", "ObjectiveMissed")),
    "a threshold inside a bucket": (
        tracked(reading=reading(Bracket(0.9, 0.99))), {"cpu": STATE}, "ObjectiveMet", ("Unknown", "BracketTooWide")),
    "no metrics, objective": (
        tracked(reading=reading(None, None)), {"cpu": STATE}, "ObjectiveMet", ("Unknown", "NoSeries")),
    "no metrics": (tracked(reading=reading(None, None)), {"cpu": STATE}, "MetricsAvailable", ("False", "NoSeries")),
    "not asked yet": (tracked(reading=None), {"cpu": STATE}, "MetricsAvailable", ("Unknown", "NotObserved")),
    "pods without a node": (
        tracked(), {"cpu": replace(STATE, unschedulable=2)}, "CapacityAvailable", ("False", "PoolUnschedulable")),
    "pods on their way": (tracked(), {"cpu": replace(STATE, ready=1)}, "Progressing", ("True", "Scaling")),
    "a roll-out": (tracked(), {"cpu": replace(STATE, updating=True)}, "Progressing", ("True", "RollingOut")),
    "nothing feasible": (
        tracked(decision=decision(3, "Degraded", "Infeasible")), {"cpu": STATE}, "Degraded", ("True", "Infeasible")),
    "another autoscaler": (
        tracked(), {"cpu": replace(STATE, autoscaler="shop/h")}, "Degraded", ("True", "AnotherAutoscaler")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_conditions(case: str) -> None:
    model, pools, kind, expected = CASES[case]
    assert condition(kind, status(model, pools)) == expected


def test_a_model_that_was_never_valid_says_only_that() -> None:
    found = status(tracked(spec=None, decision=None, reading=None, invalid=Reason("InvalidSpec", "no")), {})
    assert [(c.type, c.reason) for c in found.conditions] == [("Ready", "InvalidSpec")]


def test_the_time_of_a_condition_is_the_time_of_its_flip() -> None:
    first = status()
    later = NOW + timedelta(hours=1)
    same = status(now=later, written=first)
    assert {c.last_transition_time for c in same.conditions} == {"2026-01-02T03:04:05Z"}
    flipped = status(pools={"cpu": replace(STATE, ready=0)}, now=later, written=first)
    times = {c.type: c.last_transition_time for c in flipped.conditions}
    assert times["Ready"] == times["Progressing"] == "2026-01-02T04:04:05Z"
    assert times["Degraded"] == "2026-01-02T03:04:05Z"

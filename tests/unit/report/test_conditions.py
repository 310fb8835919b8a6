"""The conditions: one for each way in which something can be wrong, and when it flipped."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from builders.status_scene import NOW, SPEC, STATE, condition, decision, reading, status, tracked
from recmodel.api.status import Condition, RecModelStatus
from recmodel.cluster.observed.route_status import RouteStatus
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Reason
from recmodel.prometheus import Bracket, Verdict
from recmodel.report.events import changes
from recmodel.report.snapshot import Route
from recmodel.report.status import worth_writing

REFUSED = Reason("InvalidSpec", "spec.x is 1: no")
NEW = replace(reading(None, None), reason="NoRequestsSeen")
OUT = replace(reading(None, None), reason="NoReadyPool")
CASES = {
    "an invalid edit of one that serves": (
        tracked(invalid=REFUSED), {"cpu": STATE}, "Ready", ("True", "Serving")),
    "an invalid edit": (tracked(invalid=REFUSED), {"cpu": STATE}, "Stalled", ("True", "InvalidSpec")),
    "an invalid edit of one that does not serve": (
        tracked(invalid=REFUSED), {"cpu": replace(STATE, ready=0)}, "Ready", ("False", "Starting")),
    "an invalid edit of one whose children are refused": (
        tracked(invalid=REFUSED, failed=Reason("NameTaken", "x")), {"cpu": STATE}, "Ready", ("False", "NameTaken")),
    "refused children keep the pools from what was decided": (
        tracked(failed=Reason("ApiRefused", "quota")), {"cpu": STATE}, "Degraded", ("True", "ApiRefused")),
    "children that cannot be applied": (
        tracked(failed=Reason("NameTaken", "Service exists")), {"cpu": STATE}, "Ready", ("False", "NameTaken")),
    "a route that a gateway refuses": (
        tracked(route=Route(RouteStatus(refused=("Gateway a/b: no",)))), {"cpu": STATE}, "Ready", ("False", "RouteNotAccepted")),
    "a refused route while pods start": (
        tracked(route=Route(RouteStatus(refused=("Gateway a/b: no",)))), {"cpu": replace(STATE, ready=0)}, "Ready",
        ("False", "RouteNotAccepted")),
    "a route that no gateway answers for": (
        tracked(route=Route(RouteStatus(silent=("Gateway a/b does not answer",)))), {"cpu": STATE}, "Ready",
        ("False", "RouteNotAccepted")),
    "a route that is new while pods start": (
        tracked(route=Route(RouteStatus(silent=("Gateway a/b does not answer",)))), {"cpu": replace(STATE, ready=0)}, "Ready",
        ("False", "Starting")),
    "a route that points to nothing": (
        tracked(route=Route(RouteStatus(unresolved=("Gateway a/b: no Service",)))), {"cpu": STATE}, "Ready",
        ("False", "RouteNotResolved")),
    "a gateway that has no endpoints to send to": (
        tracked(route=Route(RouteStatus(impaired=("Gateway a/b: BackendsAvailable is False",)))), {"cpu": STATE}, "Ready",
        ("False", "RouteImpaired")),
    "a route whose requests another RecModel gets": (
        tracked(route=Route(overlap="RecModel shop/a has the older route")), {"cpu": STATE}, "Ready", ("False", "RouteOverlaps")),
    "a route whose requests another RecModel gets, while pods start": (
        tracked(route=Route(overlap="RecModel shop/a has the older route")), {"cpu": replace(STATE, ready=0)}, "Ready",
        ("False", "RouteOverlaps")),
    "a route that Recommend does not make": (
        tracked(route=Route(RouteStatus(withheld=True))), {"cpu": STATE}, "Ready", ("False", "RouteWithheld")),
    "no pod answers yet": (tracked(), {"cpu": replace(STATE, ready=0)}, "Ready", ("False", "Starting")),
    "no pods at all": (tracked(), {"cpu": replace(STATE, ready=0, desired=0)}, "Ready", ("False", "NoReadyPool")),
    "late requests": (
        tracked(reading=reading(Bracket(0.9, 0.9))), {"cpu": STATE}, "ObjectiveMet", ("False", "ObjectiveMissed")),
    "a threshold inside a bucket": (
        tracked(reading=reading(Bracket(0.9, 0.99))), {"cpu": STATE}, "ObjectiveMet", ("Unknown", "BracketTooWide")),
    "a threshold above all edges": (
        tracked(reading=replace(reading(Bracket(0.9, 1.0)), verdict=Verdict.UNUSABLE, reason="ThresholdAboveEdges")), {"cpu": STATE},
        "ObjectiveMet", ("Unknown", "ThresholdAboveEdges")),
    "no metrics, objective": (
        tracked(reading=reading(None, None)), {"cpu": STATE}, "ObjectiveMet", ("Unknown", "NoSeries")),
    "no metrics": (tracked(reading=reading(None, None)), {"cpu": STATE}, "MetricsAvailable", ("False", "NoSeries")),
    "no request was ever seen": (
        tracked(reading=NEW), {"cpu": STATE}, "MetricsAvailable", ("Unknown", "NoRequestsSeen")),
    "no request was ever seen, objective": (
        tracked(reading=NEW), {"cpu": STATE}, "ObjectiveMet", ("Unknown", "NoRequestsSeen")),
    "a total outage": (
        tracked(reading=OUT), {"cpu": replace(STATE, ready=0)}, "MetricsAvailable", ("Unknown", "NoReadyPool")),
    "a total outage, objective": (
        tracked(reading=OUT), {"cpu": replace(STATE, ready=0)}, "ObjectiveMet", ("Unknown", "NoReadyPool")),
    "not asked yet": (tracked(reading=None), {"cpu": STATE}, "MetricsAvailable", ("Unknown", "NotObserved")),
    "pods without a node": (
        tracked(), {"cpu": replace(STATE, unschedulable=2)}, "CapacityAvailable", ("False", "PoolUnschedulable")),
    "pods on their way": (tracked(), {"cpu": replace(STATE, ready=1)}, "Progressing", ("True", "Scaling")),
    "a roll-out": (tracked(), {"cpu": replace(STATE, updating=True)}, "Progressing", ("True", "RollingOut")),
    "new replicas that the cluster has not begun": (
        tracked(), {"cpu": replace(STATE, desired=5, updating=True, unseen=True)}, "Progressing", ("True", "Scaling")),
    "a new template that the cluster has not begun": (
        tracked(), {"cpu": replace(STATE, updating=True, unseen=True)}, "Progressing", ("True", "RollingOut")),
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
    assert [(c.type, c.reason) for c in found.conditions] == [("Ready", "InvalidSpec"), ("Stalled", "InvalidSpec")]
    assert [c.status for c in found.conditions] == ["False", "True"]


def test_the_time_of_a_condition_is_the_time_of_its_flip() -> None:
    first = status()
    later = NOW + timedelta(hours=1)
    same = status(now=later, written=first)
    assert {c.last_transition_time for c in same.conditions} == {"2026-01-02T03:04:05Z"}
    flipped = status(pools={"cpu": replace(STATE, ready=0)}, now=later, written=first)
    times = {c.type: c.last_transition_time for c in flipped.conditions}
    assert times["Ready"] == times["Progressing"] == "2026-01-02T04:04:05Z"
    assert times["Degraded"] == "2026-01-02T03:04:05Z"


def test_stalled_comes_and_goes_with_the_refused_edit_and_is_told() -> None:
    before = status()
    stalled = status(tracked(invalid=REFUSED, generation=3), written=before)
    found = next(c for c in stalled.conditions if c.type == "Stalled")
    assert found.message == "spec.x is 1: no; the last valid spec stays in effect"
    assert (found.observed_generation, stalled.observed_generation) == (3, 3)
    assert [(kind, reason.reason) for kind, reason in changes(stalled, before)] == [("Warning", "InvalidSpec")]
    assert worth_writing(status(tracked(invalid=Reason("InvalidSpec", "spec.y is 2: no"), generation=3)), stalled)
    healed = status(tracked(generation=4), written=stalled)
    assert all(c.type != "Stalled" for c in healed.conditions)
    assert [(kind, reason.reason) for kind, reason in changes(healed, stalled)] == [("Normal", "SpecAccepted")]


def test_failures_that_no_replica_cures_are_the_reason_of_the_missed_objective() -> None:
    why = Reason("FailingAtAnyLoad", "cpu: 3.0% of the requests are late or fail at any load")
    seen = tracked(reading=reading(Bracket(0.9, 0.9)))
    assert seen.decision is not None
    seen.decided = replace(seen.decided, decision=replace(seen.decision, reasons=(why,)))
    (told,) = [c for c in status(seen).conditions if c.type == "ObjectiveMet"]
    assert (told.status, told.reason) == ("False", "FailingAtAnyLoad")
    assert told.message.startswith("90.0% of the requests within")
    assert why.message in told.message


def test_a_deployment_that_the_api_refused_is_neither_settled_nor_placed() -> None:
    refused = Reason("ApiRefused", "Deployment shop/feed-cpu is refused: HTTP 403: no")
    absent = replace(STATE, exists=False, desired=0, ready=0, pods=())
    found = {c.type: c for c in status(tracked(failed=refused), {"cpu": absent}).conditions}
    assert (found["Progressing"].status, found["Progressing"].reason) == ("False", "ApiRefused")
    assert refused.message in found["Progressing"].message
    assert (found["CapacityAvailable"].status, found["CapacityAvailable"].reason) == ("Unknown", "NotObserved")
    begun = {c.type: c for c in status(tracked(), {"cpu": absent}).conditions}
    assert (begun["Progressing"].status, begun["Progressing"].reason) == ("True", "Scaling")


def in_mode(mode: str) -> Tracked:
    return tracked(spec=SPEC.model_copy(update={"mode": mode}))


def test_what_is_said_where_nothing_is_done_is_true() -> None:
    """A Service that is gone stays so in Paused, and replicas stay as they are in both."""
    said = {mode: one(status(in_mode(mode)), "Degraded") for mode in ("Auto", "Recommend", "Paused")}
    assert {mode: (found.status, found.reason) for mode, found in said.items()} == {
        "Auto": ("False", "AsWished"), "Recommend": ("False", "AsWished"), "Paused": ("False", "Paused"),
    }  # fmt: skip
    assert said["Paused"].message == "mode Paused: what differs from the spec is left as it is"
    assert "what was decided is not done" in said["Recommend"].message
    gone = one(status(in_mode("Paused"), {"cpu": replace(STATE, exists=False, desired=0, ready=0)}), "Progressing")
    assert (gone.status, gone.reason) == ("False", "Paused")
    assert gone.message == "mode Paused: there is no Deployment of cpu, and none is made"


def one(found: RecModelStatus, kind: str) -> Condition:
    return next(condition for condition in found.conditions if condition.type == kind)


def test_pods_that_find_no_node_are_not_hidden_behind_what_was_decided() -> None:
    found = status(tracked(), {"cpu": replace(STATE, unschedulable=2)})
    (degraded,) = (told for told in found.conditions if told.type == "Degraded")
    assert (degraded.status, degraded.reason) == ("False", "AsWished")
    assert "pods of cpu have no node yet: see the condition CapacityAvailable" in degraded.message

"""The status and the Events: what is said, what is worth writing, and what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from test_controller_variants import config_map, record

from recmodel.api.status import RecModelStatus
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.acceptance import Acceptance
from recmodel.cluster.children import Owner
from recmodel.cluster.inventory import PoolState
from recmodel.cluster.optimisation import Course
from recmodel.controller.events import changes, event
from recmodel.controller.status import as_object, judge, worth_writing, written_status
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Decision, PoolDecision, PoolEstimate, PoolForecast, Reason
from recmodel.prometheus import Bracket, ModelReading, PoolReading, Verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEMPLATE = {"spec": {"containers": [{"name": "s", "image": "s:1"}]}}
SPEC = RecModelSpec.model_validate(
    {
        "objective": {"latency": {"threshold": "100ms"}},
        "pools": [{"name": "cpu", "replicas": {"max": 9}, "port": 8080, "template": TEMPLATE}],
    }
)
EXACT = Bracket(0.97, 0.97)
STATE = PoolState(True, 3, 3, 0, 40.0, ("a", "b", "c"), False, None)


def reading(within: Bracket | None = EXACT, rate: float | None = 100.0) -> ModelReading:
    latency = None if rate is None else {0.05: 0.8 * rate, 0.1: 0.97 * rate, float("inf"): rate}
    verdict = Verdict.MISSING if rate is None else Verdict.AVAILABLE
    pools = {"cpu": PoolReading(rate_per_second=rate, latency=latency)}
    return ModelReading(verdict, "NoSeries" if rate is None else "MetricsFound", "said so", pools, within)


def decision(replicas: int = 3, state: str = "Tracking", reason: str = "Steady", capacity: float = 40.0) -> Decision:
    return Decision(
        0.0,
        {"cpu": PoolDecision(replicas, 1.0)},
        state,
        (Reason(reason, f"{reason} at 100 requests/s"),),
        forecast={"cpu": PoolForecast(76.0, 120.0, 150.0)},
        estimates={"cpu": PoolEstimate(capacity, capacity, 33.3, 0.97, 0.97)},
        cost_per_hour=3.0,
    )


def tracked(**more: Any) -> Tracked:
    values = {"generation": 2, "spec": SPEC, "decision": decision(), "reading": reading(), **more}
    return Tracked(Owner("shop", "feed", "u"), **values)


def status(t: Tracked | None = None, pools: dict[str, PoolState] | None = None, **more: Any) -> RecModelStatus:
    pools = {"cpu": STATE} if pools is None else pools
    return judge(t or tracked(), pools, {"cpu": 1000}, more.get("now", NOW), more.get("written", RecModelStatus()))


def condition(kind: str, found: RecModelStatus) -> tuple[str, str]:
    return next((c.status, c.reason) for c in found.conditions if c.type == kind)


def test_a_healthy_model_in_all_its_numbers() -> None:
    found = status()
    assert {c.type: (c.status, c.reason) for c in found.conditions} == {
        "Ready": ("True", "Serving"),
        "ObjectiveMet": ("True", "WithinObjective"),
        "MetricsAvailable": ("True", "MetricsFound"),
        "CapacityAvailable": ("True", "AllScheduled"),
        "Progressing": ("False", "Settled"),
        "Degraded": ("False", "AsWished"),
    }
    assert as_object(found)["pools"] == [
        {
            "name": "cpu", "desired": 3, "ready": 3, "weight": 1000, "loadPerSecond": "100", "withinThreshold": "97.0%",
            "latencyPercentile": "50ms-100ms", "capacityPerReplica": "40.0", "startupSeconds": "40", "unschedulable": 0,
        }
    ]  # fmt: skip
    assert (found.replicas, found.load_per_second, found.cost_per_hour) == ("cpu 3/3", "100", "3.00")
    assert [(f.pool, f.seconds, f.p50_per_second, f.upper_per_second) for f in found.forecast] == [
        ("cpu", 76, "120", "150")
    ]
    assert all(c.observed_generation == 2 for c in found.conditions)


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


def test_noise_is_not_worth_a_write() -> None:
    first = status()
    noisy = tracked(reading=reading(Bracket(0.971, 0.971), 104.0), decision=decision(capacity=41.0))
    assert not worth_writing(status(noisy, now=NOW + timedelta(hours=1), written=first), first)


@pytest.mark.parametrize(
    "changed",
    [
        status(tracked(reading=reading(rate=150.0))),
        status(tracked(reading=reading(Bracket(0.9, 0.9)))),
        status(pools={"cpu": replace(STATE, ready=2)}),
        status(tracked(generation=3)),
        status(tracked(decision=decision(4))),
        status(tracked(decision=decision(reason="ForecastRise"))),
        status(tracked(decision=decision(capacity=60.0))),
    ],
)
def test_what_changed_is_worth_a_write(changed: RecModelStatus) -> None:
    assert worth_writing(changed, status())


def test_one_replica_of_many_is_worth_a_write() -> None:
    many, more = replace(STATE, ready=100), replace(STATE, ready=101)
    assert worth_writing(status(pools={"cpu": more}), status(pools={"cpu": many}))


def test_past_decisions_are_kept_newest_first_and_only_where_replicas_changed() -> None:
    found = status()
    for replicas in (3, 4, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4):
        found = status(tracked(decision=decision(replicas)), written=found)
    assert [d.replicas["cpu"] for d in found.decisions] == [4, 5, 6, 7, 8, 9, 8, 7, 6, 5]


def test_where_nothing_may_change_each_other_wish_is_kept() -> None:
    found = status()
    for state in ("Recommending", "Tracking"):
        for wish in (3, 4, 4, 5):
            wished = replace(decision(state=state), wish={"cpu": wish})
            found = status(tracked(decision=wished), written=found)
    assert [(d.state, d.wish) for d in found.decisions[:4]] == [
        ("Tracking", {"cpu": 3}), ("Recommending", {"cpu": 5}), ("Recommending", {"cpu": 4}), ("Recommending", {"cpu": 3}),
    ]  # fmt: skip


def test_what_was_written_is_read_back_as_the_same() -> None:
    found = status()
    assert written_status({"status": as_object(found)}) == found
    assert written_status({"status": {"conditions": 5}}) == RecModelStatus()
    assert written_status({}) == RecModelStatus()


def test_a_changed_decision_is_told_once_with_its_reason() -> None:
    first = status()
    grown = status(tracked(decision=decision(5, reason="ForecastRise")), written=first)
    assert changes(grown, first) == [("Normal", Reason("ForecastRise", "cpu 3 -> 5: ForecastRise at 100 requests/s"))]
    assert changes(status(tracked(decision=decision(5, reason="ForecastRise")), written=grown), grown) == []


def test_a_flipped_condition_is_told_with_its_weight() -> None:
    first = status()
    missed = status(tracked(reading=reading(Bracket(0.9, 0.9))), written=first)
    ((kind, reason),) = changes(missed, first)
    assert (kind, reason.reason) == ("Warning", "ObjectiveMissed")
    ((kind, reason),) = changes(status(written=missed), missed)
    assert (kind, reason.reason) == ("Normal", "WithinObjective")


def test_a_new_healthy_model_tells_only_that_it_serves() -> None:
    assert [reason.reason for _, reason in changes(status(), RecModelStatus())] == ["Serving"]


def test_a_new_model_that_starts_is_no_news_but_one_that_lost_all_its_pods_is() -> None:
    starting = status(pools={"cpu": replace(STATE, ready=0)})
    assert changes(starting, RecModelStatus()) == []
    lost = status(pools={"cpu": replace(STATE, ready=0)}, written=status())
    assert [(kind, reason.reason) for kind, reason in changes(lost, status())] == [("Warning", "Starting")]


def test_an_event_names_its_object_and_repeats_to_the_same_name() -> None:
    owner = {"metadata": {"name": "feed", "namespace": "shop", "uid": "u"}}
    made = event(owner, "Normal", Reason("Steady", "x" * 5000), NOW)
    assert made["involvedObject"]["uid"] == "u"
    assert len(made["message"]) == 1024
    assert made == event(owner, "Normal", Reason("Steady", "x" * 5000), NOW)


def with_records(*found: dict[str, Any]) -> Tracked:
    variants = [{"name": "full", "accuracy": {"metric": "AUC", "value": "0.81"}}, {"name": "int8"}]
    objective = {"latency": {"threshold": "100ms"}, "accuracy": {"maxLoss": "1%"}}
    t = tracked(written=SPEC.model_validate(
        {**SPEC.model_dump(by_alias=True, exclude_none=True), "variants": variants, "objective": objective}
    ))  # fmt: skip
    t.learn(list(found))
    return t


def test_the_status_says_where_each_variants_accuracy_is_from() -> None:
    full, int8 = status(with_records(config_map(record()))).variants
    assert (full.value, full.interval, full.loss, full.source) == ("0.81", None, "0.00%", "spec")
    assert (int8.version, int8.value, int8.interval) == ("7", "0.8", "0.79-0.81")
    assert (int8.loss, int8.source) == ("1.23%", "ConfigMap feed-variants")


def test_a_refused_record_and_a_missing_one_are_said_and_told() -> None:
    for found, reason in ((config_map(record(value="good")), "InvalidRecord"), (None, "VariantUnmeasured")):
        t = with_records(*([found] if found else []))
        (condition,) = [c for c in status(t).conditions if c.type == "VariantsMeasured"]
        assert (condition.status, condition.reason) == ("False", reason)
        good = status(with_records(config_map(record())))
        assert [(kind, told.reason) for kind, told in changes(status(t), good)] == [("Warning", reason)]


def optimised(course: Course, *records: dict[str, Any], job: str = "feed-optimise-1", mode: str = "Auto") -> Tracked:
    t = with_records(*records)
    assert t.spec is not None
    t.spec, t.job, t.course = t.spec.model_copy(update={"mode": mode}), job, course
    return t


RUNNING, COMPLETE = Course("Running", "1 of 3 attempts failed so far"), Course("Complete")
FAILED = Course("Failed", "BackoffLimitExceeded: Job has reached the specified backoff limit")
CHOSEN = config_map(record(), record("tiny", chosen=False))
UNLISTED = config_map(record("tiny"))  # the spec has no such variant
BAD = config_map(record(value="good"))
# Each stage after nothing, and after what was said before of the same Job.
OPTIMISED = {
    "not started yet": (optimised(Course()), None, ("Unknown", "NotObserved", "not started yet")),
    "not started in this mode": (
        optimised(Course(), mode="Recommend"), None, ("Unknown", "ModeRecommend", "the mode is not Auto")),
    "running": (optimised(RUNNING), None, ("Unknown", "OptimisationRunning", "has not ended; 1 of 3 attempts failed so far")),
    "running, in a mode of later": (optimised(RUNNING, mode="Paused"), None, ("Unknown", "OptimisationRunning", "")),
    "running beside an old record": (optimised(RUNNING, CHOSEN), None, ("Unknown", "OptimisationRunning", "has not ended")),
    "complete": (
        optimised(COMPLETE, CHOSEN), None,
        ("True", "OptimisationComplete", "Job feed-optimise-1 is complete; chosen: int8, version 7: the fastest within the budget")),
    "complete, of a variant that is not in the spec": (
        optimised(COMPLETE, UNLISTED), None, ("True", "OptimisationComplete", "chosen: tiny, version 7")),
    "complete, and nothing chosen": (
        optimised(COMPLETE, config_map(record(chosen=False))), None, ("True", "OptimisationComplete", "chosen: none")),
    "complete without a record": (
        optimised(COMPLETE), None, ("False", "RecordMissing", "no ConfigMap has the label recmodel.dev/variants-of: feed")),
    "complete with a bad record": (
        optimised(COMPLETE, BAD), None, ("False", "RecordMissing", "int8.json in ConfigMap feed-variants: value is 'good'")),
    "failed": (
        optimised(FAILED), None,
        ("False", "OptimisationFailed", f"Job feed-optimise-1 failed: {FAILED.said}; "
         "look: kubectl -n shop logs job/feed-optimise-1")),
    "failed with much to say": (
        optimised(Course("Failed", "x" * 5000)), None,
        ("False", "OptimisationFailed", "xx; look: kubectl -n shop logs job/feed-optimise-1")),
    "failed beside an old record": (optimised(FAILED, CHOSEN), None, ("False", "OptimisationFailed", "")),
    "deleted after it ended well": (
        optimised(Course(), CHOSEN), optimised(COMPLETE, CHOSEN), ("True", "OptimisationComplete", "chosen: int8")),
    "deleted after it ended well, and its record, too": (
        optimised(Course()), optimised(COMPLETE, CHOSEN), ("False", "RecordMissing", "")),
    "deleted after it ended well, and the record written anew": (
        optimised(Course(), CHOSEN), optimised(COMPLETE), ("True", "OptimisationComplete", "")),
    "deleted after it failed": (
        optimised(Course(), CHOSEN), optimised(FAILED), ("False", "OptimisationFailed", FAILED.said)),
    "deleted while it ran": (
        optimised(Course(), CHOSEN), optimised(RUNNING), ("Unknown", "NotObserved", "deleted before its end was seen")),
    "started again after it failed": (optimised(RUNNING), optimised(FAILED), ("Unknown", "OptimisationRunning", "")),
    "another one after one that ended well": (
        optimised(Course(), CHOSEN, job="feed-optimise-2"), optimised(COMPLETE, CHOSEN), ("Unknown", "NotObserved", "")),
    "another one after one that failed": (
        optimised(Course(), CHOSEN, job="feed-optimise-2"), optimised(FAILED), ("Unknown", "NotObserved", "")),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIMISED)
def test_how_far_the_job_has_come(case: str) -> None:
    now, earlier, (state, reason, said) = OPTIMISED[case]
    found = status(now, written=status(earlier) if earlier else RecModelStatus())
    (told,) = [c for c in found.conditions if c.type == "VariantsReady"]
    assert (told.status, told.reason) == (state, reason)
    assert said in told.message
    assert found.optimisation_job == now.job
    assert condition("Ready", found) == ("True", "Serving")


def test_without_an_optimisation_nothing_is_said_of_a_job() -> None:
    found = status(with_records(CHOSEN), written=status(optimised(COMPLETE, CHOSEN)))
    assert "VariantsReady" not in {c.type for c in found.conditions}
    assert found.optimisation_job is None


def test_the_end_of_a_job_is_told_once_and_its_course_is_not() -> None:
    running = status(optimised(RUNNING))
    assert "OptimisationRunning" not in [told.reason for _, told in changes(running, RecModelStatus())]
    for course, found, told in (
        (FAILED, (), ("Warning", "OptimisationFailed")),
        (COMPLETE, (), ("Warning", "RecordMissing")),
        (COMPLETE, (UNLISTED,), ("Normal", "OptimisationComplete")),
    ):
        ended = status(optimised(course, *found), written=running)
        assert [(kind, reason.reason) for kind, reason in changes(ended, running)] == [told]
        assert changes(status(optimised(course, *found), written=ended), ended) == []


def test_another_job_with_the_same_end_and_another_attempt_are_worth_a_write() -> None:
    first, second = (status(optimised(FAILED, job=f"feed-optimise-{n}")) for n in (10000001, 10000002))
    assert worth_writing(second, first)
    tried = status(optimised(Course("Running", "2 of 3 attempts failed so far")))
    assert worth_writing(tried, status(optimised(RUNNING)))
    assert not worth_writing(first, first)


def test_a_job_that_ended_well_is_known_to_a_new_process() -> None:
    for course, finished in ((COMPLETE, "feed-optimise-1"), (FAILED, None), (RUNNING, None)):
        stands = {"status": as_object(status(optimised(course, CHOSEN)))}
        t = Tracked(Owner("shop", "feed", "u"), body=stands)
        t.recall(0.0)
        assert t.finished == finished


def test_another_record_that_is_refused_is_said_though_the_reason_is_the_same() -> None:
    first, second = (status(with_records(config_map(record(**bad)))) for bad in ({"value": "good"}, {"metric": 7}))
    assert worth_writing(second, first)
    assert not worth_writing(first, first)


def test_another_version_is_never_noise() -> None:
    first, second = (status(with_records(config_map(record(version=v)))) for v in ("1000", "1001"))
    assert worth_writing(second, first)


def test_what_is_left_of_the_accuracy_budget_is_said_and_read_again() -> None:
    found = status(tracked(decision=replace(decision(), accuracy_budget_left_ratio=0.617)))
    assert found.accuracy_budget_left == "62%"
    assert Tracked(Owner("shop", "feed", "u"), body={"status": as_object(found)}).recall(0.0) == 0.62
    assert Tracked(Owner("shop", "feed", "u"), body={"status": {"accuracyBudgetLeft": 7}}).recall(0.0) is None

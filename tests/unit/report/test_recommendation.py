"""Of pools by reference: what runs beside what would run, in money."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders.references import TARGET, reference_spec, referring
from builders.status_scene import STATE, decision, reading, tracked
from recmodel.api.status import MixStatus, RecommendationStatus
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.observed.pool_state import Reference
from recmodel.core.types import Decision, PoolEstimate, Reason
from recmodel.prometheus import Bracket
from recmodel.report.recommendation import recommendation, target_problem

GPU = referring({**TARGET, "name": "ranker-gpu"}, name="gpu", costPerHour="2.25")
SPEC = RecModelSpec.model_validate(reference_spec(referring(), GPU))
HPA = "HorizontalPodAutoscaler ranker-cpu"
POOLS = {
    "cpu": replace(STATE, desired=6, reference=Reference("Deployment ranker-cpu", (HPA, "Canary ranker"))),
    "gpu": replace(STATE, desired=1, reference=Reference("Deployment ranker-gpu")),
}


def decided(planned: dict[str, int], acting: dict[str, int] | None = None, *reasons: Reason) -> Decision:
    return replace(
        decision(), proposed_replicas=planned, acting_replicas=acting or {"cpu": 6, "gpu": 1}, reasons=tuple(reasons)
    )


def found(made: Decision, rate: float | None = 100.0, within: float = 0.97) -> RecommendationStatus:
    snapshot = tracked(spec=SPEC, decision=made, reading=reading(Bracket(within, within), rate)).snapshot()
    snapshot = replace(snapshot, decided=replace(snapshot.decided, decision=made))
    result = recommendation(snapshot, POOLS)
    assert result is not None
    return result


@pytest.fixture(autouse=True)
def _for_these_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recmodel.report.snapshot.for_pools_of", lambda spec, decided: True)


RUNS = f"runs cpu 6, gpu 1 at 11.25 an hour ({HPA} scales cpu, Canary ranker releases cpu)"


def test_less_is_said_with_the_difference() -> None:
    said = found(decided({"cpu": 4, "gpu": 1}, {"cpu": 5, "gpu": 1}))  # a guard gives them back one by one
    assert said.message == f"{RUNS}; would run cpu 4, gpu 1 at 8.25 an hour, 3.00 less"
    assert said.recommended is not None
    assert (said.running.cost_per_hour, said.recommended.cost_per_hour, said.saving_per_hour) == (
        "11.25",
        "8.25",
        "3.00",
    )


def test_an_autoscaler_that_cannot_scale_is_not_said_to_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    stands = f"{HPA} (cannot scale now: FailedGetResourceMetric)"
    monkeypatch.setitem(POOLS, "cpu", replace(POOLS["cpu"], reference=Reference("Deployment ranker-cpu", (stands,))))
    said = found(decided({"cpu": 6, "gpu": 1})).message
    assert said.startswith(f"runs cpu 6, gpu 1 at 11.25 an hour ({stands} is to scale cpu); ")


def test_more_is_said_as_more_and_what_a_guard_adds_counts() -> None:
    said = found(decided({"cpu": 6, "gpu": 1}, {"cpu": 8, "gpu": 1}))
    assert said.message == f"{RUNS}; would run cpu 8, gpu 1 at 14.25 an hour, 3.00 more"
    assert said.saving_per_hour == "-3.00"


def test_while_the_objective_is_missed_nothing_that_a_guard_keeps_is_called_too_much() -> None:
    made = decided({"cpu": 4, "gpu": 0}, {"cpu": 6, "gpu": 0})
    assert found(made, within=0.9).recommended == MixStatus(replicas={"cpu": 6, "gpu": 0}, cost_per_hour="9.00")
    assert found(made).recommended == MixStatus(replicas={"cpu": 4, "gpu": 0}, cost_per_hour="6.00")


def test_the_same_is_said_as_the_same_and_what_no_mix_carries_is_told() -> None:
    said = found(decided({"cpu": 6, "gpu": 1}, None, Reason("Infeasible", "no mix")))
    assert (
        said.message
        == f"{RUNS}; would run the same; no mix within replicas.max is enough for the load that is expected"
    )
    assert said.saving_per_hour == "0.00"


def test_the_same_because_nothing_is_learned_yet_says_so() -> None:
    known, unknown = (PoolEstimate(rate, rate, 9.0, 1.0, 1.0, rate) for rate in (50.0, None))
    made = decided({"cpu": 6, "gpu": 1})
    learning = found(replace(made, estimates={"cpu": unknown, "gpu": unknown})).message
    assert learning == f"{RUNS}; would run the same, as what a replica of cpu, gpu carries is not known yet"
    half = found(replace(made, estimates={"cpu": known, "gpu": unknown})).message
    assert half == f"{RUNS}; would run the same, as what a replica of gpu carries is not known yet"
    assert found(replace(made, estimates={"cpu": known, "gpu": known})).message == f"{RUNS}; would run the same"


def test_without_a_known_load_there_is_nothing_to_compare() -> None:
    said = found(decided({"cpu": 4, "gpu": 1}), rate=None)
    assert said.message == f"{RUNS}; what the operator would run is not known yet: said so"
    assert (said.recommended, said.saving_per_hour) == (None, None)


def test_a_target_with_a_problem_is_named_and_nothing_is_said_of_the_mix() -> None:
    lost = Reference("Deployment ranker-gpu", problem=Reason("TargetMissing", "there is no Deployment shop/ranker-gpu"))
    pools = {**POOLS, "gpu": replace(STATE, exists=False, reference=lost)}
    assert target_problem(pools) == Reason("TargetMissing", "pool gpu: there is no Deployment shop/ranker-gpu")
    assert recommendation(tracked(spec=SPEC).snapshot(), pools) is None
    assert recommendation(tracked().snapshot(), {"cpu": STATE}) is None

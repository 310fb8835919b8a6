"""Which candidate is chosen, and what each other one is told."""

from __future__ import annotations

import pytest

from recmodel.variants.choose import Criterion, Judged, choose, read_budget
from recmodel.variants.errors import InputError
from recmodel.variants.plan import FULL, Candidate
from recmodel.variants.quality import Lift, Measured
from recmodel.variants.speed import SizeSpeed, Speed

SIZE = 200


def judged(
    name: str, latency: float, loss: tuple[float, float, float] = (0.0, 0.0, 0.0), parent: str | None = FULL
) -> Judged:
    """``loss`` is low, middle, high."""
    speed = SizeSpeed(
        p50_seconds=latency * 0.005, p95_seconds=latency * 0.006, per_second=200 / latency,
        latency_ratio=latency, latency_range=(latency, latency), throughput_ratio=1 / latency,
        throughput_range=(1 / latency, 1 / latency), bare_seconds=latency * 0.004, bare_ratio=latency,
    )  # fmt: skip
    low, middle, high = loss
    lift = Lift(0.077, (0.07, 0.08), 10 * middle, (10 * low, 10 * high))
    quality = Measured(0.77 * (1 - middle), (0.76, 0.78), middle, (low, high), lift)
    candidate = Candidate(name, name, None if name == FULL else parent)
    return Judged(candidate, {"auc": quality}, Speed({SIZE: speed}, None), 1000)


def reasons(*others: Judged, budget: float = 0.01) -> dict[str, str]:
    found = choose([judged(FULL, 1.0), *others], Criterion("auc", budget, SIZE))
    assert sum(choice.chosen for choice in found) == 1
    return {choice.name: ("* " if choice.chosen else "") + choice.reason for choice in found}


def test_the_fastest_whose_whole_interval_is_within_the_budget_is_chosen() -> None:
    told = reasons(
        judged("int8", 0.5, (0.0, 0.001, 0.002)),
        judged("pruned", 0.2, (0.001, 0.004, 0.008)),
        judged("tiny", 0.1, (0.002, 0.006, 0.0101)),
    )
    assert told["pruned"].startswith("* the fastest within 1.00%")
    assert "crosses the budget of 1.00%" in told["tiny"]
    assert "slower than pruned: 0.50 of the baseline's latency against 0.20" in told["int8"]
    assert "pruned is faster" in told[FULL]


def test_a_budget_of_the_lead_refuses_what_one_of_the_metric_lets_pass() -> None:
    # 0.4 % of the AUC is 4 % of the lead over the baseline.
    others = [
        judged(FULL, 1.0),
        judged("int8", 0.5, (0.0, 0.0002, 0.0004)),
        judged("pruned", 0.2, (0.002, 0.004, 0.006)),
    ]
    found = {c.name: c for c in choose(others, Criterion("auc", 0.01, SIZE, "means"))}
    assert found["int8"].chosen
    assert found["int8"].reason.startswith("the fastest within 1.00%: loses +0.00% to +0.40% of the lead over means")
    assert found["pruned"].reason.startswith("loses +2.00% to +6.00% of the lead over means: the interval crosses")
    assert [c.name for c in choose(others, Criterion("auc", 0.01, SIZE)) if c.chosen] == ["pruned"]


def test_where_the_full_model_has_no_lead_there_is_no_budget_of_it() -> None:
    quality = {"auc": Measured(0.7, (0.6, 0.8), 0.0, (0.0, 0.0), Lift(0.001, (-0.002, 0.004), None, None))}
    with pytest.raises(InputError) as caught:
        Criterion("auc", 0.01, SIZE, "means").loss(quality)
    assert str(caught.value) == (
        "baseline: means: the full model leads it by +0.0010 [-0.0020, +0.0040] of AUC: that is no lead to lose a share of"
    )


def test_an_interval_that_touches_the_budget_crosses_it() -> None:
    assert "crosses the budget" in reasons(judged("pruned", 0.2, (0.0, 0.005, 0.01)))["pruned"]


def test_with_nothing_faster_in_the_budget_the_full_model_stays() -> None:
    told = reasons(judged("tiny", 0.1, (0.02, 0.03, 0.04)), judged("sparse", 1.0, (0.0, 0.001, 0.002)))
    assert told[FULL].startswith("* nothing within 1.00%")
    assert "does not pay: 1.00 of the latency of full" in told["sparse"]


def test_a_gain_that_one_run_cannot_tell_is_none() -> None:
    # 8 % is within what two runs of the same file differ by: the full model, which loses nothing, stays.
    assert reasons(judged("int8", 0.92, (0.0, 0.001, 0.002)))[FULL].startswith("*")


@pytest.mark.parametrize("latency", [0.905, 0.95, 1.0, 1.1])
def test_what_is_not_a_tenth_faster_is_never_chosen_however_little_it_loses(latency: float) -> None:
    told = reasons(judged("int8", latency, (-0.002, -0.002, -0.002), parent=None))
    assert told[FULL] == "* nothing within 1.00% needs 0.90 of its latency or less: the full model stays"
    assert f"no faster than full ({latency:.2f} against 1.00 of the baseline's latency)" in told["int8"]


def test_what_is_not_a_tenth_faster_is_not_kept_beside_the_chosen_one_either() -> None:
    better = judged("better", 0.95, (-0.003, -0.002, -0.001))
    found = choose([judged(FULL, 1.0), judged("int8", 0.5, (0.0, 0.001, 0.002)), better], Criterion("auc", 0.01, SIZE))
    assert [choice.name for choice in found if choice.kept] == [FULL, "int8"]


def test_at_nine_tenths_of_the_latency_it_is_chosen() -> None:
    assert reasons(judged("int8", 0.9, (0.0, 0.001, 0.002)))["int8"].startswith("* the fastest within")


def test_among_equally_fast_ones_the_one_that_loses_least_is_chosen() -> None:
    told = reasons(judged("a", 0.20, (0.0, 0.004, 0.008)), judged("b", 0.205, (-0.001, 0.0, 0.001)))
    assert told["b"].startswith("*")
    assert "no faster than b" in told["a"]


def test_a_step_that_does_not_pay_names_what_it_was_made_from() -> None:
    told = reasons(
        judged("narrow", 0.2, (0.0, 0.001, 0.002), parent=None),
        judged("narrow-int8", 0.2, (0.0, 0.002, 0.004), parent="narrow"),
    )
    assert (
        "does not pay: 1.00 of the latency of narrow, which it was made from (1.00 without the server)"
        in told["narrow-int8"]
    )


def test_kept_are_the_baseline_the_chosen_and_what_trades_speed_for_accuracy() -> None:
    found = choose(
        [
            judged(FULL, 1.0),
            judged("int8", 0.5, (0.0, 0.001, 0.002)),
            judged("bad", 0.6, (0.0, 0.002, 0.003)),
            judged("pruned", 0.2, (0.0, 0.004, 0.008)),
        ],
        Criterion("auc", 0.01, SIZE),
    )
    assert [choice.name for choice in found if choice.kept] == [FULL, "int8", "pruned"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0%", "budget: 0%: must be above 0%"),
        ("0.00%", "budget: 0.00%: must be above 0%"),
        ("0.01", "budget: 0.01: must be a percentage such as 1%"),
        ("-1%", "budget: -1%: must be a percentage"),
        ("100%", "budget: 100%: must be a percentage"),
    ],
)
def test_a_budget_that_is_none_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_budget(text)
    assert str(caught.value).startswith(told)


def test_a_budget_is_a_ratio_inside() -> None:
    assert read_budget("0.5%") == pytest.approx(0.005)

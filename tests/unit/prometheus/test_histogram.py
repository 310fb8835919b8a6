"""Brackets: what a histogram says for certain."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recmodel.prometheus.histogram import (
    Bracket,
    edge_bracket,
    percentile_bracket,
    served_bracket,
    upper_bound_seconds,
    within_bracket,
)

INF = math.inf
LATENCY = {0.05: 40.0, 0.1: 90.0, 0.25: 99.0, INF: 100.0}


@pytest.mark.parametrize(
    ("edge", "unit", "whole_units", "seconds"),
    [
        ("0.1", "s", False, 0.1),
        ("100", "ms", False, 0.1),
        ("1e+02", "ms", False, 0.1),
        ("104.976", "us", False, 0.000104976),
        ("99", "ms", True, 0.1),  # cut to whole ms: le="99" is "under 100 ms"
        ("0.5", "ms", True, 0.001),  # only what was cut to 0 is in it
        ("+Inf", "ms", True, INF),
    ],
)
def test_the_upper_bound_of_a_bucket_is_in_seconds(edge: str, unit: str, whole_units: bool, seconds: float) -> None:
    assert upper_bound_seconds(edge, unit, whole_units=whole_units) == seconds


@pytest.mark.parametrize("edge", ["", "NaN", "-1", "abc", "-Inf"])
def test_an_edge_that_is_no_number_is_refused(edge: str) -> None:
    with pytest.raises(ValueError, match=r"bucket edge|could not convert"):
        upper_bound_seconds(edge, "ms", whole_units=False)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.1, (0.9, 0.9)),  # an edge: exact
        (100 * 0.001, (0.9, 0.9)),  # the same edge by another way of computing it
        (0.06, (0.4, 0.9)),
        (0.01, (0.0, 0.4)),  # below the lowest edge
        (5.0, (0.99, 1.0)),  # above the highest
    ],
)
def test_the_share_within_a_threshold_is_a_bracket(threshold: float, expected: tuple[float, float]) -> None:
    assert within_bracket(LATENCY, threshold) == pytest.approx(expected)


@pytest.mark.parametrize("latency", [{}, {0.1: 5.0}, {0.1: 0.0, INF: 0.0}, {0.1: 1.0, INF: INF}])
def test_without_requests_or_without_the_last_bucket_nothing_is_known(latency: dict[float, float]) -> None:
    assert within_bracket(latency, 0.1) is None
    assert percentile_bracket(latency, 0.95) is None


@pytest.mark.parametrize(
    ("case", "rate", "errors", "expected"),
    [
        ("no errors", 100.0, 0.0, (0.9, 0.9)),
        ("unknown errors: the histogram alone", 100.0, None, (0.9, 0.9)),
        ("10 errors among the answers, quick or slow", 100.0, 10.0, (0.8, 0.9)),
        ("20 without any answer", 120.0, 20.0, (0.75, 0.75)),
        ("both", 120.0, 30.0, (80 / 120, 90 / 120)),
        ("the buckets lag behind: no failure", 110.0, 0.0, (0.9, 0.9)),
        ("the buckets are ahead", 90.0, 5.0, (0.85, 0.9)),
        ("nothing but errors", 100.0, 100.0, (0.0, 0.0)),
    ],
)
def test_a_failure_is_never_within_the_threshold(
    case: str, rate: float, errors: float | None, expected: tuple[float, float]
) -> None:
    assert served_bracket(LATENCY, 0.1, rate, errors) == pytest.approx(expected), case


@given(
    answers=st.lists(st.tuples(st.floats(0.001, 1.0), st.booleans()), min_size=1, max_size=80),
    lost=st.integers(0, 50),
)
def test_the_share_served_holds_the_truth(answers: list[tuple[float, bool]], lost: int) -> None:
    latency = {edge: float(sum(t <= edge for t, _ in answers)) for edge in (0.05, 0.2)} | {INF: float(len(answers))}
    everything = len(answers) + lost
    errors = lost + sum(not good for _, good in answers)
    truth = sum(good and t <= 0.1 for t, good in answers) / everything
    bracket = served_bracket(latency, 0.1, everything, errors)
    assert bracket is not None
    assert bracket.lower - 1e-9 <= truth <= bracket.upper + 1e-9


def test_a_percentile_lies_between_two_edges() -> None:
    assert percentile_bracket(LATENCY, 0.95) == (0.1, 0.25)
    assert percentile_bracket(LATENCY, 0.2) == (0.0, 0.05)
    assert percentile_bracket(LATENCY, 0.995) == (
        0.25,
        INF,
    )  # saturated: never the highest edge as if it were the answer


def test_a_bucket_smaller_than_the_one_before_is_raised_to_it() -> None:
    torn = {0.05: 41.0, 0.1: 40.0, INF: 100.0}
    assert within_bracket(torn, 0.1) == (0.41, 0.41)


def test_the_nearest_edges() -> None:
    assert edge_bracket(LATENCY, 0.06) == (0.05, 0.1)
    assert edge_bracket(LATENCY, 0.1) == (0.1, 0.1)
    assert edge_bracket(LATENCY, 0.001) == (0.0, 0.05)
    assert edge_bracket(LATENCY, 9.0) == (0.25, INF)


@given(
    times=st.lists(st.floats(0.0001, 10.0), min_size=1, max_size=200),
    edges=st.lists(st.floats(0.001, 5.0), min_size=1, max_size=10, unique=True),
    threshold=st.floats(0.001, 6.0),
    ratio=st.floats(0.5, 0.99),
)
def test_the_brackets_hold_the_truth(times: list[float], edges: list[float], threshold: float, ratio: float) -> None:
    # An edge that is as near as another way of computing it would be is taken to be the threshold.
    assume(all(edge == threshold or not math.isclose(edge, threshold, rel_tol=1e-8) for edge in edges))
    latency = {edge: float(sum(t <= edge for t in times)) for edge in edges} | {INF: float(len(times))}
    share = sum(t <= threshold for t in times) / len(times)
    within = within_bracket(latency, threshold)
    assert within is not None
    assert within.lower - 1e-9 <= share <= within.upper + 1e-9
    percentile = sorted(times)[math.ceil(ratio * len(times)) - 1]
    bracket = percentile_bracket(latency, ratio)
    assert isinstance(bracket, Bracket)
    assert bracket.lower <= percentile <= bracket.upper

"""The demo's report: each figure from what a run left behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders import demo_scenes as demo
from report.collect import Run
from report.dress import DARK, LIGHT
from report.figures import drawn, picture
from report.measures import Reaction, measures, over_objective
from report.page import page
from report.table import rows, verdict


def test_prometheus_answers_lie_on_the_schedules_clock() -> None:
    measured = demo.run().measured
    assert measured.times[0] == -10.0
    assert measured.total_load() == pytest.approx(np.full(311, 60.0))
    assert measured.percentile["gpu"].lower[0] == pytest.approx(0.05)
    assert measured.percentile["gpu"].upper[0] == pytest.approx(0.1)
    assert set(measured.forecast) == {80.0}, "the larger of the pools' forecasts"
    assert np.isnan(measured.failures["cpu"]).all(), "a series that is not there is unknown, not zero"


def test_a_sound_run() -> None:
    found = measures(demo.run())
    served = found.served
    counts = (served.requests, served.answered, served.late, served.failed, served.timeouts)
    assert counts == (36_000, 36_000, 600, 0, 0)
    assert served.late_ratio == pytest.approx(1 / 60)
    assert served.over_objective_seconds == 0
    assert served.replica_changes == 2
    assert found.weight_changes == 0
    # 2 cpu and 1 gpu for an hour are 3.6, with one more of each 6.2: 510 s and 90 s of the ten minutes.
    assert served.cost == pytest.approx((510 * 3.6 + 90 * 6.2) / 3600)
    assert found.problems() == []


def test_the_hpa_beside_it_is_counted_alike() -> None:
    beside = measures(demo.run()).beside
    assert beside is not None
    assert (beside.requests, beside.late, beside.replica_changes) == (36_000, 1_200, 1)
    assert beside.cost == pytest.approx((300 * 3.0 + 300 * 4.0) / 3600)


def test_the_warm_up_does_not_count_on_either_side() -> None:
    run = demo.run()
    run = replace(run, schedule=replace(run.schedule, counts_from=100))
    found = measures(run)
    assert found.beside is not None
    assert (found.served.requests, found.beside.requests) == (30_000, 30_000)
    assert found.served.cost == pytest.approx((410 * 3.6 + 90 * 6.2) / 3600)
    assert found.beside.cost == pytest.approx((200 * 3.0 + 300 * 4.0) / 3600)


@pytest.mark.parametrize(
    ("cost", "late", "said"),
    [
        (
            0.5,
            300,
            "RecModel wins against the HPA: cost 0.5000 against 0.6000 (17% less), late or lost 0.83% against 1.67%",
        ),
        (
            0.5,
            900,
            "RecModel is cheaper and late more often than the HPA: cost 0.5000 against 0.6000 (17% less), late or lost 2.50% against 1.67%",
        ),
        (
            0.5,
            660,
            "RecModel wins against the HPA: cost 0.5000 against 0.6000 (17% less), late or lost 1.83% against 1.67%, which is within "
            "the noise of counting",
        ),
        (
            0.7,
            300,
            "RecModel is dearer and late less often than the HPA: cost 0.7000 against 0.6000 (17% more), late or lost 0.83% against "
            "1.67%",
        ),
        (
            0.7,
            900,
            "RecModel loses against the HPA: cost 0.7000 against 0.6000 (17% more), late or lost 2.50% against 1.67%",
        ),
        (
            0.5,
            3600,
            "RecModel is cheaper and late more often than the HPA: cost 0.5000 against 0.6000 (17% less), late or lost 10.00% against "
            "1.67%; RecModel missed the objective, which allows 5%",
        ),
    ],
)
def test_the_verdict_never_calls_cheaper_better_where_it_was_late_more_often(cost: float, late: int, said: str) -> None:
    found = measures(demo.run())
    assert found.beside is not None
    mine, other = replace(found.served, cost=cost, late=late), replace(found.beside, cost=0.6, late=600)
    text = verdict(replace(found, served=mine, beside=other))
    assert text is not None
    assert text.endswith(said)


def test_without_an_hpa_or_its_cost_there_is_no_verdict() -> None:
    found = measures(replace(demo.run(), beside=None))
    assert (found.beside, verdict(found)) == (None, None)
    found = measures(demo.run())
    assert found.beside is not None
    assert verdict(replace(found, beside=replace(found.beside, cost=None))) is None


def test_first_decision_counts_from_the_recmodels_creation() -> None:
    assert measures(demo.run()).first_decision_seconds == pytest.approx(70.0)


@pytest.mark.parametrize(
    ("lost", "unsound"),
    [(0, False), (36, True)],
)
def test_one_in_a_hundred_lost_is_not_sound(lost: int, unsound: bool) -> None:
    # The tenth part of the seconds loses `lost` of its 60: 36 of 600.
    seconds = [demo.client_second(s, lost=lost if s % 10 == 0 else 0, late=0) for s in range(600)]
    found = measures(demo.run(seconds))
    assert bool(found.problems()) is unsound
    assert found.served.lost_in_crowd == (4 * lost if lost else 0)
    assert found.lost_ratio == pytest.approx(56 * lost / 36_000)


def test_what_a_flash_crowd_loses_is_shown_and_is_no_fault_of_the_run() -> None:
    seconds = [demo.client_second(s, lost=20 if 400 <= s < 440 else 0, late=0) for s in range(600)]
    run = demo.run(seconds)
    found = measures(run)
    assert (found.problems(), found.served.lost_in_crowd) == ([], 800)
    shown = {row.what: row.figure for row in rows(run, found)}
    assert shown["Of these two, in the flash crowd"] == "800"


def test_a_run_without_decisions_or_answers_is_not_sound() -> None:
    snapshots = [replace(demo.snapshot(s), decisions=()) for s in range(-10, 606, 2)]
    found = measures(demo.run([demo.client_second(s, lost=60, late=0) for s in range(600)], snapshots))
    assert len(found.problems()) == 3, found.problems()
    assert found.first_decision_seconds is None


def test_windows_over_the_objective_count_lost_requests_as_missed() -> None:
    seconds = [demo.client_second(s, late=4 if 10 <= s < 20 else 0, lost=4 if 20 <= s < 30 else 0) for s in range(40)]
    assert over_objective(seconds, 0.95) == {0: False, 10: True, 20: True, 30: False}


def crowded(run: Run, load: float) -> Run:
    """The same run with this load in the crowd's 40 s; the replicas carry 90/s before 410 s, 155/s after."""
    rates = tuple(load if 400 <= s < 440 else 50.0 for s in range(600))
    return replace(run, schedule=replace(run.schedule, rates=rates))


def test_the_reaction_to_the_flash_crowd() -> None:
    run = demo.run(seconds=[demo.client_second(s, late=6 if 404 <= s < 416 else 0) for s in range(600)])
    found = measures(crowded(run, 120.0)).reaction
    assert found == Reaction(short=True, capacity_seconds=10.0, certain=True, late=True, recovered_seconds=20.0)


def test_a_crowd_that_was_too_large_to_the_end() -> None:
    found = measures(crowded(demo.run(), 200.0)).reaction
    assert found == Reaction(short=True, capacity_seconds=None, certain=True, late=False, recovered_seconds=0.0)


def test_a_crowd_that_nobody_noticed() -> None:
    found = measures(demo.run()).reaction
    assert found == Reaction(short=False, capacity_seconds=0.0, certain=True, late=False, recovered_seconds=0.0)


def test_a_pool_of_unknown_capacity_leaves_the_answer_open_unless_the_others_suffice() -> None:
    snapshots = [demo.snapshot(s, *((3, 2) if 410 <= s < 500 else (2, 1))) for s in range(-10, 606, 2)]
    blind = [replace(s, pools=(s.pools[0], replace(s.pools[1], capacity_per_replica=None))) for s in snapshots]
    run = demo.run(snapshots=blind)
    found = measures(crowded(run, 70.0)).reaction  # the cpu pods alone carry 50/s, then 75/s
    assert found == Reaction(short=True, capacity_seconds=10.0, certain=False, late=False, recovered_seconds=0.0)
    table = {row.what: row.figure for row in rows(run, measures(crowded(run, 70.0)))}
    assert table["Flash crowd: ready capacity at the load"] == "after at most 10 s"
    table = {row.what: row.figure for row in rows(run, measures(crowded(run, 80.0)))}
    assert table["Flash crowd: ready capacity at the load"] == "–"


def test_the_page_is_whole_and_loads_nothing_from_elsewhere() -> None:
    run = demo.run()
    found = measures(run)
    light, dark = (picture(run, found, dress) for dress in (LIGHT, DARK))
    assert light.startswith(b"\x89PNG")
    assert light != dark
    text = page(run, found, light, dark)
    assert text.count("data:image/png;base64,") == 2
    assert "http://" not in text
    assert "https://" not in text
    assert "emulated" in text
    assert "RecModel" in text
    assert "the HPA" in text
    assert "The run was sound." in text


def test_the_picture_says_what_was_replayed() -> None:
    run = replace(demo.run(), replayed="tencent_14.csv.gz from minute 300: 90 min in 540 s")
    title = drawn(run, measures(run), LIGHT).get_suptitle()
    assert run.replayed in title


def test_names_are_escaped() -> None:
    run = demo.run()
    event = replace(run.events[0], message="<script>alert(1)</script>")
    text = page(replace(run, events=[event]), measures(run), b"", b"")
    assert "<script>" not in text

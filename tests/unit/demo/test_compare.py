"""`make compare` without its cluster: what a run wrote down becomes figures, the figures a page; and KEDA's best target is the best."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from builders import demo_scenes as demo

sys.path.insert(0, str(demo.DEMO / "load"))

from compare import manifests
from compare.canary import NotSound, short_minutes, watching
from compare.outcome import Outcome, Written, outcome
from compare.page import page
from compare.picture import draw
from compare.plan import PROBE_FROM_PER_SECOND, PROBE_WARM_UP_SECONDS, Plan, Series, Who, csv_of, load, probe_load
from compare.search import (
    TARGET_RATIOS,
    Computed,
    Limits,
    NoCapacity,
    best_target,
    capacity_per_second,
    computed,
    rounded,
)
from compare.words import mean_text, standing
from watch.generator_log import ClientSecond
from watch.schedule import read
from watch.snapshot import to_line

SAMPLE = (demo.DEMO.parent / "manifests/samples/ranker.yaml").read_text()
# Six recorded minutes of 6 s, after 10 s that do not count.
PLAN = Plan(recorded_minutes=6, replay_seconds=36, warm_up_seconds=10, peak_per_second=20.0)
LIMITS = Limits(1, 8, 9)


def log(within: dict[int, int] | None = None, lost: dict[int, int] | None = None, seconds: int = PLAN.seconds) -> str:
    """Ten requests a second, all in time but those of ``within`` and ``lost``, by second."""
    lines = []
    for second in range(seconds):
        gone = (lost or {}).get(second, 0)
        good = min((within or {}).get(second, 10), 10 - gone)
        counts = {"due": 10, "sent": 10, "ok": 10 - gone, "timeouts": 0, "unsent": 0, "within": good, "pools": {}}
        value = {"second": second, **counts, "failed": {"503": gone}, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}
        written = datetime.fromtimestamp(demo.START + second + 1.0, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lines.append(f"{written} {json.dumps(value)}")
    return "\n".join([*lines, f"{written} {json.dumps({'summary': True})}", ""])


def canary(ratios: dict[float, float] | None = None) -> str:
    """A ready process never waits, but in the windows of 2 s around the seconds of ``ratios``."""
    lines = []
    for at in np.arange(0.0, PLAN.seconds, 1.0).tolist():
        near = [ratio for second, ratio in (ratios or {}).items() if abs(second - at) <= 1.0]
        lines.append(f"{demo.START + at:.3f},{near[0] if near else 1.0}")
    return "\n".join(lines)


def samples(replicas: dict[float, int], every: float = 2.0) -> str:
    """A snapshot every two seconds; ``replicas`` from a second on."""
    lines = []
    for at in np.arange(-4.0, PLAN.seconds + 4.0, every).tolist():
        number = [value for since, value in replicas.items() if since <= at][-1]
        lines.append(to_line(demo.snapshot(at, cpu=number)))
    return "\n".join(lines)


def test_a_run_becomes_figures_of_the_recorded_minutes_alone() -> None:
    # Late in the warm-up, which counts for nothing; then 4 of 60 in minute 2, of which one failed, and 2 of 60 in minute 4.
    text = log(within={3: 0, 18: 7, 31: 8}, lost={19: 1})
    texts = Written(text, samples({-4.0: 1, 10.0: 2, 28.0: 4}), canary())
    found = outcome(Who.HPA, 1, None, texts, PLAN)
    assert (found.requests, found.late, found.failed) == (360, 6, 1)
    assert found.over == (False, True, False, False, False, False)
    assert found.late_ratios.tolist() == [0.0, 4 / 60, 0.0, 2 / 60, 0.0, 0.0]
    assert found.replicas.tolist() == [2.0, 2.0, 2.0, 4.0, 4.0, 4.0]
    assert found.changes == 1, "the change before the replay is not counted"
    assert found.cost == pytest.approx(3.0 * 6.0 / 60.0), (
        "three replicas in the mean, six recorded minutes, at 1 an hour"
    )


@pytest.mark.parametrize(
    ("text", "seen", "why"),
    [
        (log().replace('"summary": true', '"summary": false'), samples({-4.0: 1}), "no summary"),
        (log(seconds=40), samples({-4.0: 1}), "30 of 36 seconds"),
        (log().replace('"unsent": 0', '"unsent": 1'), samples({-4.0: 1}), "did not send 36 requests"),
        (log(), samples({-4.0: 1}, every=20.0), "not known for more than 15 s"),
        (log(), "", "at the start of the replay are not known"),
    ],
)
def test_a_run_that_says_nothing_is_refused(text: str, seen: str, why: str) -> None:
    with pytest.raises(NotSound, match=why):
        outcome(Who.KEDA, 2, 20.0, Written(text, seen, canary()), PLAN)


def test_a_run_on_a_machine_that_was_short_of_cpu_is_refused() -> None:
    begin, busy = demo.START + PLAN.warm_up_seconds, canary({18.0: 9.0})
    assert short_minutes("probe", canary(), begin, 6, 6) == 0
    assert short_minutes("probe", canary({11.0: 9.0}), begin, 36, 1) == 3
    with pytest.raises(NotSound, match="6 of 6 minutes"):
        short_minutes("probe", "", begin, 6, 6)  # what was not measured was not fine
    with pytest.raises(NotSound, match="short of CPU in 1 of 6 minutes"):
        outcome(Who.RECMODEL, 1, None, Written(log(), samples({-4.0: 1}), busy), PLAN)


def test_the_canary_measures_more_than_nothing(tmp_path: Path) -> None:
    with watching(tmp_path / "canary.csv"):
        while not (tmp_path / "canary.csv").exists() or not (tmp_path / "canary.csv").read_text():
            time.sleep(0.05)
    assert all(float(line.split(",")[1]) >= 0.9 for line in (tmp_path / "canary.csv").read_text().splitlines())


def windows(*rates_and_within: tuple[int, float]) -> list[ClientSecond]:
    """Windows of 6 s each at a rate, with the share that was in time."""
    found = []
    for rate, share in rates_and_within:
        for _ in range(6):
            good = round(rate * share)
            found.append(ClientSecond(len(found), rate, rate, good, 0, 0, 0, 0.01, 0.02, 0.03))
    return found


def test_what_a_replica_carries_is_the_last_good_window_before_it_was_lastingly_too_much() -> None:
    seen = windows((30, 1.0), (34, 0.9), (36, 1.0), (40, 0.9), (44, 0.2), (20, 1.0))
    assert capacity_per_second(seen, 0.95, 6) == 36.0, "a single bad window is chance"
    with pytest.raises(NoCapacity, match="lower load"):
        capacity_per_second(windows((30, 0.9), (34, 0.5)), 0.95, 6)
    with pytest.raises(NoCapacity, match="higher one"):
        capacity_per_second(windows((30, 1.0), (34, 0.9), (38, 1.0)), 0.95, 6)


def test_the_best_target_is_the_cheapest_of_those_that_keep_to_the_minutes() -> None:
    plan = Plan()
    rates = np.concatenate([np.full(plan.warm_up_seconds, 40.0), np.linspace(40.0, 140.0, plan.replay_seconds)])
    best = best_target(rates, 35.0, plan, LIMITS)
    every = [computed(rates, ratio * 35.0, 35.0, plan, LIMITS) for ratio in TARGET_RATIOS]
    assert best.minutes_over == 0.0
    cheaper = [one for one in every if one.replica_minutes < best.replica_minutes]
    assert cheaper
    assert all(one.minutes_over > 0.0 for one in cheaper)
    # A wave that no target follows: the one that is over least is taken, and said to be so.
    jump = np.where(np.arange(plan.seconds) < 510, 40.0, 140.0)
    least = best_target(jump, 35.0, plan, LIMITS)
    assert (
        least.minutes_over
        == min(computed(jump, r * 35.0, 35.0, plan, LIMITS).minutes_over for r in TARGET_RATIOS)
        > 0.0
    )
    assert rounded(26.29) == 26.2


def test_the_load_is_the_steepest_rise_behind_what_was_recorded_before_it(tmp_path: Path) -> None:
    recorded = np.concatenate([np.full(30, 5.0), np.linspace(5.0, 20.0, 30), np.full(30, 20.0)])
    start, rates = load(recorded, 60.0, PLAN)
    assert 25 <= start <= 40
    assert len(rates) == PLAN.seconds
    counted = recorded[start : start + PLAN.recorded_minutes]
    assert rates[PLAN.warm_up_seconds] / rates.max() == pytest.approx(counted[0] / counted.max(), rel=0.1)
    steep = np.concatenate([np.linspace(5.0, 20.0, 5), np.full(30, 20.0), np.linspace(20.0, 25.0, 10)])
    assert load(steep, 60.0, PLAN)[0] >= PLAN.warm_up_seconds * PLAN.faster // 60, (
        "the minutes before it were recorded, too"
    )
    assert rates.max() == pytest.approx(20.0)
    (tmp_path / "schedule.csv").write_text(csv_of(rates))
    assert read(tmp_path / "schedule.csv").rates == pytest.approx(rates, abs=1e-3)
    with pytest.raises(ValueError, match="multiple of 7"):
        _ = replace(PLAN, recorded_minutes=7).minute_seconds


def test_everybody_scales_the_same_pool_within_the_same_limits() -> None:
    mine, other = (manifests.recmodel(SAMPLE, "one", acts, "registry.example/") for acts in (True, False))
    assert (mine["spec"].pop("mode"), other["spec"].pop("mode")) == ("Auto", "Recommend")
    assert mine == other, "the pods and the route are the same"
    assert [pool["name"] for pool in mine["spec"]["pools"]] == ["cpu"]
    assert "registry.example/" in json.dumps(mine)
    assert manifests.autoscaler(Who.RECMODEL, mine, PLAN, None) is None
    hpa = manifests.autoscaler(Who.HPA, mine, PLAN, None)
    keda = manifests.autoscaler(Who.KEDA, mine, PLAN, 26.2)
    assert hpa is not None
    assert keda is not None
    assert "metrics" not in hpa["spec"], "Kubernetes' own default is what is compared"
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 8)
    assert (keda["spec"]["minReplicaCount"], keda["spec"]["maxReplicaCount"]) == (1, 8)
    assert hpa["spec"]["scaleTargetRef"]["name"] == keda["spec"]["scaleTargetRef"]["name"] == "one-cpu"
    down = {"scaleDown": {"stabilizationWindowSeconds": 30}}
    assert hpa["spec"]["behavior"] == keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == down
    (trigger,) = keda["spec"]["triggers"]
    assert trigger["metadata"]["threshold"] == "26.2"
    assert "httproute/compare/one/rule/0/backend/0" in trigger["metadata"]["query"]
    with pytest.raises(ValueError, match="needs a target"):
        manifests.autoscaler(Who.KEDA, mine, PLAN, None)


def made(who: Who, cost: float, late: int, over: int, seed: int = 1) -> Outcome:
    minutes = PLAN.recorded_minutes
    flat: Series = np.ones(minutes)
    return Outcome(
        who, seed, None, requests=10_000, late=late, failed=0, cost=cost, changes=3, load_per_second=10.0 * flat,
        late_ratios=late / 10_000 * flat, replicas=2.0 * flat, over=tuple(i < over for i in range(minutes)), short_minutes=2,
    )  # fmt: skip


RATES = np.full(PLAN.seconds, 10.0)
BEST = Computed(26.29, 300.0, 0.0)


def test_the_page_says_who_is_cheaper_and_who_is_late_more_often() -> None:
    outcomes = [made(Who.HPA, 8.0, 30, 0), made(Who.KEDA, 5.0, 40, 0), made(Who.RECMODEL, 6.0, 90, 1)]
    text = page(outcomes, PLAN, RATES, 35.0, BEST)
    assert "RecModel loses against KEDA at its best target: 20% dearer, late more often" in text
    assert "RecModel is 25% cheaper than the HPA, but late more often" in text
    assert "## Why RecModel does not win here" in text
    assert "- Minutes over of RecModel: 1 in minutes 1 to 2, 0 in minutes 3 to 4, 0 in minutes 5 to 6." in text
    assert "| RecModel | 6.00 | 0.90% | 1 | 0 of 10,000 | 2.00 | 3 | 2 |" in text
    assert "26.2 a replica" in text
    assert "none had so few" not in text
    assert "none had so few" in page(outcomes, PLAN, RATES, 35.0, replace(BEST, minutes_over=2.0))


def test_a_win_is_told_as_one_and_needs_no_excuse() -> None:
    outcomes = [made(Who.HPA, 8.0, 30, 0), made(Who.KEDA, 7.0, 40, 1), made(Who.RECMODEL, 6.0, 20, 0)]
    text = page(outcomes, PLAN, RATES, 35.0, BEST)
    assert "RecModel wins against KEDA at its best target: 14% cheaper, late less often" in text
    assert "does not win" not in text


def test_who_was_not_run_is_named() -> None:
    text = page([made(Who.HPA, 8.0, 30, 0), made(Who.RECMODEL, 6.0, 20, 0)], PLAN, RATES, 35.0, BEST)
    assert "Not run yet: KEDA at its best target" in text
    assert "RecModel wins against the HPA" in text


def test_several_seeds_are_told_with_their_interval() -> None:
    runs = [made(Who.KEDA, cost, 40, over, seed) for seed, (cost, over) in enumerate([(5.0, 0), (5.2, 1), (5.4, 2)], 1)]
    assert mean_text(runs, lambda one: one.cost, ".2f") == "5.20 ± 0.50"
    assert mean_text(runs[:1], lambda one: one.cost, ".2f") == "5.00"
    together = standing(runs)
    assert (together.cost, together.minutes, together.minutes_over) == (pytest.approx(5.2), 18, 3)
    assert together.late_ratio == pytest.approx(0.004)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    outcomes = [made(Who.HPA, 8.0, 30, 0), made(Who.KEDA, 5.0, 40, 0), made(Who.RECMODEL, 6.0, 900, 1)]
    draw(outcomes, PLAN, tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    nobody_late = [made(who, 6.0, 0, 0) for who in Who]
    draw(nobody_late, PLAN, tmp_path / "none.png")  # no logarithm of zero


def test_one_replica_is_measured_once_it_is_warm() -> None:
    rates = probe_load()
    assert (rates[:PROBE_WARM_UP_SECONDS] == PROBE_FROM_PER_SECOND).all()
    assert (np.diff(rates[PROBE_WARM_UP_SECONDS:]) > 0).all()

"""The sequential test: no false alarm however often one looks, and how soon a fault is found."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from recmodel.rollout.sequential import Margin, SequentialEvidence, excess, loss, updated

NEEDED = math.log(3.0 / 0.01)


def wealth_after(new: int, current: int, n: int, m: int, margin: Margin, base: float) -> tuple[list[float], float]:
    """Wealth of each alternative, and that of being fine, after one tick that follows a known base."""
    before = SequentialEvidence(base_events=base * 1e6, base_total=1e6)
    after = updated(before, margin, (float(new), float(n)), (float(current), float(m)), 1e9)
    return [math.exp(w) for w in after.worse], math.exp(after.fine)


def binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1.0 - p) ** (n - k)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (3, 9), (9, 2)])
@pytest.mark.parametrize(
    ("margin", "base"), [(excess(0.05, 1.0), 0.1), (excess(0.05, 0.35), 0.3), (loss(0.1, 1.0), 0.8)]
)
def test_the_expected_wealth_never_rises_under_any_point_of_the_claim(
    margin: Margin, base: float, n: int, m: int
) -> None:
    """Exactly, by summing over all outcomes: for the claim's border, and for points within it."""
    outcomes = {(x, y): wealth_after(x, y, n, m, margin, base) for x, y in product(range(n + 1), range(m + 1))}
    for b in np.linspace(0.02, 0.94, 12):
        line = min(margin.slope * b + margin.shift, 1.0)
        for a in {line, 0.6 * line, 0.0}:
            mean = [
                sum(binomial(x, n, a) * binomial(y, m, b) * worse[i] for (x, y), (worse, _) in outcomes.items())
                for i in range(4)
            ]
            assert max(mean) <= 1.0 + 1e-6
        for a in {line, min(1.5 * line, 1.0), 1.0}:  # the other claim: that it is worse
            fine = sum(binomial(x, n, a) * binomial(y, m, b) * f for (x, y), (_, f) in outcomes.items())
            assert fine <= 1.0 + 1e-6


def watched(
    margin: Margin, new: float, current: float, n: int, m: int, ticks: int, seed: int, correlated: float = 0.0
) -> tuple[int | None, int | None]:
    """Ticks until the new side is found to be worse, and until it is known to be fine; looked at after every tick.

    Both sides' share goes up and down fourfold with the time of day; ``correlated`` is a further spread of each tick's share on
    each side alone (a beta distribution with this intra-class correlation), as queues make it.
    """
    random, evidence, fine = np.random.default_rng(seed), SequentialEvidence(), None
    for tick in range(ticks):
        course = 1.0 + 0.6 * math.sin(tick / 40.0) if correlated else 1.0
        counts = []
        for share, requests in ((new, n), (current, m)):
            p = share * course
            if correlated:
                strength = 1.0 / correlated - 1.0
                p = random.beta(p * strength, (1.0 - p) * strength)
            counts.append((float(random.binomial(requests, p)), float(requests)))
        evidence = updated(evidence, margin, counts[0], counts[1], NEEDED)
        if fine is None and evidence.fine >= NEEDED:
            fine = tick + 1
        if evidence.log_worse >= NEEDED:
            return tick + 1, fine
    return None, fine


def test_looking_after_every_tick_gives_fewer_false_alarms_than_alpha() -> None:
    """On the border of the claim, which is the worst that is allowed, with 400 looks each."""
    ever = [max_wealth(seed) for seed in range(150)]
    for hurdle in (2.0, 5.0, 20.0, math.exp(NEEDED)):  # the last one is what rolls back: 1 % for three signals
        passed = sum(wealth >= hurdle for wealth in ever) / len(ever)
        assert passed <= 1.0 / hurdle + 2.0 * math.sqrt(1.0 / hurdle / len(ever))
    assert sum(wealth >= 2.0 for wealth in ever) > 0  # the bound is used, not empty
    print(f"largest wealth of 150 runs: {sorted(round(w, 1) for w in ever)[-5:]}")


def max_wealth(seed: int) -> float:
    """The largest wealth on the way of a run on the border of the claim."""
    random, evidence, most, margin = np.random.default_rng(seed), SequentialEvidence(), 0.0, excess(0.02, 1.0)
    for _ in range(400):
        new, current = float(random.binomial(400, 0.05)), float(random.binomial(600, 0.03))
        evidence = updated(evidence, margin, (new, 400.0), (current, 600.0), NEEDED)
        most = max(most, math.exp(evidence.log_worse))
    return most


def test_two_equal_sides_whose_lateness_comes_in_bursts_raise_no_alarm() -> None:
    """Each tick's share varies by itself on both sides, so counts are far wider than of independent requests: a test that
    took them for independent and looked once each tick at 1 % would be wrong nearly always.
    """
    alarms = [watched(excess(0.02, 0.35), 0.03, 0.03, 300, 5700, 600, seed, correlated=0.01)[0] for seed in range(60)]
    assert alarms == [None] * 60


@pytest.mark.parametrize(
    ("what", "margin", "new", "current", "n", "m", "ticks"),
    [
        ("3 % late become 6 %, half of 200/s", excess(0.01, 0.35), 0.06, 0.03, 1500, 1500, 14),
        ("3 % late become 6 %, 5 % of 200/s", excess(0.01, 0.35), 0.06, 0.03, 150, 2850, 60),
        ("1 % errors, half of 200/s", excess(0.005, 0.35), 0.01, 0.0, 1500, 1500, 14),
        ("1 % errors, 5 % of 200/s", excess(0.005, 0.35), 0.01, 0.0, 150, 2850, 120),
        ("all fail, 1 % of 200/s", excess(0.01, 0.35), 1.0, 0.0, 30, 2970, 4),
        ("5 % fewer of 30 % clicks, half of 200/s", loss(0.01, 1.0), 0.715, 0.7, 1500, 1500, 60),
    ],
)  # fmt: skip
def test_how_soon_a_fault_is_found(
    what: str, margin: Margin, new: float, current: float, n: int, m: int, ticks: int
) -> None:
    found = [watched(margin, new, current, n, m, 4 * ticks, seed)[0] for seed in range(15)]
    print(f"{what}: {sorted(t or 10**6 for t in found)} ticks of 15 s")
    assert None not in found
    assert float(np.median([t for t in found if t is not None])) <= ticks


def test_that_it_is_fine_is_found_as_well_and_not_of_one_that_is_not() -> None:
    fine = [watched(excess(0.02, 0.35), 0.02, 0.02, 150, 2850, 200, seed)[1] for seed in range(15)]
    assert None not in fine
    assert [watched(excess(0.02, 0.35), 0.05, 0.03, 150, 2850, 200, seed)[1] for seed in range(15)] == [None] * 15


def test_a_share_that_changes_with_the_time_of_day_and_the_step_fools_nobody() -> None:
    """Simpson's paradox: the new side got its traffic when everybody was late, and so looks worse over all."""
    evidence, random = SequentialEvidence(), np.random.default_rng(3)
    for requests, share in ((30, 0.01), (3000, 0.09)):
        for _ in range(100):
            new, current = random.binomial(requests, share), random.binomial(3000, share)
            evidence = updated(
                evidence, excess(0.02, 1.0), (float(new), float(requests)), (float(current), 3000.0), NEEDED
            )
    shares = evidence.shares()
    assert shares is not None
    assert shares[0] - shares[1] > 0.03
    assert evidence.log_worse < 0.0

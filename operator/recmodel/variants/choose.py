"""The fastest candidate within the budget, and for each other one the reason why not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recmodel.variants.errors import InputError
from recmodel.variants.plan import FULL, Candidate
from recmodel.variants.quality import CHANCE, CHANCE_AUC, METRICS, Measured
from recmodel.variants.speed import Speed

# A smaller difference of latencies than this is none: it is within what one run measures of itself.
SMALLEST_GAIN = 0.1
# Of the full model's latency: what needs more is no gain, and is neither chosen nor kept.
LARGEST_LATENCY_RATIO = 1.0 - SMALLEST_GAIN


@dataclass(frozen=True)
class Judged:
    """A candidate with what was measured of it."""

    candidate: Candidate
    quality: Mapping[str, Measured]
    speed: Speed
    size_bytes: int


@dataclass(frozen=True)
class Choice:
    """Whether a candidate is the chosen one, whether it is worth keeping beside it, and why."""

    name: str
    chosen: bool
    kept: bool
    reason: str


def read_budget(text: str) -> float:
    """``1%`` is 0.01. Raises InputError where it is no percentage above 0 and below 100."""
    match = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,4})?)%", text)
    if not match:
        raise InputError("budget", text, "must be a percentage such as 1%")
    if float(match[1]) == 0.0:
        raise InputError(
            "budget",
            text,
            "must be above 0%: a loss is measured with an interval, and no interval lies below a loss of 0",
        )
    return float(match[1]) / 100.0


def lift_words(metric: str, baseline: str | None) -> str:
    """``AUC - 0.5``, or ``the lead over popularity``."""
    return f"the lead over {baseline}" if baseline not in (None, CHANCE) else f"{METRICS[metric]} - {CHANCE_AUC}"


@dataclass(frozen=True)
class Criterion:
    """What is chosen by: the loss of ``metric`` within the budget, and the latency of requests with ``size`` candidates.

    With a ``baseline`` the budget is a share of the full model's lead over it, else of the metric's value.
    """

    metric: str
    budget_ratio: float
    size: int
    baseline: str | None = None

    @property
    def of(self) -> str:
        """What a loss is a share of, in words."""
        return lift_words(self.metric, self.baseline) if self.baseline else METRICS[self.metric]

    def loss(self, quality: Mapping[str, Measured]) -> tuple[float, tuple[float, float]]:
        """What counts against the budget, with its interval. Raises InputError where there is no lead that could be lost."""
        mine = quality[self.metric]
        if self.baseline is None:
            return mine.loss_ratio, mine.loss_interval
        if mine.lift is None:
            raise InputError("baseline", self.baseline, f"has no {METRICS[self.metric]}: it must be a probability")
        if mine.lift.loss_ratio is None or mine.lift.loss_interval is None:
            low, high = mine.lift.lead_interval
            told = (
                f"the full model leads it by {mine.lift.lead:+.4f} [{low:+.4f}, {high:+.4f}] of {METRICS[self.metric]}"
            )
            raise InputError("baseline", self.baseline, f"{told}: that is no lead to lose a share of")
        return mine.lift.loss_ratio, mine.lift.loss_interval

    def latency(self, one: Judged) -> float:
        """Relative to the baseline's."""
        return one.speed.by_size[self.size].latency_ratio

    def eligible(self, one: Judged) -> bool:
        """Whether it may be chosen: within the budget, and a tenth faster than the full model; or the full model."""
        return one.candidate.name == FULL or (self.within(one) and self.latency(one) <= LARGEST_LATENCY_RATIO)

    def within(self, one: Judged) -> bool:
        """Whether the whole interval of the loss is within the budget; the full model loses nothing."""
        return one.candidate.name == FULL or self.loss(one.quality)[1][1] < self.budget_ratio


def choose(judged: Sequence[Judged], criterion: Criterion) -> list[Choice]:
    """One choice for each of ``judged``, the full model first among them.

    Chosen is the lowest latency among those whose whole loss interval is below the budget and that need at most 0.9 of the full
    model's latency; among several as fast as each other within what one run measures of itself, the one that loses least. Where
    there is none, the full model stays. Kept are also those of them that are better than everything faster than them.
    """
    by_name = {one.candidate.name: one for one in judged}
    latency = criterion.latency
    allowed = sorted((one for one in judged if criterion.eligible(one)), key=latency)
    gains = [one for one in allowed if one.candidate.name != FULL] or allowed
    tied = [one for one in gains if latency(one) * (1.0 - SMALLEST_GAIN) <= latency(gains[0])]
    best = min(tied, key=lambda one: (criterion.loss(one.quality)[1][1], latency(one)))
    front = _front(allowed, criterion)
    return [
        Choice(
            one.candidate.name,
            one is best,
            one is best or one.candidate.name == FULL or one.candidate.name in front,
            _reason(one, best, by_name.get(one.candidate.parent or ""), criterion),
        )
        for one in judged
    ]


def _front(allowed: Sequence[Judged], criterion: Criterion) -> set[str]:
    """Names of those that lose less than every faster one: from the fastest on."""
    found, least = set(), float("inf")
    for one in allowed:
        loss, _ = criterion.loss(one.quality)
        if loss < least:
            least = loss
            found.add(one.candidate.name)
    return found


def _reason(one: Judged, best: Judged, parent: Judged | None, criterion: Criterion) -> str:
    budget_ratio, size = criterion.budget_ratio, criterion.size
    mine = one.speed.by_size[size]
    _, (low, high) = criterion.loss(one.quality)
    words = f"loses {low:+.2%} to {high:+.2%} of {criterion.of}"
    if one is best:
        if one.candidate.name == FULL:
            return f"nothing within {budget_ratio:.2%} needs {LARGEST_LATENCY_RATIO:.2f} of its latency or less: the full model stays"
        return (
            f"the fastest within {budget_ratio:.2%}: {words}, {mine.latency_ratio:.2f} of the latency and "
            f"{mine.throughput_ratio:.1f} times the throughput at {size} candidates"
        )
    if one.candidate.name == FULL:
        return f"the baseline: {best.candidate.name} is faster and within the budget"
    if not criterion.within(one):
        return f"{words}: the interval crosses the budget of {budget_ratio:.2%}"
    if parent is not None:
        ratio = mine.latency_ratio / parent.speed.by_size[size].latency_ratio
        bare = mine.bare_ratio / parent.speed.by_size[size].bare_ratio
        if ratio > 1.0 - SMALLEST_GAIN:
            return (
                f"does not pay: {ratio:.2f} of the latency of {parent.candidate.name}, which it was made from "
                f"({bare:.2f} without the server)"
            )
    if mine.latency_ratio * (1.0 - SMALLEST_GAIN) <= best.speed.by_size[size].latency_ratio:
        return (
            f"no faster than {best.candidate.name} ({mine.latency_ratio:.2f} against "
            f"{best.speed.by_size[size].latency_ratio:.2f} of the baseline's latency), and may lose more"
        )
    return (
        f"slower than {best.candidate.name}: {mine.latency_ratio:.2f} of the baseline's latency against "
        f"{best.speed.by_size[size].latency_ratio:.2f} at {size} candidates"
    )

"""The fastest candidate within the budget, and for each other one the reason why not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recmodel.variants.errors import InputError
from recmodel.variants.plan import FULL, Candidate
from recmodel.variants.quality import METRICS, Measured
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


@dataclass(frozen=True)
class Criterion:
    """What is chosen by: the loss of ``metric`` within the budget, and the latency of requests with ``size`` candidates."""

    metric: str
    budget_ratio: float
    size: int

    def latency(self, one: Judged) -> float:
        """Relative to the baseline's."""
        return one.speed.by_size[self.size].latency_ratio

    def eligible(self, one: Judged) -> bool:
        """Whether it may be chosen: within the budget, and a tenth faster than the full model; or the full model."""
        return one.candidate.name == FULL or (self.within(one) and self.latency(one) <= LARGEST_LATENCY_RATIO)

    def within(self, one: Judged) -> bool:
        """Whether the whole interval of the loss is within the budget; the full model loses nothing."""
        return one.candidate.name == FULL or one.quality[self.metric].loss_interval[1] < self.budget_ratio


def choose(judged: Sequence[Judged], criterion: Criterion) -> list[Choice]:
    """One choice for each of ``judged``, the full model first among them.

    Chosen is the lowest latency among those whose whole loss interval is below the budget and that need at most 0.9 of the full
    model's latency; among several as fast as each other within what one run measures of itself, the one that loses least. Where
    there is none, the full model stays. Kept are also those of them that are better than everything faster than them.
    """
    by_name = {one.candidate.name: one for one in judged}
    latency, metric = criterion.latency, criterion.metric
    allowed = sorted((one for one in judged if criterion.eligible(one)), key=latency)
    gains = [one for one in allowed if one.candidate.name != FULL] or allowed
    tied = [one for one in gains if latency(one) * (1.0 - SMALLEST_GAIN) <= latency(gains[0])]
    best = min(tied, key=lambda one: (one.quality[metric].loss_interval[1], latency(one)))
    front = _front(allowed, metric)
    return [
        Choice(
            one.candidate.name,
            one is best,
            one is best or one.candidate.name == FULL or one.candidate.name in front,
            _reason(one, best, by_name.get(one.candidate.parent or ""), criterion),
        )
        for one in judged
    ]


def _front(allowed: Sequence[Judged], metric: str) -> set[str]:
    """Names of those that lose less than every faster one: from the fastest on."""
    found, least = set(), float("inf")
    for one in allowed:
        if one.quality[metric].loss_ratio < least:
            least = one.quality[metric].loss_ratio
            found.add(one.candidate.name)
    return found


def _reason(one: Judged, best: Judged, parent: Judged | None, criterion: Criterion) -> str:
    metric, budget_ratio, size = criterion.metric, criterion.budget_ratio, criterion.size
    mine = one.speed.by_size[size]
    low, high = one.quality[metric].loss_interval
    words = f"loses {low:+.2%} to {high:+.2%} of {METRICS[metric]}"
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

"""Is the new one worse than the current one by more than a margin? A sequential test that looking at it often does not fool.

Events (late, failed, not clicked) are counted on both sides, tick by tick. ``a`` is the new side's probability of an event and
``b`` the current side's. The claim that everything is fine is ``a <= slope * b + shift``. The evidence against it is a wealth
that starts at 1 and is multiplied each tick by an e-value: a likelihood ratio of an alternative (ta, tb) to the point (na, nb)
of the claim that lies nearest to it (in Kullback and Leibler's sense, weighted with the requests of the tick). If the claim is
true the wealth's expectation never rises, so it ever reaches 1 / alpha with probability alpha at most, however often one looks
(Ville, 1939; Robbins, 1970; Turner, Ly and Grünwald, 2024, for two streams; Ramdas et al., 2023, for a survey). Why such a
ratio is an e-value for every (a, b) of the claim: with g the slope of the log-likelihood ratio, its expectation is at most
exp(sum n * g * (p - p0)), and the exponent is at most 0 since (na, nb) is the nearest point of a convex set.

Each tick is compared within itself: a load that makes everybody late in one hour and the shares of the two sides that change
from step to step (Simpson's paradox) do not matter. Several alternatives are held at once (a mixture), so a small fault is found
as well as a large one.

Worked number: of 1,000 requests on each side 30 and 80 were late, tempered with 0.35, margin 2 %, base 3 %: the tick multiplies the
wealth of the alternative with twice the odds by 3.1. Eight such ticks are evidence of 300 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

ODDS_RATIOS = (1.04, 1.2, 2.0, 8.0)  # alternatives: the odds of an event above those of the margin
BASE_MEMORY = 0.9  # a tick: how fast the current side's share is forgotten
BET = 0.7  # of the wealth, each tick: so one strange tick costs at most 70 % of it
LARGEST_TICK = 0.5  # of the log evidence needed: no single tick decides
LEAST, MOST = 1e-6, 1.0 - 1e-6
HALVINGS = 24  # of the bracket around the nearest point


@dataclass(frozen=True, slots=True)
class Margin:
    """What is allowed: ``a <= slope * b + shift`` in shares of events. ``temper`` < 1 where events come in bursts."""

    slope: float
    shift: float
    temper: float

    def bound(self, base: float) -> float:
        """The largest share of events of the new side that is allowed, at the current side's."""
        return min(max(self.slope * base + self.shift, LEAST), MOST)


def excess(shift: float, temper: float) -> Margin:
    """At most ``shift`` more of bad events: 0.02 lets 5 % late stand beside 3 %."""
    return Margin(1.0, shift, temper)


def loss(ratio: float, temper: float) -> Margin:
    """At most the share ``ratio`` fewer successes, counted in misses: at 0.01, 4.95 % clicks may stand beside 5 %."""
    return Margin(1.0 - ratio, ratio, temper)


@dataclass(frozen=True, slots=True)
class SequentialEvidence:
    """Log wealth against the claim that the new side is fine (one an alternative), and against the claim that it is not."""

    worse: tuple[float, ...] = (0.0,) * len(ODDS_RATIOS)
    fine: float = 0.0
    base_events: float = 0.0  # of the current side, the newest counting most
    base_total: float = 0.0  # requests that these events are of; impressions for the quality signal
    new_events: float = 0.0  # all, for the report
    new_total: float = 0.0
    current_events: float = 0.0
    current_total: float = 0.0

    @property
    def log_worse(self) -> float:
        """Log of the mean wealth over the alternatives."""
        most = max(self.worse)
        return most + math.log(sum(math.exp(w - most) for w in self.worse) / len(self.worse))

    def shares(self) -> tuple[float, float] | None:
        """Share of events on the new and the current side since the start; None before both were seen."""
        if self.new_total <= 0 or self.current_total <= 0:
            return None
        return self.new_events / self.new_total, self.current_events / self.current_total

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "worse": list(self.worse), "fine": self.fine, "base": [self.base_events, self.base_total],
            "new": [self.new_events, self.new_total], "current": [self.current_events, self.current_total],
        }  # fmt: skip


def evidence_of(stored: Mapping[str, Any]) -> SequentialEvidence:
    """What :meth:`Evidence.as_dict` gave; ``ValueError`` where it is something else."""
    try:
        worse = tuple(float(w) for w in stored["worse"])
        pairs = [float(x) for name in ("base", "new", "current") for x in stored[name]]
        fine = float(stored["fine"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no evidence of a rollout: {error}") from error
    if len(worse) != len(ODDS_RATIOS) or len(pairs) != 6 or not all(map(math.isfinite, (*worse, fine, *pairs))):
        raise ValueError("no evidence of a rollout: other numbers than expected")
    return SequentialEvidence(worse, fine, *pairs)


def updated(
    before: SequentialEvidence,
    margin: Margin,
    new: tuple[float | None, float | None],
    current: tuple[float | None, float | None],
    needed: float,
) -> SequentialEvidence:
    """The evidence after one tick's events, and the requests they are of, on both sides; ``needed`` is the log wealth that decides.

    Unknown, negative or impossible counts, and a tick in which one side was not asked, change nothing.
    """
    counts = [_known(*new), _known(*current)]
    if counts[0] is None or counts[1] is None:
        return before
    (new_events, new_total), (current_events, current_total) = counts[0], counts[1]
    after = replace(
        before,
        base_events=BASE_MEMORY * before.base_events + current_events,
        base_total=BASE_MEMORY * before.base_total + current_total,
        new_events=before.new_events + new_events,
        new_total=before.new_total + new_total,
        current_events=before.current_events + current_events,
        current_total=before.current_total + current_total,
    )
    if before.base_total <= 0:  # alternatives must be chosen before the tick that they are judged by
        return after
    # Half an event more: a share of nothing seen is not nothing.
    base = min(max((before.base_events + 0.5) / (before.base_total + 1.0), LEAST), MOST)
    tempered_new = (margin.temper * new_events, margin.temper * new_total)
    tempered_current = (margin.temper * current_events, margin.temper * current_total)

    def grown(share: float) -> float:
        near_new, near_current = _nearest(margin, share, base, tempered_new[1], tempered_current[1])
        log_ratio = _log_likelihood(*tempered_new, share) + _log_likelihood(*tempered_current, base)
        log_ratio -= _log_likelihood(*tempered_new, near_new) + _log_likelihood(*tempered_current, near_current)
        log_ratio = min(log_ratio, 60.0)  # where exp() still has a number
        return min(math.log(1.0 - BET + BET * math.exp(log_ratio)), LARGEST_TICK * needed)

    bound = margin.bound(base)
    worse = tuple(w + grown(_by_odds(bound, g)) for w, g in zip(before.worse, ODDS_RATIOS, strict=True))
    # That it is fine follows from the alternative that both are the same.
    return replace(after, worse=worse, fine=before.fine + grown(base))


def _known(events: float | None, total: float | None) -> tuple[float, float] | None:
    if events is None or total is None or not math.isfinite(events) or not math.isfinite(total):
        return None
    # A rate's window may cut an event from its trial: a hundredth of a count is no contradiction.
    if events < 0.0 or total <= 0.0 or events > 1.01 * total + 1.0:
        return None
    return min(events, total), total


def _by_odds(share: float, ratio: float) -> float:
    odds = ratio * share / (1.0 - share)
    return min(odds / (1.0 + odds), MOST)


def _log_likelihood(events: float, total: float, share: float) -> float:
    return events * math.log(share) + (total - events) * math.log1p(-share)


def _nearest(margin: Margin, new: float, current: float, n: float, m: float) -> tuple[float, float]:
    """The point of the line ``a = slope * b + shift`` that is nearest to (``new``, ``current``): a bisection on the slope of
    the distance, which is convex along the line.
    """
    slope, shift = margin.slope, margin.shift
    low = max(LEAST, (LEAST - shift) / slope)
    high = min(MOST, (MOST - shift) / slope)
    at_new = (new - shift) / slope  # where the line has the new side's share
    low, high = max(low, min(current, at_new)), min(high, max(current, at_new))
    if low >= high:
        b = min(max(current, LEAST), (MOST - shift) / slope)
        return margin.bound(b), b
    for _ in range(HALVINGS):
        b = 0.5 * (low + high)
        a = slope * b + shift
        rising = slope * n * (a - new) / (a * (1.0 - a)) + m * (b - current) / (b * (1.0 - b))
        low, high = (low, b) if rising > 0 else (b, high)
    b = 0.5 * (low + high)
    return margin.bound(b), b

"""The verdict in one sentence. A cheaper setting is never called better where it was, or may have been, late more often. Pure."""

from __future__ import annotations

from enum import Enum

from recmodel.lab.past.compare import Comparison, Range

NOISE_RATIO = 0.02  # of a cost: two runs with other arrivals differ by so much (docs/benchmark.md)
SHARE_DIGITS = 4  # of a late share: 0.01 % is what is printed, so no finer difference decides


class Judgement(Enum):
    """Of the engine, against what ran."""

    BETTER = "better"
    WORSE = "worse"
    LATER = "cheaper, and over the objective more often"
    PERHAPS_LATER = "cheaper, and perhaps over the objective more often"
    WITHIN = "cheaper within the objective, with more late requests"
    PRICE = "dearer, and late less often"
    SAME = "no difference"
    OPEN = "not decided"


def judgement(found: Comparison, bound: bool = False) -> Judgement:
    """By the worst of all variants: what may have been worse is not called better. ``bound``: no replica was loaded to its limit, so the
    engine may have done better than this, and nothing is called worse.
    """
    saving, engine, ran = found.saving, found.engine, found.ran
    more = engine.minutes_over.high > ran.minutes_over.low
    mostly_more = engine.minutes_over.middle > ran.minutes_over.high
    later = _later(engine.late_ratio.high, ran.late_ratio.low)
    fewer = engine.minutes_over.high < ran.minutes_over.low or (
        not more and _later(ran.late_ratio.low, engine.late_ratio.high)
    )
    if saving.low > NOISE_RATIO:
        if mostly_more and not bound:
            return Judgement.LATER
        if more:
            return Judgement.PERHAPS_LATER
        return Judgement.WITHIN if later else Judgement.BETTER
    if bound:
        return Judgement.OPEN
    if saving.high < -NOISE_RATIO:
        return _but_later(Judgement.PRICE, later) if fewer else Judgement.WORSE
    if saving.low >= -NOISE_RATIO and saving.high <= NOISE_RATIO:
        if mostly_more or (more and later):
            return Judgement.WORSE
        return _but_later(Judgement.BETTER, later) if fewer else Judgement.SAME
    return Judgement.OPEN


def _but_later(kind: Judgement, later: bool) -> Judgement:
    """Fewer minutes over, and yet more late requests: one measure against the other."""
    return Judgement.OPEN if later else kind


def verdict(found: Comparison, ran: str, bound: bool) -> str:
    """One line. ``ran``: what scaled the replicas that ran; ``bound``: no replica was loaded to its limit, so the saving is a least one."""
    head = f"{cost_text(found.saving, bound)}, {over_text(found, bound)}, over {days_text(found.minutes)}"
    return f"{head}: {_conclusion(found, ran, bound)}."


def _conclusion(found: Comparison, ran: str, bound: bool) -> str:
    late = (
        f"{_share(found.engine.late_ratio.middle)} of the requests late instead of {_share(found.ran.late_ratio.low)}"
    )
    match judgement(found, bound):
        case Judgement.BETTER:
            return f"better than {ran}"
        case Judgement.WORSE:
            return f"worse than {ran}"
        case Judgement.LATER:
            return f"not better than {ran}, as it would have been over the objective more often"
        case Judgement.PERHAPS_LATER:
            return f"not called better than {ran}, as it may have been over the objective more often"
        case Judgement.WITHIN:
            allowed = f"{_share(found.allowed_ratio)} may be"
            return f"cheaper than {ran} within the objective, and not better, as more is late: {late} ({allowed})"
        case Judgement.PRICE:
            return f"neither better nor worse than {ran}, as less is late: {late}"
        case Judgement.SAME:
            return f"no difference to {ran}"
        case Judgement.OPEN:
            return f"whether it is better than {ran} is not decided" + (
                ", as no replica was ever loaded to its limit" if bound else ""
            )


def cost_text(saving: Range, bound: bool = False) -> str:
    """``28 % cheaper (24 to 31 %)``; what is known from one side only begins with ``at least``."""
    low, middle, high = (round(100.0 * value) for value in (saving.low, saving.middle, saving.high))
    if bound and saving.low > NOISE_RATIO:
        return f"at least {low} % cheaper"
    if bound:
        return f"at worst {_signed(low)}"
    if saving.low > NOISE_RATIO:
        return f"{middle} % cheaper{_between(low, high, ' %')}"
    if saving.high < -NOISE_RATIO:
        return f"{-middle} % dearer{_between(-high, -low, ' %')}"
    if saving.low >= -NOISE_RATIO and saving.high <= NOISE_RATIO:
        return f"as cheap (within {round(100 * NOISE_RATIO)} %)"
    return f"between {_signed(low)} and {_signed(high)}"


def over_text(found: Comparison, bound: bool = False) -> str:
    """``3 minutes over (2 to 4) instead of 11``; what is known from one side only begins with ``at most``."""
    engine, ran = found.engine.minutes_over, found.ran.minutes_over
    mine = f"{minutes_text(engine.middle)} over{_between(round(engine.low), round(engine.high))}"
    if bound:
        mine = f"at most {minutes_text(engine.high)} over"
    if ran.low != ran.high:
        return f"{mine} instead of {ran.low:.0f} to {ran.high:.0f}"
    return f"{mine} instead of {ran.middle:.0f}"


def days_text(minutes: int) -> str:
    """``14 days``, ``5.5 hours``, ``12 minutes``."""
    for length, word in ((1440, "day"), (60, "hour")):
        if minutes >= length:
            value = round(minutes / length, 1)
            return f"{value:g} {word}{'' if value == 1 else 's'}"
    return minutes_text(minutes)


def minutes_text(value: float) -> str:
    """``1 minute``."""
    return f"{value:.0f} minute{'' if round(value) == 1 else 's'}"


def _between(low: int, high: int, unit: str = "") -> str:
    return "" if low == high else f" ({low} to {high}{unit})"


def _signed(per_cent: int) -> str:
    return f"{abs(per_cent)} % {'cheaper' if per_cent >= 0 else 'dearer'}"


def _share(ratio: float) -> str:
    return f"{100.0 * ratio:.{SHARE_DIGITS - 2}f} %"


def _later(one: float, other: float) -> bool:
    return round(one, SHARE_DIGITS) > round(other, SHARE_DIGITS)

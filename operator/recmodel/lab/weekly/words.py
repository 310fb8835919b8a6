"""The report's first line, and how it writes numbers: what is not known is said to be so."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recmodel.lab.weekly.values import Day, Figures, Limit, Spent
from recmodel.prometheus.histogram import Bracket

UNKNOWN = "not known"
GONE = "gone"  # an hour that the clocks left out
FEW_HOURS = 10


def first_line(
    percentile_name: str,
    hours: Sequence[Figures],
    days: Sequence[Day],
    limits: Sequence[Limit | None],
    judged: Sequence[int],
    spent: Spent | None,
) -> str:
    """For whoever reads one line alone."""
    return ". ".join(
        (
            f"{percentile_name} was {_busiest(hours)}, {over_hours(days)}",
            bottleneck(limits, judged),
            f"{money(spent)}.",
        )
    )


def _busiest(hours: Sequence[Figures]) -> str:
    loaded = [hour for hour, found in enumerate(hours) if found.load_per_second]
    if not loaded:
        return "not known, as no request was counted"
    told = [
        hour for hour in loaded if hours[hour].percentile is not None
    ]  # an hour that has just begun has no slot yet
    hour = max(told or loaded, key=lambda hour: hours[hour].load_per_second or 0.0)
    return f"{time_bracket(hours[hour].percentile)} in the busiest hour ({clock(hour)})"


def over_hours(days: Sequence[Day]) -> str:
    """``3 of 168 hours were over the objective``."""
    states = [state for day in days for state in day.hours if state not in ("", GONE)]
    over, perhaps = states.count("over"), states.count("perhaps")
    number = f"{over} to {over + perhaps}" if perhaps else str(over)
    if not states:
        return "of no hour is it known whether it was over the objective"
    return f"{number} of {len(states)} hours {'was' if over + perhaps == 1 else 'were'} over the objective"


def bottleneck(limits: Sequence[Limit | None], judged: Sequence[int]) -> str:
    """``cpu is the bottleneck from 18:00 to 22:00``."""
    if not any(judged):
        return "Which pool is the bottleneck is not known"
    names = [found.pool if found else None for found in limits]
    parts = []
    for pool in dict.fromkeys(name for name in names if name):
        spans = _spans([name == pool for name in names])
        parts.append(f"{pool} is the bottleneck {' and '.join(spans)}")
    return "; ".join(parts) or "No pool is usually at its limit"


def _spans(marked: Sequence[bool]) -> list[str]:
    """The runs of hours, as a clock has them: that over midnight is one."""
    number = len(marked)
    if all(marked):
        return ["all day"]
    begins = [hour for hour in range(number) if marked[hour] and not marked[hour - 1]]
    found = []
    for begin in begins:
        length = next(i for i in range(1, number + 1) if not marked[(begin + i) % number])
        found.append(f"from {clock(begin)} to {clock((begin + length) % number)}")
    return found


def money(spent: Spent | None) -> str:
    """``412.30 was spent in the 48 of 168 hours that are known, 61 % of it at under half load``."""
    if spent is None:
        return "What was spent is not known"
    said = f"{spent.total:,.2f} was spent" if spent.of == "money" else f"{spent.total:,.1f} replica-hours ran"
    said += hours_known(spent)
    if spent.half_ratio is None:
        return said
    least = "at least " if spent.half_at_least and spent.half_ratio > 0 else ""
    return f"{said}, {least}{100 * spent.half_ratio:.0f} % of it at under half load"


def hours_known(spent: Spent) -> str:
    """`` in the 48 of 168 hours that are known``; nothing where these are all, to the hour, or to a tenth in a range of few hours."""
    digits = 0 if spent.all_hours >= FEW_HOURS else 1
    there, every = (f"{hours:,.{digits}f}" for hours in (spent.known_hours, spent.all_hours))
    return "" if there == every else f" in the {there} of {every} hours that are known"


def time_bracket(found: Bracket | None) -> str:
    """``50 to 100 ms``: a histogram tells between which edges a percentile lies, and no more."""
    if found is None:
        return UNKNOWN
    if math.isinf(found.upper):
        return f"over {time(found.lower)}" if found.lower > 0 else UNKNOWN
    if found.lower <= 0:
        return f"at most {time(found.upper)}"
    low, high = time(found.lower), time(found.upper)
    return f"{low.removesuffix(' ms') if high.endswith(' ms') else low} to {high}"


def share_bracket(found: Bracket | None) -> str:
    """``0.52 %``, or ``0.52 to 3.10 %``."""
    if found is None:
        return UNKNOWN
    low, high = f"{100 * found.lower:.2f}", f"{100 * found.upper:.2f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def number(value: float | None, digits: int = 3) -> str:
    """With so many digits, such as ``8.25`` and ``0``; ``not known``."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) < 1e-4:
        return f"{value:.1g}"
    whole = len(str(int(abs(value))))
    return f"{value:,.{max(digits - whole, 0)}f}"


def share(value: float | None) -> str:
    """In per cent."""
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def time(value: float | None) -> str:
    """``36.7 ms``, ``1.2 s``: in the unit that fits, with three digits."""
    if value is None:
        return UNKNOWN
    return f"{value:.3g} s" if value >= 1.0 else f"{1000.0 * value:.3g} ms"


def age(seconds: float) -> str:
    """``40 s``, ``14 minutes``, ``3 hours``, ``2 days``: whole ones, of the unit of which there are two at least."""
    for unit, least in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * least:
            return f"{seconds // least:.0f} {unit}"
    return f"{seconds:.0f} s"


def clock(hour: int) -> str:
    """``07:00``."""
    return f"{hour:02d}:00"

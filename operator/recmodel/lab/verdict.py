"""Who did better on the same load: a table of what each came to, and a sentence for each rival that judges it.

What is cheaper does not win where it was late more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from recmodel.lab.past.words import NOISE_RATIO, SHARE_DIGITS, minutes_text
from recmodel.lab.simulator.result import Summary


class Judgement(Enum):
    """Of one against another, and the words for it. A trade is cheaper but late more often, or dearer but late less often."""

    WINS = "wins against"
    LOSES = "loses against"
    TRADES = "trades with"
    DRAWS = "draws with"


@dataclass(frozen=True)
class Standing:
    """What one controller came to. ``name`` fits into a sentence; late shares include failed requests."""

    name: str
    cost: float
    minutes: int
    minutes_over: int
    late_ratio: float
    changes: int

    @classmethod
    def of(cls, name: str, summary: Summary) -> Standing:
        """From the summary of a run."""
        return cls(name, summary.cost, summary.minutes, summary.minutes_over, summary.late_ratio, summary.scalings)

    def late_text(self) -> str:
        """As it is printed, and as it is compared."""
        return f"{self.late_ratio:.{SHARE_DIGITS - 2}%}"


def judgement(mine: Standing, other: Standing) -> Judgement:
    """A win is: cheaper and late no more often, or as cheap and late less often. A loss is a win of the other.

    Late more often is a larger share of the requests, or more minutes over. Worked: 90 and 0.20 % against 100 and 0.19 %
    is a trade.
    """
    cost = _cost_sign(mine, other)
    later, earlier = _later(mine, other), _later(other, mine)
    if cost == 0:
        if later == earlier:
            return Judgement.DRAWS
        return Judgement.WINS if earlier else Judgement.LOSES
    if cost < 0:
        return Judgement.TRADES if later else Judgement.WINS
    return Judgement.TRADES if earlier else Judgement.LOSES


def verdict(mine: Standing, rivals: Sequence[Standing], allowed_over_ratio: float) -> str:
    """One line, a sentence a rival: what was won first. A trade is told without a winner, and whether both kept to the share of the
    minutes that may be over.
    """
    sentences = []
    for kind in Judgement:
        for rival in rivals:
            if judgement(mine, rival) is not kind:
                continue
            if kind is Judgement.TRADES:
                told = f"{mine.name} is {_cost_text(mine, rival)} than {rival.name}, {_late_text(mine, rival)}"
                kept = all(each.minutes_over <= allowed_over_ratio * each.minutes for each in (mine, rival))
                told += f"; both keep to {allowed_over_ratio:.1%} of the minutes over" if kept else ""
            else:
                told = f"{mine.name} {kind.value} {rival.name}: {_cost_text(mine, rival)}, {_late_text(mine, rival)}"
            sentences.append(f"{told}.")
    return " ".join(sentences)


def table(standings: Sequence[Standing]) -> str:
    """A line each."""
    head = ("", "cost", "minutes over", "late", "changes of replicas")
    rows = [
        (s.name, f"{s.cost:.1f}", f"{s.minutes_over} of {s.minutes}", s.late_text(), str(s.changes)) for s in standings
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for first, *others in (head, *rows):
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _cost_sign(mine: Standing, other: Standing) -> int:
    difference = mine.cost - other.cost
    if abs(difference) <= NOISE_RATIO * max(mine.cost, other.cost):
        return 0
    return 1 if difference > 0 else -1


def _later(one: Standing, other: Standing) -> bool:
    shares = (round(s.late_ratio, SHARE_DIGITS) for s in (one, other))
    return next(shares) > next(shares) or one.minutes_over > other.minutes_over


def _cost_text(mine: Standing, other: Standing) -> str:
    sign = _cost_sign(mine, other)
    if sign == 0:
        return f"as cheap (within {NOISE_RATIO:.0%})"
    return f"{abs(mine.cost / other.cost - 1.0):.0%} {'cheaper' if sign < 0 else 'dearer'}"


def _late_text(mine: Standing, other: Standing) -> str:
    later, earlier = _later(mine, other), _later(other, mine)
    if not later and not earlier:
        return "late as often"
    figures = f"{mine.late_text()} of the requests against {other.late_text()}"
    if mine.minutes_over != other.minutes_over:
        figures += f", {minutes_text(mine.minutes_over)} over against {other.minutes_over}"
    if later and earlier:
        return f"late more often by one measure and less often by the other ({figures})"
    but = "but " if judgement(mine, other) is Judgement.TRADES else ""
    return f"{but}late {'more' if later else 'less'} often ({figures})"

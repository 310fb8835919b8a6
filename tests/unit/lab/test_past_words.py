"""The verdict's words: what may have been late more often is never called better, however cheap it is."""

from __future__ import annotations

import pytest

from recmodel.lab.past.compare import Comparison, Range, Side
from recmodel.lab.past.words import Judgement, days_text, judgement, verdict

WHO = "HPA ranker"


def found(
    cost: tuple[float, float, float],
    over: tuple[float, float, float],
    late: float,
    ran_over: tuple[float, float] = (11, 11),
) -> Comparison:
    """Against 100 an hour, 11 minutes over and 0.20 % late; a day is 1,440 minutes."""
    ran = Side(Range(100, 100, 100), Range(ran_over[0], ran_over[0], ran_over[1]), Range(0.002, 0.002, 0.002), 40)
    return Comparison(ran, Side(Range(*cost), Range(*over), Range(late, late, late), 50), 14 * 1440, 14 * 1440, 0, 0.05)


@pytest.mark.parametrize(
    ("case", "given", "bound", "kind", "said"),
    [
        (
            "cheaper and late less often", found((69, 72, 76), (2, 3, 4), 0.001), False, Judgement.BETTER,
            "28 % cheaper (24 to 31 %), 3 minutes over (2 to 4) instead of 11, over 14 days: better than HPA ranker.",
        ),
        (
            "cheaper and over more often", found((60, 60, 60), (12, 14, 16), 0.001), False, Judgement.LATER,
            "40 % cheaper, 14 minutes over (12 to 16) instead of 11, over 14 days: not better than HPA ranker, as it "
            "would have been over the objective more often.",
        ),
        (
            "cheaper, and one variant is over more often", found((60, 60, 60), (9, 10, 12), 0.001), False, Judgement.PERHAPS_LATER,
            "40 % cheaper, 10 minutes over (9 to 12) instead of 11, over 14 days: not called better than HPA ranker, as "
            "it may have been over the objective more often.",
        ),
        (
            "cheaper, the objective kept as well, and more requests late", found((60, 60, 60), (3, 3, 3), 0.006), False, Judgement.WITHIN,
            "40 % cheaper, 3 minutes over instead of 11, over 14 days: cheaper than HPA ranker within the objective, and "
            "not better, as more is late: 0.60 % of the requests late instead of 0.20 % (5.00 % may be).",
        ),
        (
            "between two edges", found((60, 60, 60), (11, 11, 11), 0.001, (2, 40)), False, Judgement.PERHAPS_LATER,
            "40 % cheaper, 11 minutes over instead of 2 to 40, over 14 days: not called better than HPA ranker, as it "
            "may have been over the objective more often.",
        ),
        (
            "dearer and late less often", found((110, 112, 115), (1, 1, 1), 0.001), False, Judgement.PRICE,
            "12 % dearer (10 to 15 %), 1 minute over instead of 11, over 14 days: neither better nor worse than HPA "
            "ranker, as less is late: 0.10 % of the requests late instead of 0.20 %.",
        ),
        (
            "dearer for nothing", found((110, 112, 115), (11, 11, 11), 0.002), False, Judgement.WORSE,
            "12 % dearer (10 to 15 %), 11 minutes over instead of 11, over 14 days: worse than HPA ranker.",
        ),
        (
            "as cheap and late less often", found((99, 100, 101), (1, 1, 1), 0.001), False, Judgement.BETTER,
            "as cheap (within 2 %), 1 minute over instead of 11, over 14 days: better than HPA ranker.",
        ),
        (
            "as cheap and as late", found((99, 100, 101), (11, 11, 11), 0.002), False, Judgement.SAME,
            "as cheap (within 2 %), 11 minutes over instead of 11, over 14 days: no difference to HPA ranker.",
        ),
        (
            "the interval holds both", found((90, 98, 106), (2, 3, 4), 0.001), False, Judgement.OPEN,
            "between 6 % dearer and 10 % cheaper, 3 minutes over (2 to 4) instead of 11, over 14 days: whether it is better than "
            "HPA ranker is not decided.",
        ),
        (
            "never loaded to the limit", found((70, 72, 76), (2, 3, 4), 0.001), True, Judgement.BETTER,
            "at least 24 % cheaper, at most 4 minutes over instead of 11, over 14 days: better than HPA ranker.",
        ),
        (
            "never loaded to the limit, and dearer at worst", found((104, 108, 109), (11, 11, 11), 0.002), True, Judgement.OPEN,
            "at worst 9 % dearer, at most 11 minutes over instead of 11, over 14 days: whether it is better than HPA "
            "ranker is not decided, as no replica was ever loaded to its limit.",
        ),
    ],
)  # fmt: skip
def test_the_first_line(case: str, given: Comparison, bound: bool, kind: Judgement, said: str) -> None:
    assert judgement(given, bound) is kind, case
    assert verdict(given, WHO, bound) == said, case


@pytest.mark.parametrize("over", [0, 5, 11, 12, 30])
@pytest.mark.parametrize("late", [0.0, 0.002, 0.0021, 0.04])
@pytest.mark.parametrize("cost", [1.0, 70.0, 99.0, 130.0])
@pytest.mark.parametrize("bound", [True, False])
def test_late_more_often_is_never_better(over: float, late: float, cost: float, bound: bool) -> None:
    given = found((cost, cost, cost), (over, over, over), late)
    if over > 11 or late > 0.002:
        assert judgement(given, bound) is not Judgement.BETTER


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(1, "1 minute"), (59, "59 minutes"), (60, "1 hour"), (330, "5.5 hours"), (1440, "1 day"), (19_440, "13.5 days")],
)
def test_a_length_is_said_in_its_largest_unit(minutes: int, said: str) -> None:
    assert days_text(minutes) == said

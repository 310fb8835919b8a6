"""Failures that come and go cost little as well, and after failures that end all is as before: the load is carried, nothing is kept.

All stories run as one fleet: half an hour of calm, an hour of trouble, 45 minutes of calm.
"""

from __future__ import annotations

import pytest

from builders.failing_stage import NEEDS, OfTime, Story, constant, play

BEGIN, END, LAST = 1800.0, 5400.0, 8100.0


def on_and_off(share: float, each_seconds: float) -> OfTime:
    return lambda now: share if BEGIN <= now < END and int(now // each_seconds) % 2 == 0 else 0.0


def rising(load: float) -> OfTime:
    """Half as much again within ten minutes, from a minute before the trouble on."""
    return lambda now: load * min(1.5, 1.0 + 0.5 * max(now - BEGIN + 60.0, 0.0) / 600.0)


def come_and_go() -> list[Story]:
    return [
        Story(f"{n}-{share}-{each:.0f}", constant(NEEDS * n), n, within, fails=on_and_off(share, each), busy=busy, startup_seconds=start)
        for n, within, share, each, busy, start in (
            (40, 0.99, 0.7, 150.0, None, 300.0),
            (40, 0.99, 0.12, 300.0, None, 120.0),
            (40, 0.99, 0.3, 150.0, None, 120.0),
            (12, 0.9, 0.3, 60.0, 0.4, 20.0),
            (12, 0.95, 0.15, 60.0, 1.0, 45.0),
            (2, 0.9, 0.3, 60.0, 1.0, 45.0),
        )
    ]  # fmt: skip


def end() -> list[Story]:
    def trouble(share: float) -> OfTime:
        return constant(share, BEGIN, END)

    return [
        Story("all-while-it-rises", rising(4000.0), 40, 0.95, fails=trouble(1.0), busy=0.4),
        Story("most-fail", constant(4000.0), 40, 0.9, fails=trouble(0.7), busy=0.4, startup_seconds=300.0),
        Story("some-are-slow", constant(4000.0), 40, 0.9, slow=trouble(0.3), busy=0.4, startup_seconds=300.0),
        Story("both", constant(1200.0), 12, 0.95, fails=trouble(0.35), slow=trouble(0.35), busy=0.4),
        Story("one-pool", constant(1200.0), 6, 0.9, slow=trouble(0.7), busy=0.03, pools=("cpu", "gpu"), only="gpu"),
        Story("one-pool-p99", constant(1200.0), 6, fails=trouble(1.0), busy=0.03, pools=("cpu", "gpu"), only="gpu"),
    ]


@pytest.fixture(scope="module")
def stories() -> dict[str, Story]:
    return play([*come_and_go(), *end()], LAST)


@pytest.mark.parametrize("name", [story.name for story in come_and_go()])
def test_failures_that_come_and_go_cost_little(stories: dict[str, Story], name: str) -> None:
    story = stories[name]
    need = story.load(BEGIN) / NEEDS
    during = story.between(BEGIN + 900.0, END)
    assert sum(during) / len(during) <= 2.7 * need
    assert story.between(LAST - 300.0)[-1] <= 2.0 * need


@pytest.mark.parametrize("name", [story.name for story in end()])
def test_after_failures_that_end_the_load_is_carried_and_nothing_is_kept(stories: dict[str, Story], name: str) -> None:
    story = stories[name]
    need = story.load(LAST) / NEEDS
    assert story.bad_share(END + 900.0) <= 1.2 * (1.0 - story.within)
    assert sum(story.between(LAST - 300.0, pool=pool)[-1] for pool in story.pools) <= 1.7 * need + 2
    assert not story.messages("FailingAtAnyLoad", LAST - 600.0)


@pytest.mark.parametrize("name", ["one-pool", "one-pool-p99"])
def test_a_broken_pool_that_is_whole_again_answers_again(stories: dict[str, Story], name: str) -> None:
    story = stories[name]
    assert all(0 < count <= 5 * 12 for count in story.between(BEGIN, pool="gpu"))
    assert story.bad_share(BEGIN + 600.0, END) <= 0.1
    assert story.weights["gpu"] >= 5.0

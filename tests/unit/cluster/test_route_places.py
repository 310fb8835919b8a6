"""Where pools stand in a route, and how they leave and move: no place of the gateway's is heavy from one write to the next."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recmodel.cluster.route_places import Backend, arranged, passages

NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("standing", "wanted", "order"),
    [
        ("", "ab", "ab"),
        ("ab", "ab", "ab"),
        ("ab", "ba", "ab"),  # the owner writes the pools in another order: nothing moves
        ("ab", "xab", "abx"),
        ("abc", "bc", "cb"),
        ("abc", "ac", "ac"),
        ("abc", "ab", "ab"),
        ("abc", "xbc", "xbc"),
        ("abc", "xyc", "xyc"),
        ("abcd", "d", "d"),
        ("abcd", "cd", "dc"),
        ("cbc", "cb", "cb"),  # killed in the middle of a move
    ],
)
def test_each_stays_where_it_stands_and_a_free_place_is_filled(standing: str, wanted: str, order: str) -> None:
    assert "".join(arranged(list(standing), list(wanted))) == order


@given(NAMES, NAMES)
def test_an_order_has_each_once_and_stands_once_it_stands(standing: list[str], wanted: list[str]) -> None:
    order = arranged(standing, wanted)
    assert sorted(order) == sorted(wanted)
    assert arranged(order, wanted) == order
    assert sum(a != b and a in wanted for a, b in zip(standing, order, strict=False)) <= len(
        set(standing) - set(wanted)
    )


def backends(weights: dict[str, int], order: list[str]) -> list[Backend]:
    return [{"name": name, "weight": weights.get(name, 0)} for name in order]


@st.composite
def changes(draw: st.DrawFn) -> tuple[list[Backend], list[Backend]]:
    """A route, and the one to come: who is new has no weight yet, who leaves has any; a pool that stays under weight bears on."""
    standing, wanted = draw(NAMES), draw(NAMES)
    weight = st.one_of(st.integers(0, 2), st.integers(0, 1000))
    old = {name: draw(weight) for name in standing}
    stay = [name for name in standing if name in wanted]
    keeper = draw(st.sampled_from(stay)) if stay else None
    old |= {keeper: draw(st.integers(2, 1000))} if keeper is not None else {}
    new = {name: draw(st.integers(1, 1000)) if old[name] > 0 else 0 for name in stay}
    return backends(old, standing), backends(new, arranged(standing, wanted))


@given(changes())
def test_no_place_is_heavy_from_one_write_to_the_next_or_gone(change: tuple[list[Backend], list[Backend]]) -> None:
    standing, wanted = change
    bearers = {b["name"] for b in standing if b["weight"] > 1} & {b["name"] for b in wanted}
    steps = [standing, *passages(standing, wanted), wanted]
    for before, after in itertools.pairwise(steps):
        for one, other in itertools.zip_longest(before, after, fillvalue={"name": "", "weight": 0}):
            assert {one["weight"] > 1, other["weight"] == 0} != {True} or not bearers
            assert {other["weight"] > 1, one["weight"] == 0} != {True}
    for step in steps[1:-1]:
        assert all(of(step)[name] == of(standing)[name] for name in bearers), "what bears goes on, all places together"
        assert {backend["name"] for backend in step if backend["weight"] > 0} <= {b["name"] for b in standing}
    for at in range(1, len(steps) - 1):  # and a new process goes on from each of them
        assert passages(steps[at], wanted) in (steps[at + 1 : -1], steps[at + 2 : -1])


def of(step: list[Backend]) -> Counter[str]:
    """The weight of each name, all its places together."""
    return Counter({b["name"]: 0 for b in step}) + Counter([name for b in step for name in [b["name"]] * b["weight"]])

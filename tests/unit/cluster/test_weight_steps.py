"""The gateway's rules as a table, and as properties of random sequences of steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recmodel.cluster.weight_pace import WeightPace
from recmodel.cluster.weight_steps import LEAVE_SETTLE_SECONDS, TOTAL, PoolTraffic, Step, differs, spread, step

LONG = 60.0


def pool(weight: int, ready: int, replicas: int, wanted: int, share: float) -> PoolTraffic:
    return PoolTraffic(weight, ready, replicas, wanted, share)


TABLE = {
    "steady: nothing changes": (
        {"cpu": pool(600, 3, 3, 3, 0.6), "gpu": pool(400, 2, 2, 2, 0.4)},
        LONG,
        {"cpu": 600, "gpu": 400},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "a pool that is wanted but has no ready pod gets replicas and no weight": (
        {"cpu": pool(1000, 3, 3, 3, 0.5), "gpu": pool(0, 0, 0, 2, 0.5)},
        LONG,
        {"cpu": 1000, "gpu": 0},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "a pool that has just become ready starts with 1 of 1,000": (
        {"cpu": pool(1000, 3, 3, 3, 0.5), "gpu": pool(0, 1, 2, 2, 0.5)},
        LONG,
        {"cpu": 999, "gpu": 1},
        {"cpu": 3, "gpu": 2},
        0.5,
    ),
    "half a second later it gets its share": (
        {"cpu": pool(999, 3, 3, 3, 0.5), "gpu": pool(1, 1, 2, 2, 0.5)},
        0.6,
        {"cpu": 500, "gpu": 500},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "the others keep their replicas until a pool that takes over is ready": (
        {"cpu": pool(1000, 9, 9, 2, 0.2), "gpu": pool(0, 0, 3, 3, 0.8)},
        LONG,
        {"cpu": 1000, "gpu": 0},
        {"cpu": 9, "gpu": 3},
        None,
    ),
    "a pool with pods that is not wanted keeps 1": (
        {"cpu": pool(500, 3, 3, 3, 1.0), "gpu": pool(500, 2, 2, 2, 0.0)},
        LONG,
        {"cpu": 999, "gpu": 1},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "out, first step: weight 1": (
        {"cpu": pool(600, 3, 3, 3, 1.0), "gpu": pool(400, 2, 2, 0, 0.0)},
        LONG,
        {"cpu": 999, "gpu": 1},
        {"cpu": 3, "gpu": 2},
        3.0,
    ),
    "out, still settling": (
        {"cpu": pool(999, 3, 3, 3, 1.0), "gpu": pool(1, 2, 2, 0, 0.0)},
        1.0,
        {"cpu": 999, "gpu": 1},
        {"cpu": 3, "gpu": 2},
        2.0,
    ),
    "out, second step: weight 0, pods stay": (
        {"cpu": pool(999, 3, 3, 3, 1.0), "gpu": pool(1, 2, 2, 0, 0.0)},
        3.0,
        {"cpu": 1000, "gpu": 0},
        {"cpu": 3, "gpu": 2},
        3.0,
    ),
    "out, third step: the pods go": (
        {"cpu": pool(1000, 3, 3, 3, 1.0), "gpu": pool(0, 2, 2, 0, 0.0)},
        3.0,
        {"cpu": 1000, "gpu": 0},
        {"cpu": 3, "gpu": 0},
        None,
    ),
    "one pool replaces the other: the old one bears all while the new one starts": (
        {"cpu": pool(1000, 3, 3, 0, 0.0), "gpu": pool(0, 0, 0, 2, 1.0)},
        LONG,
        {"cpu": 1000, "gpu": 0},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "one pool replaces the other: the new one is ready": (
        {"cpu": pool(1000, 3, 3, 0, 0.0), "gpu": pool(0, 2, 2, 2, 1.0)},
        LONG,
        {"cpu": 999, "gpu": 1},
        {"cpu": 3, "gpu": 2},
        0.5,
    ),
    "the last ready pod of a pool is lost: its weight goes at once": (
        {"cpu": pool(600, 3, 3, 3, 0.6), "gpu": pool(400, 0, 2, 2, 0.4)},
        0.1,
        {"cpu": 1000, "gpu": 0},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "the bearer is lost while the other one joins: the other takes all at once": (
        {"cpu": pool(999, 0, 3, 3, 0.6), "gpu": pool(1, 2, 2, 2, 0.4)},
        0.1,
        {"cpu": 0, "gpu": 1000},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "no pool is ready: the weights stay, nothing that bears traffic shrinks to zero": (
        {"cpu": pool(600, 0, 3, 0, 0.0), "gpu": pool(400, 0, 2, 2, 1.0)},
        LONG,
        {"cpu": 600, "gpu": 400},
        {"cpu": 3, "gpu": 2},
        None,
    ),
    "the only pool lost its pods: its weight stays": (
        {"cpu": pool(1000, 0, 3, 5, 1.0)},
        LONG,
        {"cpu": 1000},
        {"cpu": 5},
        None,
    ),
    "a pool without ready pods and weight goes at once": (
        {"cpu": pool(1000, 3, 3, 3, 1.0), "gpu": pool(0, 0, 2, 0, 0.0)},
        0.0,
        {"cpu": 1000, "gpu": 0},
        {"cpu": 3, "gpu": 0},
        None,
    ),
    "nobody is wanted: one pod of what bears traffic stays": (
        {"cpu": pool(1000, 3, 3, 0, 0.0)},
        LONG,
        {"cpu": 1000},
        {"cpu": 1},
        None,
    ),
    "a pool that is wanted at the least weight has arrived, and moves nobody to and fro": (
        {"cpu": pool(997, 3, 3, 3, 0.997), "gpu": pool(2, 1, 1, 1, 0.0017), "spot": pool(1, 1, 1, 1, 0.0013)},
        0.0,
        {"cpu": 997, "gpu": 2, "spot": 1},
        {"cpu": 3, "gpu": 1, "spot": 1},
        None,
    ),
    "a leaving pool that is wanted again gets its share back": (
        {"cpu": pool(1000, 3, 3, 3, 0.5), "gpu": pool(0, 2, 2, 2, 0.5)},
        1.0,
        {"cpu": 999, "gpu": 1},
        {"cpu": 3, "gpu": 2},
        0.5,
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_step(case: str) -> None:
    pools, settled_seconds, weights, replicas, again_seconds = TABLE[case]
    result = step(pools, settled_seconds)
    assert dict(result.weights) == weights
    assert dict(result.replicas) == replicas
    assert result.again_seconds == again_seconds


def test_a_model_without_a_route_is_not_drained() -> None:
    result = step({"cpu": pool(0, 3, 3, 0, 0.0)}, 0.0, routed=False)
    assert dict(result.replicas) == {"cpu": 0}


def test_spread_of_unusable_shares_is_even() -> None:
    assert spread({"a": float("nan"), "b": -1.0}) == {"a": 500, "b": 500}
    assert spread({"a": 1e308, "b": 1e308}) == {"a": 500, "b": 500}
    assert spread({}) == {}


def test_small_moves_of_the_shares_do_not_differ() -> None:
    assert not differs({"a": 60.0, "b": 40.0}, {"a": 60.5, "b": 39.5})
    assert differs({"a": 60.0, "b": 40.0}, {"a": 62.0, "b": 38.0})


shares = st.floats(0.0, 1e6)


@given(st.dictionaries(st.sampled_from("abcdefgh"), shares, min_size=1))
def test_spread_sums_up_to_the_total_and_leaves_nobody_out(given_shares: dict[str, float]) -> None:
    result = spread(given_shares)
    assert sum(result.values()) == TOTAL
    assert min(result.values()) >= 1


# A story of a cluster: what is wanted and which pods are ready change at random; the steps are carried out as they say.
moment = st.fixed_dictionaries(
    {
        "seconds": st.sampled_from([0.05, 0.6, 3.5, 15.0]),
        "wanted": st.lists(st.tuples(st.integers(0, 4), shares), min_size=3, max_size=3),
        "ready": st.lists(st.sampled_from(["all", "all", "all", "none", "one"]), min_size=3, max_size=3),
    }
)
NAMES = ("a", "b", "c")


PACE = WeightPace(most=100.0, seconds=15.0)
TENTHS = {
    "a tenth of the traffic moves, and the rest waits": (
        {"cpu": pool(800, 3, 3, 3, 0.2), "gpu": pool(200, 2, 2, 2, 0.8)}, LONG, {"cpu": 700, "gpu": 300}, {"cpu": 3, "gpu": 2}, 15.0,
    ),
    "before the interval is over nothing moves": (
        {"cpu": pool(700, 3, 3, 3, 0.2), "gpu": pool(300, 2, 2, 2, 0.8)}, 5.0, {"cpu": 700, "gpu": 300}, {"cpu": 3, "gpu": 2}, 10.0,
    ),
    "what is within a step arrives": (
        {"cpu": pool(300, 3, 3, 3, 0.2), "gpu": pool(700, 2, 2, 2, 0.8)}, LONG, {"cpu": 200, "gpu": 800}, {"cpu": 3, "gpu": 2}, None,
    ),
    "pods of a pool that bears more than it is to stay": (
        {"cpu": pool(800, 9, 9, 2, 0.2), "gpu": pool(200, 4, 4, 4, 0.8)}, LONG, {"cpu": 700, "gpu": 300}, {"cpu": 9, "gpu": 4}, 15.0,
    ),
    "and of one that leaves": (
        {"cpu": pool(800, 9, 9, 0, 0.0), "gpu": pool(200, 4, 4, 4, 1.0)}, LONG, {"cpu": 700, "gpu": 300}, {"cpu": 9, "gpu": 4}, 15.0,
    ),
    "the last ready pod of a pool is lost: all of its weight goes at once, and no more": (
        {"a": pool(400, 0, 2, 2, 0.4), "b": pool(500, 3, 3, 3, 0.1), "c": pool(100, 2, 2, 2, 0.5)}, 0.1,
        {"a": 0, "b": 500, "c": 500}, {"a": 2, "b": 3, "c": 2}, 15.0,
    ),
    "a pool that answers with errors loses its weight at once": (
        {"cpu": PoolTraffic(800, 9, 9, 2, 0.2, leaves_at_once=True), "gpu": pool(200, 4, 4, 4, 0.8)}, 0.1,
        {"cpu": 200, "gpu": 800}, {"cpu": 2, "gpu": 4}, None,
    ),
    "a pool joins with 1 of 1,000 at any time": (
        {"a": pool(700, 3, 3, 3, 0.1), "b": pool(300, 3, 3, 3, 0.5), "c": pool(0, 2, 2, 2, 0.4)}, 0.1,
        {"a": 699, "b": 300, "c": 1}, {"a": 3, "b": 3, "c": 2}, 15.0,
    ),
    "nothing bears traffic yet": (
        {"cpu": pool(0, 3, 3, 3, 0.2), "gpu": pool(0, 2, 2, 2, 0.8)}, 0.1, {"cpu": 500, "gpu": 500}, {"cpu": 3, "gpu": 2}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TENTHS)
def test_with_a_pace_a_step_moves_no_more_of_the_traffic(case: str) -> None:
    pools, settled_seconds, weights, replicas, again_seconds = TENTHS[case]
    result = step(pools, settled_seconds, pace=PACE)
    assert (dict(result.weights), dict(result.replicas)) == (weights, replicas)
    assert result.again_seconds == again_seconds


@pytest.mark.parametrize("pace", [None, PACE, WeightPace(most=10.0, seconds=600.0)])
@given(story=st.lists(moment, min_size=1, max_size=25))
def test_the_order_rules_hold_along_random_sequences(pace: WeightPace | None, story: list[dict]) -> None:
    weights, replicas, settled = {"a": 1000, "b": 0, "c": 0}, {"a": 1, "b": 0, "c": 0}, LONG
    for now in story:
        settled += now["seconds"]
        ready = {
            n: {"all": replicas[n], "none": 0, "one": min(1, replicas[n])}[r]
            for n, r in zip(NAMES, now["ready"], strict=True)
        }
        pools = {
            n: PoolTraffic(weights[n], ready[n], replicas[n], wanted, share)
            for n, (wanted, share) in zip(NAMES, now["wanted"], strict=True)
        }
        result = step(pools, settled, pace=pace)
        _rules_hold(pools, result, settled)
        left = sum(max(p.weight - result.weights[n], 0) for n, p in pools.items() if p.ready)
        if pace is not None and any(p.ready for p in pools.values()):
            assert left <= (pace.most if settled >= pace.seconds else 0.0) + len(pools)
        if dict(result.weights) != weights:
            settled = 0.0
        weights, replicas = dict(result.weights), dict(result.replicas)


def _rules_hold(pools: dict[str, PoolTraffic], result: Step, settled: float) -> None:
    live = {name for name, p in pools.items() if p.ready > 0}
    if not live:
        assert dict(result.weights) == {name: p.weight for name, p in pools.items()}
        return
    assert sum(result.weights.values()) == TOTAL
    others_live = any(pools[n].weight > 0 for n in live)
    for name, p in pools.items():
        new = result.weights[name]
        if p.ready == 0:
            assert new == 0, "no weight without a ready pod"
            continue
        if new == 0:
            assert p.wanted_replicas == 0, "a pool with ready pods that stays keeps at least 1"
            assert p.weight <= 1, "to 0 only through 1"
            assert p.weight == 0 or settled >= LEAVE_SETTLE_SECONDS
        if p.weight == 0 and others_live:
            assert new <= 1, "from 0 only through 1"
        if result.replicas[name] == 0 and p.replicas > 0:
            assert p.weight == 0, "the weight goes before the pods"
            assert new == 0
            assert settled >= LEAVE_SETTLE_SECONDS


@given(st.lists(st.tuples(st.integers(0, 4), shares, st.integers(0, 4)), min_size=3, max_size=3))
def test_with_willing_pods_the_steps_arrive_and_then_rest(wanted: list[tuple[int, float, int]]) -> None:
    weights = {"a": 1000, "b": 0, "c": 0}
    replicas = {n: start for n, (_, _, start) in zip(NAMES, wanted, strict=True)}
    replicas["a"] = max(replicas["a"], 1)
    result = None
    for _ in range(12):
        pools = {
            n: PoolTraffic(weights[n], replicas[n], replicas[n], want, share)
            for n, (want, share, _) in zip(NAMES, wanted, strict=True)
        }
        result = step(pools, LONG)
        if (dict(result.weights), dict(result.replicas)) == (weights, replicas):
            break
        weights, replicas = dict(result.weights), dict(result.replicas)
    else:
        pytest.fail(f"no rest: {weights} {replicas}")
    if any(want for want, _, _ in wanted):
        for n, (want, _, _) in zip(NAMES, wanted, strict=True):
            assert replicas[n] == want
    assert sum(weights.values()) == TOTAL

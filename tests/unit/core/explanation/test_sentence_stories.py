"""No sentence of a decision is false: each is compared with the numbers that it was made from, over whole stories of fleets."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation, Reason

CELL = re.compile(
    r"(?P<pool>[\w-]+): the plan wanted (?P<plan>\d+), (?P<run>\d+) run, (?P<decided>\d+) decided \((?P<why>.*)\)"
)
TICKS, STORIES = 160, 16


class Said:
    """One reason with the tick it belongs to."""

    def __init__(self, model: Model, seen: Observation, decision: Decision, reason: Reason) -> None:
        self.model, self.seen, self.decision, self.reason = model, seen, decision, reason
        self.cell = CELL.fullmatch(reason.message)
        rates = [pool.rate_per_second for pool in seen.pools.values()]
        known = [rate for rate in rates if rate is not None and math.isfinite(rate) and rate >= 0]
        self.load = sum(known) if len(known) == len(rates) else math.nan

    @property
    def pool(self) -> Pool:
        return next(pool for pool in self.model.pools if pool.name == self.reason.message.split(":")[0])

    @property
    def at(self) -> PoolObservation:
        return self.seen.pools[self.pool.name]

    @property
    def decided(self) -> int:
        return self.decision.pools[self.pool.name].replicas

    def number(self, pattern: str) -> float:
        found = re.search(pattern, self.reason.message)
        assert found, f"{pattern!r} is not in {self.reason.message!r}"
        return float(found[1])


def rising(said: Said) -> None:
    decided = {name: pool.replicas for name, pool in said.decision.pools.items()}
    run = {name: said.seen.pools[name].desired for name in decided}
    each = {name: said.decision.estimates[name].planned_per_replica or 0.0 for name in decided}
    now, then = (sum(each[name] * count for name, count in mix.items()) for mix in (run, decided))
    upper = said.number(r"at most ([\d.]+)/s")
    assert (said.reason.reason == "Steady") == (decided == run)
    if said.reason.reason == "ForecastRise":  # there are more to carry it, and what ran was not planned to
        assert then > now
        assert upper > now - 0.06 - 0.001 * sum(run.values())
    if said.reason.reason == "ForecastFall":
        assert then < now
        assert upper < now + 0.06 + 0.001 * sum(run.values())
    assert said.number(r"load ([\d.]+)/s") == pytest.approx(said.load, abs=0.06)
    assert upper in [pytest.approx(each.upper_per_second, abs=0.06) for each in said.decision.forecast.values()]


def release_waits(said: Said) -> None:
    assert said.decided <= said.at.desired, "nothing is released here"
    if "release waits" in said.reason.message:
        assert said.decided == said.at.desired
    if "are ready" in said.reason.message:
        ready = said.number(r"\((\d+) of \d+ are ready"), said.number(r"of (\d+) are ready")
        assert ready == (said.at.ready, said.at.desired)
        assert ready[0] != ready[1]
    if "how many of its requests are late" in said.reason.message:
        assert said.at.latency is None or not said.at.latency or said.at.rate_per_second


def room_for_release(said: Said) -> None:
    assert said.decided > said.at.desired
    price = {pool.name: pool.cost_per_hour for pool in said.model.pools}
    assert said.cell is not None
    own = price[said.cell["pool"]]
    assert any(price[p] > own and said.decision.proposed_replicas[p] < at.desired for p, at in said.seen.pools.items())


def in_steps(said: Said) -> None:
    leave = max(said.at.ready - math.ceil(said.at.ready / 1.5), 1)
    assert said.at.desired - leave <= said.decided < said.at.desired


def in_flight(said: Said) -> None:
    assert said.decided == said.at.desired
    assert said.number(r"the load of ([\d.e+]+)/s") == pytest.approx(said.load, rel=0.006)
    assert said.load > 0


def at_risk(said: Said) -> None:
    assert said.decided >= (said.at.desired if "nothing is released" in said.reason.message else said.at.ready + 1)


def at_minimum(said: Said) -> None:
    if "replicas.min" in said.reason.message:
        assert said.number(r": (\d+) is its") == said.pool.min_replicas == said.decided
    elif "minimum of" in said.reason.message:
        assert said.number(r"minimum of (\d+)") == said.pool.min_replicas == said.decided
    else:
        assert sum(pool.replicas for pool in said.decision.pools.values()) == said.decided == 1


def at_maximum(said: Said) -> None:
    for pool in said.model.pools:
        assert f"{pool.name} {said.decision.pools[pool.name].replicas} of {pool.max_replicas}" in said.reason.message
        assert said.decision.pools[pool.name].replicas >= pool.max_replicas


def pool_at_maximum(said: Said) -> None:
    assert said.number(r"may have (\d+) at most") == said.pool.max_replicas == said.decided
    assert said.number(r"; (\d+) were asked for") > said.pool.max_replicas


def unschedulable(said: Said) -> None:
    if "ten minutes" not in said.reason.message:
        assert said.number(r"(\d+) of its pods find") == said.at.unschedulable
        assert said.at.unschedulable


def not_acting(said: Said) -> None:
    assert not said.model.acts
    assert said.decided == said.at.desired != said.number(r"else (\d+) would be decided")


def infeasible(said: Said) -> None:
    for pool in said.model.pools:
        planned = said.decision.proposed_replicas[pool.name]
        assert (
            f"{pool.name} {planned} of {pool.max_replicas} ({said.seen.pools[pool.name].ready} ready)"
            in said.reason.message
        )
    assert said.number(r"in time for ([\d.]+)/s") in [
        pytest.approx(each.upper_per_second, abs=0.06) for each in said.decision.forecast.values()
    ]


def exploring(said: Said) -> None:
    estimate = said.decision.estimates[said.pool.name]
    assert estimate.capacity_lower is None or "not known yet" in said.reason.message or said.at.ready == 0
    if "tried)" in said.reason.message:
        assert said.decided == max(1, said.pool.min_replicas)
    if "too small" in said.reason.message:
        assert said.decided == said.pool.min_replicas


def not_filled(said: Said) -> None:
    assert said.number(r"ready replicas \((\d+)\)") == said.at.ready
    assert said.decided <= said.at.desired


def blind(said: Said) -> None:
    if said.cell is not None:
        half = math.ceil(1.5 * said.at.desired)
        assert said.at.desired <= said.decided <= (half if "half as many" in said.reason.message else said.at.desired)


def kept(said: Said) -> None:
    assert said.decided <= said.at.desired


CHECKS: dict[str, Callable[[Said], None]] = {
    "ForecastRise": rising, "Steady": rising, "ForecastFall": rising, "MixChanged": rising, "ScaleDownStabilised": release_waits,
    "ReleaseUnproven": release_waits, "ReleaseWithinNoise": release_waits, "RoomForRelease": room_for_release, "ReleaseInSteps": in_steps,
    "ScalingInFlight": in_flight, "ObjectiveAtRisk": at_risk, "AtMinimum": at_minimum, "AtMaximum": at_maximum,
    "PoolAtMaximum": pool_at_maximum, "PoolUnschedulable": unschedulable, "ModeRecommend": not_acting, "Infeasible": infeasible,
    "Exploring": exploring, "ReadyNotFilled": not_filled, "MetricsMissing": blind, "RateImplausible": blind, "NeededAgainSoon": kept,
}  # fmt: skip


def check(model: Model, seen: Observation, decision: Decision) -> Iterator[str]:
    """Compares every sentence of a decision with its numbers; the reasons that were given."""
    cells: Counter[str] = Counter()
    for reason in decision.reasons:
        said = Said(model, seen, decision, reason)
        assert not re.search(r"\b(nan|inf)\b", reason.message), reason.message
        if said.cell is not None:
            cells[said.cell["pool"]] += 1
            numbers = (said.decision.proposed_replicas[said.pool.name], said.at.desired, said.decided)
            assert (int(said.cell["plan"]), int(said.cell["run"]), int(said.cell["decided"])) == numbers
        CHECKS.get(reason.reason, lambda _: None)(said)
        yield reason.reason
    assert all(count == 1 for count in cells.values()), "one guard bound a pool's number, and one is named"


def any_pools(random: np.random.Generator) -> tuple[Pool, ...]:
    return tuple(
        Pool(name, int(random.integers(0, 3)), int(random.integers(3, 30)), float(random.choice([0.5, 1.0, 2.5])))
        for name in ("cpu", "gpu", "spot")[: random.integers(1, 4)]
    )


def story(random: np.random.Generator, pools: tuple[Pool, ...]) -> Generator[Observation, Decision]:
    """A model in a closed loop: jumps, near silence, lateness by load and without one, blindness, pods without a node."""
    each = {pool.name: float(random.uniform(20, 120)) for pool in pools}
    desired = {pool.name: max(pool.min_replicas, 2) for pool in pools}
    ready, weight = dict(desired), {pool.name: 1.0 for pool in pools}
    mean = float(random.uniform(0.2, 3.0)) * max(each.values()) * len(pools)
    for tick in range(TICKS):
        if random.random() < 0.03:
            mean *= float(random.choice([0.02, 0.3, 2.5, 8.0]))
        state = random.random()
        load = float(random.poisson(mean * 60) / 60)
        seen = {}
        for pool in pools:
            name = pool.name
            ready[name] = max(0, min(desired[name], ready[name] + int(random.integers(0, 3))) - int(state > 0.98))
            answering = {n: weight[n] * (ready[n] > 0) for n in weight}
            rate = load * answering[name] / max(sum(answering.values()), 1e-9)
            busy = rate / max(each[name] * ready[name], 1e-9)
            late = 1.0 if busy > 1 else 0.4 if tick % 60 < 6 else max(0.0, busy - 0.8)
            known = state > 0.06
            seen[name] = PoolObservation(
                desired[name], ready[name], int(tick % 50 < 12 and ready[name] < desired[name]), weight[name],
                200.0 if name == "gpu" else 45.0, rate if known else None, 0.0 if known else None,
                {0.1: rate * (1 - late), math.inf: rate} if known else None, min(busy, 1.0), None,
            )  # fmt: skip
        decision = yield Observation(15.0 * (tick + 1), seen)
        desired = {name: pool.replicas for name, pool in decision.pools.items()}
        weight = {name: pool.weight for name, pool in decision.pools.items()}


def test_in_stories_of_a_fleet_each_sentence_agrees_with_its_numbers() -> None:
    random = [np.random.default_rng(seed) for seed in range(STORIES)]
    fleet = [Model(f"shop/{n}", 0.95, 0.1, any_pools(own), acts=n % 8 != 5) for n, own in enumerate(random)]
    stories = [story(own, model.pools) for own, model in zip(random, fleet, strict=True)]
    memory, found = begin(fleet, 15.0), Counter[str]()
    seen = [next(one) for one in stories]
    for tick in range(1, TICKS + 1):
        memory, decisions = step(memory, seen, 15.0 * tick)
        for model, observed, decision in zip(fleet, seen, decisions, strict=True):
            found.update(check(model, observed, decision))
        if tick < TICKS:
            seen = [one.send(decision) for one, decision in zip(stories, decisions, strict=True)]
    missing = set(CHECKS) - set(found) - {"RateImplausible", "ScalingInFlight"}
    assert not missing, "the stories are too tame to show anything of these"


@given(st.data())
@examples
def test_whatever_was_observed_no_sentence_contradicts_it(data: st.DataObject) -> None:
    model = data.draw(models())
    memory = begin([model], 15.0)
    for seen in data.draw(days(model, wild=data.draw(st.booleans()))):
        memory, decisions = step(memory, [seen], seen.time_seconds)
        for reason in decisions[0].reasons:
            assert not re.search(r"\b(nan|inf)\b", reason.message), reason.message
        list(check(model, seen, decisions[0]))

"""What each sentence of a decision claims, compared with the numbers that it was made from."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation, Reason

CELL = re.compile(
    r"(?P<pool>[\w-]+): the plan wanted (?P<plan>\d+), (?P<run>\d+) run, (?P<decided>\d+) decided \((?P<why>.*)\)"
)


class Said:
    """One reason with the tick it belongs to."""

    def __init__(self, model: Model, seen: Observation, decision: Decision, reason: Reason) -> None:
        self.model, self.seen, self.decision, self.reason = model, seen, decision, reason
        self.cell = CELL.fullmatch(reason.message)
        rates = {
            name: pool.rate_per_second if pool.rate_per_second is not None else math.nan
            for name, pool in seen.pools.items()
        }
        known = {name: rate for name, rate in rates.items() if math.isfinite(rate) and rate >= 0}
        # A pool that answers nothing may be silent, and is no reason to call the load of the others unknown.
        silent = [seen.pools[name] for name in rates.keys() - known.keys()]
        whole = known and all(pool.ready == 0 or pool.weight == 0.0 for pool in silent)
        self.load = sum(known.values()) if whole else math.nan

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

    def expected(self, upper: str, seconds: str) -> None:
        """The upper forecast in the sentence, with its horizon, is that of some pool."""
        assert any(
            self.number(upper) == pytest.approx(each.upper_per_second, abs=0.06)
            and self.number(seconds) == pytest.approx(each.horizon_seconds, abs=0.6)
            for each in self.decision.forecast.values()
        )


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
    said.expected(r"at most ([\d.]+)/s expected", r"within (\d+) s")
    planned = {name: each.planned_per_replica for name, each in said.decision.estimates.items()}
    told = re.findall(r"([\w-]+) ([\d.]+)/s a replica", said.reason.message)
    assert {name: float(carries) for name, carries in told} == {
        name: pytest.approx(carries, abs=0.06) for name, carries in planned.items() if carries is not None
    }


def release_waits(said: Said) -> None:
    assert said.decided <= said.at.desired, "nothing is released here"
    if "release waits" in said.reason.message:
        homeless = said.at.unschedulable or 0  # these go at once where fewer are wanted than have a node
        assert said.decided in (said.at.desired, max(said.at.ready, said.at.desired - homeless))
    if "are ready" in said.reason.message:
        ready = said.number(r"\((\d+) of \d+ are ready"), said.number(r"of (\d+) are ready")
        assert ready == (said.at.ready, said.at.desired)
        assert ready[0] != ready[1]
    if said.reason.reason == "PodsWarming":
        young = [age for age in said.at.ready_for_seconds if 0.0 <= age < said.pool.warm_up_seconds]
        warming = said.number(r"\((\d+) of its"), said.number(r"of its (\d+) ready replicas are younger")
        assert warming == (min(len(young), said.at.ready), said.at.ready)
        assert warming[0] > 0
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
        least = min(each.upper_per_second for each in said.decision.forecast.values())
        assert said.number(r"carry the ([\d.]+)/s") == pytest.approx(least, abs=0.06)
    elif "minimum of" in said.reason.message:
        assert said.number(r"minimum of (\d+)") == said.pool.min_replicas == said.decided
    elif "does not share out this traffic" in said.reason.message:
        assert not said.model.routed
        assert said.at.desired > 0
        assert said.decided == 1
    else:
        assert sum(pool.replicas for pool in said.decision.pools.values()) == said.decided == 1


def at_maximum(said: Said) -> None:
    for pool in (pool for pool in said.model.pools if not pool.leaving):
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
    for pool in (pool for pool in said.model.pools if not pool.leaving):
        planned = said.decision.proposed_replicas[pool.name]
        assert (
            f"{pool.name} {planned} of {pool.max_replicas} ({said.seen.pools[pool.name].ready} ready)"
            in said.reason.message
        )
    said.expected(r"in time for ([\d.]+)/s", r"within (\d+) s")


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
    elif "has been unknown for" in said.reason.message:
        unknown_seconds = said.number(r"unknown for (\d+) s")
        assert unknown_seconds % 15 == 0
        assert 15 <= unknown_seconds <= said.seen.time_seconds


def kept(said: Said) -> None:
    assert said.decided <= said.at.desired


def failing(said: Said) -> None:
    bad, failed = said.number(r"([\d.]+)% of the requests"), said.number(r"\(([\d.]+)% fail\)")
    assert 0.0 <= failed <= bad + 0.1 <= 100.1
    if "where the load needed" in said.reason.message:
        assert said.number(r"load: (\d+) replicas") > said.number(r"the load needed (\d+)") > 0
    if "nearly all are" not in said.reason.message:
        assert said.number(r"\(([\d.]+)/s and") > said.number(r"and ([\d.]+)/s a replica")


def lighter(said: Said) -> None:
    weights = {name: pool.weight for name, pool in said.decision.pools.items()}
    shares = re.findall(r"([\w-]+) ([\d.]+) % of the traffic, ([\d.]+) % in calm times", said.reason.message)
    for name, now, calm in shares:
        assert float(now) == pytest.approx(100.0 * weights[name] / sum(weights.values()), rel=0.006)
        assert float(now) >= float(calm)
        assert said.model.accuracy_budget_ratio is not None
    if "the load is unknown" not in said.reason.message:
        assert said.number(r"and (\d+)/s are asked for") >= 0
    if said.decision.accuracy_budget_left_ratio is not None:
        assert said.number(r"; (-?\d+)% of an hour") == pytest.approx(
            100.0 * said.decision.accuracy_budget_left_ratio, abs=0.6
        )


def nobody_ready(said: Said) -> None:
    assert not any(pool.ready for pool in said.seen.pools.values())


def no_requests(said: Said) -> None:
    assert not said.seen.requested
    assert said.cell is None or said.decided == said.at.desired


def limited(said: Said) -> None:
    assert said.decided >= said.at.desired, "at most what runs, or more"


def leaves(said: Said) -> None:
    assert said.pool.leaving
    assert said.decided == (0 if "it goes" in said.reason.message else said.at.desired)
    if "carry the" in said.reason.message and "load is unknown" not in said.reason.message:
        assert said.number(r"carry the ([\d.e+]+)/s") == pytest.approx(said.load, rel=0.006)


def cell_alone(said: Said) -> None:
    """What the plan wanted, what runs and what is decided are its only numbers."""
    assert said.cell is not None


CHECKS: dict[str, Callable[[Said], None]] = {
    "ForecastRise": rising, "Steady": rising, "ForecastFall": rising, "MixChanged": rising, "ScaleDownStabilised": release_waits,
    "PodsWarming": release_waits,
    "ReleaseUnproven": release_waits, "ReleaseWithinNoise": release_waits, "RoomForRelease": room_for_release, "ReleaseInSteps": in_steps,
    "ScalingInFlight": in_flight, "ObjectiveAtRisk": at_risk, "AtMinimum": at_minimum, "AtMaximum": at_maximum,
    "PoolAtMaximum": pool_at_maximum, "PoolUnschedulable": unschedulable, "ModeRecommend": not_acting, "Infeasible": infeasible,
    "Exploring": exploring, "ReadyNotFilled": not_filled, "MetricsMissing": blind, "RateImplausible": blind, "NeededAgainSoon": kept,
    "FailingAtAnyLoad": failing, "LighterVariantsServe": lighter, "NoReadyPool": nobody_ready, "OrderedElsewhere": nobody_ready,
    "ScaleRateLimited": limited, "GrowthUnproven": cell_alone, "LastReadyReplica": cell_alone, "NoRequestsSeen": no_requests,
    "PoolLeaving": leaves,
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
            left = decision.pools[said.pool.name].bound_left_seconds
            assert (left is not None) == ("more if nothing else changes" in reason.message)
            if left is not None:
                assert said.number(r"; (\d+) s more") == pytest.approx(left, abs=0.6)
        # A guard that alone is why replicas change gives its word to the sentence on the forecast.
        (rising if reason.message.startswith("load ") else CHECKS[reason.reason])(said)
        yield reason.reason
    assert all(count == 1 for count in cells.values()), "one guard bound a pool's number, and one is named"

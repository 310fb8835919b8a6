"""Decisions as arrays, and each one as a record that explains itself: what was proposed, what was decided, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from recmodel.core import reasons
from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity.estimate import Capacity
from recmodel.core.capacity.sustained import IMPLAUSIBLE_RISE
from recmodel.core.explanation import unknown_load
from recmodel.core.explanation.cost_split import CostSplit
from recmodel.core.explanation.mover import mover
from recmodel.core.explanation.node_buffers import node_buffers
from recmodel.core.failures.load_independent import Failing
from recmodel.core.forecast.candidates import LoadForecast
from recmodel.core.latency_budget import LatencyBudget
from recmodel.core.plan.causes import BY_CODE
from recmodel.core.plan.guards import Guarded
from recmodel.core.plan.node_buffer import NodeBuffers
from recmodel.core.plan.situation import Proposal
from recmodel.core.traffic.accuracy_budget import AccuracyBudget
from recmodel.core.types import Decision, PoolDecision, PoolEstimate, PoolForecast, Reason


@dataclass(frozen=True)
class Decisions:
    """The decisions of one tick. ``decisions[i]`` builds the record of model ``i``; arrays serve who looks at all of them."""

    fleet: Fleet
    seen: Observed
    failing: Failing
    now_seconds: float
    load: Floats
    doubted: Floats  # [M] requests/s that were counted and are not believed; NaN: none
    forecast: LoadForecast
    capacity: Capacity
    proposal: Proposal
    guarded: Guarded
    cost: CostSplit
    hold_left_seconds: Floats  # [M, P] after which a number's guard lets go; NaN: not a matter of time
    given_up: Bools  # [M, P] pods found no node for long: none are ordered for a while
    weights: Floats
    blind_seconds: Floats
    accuracy_budget: AccuracyBudget
    latency_budget: LatencyBudget
    allowed: Floats  # [M, P] share of the traffic that each pool may answer all the time
    node_buffers: NodeBuffers | None  # None: no pool asks for one

    @property
    def replicas(self) -> Ints:
        """What is decided ``[M, P]``."""
        return self.guarded.replicas

    def __len__(self) -> int:
        return len(self.fleet.models)

    def __iter__(self) -> Iterator[Decision]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Decision:
        """The decision for model ``i``, with its reasons and what each part of its cost is for, in a sentence each."""
        return replace(self.unsplit(i), cost_parts=self.cost[i])

    def unsplit(self, i: int) -> Decision:
        """The same without the parts of its cost, which take three times as long: for who does what was decided and shows nobody why."""
        model = self.fleet.models[i]
        pools = range(len(model.pools))
        names = [pool.name for pool in model.pools]
        price = self.fleet.cost_per_hour[i]
        runner_up = {names[k]: int(self.proposal.runner_up[i, k]) for k in pools}
        differs = any(runner_up[names[k]] != self.proposal.replicas[i, k] for k in pools)
        bound = self._bound(i)
        return Decision(
            time_seconds=self.now_seconds,
            pools={
                names[k]: PoolDecision(
                    replicas=int(self.replicas[i, k]),
                    weight=round(float(self.weights[i, k]), 3),
                    bound=bound.get(names[k]),
                    bound_left_seconds=_number(self.hold_left_seconds[i, k]),
                )
                for k in pools
            },
            state=self.state(i),
            reasons=self._reasons(i, bound),
            forecast={names[k]: self._forecast(i, k) for k in pools if np.isfinite(self.forecast.upper[i, k])},
            estimates={names[k]: self._estimate(i, k) for k in pools},
            proposed_replicas={names[k]: int(self.proposal.replicas[i, k]) for k in pools},
            acting_replicas={names[k]: int(self.guarded.acting[i, k]) for k in pools},
            runner_up=runner_up if differs else {},
            runner_up_cost_per_hour=round(float(self.proposal.runner_up_cost[i]), 4) if differs else None,
            node_buffers=node_buffers(self.node_buffers, self.fleet, i),
            cost_per_hour=round(float((self.replicas[i] * price)[: len(names)].sum()), 4),
            accuracy_budget_left_ratio=_number(self.accuracy_budget.left_ratio[i]),
            latency_budget=self.latency_budget.use(i),
        )

    def state(self, i: int) -> str:
        """One word for what the loop is doing with model ``i``."""
        if not self.fleet.acts[i]:
            return reasons.PAUSED if self.fleet.models[i].paused else reasons.RECOMMENDING
        if self.blind_seconds[i] > 0:
            return reasons.HOLDING if self.seen.requested[i] else reasons.AWAITING_REQUESTS
        if not self.proposal.feasible[i]:
            return reasons.DEGRADED
        # Known is what was seen to be good, or follows from it: where that carries what is expected, nothing is left to learn.
        each = self._decided_carry_each[i]
        carried = np.nansum(np.where(np.isfinite(each), each, 0.0) * self.replicas[i])
        expected = np.nanmax(np.where(self.fleet.exists[i], self.forecast.middle[i], np.nan), initial=0.0)
        return reasons.TRACKING if np.isfinite(each).any() and carried >= expected else reasons.LEARNING

    # Of the whole fleet at once: asked for each model they would make a tick quadratic in the models.

    @cached_property
    def _decided_carry_each(self) -> Floats:
        """Requests/s ``[M, P]`` that each of the decided replicas is known to carry; 0 where there is no pool."""
        return np.where(self.fleet.exists, self.capacity.per_replica(np.maximum(self.replicas, 1)), 0.0)

    @cached_property
    def _least_expected(self) -> Floats:
        """The smallest upper forecast ``[M, 1]`` in requests/s of each model's pools."""
        return self.fleet.smallest(self.forecast.upper)

    @cached_property
    def _one_less_would_do(self) -> Bools:
        """Where the decided replicas would carry the upper forecast without one of the pool's ``[M, P]``."""
        each = np.nan_to_num(self._decided_carry_each, nan=0.0, posinf=0.0)
        rest = (each * self.replicas).sum(1, keepdims=True) - each
        result: Bools = rest >= self._least_expected
        return result

    @cached_property
    def _ready_carry_each(self) -> tuple[Floats, Floats]:
        """Requests/s ``[M, P]`` that each ready replica carries: what is known, and the middle of the belief."""
        ready = np.maximum(self.seen.ready, 1)
        return self.capacity.per_replica(ready), self.capacity.per_replica(ready, cautious=False)

    def _forecast(self, i: int, k: int) -> PoolForecast:
        return PoolForecast(
            horizon_seconds=round(float(self.forecast.horizon_seconds[i, k]), 1),
            p50_per_second=round(float(self.forecast.middle[i, k]), 3),
            upper_per_second=round(float(self.forecast.upper[i, k]), 3),
        )

    def _estimate(self, i: int, k: int) -> PoolEstimate:
        ready = max(int(self.seen.ready[i, k]), 1)
        lower, middle = self._ready_carry_each
        load = self.seen.rate_per_second[i, k] / ready if self.seen.ready[i, k] > 0 else np.nan
        return PoolEstimate(
            capacity_per_replica=_number(middle[i, k]),
            capacity_lower=_number(lower[i, k]),
            load_per_replica=_number(load),
            within_lower_ratio=_number(1.0 - self.seen.late_upper_ratio[i, k], 5),
            within_upper_ratio=_number(1.0 - self.seen.late_lower_ratio[i, k], 5),
            planned_per_replica=_number(self.proposal.per_replica[i, k]),
        )

    def _reasons(self, i: int, bound: Mapping[str, Reason]) -> tuple[Reason, ...]:
        """Why: what the forecast asked for, for each pool the guard that its number comes from, and what else limits the model."""
        found = [self._trend(i), *bound.values(), *self._unschedulable(i), *self._failing(i), *self._limits(i)]
        found += [self._lighter(i)] if self.accuracy_budget.open[i] else []
        found += [self._infeasible(i)] if not self.proposal.feasible[i] else []
        return tuple(found)

    def _bound(self, i: int) -> dict[str, Reason]:
        """By pool the last guard that moved its number, where one did."""
        fleet, seen, found = self.fleet, self.seen, {}
        for k, pool in enumerate(fleet.models[i].pools):
            if not self.guarded.why[i, k]:
                continue
            cause = BY_CODE[int(self.guarded.why[i, k])]
            said = cause.sentence.format(
                before=self.guarded.before[i, k],
                **{name: getattr(seen, name)[i, k] for name in ("desired", "ready", "warming", "unschedulable")},
                minimum=pool.min_replicas,
                maximum=pool.max_replicas,
                load=self.load[i],
            )
            left = self.hold_left_seconds[i, k]
            said += f"; {left:.0f} s more if nothing else changes" if np.isfinite(left) else ""
            found[pool.name] = Reason(
                cause.reason,
                f"{pool.name}: the plan wanted {self.proposal.replicas[i, k]}, {seen.desired[i, k]} run, "
                f"{self.replicas[i, k]} decided ({said})",
            )
        return found

    def _unschedulable(self, i: int) -> Iterator[Reason]:
        """Where pods find no node, though no guard has the last word on it: the plan counts without them."""
        for k, pool in enumerate(self.fleet.models[i].pools):
            cause = BY_CODE.get(int(self.guarded.why[i, k]))
            if cause is not None and cause.reason == reasons.POOL_UNSCHEDULABLE:
                continue
            if waiting := int(self.seen.unschedulable[i, k]):
                said = f"{waiting} of its pods find no node or are over a quota"
            elif self.given_up[i, k]:
                said = "its pods found no node for ten minutes, or were over a quota, and are tried again later"
            else:
                continue
            yield Reason(reasons.POOL_UNSCHEDULABLE, f"{pool.name}: {said}; the plan counts on those that are ready")

    def _infeasible(self, i: int) -> Reason:
        """What the mix that carries most comes to, since no mix carries the upper forecast in time."""
        k = self._fastest(i, self.allowed[i] >= 1.0)
        planned = ", ".join(
            f"{pool.name} {self.proposal.replicas[i, n]} of {pool.max_replicas} ({self.seen.ready[i, n]} ready)"
            for n, pool in enumerate(self.fleet.models[i].staying)
        )
        return Reason(
            reasons.INFEASIBLE,
            "no mix that limits, nodes and the accuracy budget allow is ready in time for "
            f"{self.forecast.upper[i, k]:.1f}/s (q{self.forecast.upper_quantile[i]:.2f}) "
            f"within {self.forecast.horizon_seconds[i, k]:.0f} s; planned: {planned}",
        )

    def _expected(self, i: int, k: int) -> str:
        """The upper forecast: ``at most 36.1/s expected (q0.95) within 36 s``."""
        upper, seconds = self.forecast.upper[i, k], self.forecast.horizon_seconds[i, k]
        return f"at most {upper:.1f}/s expected (q{self.forecast.upper_quantile[i]:.2f}) within {seconds:.0f} s"

    def _fastest(self, i: int, among: Bools) -> int:
        """The pool of the shortest horizon, of those ``among`` ``[P]`` if there are any."""
        exists = self.fleet.exists[i]
        among = exists & among if (exists & among).any() else exists
        return int(np.argmin(np.where(among, self.forecast.horizon_seconds[i], np.inf)))

    def _failing(self, i: int) -> Iterator[Reason]:
        """Where requests fail or are late at any load."""
        for k, pool in enumerate(self.fleet.models[i].pools):
            if self.failing.floor[i, k] > 0:
                yield Reason(reasons.FAILING_AT_ANY_LOAD, f"{pool.name}: {self.failing.sentence(i, k)}")

    def _limits(self, i: int) -> Iterator[Reason]:
        """Where the owner's limits are what holds the replicas: nothing can grow any more, or fewer would do."""
        pools = self.fleet.models[i].staying
        decided = [int(self.replicas[i, k]) for k in range(len(pools))]
        if sum(decided) and all(n >= pool.max_replicas for n, pool in zip(decided, pools, strict=True)):
            full = ", ".join(f"{pool.name} {n} of {pool.max_replicas}" for n, pool in zip(decided, pools, strict=True))
            yield Reason(
                reasons.AT_MAXIMUM, f"every pool has all replicas that it may have ({full}): nothing is left for a rise"
            )
        for k, pool in enumerate(pools):
            if pool.min_replicas == decided[k] > 0 and sum(decided) > 1 and self._one_less_would_do[i, k]:
                least = float(self._least_expected[i, 0])
                yield Reason(
                    reasons.AT_MINIMUM,
                    f"{pool.name}: {decided[k]} is its replicas.min; one fewer would carry the {least:.1f}/s that are expected at most",
                )

    def _lighter(self, i: int) -> Reason:
        budget = self.accuracy_budget
        # Weights that are held are in the unit of the route, whose sum is not 100.
        answered = self.weights[i] / max(float(self.weights[i].sum()), 1e-9)
        shares = [
            f"{pool.name} {100.0 * answered[k]:.3g} % of the traffic, {100.0 * self.allowed[i, k]:.3g} % in calm times"
            for k, pool in enumerate(self.fleet.models[i].pools)
            if answered[k] > self.allowed[i, k] + 1e-6
        ]
        return Reason(reasons.LIGHTER_VARIANTS_SERVE, budget.sentence(i, shares, known=bool(np.isfinite(self.load[i]))))

    def _trend(self, i: int) -> Reason:
        if np.isfinite(self.doubted[i]):
            return Reason(
                reasons.RATE_IMPLAUSIBLE,
                f"{self.doubted[i]:.0f} requests/s is over {IMPLAUSIBLE_RISE:.0f} times what the rate window before it had, and none of "
                "them is late: held as unknown until a rate window has passed; see whether servers or scrapes are counted twice",
            )
        k = self._fastest(i, self.fleet.exists[i])
        expected = self._expected(i, k) if np.isfinite(self.forecast.upper[i, k]) else None
        if expected is None or not np.isfinite(self.load[i]):
            return unknown_load.why(self.seen, i, float(self.blind_seconds[i]), expected)
        each = ", ".join(
            f"{pool.name} {self.proposal.per_replica[i, n]:.1f}/s a replica"
            for n, pool in enumerate(self.fleet.models[i].pools)
            if np.isfinite(self.proposal.per_replica[i, n])
        )
        planned = f"planned with {each or 'no capacity known yet'}"
        return Reason(self._change(i, k), f"load {self.load[i]:.1f}/s, {expected}; {planned}")

    def _change(self, i: int, k: int) -> str:
        """Whether the forecast, that of pool ``k``, is why the replicas change; else the guard that is, where it is one alone."""
        if (self.replicas[i] == self.seen.desired[i]).all():
            return reasons.STEADY
        each, upper = np.nan_to_num(self.proposal.per_replica[i]), self.forecast.upper[i, k]
        runs, stays = float(each @ self.seen.desired[i]), float(each @ self.replicas[i])
        if runs < min(upper, stays):
            return reasons.FORECAST_RISE
        if runs > max(upper, stays):
            return reasons.FORECAST_FALL
        return mover(i, self.seen.desired, self.proposal.replicas, self.guarded) or reasons.MIX_CHANGED


def _number(value: float, digits: int = 3) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None

"""What people run today, as documented: HPA v2 on utilisation, KEDA on requests per replica, a fixed number.

Each drives both pools with a traffic share fixed in advance (``gpu_share`` to the second pool), since neither of them
sets weights. Where a pool has no ready pod, the gateway sends everything to the other. The algorithms are those of
"Horizontal Pod Autoscaling" in the Kubernetes documentation (with its default behaviour) and of KEDA's ScaledObject.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping

from recmodel.core.types import Decision, Observation, PoolDecision, PoolObservation
from recmodel.lab.simulator.scenario import PoolScenario, Scenario

TOLERANCE_RATIO = 0.1  # no change while the metric is this near its target
DOWN_WINDOW_SECONDS = 300.0  # scale-down stabilisation: the largest recommendation of this window holds
UP_PERIOD_SECONDS = 15.0  # scale-up policies: in this period at most ...
UP_PODS = 4  # ... this many pods ...
UP_RATIO = 1.0  # ... or this share of the replicas, whichever is more
POLLING_SECONDS = 30.0  # KEDA's default pollingInterval


class Stabiliser:
    """HPA's default ``behavior``: up within the policies, down to the highest recommendation of the last 300 s."""

    def __init__(self) -> None:
        self._recommendations: deque[tuple[float, int]] = deque()
        self._added: deque[tuple[float, int]] = deque()  # scale-ups of the last period

    def limit(self, now: float, current: int, wanted: int) -> int:
        """What is done about a recommendation."""
        self._recommendations.append((now, wanted))
        while self._recommendations[0][0] <= now - DOWN_WINDOW_SECONDS:
            self._recommendations.popleft()
        while self._added and self._added[0][0] <= now - UP_PERIOD_SECONDS:
            self._added.popleft()
        if wanted <= current:
            highest = max(value for _, value in self._recommendations)
            return min(highest, current)
        at_start = current - sum(pods for _, pods in self._added)
        most = max(at_start + UP_PODS, math.ceil(at_start * (1.0 + UP_RATIO)))
        allowed = max(min(wanted, most), current)
        if allowed > current:
            self._added.append((now, allowed - current))
        return allowed


def hpa_recommendation(pool: PoolObservation, target_ratio: float) -> int:
    """ceil(replicas x utilisation / target), within the tolerance no change.

    Pods that are not ready yet have no utilisation: on the way up they count as idle, and a change that this turns
    round is not made. Worked: 4 ready at 0.9, target 0.6: ceil(4 x 1.5) = 6; with 2 more starting 4 x 0.9 / 6 = 0.6: 6.
    """
    if pool.utilisation_ratio is None or pool.ready == 0:
        return pool.desired
    ratio = pool.utilisation_ratio / target_ratio
    starting = max(pool.desired - pool.ready, 0)
    if ratio <= 1.0 or starting == 0:
        if abs(ratio - 1.0) <= TOLERANCE_RATIO:
            return pool.desired
        return math.ceil(ratio * pool.ready - 1e-9)
    dampened = ratio * pool.ready / (pool.ready + starting)
    if abs(dampened - 1.0) <= TOLERANCE_RATIO or dampened < 1.0:
        return pool.desired
    return max(math.ceil(dampened * (pool.ready + starting) - 1e-9), pool.desired)


def keda_recommendation(pool: PoolObservation, requests_per_replica: float) -> int:
    """ceil(rate / target), within the tolerance no change (``AverageValue``). Worked: 250 req/s, target 60: 5."""
    if pool.rate_per_second is None:
        return pool.desired
    if pool.desired > 0:
        ratio = pool.rate_per_second / (requests_per_replica * pool.desired)
        if abs(ratio - 1.0) <= TOLERANCE_RATIO:
            return pool.desired
    return math.ceil(pool.rate_per_second / requests_per_replica - 1e-9)


class FixedShare(ABC):
    """Fixed traffic shares, and one autoscaler a pool: subclasses say what each pool is recommended.

    A pool with a share keeps at least one replica (HPA cannot scale from zero, and a pool without traffic would never
    start); a pool without one has its minimum.
    """

    def __init__(self, scenario: Scenario, gpu_share: float) -> None:
        self._pools = scenario.pools
        self._shares = _shares(scenario.pools, gpu_share)
        self._stabilisers = {pool.name: Stabiliser() for pool in scenario.pools}

    @abstractmethod
    def recommend(self, now: float, pool: PoolScenario, seen: PoolObservation) -> int:
        """Replicas before the behaviour policies and limits."""

    def decide(self, observation: Observation) -> Decision:
        """One synchronisation of the autoscalers (every 15 s, as HPA's default)."""
        now = observation.time_seconds
        decisions: dict[str, PoolDecision] = {}
        for pool in self._pools:
            share = self._shares[pool.name]
            seen = observation.pools[pool.name]
            least = max(pool.min_replicas, 1) if share > 0.0 else pool.min_replicas
            if share > 0.0 and seen.desired >= least:
                wanted = min(max(self.recommend(now, pool, seen), least), pool.max_replicas)
                replicas = self._stabilisers[pool.name].limit(now, seen.desired, wanted)
            else:
                replicas = least
            decisions[pool.name] = PoolDecision(replicas, share)
        return _decision(now, decisions)


class Hpa(FixedShare):
    """HPA v2 on utilisation (``averageUtilization``), default behaviour."""

    def __init__(self, scenario: Scenario, target_ratio: float = 0.7, gpu_share: float = 0.5) -> None:
        super().__init__(scenario, gpu_share)
        self._target_ratio = target_ratio

    def recommend(self, now: float, pool: PoolScenario, seen: PoolObservation) -> int:  # noqa: ARG002
        return hpa_recommendation(seen, self._target_ratio)


class Keda(FixedShare):
    """KEDA on requests per replica, given as ``target_ratio`` of each pool's saturated capacity."""

    def __init__(self, scenario: Scenario, target_ratio: float = 0.6, gpu_share: float = 0.5) -> None:
        super().__init__(scenario, gpu_share)
        self._target_ratio = target_ratio
        self._polled: dict[str, tuple[float, PoolObservation]] = {}

    def recommend(self, now: float, pool: PoolScenario, seen: PoolObservation) -> int:
        last = self._polled.get(pool.name)
        if last is None or now >= last[0] + POLLING_SECONDS:
            self._polled[pool.name] = last = (now, seen)
        polled = last[1]
        current = PoolObservation(seen.desired, seen.ready, rate_per_second=polled.rate_per_second)
        return keda_recommendation(current, self._target_ratio * pool.nominal_capacity_per_second())


class Static:
    """The same replicas all day."""

    def __init__(self, scenario: Scenario, replicas: Mapping[str, int], weights: Mapping[str, float]) -> None:
        self._pools = {p.name: PoolDecision(replicas.get(p.name, 0), weights.get(p.name, 0.0)) for p in scenario.pools}

    def decide(self, observation: Observation) -> Decision:
        """Nothing ever changes."""
        return _decision(observation.time_seconds, self._pools)


def _shares(pools: tuple[PoolScenario, ...], gpu_share: float) -> dict[str, float]:
    if len(pools) == 1:
        return {pools[0].name: 1.0}
    if len(pools) != 2 or not 0.0 <= gpu_share <= 1.0:
        raise ValueError(f"a fixed share in 0..1 splits one or two pools, not {len(pools)} pools by {gpu_share}")
    return {pools[0].name: 1.0 - gpu_share, pools[1].name: gpu_share}


def _decision(now: float, pools: Mapping[str, PoolDecision]) -> Decision:
    return Decision(now, pools, "Tracking", ())

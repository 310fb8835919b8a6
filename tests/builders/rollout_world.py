"""One RecModel whose pools follow what its rollouts want, tick by tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from builders.fake_cluster import pool, spec
from builders.variant_records import config_map, record
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.versions import Serving
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.prometheus import PoolReading, Rates
from recmodel.rollout.known_variants import known_variants
from recmodel.rollout.trial import Trial, recalled, reported
from recmodel.rollout.wanted_versions import RolloutContext, adopted, limits, released

TICK = 5.0
RULES = {"steps": ["10%", "50%"], "stepDuration": "10s", "minRequests": 50}
FAST, SLOW, FAILING = (0.0, 0.0), (0.4, 0.0), (0.3, 0.3)  # late or failed, and failed


def written(*names: str, **rules: Any) -> RecModelSpec:
    """Pools of these names, all of one variant but those that are called like one: ``cpu``, ``gpu``, ``int8``."""
    variants = [{"name": "full"}, {"name": "int8"}]
    pools = [{**pool(name), "variant": "int8" if name == "int8" else "full"} for name in names]
    return spec(*pools, variants=variants, rollout={**RULES, **rules})


@dataclass
class World:
    """One RecModel: what its Deployments are made for follows what is wanted a tick later, and replacing takes a tick."""

    spec: RecModelSpec
    version: Mapping[str, str] = field(default_factory=lambda: {"full": "1", "int8": "1"})
    answers: dict[str, tuple[float, float]] = field(default_factory=dict)  # by version or pool: late, failed
    shares: dict[str, float] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    serving: dict[str, Serving] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    standing: dict[str, Serving] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)  # by version: successes of a trial
    danger: bool = False
    stalled: bool = False
    releaser: str | None = None
    now: float = 1000.0
    log: list[str] = field(default_factory=list)

    def begin(self) -> World:
        """All pools made, with their first versions."""
        self.tick()
        self.tick()
        self.log.clear()
        return self

    def tick(self, times: int = 1) -> World:
        for _ in range(times):
            self._tick()
        return self

    def _tick(self) -> None:
        self.now += TICK
        records = [record(name, version=v) for name, v in self.version.items()]
        variants = known_variants(self.spec, [config_map(*records)], {})
        names = [p.name for p in self.spec.pools]
        states = {name: self._state(name) for name in names}
        self.serving = adopted(variants, self.spec, {n: s for n, s in self.serving.items() if n in names}, states)
        context = RolloutContext(
            variants,
            {n: replace(s, updating=s.serving != self.serving[n]) for n, s in states.items()},
            {name: self.shares.get(name, 1.0 / len(names)) for name in names},
            {name: self._reading(name) for name in names},
            self.danger,
            self.now,
            TICK,
            {n: Rates(self.quality[v], 20.0) for n in names if (v := self._version(n)) in self.quality},
        )
        before = self.serving
        self.serving, self.trials = released(self.serving, self.trials, context)
        for name in names:
            if before[name] != self.serving[name] or name not in self.standing:
                self.log.append(f"{name} {self._said(self.serving[name])}")
        self.standing = dict(before)

    def _state(self, name: str) -> PoolState:
        made = name in self.standing
        ready = self.ready.get(name, 2 if made else 0)
        serving = self.standing.get(name, Serving())
        return PoolState(
            made,
            min(2, ready) if name in self.ready else 2,
            ready,
            0,
            1.0,
            (),
            False,
            None,
            serving,
            self.stalled,
            self.releaser,
        )

    def _version(self, name: str) -> str:
        found = self.standing.get(name, Serving()).now
        return found.name if found else name

    def _reading(self, name: str) -> PoolReading:
        late, failed = self.answers.get(self._version(name), self.answers.get(name, FAST))
        rate = 40.0
        return PoolReading(rate, failed * rate, {0.1: (1.0 - late) * rate, float("inf"): rate})

    @staticmethod
    def _said(found: Serving) -> str:
        parts = [found.now.name if found.now else "as written"]
        parts += [f"on trial as {found.trial}"] if found.trial else []
        parts += [f"{found.refused} refused"] if found.refused else []
        return ", ".join(parts)

    def restart(self) -> World:
        """A new process: it knows the Deployments and the status."""
        limit = limits(self.spec, self.serving, self.trials)
        statuses = [reported(trial, limit.get(name)) for name, trial in self.trials.items()]
        self.trials = {status.pool: recalled(status, self.now) for status in statuses}
        self.serving = {}
        return self

    def limit(self) -> dict[str, float]:
        return limits(self.spec, self.serving, self.trials)

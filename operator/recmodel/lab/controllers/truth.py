"""The engine with the truth about one thing it would learn: what not knowing it costs. It learns and is guarded as usual."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from recmodel.core.arrays.fleet import Fleet, Floats
from recmodel.core.capacity import estimate, posterior
from recmodel.core.capacity.estimate import Capacity
from recmodel.core.engine import Learned, learn, plan
from recmodel.core.forecast.candidates import LoadForecast
from recmodel.core.types import Decision, Observation
from recmodel.lab.controllers.engine import begun
from recmodel.lab.simulator.scenario import Scenario
from recmodel.lab.trace import Trace

STEP_SECONDS = 15  # over which a load is a mean: shorter peaks pass through queues


@dataclass(frozen=True)
class KnownLoad(LoadForecast):
    """A forecast that knows the largest load within each pool's horizon."""

    largest: Floats  # [M, P] requests/s

    def quantiles(self, *several: float | Floats) -> Floats:
        """The same for every probability."""
        return np.repeat(self.largest[..., None], len(several), axis=-1)


class WithTruth:
    """One model under the engine, which is told the coming load, or the capacity of its replicas, or both.

    ``rates``: the load to come, requests/s by second. ``tables``: the largest load that 0, 1, ... replicas carry, by pool: at the
    late share planned for, or at the whole budget. None: it has to learn that.
    """

    def __init__(
        self,
        scenario: Scenario,
        history: Trace | None = None,
        *,
        rates: Floats | None = None,
        tables: Mapping[str, Floats] | None = None,
    ) -> None:
        self._memory = begun(scenario, history)
        self._start_seconds = scenario.start_seconds
        self._means = None if rates is None else _means(rates)
        self._tables = None if tables is None else [tables[pool.name] for pool in scenario.pools]

    def decide(self, observation: Observation) -> Decision:
        """One tick of the engine."""
        memory, learned = learn(self._memory, [observation], observation.time_seconds)
        if self._means is not None:
            learned = replace(learned, forecast=self._known_load(learned, self._means))
        if self._tables is not None:
            learned = replace(learned, capacity=_known_by_table(learned, self._tables))
        self._memory, decisions = plan(memory, learned)
        return decisions.unsplit(0)

    def _known_load(self, learned: Learned, means: Floats) -> KnownLoad:
        first = int((learned.now_seconds - self._start_seconds) // STEP_SECONDS)
        steps = np.ceil(learned.forecast.horizon_seconds / STEP_SECONDS).astype(int)
        largest = np.array([[means[first : first + count + 1].max() for count in row] for row in steps])
        known = {field.name: getattr(learned.forecast, field.name) for field in fields(LoadForecast)}
        return KnownLoad(**known, largest=largest)


def known_capacity(fleet: Fleet, each: Floats) -> Capacity:
    """A capacity ``each`` ``[M, P]`` that is the same for any number of replicas, known for certain and proven."""
    one, endless = np.ones_like(each), np.full_like(each, np.inf)
    nothing = estimate.estimate(posterior.empty(*each.shape), fleet, np.ones(each.shape, np.int64))
    return replace(
        nothing,
        saturation=each,
        sharpness=one,
        slack=0.0 * one,
        caution=one,
        proven=each,
        limit=endless,
        ceiling=endless,
        known=each > 0,
    )


def _known_by_table(learned: Learned, tables: list[Floats]) -> Capacity:
    """What each replica carries with the number of them that is ready."""
    ready = np.maximum(learned.failing.seen.ready[0], 1)
    each = [table[min(count, len(table) - 1)] / count for table, count in zip(tables, ready, strict=True)]
    return known_capacity(learned.fleet, np.array([each]))


def _means(rates: Floats) -> Floats:
    """Of the steps of a load."""
    steps = math.ceil(len(rates) / STEP_SECONDS)
    padded = np.append(rates, np.full(steps * STEP_SECONDS - len(rates), rates[-1]))
    result: Floats = padded.reshape(steps, STEP_SECONDS).mean(axis=1)
    return result

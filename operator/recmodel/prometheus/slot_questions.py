"""What is asked of the past by slots of five minutes, with what went wrong: a question that is refused leaves its values unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.history import by_pool, on_grid
from recmodel.prometheus.past import Floats
from recmodel.prometheus.pod_names import by_workload
from recmodel.prometheus.profile import Profile
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import AnswerUnusable, QueryRefused

SLOT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of requests, a value a slot: requests/s by upper bound in seconds, and the time spent on them, in seconds a second."""

    buckets: Mapping[float, Floats]
    spent: Floats


@dataclass(slots=True)
class SlotQuestions:
    """What each question is asked with, and what went wrong with some."""

    client: PrometheusClient
    profile: Profile
    view: ModelView
    moments: Floats
    window: str  # with its brackets
    mine: tuple[str, ...]  # matchers of the pods
    partial: bool = False
    refused: list[str] = field(default_factory=list)

    def rows(self, query: str) -> list[tuple[Mapping[str, str], Floats]]:
        """A value a slot; none where the question is refused."""
        try:
            rows, partial = on_grid(self.client, query, self.moments, SLOT_SECONDS)
        except (QueryRefused, AnswerUnusable) as error:
            self.refused.append(str(error))
            return []
        self.partial |= partial
        return rows

    def now(self, query: str) -> tuple[tuple[Mapping[str, str], float], ...]:
        """A value at the end."""
        try:
            answer = self.client.query(query, float(self.moments[-1]))
        except (QueryRefused, AnswerUnusable) as error:
            self.refused.append(str(error))
            return ()
        self.partial |= answer.partial
        return answer.rows

    def by_workload(self, query: str) -> dict[str, Floats]:
        """The sum of what each pod has, by pool."""
        whole = by_workload(query, self.profile, [self.view])
        try:
            found, lacking = by_pool(self.client, whole, self.profile, [self.view], self.moments, SLOT_SECONDS)
        except (QueryRefused, AnswerUnusable) as error:
            self.refused.append(str(error))
            return {}
        self.partial |= bool(lacking)
        return {pool: values for (_, pool), values in found.items()}

    def mean_of_pods(self, query: str) -> dict[str, Floats]:
        """The mean of the pods that have a value, by pool; ``query`` is by namespace and pod."""
        sums, numbers = self.by_workload(query), self.by_workload(f"group by (namespace, pod) ({query})")
        return {pool: sums[pool] / np.where(numbers[pool] > 0, numbers[pool], np.nan) for pool in sums.keys() & numbers}


def add(buckets: dict[float, Floats], bound: float, values: Floats) -> None:
    """Rows of one upper bound, spelled in several ways, are of other servers."""
    before = buckets.get(bound)
    buckets[bound] = values if before is None else np.where(np.isnan(before), values, before + np.nan_to_num(values))

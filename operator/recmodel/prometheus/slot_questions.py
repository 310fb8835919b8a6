"""What is asked of the past by slots of five minutes, with what went wrong: a question without an answer leaves its values unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.history import by_pool, on_grid
from recmodel.prometheus.past import Floats
from recmodel.prometheus.pod_names import by_workload
from recmodel.prometheus.profile import Profile
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import AnswerUnusable, PrometheusUnavailable, QueryRefused

SLOT_SECONDS = 300.0
MOST_UNANSWERED = 2  # each of them takes up to the deadline
GAVE_UP = "two questions were not answered in time, so the others were not asked: take a shorter range with --from"
Answer = TypeVar("Answer")


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
    unanswered: int = 0  # as the server was not there, or took too long

    @property
    def gave_up(self) -> bool:
        """Nothing more is asked."""
        return self.unanswered >= MOST_UNANSWERED

    def rows(self, query: str) -> list[tuple[Mapping[str, str], Floats]]:
        """A value a slot; none where the question is refused."""
        found = self._answer(lambda: on_grid(self.client, query, self.moments, SLOT_SECONDS))
        if found is None:
            return []
        rows, partial = found
        self.partial |= partial
        return rows

    def now(self, query: str) -> tuple[tuple[Mapping[str, str], float], ...]:
        """A value at the end."""
        answer = self._answer(lambda: self.client.query(query, float(self.moments[-1])))
        if answer is None:
            return ()
        self.partial |= answer.partial
        return answer.rows

    def by_workload(self, query: str) -> dict[str, Floats]:
        """The sum of what each pod has, by pool."""
        whole = by_workload(query, self.profile, [self.view])
        answer = self._answer(
            lambda: by_pool(self.client, whole, self.profile, [self.view], self.moments, SLOT_SECONDS)
        )
        if answer is None:
            return {}
        found, lacking = answer
        self.partial |= bool(lacking)
        return {pool: values for (_, pool), values in found.items()}

    def mean_of_pods(self, query: str) -> dict[str, Floats]:
        """The mean of the pods that have a value, by pool; ``query`` is by namespace and pod."""
        sums, numbers = self.by_workload(query), self.by_workload(f"group by (namespace, pod) ({query})")
        return {pool: sums[pool] / np.where(numbers[pool] > 0, numbers[pool], np.nan) for pool in sums.keys() & numbers}

    def _answer(self, ask: Callable[[], Answer]) -> Answer | None:
        """None where there is no usable one: why is kept."""
        if self.gave_up:
            return None
        try:
            return ask()
        except PrometheusUnavailable as error:
            self.unanswered += 1
            self.refused += [str(error), *([GAVE_UP] if self.gave_up else [])]
        except (QueryRefused, AnswerUnusable) as error:
            self.refused.append(str(error))
        return None


def add(buckets: dict[float, Floats], bound: float, values: Floats) -> None:
    """Rows of one upper bound, spelled in several ways, are of other servers."""
    before = buckets.get(bound)
    buckets[bound] = values if before is None else np.where(np.isnan(before), values, before + np.nan_to_num(values))

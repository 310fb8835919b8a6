"""The online quality of the pools of models that are rolling something out: successes and trials, such as clicks and
impressions. Asked for those models alone, so the number of queries follows the rollouts under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recmodel.api.v1alpha1 import Quality, Series
from recmodel.prometheus.answers import believable
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.profile import Selector
from recmodel.prometheus.promql import duration, quoted, selector
from recmodel.prometheus.readings import GatherSettings, Rates


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose quality is asked for."""

    namespace: str
    name: str
    quality: Quality

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


def read_quality(
    client: PrometheusClient, asked: Sequence[Asked], now_seconds: float, settings: GatherSettings
) -> dict[str, dict[str, Rates]]:
    """Rates over the window by pool of each model; who is not there, model or pool, is unknown."""
    questions = {
        (one.key, part): _rate(one, getattr(one.quality, part), settings)
        for one in asked
        for part in ("successes", "trials")
    }
    answers = (
        client.query_all(sorted(set(questions.values())), now_seconds, settings.budget_seconds) if questions else {}
    )
    result: dict[str, dict[str, Rates]] = {}
    for one in asked:
        good, tried = (_by_pool(answers[questions[one.key, part]]) for part in ("successes", "trials"))
        if good is None or tried is None:
            continue
        result[one.key] = {
            pool: Rates(good.get(pool, 0.0), trials)
            for pool, trials in tried.items()
            # A counter of successes begins with the first one: where there are trials, its absence is none yet.
            if believable(trials) and believable(good.get(pool, 0.0))
        }
    return result


def _rate(one: Asked, series: Series, settings: GatherSettings) -> str:
    mine = (f"namespace={quoted(one.namespace)}", f"recmodel_dev_model={quoted(one.name)}", *settings.scope)
    chosen = Selector(name=series.name, match={label: f"={value}" for label, value in series.match_labels.items()})
    return f"sum by (recmodel_dev_pool) (rate({selector(chosen, mine)}[{duration(settings.rate_window_seconds)}]))"


def _by_pool(answer: Vector | Exception) -> Mapping[str, float] | None:
    if not isinstance(answer, Vector) or answer.partial:
        return None
    return {labels["recmodel_dev_pool"]: value for labels, value in answer.rows if labels.get("recmodel_dev_pool")}

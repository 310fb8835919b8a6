"""Latencies by kind of request: what a label of the pods' histogram, or a rule of a route at Envoy Gateway, tells apart."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recmodel.prometheus.histogram import UNIT_SECONDS, upper_bound_seconds
from recmodel.prometheus.past import Floats
from recmodel.prometheus.past_scaling import LONGEST_LOOK_BACK_SECONDS
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.promql import any_of, duration, literal, quoted, selector
from recmodel.prometheus.slot_questions import SLOT_SECONDS, Latencies, SlotQuestions, add

KIND_LABEL = "recmodel_kind"  # made within the questions
MOST_KINDS = 6
ROUTES = "(?:http|grpc)route"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class KindsBy:
    """What tells the kinds of requests apart: a ``label`` of the pods' histogram, or the rules of a ``route`` at Envoy Gateway."""

    label: str | None = None
    route: str | None = None

    def __post_init__(self) -> None:
        if self.label is not None and (not _LABEL.fullmatch(self.label) or self.label == "le"):
            raise ValueError(f"--by {self.label!r} is no label of requests: it has letters, digits and _, such as path")


def kinds_of(
    asked: SlotQuestions,
    by: KindsBy,
    namespace: str,
    even: Mapping[str, Mapping[float, Sequence[str]]],
    scope: Sequence[str],
) -> dict[str, Latencies]:
    """The most frequent kinds of the last day of the range, the most frequent first."""
    if by.route is not None:
        histogram, label = load_profile("envoy-gateway").latency, "envoy_cluster_name"
        begins = f"{ROUTES}/{literal(namespace)}/{literal(by.route)}/rule/"
        pattern, mine = f"{begins}([0-9]+)(?:/.*)?", (f"{label}=~{quoted(f'{begins}.*')}", *scope)
    else:
        histogram, label, pattern, mine = asked.profile.latency, str(by.label), "(.*)", asked.mine
    if histogram is None:
        return {}

    def split(suffix: str, window: str, labels: Sequence[str], *more: str) -> str:
        rate = f"rate({selector(histogram, (*mine, *more), suffix)}{window})"
        named = f'label_replace({rate}, "{KIND_LABEL}", "$1", "{label}", {quoted(pattern)})'
        return f"sum by ({', '.join((KIND_LABEL, *labels))}) ({named})"

    span = min(float(asked.moments[-1] - asked.moments[0]) + SLOT_SECONDS, LONGEST_LOOK_BACK_SECONDS)
    most = asked.now(f"topk({MOST_KINDS}, {split('_count', f'[{duration(span)}]', ())})")
    names = [labels.get(KIND_LABEL, "") for labels, value in sorted(most, key=lambda row: -row[1]) if value > 0]
    if not any(names):  # nothing, or only requests without such a label
        return {}
    only = () if by.route is not None else (f"{label}{any_of(names)}",)
    none = np.full(asked.moments.size, math.nan)
    spent = {
        labels.get(KIND_LABEL, ""): values * UNIT_SECONDS[histogram.unit]
        for labels, values in asked.rows(split("_sum", asked.window, (), *only))
    }
    everywhere = set.intersection(*({*bounds} for bounds in even.values())) if by.label is not None else None
    buckets: dict[str, dict[float, Floats]] = {name: {} for name in names}
    for labels, values in asked.rows(split("_bucket", asked.window, ("le",), *only)):
        name = labels.get(KIND_LABEL, "")
        try:
            bound = upper_bound_seconds(labels.get("le", ""), histogram.unit, whole_units=histogram.whole_units)
        except ValueError:
            continue
        if name in buckets and (everywhere is None or bound in everywhere):
            add(buckets[name], bound, values)
    return {_kind(name, by): Latencies(buckets[name], spent.get(name, none)) for name in names}


def _kind(name: str, by: KindsBy) -> str:
    return f"rule {name}" if by.route is not None else name or f"without {by.label}"

"""The metric pages of real servers, and a client that answers a profile's queries from one of them."""

from __future__ import annotations

import operator
import re
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.profile import Profile, Selector
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.session import Connection

PAGES = Path(__file__).parents[1] / "data" / "metrics"
FILES = {
    "envoy-gateway": ["envoy_gateway.txt"],  # and envoy_gateway_grpc.txt, of gRPC calls
    "istio": ["istio.txt"],
    "linkerd": ["linkerd.txt"],
    "triton": ["triton.txt", "triton_histogram.txt"],
    "tensorflow-serving": ["tensorflow_serving.txt"],
    "openvino": ["openvino.txt"],
    "mlserver": ["mlserver.txt"],
    "bentoml": ["bentoml.txt"],
    "kserve": ["kserve.txt"],
    "torchserve": ["torchserve.txt"],
}
Sample = tuple[str, Mapping[str, str], float]
TARGET = {"namespace": "demo", "recmodel_dev_model": "ranker", "recmodel_dev_pool": "cpu"}  # a PodMonitor puts these on
WINDOW_SECONDS = 60.0


def page(profile: Profile, files: Iterable[str]) -> list[Sample]:
    """All samples of a server's page, with the labels of the target where the profile reads pods."""
    extra = TARGET if profile.scope == "pod" else {}
    samples: list[Sample] = [("up", dict(extra), 1.0)]
    for file in files:
        # The parser renames what has the type counter to ..._total, as OpenMetrics does; Prometheus does not.
        text = re.sub(r"^# TYPE .*$", "", (PAGES / file).read_text(), flags=re.MULTILINE)
        for family in text_string_to_metric_families(text):
            samples += [(s.name, {**s.labels, **extra}, s.value) for s in family.samples]
    return samples


def chosen(samples: Iterable[Sample], series: Selector, suffix: str = "") -> list[Sample]:
    """The samples that a selector takes, as Prometheus would."""
    return [s for s in samples if s[0] == series.name + suffix and all(matches(s[1], m) for m in series.match.items())]


def matches(labels: Mapping[str, str], matcher: tuple[str, str]) -> bool:
    value, text = labels.get(matcher[0], ""), matcher[1]
    if text.startswith("=~"):
        return bool(re.fullmatch(text[2:], value))
    if text.startswith("!~"):
        return not re.fullmatch(text[2:], value)
    return value != text[2:] if text.startswith("!=") else value == text[1:]


def together(vectors: Iterable[Vector], combined: Callable[[float, float], float]) -> Vector:
    """One row for each set of labels."""
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for labels, value in (row for vector in vectors for row in vector.rows):
        key = tuple(sorted(labels.items()))
        found[key] = combined(found[key], value) if key in found else value
    return Vector(tuple((dict(key), value) for key, value in found.items()))


class PageClient(PrometheusClient):
    """Answers a profile's queries from one page, as if all of it had happened in the window and was read just now."""

    def __init__(self, profile: Profile, samples: list[Sample]) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        queries = profile_queries(profile, WINDOW_SECONDS)
        by = profile.identity.labels

        def group(found: list[Sample], labels: tuple[str, ...], scale: float) -> Vector:
            sums: dict[tuple[str, ...], float] = defaultdict(float)
            for _, have, value in found:
                sums[tuple(have.get(label, "") for label in labels)] += value / scale
            return Vector(tuple((dict(zip(labels, key, strict=True)), value) for key, value in sums.items()))

        self.answers: dict[str, Vector] = {}
        for several, query in (
            (profile.requests, queries.requests),
            (profile.answered, queries.answered),
            (profile.failures, queries.failures),
        ):
            if query:
                self.answers[query] = group([s for part in several for s in chosen(samples, part)], by, WINDOW_SECONDS)
        if profile.calls and queries.grpc and queries.failures:
            of_grpc = group(chosen(samples, profile.calls.failures), by, WINDOW_SECONDS)
            both = (self.answers[queries.failures], of_grpc)
            self.answers[queries.failures] = together(both, max if profile.calls.in_both else operator.add)
            told = (profile.calls.statuses, *profile.calls.without_status)
            self.answers[queries.grpc] = group([s for part in told for s in chosen(samples, part)], by, WINDOW_SECONDS)
        if profile.latency and queries.buckets:
            self.answers[queries.buckets] = group(
                chosen(samples, profile.latency, "_bucket"), (*by, "le"), WINDOW_SECONDS
            )
        for gauge, gauge_query in ((profile.queue, queries.queue), (profile.in_flight, queries.in_flight)):
            if gauge and gauge_query:
                self.answers[gauge_query] = group(chosen(samples, gauge), by, 1.0)
        if queries.up:
            self.answers[queries.up] = group(chosen(samples, Selector(name="up")), by, 1.0)
        self.answers[queries.moved] = self.answers[queries.requests]
        if queries.scrapes:
            once = chosen(samples, Selector(name="up") if profile.scope == "pod" else profile.requests[0])
            self.answers[queries.scrapes] = group([(n, labels, 1.0) for n, labels, _ in once], by, 1.0)
        seen = [s for series in profile.requests for s in chosen(samples, series)]
        self.answers[queries.age] = group([(n, labels, 0.0) for n, labels, _ in seen], by, 1.0)
        if queries.page_age and profile.page:
            self.answers[queries.page_age] = group([(n, {}, 0.0) for n, _, _ in chosen(samples, profile.page)], (), 1.0)
        self.answers |= {query: Vector(()) for query in (queries.lost, queries.uneven) if query}
        if queries.downstream and profile.downstream:
            down = profile.downstream
            for series, query in zip((down.requests, down.failures, down.no_backend), queries.downstream, strict=True):
                self.answers[query] = group(chosen(samples, series), (), WINDOW_SECONDS)

    def query_all(self, queries: Iterable[str], at_seconds: float, budget_seconds: float) -> dict[str, typing.Any]:
        return {query: self.answers[query] for query in queries}

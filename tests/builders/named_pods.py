"""The pages of pods that carry no label of ours, as Prometheus has them: two of the Deployment feed, healthy, and what a test changes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from builders.envoy_page import NOW, SETTINGS, Canned
from recmodel.api.v1alpha1 import Metrics
from recmodel.prometheus.client import Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.pod_names import by_name, matchers, pod_prefix
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import ProfileQueries, profile_queries, usage_queries
from recmodel.prometheus.readings import ModelReading, ModelView, PoolView
from recmodel.prometheus.session import PrometheusError

ONE, OTHER = "feed-6d4cf56db6-x7k2p", "feed-6d4cf56db6-z4z7k"
EDGES = {"0.05": 5.0, "0.1": 9.0, "+Inf": 10.0}


def deployment(name: str = "feed", pods: tuple[str, ...] = (ONE, OTHER), ready: int | None = None) -> ModelView:
    """A RecModel of one pool, which is the Deployment of its name."""
    pool = PoolView("cpu", None, len(pods) if ready is None else ready, 2.0, pod_prefix(name))
    return ModelView("shop", name, 0.1, 0.95, Metrics(profile="mlserver"), (pool,), dict.fromkeys(pods, "cpu"))


def rows(values: Mapping[str, float], **more: str) -> Vector:
    """One row a pod."""
    return Vector(tuple(({"namespace": "shop", "pod": pod, **more}, value) for pod, value in values.items()))


def histogram(pods: Mapping[str, Mapping[str, float]]) -> Vector:
    """One row a pod and an edge."""
    return Vector(
        tuple(row for pod, edges in pods.items() for le, v in edges.items() for row in rows({pod: v}, le=le).rows)
    )


def asked(*models: ModelView) -> ProfileQueries:
    """The questions for these."""
    return profile_queries(by_name(load_profile("mlserver"), models), 60)


def pages(
    *models: ModelView,
    cores: Mapping[int, Vector] = MappingProxyType({}),
    changed: Mapping[str, Vector | PrometheusError] = MappingProxyType({}),
) -> dict[str, Vector | PrometheusError]:
    """A healthy answer to each question: two pods of 10 requests/s. ``changed`` replaces some, by the question's name;
    ``cores`` are answers about the use of CPU, by the number of the source.
    """
    queries, both = asked(*models), {ONE: 10.0, OTHER: 10.0}
    healthy: dict[str, Vector] = {
        "requests": rows(both),
        "failures": Vector(()),
        "buckets": histogram({ONE: EDGES, OTHER: EDGES}),
        "uneven": Vector(()),
        "in_flight": rows({ONE: 1.0, OTHER: 2.0}),
        "moved": rows(both),
        "scrapes": rows(dict.fromkeys(both, 1.0)),
        "age": rows({ONE: 4.0, OTHER: 1.0}),
        "up": rows(dict.fromkeys(both, 1.0)),
    }
    answers = {getattr(queries, name): changed.get(name, answer) for name, answer in healthy.items()}
    use = usage_queries(["shop"], 60, (), matchers(models))
    return answers | dict.fromkeys(use.all(), Vector(())) | {use.cpu_cores[i]: answer for i, answer in cores.items()}


def read(model: ModelView, **changed: Vector | PrometheusError) -> ModelReading:
    """What is found for the model alone."""
    return gather(Canned(pages(model, changed=changed)), [model], NOW, SETTINGS).models[model.key]

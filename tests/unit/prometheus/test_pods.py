"""Pods' own pages: how many of them reported, and how busy they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.envoy_page import NOW, SETTINGS, Canned, page, view
from builders.named_pods import deployment, histogram, pages, rows
from builders.pod_page import MLSERVER, USAGE, pod_page
from recmodel.api.v1alpha1 import Metrics
from recmodel.prometheus.client import Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.readings import ModelView, PoolView
from recmodel.prometheus.session import PrometheusError, PrometheusUnavailable


@pytest.mark.parametrize(
    ("up", "verdict", "reason"),
    [(10.0, "Available", "MetricsFound"), (8.0, "Available", "MetricsFound"), (7.0, "Partial", "PodsMissing")],
)
def test_too_few_pods_reporting_are_not_the_pool(up: float, verdict: str, reason: str) -> None:
    model = ModelView("demo", "ranker", 0.1, 0.95, Metrics(profile="mlserver"), (PoolView("cpu", 1.0, 10),))
    reading = gather(Canned(pod_page(up)), [model], NOW, SETTINGS).models["demo/ranker"]
    assert (reading.verdict, reading.reason) == (verdict, reason)
    assert reading.pools["cpu"].coverage_ratio == up / 10


def test_pods_are_not_taken_to_report_where_nobody_said_how_many_do() -> None:
    assert MLSERVER.up is not None
    answers: dict[str, Vector | PrometheusError] = {**pod_page(10.0), MLSERVER.up: PrometheusUnavailable("too late")}
    model = ModelView("demo", "ranker", 0.1, 0.95, Metrics(profile="mlserver"), (PoolView("cpu", 1.0, 10),))
    reading = gather(Canned(answers), [model], NOW, SETTINGS).models["demo/ranker"]
    assert (reading.verdict, reading.pools["cpu"].rate_per_second) == ("Missing", None)


def test_use_of_cpu_and_gpu_is_the_mean_of_the_pods_that_reported() -> None:
    def pods(**rows: float) -> Vector:
        return Vector(
            tuple(({"namespace": "demo", "pod": pod.replace("_", "-")}, value) for pod, value in rows.items())
        )

    exported = {
        "namespace": "gpu-operator",
        "pod": "dcgm-x",
        "exported_namespace": "demo",
        "exported_pod": "ranker-gpu-1",
    }
    usage: dict[str, Vector | PrometheusError] = {
        USAGE.cpu_cores[0]: pods(ranker_cpu_1=1.0, ranker_cpu_2=0.5, other=9.0, ranker_gpu_1=0.3),
        USAGE.cpu_cores[1]: pods(ranker_cpu_1=7.0, ranker_cpu_3=1.5),  # stands in where cAdvisor has nothing
        USAGE.gpu_ratio[0]: Vector(((exported, 0.8),)),
        USAGE.gpu_ratio[1]: PrometheusUnavailable("no"),
    }
    names = {
        "ranker-cpu-1": "cpu",
        "ranker-cpu-2": "cpu",
        "ranker-cpu-3": "cpu",
        "ranker-cpu-4": "cpu",
        "ranker-gpu-1": "gpu",
    }
    model = replace(view(), pods=names)
    pools = gather(Canned(page() | usage), [model], NOW, SETTINGS).models["demo/ranker"].pools
    assert pools["cpu"].cpu_utilisation_ratio == pytest.approx((0.5 + 0.25 + 0.75) / 3)
    assert pools["cpu"].utilisation_ratio == pools["cpu"].cpu_utilisation_ratio
    assert pools["gpu"].cpu_utilisation_ratio is None  # no limit is known: no ratio
    assert pools["gpu"].utilisation_ratio == 0.8


AMOUNT = st.floats(0.0, 1000.0)


@given(
    st.lists(
        st.fixed_dictionaries({"rate": AMOUNT, "late": st.floats(0.0, 1.0), "age": st.floats(0.0, 30.0)}),
        min_size=1,
        max_size=6,
    )
)
def test_pods_found_by_their_names_are_read_as_if_they_had_our_labels(found: list[dict[str, float]]) -> None:
    pods = {f"feed-6d4cf56db6-{letter * 5}": pod for letter, pod in zip("bcdfgh", found, strict=False)}
    named = deployment(pods=tuple(pods))
    rate, once = {name: pod["rate"] for name, pod in pods.items()}, dict.fromkeys(pods, 1.0)
    edges = {name: {"0.1": (1 - pod["late"]) * pod["rate"], "+Inf": pod["rate"]} for name, pod in pods.items()}
    by_pod = {
        **dict.fromkeys(("requests", "moved", "in_flight"), rows(rate)),
        **dict.fromkeys(("up", "scrapes"), rows(once)),
        "age": rows({name: pod["age"] for name, pod in pods.items()}),
        "buckets": histogram(edges),
    }
    labels = {"namespace": "shop", "recmodel_dev_model": "feed", "recmodel_dev_pool": "cpu"}
    total, within = sum(rate.values()), sum(pod["0.1"] for pod in edges.values())
    by_pool = {
        **dict.fromkeys(("requests", "moved", "in_flight"), Vector(((labels, total),))),
        "up": Vector(((labels, float(len(pods))),)),
        "scrapes": Vector(((labels, 1.0),)),
        "age": Vector(((labels, min(pod["age"] for pod in found)),)),
        "buckets": Vector((({**labels, "le": "0.1"}, within), ({**labels, "le": "+Inf"}, total))),
    }
    answers = dict.fromkeys(MLSERVER.all(), Vector(())) | {getattr(MLSERVER, name): a for name, a in by_pool.items()}
    ours = replace(named, pools=(replace(named.pools[0], pod_prefix=None),), pods={})
    expected = gather(Canned(answers), [ours], NOW, SETTINGS).models["shop/feed"]
    reading = gather(Canned(pages(named, changed=by_pod)), [named], NOW, SETTINGS).models["shop/feed"]
    assert (reading.verdict, reading.reason) == (expected.verdict, expected.reason)
    assert reading.within == (expected.within if expected.within is None else pytest.approx(expected.within))
    for field in ("rate_per_second", "errors_per_second", "latency", "in_flight", "age_seconds", "coverage_ratio"):
        one, other = (getattr(found.pools["cpu"], field) for found in (reading, expected))
        assert one == pytest.approx(other), field

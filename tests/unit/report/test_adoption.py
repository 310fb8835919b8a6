"""The RecModel for workloads that run: a table over what may run, and each text is one that the API takes as it is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.hostile_objects import HOSTILE, paths, spoiled
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.controller.adopt import written
from recmodel.controller.spec_reading import read_spec
from recmodel.report.adopted import existing, objective, prices, target, targets
from recmodel.report.adopted_server import Series
from recmodel.report.adoption import Wanted

Object = dict[str, Any]
TRITON = "nvcr.io/nvidia/tritonserver:25.12-py3"
EDGES = {"5": 1.0, "100": 1.0, "+Inf": 1.0}  # ms


def workload(name: str = "ranker-cpu", replicas: int | None = 6, **container: Any) -> Object:
    box = {"name": "server", "resources": {"requests": {"cpu": "2", "memory": "4Gi"}}, **container}
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "template": {"spec": {"containers": [box]}}}}


def autoscaler(scaled: str, name: str = "", kind: str = "Deployment", **spec: Any) -> Object:
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    ref = {"apiVersion": "apps/v1", "kind": kind, "name": scaled}
    return {
        "metadata": {"name": name or scaled},
        "spec": {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 40, "metrics": [cpu], **spec},
    }


def of_keda(scaled: str) -> Object:
    external = {"metric": {"name": "s0-prometheus"}, "target": {"type": "AverageValue", "averageValue": "100"}}
    found = autoscaler(
        scaled, f"keda-hpa-{scaled}", minReplicas=1, metrics=[{"type": "External", "external": external}]
    )
    found["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "name": scaled, "controller": True}]
    return found


def spec_of(text: str) -> RecModelSpec:
    """Of the text as it is printed; every rule of the CRD holds."""
    spec = read_spec(yaml.safe_load(text))
    assert isinstance(spec, RecModelSpec), spec
    assert spec.mode == "Recommend"
    assert spec.by_reference
    return spec


def comments(text: str) -> str:
    """In one line, as they are wrapped."""
    return " ".join(
        line.strip().removeprefix("#").strip() for line in text.splitlines() if line.strip().startswith("#")
    )


@dataclass(frozen=True)
class Case:
    name: str
    workloads: tuple[Object, ...]
    said: tuple[str, ...]
    not_said: tuple[str, ...] = ()
    kind: names.Kind = names.DEPLOYMENT
    autoscalers: tuple[Object, ...] = ()
    series: Series = field(default_factory=lambda: Series(problem="http://p: no answer"))
    wanted: Mapping[str, Any] = field(default_factory=dict)
    profile: str = "triton"
    limits: tuple[tuple[int, int], ...] = ((2, 40),)
    pools: tuple[str, ...] = ("ranker-cpu",)
    prices: tuple[str, ...] = ("1.0",)


GPU = {"image": TRITON, "resources": {"limits": {"nvidia.com/gpu": "1", "cpu": "8"}}}
CASES = (
    Case(
        "a Deployment that an HPA scales on CPU",
        (workload(image=TRITON),),
        (
            "Deployment ranker-cpu runs 6 replicas. HorizontalPodAutoscaler ranker-cpu scales it on cpu at 70%; the limits are its.",
            f"Profile triton fits by the image {TRITON}.",
            "LOOK: whether Prometheus has nv_inference_first_response_histogram_ms_bucket of the pods, and an edge at the threshold, is "
            "not known: http://p: no answer",
            "LOOK: no objective was given, so this is the default: write your own, or run it with --objective 'p95<100ms'.",
            "One replica asks for cpu 2, memory 4Gi: take that part of its node's price",
            "run it with --cost ranker-cpu=PRICE",
        ),
        autoscalers=(autoscaler("ranker-cpu"), autoscaler("other"), autoscaler("ranker-cpu", "x", kind="StatefulSet")),
    ),
    Case(
        "KEDA's autoscaler, and a GPU",
        (workload("ranker-cpu", image=TRITON), workload("ranker-gpu", 1, **GPU)),
        (
            "HorizontalPodAutoscaler keda-hpa-ranker-gpu (ScaledObject ranker-gpu) scales it on s0-prometheus at 100 per replica",
            "LOOK: KEDA shows a minReplicaCount of 0 as 1: see ScaledObject ranker-gpu",
            "One replica asks for cpu 8, nvidia.com/gpu 1",
            "Deployment ranker-gpu runs 1 replica.",
        ),
        ("no objective was given", "--cost ranker-cpu=PRICE"),
        autoscalers=(autoscaler("ranker-cpu"), of_keda("ranker-gpu")),
        wanted={"latency": objective("p99.5<250ms"), "prices": {"cpu": "0.20"}},
        limits=((2, 40), (1, 40)),
        pools=("cpu", "gpu"),
        prices=("0.20", "1.0"),
    ),
    Case(
        "Prometheus has the histogram, with an edge for one of the two",
        (workload("ranker-cpu"), workload("ranker-gpu")),
        (
            "Profile triton fits: Prometheus has its histogram of the pods. ranker-cpu: there is an edge at 100ms.",
            "LOOK: ranker-gpu: objective.latency.threshold, 100ms, is between the edges 5ms and 200ms",
        ),
        series=Series(edges={"triton": {"ranker-cpu": EDGES, "ranker-gpu": {"5": 1.0, "200": 1.0, "+Inf": 1.0}}}),
        limits=((1, 12), (1, 12)),
        pools=("cpu", "gpu"),
        prices=("1.0", "1.0"),
    ),
    Case(
        "the image is Triton's, and Prometheus has no histogram",
        (workload(image=TRITON),),
        ("LOOK: Prometheus has no nv_inference_first_response_histogram_ms_bucket of the pods of ranker-cpu: Triton releases up to",),
        series=Series(),
        limits=((1, 12),),
    ),
    Case(
        "an image that fits, and other histograms",
        (workload(image="kserve/agent:1", args=["mlserver", "start"]), workload("model-server", command=["model_server.py"])),
        (
            "Profile kserve fits by the image kserve/agent:1.",
            "LOOK: Prometheus has no request_predict_seconds_bucket of the pods of ranker-cpu, model-server: let Prometheus read the "
            "pods (PodMonitor), with the labels namespace and pod. It has other_seconds.",
            "LOOK: nothing tells which server model-server runs",
        ),
        series=Series(histograms=("other_seconds",)),
        profile="kserve",
        limits=((1, 12), (1, 12)),
        pools=("ranker-cpu", "model-server"),
        prices=("1.0", "1.0"),
    ),
    Case(
        "nothing tells which server it is, and nothing scales it",
        (workload(replicas=None, image="registry.example/ranker:3", resources={}),),
        (
            "LOOK: which server this is could not be found out from images, commands, ports and histograms (Prometheus: http://p: no",
            "LOOK: no HorizontalPodAutoscaler scales it, so nothing tells its limits: these are a guess, up to twice what runs.",
            "It asks for no resources",
        ),
        profile="custom",
        limits=((1, 2),),
    ),
    Case(
        "a server of their own with a histogram of its own",
        (workload(image="registry.example/ranker:3"),),
        (
            "LOOK: no profile fits. ranker_request_seconds is the likeliest histogram of request times by its name; there are also "
            "gc_seconds, size_bytes.",
            "ranker-cpu: there is an edge at 100ms.",
        ),
        series=Series(
            edges={"custom": {"ranker-cpu": {"0.1": 1.0, "+Inf": 1.0}}},
            histograms=("gc_seconds", "ranker_request_seconds", "size_bytes"),
        ),
        profile="custom",
        limits=((1, 12),),
    ),
    Case(
        "a StatefulSet that runs nothing, by its ports",
        (workload(replicas=0, ports=[{"containerPort": 8500}, {"containerPort": 8501}]),),
        ("StatefulSet ranker-cpu runs 0 replicas.", "Profile tensorflow-serving fits by the ports 8500, 8501 alone."),
        kind=names.STATEFUL_SET,
        profile="tensorflow-serving",
        limits=((0, 1),),
    ),
    Case(
        "two servers",
        (workload("ranker-a", image=TRITON), workload("ranker-b", image="openvino/model_server:2025.3"), workload("ranker-c")),
        (
            "LOOK: ranker-b looks like openvino, and a RecModel has one profile: adopt it by itself.",
            "LOOK: nothing tells which server ranker-c runs: see whether it is the same.",
        ),
        limits=((1, 12),) * 3,
        pools=("a", "b", "c"),
        prices=("1.0",) * 3,
    ),
    Case(
        "two autoscalers, and more than the API takes",
        (workload(image=TRITON),),
        (
            "LOOK: HorizontalPodAutoscaler z scales it, too, and only one should.",
            "LOOK: its maximum, 20000, is above the 10000 that the API takes.",
        ),
        autoscalers=(autoscaler("ranker-cpu", "z"), autoscaler("ranker-cpu", "a", maxReplicas=20_000)),
        limits=((2, 10_000),),
    ),
    Case(
        "an autoscaler that knows no metrics",
        (workload(image=TRITON),),
        ("LOOK: HorizontalPodAutoscaler ranker-cpu is to scale it on cpu at 70%, and cannot now: FailedGetScale. The limits are its.",),
        autoscalers=(
            autoscaler("ranker-cpu")
            | {"status": {"conditions": [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale"}]}},
        ),
    ),
    Case(
        "texts that are no YAML stay in their comments",
        (workload(image="\x85- triton\n  x: {\x07\u2028#", resources={"requests": {"cpu": "1\nspec: {}"}}),),
        ("fits by the image - triton x: { #", "cpu 1 spec: {}"),
        limits=((1, 12),),
    ),
    Case(
        "names that YAML takes for something else, or that a pool cannot have",
        (workload("1e3.5", image=TRITON), workload("null"), workload("x" * 60)),
        (),
        wanted={"name": "true", "namespace": "123"},
        limits=((1, 12),) * 3,
        pools=("p1e3-5", "null", "x" * 40),
        prices=("1.0",) * 3,
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_runs_becomes_a_recmodel_that_says_what_could_not_be_found_out(case: Case) -> None:
    found = [existing(case.kind, body, case.autoscalers) for body in case.workloads]
    wanted = Wanted(**{"namespace": "shop", "name": None, "latency": None, "prices": {}, **case.wanted})
    text = written(found, case.series, wanted)
    spec = spec_of(text)
    assert spec.metrics.profile == case.profile
    assert tuple((pool.replicas.min, pool.replicas.max) for pool in spec.pools) == case.limits
    assert tuple(pool.name for pool in spec.pools) == case.pools
    assert tuple(pool.cost_per_hour for pool in spec.pools) == case.prices
    assert [p.target_ref.name for p in spec.pools if p.target_ref] == [w["metadata"]["name"] for w in case.workloads]
    if wanted.latency is not None:
        assert spec.objective.latency == wanted.latency
    for words in case.said:
        assert words in comments(text), text
    for words in case.not_said:
        assert words not in comments(text), text


def test_a_recmodel_is_named_by_what_its_workloads_have_in_common() -> None:
    wanted = Wanted("shop", None, None, {})
    for workloads, name, pools in (
        (("ranker-cpu", "ranker-gpu"), "ranker", ["cpu", "gpu"]),
        (("home-feed-v2-cpu", "home-feed-v2-gpu-a"), "home-feed-v2", ["cpu", "gpu-a"]),
        (("ranker", "ranker-gpu"), "ranker", ["ranker", "ranker-gpu"]),
        (("cpu", "gpu"), "cpu", ["cpu", "gpu"]),
        (("a.b", "a-b"), "a-b", ["a-b", "pool-1"]),
    ):
        found = [existing(names.DEPLOYMENT, workload(one, image=TRITON), []) for one in workloads]
        text = written(found, Series(), wanted)
        assert (yaml.safe_load(text)["metadata"]["name"], [p.name for p in spec_of(text).pools]) == (name, pools)


def test_the_page_shows_what_is_printed() -> None:
    scaled = of_keda("ranker-gpu")
    scaled["spec"]["maxReplicas"] = 8
    found = [
        existing(names.DEPLOYMENT, workload(name, replicas), [autoscaler("ranker-cpu"), scaled])
        for name, replicas in (("ranker-cpu", 6), ("ranker-gpu", 1))
    ]
    edges = {"0.05": 1.0, "0.1": 1.0, "+Inf": 1.0}
    series = Series(edges={"mlserver": {"ranker-cpu": edges, "ranker-gpu": edges}})
    given = {"ranker-cpu": "0.20", "ranker-gpu": "1.90"}
    text = written(found, series, Wanted("shop", None, objective("p95<100ms"), given))
    page = (Path(__file__).resolve().parents[3] / "docs" / "attach.md").read_text(encoding="utf-8")
    assert textwrap.indent(text, "   ") in page


def test_a_price_is_known_by_the_workload_or_its_pool_and_never_by_another_ones_name() -> None:
    for given, expected in (
        ({"p-x": "1", "p-p-x": "2"}, ["1", "2"]),
        ({"x": "1"}, ["1", "1.0"]),
        ({"p-x": "1"}, ["1", "1.0"]),  # which the pool of p-p-x is called as well
    ):
        pools = spec_of(adopted("p-x", "p-p-x", prices=given)).pools
        assert ([pool.name for pool in pools], [pool.cost_per_hour for pool in pools]) == (["x", "p-x"], expected)


@pytest.mark.parametrize(
    ("asks", "says"),
    [
        (lambda: target("ranker", None), "'ranker' names no workload: write KIND/NAME, such as deployment/ranker-cpu"),
        (lambda: target("deployment/", None), "names no workload"),
        (lambda: target("daemonset/x", None), "of the kind 'daemonset' the API group is not known: write deployment/NAME"),
        (lambda: targets(["a/sts/x", "b/sts/y"], None), "of the namespaces a, b, and a RecModel refers to those of its own"),
        (lambda: targets(["a/deploy/x"], "b"), "of the namespaces a, b"),
        (lambda: targets(["deploy/x", "sts/x"], None), "x is named twice"),
        (lambda: objective("p95"), "write 'p95<100ms', in quotes, as a shell takes < for itself"),
        (lambda: objective("p20<100ms"), "--objective 'p20<100ms': "),
        (lambda: objective("p95<11m"), "must be above 0 and at most 10m"),
        (lambda: prices(["cpu"]), "--cost 'cpu': write WORKLOAD=PRICE"),
        (lambda: adopted(prices={"cpu": "1"}), "--cost cpu: none of the workloads is called so; there is ranker-cpu"),
        (
            lambda: adopted("ranker-cpu", "ranker-gpu", prices={"ranker": "1"}),
            "--cost ranker: none of the workloads is called so; there is ranker-cpu (pool cpu), ranker-gpu (pool gpu)",
        ),
        (lambda: existing(names.DEPLOYMENT, ours(), []), "Deployment ranker-cpu is made by RecModel ranker: it is a pool of that"),
        (lambda: adopted(name="Ranker"), "the RecModel would be refused: "),
        (lambda: adopted(*(f"r-{n}" for n in range(9))), "9 workloads: a RecModel has at most 8 pools"),
    ],
)  # fmt: skip
def test_what_cannot_be_adopted_is_refused_with_the_way_out(asks: Any, says: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the message is what is tested
        asks()
    assert says in str(refused.value)


def test_whatever_stands_in_a_workload_or_an_autoscaler_it_is_adopted_or_refused_in_a_sentence() -> None:
    good = of_keda("ranker-cpu")
    good["spec"]["metrics"] += autoscaler("x")["spec"]["metrics"]
    body = ours()
    body["metadata"]["ownerReferences"][0]["kind"] = "Application"
    body["spec"]["template"]["spec"]["containers"][0] |= {
        "image": TRITON, "command": ["a"], "args": ["b"], "ports": [{"containerPort": 8000}],
    }  # fmt: skip
    wanted = Wanted("shop", None, None, {})
    for whole in (body, good):
        for place in [*paths(whole), ()]:
            for value in HOSTILE:
                changed = spoiled(whole, place, value)
                pair = (changed, good) if whole is body else (body, changed)
                try:
                    found = existing(names.DEPLOYMENT, pair[0], [autoscaler("other"), pair[1]])
                    spec_of(written([found], Series(), wanted))
                except ValueError as error:
                    said = str(error)
                    assert "cannot be read: " in said or "would be refused: " in said, said


def test_an_autoscaler_of_something_else_may_hold_anything() -> None:
    other = autoscaler("other", minReplicas="few")
    assert (
        existing(names.DEPLOYMENT, workload(image=TRITON), [other, autoscaler("ranker-cpu")]).autoscalers[0].maximum
        == 40
    )
    with pytest.raises(
        ValueError, match=r"HorizontalPodAutoscaler x cannot be read: spec\.minReplicas is 'few': Input should be"
    ):
        existing(names.DEPLOYMENT, workload(image=TRITON), [autoscaler("ranker-cpu", "x", minReplicas="few")])


@pytest.mark.parametrize("name", ["*x", "'x", "%x", "a: b", "a, b}", "@", "\x00", "no"])
def test_a_name_that_yaml_takes_for_something_else_is_refused_as_a_name_or_quoted(name: str) -> None:
    try:
        text = adopted(name=name)
    except ValueError as error:
        said = str(error)
        assert "would be refused" in said
    else:
        assert yaml.safe_load(text)["metadata"]["name"] == name


def ours() -> Object:
    found = workload()
    found["metadata"]["ownerReferences"] = [{"kind": "RecModel", "name": "ranker", "controller": True}]
    return found


def adopted(*workloads: str, **wanted: Any) -> str:
    found = [existing(names.DEPLOYMENT, workload(name, image=TRITON), []) for name in workloads or ("ranker-cpu",)]
    return written(
        found, Series(), Wanted(**{"namespace": "shop", "name": None, "latency": None, "prices": {}, **wanted})
    )

"""Each profile against the metric page of its server: the series, labels and units that it names are there."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from builders.metric_pages import FILES, PageClient, Sample, chosen, page
from recmodel.api.v1alpha1 import MODELS_OF_A_PAGE, CustomMetrics, LatencySeries, Metrics, ProfileName, Series
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.histogram import percentile_bracket
from recmodel.prometheus.profile import CUSTOM, PROFILE_NAMES, Identity, Profile, load_profile, profile_for
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.readings import GatherSettings, ModelReading, ModelView, PoolView, Verdict
from recmodel.prometheus.session import Connection


def view(metrics: Metrics, threshold_seconds: float = 0.05) -> ModelView:
    pools = (PoolView("cpu", weight=700.0, ready=1), PoolView("gpu", weight=0.0, ready=0))
    return ModelView("demo", "ranker", threshold_seconds, 0.95, metrics, pools)


def test_there_is_one_file_for_each_name_of_the_api_and_no_other() -> None:
    files = {path.stem for path in (Path(__file__).parents[3] / "operator/recmodel/prometheus/profiles").glob("*.yaml")}
    assert files == set(PROFILE_NAMES) == set(typing.get_args(ProfileName)) - {CUSTOM} == set(FILES)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_the_series_that_a_profile_names_are_on_its_servers_page(name: str) -> None:
    profile = load_profile(name)
    samples = page(profile, [*FILES[name], *(["envoy_gateway_grpc.txt"] if name == "envoy-gateway" else [])])
    for series in profile.requests + profile.answered:
        assert chosen(samples, series), f"{series.name} {series.match} selects nothing"
    for failure in profile.failures:  # a failure may have no series yet, but the counter must be there
        assert any(s[0] == failure.name and set(failure.match) <= set(s[1]) for s in samples)
    for status in (profile.grpc.statuses, profile.grpc.failures) if profile.grpc else ():
        assert chosen(samples, status), status
    for gauge in (profile.queue, profile.in_flight, profile.page):
        assert gauge is None or chosen(samples, gauge), gauge
    owned = chosen(samples, profile.requests[0])
    assert all(set(profile.identity.labels) <= set(labels) for _, labels, _ in owned)


@pytest.mark.parametrize("name", [n for n in PROFILE_NAMES if n != "torchserve"])
def test_the_histogram_has_the_unit_that_the_profile_says(name: str) -> None:
    profile = load_profile(name)
    samples = page(profile, FILES[name])
    assert profile.latency is not None
    count = sum(s[2] for s in chosen(samples, profile.latency, "_count"))
    total = sum(s[2] for s in chosen(samples, profile.latency, "_sum"))
    mean_seconds = total / count * {"s": 1.0, "ms": 1e-3, "us": 1e-6}[profile.latency.unit]
    assert 0.0001 < mean_seconds < 60.0, "a wrong unit is off by a factor of a thousand"
    last = sum(s[2] for s in chosen(samples, profile.latency, "_bucket") if s[1]["le"] == "+Inf")
    assert last == count


@pytest.mark.parametrize("name", [n for n in PROFILE_NAMES if n != "torchserve"])
def test_a_page_becomes_the_readings_of_its_pools(name: str) -> None:
    profile = load_profile(name)
    samples = page(profile, FILES[name])
    readings = gather(PageClient(profile, samples), [view(Metrics(profile=typing.cast(ProfileName, name)))], 1e9)
    model = readings.models["demo/ranker"]
    cpu = model.pools["cpu"]
    assert cpu.rate_per_second is not None
    assert cpu.rate_per_second > 1
    assert cpu.latency is not None
    assert cpu.latency[math.inf] == pytest.approx(cpu.rate_per_second, rel=0.2)  # histograms may lag behind counters
    assert (cpu.errors_per_second is None) == (not profile.failures)
    bracket = percentile_bracket(cpu.latency, 0.95)
    assert bracket is not None
    assert bracket.upper < 1.0
    assert cpu.coverage_ratio == (1.0 if profile.scope == "pod" else None)
    assert model.within is not None


def test_envoys_page_gives_the_numbers_that_envoy_counted() -> None:
    profile = load_profile("envoy-gateway")
    readings = gather(PageClient(profile, page(profile, FILES["envoy-gateway"])), [view(Metrics(), 0.006)], 1e9)
    pools = readings.models["demo/ranker"].pools
    assert pools["cpu"].rate_per_second == pytest.approx(4181 / 60)
    assert pools["gpu"].rate_per_second == pytest.approx(1824 / 60)
    assert pools["cpu"].errors_per_second == 0.0
    assert pools["cpu"].queue == 0.0
    assert pools["cpu"].latency is not None
    assert pools["cpu"].latency[0.006] == pytest.approx(3423 / 60)  # le="5", cut to whole ms: under 6 ms
    assert readings.gateway is not None
    assert readings.gateway.rate_per_second == pytest.approx(6005 / 60)  # the admin's and probes' listeners left out
    assert readings.gateway.no_cluster_per_second == 0.0


CALLS = page(load_profile("envoy-gateway"), ["envoy_gateway_grpc.txt"])


def calls(samples: list[Sample], name: ProfileName = "envoy-gateway") -> ModelReading:
    """Of pools that answer gRPC."""
    model = replace(view(Metrics(profile=name)), grpc=True)
    return gather(PageClient(load_profile(name).over_grpc(), samples), [model], 1e9).models["demo/ranker"]


def counted(series: str, count: float, index: int = 0, **labels: str) -> Sample:
    return series, {"envoy_cluster_name": f"grpcroute/demo/ranker/rule/0/backend/{index}", **labels}, count


def test_of_grpc_calls_those_count_as_failed_whose_status_is_a_servers_fault() -> None:
    """Of 25 to the first pool, all with HTTP status 200: UNKNOWN, INTERNAL and UNAVAILABLE, not INVALID_ARGUMENT and
    RESOURCE_EXHAUSTED. The one to the second pool found no server: Envoy answered, and counted it as 5xx, too.
    """
    pools = calls(CALLS).pools
    assert (pools["cpu"].rate_per_second, pools["cpu"].errors_per_second) == pytest.approx((25 / 60, 3 / 60))
    assert (pools["gpu"].rate_per_second, pools["gpu"].errors_per_second) == pytest.approx((1 / 60, 1 / 60))
    assert pools["cpu"].latency is not None


def test_without_the_statuses_the_share_of_failed_calls_is_unknown_and_not_zero() -> None:
    untagged = [s for s in CALLS if "grpc_status" not in s[1]]  # the EnvoyProxy has no such tag
    assert calls(untagged).pools["cpu"].errors_per_second is None
    assert calls(untagged).pools["cpu"].rate_per_second == pytest.approx(25 / 60)


XX, TOTAL, STATUS = "envoy_cluster_upstream_rq_xx", "envoy_cluster_upstream_rq_total", "envoy_cluster_grpc"


@pytest.mark.parametrize(
    ("samples", "errors"),
    [
        # One of two Envoys has the tag: of half of the calls nobody knows how they ended.
        ([counted(XX, 100, envoy_response_code_class="2"), counted(STATUS, 50, grpc_status="0")], None),
        ([counted(XX, 100, envoy_response_code_class="2"), counted(STATUS, 99, grpc_status="0")], 0.0),
        # A server that speaks no gRPC: there is no status, and no doubt.
        ([counted(XX, 100, envoy_response_code_class="5")], 100 / 60),
        # Nothing is answered at all: the clients gave up.
        ([counted(XX, 0, envoy_response_code_class="2")], 100 / 60),
        # What any client causes that calls a method which is not there.
        ([counted(XX, 100, envoy_response_code_class="2"), counted(STATUS, 100, grpc_status="12")], 0.0),
    ],
    ids=["half are told", "nearly all are told", "no gRPC", "no answer", "UNIMPLEMENTED"],
)
def test_only_calls_that_were_answered_without_a_word_are_in_doubt(samples: list[Sample], errors: float | None) -> None:
    cpu = calls([counted(TOTAL, 100), *samples]).pools["cpu"]
    assert cpu.rate_per_second == pytest.approx(100 / 60)
    assert cpu.errors_per_second == (errors if errors is None else pytest.approx(errors))


def test_istio_counts_calls_that_broke_off_and_calls_that_failed_and_none_twice() -> None:
    labels = {"reporter": "source", "destination_service_namespace": "demo", "destination_service_name": "ranker-cpu"}
    series = [
        ({"response_code": "0", "grpc_response_status": ""}, 30),
        ({"response_code": "503", "grpc_response_status": "14"}, 10),
        ({"response_code": "200", "grpc_response_status": "13"}, 20),
        ({"response_code": "200", "grpc_response_status": "0"}, 40),
    ]
    samples: list[Sample] = [("istio_requests_total", {**labels, **more}, value) for more, value in series]
    assert calls(samples, "istio").pools["cpu"].errors_per_second == pytest.approx(60 / 60)
    untold: list[Sample] = [(name, {**found, "grpc_response_status": ""}, value) for name, found, value in samples]
    assert calls(untold, "istio").pools["cpu"].errors_per_second is None


ROOT = Path(__file__).parents[3]


def test_the_tags_of_the_docs_are_those_of_the_cluster_and_make_one_name_of_all_methods() -> None:
    documents = yaml.safe_load_all((ROOT / "hack/cluster/manifests/gateway-class.yaml").read_text(encoding="utf-8"))
    proxy = next(found for found in documents if found["kind"] == "EnvoyProxy")
    patches = proxy["spec"]["bootstrap"]["jsonPatches"]
    tags = [patch for patch in patches if patch["path"].endswith("stats_tags/-")]
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert [yaml.safe_load(line[2:]) for line in text.splitlines() if line.startswith("- {op: add")] == tags
    for called in ("inference.GRPCInferenceService.ModelInfer", "Ranker.Rank", "a.b.c.Ranker.Rank"):
        stat = f"cluster.grpcroute/demo/ranker/rule/0/backend/0.grpc.{called}.14"
        found = {tag["value"]["tag_name"]: re.search(tag["value"]["regex"], stat) for tag in tags}
        assert {name: match and match[2] for name, match in found.items()} == {
            "grpc_called": called,
            "grpc_status": "14",
        }
        for match in found.values():
            assert match is not None
            stat = stat.replace(match[1], "", 1)  # as Envoy does: the first group leaves the name
        assert stat == "cluster.grpcroute/demo/ranker/rule/0/backend/0.grpc"


def test_the_route_of_the_other_kind_by_the_models_name_is_somebody_elses() -> None:
    """Somebody has an HTTPRoute beside a model's GRPCRoute, and the other way round."""
    profile = load_profile("envoy-gateway")
    both = [*page(profile, FILES["envoy-gateway"]), *CALLS]
    assert calls(both).pools["cpu"].rate_per_second == pytest.approx(25 / 60)
    by_http = gather(PageClient(profile, both), [view(Metrics())], 1e9).models["demo/ranker"]
    assert by_http.pools["cpu"].rate_per_second == pytest.approx(4181 / 60)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_whoever_has_no_pool_that_answers_grpc_asks_nothing_of_it(name: str) -> None:
    """Method names of gRPC calls come from clients: their series must not weigh on models that have none."""
    profile = load_profile(name)
    assert all("grpc" not in query for query in profile_queries(profile, 60).all())
    models = [replace(view(Metrics(profile=typing.cast(ProfileName, name))), grpc=grpc) for grpc in (False, True)]
    asked = [part for part, _ in by_profile(models).members]
    assert asked == ([] if profile.refusal else [profile, profile.over_grpc()] if profile.grpc else [profile])


def test_openvinos_readiness_calls_are_no_load() -> None:
    profile = load_profile("openvino")
    readings = gather(PageClient(profile, page(profile, FILES["openvino"])), [view(Metrics(profile="openvino"))], 1e9)
    assert readings.models["demo/ranker"].pools["cpu"].rate_per_second == pytest.approx(
        5000 / 60
    )  # and not the 720 more


def test_triton_without_its_histogram_is_unusable_and_says_so() -> None:
    profile = load_profile("triton")
    readings = gather(PageClient(profile, page(profile, ["triton.txt"])), [view(Metrics(profile="triton"))], 1e9)
    model = readings.models["demo/ranker"]
    assert (model.verdict, model.reason) == (Verdict.UNUSABLE, "NoHistogram")
    assert model.pools["cpu"].rate_per_second == pytest.approx(40628 / 60)
    assert model.pools["cpu"].queue == 8.0
    # histogram_latencies may be on: these releases leave the family without members for all but decoupled models.
    assert "for decoupled models only, even with --metrics-config histogram_latencies=true" in model.message
    assert "use a gateway's profile (envoy-gateway, istio, linkerd), or a later release" in model.message


@pytest.mark.parametrize("name", [n for n in PROFILE_NAMES if n not in ("torchserve", "triton")])
def test_a_page_without_its_histogram_says_which_one_and_the_way_out(name: str) -> None:
    profile = load_profile(name)
    assert profile.latency is not None
    histogram = profile.latency.name + "_bucket"
    samples = [s for s in page(profile, FILES[name]) if s[0] != histogram]
    metrics = Metrics(profile=typing.cast(ProfileName, name))
    model = gather(PageClient(profile, samples), [view(metrics)], 1e9).models["demo/ranker"]
    assert (model.verdict, model.reason) == (Verdict.UNUSABLE, "NoHistogram")
    assert histogram in model.message
    assert ("use a gateway's profile" in model.message) == (profile.scope == "pod")


def ensemble(name: str) -> list[Sample]:
    """The page of a server with three models, of which one is what clients ask for and the others are its steps."""
    profile = load_profile(name)
    label = profile.identity.served
    assert label is not None
    found = []
    for series, labels, value in page(profile, FILES[name]):
        for model in ("whole", "0_features", "post") if label in labels else ("",):
            found.append((series, {**labels, label: model} if model else labels, value))
    return found


@pytest.mark.parametrize("name", MODELS_OF_A_PAGE)
def test_of_a_page_with_several_models_only_the_one_that_was_named_counts(name: str) -> None:
    profile = load_profile(name)

    def read(samples: list[Sample], model: str | None) -> ModelReading:
        metrics = Metrics(profile=typing.cast(ProfileName, name), model=model)
        return gather(PageClient(profile, samples), [view(metrics)], 1e9).models["demo/ranker"]

    alone, several = read(page(profile, FILES[name]), None), read(ensemble(name), None)
    assert (several.verdict, several.reason) == (Verdict.UNUSABLE, "SeveralModels")
    assert (
        "3 models (0_features, post, whole): name the one that clients ask for in spec.metrics.model" in several.message
    )
    assert several.pools["cpu"].rate_per_second is None
    named = read(ensemble(name), "whole")
    assert (named.verdict, named.within, named.pools) == (alone.verdict, alone.within, alone.pools)
    wrong = read(ensemble(name), "hole")
    assert (wrong.verdict, wrong.reason) == (Verdict.MISSING, "NoSeries")
    assert "no series of spec.metrics.model 'hole', only of 0_features, post, whole" in wrong.message


def test_the_profiles_that_tell_models_apart_are_those_of_the_api() -> None:
    assert {name for name in PROFILE_NAMES if load_profile(name).identity.served} == set(MODELS_OF_A_PAGE)


def test_torchserve_is_refused_with_the_reason_and_the_remedy() -> None:
    profile = load_profile("torchserve")
    samples = page(profile, FILES["torchserve"])
    assert not any(name.endswith("_bucket") for name, _, _ in samples), "it has a histogram now: the refusal is wrong"
    readings = gather(PageClient(profile, samples), [view(Metrics(profile="torchserve"))], 1e9)
    model = readings.models["demo/ranker"]
    assert (model.verdict, model.reason) == (Verdict.UNUSABLE, "ProfileRefused")
    assert "only a mean" in model.message
    assert "envoy-gateway" in model.message
    assert model.pools["cpu"].rate_per_second is None


def test_ray_serve_is_read_through_custom_series() -> None:
    custom = CustomMetrics(
        latency=LatencySeries(name="ray_serve_deployment_processing_latency_ms", unit="ms"),
        requests=Series(name="ray_serve_deployment_request_counter_total"),
        queue=Series(name="ray_serve_deployment_queued_queries"),
    )
    metrics = Metrics(profile="custom", custom=custom)
    profile = profile_for(metrics)
    readings = gather(PageClient(profile, page(profile, ["ray_serve.txt"])), [view(metrics)], 1e9)
    cpu = readings.models["demo/ranker"].pools["cpu"]
    assert cpu.rate_per_second is not None
    assert cpu.rate_per_second > 1
    assert cpu.latency is not None
    assert cpu.errors_per_second is None  # no series was named: unknown, not none


def test_equal_custom_series_cost_one_set_of_queries_and_too_many_are_refused() -> None:
    def of(name: str) -> Metrics:
        return Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name=name, unit="s")))

    asked: list[str] = []

    class Empty(PrometheusClient):
        def query_all(self, queries: Iterable[str], at_seconds: float, budget_seconds: float) -> dict[str, typing.Any]:
            asked.extend(queries)
            return {query: Vector(()) for query in queries}

    pools = (PoolView("cpu", 1.0, 1),)
    models = [ModelView("demo", f"m{i}", 0.1, 0.95, of("same" if i < 8 else f"other{i}"), pools) for i in range(10)]
    readings = gather(Empty(Connection(url="http://127.0.0.1:1")), models, 1e9, GatherSettings(max_custom_profiles=2))
    expected = {q for name in ("same", "other8") for q in profile_queries(profile_for(of(name)), 60).all()}
    assert sorted(asked) == sorted(expected)
    assert readings.models["demo/m9"].reason == "TooManyCustomSeries"
    assert readings.models["demo/m8"].reason == "NoSeries"


def test_an_unknown_profile_and_a_broken_file_are_errors() -> None:
    with pytest.raises(KeyError, match="no metrics profile is called 'nginx'"):
        load_profile("nginx")
    with pytest.raises(ValidationError, match="exactly one of"):
        Identity()
    valid = load_profile("mlserver").model_dump()
    with pytest.raises(ValidationError, match="either a latency histogram"):
        Profile.model_validate({**valid, "latency": None})
    with pytest.raises(ValidationError, match="extra"):
        Profile.model_validate({**valid, "latencyy": None})

"""The children, as the API gets them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import (
    Owner,
    children,
    deployment,
    disruption_budget,
    expected,
    initial_replicas,
    initial_weights,
    pod_monitor,
    route,
    service,
)
from recmodel.cluster.children.versions import VERSION_ON_TRIAL, ModelVersion, Serving, annotation, serving_of
from recmodel.cluster.observed.inventory import Inventory
from recmodel.rollout.wanted_versions import adopted

OWNER = Owner("shop", "home-feed", "u-1")
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}


def pool(name: str = "cpu", minimum: int = 1, cost: str = "1.0", **pod: Any) -> dict[str, Any]:
    container = {"name": "server", "image": "server:1", **pod.pop("container", {})}
    return {
        "name": name, "replicas": {"min": minimum, "max": 9}, "costPerHour": cost, "port": 8080,
        "template": {"spec": {"containers": [container], **pod}},
    }  # fmt: skip


def spec(*pools: dict[str, Any], **more: Any) -> RecModelSpec:
    return RecModelSpec.model_validate({"objective": {"latency": {"threshold": "100ms"}}, "pools": list(pools), **more})


def pod_of(**pod: Any) -> dict[str, Any]:
    return deployment(OWNER, spec(pool(**pod)).pools[0])["spec"]["template"]["spec"]


def test_a_deployment_never_carries_replicas() -> None:
    assert "replicas" not in deployment(OWNER, spec(pool()).pools[0])["spec"]


def test_the_defaults_of_a_pod_let_it_leave_without_an_error() -> None:
    pod = pod_of()
    (container,) = pod["containers"]
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert container["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert container["ports"] == [{"name": "recmodel", "containerPort": 8080, "protocol": "TCP"}]
    assert container["securityContext"] == RESTRICTED
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] == 30


def test_what_the_user_wrote_wins() -> None:
    own = {
        "lifecycle": {"preStop": {"sleep": {"seconds": 9}}}, "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "securityContext": {"runAsUser": 7}, "ports": [{"name": "web", "containerPort": 8080}],
    }  # fmt: skip
    pod = pod_of(container=own, terminationGracePeriodSeconds=60, securityContext={"runAsNonRoot": True})
    (container,) = pod["containers"]
    assert container["lifecycle"] == own["lifecycle"]
    assert container["readinessProbe"] == own["readinessProbe"]
    without = {key: value for key, value in RESTRICTED.items() if key != "runAsNonRoot"}  # the pod's own word says it
    assert container["securityContext"] == {**without, "runAsUser": 7}
    assert container["ports"] == [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True}


def test_side_cars_and_init_containers_are_restricted_too() -> None:
    extra = [{"name": "fetch", "image": "f:1"}, {"name": "proxy", "image": "p:1", "restartPolicy": "Always"}]
    pod = pod_of(initContainers=extra)
    assert [c["securityContext"] for c in [*pod["initContainers"], *pod["containers"]]] == [RESTRICTED] * 3
    assert all("lifecycle" not in c for c in pod["initContainers"]), (
        "Kubernetes ends a side-car after the others by itself"
    )


@pytest.mark.parametrize(
    ("pods", "own", "expected"),
    [
        ({"runAsUser": 0}, {}, False),
        ({}, {"runAsUser": 0}, False),
        ({"runAsUser": 0}, {"runAsUser": 7}, True),
        ({"runAsNonRoot": False}, {}, None),
        ({}, {"runAsNonRoot": False}, False),
        ({"runAsNonRoot": True}, {}, None),
        ({"runAsUser": 7}, {}, True),
    ],
)
def test_a_template_that_must_run_as_root_says_so(pods: Any, own: Any, expected: bool | None) -> None:
    (container,) = pod_of(container={"securityContext": own}, securityContext=pods)["containers"]
    assert container["securityContext"].get("runAsNonRoot") is expected


def test_capabilities_that_are_added_are_the_only_ones() -> None:
    (container,) = pod_of(container={"securityContext": {"capabilities": {"add": ["CHOWN"]}}})["containers"]
    assert container["securityContext"]["capabilities"] == {"add": ["CHOWN"], "drop": ["ALL"]}
    (container,) = pod_of(container={"securityContext": {"capabilities": {"drop": ["KILL"]}}})["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["KILL"]}


def test_a_side_car_that_names_the_pools_port_is_the_one_that_answers() -> None:
    proxy = {"name": "proxy", "image": "p:1", "restartPolicy": "Always", "ports": [{"containerPort": 8080}]}
    pod = pod_of(initContainers=[proxy])
    assert "ports" not in pod["containers"][0]
    assert pod["initContainers"][0]["readinessProbe"]["tcpSocket"] == {"port": 8080}


@pytest.mark.parametrize(("grace", "sleep"), [(1, None), (2, 1), (5, 4), (6, 5), (60, 5)])
def test_the_sleep_fits_into_the_grace_period(grace: int, sleep: int | None) -> None:
    (container,) = pod_of(terminationGracePeriodSeconds=grace)["containers"]
    assert container.get("lifecycle") == (None if sleep is None else {"preStop": {"sleep": {"seconds": sleep}}})


def test_all_children_are_owned_labelled_and_named() -> None:
    both = spec(pool("cpu"), pool("gpu"), metrics={"profile": "triton"}, route={"parentRefs": [{"name": "edge"}]})
    made = children(OWNER, both, monitors=True, page=("metrics", "/metrics"))
    assert [(kind.kind, child["metadata"]["name"]) for kind, child in made] == [
        ("Service", "home-feed-cpu"), ("PodDisruptionBudget", "home-feed-cpu"),
        ("Service", "home-feed-gpu"), ("PodDisruptionBudget", "home-feed-gpu"),
        ("Deployment", "home-feed-cpu"), ("Deployment", "home-feed-gpu"), ("PodMonitor", "home-feed"),
    ]  # fmt: skip
    for child in [child for _, child in made] + [route(OWNER, both, {"cpu": 1000})]:
        assert child is not None
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner["uid"] == "u-1"
        assert owner["controller"]
        assert owner["blockOwnerDeletion"]
        assert child["metadata"]["labels"]["recmodel.dev/model"] == "home-feed"
        assert child["metadata"]["namespace"] == "shop"
        assert child["metadata"]["annotations"][names.APPLIED_ANNOTATION]


def test_pods_carry_the_labels_that_service_budget_and_deployment_select() -> None:
    one = spec(pool()).pools[0]
    labels = deployment(OWNER, one)["spec"]["template"]["metadata"]["labels"].items()
    assert deployment(OWNER, one)["spec"]["selector"]["matchLabels"].items() <= labels
    assert service(OWNER, one)["spec"]["selector"].items() <= labels
    assert disruption_budget(OWNER, one)["spec"]["selector"]["matchLabels"].items() <= labels


def test_a_users_label_cannot_take_a_pod_out_of_its_pool() -> None:
    written = pool()
    written["template"]["metadata"] = {"labels": {"recmodel.dev/pool": "other", "team": "feed"}}
    labels = deployment(OWNER, spec(written).pools[0])["spec"]["template"]["metadata"]["labels"]
    assert labels["recmodel.dev/pool"] == "cpu"
    assert labels["team"] == "feed"


def test_the_route_has_one_rule_with_backends_in_the_order_of_the_pools() -> None:
    both = spec(
        pool("gpu"), pool("cpu"), route={"parentRefs": [{"name": "edge"}], "hostnames": ["a.b"], "paths": ["/x", "/y"]}
    )
    made = route(OWNER, both, {"cpu": 999, "gpu": 1})
    assert made is not None
    (rule,) = made["spec"]["rules"]
    assert [m["path"]["value"] for m in rule["matches"]] == ["/x", "/y"]
    assert [(b["name"], b["weight"], b["group"], b["kind"], b["port"]) for b in rule["backendRefs"]] == [
        ("home-feed-gpu", 1, "", "Service", 80), ("home-feed-cpu", 999, "", "Service", 80),
    ]  # fmt: skip
    assert rule["backendRefs"][0]["filters"][0]["requestHeaderModifier"]["set"] == [
        {"name": "x-recmodel-pool", "value": "gpu"}
    ]
    assert made["spec"]["hostnames"] == ["a.b"]
    other_weights = route(OWNER, both, {"cpu": 500, "gpu": 500})
    assert other_weights is not None
    assert other_weights["metadata"] == made["metadata"], "the hash says nothing of weights"


def test_a_grpc_route_matches_all_calls_of_its_hostnames_and_its_bytes_are_stable() -> None:
    """No ``matches`` at all: the Gateway API gives none to a GRPCRoute, so what stands is what was applied."""
    spoken = [{**pool(name), "protocol": "GRPC"} for name in ("gpu", "cpu")]
    grpc = spec(*spoken, route={"parentRefs": [{"name": "edge"}], "hostnames": ["a.b"]})
    http = spec(pool("gpu"), pool("cpu"), route={"parentRefs": [{"name": "edge"}], "hostnames": ["a.b"]})
    made, beside = route(OWNER, grpc, {"cpu": 999, "gpu": 1}), route(OWNER, http, {"cpu": 999, "gpu": 1})
    assert made is not None
    assert beside is not None
    assert (made["apiVersion"], made["kind"]) == ("gateway.networking.k8s.io/v1", "GRPCRoute")
    (rule,), (other,) = made["spec"]["rules"], beside["spec"]["rules"]
    assert rule == {"backendRefs": other["backendRefs"]}, "the weights and filters of an HTTPRoute"
    assert {**made["spec"], "rules": 0} == {**beside["spec"], "rules": 0}
    again = route(OWNER, grpc, {"cpu": 500, "gpu": 500})
    assert again is not None
    assert again["metadata"] == made["metadata"], "the hash says nothing of weights"
    assert expected(OWNER, grpc, monitored=False) - expected(OWNER, http, monitored=False) == {
        (names.GRPC_ROUTE, "home-feed")
    }


def test_without_spec_route_there_is_no_route() -> None:
    assert route(OWNER, spec(pool()), {}) is None


@pytest.mark.parametrize(
    ("pools", "replicas", "weights"),
    [
        ([pool("cpu", 2), pool("gpu", 0)], {"cpu": 2, "gpu": 0}, {"cpu": 1000, "gpu": 0}),
        ([pool("cpu", 0, "2.0"), pool("gpu", 0, "1.0")], {"cpu": 0, "gpu": 1}, {"cpu": 0, "gpu": 1000}),
        ([pool("cpu", 1), pool("gpu", 1)], {"cpu": 1, "gpu": 1}, {"cpu": 500, "gpu": 500}),
    ],
)
def test_somebody_answers_from_the_start(pools: list[Any], replicas: dict[str, int], weights: dict[str, int]) -> None:
    assert initial_replicas(spec(*pools)) == replicas
    assert initial_weights(spec(*pools)) == weights


def test_the_pod_monitor_reads_each_port_once() -> None:
    other = {**pool("gpu"), "port": 9000}
    two = pod_monitor(OWNER, spec(pool("cpu"), other, metrics={"profile": "triton"}), ("metrics", "/metrics"))
    assert [(e["portNumber"], e["path"]) for e in two["spec"]["podMetricsEndpoints"]] == [
        (8080, "/metrics"),
        (9000, "/metrics"),
    ]
    ports = [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 8002}]
    container = {"name": "server", "image": "server:1", "ports": ports}
    both = {**pool("cpu"), "template": {"spec": {"containers": [container]}}}
    known = pod_monitor(OWNER, spec(both, metrics={"profile": "triton"}), ("metrics", "/metrics"))
    assert [e["port"] for e in known["spec"]["podMetricsEndpoints"]] == ["metrics"]
    named = pod_monitor(OWNER, spec(pool(), metrics={"profile": "triton", "port": "metrics", "path": "/m"}))
    assert [(e["port"], e["path"]) for e in named["spec"]["podMetricsEndpoints"]] == [("metrics", "/m")]


def test_no_page_is_read_from_a_port_that_answers_grpc() -> None:
    grpc = spec({**pool(), "protocol": "GRPC"}, metrics={"profile": "triton"})
    (read,) = pod_monitor(OWNER, grpc, ("metrics", "/metrics"))["spec"]["podMetricsEndpoints"]
    assert (read.get("port"), read.get("portNumber")) == ("metrics", None)


def test_a_pod_monitor_bounds_what_one_pod_may_bring_into_prometheus() -> None:
    """The pages known fit several times over; a tenant's page of any length does not reach the store."""
    made = pod_monitor(OWNER, spec(pool(), metrics={"profile": "triton"}), ("metrics", "/metrics"))
    pages = (Path(__file__).resolve().parents[3] / "data" / "metrics").glob("*.txt")
    longest = max(sum(not line.startswith("#") for line in page.read_text().splitlines()) for page in pages)
    assert 5 * longest < made["spec"]["sampleLimit"] <= 10_000


def test_gateway_metrics_need_no_pod_monitor() -> None:
    assert names.POD_MONITOR not in [kind for kind, _ in children(OWNER, spec(pool()), monitors=True)]
    assert names.POD_MONITOR not in [
        kind for kind, _ in children(OWNER, spec(pool(), metrics={"profile": "triton"}), False, ("metrics", "/metrics"))
    ]


def test_the_same_spec_gives_the_same_objects() -> None:
    assert children(OWNER, spec(pool()), True) == children(OWNER, spec(pool()), True)


INT8 = ModelVersion("int8", "8", "oci://models/int8:8", "a" * 64, "AUC", "0.80")


def test_the_pods_are_told_their_version_and_the_deployment_keeps_the_one_before() -> None:
    written = spec(pool(container={"env": [{"name": "MODEL", "value": "$(RECMODEL_MODEL_URI)"}]}))
    serving = Serving(INT8, replace(INT8, version="7"), refused="int8@6", trial=VERSION_ON_TRIAL)
    made = deployment(OWNER, written.pools[0], serving, wait_seconds=30)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    # What the user's own variables refer to has to stand before them.
    assert [(entry["name"], entry["value"]) for entry in container["env"]] == [
        ("RECMODEL_MODEL_VERSION", "8"),
        ("RECMODEL_MODEL_URI", "oci://models/int8:8"),
        ("RECMODEL_MODEL_SHA256", "a" * 64),
        ("MODEL", "$(RECMODEL_MODEL_URI)"),
    ]
    assert made["spec"]["template"]["metadata"]["labels"][names.VERSION_LABEL] == "8"
    assert (made["spec"]["minReadySeconds"], made["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]) == (30, 0)
    assert serving_of(made["metadata"]["annotations"]) == serving
    back = deployment(OWNER, written.pools[0], replace(serving, trial=None), wait_seconds=30)
    assert "minReadySeconds" not in back["spec"]


def test_an_old_pod_goes_when_the_new_one_is_warm_and_on_the_way_back_at_once() -> None:
    warms = spec({**pool(), "warmUp": "90.5s"}).pools[0]
    for serving, wait_seconds, pause in (
        (Serving(), 30, 91),
        (Serving(INT8, trial=VERSION_ON_TRIAL), 30, 91),
        (Serving(INT8, trial=VERSION_ON_TRIAL), 200, 200),
        (Serving(INT8, refused="int8@9"), 30, None),
    ):
        made = deployment(OWNER, warms, serving, wait_seconds)["spec"]
        assert made.get("minReadySeconds") == pause
        assert made["progressDeadlineSeconds"] == 1800 + (pause or 0), "the API wants it to be larger"
    assert "minReadySeconds" not in deployment(OWNER, spec(pool()).pools[0], Serving(), 30)["spec"]


def test_a_pool_without_a_version_is_as_it_always_was() -> None:
    written = spec(pool()).pools[0]
    assert deployment(OWNER, written, Serving(), wait_seconds=30) == deployment(OWNER, written)
    assert serving_of(deployment(OWNER, written)["metadata"]["annotations"]) == Serving()


def test_a_variable_that_the_user_set_is_not_set_twice() -> None:
    own = {"name": "RECMODEL_MODEL_URI", "value": "file:///models/mine"}
    made = deployment(OWNER, spec(pool(container={"env": [own]})).pools[0], Serving(INT8))
    env = made["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [entry["value"] for entry in env if entry["name"] == "RECMODEL_MODEL_URI"] == ["file:///models/mine"]


UNREADABLE = ["", "abc", "[]", "{}", "7", "null", "[" * 100_000, "9" * 5_000, '{"now": 7', '{"now": 7, "before": null}',
    '{"now": {"variant": 1, "version": "7"}, "before": null, "refused": null, "trial": null}',
    '{"now": {"variant": "\\ud800", "version": "7"}, "before": null, "refused": null, "trial": null}',
    '{"now": {"variant": "a/b", "version": "7"}, "before": null, "refused": null, "trial": null}',
    '{"now": null, "before": null, "refused": null, "trial": "soon"}']  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_where_the_annotation_cannot_be_read_the_pods_say_what_they_serve(text: str) -> None:
    made = deployment(OWNER, spec(pool()).pools[0], Serving(INT8))
    made["metadata"] |= {"uid": "d", "annotations": {names.SERVING_ANNOTATION: text}}
    counted: list[tuple[str, int]] = []
    found = Inventory(on_unreadable=lambda *count: counted.append(count))
    found.see(names.DEPLOYMENT, "ADDED", made)
    now = found.pool("shop/home-feed", "cpu").serving.now
    assert now is not None
    assert (now.version, now.uri, now.sha256) == (INT8.version, INT8.uri, INT8.sha256)
    assert counted == [("Deployment", 1)]
    # The same Deployment would be made of it: nothing is rolled out, and the annotation is healed.
    states = {"cpu": found.pool("shop/home-feed", "cpu")}
    versions = Serving(replace(INT8, metric=None, value=None))
    written = spec(pool(), variants=[{"name": "int8"}])
    assert adopted(None, written, {}, states) == {"cpu": versions}
    # What was known of this Deployment before is worth more.
    before = copy.deepcopy(made)
    before["metadata"]["annotations"] = annotation(Serving(INT8, trial=VERSION_ON_TRIAL))
    found.see(names.DEPLOYMENT, "MODIFIED", before)
    assert counted[-1] == ("Deployment", 0)
    found.see(names.DEPLOYMENT, "MODIFIED", made)
    assert found.pool("shop/home-feed", "cpu").serving == Serving(INT8, trial=VERSION_ON_TRIAL)

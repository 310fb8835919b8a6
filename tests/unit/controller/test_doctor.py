"""``recmodel doctor`` from its command line: a table of what can be wrong, with what is said of it and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from prometheus_client import CollectorRegistry, start_http_server

from builders.doctor_scene import RELEASE, Scene, ago, held, recmodel, server_edges
from recmodel.cli import main
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.credentials import Credentials
from recmodel.controller.metrics import Metrics


def doctor(patch: pytest.MonkeyPatch, scene: Scene, names: tuple[str, ...], **settings: str) -> int:
    with scene.served() as (api, prometheus):

        async def load() -> Credentials:
            return Credentials(api, False, Configuration())

        patch.setattr(credentials, "load", load)
        environment = {"PROMETHEUS_URL": prometheus, "LEASE_NAME": "recmodel", "LEASE_NAMESPACE": "ops", **settings}
        for name, value in environment.items():
            patch.setenv(f"RECMODEL_{name}", value)
        return main(["doctor", *names])


def test_where_all_is_well_each_thing_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(monkeypatch, Scene(), ()) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert total == "8 checks, 0 problems, 0 warnings"
    assert all(line.startswith("ok ") for line in lines)
    for said, line in zip(
        (
            "CRD: recmodels.recmodel.dev is served",
            "rights: everything that the operator does is allowed",
            "Lease: recmodel-1 acts",
            "claims: this release holds default/all.recmodel.dev, shop/recmodel.dev",
            "answers in",
            "profile mlserver: scraped every 15 s, rates over 60 s",
            "shop/feed: pool cpu: there is an edge at 100ms",
            "shop/feed: load 3/s",
        ),
        lines,
        strict=True,
    ):
        assert said in line


def with_status(**fields: Any) -> list[dict[str, Any]]:
    found = recmodel()
    found["status"] |= fields
    return [found]


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def without_metrics(status: str, reason: str, message: str) -> list[dict[str, Any]]:
    """With the two conditions that say so."""
    objective = condition("ObjectiveMet", "Unknown", reason, message)
    return with_status(conditions=[condition("MetricsAvailable", status, reason, message), objective])


@dataclass(frozen=True)
class Case:
    """What is wrong, and each line that is not ``ok``: its mark, what it is about, and words of it."""

    name: str
    scene: Callable[[], Scene]
    said: tuple[tuple[str, str, str], ...]
    names: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


OTHERS = server_edges("shop", "feed", "0.05", "0.1") + server_edges("ads", "rank", "0.25")


def grpc() -> dict[str, Any]:
    """One whose pool answers gRPC, behind a gateway that counts no status of its calls."""
    body = recmodel(profile="envoy-gateway")
    (pool,) = body["spec"]["pools"]
    pool["protocol"] = "GRPC"
    body["spec"]["route"] = {"parentRefs": [{"name": "edge"}]}
    return body


CASES = (
    Case("the CRD is missing", lambda: Scene(kinds={"httproutes"}), (
        ("PROBLEM", "CRD", "recmodels.recmodel.dev is not served: install the chart with crds.install=true"),
    )),
    Case("the CRD is missing, and a RecModel is asked for", lambda: Scene(kinds={"httproutes"}), (
        ("PROBLEM", "CRD", "recmodels.recmodel.dev is not served"),
        ("PROBLEM", "shop/feed", "the RecModels of its namespace could not be listed, for the reason above"),
    ), ("shop/feed",)),
    Case("no Gateway API", lambda: Scene(kinds={"recmodels"}), (("WARNING", "CRD", "spec.route needs the Gateway API"),)),
    Case("a Gateway API without GRPCRoutes", lambda: Scene(recmodels=[grpc()]), (
        ("PROBLEM", "CRD", "grpcroutes.gateway.networking.k8s.io is not served as v1"),
        ("WARNING", "shop/feed", "Prometheus has no histogram of its pools"),
        ("WARNING", "shop/feed", "no gRPC status of its calls"),
    )),
    Case("gRPC without statuses", lambda: Scene(kinds={"recmodels", "httproutes", "grpcroutes"}, recmodels=[grpc()]), (
        ("WARNING", "shop/feed", "Prometheus has no histogram of its pools"),
        ("WARNING", "shop/feed", "no gRPC status of its calls, so how many of them fail is not known: send a call, and set the tags "
         "grpc_called and grpc_status in the EnvoyProxy's bootstrap"),
    )),
    Case("a right is missing", lambda: Scene(denied={("patch", "poddisruptionbudgets")}), (
        ("PROBLEM", "rights", "may not patch poddisruptionbudgets.policy in all namespaces: install the chart"),
    )),
    Case("RecModels may not be listed", lambda: Scene(denied={("list", "recmodels")}), (
        ("PROBLEM", "rights", "may not list recmodels.recmodel.dev in all namespaces: install the chart with rbac.create=true"),
    )),
    Case("the account is refused", lambda: Scene(token_is_refused=True), (
        ("PROBLEM", "API server", "HTTP 401: Unauthorized: see whether the operator's service account"),
    )),
    Case("no pod acts", lambda: Scene(leases={"default/all.recmodel.dev": held(RELEASE), "shop/recmodel.dev": held(RELEASE)}), (
        ("PROBLEM", "Lease", "nobody holds it: no pod of this release acts; see whether its pods are ready"),
    )),
    Case("the acting pod is gone", lambda: Scene(leases={**Scene().leases, RELEASE: held("recmodel-1", 90.0)}), (
        ("PROBLEM", "Lease", "recmodel-1 holds it and renewed it 9"),
    )),
    Case("two operators", lambda: Scene(leases={
        RELEASE: held("recmodel-1"), "default/all.recmodel.dev": held("b/b"), "shop/recmodel.dev": held("b/b"),
    }), (
        ("PROBLEM", "claims", "the release of Lease b/b holds default/all.recmodel.dev, shop/recmodel.dev and acts there, and this one "
         "(ops/recmodel) stands by: uninstall one of the two, or give them watchNamespaces that do not overlap"),
    )),
    Case("no operator acts in the namespace", lambda: Scene(leases={
        RELEASE: held("recmodel-1"), "default/all.recmodel.dev": held(RELEASE),
    }), (
        ("PROBLEM", "claims", "nobody has renewed shop/recmodel.dev in the last 60 s, so no release acts there"),
    )),
    Case("no operator acts in another namespace than the one that is asked for", lambda: Scene(
        recmodels=[recmodel(), recmodel("ads", "rank")],
    ), (), ("shop/feed",)),
    Case("no RecModel in the namespaces served", lambda: Scene(), (
        ("WARNING", "RecModels", "there is none in ads, and watchNamespaces has no other"),
    ), settings={"NAMESPACE": "ads"}),
    Case("a RecModel of a namespace that is not served", lambda: Scene(), (
        ("PROBLEM", "shop/feed", "not looked for: watchNamespaces of this operator is ads; add its namespace there"),
    ), ("shop/feed",), {"NAMESPACE": "ads"}),
    Case("the wrong namespace is asked for", lambda: Scene(), (
        ("PROBLEM", "ads/feed", "there is no such RecModel; there is shop/feed"),
    ), ("ads/feed",)),
    Case("no Prometheus", lambda: Scene(prometheus_is_away=True), (
        ("PROBLEM", "Prometheus", "could not be reached (ConnectionError): see prometheus.url of the chart's values, and whether"),
    )),
    Case("Prometheus refuses", lambda: Scene(refused_queries="."), (
        ("PROBLEM", "Prometheus", "Prometheus refused the query with status 422 (bad_data): see whether prometheus.url of"),
    )),
    Case("read rights are all that an operator needs that observes", lambda: Scene(denied={
        ("create", "deployments"), ("patch", "scale"), ("delete", "services"), ("create", "jobs"), ("update", "recmodels"),
    }), (), settings={"RIGHTS": "observe"}),
    Case("how often is scraped cannot be asked", lambda: Scene(refused_queries="count_over_time"), (
        ("WARNING", "profile mlserver", "how often it is scraped is not known: Prometheus refused the query"),
    )),
    Case("nobody scrapes", lambda: Scene(spacing_seconds=None, edges=[]), (
        ("WARNING", "profile mlserver", "no series of MLServer (REST) for 60 s, which shop/feed needs: let it scrape the pools' pods"),
    )),
    Case("nobody scrapes, as the status says", lambda: Scene(edges=[], recmodels=without_metrics("False", "NoSeries", "no series")), (
        ("PROBLEM", "shop/feed", "MetricsAvailable is False, ObjectiveMet is Unknown: NoSeries: no series"),
    )),
    Case("no request came yet", lambda: Scene(edges=[], recmodels=without_metrics("Unknown", "NoRequestsSeen", "send some")), (
        ("WARNING", "shop/feed", "MetricsAvailable is Unknown, ObjectiveMet is Unknown: NoRequestsSeen: send some"),
    )),
    Case("the threshold is above all edges, as the status says", lambda: Scene(
        edges=server_edges("shop", "feed", "0.05"), recmodels=without_metrics("False", "ThresholdAboveEdges", "above all"),
    ), (("PROBLEM", "shop/feed", "ThresholdAboveEdges: above all"),)),
    Case("the threshold is above all edges, and too few pods report", lambda: Scene(
        edges=server_edges("shop", "feed", "0.05"), recmodels=without_metrics("False", "PodsMissing", "too few"),
    ), (
        ("WARNING", "shop/feed", "is above the highest edge, 50ms"),
        ("PROBLEM", "shop/feed", "PodsMissing: too few"),
    )),
    Case("scraped too rarely", lambda: Scene(spacing_seconds=30.0), (
        ("PROBLEM", "profile mlserver", "prometheus.scrapeIntervalSeconds is 15: set it to 30"),
    )),
    Case("no edge at the threshold", lambda: Scene(edges=server_edges("shop", "feed", "0.05", "0.25")), (
        ("WARNING", "shop/feed", "pool cpu: objective.latency.threshold, 100ms, is between the edges 50ms and 250ms: the share"),
    )),
    Case("the edges cannot be asked for", lambda: Scene(refused_queries="_bucket"), (
        ("WARNING", "shop/feed", "the edges of its histograms are not known: Prometheus refused the query"),
    )),
    Case("another team's server has other edges", lambda: Scene(edges=OTHERS), ()),
    Case("the spec is refused", lambda: Scene(recmodels=[{**recmodel(), "spec": {**recmodel()["spec"], "mode": "Off"}}]), (
        ("PROBLEM", "shop/feed", "spec.mode is 'Off'"),
    )),
    Case("nobody decides", lambda: Scene(recmodels=with_status(lastDecisionTime=ago(400.0))), (
        ("PROBLEM", "shop/feed", "s old, and 150 s are usual at most: no operator decides on it, or its status cannot be written"),
    )),
    Case("long ticks are no old decision", lambda: Scene(recmodels=with_status(lastDecisionTime=ago(400.0))), (),
         settings={"TICK_SECONDS": "300"}),
    Case("a condition is bad", lambda: Scene(recmodels=with_status(conditions=[
        condition("Ready", "False", "ImagePull", "pool cpu: s:1 cannot be pulled"),
        condition("Degraded", "True", "ImagePull", "pool cpu: s:1 cannot be pulled"),
    ])), (
        ("PROBLEM", "shop/feed", "Ready is False, Degraded is True: ImagePull: pool cpu: s:1 cannot be pulled"),
    )),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_is_said_and_nothing_else(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = doctor(monkeypatch, case.scene(), case.names, **case.settings)
    out = capsys.readouterr().out
    wrong = [line for line in out.splitlines()[:-1] if not line.startswith("ok ")]
    assert len(wrong) == len(case.said), out
    for (mark, about, words), line in zip(case.said, wrong, strict=True):
        assert line.startswith(f"{mark:<8} {about}: "), out
        assert words in line, out
    assert code == int(any(mark == "PROBLEM" for mark, *_ in case.said))


def test_outside_of_the_cluster_without_a_kubeconfig_the_rest_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def load() -> Credentials:
        raise ConfigException("Invalid kube-config file. No configuration found.")

    with Scene().served() as (_, prometheus):
        monkeypatch.setattr(credentials, "load", load)
        monkeypatch.setenv("RECMODEL_PROMETHEUS_URL", prometheus)
        assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "No configuration found: run this in the operator's pod, or set KUBECONFIG" in lines[0]
    assert lines[1].startswith("ok       Prometheus")


@pytest.mark.parametrize(
    ("page", "mark", "said"),
    [
        (False, "ok", "KEDA is answered while this pod acts"),
        (True, "PROBLEM", "it cannot be served, or not with its newest certificates"),
        ("another", "WARNING", "has no recmodel_external_scaler_failed"),
        ("none", "WARNING", "the operator does not answer at http://127.0.0.1:1/metrics: run this in its pod"),
    ],
)
def test_where_keda_is_answered_the_running_operator_says_how_that_goes(
    page: bool | str, mark: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = Metrics()
    metrics.scaler_failed.set(page is True)
    registry = CollectorRegistry() if page == "another" else metrics.registry
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    port = 1 if page == "none" else server.server_port
    settings = {"EXTERNAL_SCALER_PORT": "9091", "LISTEN_ADDRESS": "127.0.0.1", "METRICS_PORT": str(port)}
    doctor(monkeypatch, Scene(), (), **settings)
    server.shutdown()
    server.server_close()
    thread.join()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "external scaler" in line]
    assert line.startswith(mark)
    assert said in line

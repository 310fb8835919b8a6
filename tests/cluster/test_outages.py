"""What the operator leans on goes away, or the operator itself: what serves goes on as it is."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from figures import measured
from installed import OPERATOR_NAMESPACE, TICK_SECONDS, operator_pod
from kube import Kube, Refused, eventually, run, throughout
from requests_sent import Load, failed
from serving import Pool, Served

from recmodel.cluster import names
from recmodel.core.plan.limits import UNPLACED_PATIENCE_SECONDS

pytestmark = pytest.mark.cluster

SMALL = Pool("small", least=1, most=4, service_ms=20.0, slots=1)
NOWHERE = Pool("large", least=1, most=2, accelerators=64)  # more than any node has
ELSEWHERE = Pool("small", least=0, most=2, cost_per_hour="3.0")


@pytest.fixture
def prometheus(kube: Kube) -> Iterator[Callable[[bool], None]]:
    """Stops Prometheus and starts it; it runs again afterwards."""

    def running(wanted: bool) -> None:
        kube.merge(names.DEPLOYMENT, "monitoring", "prometheus", {"spec": {"replicas": int(wanted)}})
        if wanted:
            run(
                "kubectl",
                "rollout",
                "status",
                "-n",
                "monitoring",
                "deployment/prometheus",
                "--timeout=120s",
                seconds=130.0,
            )
        else:
            eventually("Prometheus has ended", lambda: not kube.list(names.POD, "monitoring", "app=prometheus"), 60.0)

    yield running
    running(True)


def stands(served: Served) -> tuple[dict[str, int], dict[str, int]]:
    """Replicas and weights."""
    return served.replicas(), served.weights()


def test_without_prometheus_everything_is_held_and_goes_on_with_it(
    serve: Callable[..., Served], prometheus: Callable[[bool], None]
) -> None:
    served = serve(SMALL, Pool("spare", least=1))
    served.wait_ready(small=1, spare=1)
    with Load(served, 30.0) as load:
        eventually("metrics come", served.has("MetricsAvailable", "True"), 60.0)
        eventually("the traffic is shared", lambda: min(served.weights().values()) > 1, 60.0)
        eventually("nothing is under way", served.has("Progressing", "False"), 60.0)
        prometheus(False)
        began = time.monotonic()
        eventually("the condition says so", served.has("MetricsAvailable", "False"), 90.0)
        told = served.condition("MetricsAvailable")
        measured("Prometheus stopped to MetricsAvailable=False", f"{time.monotonic() - began:.1f} s, {told['reason']}")
        assert told["reason"] == "PrometheusUnavailable", told
        before = stands(served)

        def held() -> None:
            assert stands(served) == before
            assert served.condition("Ready")["status"] == "True"

        throughout(4 * TICK_SECONDS, held)
        assert served.status()["state"] == "Holding"
        prometheus(True)
        back = time.monotonic()
        eventually("metrics are back", served.has("MetricsAvailable", "True"), 120.0)
        measured("Prometheus ready again to MetricsAvailable=True", f"{time.monotonic() - back:.1f} s")
        eventually("it is no longer held", lambda: served.status()["state"] != "Holding", 60.0)
    assert failed(load.answers()) == {}


def own_page(kube: Kube) -> str:
    """The running operator's metrics; empty while there is none that listens."""
    try:
        return kube.proxied(OPERATOR_NAMESPACE, operator_pod(kube)["metadata"]["name"], 9090, "/metrics")
    except (Refused, AssertionError):
        return ""


def own_metric(page: str, served: Served, metric: str, pool: str | None = None) -> float | None:
    """What such a page says of this RecModel."""
    labels = f'model="{served.name}",namespace="{served.namespace}"' + (f',pool="{pool}"' if pool else "")
    lines = (line for line in page.splitlines() if line.startswith(f"{metric}{{{labels}}}"))
    return next((float(line.split(" ")[-1]) for line in lines), None)


def decided_at(kube: Kube, served: Served) -> float | None:
    """When the running operator last decided for this RecModel (seconds since 1970), by its own metrics."""
    return own_metric(own_page(kube), served, "recmodel_decision_timestamp_seconds")


def test_an_operator_killed_in_the_middle_changes_nothing_and_the_next_one_goes_on(
    kube: Kube, serve: Callable[..., Served]
) -> None:
    served = serve(SMALL)
    served.wait_ready(small=1)
    with Load(served, 25.0) as load:
        eventually("metrics come", served.has("MetricsAvailable", "True"), 60.0)
        eventually("decisions are made", lambda: decided_at(kube, served), 30.0)
        before = stands(served)
        load.rate(40.0)  # in the middle: more is needed, and nothing was done about it yet
        killed = operator_pod(kube)["metadata"]["name"]
        began = time.monotonic()
        run("kubectl", "delete", "pod", "-n", OPERATOR_NAMESPACE, killed, "--grace-period=0", "--force")

        def first_decision() -> bool:
            if operator_pod_name(kube) in (None, killed) or decided_at(kube, served) is None:
                assert stands(served) == before
                return False
            return True

        eventually("the next one decides", first_decision, 90.0)
        first_seconds = time.monotonic() - began
        measured("operator killed to the next one's first decision", f"{first_seconds:.1f} s")
        assert first_seconds < 30.0
        load.rate(55.0)
        eventually("the next one scales", lambda: served.ready()["small"] >= 2, 120.0)
    answers = load.answers()
    measured("requests over a killed operator", f"{len(answers)}, {failed(answers)}")
    assert failed(answers) == {}


def test_the_first_decision_after_an_end_of_the_operator_knows_what_a_replica_carries(
    kube: Kube, serve: Callable[..., Served]
) -> None:
    """Ended in order first, then killed: what was learned is in the status either time."""
    served = serve(SMALL)
    served.wait_ready(small=1)
    metric, before = "recmodel_pool_capacity_per_second", 0.0
    with Load(served, 25.0):
        eventually("it is known", lambda: own_metric(own_page(kube), served, metric, "small"), 180.0)
        for how in (("--grace-period=30",), ("--grace-period=0", "--force")):
            time.sleep(2 * TICK_SECONDS)
            before = own_metric(own_page(kube), served, metric, "small") or 0.0
            ended = operator_pod(kube)["metadata"]["name"]
            run("kubectl", "delete", "pod", "-n", OPERATOR_NAMESPACE, ended, *how, seconds=60.0)
            pages: list[str] = []

            def first_page(ended: str = ended, pages: list[str] = pages) -> bool:
                page = own_page(kube) if operator_pod_name(kube) not in (None, ended) else ""
                if own_metric(page, served, "recmodel_decision_timestamp_seconds") is not None:
                    pages.append(own_page(kube))  # a page may be read while it is written
                return bool(pages)

            eventually("the next one decides", first_page, 90.0)
            after = own_metric(pages[0], served, metric, "small")
            size = len(served.status()["memory"])
            measured(f"capacity before and after {how[-1]}", f"{before}/s, {after}/s, out of {size} characters")
            assert after == pytest.approx(before, rel=0.1)
            began = own_metric(pages[0], served, "recmodel_decision_timestamp_seconds")
            eventually(
                "it has decided again", lambda began=began: (decided_at(kube, served) or 0.0) > began + 1.0, 60.0
            )
    assert before > 0.0


def operator_pod_name(kube: Kube) -> str | None:
    """The running operator's pod, while there is one."""
    try:
        return str(operator_pod(kube)["metadata"]["name"])
    except AssertionError:
        return None


def test_the_operators_own_metrics_are_scraped(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    query = f'recmodel_pool_ready_replicas{{namespace="{served.namespace}"}}'

    def scraped() -> bool:
        answer = requests.get(f"{os.environ['PROMETHEUS_URL']}/api/v1/query", params={"query": query}, timeout=10)
        found = json.loads(answer.text)["data"]["result"]
        assert [row["value"][1] for row in found] == ["1"], found
        return True

    eventually("Prometheus has the operator's metrics", scraped, 60.0, 1.0)


def asked(query: str) -> float | None:
    """The one number that Prometheus has for it; None where it has none."""
    answer = requests.get(f"{os.environ['PROMETHEUS_URL']}/api/v1/query", params={"query": query}, timeout=10)
    found = json.loads(answer.text)["data"]["result"]
    return float(found[0]["value"][1]) if found else None


def test_while_no_pool_is_ready_the_load_is_unknown_and_another_pool_is_ordered(serve: Callable[..., Served]) -> None:
    served = serve(NOWHERE, ELSEWHERE)
    eventually("the shortage is told", served.has("CapacityAvailable", "False", "PoolUnschedulable"), 60.0)
    began = time.monotonic()
    seen: set[tuple[str, str | None, str]] = set()
    with Load(served, 100.0, answered=False) as load:

        def told() -> None:
            status = served.status()
            seen.add((served.condition("MetricsAvailable")["reason"], status.get("loadPerSecond"), status["state"]))

        def ordered() -> bool:
            told()
            return served.replicas()["small"] == 1

        eventually(
            "a replica of the other pool is ordered", ordered, UNPLACED_PATIENCE_SECONDS + 4 * TICK_SECONDS + 60.0
        )
        measured("no node for the only pool to a replica of the other ordered", f"{time.monotonic() - began:.0f} s")
        window = "[30s]"
        sent = [
            asked(f"sum(rate({series}{window}))")
            for series in (
                f'envoy_cluster_upstream_rq_total{{envoy_cluster_name=~"httproute/{served.namespace}/.*"}}',
                'envoy_http_no_cluster{envoy_http_conn_manager_prefix=~"https?-[0-9]+"}',
                'envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix=~"https?-[0-9]+",envoy_response_code_class="5"}',
            )
        ]
        measured("during the outage, a second: at the pools, no cluster, 5xx of the whole gateway", f"{sent}")
        while_out = load.answers()
        assert failed(while_out) == {"503": len(while_out)}, "clients send, and all of it fails"
        assert seen == {("NoReadyPool", None, "AwaitingRequests")}, seen
        assert served.condition("ObjectiveMet")["status"] == "Unknown"
        eventually("it is ready and has the traffic", lambda: served.weights() == {"large": 0, "small": 1000}, 60.0)
        eventually("its load is known", served.has("MetricsAvailable", "True", "MetricsFound"), 90.0)
        mark = load.now()
        time.sleep(8.0)
    answers = load.answers(since=mark)
    measured("requests over an outage, once the other pool answers", f"{len(answers)}, {failed(answers)}")
    assert failed(answers) == {}
    assert {answer.pool for answer in answers} == {"small"}

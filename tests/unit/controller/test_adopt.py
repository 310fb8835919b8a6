"""``recmodel adopt`` from its command line, in front of an API server and a Prometheus: what it reads, prints and refuses."""

from __future__ import annotations

import pytest
import yaml

from builders.adopt_scene import Shop, adopt
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.controller.spec_reading import read_spec

CPU, GPU = "ranker-cpu-6d4cf56db6-x7k2p", "ranker-gpu-84b5b4d6f9-z4z7k"


BOTH = ("deployment/ranker-cpu", "deploy/ranker-gpu", "-n", "shop")


@pytest.mark.parametrize(
    ("shop", "profile", "said"),
    [
        (Shop(histograms={"rest_server_request_duration_seconds": ("0.05", "0.1")}), "mlserver", "there is an edge at 100ms"),
        (Shop(histograms={"feed_request_seconds": ("0.05", "0.2")}), "custom", "between the edges 50ms and 200ms"),
        (Shop(), "custom", "which server this is could not be found out"),
        (Shop(refused_queries="_bucket"), "custom", "Prometheus refused the query"),
        (Shop(prometheus_is_away=True), "custom", "could not be reached"),
    ],
    ids=["a profile", "custom series", "none", "Prometheus refuses", "no Prometheus"],
)  # fmt: skip
def test_what_runs_is_read_and_printed_and_nothing_is_written(
    shop: Shop, profile: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(monkeypatch, shop, *BOTH, "--objective", "p99<100ms", "--cost", "ranker-gpu=1.90") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    found = yaml.safe_load(printed.out)
    spec = read_spec(found)
    assert isinstance(spec, RecModelSpec), spec
    assert found["metadata"] == {"name": "ranker", "namespace": "shop"}
    assert spec.metrics.profile == profile
    assert said in " ".join(printed.out.replace("#", " ").split())
    assert [(p.name, p.replicas.min, p.replicas.max, p.cost_per_hour) for p in spec.pools] == [
        ("cpu", 3, 30, "1.0"), ("gpu", 1, 2, "1.90"),
    ]  # fmt: skip
    assert [asked for asked in shop.asked if asked.startswith("POST")] == []


def test_the_rule_that_sends_to_the_workloads_is_found_by_the_selectors_of_its_services(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(monkeypatch, Shop(), *BOTH, "--route", "httproute/shop") == 0
    spec = read_spec(yaml.safe_load(capsys.readouterr().out))
    assert isinstance(spec, RecModelSpec), spec
    assert spec.route_ref is not None
    assert spec.route_ref.shown == "rule 1 of HTTPRoute shop"
    assert [pool.service.shown for pool in spec.pools if pool.service] == ["ranker-cpu:80", "ranker-gpu:80"]


@pytest.mark.parametrize(
    ("arguments", "denied", "says"),
    [
        ((*BOTH, "--route", "httproute/other"), "", "there is no HTTPRoute shop/other; the namespace has shop: correct --route"),
        ((*BOTH, "--route", "shop"), "", "--route 'shop' names no route: write httproute/NAME or grpcroute/NAME"),
        (
            (BOTH[0], "-n", "shop", "--route", "httproute/shop"), "",
            "no rule that sends to the Services of ranker-cpu, one each and to nothing else (rule 0 sends to health:80; rule 1 sends to",
        ),
        ((*BOTH, "--route", "httproute/shop"), "services", "services is forbidden: the account must be able to list this kind"),
        (("deployment/rankr", "-n", "shop"), "", "there is no Deployment shop/rankr; there is ranker-cpu, ranker-gpu: correct"),
        (("deployment/ranker-cpu",), "", "there is no Deployment default/ranker-cpu; the namespace has none: "),
        (("statefulset/ranker-cpu", "-n", "shop"), "", "there is no StatefulSet shop/ranker-cpu; the namespace has none"),
        (("job/ranker", "-n", "shop"), "", "of the kind 'job' the API group is not known: write"),
        ((*BOTH, "--cost", "a=1"), "", "(pool gpu). No RecModel was printed: a file that this was to go to is empty"),
        ((*BOTH, "--objective", "p95"), "", "No RecModel was printed: a file that this was to go to is empty"),
        (BOTH, "deployments", "deployments is forbidden: the account must be able to list this kind in namespace shop"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_ends_with_2_and_the_way_out(
    arguments: tuple[str, ...],
    denied: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert adopt(monkeypatch, Shop(denied={("list", denied)}), *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1

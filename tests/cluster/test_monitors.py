"""What the operator's own account may write of PodMonitors, asked by dry runs in its name.

Where the cluster has no such kind, a CRD that takes any field stands in for Prometheus Operator's while these tests run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import custom_kinds
import pytest
import yaml
from chart import run
from kube import Kube
from operator_account import SOMEBODY, asked
from serving import GPU, Pool, recmodel

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children import builders as build

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def account(kube: Kube, released: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The namespace and the account of a release with its policies, in a cluster that knows PodMonitors."""
    with custom_kinds.served(kube, names.POD_MONITOR):
        yield released


def monitor(namespace: str, **metrics: Any) -> dict[str, Any]:
    """What the operator makes for a RecModel of a profile that reads pods."""
    body = recmodel(namespace, "ranker", Pool(), GPU, metrics={"profile": "triton", **metrics})
    spec = RecModelSpec.model_validate(body["spec"])
    return build.pod_monitor(build.Owner(namespace, "ranker", str(uuid.uuid4())), spec, ("metrics", "/metrics"))


@pytest.mark.parametrize(
    "metrics", [{}, {"port": "metrics"}, {"path": "/stats"}], ids=["ports", "a named port", "a path"]
)
def test_what_the_operator_makes_is_taken(account: tuple[str, str], metrics: dict[str, Any]) -> None:
    namespace, user = account
    answer = asked(user, "apply", monitor(namespace, **metrics))
    assert answer.returncode == 0, answer.stderr


def spec(change: Callable[[dict[str, Any]], Any]) -> tuple[Callable[[dict[str, Any]], Any], str]:
    return lambda found: change(found["spec"]), "PodMonitors of the operator"


def endpoint(**fields: Any) -> tuple[Callable[[dict[str, Any]], Any], str]:
    return spec(lambda found: found["podMetricsEndpoints"][-1].update(fields))


SECRET = {"name": "bank", "key": "token"}
REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no owner": (lambda o: o["metadata"].pop("ownerReferences"), "whose controller is a RecModel"),
    "another owner": (lambda o: o["metadata"].update(ownerReferences=[SOMEBODY]), "whose controller is a RecModel"),
    "all namespaces": spec(lambda s: s.update(namespaceSelector={"any": True})),
    "another namespace": spec(lambda s: s.update(namespaceSelector={"matchNames": ["bank"]})),
    "no limit": spec(lambda s: s.pop("sampleLimit")),
    "a limit of 0, which is none": spec(lambda s: s.update(sampleLimit=0)),
    "the credentials of a scrape class": spec(lambda s: s.update(scrapeClass="with-token")),
    "no endpoints": spec(lambda s: s.pop("podMetricsEndpoints")),
    "a bearer token": endpoint(bearerTokenSecret=SECRET),
    "a password": endpoint(basicAuth={"username": SECRET, "password": SECRET}),
    "an authorization": endpoint(authorization={"credentials": SECRET}),
    "OAuth": endpoint(oauth2={"clientId": {"secret": SECRET}, "clientSecret": SECRET, "tokenUrl": "https://x"}),
    "a certificate": endpoint(tlsConfig={"keySecret": SECRET}),
    "a proxy": endpoint(proxyUrl="http://evil.test"),
    "a proxy of the environment": endpoint(proxyFromEnvironment=True),
    "headers of Secrets for a proxy": endpoint(proxyConnectHeader={"Authorization": [SECRET]}),
    "a field that is not known yet": endpoint(sigv4={"profile": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_must_not_make_is_refused_with_a_sentence(account: tuple[str, str], case: str) -> None:
    namespace, user = account
    change, said = REFUSED[case]
    wanted = monitor(namespace)
    change(wanted)
    answer = asked(user, "apply", wanted)
    assert answer.returncode != 0
    assert said in answer.stderr, answer.stderr


def test_what_is_somebody_elses_is_neither_taken_over_nor_deleted(account: tuple[str, str]) -> None:
    namespace, user = account
    wanted = monitor(namespace)
    foreign = {**wanted, "metadata": {"name": "ranker", "namespace": namespace}}
    made = run("kubectl", "create", "-f", "-", given=yaml.safe_dump(foreign))
    assert made.returncode == 0, made.stderr
    for answer in (asked(user, "apply", wanted), asked(user, "delete", wanted)):
        assert answer.returncode != 0
        assert "only objects that a RecModel owns already" in answer.stderr, answer.stderr

"""Which series a gateway or model server exports, their units, and the labels that tell whose they are: data files."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from recmodel.api.quantity import LabelName, MetricName
from recmodel.api.v1alpha1 import CustomMetrics, Metrics, ProfileName, Series

CUSTOM = "custom"
PROFILE_NAMES: tuple[str, ...] = tuple(name for name in get_args(ProfileName) if name != CUSTOM)

# An operator and a value: "=source", "!=OK", "=~5..", "!~/healthz".
Matcher = Annotated[str, StringConstraints(pattern=r"^(=~|!~|!=|=)", max_length=220)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Selector(_Part):
    """A series, and the labels that it must have."""

    name: MetricName
    match: dict[LabelName, Matcher] = {}


class Histogram(Selector):
    """A classic histogram of durations; ``name`` without ``_bucket``."""

    unit: Literal["s", "ms", "us"]
    whole_units: bool = False  # times are cut to whole units, so le="K" holds all that took under K + 1 of them


class ClusterLabel(_Part):
    """One label that holds it all: ``pattern`` (anchored) finds namespace, model and the pool's index in spec.pools."""

    label: LabelName
    pattern: str

    @model_validator(mode="after")
    def _has_groups(self) -> ClusterLabel:
        if set(re.compile(self.pattern).groupindex) != {"namespace", "model", "index"}:
            raise ValueError("pattern must have exactly the groups namespace, model and index")
        return self


class WorkloadLabels(_Part):
    """Two labels: the namespace, and the Service or Deployment of the pool, which are both called MODEL-POOL."""

    namespace: LabelName
    name: LabelName


class PodLabels(_Part):
    """The labels of the pool's own pods; ``served``: the one that names the server's model, where its page tells them apart."""

    namespace: LabelName
    model: LabelName
    pool: LabelName
    served: LabelName | None = None


class NamedPods(_Part):
    """Pods without a label of ours, by ``namespace`` and ``pod``: of no file, but made from a profile whose pods have labels.
    ``matchers``, written out, hold for all of them.
    """

    matchers: tuple[str, ...]
    served: LabelName | None = None


class Identity(_Part):
    """How a series tells its model and pool: in exactly one of four ways."""

    cluster: ClusterLabel | None = None
    workload: WorkloadLabels | None = None
    pod: PodLabels | None = None
    named: NamedPods | None = None

    @model_validator(mode="after")
    def _one(self) -> Identity:
        if sum(x is not None for x in (self.cluster, self.workload, self.pod, self.named)) != 1:
            raise ValueError("identity must be exactly one of cluster, workload, pod and named")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels to group by: the owner's, and the one that names the server's model."""
        served = self.served
        return (*self.owner_labels, served) if served else self.owner_labels

    @property
    def served(self) -> str | None:
        """The label that names the server's model; None where its pages do not tell them apart."""
        pods = self.pod or self.named
        return pods.served if pods else None

    @property
    def owner_labels(self) -> tuple[str, ...]:
        """The labels that tell the RecModel and the pool."""
        if self.cluster:
            return (self.cluster.label,)
        if self.workload:
            return (self.workload.namespace, self.workload.name)
        if self.named:
            return ("namespace", "pod")
        pod = self.pod
        return (pod.namespace, pod.model, pod.pool) if pod else ()


class GrpcCalls(_Part):
    """What is other with pools that answer gRPC: a gateway counts the statuses of their calls, which are no HTTP statuses."""

    cluster: ClusterLabel | None = None  # in place of the profile's, where the gateway names the route's kind there
    statuses: Selector  # whichever they are
    without_status: tuple[
        Selector, ...
    ] = ()  # calls that have none and are failures all the same, where these are known apart
    failures: Selector  # those that are failures
    in_both: (
        bool  # some of these are among the profile's ``failures`` as well: the larger of the two counts, not the sum
    )
    needs: str  # what has to be set for it


class Downstream(_Part):
    """What a gateway answered to its clients, all routes together: failures that no pool's series shows are in it."""

    requests: Selector
    failures: Selector
    no_backend: Selector


class ScrapePage(_Part):
    """Where the page is: the name of the container port, and the path."""

    port: str
    path: str


class Profile(_Part):
    """Everything the operator must know of one source of metrics. Without ``latency`` it is refused, and says why."""

    name: str
    title: str
    scope: Literal["gateway", "pod"]
    identity: Identity
    latency: Histogram | None = None
    requests: Annotated[tuple[Selector, ...], Field(min_length=1)]  # summed: all requests, failed ones included
    answered: tuple[
        Selector, ...
    ] = ()  # summed: those of them that got any answer; the rest were given up by their clients
    failures: tuple[Selector, ...] = ()  # summed; none: the number of failures is unknown
    grpc: GrpcCalls | None = None  # how pools that answer gRPC are asked for
    calls: GrpcCalls | None = (
        None  # the same, where this is the profile of such pools: of no file, but made by ``over_grpc``
    )
    queue: Selector | None = None  # gauge of requests that wait
    in_flight: Selector | None = None  # gauge of requests inside, waiting or not
    page: Selector | None = None  # a series that is on the page from the start on; pods have ``up`` for this
    downstream: Downstream | None = None
    scrape: ScrapePage
    refusal: str | None = None
    remedy: str | None = None
    without_histogram: str | None = (
        None  # why its pages may lack the histogram although they were asked for it, and the way out
    )
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _usable_or_refused(self) -> Profile:
        if (self.latency is None) != (self.refusal is not None and self.remedy is not None):
            raise ValueError("a profile has either a latency histogram, or a refusal and a remedy")
        if self.scope == "pod" and self.identity.pod is None:
            raise ValueError("a profile of scope pod needs identity.pod")
        return self

    @property
    def pod_page(self) -> tuple[str, str] | None:
        """Name of the container port and path of the metrics page, where the pods have it; None: it is the gateway's."""
        return (self.scrape.port, self.scrape.path) if self.scope == "pod" else None

    def over_grpc(self) -> Profile:
        """The profile of pools that answer gRPC; the same where it makes no difference. Whoever has none of them asks nothing more."""
        if self.grpc is None:
            return self
        identity = Identity(cluster=self.grpc.cluster) if self.grpc.cluster else self.identity
        return self.model_copy(update={"calls": self.grpc, "identity": identity})

    @property
    def failures_are_labels(self) -> bool:
        """Whether failures are a label of a requests' series: then their absence beside known requests means none."""
        return bool(self.failures) and {f.name for f in self.failures} <= {
            r.name for r in self.requests + self.answered
        }


@cache
def load_profile(name: str) -> Profile:
    """The profile of that name; ``KeyError`` for one that is not shipped."""
    if name not in PROFILE_NAMES:
        raise KeyError(f"no metrics profile is called {name!r}; there are {', '.join(PROFILE_NAMES)}")
    text = (resources.files(__package__) / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    return Profile.model_validate({"name": name, **yaml.safe_load(text)})


def profile_for(metrics: Metrics) -> Profile:
    """The profile that a RecModel asks for. ``ValueError`` if custom series are asked for, but missing or malformed."""
    if metrics.profile != CUSTOM:
        return load_profile(metrics.profile)
    if metrics.custom is None:
        raise ValueError("metrics.profile is custom, but metrics.custom is missing")
    return _custom(metrics.custom, metrics)


def _custom(custom: CustomMetrics, metrics: Metrics) -> Profile:
    def selector(series: Series) -> Selector:
        return Selector(name=series.name, match={label: f"={value}" for label, value in series.match_labels.items()})

    latency = Histogram(**selector(custom.latency).model_dump(), unit=custom.latency.unit)
    count = Selector(name=f"{latency.name}_count", match=latency.match)
    return Profile(
        name=CUSTOM,
        title="Series named in spec.metrics.custom",
        scope="pod",
        identity=Identity(pod=PodLabels(namespace="namespace", model="recmodel_dev_model", pool="recmodel_dev_pool")),
        latency=latency,
        requests=(selector(custom.requests) if custom.requests else count,),
        failures=(selector(custom.failures),) if custom.failures else (),
        queue=selector(custom.queue) if custom.queue else None,
        scrape=ScrapePage(port=metrics.port or "metrics", path=metrics.path or "/metrics"),
    )

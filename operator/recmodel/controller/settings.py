"""Settings of the operator's process, from ``RECMODEL_*`` environment variables; the chart sets them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from recmodel.api.permitted import Permitted
from recmodel.cluster.rights import Rights
from recmodel.cluster.scale_targets import ScaleTarget
from recmodel.cluster.transport.client import REPORTS_RATIO
from recmodel.controller.status_refresh import RefreshPace
from recmodel.prometheus import Connection, GatherSettings

PREFIX = "RECMODEL_"
# One matcher of PromQL: a label, an operator, a quoted value.
Matcher = Annotated[
    str, StringConstraints(pattern=r'^[a-zA-Z_][a-zA-Z0-9_]*(=|!=|=~|!~)"([^"\\\n]|\\.)*"$', max_length=500)
]
# What the operator says in each query itself.
OWN_PARAMETERS = frozenset({"query", "time", "start", "end", "step", "timeout"})
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+", max_length=2000)]


class Settings(BaseModel):
    """Each field is read from the environment variable of its name in capitals, with ``RECMODEL_`` before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prometheus_url: Url = "http://prometheus.monitoring:9090"
    """Where Prometheus answers. The operator's setting alone: a namespace's user can never send it elsewhere."""

    prometheus_token_file: str | None = None
    """File with the bearer token for Prometheus, read again as it rotates; None: no token."""

    prometheus_ca_file: str | None = None
    """File with the certificate authority of Prometheus; None: the system's."""

    prometheus_headers: dict[str, str] = {}
    """Headers of each request, as a JSON object: ``{"X-Scope-OrgID": "shop"}`` for Mimir."""

    prometheus_parameters: dict[str, str] = {}
    """Parameters of each query, as a JSON object: ``{"partial_response": "false"}`` for Thanos, ``{"nocache": "1"}`` for
    VictoriaMetrics.
    """

    prometheus_matchers: tuple[Matcher, ...] = ()
    """Matchers that every series of every query must meet, as a JSON list: ``["cluster=\"eu-1\""]`` where one Prometheus
    holds the series of several clusters.
    """

    prometheus_max_answer_mebibytes: Annotated[int, Field(ge=1, le=1024)] = 24
    """Largest answer that is read. One takes six times as much memory while it is read, and up to 24 times in the worst
    case.
    """

    namespaces: tuple[str, ...] = ()
    """Namespaces to serve, with commas between (variable RECMODEL_NAMESPACE); none: all of them."""

    leave_namespaces: tuple[str, ...] = ()
    """Namespaces that are served no more, with commas between: their RecModels say so, once."""

    tick_seconds: Annotated[float, Field(ge=1.0, le=300.0)] = 15.0
    """Time between two decisions."""

    rate_window_seconds: Annotated[float, Field(ge=5.0, le=3600.0)] = 60.0
    """Window of the rates; never shorter than four scrapes."""

    scrape_interval_seconds: Annotated[float, Field(ge=0.5, le=300.0)] = 15.0
    """How often Prometheus scrapes gateways and pods."""

    history_seconds: Annotated[float, Field(ge=0.0, le=90 * 86400.0)] = 14 * 86400.0
    """How far back the load of each RecModel is read from Prometheus, at the start or when it comes later; 0 reads none."""

    history_step_seconds: Annotated[float, Field(ge=5.0, le=3600.0)] = 120.0
    """Step of that history: fine enough to tell how wrong forecasts for some minutes were."""

    history_budget_seconds: Annotated[float, Field(ge=1.0, le=300.0)] = 12.0
    """How long the first decision waits for it; after that it is made without, and the history is taken over when
    it comes.
    """

    acts_per_second: Annotated[float, Field(ge=1.0, le=1000.0)] = 20.0
    """Writes to the Kubernetes API a second, on average; status and Events have half of that for themselves."""

    acts_burst: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Writes that may come at once."""

    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """Port of the operator's own /metrics; 0 for none."""

    health_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of /healthz; 0 for none."""

    external_scaler_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port on which KEDA's external scaler is served; 0: it is not."""

    external_scaler_certificates: str | None = None
    """Folder with tls.crt and tls.key for it, read again as they are renewed; None: no TLS."""

    external_scaler_known_clients: bool = False
    """Whether a client of it must show a certificate that ca.crt in that folder has signed."""

    listen_address: str = "0.0.0.0"  # noqa: S104  kubelet and Prometheus come from outside of the pod
    """Address that all of them listen on."""

    allow_service_accounts: tuple[str, ...] = ()
    """Service accounts that pods of a pool may use, with commas between; a spec that names another one is refused."""

    allow_gateways: tuple[str, ...] = ()
    """Gateways that a route may name, ``namespace/name`` with commas between; empty: any whose listener takes the route."""

    allow_hostnames: tuple[str, ...] = ()
    """Hostnames that a route may ask for, with commas between; ``*.shop.example`` covers all below; empty: any."""

    rights: Rights = "act"
    """What the chart lets the operator write: with ``observe`` nothing but its report and the Leases, so it does not try."""

    handback: bool = False
    """Whether deleting a RecModel restores what was handed over; the chart grants the rights for it with its policies alone."""

    node_buffers: bool = False
    """Whether pools that ask for it get a CapacityBuffer; the chart grants the rights for it with this setting alone."""

    scale_targets: tuple[ScaleTarget, ...] = ()
    """Kinds beside Deployment and StatefulSet that pools may refer to, as a JSON list: ``[{"group": "argoproj.io", "kind": "Rollout",
    "resource": "rollouts"}]``.
    """

    lease_name: str = ""
    """Lease that says which of several operators acts, in ``lease_namespace``; empty: this one always does."""

    lease_namespace: str = "default"
    """Namespace of the Lease: the operator's own."""

    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    """Name under which it is held; the chart gives the pod's."""

    log_level: Annotated[str, StringConstraints(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Least level that is logged."""

    @property
    def permitted(self) -> Permitted:
        """What the owners of RecModels may ask for."""
        acting = self.rights == "act"
        return Permitted(self.allow_service_accounts, self.allow_gateways, self.allow_hostnames, acting)

    @property
    def keeps_nodes(self) -> bool:
        """Whether it may make CapacityBuffers."""
        return self.node_buffers and self.rights == "act"

    @property
    def refresh_pace(self) -> RefreshPace:
        """How often a status is written for nothing but the time of its last decision."""
        return RefreshPace(self.tick_seconds, self.acts_per_second * REPORTS_RATIO)

    @property
    def gathering(self) -> GatherSettings:
        """How Prometheus is looked at."""
        return GatherSettings(self.rate_window_seconds, self.scrape_interval_seconds, scope=self.prometheus_matchers)

    def connection(self) -> Connection:
        """Where Prometheus is, and how it is asked."""
        return Connection(
            url=self.prometheus_url,
            bearer_token_file=self.prometheus_token_file,
            ca_file=self.prometheus_ca_file,
            headers=self.prometheus_headers,
            parameters=self.prometheus_parameters,
            max_answer_bytes=self.prometheus_max_answer_mebibytes * 2**20,
        )

    @field_validator(
        "namespaces", "leave_namespaces", "allow_service_accounts", "allow_gateways", "allow_hostnames", mode="before"
    )
    @classmethod
    def _words(cls, value: Any) -> Any:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator(
        "prometheus_headers", "prometheus_parameters", "prometheus_matchers", "scale_targets", mode="before"
    )
    @classmethod
    def _json(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _certificates(self) -> Self:
        if self.external_scaler_known_clients and self.external_scaler_certificates is None:
            raise ValueError("external_scaler_known_clients needs external_scaler_certificates, the folder with ca.crt")
        return self

    @field_validator("prometheus_parameters")
    @classmethod
    def _not_ours(cls, value: dict[str, str]) -> dict[str, str]:
        if taken := sorted(OWN_PARAMETERS & value.keys()):
            raise ValueError(f"{', '.join(taken)}: the operator sets this itself in each query; leave it out")
        return value


ALIASES = {"namespaces": "NAMESPACE"}


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings; ``pydantic.ValidationError`` names the field and the rule. An empty variable counts as not set."""
    given = {}
    for name in Settings.model_fields:
        value = environment.get(PREFIX + ALIASES.get(name, name.upper()), "")
        if value:
            given[name] = value
    return Settings.model_validate(given)

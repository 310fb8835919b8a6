"""Probes and hooks of a container. None of them names a host: the kubelet would fetch that address from its node's network."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recmodel.api.strict import Kubernetes, Rule, one_of
from recmodel.api.text import Port, PortOrName, Text

Seconds = Annotated[int, Field(ge=0, le=86_400)]
Count = Annotated[int, Field(ge=0, le=100_000)]

NoHost = Annotated[
    str,
    Field(max_length=253),
    Rule("self == ''", "must not be set: the kubelet would ask that address and not the pod", lambda host: not host),
]


class HttpHeader(Kubernetes):
    """A header of the request."""

    name: Annotated[str, Field(pattern=r"^[-A-Za-z0-9]+$", max_length=253)]
    value: Text


class HttpGet(Kubernetes):
    """A request to the pod."""

    path: Text | None = None
    port: PortOrName
    scheme: Literal["HTTP", "HTTPS"] | None = None
    http_headers: Annotated[list[HttpHeader], Field(max_length=16)] | None = None
    host: NoHost | None = None


class TcpSocket(Kubernetes):
    """A connection to the pod."""

    port: PortOrName
    host: NoHost | None = None


class Grpc(Kubernetes):
    """The gRPC health check."""

    port: Port
    service: Text | None = None


class Exec(Kubernetes):
    """A command in the container."""

    command: Annotated[list[Text], Field(min_length=1, max_length=64)]


class Sleep(Kubernetes):
    """A pause."""

    seconds: Seconds


class Check(Kubernetes):
    """What a probe does, and when."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("exec", "httpGet", "tcpSocket", "grpc"),)

    exec: Exec | None = None
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    initial_delay_seconds: Seconds | None = None
    timeout_seconds: Seconds | None = None
    period_seconds: Seconds | None = None
    failure_threshold: Count | None = None


class ReadinessProbe(Check):
    """Whether the pod answers requests."""

    success_threshold: Count | None = None


class EndingProbe(Check):
    """A probe whose failure ends the container."""

    success_threshold: Annotated[int, Field(ge=0, le=1)] | None = None
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None


class Handler(Kubernetes):
    """What a hook does."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("exec", "httpGet", "tcpSocket", "sleep"),)

    exec: Exec | None = None
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    sleep: Sleep | None = None


class Lifecycle(Kubernetes):
    """Hooks after the start and before the end."""

    post_start: Handler | None = None
    pre_stop: Handler | None = None

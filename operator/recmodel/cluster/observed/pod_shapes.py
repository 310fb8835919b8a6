"""The shape of a pod, as far as it is read: how its containers are, and how the kubelet asks them."""

from __future__ import annotations

from recmodel.cluster.observed.shapes import Code, Conditions, Count, Listed, Metadata, Said, Shape, Time


class HttpGet(Shape):
    """What a probe asks by HTTP."""

    path: Said = "/"
    port: Count | Said = ""
    scheme: Said = "HTTP"


class PortOnly(Shape):
    """Where a probe connects to, by TCP or gRPC."""

    port: Count | Said = ""


class Command(Shape):
    """What a probe runs in the container."""

    command: Listed[Said] = []


class Probe(Shape):
    """How the kubelet asks a container. What is not set is as the API server sets it."""

    http_get: HttpGet | None = None
    tcp_socket: PortOnly | None = None
    grpc: PortOnly | None = None
    exec: Command | None = None
    initial_delay_seconds: Count = 0
    period_seconds: Count = 10
    success_threshold: Count = 1
    failure_threshold: Count = 3


class NamedPort(Shape):
    """A port of a container."""

    name: Said = ""
    container_port: Count = 0


class ProbedContainer(Shape):
    """How a container is asked whether it has started, and whether it is ready."""

    name: Said = ""
    ports: Listed[NamedPort] = []
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None


class ProbedContainers(Shape):
    """The containers of a pod."""

    containers: Listed[ProbedContainer] = []
    init_containers: Listed[ProbedContainer] = []


class Waiting(Shape):
    """Why a container has not started."""

    reason: Said = ""
    message: Said = ""


class Terminated(Shape):
    """How a container has ended."""

    exit_code: Code = 0
    reason: Said = ""
    message: Said = ""


class Running(Shape):
    """That a container runs, and since when."""

    started_at: Time = None


class ContainerState(Shape):
    """What a container does, or did before."""

    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Shape):
    """One container of a pod."""

    name: Said = ""
    ready: bool = False
    started: bool = True  # false: its startup probe has not succeeded yet
    restart_count: Count = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Conditions):
    """How a pod is."""

    phase: Said = ""
    start_time: Time = None
    container_statuses: Listed[ContainerStatus] = []
    init_container_statuses: Listed[ContainerStatus] = []


class PodShape(Shape):
    """A pod."""

    metadata: Metadata
    spec: ProbedContainers = ProbedContainers()
    status: PodStatus = PodStatus()

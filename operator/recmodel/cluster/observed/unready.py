"""Pods that have a node, wait for nothing that the cluster names, and are not Ready: since when, and what the kubelet says.

Such a pod is on its way, or something is the matter with it: time tells, so this says no more than since when.
"""

from __future__ import annotations

from dataclasses import dataclass

from recmodel.cluster.observed.pod_shapes import (
    ContainerState,
    ContainerStatus,
    NamedPort,
    PodShape,
    PodStatus,
    Probe,
    ProbedContainer,
)
from recmodel.cluster.observed.waits import SENTENCE_CHARACTERS
from recmodel.cluster.transport.errors import shortened

PREPARED = "PodReadyToStartContainers"  # the kubelet's word for: volumes are mounted, the network is set up
_TARGET_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Unready:
    """One pod that is not Ready. Times are by the clock of its node, in Unix seconds."""

    pod: str
    started: bool  # each of its containers has started
    since_seconds: float  # containers started and it is not Ready; has a node, where some have not started
    said: str  # what the kubelet says, in its words
    container: str  # the first one that is not ready; empty where all are
    probe: str  # how the kubelet asks that one, in a sentence; empty where it does not
    declared_seconds: float  # what its probes give a start without a failure
    restarts: int = 0  # of that container


def unready_of(pod: PodShape) -> Unready | None:
    """What is known of a pod that has a node and is not Ready; None where it is not known since when."""
    missing = _not_started(pod.status)
    if missing or not pod.status.container_statuses:
        return _on_the_way(pod, missing[0] if missing else "")
    return _running(pod)


def _on_the_way(pod: PodShape, container: str) -> Unready | None:
    """One of which a container has never run."""
    scheduled = pod.status.condition("PodScheduled")
    placed = scheduled.last_transition_time if scheduled is not None and scheduled.status == "True" else None
    since = placed if placed is not None else pod.status.start_time
    if since is None:
        return None
    before = sum(_declared_seconds(c) for c in pod.spec.init_containers)  # side-cars: they start one after the other
    return Unready(pod.metadata.name, False, since, _said_of_start(pod.status), container, "", before)


def _running(pod: PodShape) -> Unready | None:
    """One of which each container has run."""
    ready = pod.status.condition("Ready")
    unready = [container for container in pod.status.container_statuses if not container.ready]
    times = [_began(unready), ready.last_transition_time if ready is not None else None]
    if not (known := [time for time in times if time is not None]):
        return None
    said = ": ".join(word for word in (ready.reason, ready.message) if word) if ready is not None else ""
    first = unready[0] if unready else None
    asked = next((c for c in pod.spec.containers if first is not None and c.name == first.name), None)
    return Unready(
        pod=pod.metadata.name,
        started=True,
        since_seconds=max(known),
        said=shortened(" ".join(said.split()), SENTENCE_CHARACTERS),
        container=first.name if first is not None else "",
        probe=_asked(asked, first.started) if asked is not None and first is not None else "",
        declared_seconds=max((_declared_seconds(c) for c in pod.spec.containers), default=0.0),
        restarts=first.restart_count if first is not None else 0,
    )


def _not_started(status: PodStatus) -> list[str]:
    """The containers that have never run."""
    return [
        c.name
        for c in status.container_statuses
        if c.state.running is None
        and c.state.terminated is None
        and not c.restart_count
        and c.last_state == ContainerState()
    ]


def _began(unready: list[ContainerStatus]) -> float | None:
    """When the last of them started for the first time; None where that is not known: a restart is no beginning."""
    times = [c.state.running.started_at for c in unready if c.state.running is not None and not c.restart_count]
    return max((time for time in times if time is not None), default=None)


def _said_of_start(status: PodStatus) -> str:
    if not status.container_statuses:
        return "the kubelet of its node has said nothing of its containers"
    missing = _not_started(status)
    waiting = [
        f"container {c.name}: {c.state.waiting.reason}"
        for c in status.container_statuses
        if c.name in missing and c.state.waiting is not None and c.state.waiting.reason
    ]
    running = [
        f"init container {c.name} runs"
        for c in status.init_container_statuses
        if c.state.running is not None and not (c.ready and c.started)
    ]
    prepared = status.condition(PREPARED)
    if running or prepared is None:
        hint = []
    elif prepared.status == "True":
        hint = ["its volumes and its network are ready, so an image is pulled or a container is made"]
    else:
        hint = [f"its volumes or its network are not ready ({PREPARED} is {prepared.status})"]
    return shortened(", ".join([*waiting[:1], *running, *hint]), SENTENCE_CHARACTERS)


def _declared_seconds(container: ProbedContainer) -> float:
    """What the probes give a container from its start until the first answer that makes it ready, at most."""
    start, ready = container.startup_probe, container.readiness_probe
    until_started = start.initial_delay_seconds + start.period_seconds * start.failure_threshold if start else 0
    until_asked = ready.initial_delay_seconds if ready else 0
    return float(max(until_started, until_asked) + (ready.period_seconds * ready.success_threshold if ready else 0))


def _asked(container: ProbedContainer, started: bool) -> str:
    """As ``readiness probe of container server: GET :8080/ready``; the startup probe while that one decides."""
    kind, probe = ("readiness", container.readiness_probe)
    if not started and container.startup_probe is not None:
        kind, probe = "startup", container.startup_probe
    return f"{kind} probe of container {container.name}: {_target(probe, container.ports)}" if probe is not None else ""


def _target(probe: Probe, ports: list[NamedPort]) -> str:
    if probe.http_get is not None:
        get = probe.http_get
        scheme = "" if get.scheme == "HTTP" else f" by {get.scheme}"
        found = f"GET {_port(get.port, ports, get.path if get.path.startswith('/') else f'/{get.path}')}{scheme}"
    elif probe.tcp_socket is not None:
        found = f"TCP {_port(probe.tcp_socket.port, ports)}"
    elif probe.grpc is not None:
        found = f"gRPC {_port(probe.grpc.port, ports)}"
    else:
        found = f"command {probe.exec.command[0]}" if probe.exec is not None and probe.exec.command else "a command"
    return shortened(found, _TARGET_CHARACTERS)


def _port(port: int | str, ports: list[NamedPort], path: str = "") -> str:
    """``:8080/ready``, with the name of the port where the probe gives one."""
    if isinstance(port, int):
        return f":{port}{path}"
    number = next((known.container_port for known in ports if known.name == port), None)
    if number is None:
        return f":{port}{path} (no port of the container is named {port})"
    return f":{number}{path} (port {port})"

"""What ``recmodel adopt`` reads of a workload that runs: its replicas, pods and autoscalers, as values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from recmodel.api.objective import Latency
from recmodel.api.v1alpha1 import KIND
from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.hindrance import hindrance
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.observed.scales import ScaleShape, pod_selector
from recmodel.report.adopted_shapes import (
    AutoscalerShape,
    Container,
    Metric,
    ScalableShape,
    Template,
    WorkloadShape,
    read,
    scales,
)

Object = Mapping[str, Any]
KIND_WORDS = {
    "deployment": names.DEPLOYMENT, "deployments": names.DEPLOYMENT, "deploy": names.DEPLOYMENT,
    "deployment.apps": names.DEPLOYMENT, "deployments.apps": names.DEPLOYMENT,
    "statefulset": names.STATEFUL_SET, "statefulsets": names.STATEFUL_SET, "sts": names.STATEFUL_SET,
    "statefulset.apps": names.STATEFUL_SET, "statefulsets.apps": names.STATEFUL_SET,
}  # fmt: skip
_OBJECTIVE = re.compile(r"p([0-9.]+)<=?([0-9.]+(?:ms|s|m|h))")


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler of a workload."""

    name: str
    maker: str  # what made it, as ``ScaledObject ranker-gpu``; empty: nothing did
    minimum: int
    maximum: int
    metrics: tuple[str, ...]  # what it acts on now: ``cpu at 70%``
    hindrance: str = ""  # why it cannot scale now

    @property
    def shown(self) -> str:
        """With its kind and what made it."""
        return f"HorizontalPodAutoscaler {self.name}" + (f" ({self.maker})" if self.maker else "")


@dataclass(frozen=True, slots=True)
class Existing:
    """A workload that runs."""

    of: Kind
    name: str
    replicas: int
    images: tuple[str, ...]
    programs: tuple[str, ...]  # command and arguments of the containers
    ports: frozenset[int]
    asks: str  # what one pod asks for, by container
    autoscalers: tuple[Autoscaler, ...]
    labels: Mapping[str, str] = field(default_factory=dict)  # of its pods

    @property
    def shown(self) -> str:
        """With its kind."""
        return f"{self.of.kind} {self.name}"


def target(text: str, namespace: str | None) -> tuple[Kind, str | None, str]:
    """Kind, namespace and name of ``deployment/ranker-cpu`` or ``shop/deployment/ranker-cpu``; ``ValueError`` for what is neither. Of
    ``rollout.argoproj.io/ranker`` it is the word and the group: which kind that is says the API server.
    """
    *before, word, name = text.split("/") if text.count("/") in (1, 2) else ("", "")
    kind = KIND_WORDS.get(word.lower())
    if not name or (before and not before[0]):
        raise ValueError(f"{text!r} names no workload: write KIND/NAME, such as deployment/ranker-cpu")
    if kind is None:
        called, dot, group = word.partition(".")
        if not dot or not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", called) or not re.fullmatch(r"[a-z0-9.-]+", group):
            raise ValueError(
                f"{text!r}: of the kind {word!r} the API group is not known: write deployment/NAME, statefulset/NAME, or "
                "KIND.GROUP/NAME, such as rollout.argoproj.io/NAME"
            )
        kind = Kind(called, group, "")
    return kind, (before[0] if before else namespace), name


def targets(texts: Sequence[str], namespace: str | None) -> tuple[str, list[tuple[Kind, str]]]:
    """The namespace of all of them, and the kind and name of each; ``ValueError`` where they cannot be one RecModel's pools."""
    found = [target(text, namespace) for text in texts]
    spaces = sorted({space or "default" for _, space, _ in found} | ({namespace} if namespace else set()))
    if len(spaces) > 1:
        raise ValueError(
            f"the workloads are of the namespaces {', '.join(spaces)}, and a RecModel refers to those of its own: run it once for each"
        )
    seen: set[str] = set()
    for _, _, name in found:
        if name in seen:
            raise ValueError(f"{name} is named twice, and pods are told apart by the workload's name: name each once")
        seen.add(name)
    return spaces[0], [(kind, name) for kind, _, name in found]


def objective(text: str) -> Latency:
    """``p95<100ms`` as the API has it; ``ValueError`` with the form otherwise."""
    match = _OBJECTIVE.fullmatch(text.replace(" ", ""))
    try:
        if match:
            return Latency(percentile=match[1], threshold=match[2])
        said = "it has another form"
    except ValueError as error:
        said = "; ".join(problem["msg"] for problem in getattr(error, "errors", list)()) or str(error)
    raise ValueError(f"--objective {text!r}: {said}: write 'p95<100ms', in quotes, as a shell takes < for itself")


def prices(texts: Iterable[str]) -> dict[str, str]:
    """``ranker-cpu=0.20`` by workload or pool; ``ValueError`` for another form."""
    found = {}
    for text in texts:
        name, sign, price = text.partition("=")
        if not sign or not name or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", price):
            raise ValueError(f"--cost {text!r}: write WORKLOAD=PRICE, such as ranker-cpu=0.20, in one currency for all")
        found[name] = price
    return found


def existing(kind: Kind, body: Object, autoscalers: Iterable[Object], scale: Object | None = None) -> Existing:
    """The workload as the API server has it, with those of the namespace's HorizontalPodAutoscalers that scale it. Of a kind that is
    neither Deployment nor StatefulSet the ``scale`` says what it runs. ``ValueError`` for one that a RecModel made, and for what
    cannot be read.
    """
    what = " ".join((kind.kind, identity_of(body)[1]))
    if kind.group == names.DEPLOYMENT.group:
        workload = read(WorkloadShape, body, what)
        metadata, replicas, template = workload.metadata, workload.spec.replicas, workload.spec.template
    else:
        scaled = read(ScalableShape, body, what)
        read_scale = read(ScaleShape, scale, f"the scale of {what}")
        _check_selector(read_scale, what)
        metadata, replicas, template = scaled.metadata, read_scale.spec.replicas, _template(scaled.spec)
    name, containers, maker = metadata.name, template.spec.containers, metadata.maker
    if maker is not None and maker.kind == KIND:
        raise ValueError(
            f"{kind.kind} {name} is made by {KIND} {maker.name}: it is a pool of that already, so there is nothing to adopt"
        )
    return Existing(
        of=kind,
        name=name,
        replicas=replicas,
        images=tuple(container.image for container in containers),
        programs=tuple(" ".join([*container.command, *container.args]) for container in containers),
        ports=frozenset(port.container_port for container in containers for port in container.ports),
        asks="; ".join(filter(None, (_asks(container, len(containers) > 1) for container in containers))),
        autoscalers=tuple(autoscaler_of(scaler) for scaler in autoscalers if scales(scaler, kind, name)),
        labels=template.metadata.labels,
    )


def _check_selector(scale: ScaleShape, what: str) -> None:
    """``ValueError`` where the operator would not know its pods."""
    try:
        pod_selector(scale.status.selector)
    except ValueError as error:
        raise ValueError(f"{what} cannot be a pool: {error}") from error


def _template(spec: Mapping[str, Any]) -> Template:
    """Where a kind of its own holds its pods as a Deployment does; else nothing is known of them."""
    try:
        return Template.model_validate(spec.get("template"))
    except ValidationError:
        return Template()


def _asks(container: Container, named: bool) -> str:
    """``cpu 2, memory 4Gi, nvidia.com/gpu 1``: the requests, and where there are none the limits."""
    amounts = {**container.resources.limits, **container.resources.requests}
    said = ", ".join(f"{resource} {amount}" for resource, amount in sorted(amounts.items()))
    return f"{container.name}: {said}" if said and named else said


def autoscaler_of(body: Object) -> Autoscaler:
    """A HorizontalPodAutoscaler as the API server has it; ``ValueError`` for one that cannot be read."""
    found = read(AutoscalerShape, body, f"HorizontalPodAutoscaler {identity_of(body)[1]}")
    maker = found.metadata.maker
    return Autoscaler(
        name=found.metadata.name,
        maker=f"{maker.kind} {maker.name}" if maker is not None else "",
        minimum=found.spec.min_replicas,
        maximum=max(1, found.spec.max_replicas),
        metrics=tuple(_metric(metric) for metric in found.spec.metrics),
        hindrance=hindrance(found.status),
    )


def _metric(metric: Metric) -> str:
    """``cpu at 70%``, ``s0-prometheus at 100 per replica``."""
    source = metric.source
    name, aim = source.name or source.metric.name or metric.type, source.target
    if aim.average_utilization is not None:
        return f"{name} at {aim.average_utilization}%"
    if aim.average_value is not None:
        return f"{name} at {aim.average_value} per replica"
    return f"{name} at {aim.value}" if aim.value is not None else name

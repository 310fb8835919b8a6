"""What ``recmodel adopt --route`` reads: which rule of a route sends to the Services of the workloads, one each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.route_rule import Backend, Spec
from recmodel.cluster.observed.shapes import Labels, Shape
from recmodel.report.adopted import Existing
from recmodel.report.adopted_shapes import Named, read

Object = Mapping[str, Any]
KIND_WORDS = {
    word: kind
    for kind in names.ROUTES
    for word in (kind.kind.lower(), kind.plural, f"{kind.kind.lower()}.{kind.group}", kind.resource)
}


class ServiceSpec(Shape):
    """Which pods a Service sends to."""

    selector: Labels = {}


class ServiceShape(Shape):
    """A Service."""

    metadata: Named
    spec: ServiceSpec = ServiceSpec()


class RuledShape(Shape):
    """A route with its rules."""

    spec: Spec


@dataclass(frozen=True, slots=True)
class AdoptedRoute:
    """A rule of a route; ``services``: by workload name and port of its Service."""

    kind: str
    name: str
    rule: int
    services: Mapping[str, tuple[str, int]]


def route_target(text: str) -> tuple[Kind, str]:
    """Kind and name of ``httproute/ranker``; ``ValueError`` for what is neither."""
    word, _, name = text.partition("/")
    kind = KIND_WORDS.get(word.lower())
    if kind is None or not name or "/" in name:
        raise ValueError(f"--route {text!r} names no route: write httproute/NAME or grpcroute/NAME")
    return kind, name


def adopted_route(
    kind: Kind, name: str, body: Object, services: Iterable[Object], workloads: Sequence[Existing]
) -> AdoptedRoute:
    """The rule whose backends are Services of the workloads, one each; ``ValueError`` where none is, with what each sends to."""
    rules = read(RuledShape, body, f"{kind.kind} {name}").spec.rules
    selectors = {}
    for one in services:
        shape = read(ServiceShape, one, "a Service")
        selectors[shape.metadata.name] = shape.spec.selector
    for index, rule in enumerate(rules):
        found = {workload.name: _service(rule.backend_refs, selectors, workload) for workload in workloads}
        chosen = {workload: backend for workload, backend in found.items() if backend is not None}
        if len({backend.shown for backend in chosen.values()}) == len(workloads) == len(rule.backend_refs):
            return AdoptedRoute(kind.kind, name, index, {w: (b.name, b.port) for w, b in chosen.items()})
    sent = "; ".join(
        f"rule {index} sends to {', '.join(backend.shown for backend in rule.backend_refs) or 'no backend'}"
        for index, rule in enumerate(rules)
    )
    raise ValueError(
        f"{kind.kind} {name} has no rule that sends to the Services of {', '.join(w.name for w in workloads)}, one each and to nothing "
        f"else ({sent}): name all workloads behind one rule, or leave --route out"
    )


def _service(
    backends: Sequence[Backend], selectors: Mapping[str, Mapping[str, str]], workload: Existing
) -> Backend | None:
    """The backend whose Service selects the workload's pods; None where there is none, or several."""
    found = [
        backend
        for backend in backends
        if (backend.group, backend.kind, backend.namespace) == ("", "Service", "")
        and (selector := selectors.get(backend.name))
        and selector.items() <= workload.labels.items()
    ]
    return found[0] if len(found) == 1 else None

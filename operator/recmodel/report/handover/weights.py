"""The weights of the rule that a RecModel refers to: what they were before the operator set them, and how they are restored. Pure.

A share that a pool had is given back to it only while a pod of it is ready. And it is given back before its autoscaler, which may take
the pool to 0 where it had no share.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recmodel.api.shown import shown
from recmodel.cluster import names
from recmodel.cluster.children import ownership
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.route_rule import Backend, ForeignRouteShape
from recmodel.report.adopted_shapes import read

KINDS = {kind.kind: kind for kind in names.ROUTES}
WEIGHTS, ROUTE, WORKLOADS = "weights.json", "route", "workloads"  # keys of the ConfigMap
UNKNOWN = "-"  # in place of a workload
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
OURS = (names.FIELD_MANAGER, names.HANDING_OVER)  # field managers
LARGEST = 1_000_000  # the Gateway API takes no larger weight
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as it stood. ``backends``: what each sends to, and its weight, in their order; ``workloads``: by backend what answers."""

    kind: str
    name: str
    rule: int
    backends: tuple[tuple[str, int], ...]
    workloads: Mapping[str, str] = field(default_factory=dict)  # with its kind, as ``Deployment ranker-cpu``

    @property
    def of(self) -> Kind:
        """The kind of its route."""
        return KINDS[self.kind]

    @property
    def ref(self) -> tuple[str, str, int]:
        """Which rule it is."""
        return self.kind, self.name, self.rule

    @property
    def target(self) -> tuple[tuple[str, str, int], list[str]]:
        """Which rule it is, and what it sends to."""
        return self.ref, [backend for backend, _ in self.backends]

    def same(self, other: StoredRule) -> bool:
        """Whether it is the same rule with the same weights."""
        return (self.ref, self.backends) == (other.ref, other.backends)

    @property
    def shown(self) -> str:
        """For messages: ``rule 0 of HTTPRoute ranker``."""
        return f"rule {self.rule} of {self.kind} {self.name}"

    @property
    def weights(self) -> str:
        """For messages: ``ranker-cpu:80 60, ranker-gpu:80 40``."""
        return ", ".join(f"{backend} {weight}" for backend, weight in self.backends)


def standing_rule(kind: str, name: str, rule: int, body: Mapping[str, Any] | None) -> StoredRule | None:
    """The rule as it stands; None where there is no such rule. ``ValueError`` for a route that cannot be read."""
    if body is None or kind not in KINDS:
        return None
    rules = read(ForeignRouteShape, body, f"{kind} {name}").spec.rules
    if rule >= len(rules):
        return None
    return StoredRule(kind, name, rule, tuple((backend.shown, backend.weight) for backend in rules[rule].backend_refs))


def unreadable(kind: str, name: str, body: Mapping[str, Any]) -> str:
    """Why a route cannot be read; empty where it can."""
    try:
        read(ForeignRouteShape, body, f"{kind} {name}")
    except ValueError as error:
        return str(error)
    return ""


def elsewhere(stored: StoredRule, body: Mapping[str, Any] | None) -> str:
    """Where the rule of the route as it stands sends to, if not to what is stored; else empty."""
    now = standing_rule(*stored.ref, body)
    if now is None:
        return "it is not there"
    there = [backend for backend, _ in now.backends]
    if there != [backend for backend, _ in stored.backends]:
        return f"it sends to {', '.join(there) or 'no backend'} now, and not to what is stored"
    return ""


def restoring(stored: StoredRule, body: Mapping[str, Any]) -> str:
    """Why the weights cannot be restored over the route as it stands; empty where they can be, or are. Those that somebody else has set
    since the operator did stay: that shows by who owns the rules, which Kubernetes only knows as a whole. Where nobody is known to own
    them, nothing says that it was somebody else. What handing back has set is not: there, another store of the rule came first.
    """
    now = standing_rule(*stored.ref, body)
    if now is None or (why := elsewhere(stored, body)):
        return why if now is not None else "it is not there"
    if now.backends == stored.backends or ownership.owned("rules", body, OURS) or not ownership.noted("rules", body):
        return ""
    writers = ownership.holders_of("rules", body)
    who = f"the field manager {' and '.join(writers)}" if writers else "somebody else"
    return f"they are {now.weights} now, and {who} wrote the rules of the route last, not the operator"


def may_be_ours(body: Mapping[str, Any]) -> bool:
    """Whether the operator may have set the weights that stand; not where handing back has: that was what somebody had set."""
    return ownership.owned("rules", body) or not ownership.noted("rules", body)


def weights_patch(stored: StoredRule, body: Mapping[str, Any]) -> list[Object]:
    """The JSON patch that restores them over this very body, and over nothing else; empty where they are as they were. ``ValueError``
    where they cannot be restored.
    """
    if why := restoring(stored, body):
        raise ValueError(f"{stored.shown}: {why}")
    backends: Sequence[Backend] = read(ForeignRouteShape, body, stored.shown).spec.rules[stored.rule].backend_refs
    metadata, path = body["metadata"], f"/spec/rules/{stored.rule}/backendRefs"
    tests: list[Object] = [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
    ]
    writes = []
    for place, (backend, (_, weight)) in enumerate(zip(backends, stored.backends, strict=True)):
        tests.append({"op": "test", "path": f"{path}/{place}/name", "value": backend.name})
        if backend.weight != weight:
            writes.append({"op": "add", "path": f"{path}/{place}/weight", "value": weight})
    return [*tests, *writes] if writes else []


def by_hand(namespace: str, stored: StoredRule) -> str:
    """What restores them without this command. Where the backends stand at other places by then, the API server refuses it."""
    path = f"/spec/rules/{stored.rule}/backendRefs"
    tests: list[Object] = []
    writes: list[Object] = []
    for place, (backend, weight) in enumerate(stored.backends):
        name, port = _name_and_port(backend)
        tests.append({"op": "test", "path": f"{path}/{place}/name", "value": name})
        if port:
            tests.append({"op": "test", "path": f"{path}/{place}/port", "value": port})
        writes.append({"op": "add", "path": f"{path}/{place}/weight", "value": weight})
    steps = shlex.quote(json.dumps([*tests, *writes]))
    return f"kubectl -n {namespace} patch {stored.kind.lower()} {stored.name} --type=json -p {steps}"


def as_data(stored: StoredRule) -> dict[str, str]:
    """As it stands in the ConfigMap. Route and workloads are plain lines, as a policy asks whether the author may change each of them."""
    backends = [{"backend": backend, "weight": weight} for backend, weight in stored.backends]
    answering = [stored.workloads.get(backend, "").replace(" ", "/") or UNKNOWN for backend, _ in stored.backends]
    return {
        WEIGHTS: json.dumps({"rule": stored.rule, "backends": backends}, indent=2) + "\n",
        ROUTE: f"{stored.kind}/{stored.name}",
        WORKLOADS: " ".join(answering),
    }


def from_data(data: Mapping[str, str]) -> StoredRule | None:
    """The same read again, None where no weights are stored; ``ValueError``, ``KeyError`` or ``TypeError`` for what is none."""
    if WEIGHTS not in data:
        return None
    found = json.loads(data[WEIGHTS])
    kind, name = _kind_and_name(data[ROUTE])
    backends = tuple((str(one["backend"]), one["weight"]) for one in found["backends"])
    whole = [found["rule"], *(weight for _, weight in backends)]
    if kind not in KINDS or not all(type(number) is int and 0 <= number <= LARGEST for number in whole):
        raise ValueError(f"{WEIGHTS} is {shown(found)}, and {ROUTE} is {shown(data[ROUTE])}")
    pairs = zip(backends, data[WORKLOADS].split(" "), strict=True)
    workloads = {backend: " ".join(_kind_and_name(named)) for (backend, _), named in pairs if named != UNKNOWN}
    return StoredRule(kind, name, found["rule"], backends, workloads)


def check_name(name: str) -> str:
    """The name of an object, for a field selector and a line to be run by hand; ``ValueError`` for what none can have."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is no name of an object")
    return name


def _kind_and_name(named: str) -> tuple[str, str]:
    kind, name = named.split("/")
    return kind, check_name(name)


def _name_and_port(backend: str) -> tuple[str, int]:
    """Of a backend as it is shown, ``ranker-cpu:80``; port 0 where it has none."""
    who, _, port = backend.rpartition(":")
    return who.rpartition(" ")[2].rpartition("/")[2], int(port) if port.isdecimal() else 0

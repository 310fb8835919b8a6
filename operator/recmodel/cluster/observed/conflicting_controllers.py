"""Somebody else's objects that act on a workload: autoscalers, and tools that release versions.

Of what is ours they are in the way. Of a workload that a pool only refers to they are what acts now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recmodel.api.shown import shown
from recmodel.cluster import names

Identity = tuple[str, str]  # namespace, name
Acting = tuple[str, Identity]  # who acts: the kind's name, and which one
ActedOn = tuple[str | None, str, Identity]  # group (None: not told), kind and name of a workload

APPS = names.DEPLOYMENT.group
_OF_OLD = frozenset({"", APPS, "extensions"})  # where Deployment and StatefulSet are, or were

CANNOT_SCALE = "cannot scale now: "

# The kinds, and the field of theirs that names what they act on.
TARGET_FIELDS = {names.AUTOSCALER: "scaleTargetRef", names.CANARY: "targetRef", names.ARGO_ROLLOUT: "workloadRef"}


@dataclass(frozen=True, slots=True)
class Target:
    """What an autoscaler or a tool acts on; no name where that is nothing."""

    name: str | None
    kind: str = names.DEPLOYMENT.kind
    maker: str = ""  # kind and name of what made the object and keeps it: ScaledObject ranker-cpu
    hindrance: str = ""  # why an autoscaler cannot scale now: FailedGetResourceMetric
    group: str | None = APPS  # None: it is not told, so it may be any

    @property
    def notes(self) -> str:
        """What is to be said of it behind its name."""
        return "; ".join(filter(None, (self.maker, self.hindrance and f"{CANNOT_SCALE}{self.hindrance}")))


def target_of(kind: names.Kind, spec: Mapping[str, Any], maker: str = "") -> Target:
    """What an object of this kind acts on. ``ValueError`` where it names something and nobody could say what: then no tool
    acts on it either. A target whose kind is not a word may be a Deployment, so it counts as one.
    """
    field = TARGET_FIELDS[kind]
    target = spec.get(field)
    if target is None:
        return Target(None)
    found = target if isinstance(target, Mapping) else {}
    name, of, version = (found.get(key) for key in ("name", "kind", "apiVersion"))
    if not isinstance(name, str) or not name:
        if isinstance(of, str) and of not in names.REFERABLE:
            return Target(None)
        raise ValueError(f"spec.{field} is {shown(target)}: must name what it acts on")
    workload = of if isinstance(of, str) else names.DEPLOYMENT.kind
    return Target(name, workload, maker, group=group_of(version, workload))


def group_of(version: Any, kind: str) -> str | None:
    """Of an ``apiVersion``, which may be left out: None, it may be any group's. The version does not count, as one object is served in
    each.
    """
    told = version.rpartition("/")[0] if isinstance(version, str) else ""
    if kind in names.REFERABLE:
        return APPS if told in _OF_OLD else told
    return told or None


def does(who: str) -> str:
    """What one of ``acting_on`` does with its workload: a verb."""
    if not who.startswith(names.AUTOSCALER.kind):
        return "releases"
    return "is to scale" if CANNOT_SCALE in who else "scales"


class ConflictingControllers:
    """Which of them acts on which workload."""

    def __init__(self) -> None:
        self._acting: dict[Acting, tuple[ActedOn, str]] = {}  # on which workload, and what is said of it
        self._acted_on: dict[ActedOn, set[Acting]] = {}  # and back

    def see(self, kind: names.Kind, identity: Identity, target: Target) -> None:
        """One as it stands now: its target may be another one than before."""
        self.forget(kind, identity)
        if target.name is not None:
            workload = target.group, target.kind, (identity[0], target.name)
            self._acting[kind.kind, identity] = workload, target.notes
            self._acted_on.setdefault(workload, set()).add((kind.kind, identity))

    def forget(self, kind: names.Kind, identity: Identity) -> None:
        """One that is gone; others that act on the same workload stay."""
        found = self._acting.pop((kind.kind, identity), None)
        if found is not None:
            workload = found[0]
            self._acted_on[workload].discard((kind.kind, identity))
            if not self._acted_on[workload]:
                del self._acted_on[workload]

    def autoscaler(self, deployment: Identity) -> str | None:
        """Who scales a Deployment, as ``namespace/name``; the first by name where there are several."""
        found = [who for kind, who in self._on(deployment) if kind == names.AUTOSCALER.kind]
        return "/".join(min(found)) if found else None

    def releaser(self, deployment: Identity) -> str | None:
        """Who replaces a Deployment's pods or shifts its traffic, with its kind; the first where there are several."""
        found = [one for one in self._on(deployment) if one[0] != names.AUTOSCALER.kind]
        return f"{min(found)[0]} {'/'.join(min(found)[1])}" if found else None

    def acting_on(self, kind: names.Kind, workload: Identity) -> tuple[str, ...]:
        """All of them, by kind and name, each with what made it: ``HorizontalPodAutoscaler keda-hpa-a (ScaledObject a)``. See ``does``."""
        places: list[ActedOn] = [(group, kind.kind, workload) for group in (kind.group, None)]
        found = sorted(acting for place in places for acting in self._acted_on.get(place, ()))
        notes = [self._acting[one][1] for one in found]
        return tuple(
            f"{who} {name}" + (f" ({said})" if said else "")
            for (who, (_, name)), said in zip(found, notes, strict=True)
        )

    def _on(self, deployment: Identity) -> set[Acting]:
        return self._acted_on.get((APPS, names.DEPLOYMENT.kind, deployment), set())

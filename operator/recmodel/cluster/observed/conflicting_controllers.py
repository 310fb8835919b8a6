"""Somebody else's objects that act on a Deployment of ours: autoscalers, and tools that release versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recmodel.api.shown import shown
from recmodel.cluster import names

Identity = tuple[str, str]  # namespace, name

# The kinds, and the field of theirs that names the Deployment.
TARGET_FIELDS = {names.AUTOSCALER: "scaleTargetRef", names.CANARY: "targetRef", names.ARGO_ROLLOUT: "workloadRef"}


@dataclass(frozen=True, slots=True)
class Target:
    """The Deployment that an autoscaler or a tool acts on; no name where it acts on none."""

    name: str | None


def target_of(kind: names.Kind, spec: Mapping[str, Any]) -> Target:
    """What an object of this kind acts on. ``ValueError`` where it names something and nobody could say what: then no tool
    acts on it either. A target whose kind is not a word may be a Deployment, so it counts as one.
    """
    field = TARGET_FIELDS[kind]
    target = spec.get(field)
    if target is None:
        return Target(None)
    name, of = (target.get("name"), target.get("kind")) if isinstance(target, Mapping) else (None, None)
    if isinstance(of, str) and of != names.DEPLOYMENT.kind:
        return Target(None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"spec.{field} is {shown(target)}: must name what it acts on")
    return Target(name)


class ConflictingControllers:
    """Which of them acts on which Deployment."""

    def __init__(self) -> None:
        self._acting: dict[names.Kind, dict[Identity, Identity]] = {
            kind: {} for kind in TARGET_FIELDS
        }  # on Deployments
        self._acted_on: dict[Identity, set[tuple[str, Identity]]] = {}  # and back, with the kind's name

    def see(self, kind: names.Kind, identity: Identity, target: Target) -> None:
        """One as it stands now: its target may be another one than before."""
        self.forget(kind, identity)
        if target.name is not None:
            deployment = self._acting[kind][identity] = (identity[0], target.name)
            self._acted_on.setdefault(deployment, set()).add((kind.kind, identity))

    def forget(self, kind: names.Kind, identity: Identity) -> None:
        """One that is gone; others that act on the same Deployment stay."""
        deployment = self._acting[kind].pop(identity, None)
        if deployment is not None:
            self._acted_on[deployment].discard((kind.kind, identity))
            if not self._acted_on[deployment]:
                del self._acted_on[deployment]

    def autoscaler(self, deployment: Identity) -> str | None:
        """Who scales a Deployment, as ``namespace/name``; the first by name where there are several."""
        found = [who for kind, who in self._acted_on.get(deployment, ()) if kind == names.AUTOSCALER.kind]
        return "/".join(min(found)) if found else None

    def releaser(self, deployment: Identity) -> str | None:
        """Who replaces a Deployment's pods or shifts its traffic, with its kind; the first where there are several."""
        found = [one for one in self._acted_on.get(deployment, ()) if one[0] != names.AUTOSCALER.kind]
        return f"{min(found)[0]} {'/'.join(min(found)[1])}" if found else None

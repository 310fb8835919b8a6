"""Somebody else's objects that act on a Deployment of ours: autoscalers, and tools that release versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recmodel.cluster import names

Identity = tuple[str, str]  # namespace, name

# The kinds, and the field of theirs that names the Deployment.
TARGET_FIELDS = {names.AUTOSCALER: "scaleTargetRef", names.CANARY: "targetRef", names.ARGO_ROLLOUT: "workloadRef"}


class Rivals:
    """Which of them acts on which Deployment, by kind and both ways."""

    def __init__(self) -> None:
        self._targets: dict[names.Kind, dict[Identity, Identity]] = {kind: {} for kind in TARGET_FIELDS}
        self._acting: dict[names.Kind, dict[Identity, Identity]] = {kind: {} for kind in TARGET_FIELDS}  # and back

    def see(self, kind: names.Kind, identity: Identity, obj: Mapping[str, Any]) -> None:
        """One as it stands now: its target may be another one than before."""
        self.forget(kind, identity)
        target = obj["spec"].get(TARGET_FIELDS[kind]) or {}
        if target.get("kind") == names.DEPLOYMENT.kind:
            deployment = (identity[0], target["name"])
            self._targets[kind][identity] = deployment
            self._acting[kind][deployment] = identity

    def forget(self, kind: names.Kind, identity: Identity) -> None:
        """One that is gone."""
        deployment = self._targets[kind].pop(identity, None)
        if deployment:
            self._acting[kind].pop(deployment, None)

    def known(self, kind: names.Kind) -> list[Identity]:
        """Those of a kind that act on a Deployment."""
        return list(self._targets[kind])

    def autoscaler(self, deployment: Identity) -> str | None:
        """Who scales a Deployment, as ``namespace/name``."""
        found = self._acting[names.AUTOSCALER].get(deployment)
        return "/".join(found) if found else None

    def releaser(self, deployment: Identity) -> str | None:
        """Who replaces a Deployment's pods or shifts its traffic, with its kind; the first where there are several."""
        acting = {kind: by.get(deployment) for kind, by in self._acting.items() if kind != names.AUTOSCALER}
        return next((f"{kind.kind} {'/'.join(found)}" for kind, found in acting.items() if found), None)

"""Whether an object comes from Git, by a tool that makes it again or sets its fields back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recmodel.cluster.observed.shapes import Listed, Said, Shape, Texts

ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
ARGO_INSTANCE = "argocd.argoproj.io/instance"
FLUX = {"kustomize.toolkit.fluxcd.io/name": "Kustomization", "helm.toolkit.fluxcd.io/name": "HelmRelease"}
HELM = "meta.helm.sh/release-name"
MANAGERS = {"argocd": "Argo CD", "kustomize-controller": "Flux", "helm-controller": "Flux"}  # how their names begin


class Field(Shape):
    """Who owns fields of an object."""

    manager: Said = ""


class Metadata(Shape):
    """What tells where an object comes from."""

    labels: Texts = {}
    annotations: Texts = {}
    managed_fields: Listed[Field] = []


class Kept(Shape):
    """An object that somebody may keep as Git has it."""

    metadata: Metadata = Metadata()


@dataclass(frozen=True, slots=True)
class Origin:
    """The tool, and its object where it is known: ``Flux``, ``Kustomization shop``."""

    tool: str
    of: str = ""

    @property
    def shown(self) -> str:
        """Both."""
        return f"{self.tool} ({self.of})" if self.of else self.tool

    @property
    def where(self) -> str:
        """Where it has it."""
        return "in its chart" if self.tool == "Helm" else "in Git"

    @property
    def next_time(self) -> str:
        """When it acts."""
        return "the next helm upgrade" if self.tool == "Helm" else "its next sync"


def origin(body: Mapping[str, Any]) -> Origin | None:
    """Which tool keeps an object; None where nothing shows one, as after a plain ``kubectl apply``."""
    try:
        metadata = Kept.model_validate(body).metadata
    except ValueError:
        return None
    labels, notes = metadata.labels, metadata.annotations
    if application := notes.get(ARGO_TRACKING, "").partition(":")[0] or labels.get(ARGO_INSTANCE):
        return Origin("Argo CD", f"Application {application}")
    for label, kind in FLUX.items():
        if label in labels:
            return Origin("Flux", f"{kind} {labels[label]}")
    managers = [entry.manager for entry in metadata.managed_fields]
    for begins, tool in MANAGERS.items():
        if any(manager.startswith(begins) for manager in managers):
            instance = labels.get("app.kubernetes.io/instance", "") if tool == "Argo CD" else ""
            return Origin(tool, f"Application {instance}" if instance else "")
    if HELM in notes:
        return Origin("Helm", f"release {notes[HELM]}")
    return None

"""What the operator's account must be allowed to do, by the chart's value ``rights``. The chart's roles grant exactly this, and a
test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from recmodel.cluster.scale_targets import ScaleTarget

# ``act``: it makes pools and changes them; ``observe``: it looks at what runs, and writes only of itself.
Rights = Literal["act", "observe"]

READ = ("list", "watch")
KEPT = ("get", "list", "watch", "create", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Right:
    """Some verbs on one resource: ``deployments/scale`` of group ``apps``; ``""`` is the core group."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()  # only objects of these names; empty: all

    @property
    def shown(self) -> str:
        """For messages: ``deployments/scale.apps``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


CLAIMS = ("recmodel.dev", "all.recmodel.dev")
NEEDED: tuple[Right, ...] = (
    Right("recmodel.dev", "recmodels", READ),
    Right("recmodel.dev", "recmodels/status", ("patch",)),
    Right("recmodel.dev", "recmodels/finalizers", ("update",)),
    Right("apps", "deployments", KEPT),
    Right("apps", "deployments/scale", ("patch",)),
    Right("apps", "statefulsets", READ),
    Right("apps", "statefulsets/scale", ("patch",)),
    Right("", "services", KEPT),
    Right("policy", "poddisruptionbudgets", KEPT),
    Right("gateway.networking.k8s.io", "httproutes", KEPT),
    Right("gateway.networking.k8s.io", "grpcroutes", KEPT),
    Right("monitoring.coreos.com", "podmonitors", KEPT),
    Right("", "pods", READ),
    Right("autoscaling", "horizontalpodautoscalers", READ),
    Right("", "configmaps", READ),
    Right("batch", "jobs", ("list", "watch", "create")),
    Right("flagger.app", "canaries", READ),
    Right("argoproj.io", "rollouts", READ),
    Right("", "events", ("create",)),
    Right("coordination.k8s.io", "leases", ("get", "update"), CLAIMS),
    Right("coordination.k8s.io", "leases", ("create",)),
)
# With handback: to restore what was handed over when the RecModel is deleted.
HANDING_BACK: tuple[Right, ...] = (
    Right("autoscaling", "horizontalpodautoscalers", ("create",)),
    Right("keda.sh", "scaledobjects", ("list", "patch")),
    Right("", "configmaps", ("delete",)),
)
# With node buffers: to keep nodes ahead of need.
BUFFERING: tuple[Right, ...] = (Right("autoscaling.x-k8s.io", "capacitybuffers", KEPT),)
# What it writes of itself, and cannot do without: its report, and which operator acts.
OWN = frozenset({"recmodels/status", "events", "leases"})


def needed(
    rights: Rights, handback: bool = False, targets: Iterable[ScaleTarget] = (), node_buffers: bool = False
) -> tuple[Right, ...]:
    """All that it does with these rights: with ``observe`` it reads what it watches, and writes its report and the Leases.
    ``targets`` are further kinds that pools may refer to.
    """
    buffering = BUFFERING if node_buffers and rights == "act" else ()
    return (*_own(rights, handback), *buffering, *(right for target in targets for right in _of(target, rights)))


def _of(target: ScaleTarget, rights: Rights) -> tuple[Right, Right]:
    verbs = ("get", "patch") if rights == "act" else ("get",)
    return Right(target.group, target.resource, READ), Right(target.group, f"{target.resource}/scale", verbs)


def _own(rights: Rights, handback: bool) -> tuple[Right, ...]:
    if rights == "act":
        return (*NEEDED, *HANDING_BACK) if handback else NEEDED
    kept = (right if right.resource in OWN else replace(right, verbs=_read(right)) for right in NEEDED)
    return tuple(right for right in kept if right.verbs)


def _read(right: Right) -> tuple[str, ...]:
    return tuple(verb for verb in right.verbs if verb in READ)

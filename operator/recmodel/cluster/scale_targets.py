"""Which kinds beside Deployment and StatefulSet a pool may refer to: the operator's setting, the chart's value ``scaleTargets``.

The setting says which resource each kind is. So what the admission policy asks the author's right for, what the role grants, and
what is scaled are one and the same, whatever the API server calls it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import StringConstraints

from recmodel.api.text import KindName
from recmodel.cluster.names import REFERABLE, Kind

APPS = "apps"
Group = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([-.]+[a-z0-9]+)*$", max_length=253)]
Resource = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-+[a-z0-9]+)*$", max_length=63)]


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """A kind with a scale subresource: its API group, its name, and its resource, as ``rollouts``."""

    group: Group
    kind: KindName
    resource: Resource


def named(group: str, kind: str) -> str:
    """A kind with its group, for messages: ``Rollout.argoproj.io``."""
    return f"{kind}.{group}" if group != APPS else kind


def kind_of(api_version: str, kind: str) -> Kind:
    """The kind of a ``targetRef``. Which resource another kind than Deployment and StatefulSet is says the setting: it has no plural."""
    unnamed = Kind(kind, api_version, "")
    return REFERABLE.get(kind, unnamed) if unnamed.group == APPS else unnamed


class Referable:
    """What a ``targetRef`` may be by the setting."""

    def __init__(self, targets: Iterable[ScaleTarget] = ()) -> None:
        self._resources = {(target.group, target.kind): target.resource for target in targets}

    def served(self, kind: Kind) -> Kind:
        """The kind as its resource; without a plural where the setting does not name it."""
        return kind if kind.plural else replace(kind, plural=self._resources.get((kind.group, kind.kind), ""))

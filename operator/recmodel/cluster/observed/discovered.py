"""What the API server says of a kind: whether it serves it, as which resource, and with a scale subresource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recmodel.api.shown import shown
from recmodel.cluster.names import Kind


def resource_of(kind: Kind, resources: Sequence[Mapping[str, Any]]) -> str | None:
    """The resource of a kind of one group and version, of all that is served of them; None where it is not."""
    found = (one.get("name") for one in resources if one.get("kind") == kind.kind)
    return next((name for name in found if isinstance(name, str) and "/" not in name), None)


def preferred_version(group: Mapping[str, Any]) -> str | None:
    """The group and version that the API server prefers of a group, as it describes it; None where it does not say."""
    preferred = group.get("preferredVersion")
    found = preferred.get("groupVersion") if isinstance(preferred, Mapping) else None
    return found if isinstance(found, str) and "/" in found else None


def named_by(word: str, group_version: str, resources: Sequence[Mapping[str, Any]]) -> Kind | None:
    """The kind that somebody calls so, as kubectl understands it: by its name, its resource, the singular, or a short name."""
    sought = word.lower()
    for one in resources:
        kind, name = one.get("kind"), one.get("name")
        if not isinstance(kind, str) or not isinstance(name, str) or "/" in name:
            continue
        shorts = one.get("shortNames")
        words = {kind.lower(), name, one.get("singularName"), *(shorts if isinstance(shorts, list) else ())}
        if sought in words:
            return Kind(kind, group_version, name)
    return None


def unscalable(kind: Kind, resources: Sequence[Mapping[str, Any]]) -> str | None:
    """Why no pool can refer to objects of this kind, and the way out; None where one can. ``kind.plural`` is what the operator's
    setting says.
    """
    which = f"{kind.kind} of {kind.group_version}"
    resource = resource_of(kind, resources)
    if resource is None:
        return f"the cluster serves no {which}: install it, or correct the pool's targetRef"
    if resource != kind.plural:
        return (
            f"the operator's setting scaleTargets says that {which} is the resource {kind.plural}, and the cluster serves it as "
            f"{shown(resource)}: correct the setting"
        )
    by_name = {one.get("name"): one for one in resources}
    if by_name[resource].get("namespaced") is not True:
        return f"{which} is not of a namespace, and a pool refers to what runs in its own: refer to another workload"
    if f"{resource}/scale" not in by_name:
        return f"{which} has no scale subresource, so nobody can scale it: refer to the workload that it makes, or to another one"
    return None

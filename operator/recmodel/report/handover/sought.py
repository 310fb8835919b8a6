"""Which objects are looked at: the workloads and the routes that a RecModel refers to, or that its store names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recmodel.api.shown import shown
from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.scale_targets import APPS, kind_of
from recmodel.report.adopted_shapes import read
from recmodel.report.handover.shapes import RecModelShape
from recmodel.report.handover.store import Stored
from recmodel.report.handover.weights import KINDS


def backing(store: Stored | None) -> set[tuple[Kind, str]]:
    """The workloads that answer the requests of the rule that is stored."""
    named = (text.partition(" ") for text in (store.rule.workloads.values() if store and store.rule else ()))
    return {(names.REFERABLE[kind], name) for kind, _, name in named if kind in names.REFERABLE}


def route_refs(recmodel: Mapping[str, Any] | None, store: Stored | None) -> set[tuple[str, str]]:
    """Kind and name of the routes that count: the one that the RecModel refers to, and the one that is stored."""
    found = {(store.rule.kind, store.rule.name)} if store is not None and store.rule is not None else set()
    try:
        ref = read(RecModelShape, recmodel or {}, "it").spec.route.ref
    except ValueError:  # which is told when the rest is read
        return found
    return found | ({(ref.kind, ref.name)} if ref is not None and ref.kind in KINDS else set())


def targets(recmodel: Mapping[str, Any], key: str) -> list[tuple[Kind, str]]:
    """The workloads that pools refer to; ``ValueError`` where no pool refers to any. Which resource another kind than Deployment and
    StatefulSet is says the API server.
    """
    shape = read(RecModelShape, recmodel, f"RecModel {key}")
    if all(pool.target_ref is None for pool in shape.spec.pools):
        pools = ", ".join(pool.name for pool in shape.spec.pools) or "(it has none)"
        raise ValueError(
            f"RecModel {key} has no targetRef in pool {pools}: the operator has made what it scales, so there is nothing to hand over"
        )
    refs = [pool.target_ref for pool in shape.spec.pools if pool.target_ref is not None]
    kinds = [kind_of(ref.api_version or names.DEPLOYMENT.group_version, ref.kind) for ref in refs]
    strange = [kind for kind in kinds if not kind.plural and (kind.group in ("", APPS) or not kind.kind)]
    if strange:
        raise ValueError(
            f"RecModel {key} refers to a {shown(strange[0].kind)} of {shown(strange[0].group_version)}, which no pool can refer to"
        )
    return [(kind, ref.name) for kind, ref in zip(kinds, refs, strict=True)]

"""Why the weights of a rule that a RecModel refers to are not set in mode Auto, beside what is wrong with the route, and the way out.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from recmodel.api.route import RouteRef
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.core.types import Reason
from recmodel.report.reference_holds import ANOTHER_RECMODEL, overwritten

GROUP = "gateway.networking.k8s.io"


def unrouted(pools: Mapping[str, PoolState]) -> Reason | None:
    """What keeps the weights of the rule from being set, or may; it is the same for all pools."""
    routed = [state.reference.routed for state in pools.values() if state.reference is not None]
    told = ((one.held, one.contested) for one in routed if one is not None)
    return next((found for held, by in told if (found := held or (by.said if by is not None else None))), None)


def held(ref: RouteRef, older: str | None) -> Reason | None:
    """That an older RecModel, ``older``, sets the weights of the rule; None: nobody else does."""
    if older is None:
        return None
    return Reason(
        ANOTHER_RECMODEL,
        f"RecModel {older} sets the weights of {ref.shown}, too, and is older, so they are left alone here: set mode: Recommend in one "
        "of the two, or delete one",
    )


def contested(ref: RouteRef, writers: tuple[str, ...]) -> Reason:
    """Who wrote over the weights of the rule, by the field managers that own the rules now, and what keeps it from that."""
    return overwritten(f"the weights of {ref.shown}", writers, _left_alone(ref, writers))


def _left_alone(ref: RouteRef, writers: tuple[str, ...]) -> str:
    """The lines for the tool, by the field manager that it is known by."""
    backends = f"/spec/rules/{ref.rule}/backendRefs"
    if any(writer.startswith("argocd") for writer in writers):
        query = f".spec.rules[{ref.rule}].backendRefs[].weight"
        return (
            f'put ignoreDifferences: [{{group: {GROUP}, kind: {ref.kind}, name: {ref.name}, jqPathExpressions: ["{query}"]}}] into the '
            "spec of its Argo CD Application, and RespectIgnoreDifferences=true into syncPolicy.syncOptions"
        )
    if "kustomize-controller" in writers:
        return (
            f"annotate {ref.kind} {ref.name} in Git with kustomize.toolkit.fluxcd.io/ssa: IfNotPresent, with which its Flux Kustomization "
            "creates it and leaves it alone afterwards, since rules can only be applied as a whole"
        )
    if "helm-controller" in writers:
        return (
            f'put driftDetection: {{mode: enabled, ignore: [{{paths: ["{backends}"], target: {{kind: {ref.kind}, name: {ref.name}}}}}]}} '
            "into the spec of its Flux HelmRelease"
        )
    return "have it leave these weights alone"

"""Why a workload that a pool refers to is not scaled in mode Auto, and the way out: somebody else scales or releases it, or writes
over its replicas. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from recmodel.cluster import names
from recmodel.cluster.observed.conflicting_controllers import does
from recmodel.cluster.observed.pool_state import Reference
from recmodel.core.types import Reason
from recmodel.report.pool_problems import ANOTHER_AUTOSCALER, ANOTHER_RELEASER

# Reasons of conditions. API: never renamed.
ANOTHER_RECMODEL = "AnotherRecModel"
CONTESTED = "Contested"
SCALERS_UNKNOWN = "ScalersUnknown"

_SCALED_OBJECT = re.compile(r"\((ScaledObject [^\s;)]+)")


def held(reference: Reference, older: str | None, unlisted: Sequence[str] = ()) -> Reason | None:
    """Who scales or releases the workload; None: nobody, so it is ours to scale. ``older`` is the name of an older RecModel that
    acts on it, ``unlisted`` are the kinds of which it is not known whether one does.
    """
    shown = reference.shown
    scalers = [who for who in reference.acting if who.startswith(names.AUTOSCALER.kind)]
    # An autoscaler comes last: whoever takes it away must know that nothing else keeps us from scaling.
    if len(scalers) < len(reference.acting):
        releasers = ", ".join(who for who in reference.acting if who not in scalers)
        too = "".join(f", and {who} {does(who)} it, too" for who in scalers)
        return Reason(
            ANOTHER_RELEASER,
            f"{releasers} releases {shown}, so its replicas are left alone: delete it, or set mode: Recommend{too}",
        )
    if reference.made_by is not None:
        return Reason(
            ANOTHER_RECMODEL,
            f"{shown} is made and scaled by RecModel {reference.made_by}, so its replicas are left alone: refer to another "
            "workload, or set mode: Recommend",
        )
    if older is not None:
        return Reason(
            ANOTHER_RECMODEL,
            f"RecModel {older} scales {shown}, too, and is older, so its replicas are left alone here: set mode: Recommend in "
            "one of the two, or delete one",
        )
    if unlisted:
        kinds = ", ".join(unlisted)
        return Reason(
            SCALERS_UNKNOWN,
            f"it is not known whether somebody else scales or releases {shown}, so its replicas are left alone: let the operator's "
            f"account list and watch {kinds}",
        )
    if scalers:
        outs = "; ".join(dict.fromkeys(_handed_over(who) for who in scalers))
        said = ", and ".join(f"{who} {does(who)} {shown}" for who in scalers)
        return Reason(ANOTHER_AUTOSCALER, f"{said}, so its replicas are left alone: {outs}")
    return None


def contested(reference: Reference, name: str) -> Reason:
    """Who wrote over the replicas of the workload ``name``, by the field managers that own them now, and what keeps it from that."""
    writers = reference.replicas_holders
    field = reference.replicas_at.strip("/").replace("/", ".")
    return overwritten(f"{field} of {reference.shown}", writers, _left_alone(reference, name, writers))


def overwritten(what: str, writers: Sequence[str], way_out: str) -> Reason:
    """That the field managers ``writers`` keep writing over what was written here, and the way out beside mode Recommend."""
    who = f"the field manager {' and '.join(writers)}" if writers else "somebody"
    return Reason(
        CONTESTED,
        f"{who} keeps writing over {what}: they are written at growing intervals of up to ten minutes, and left alone meanwhile; "
        f"{way_out}, or set mode: Recommend",
    )


def _handed_over(who: str) -> str:
    if found := _SCALED_OBJECT.search(who):
        return (
            f'run recmodel handover, or pause {found[1]} (annotation autoscaling.keda.sh/paused: "true"), or delete it'
        )
    return f"run recmodel handover, which keeps what it is, or delete {who.partition(' (')[0]}"


def _left_alone(reference: Reference, name: str, writers: tuple[str, ...]) -> str:
    """The lines for the tool, by the field manager that it is known by."""
    kind = reference.shown.partition(" ")[0]
    pointer = f'"{reference.replicas_at}"'
    if any(writer.startswith("argocd") for writer in writers):
        ignored = f"{{group: {reference.group}, kind: {kind}, name: {name}, jsonPointers: [{pointer}]}}"
        return (
            f"put ignoreDifferences: [{ignored}] into the spec of its "
            "Argo CD Application, and RespectIgnoreDifferences=true into syncPolicy.syncOptions"
        )
    if "kustomize-controller" in writers:
        patch = f'patch: \'[{{"op": "remove", "path": {pointer}}}]\''
        return f"put patches: [{{target: {{kind: {kind}, name: {name}}}, {patch}}}] into the spec of its Flux Kustomization"
    if "helm-controller" in writers:
        return (
            f"put driftDetection: {{mode: enabled, ignore: [{{paths: [{pointer}], target: {{kind: {kind}, name: {name}}}}}]}} into the "
            "spec of its Flux HelmRelease"
        )
    return f"have it leave {reference.replicas_at.strip('/').replace('/', '.')} alone"

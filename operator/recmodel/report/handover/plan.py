"""The plan: from what stands to the steps that hand over or back.

Handing over, the mode becomes ``Auto`` before an autoscaler goes. The operator leaves alone each workload that another scales. So it
begins with one as soon as its autoscaler is gone, and an operator that does not act is noticed before anything was taken away. Handing
back is the mirror image: the autoscalers first, then the mode. Where the operator has set weights, too, the mode comes first, then the
weights, then the autoscalers: one of them may take to 0 what has no share any more.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from recmodel.cluster import names
from recmodel.cluster.observed.objects import uid_of
from recmodel.report.handover import warnings
from recmodel.report.handover.carried import carried, gone_on_with
from recmodel.report.handover.found import PAUSED, Autoscaler, Pool, ScaledObject, Standing, does
from recmodel.report.handover.guards import taken
from recmodel.report.handover.rule_steps import restoring_rule, rule_kept, rule_stored, rule_to_store
from recmodel.report.handover.steps import AUTO, Step, Wait, Write
from recmodel.report.handover.store import (
    KEEP,
    RESTORE,
    Stored,
    config_map,
    difference,
    leaving,
    restorable,
    store_name,
)

RECOMMEND = "Recommend"
ON_DELETE = {
    RESTORE: "Deleting the RecModel restores what is stored as well, unless the operator's chart has handback: false or no admission "
    "policies: then hand back before you delete it.",
    KEEP: "Deleting the RecModel gives nothing back: hand back before you delete it.",
}
NOT_ACTING = (RECOMMEND, "Paused")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. ``settled``: what is said where that is nothing; ``then``: what is so when all is done."""

    command: str  # handover or handback
    standing: Standing
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    settled: str
    then: str
    different: bool = False  # something is not as it is stored, or may not stay so: the store stays

    @property
    def key(self) -> str:
        """Namespace and name."""
        return f"{self.standing.namespace}/{self.standing.name}"


def hand_over(found: Standing, on_delete: str = RESTORE) -> Plan:
    """From the autoscalers to the operator; ``ValueError`` where that cannot be, with the way out. ``on_delete`` is what deleting the
    RecModel does with what is stored.
    """
    before = gone_on_with(found)
    for why in found.unrouted.values():
        raise ValueError(why)
    for pool in found.pools:
        _handable(found, pool)
    going = [one for pool in found.pools for one in pool.autoscalers]
    pausing = [one for pool in found.pools for one in pool.scaled_objects if one.scales]
    of_keda = [name for pool in found.pools for one in pool.scaled_objects for name in one.autoscalers]
    steps = [*_storing(found, before, going, pausing, on_delete)]
    if found.mode != AUTO:
        steps.append(_mode(found, AUTO, "the operator leaves alone each workload that another scales"))
    if steps or going or pausing:
        steps.append(_noted(found, bool(going or of_keda)))
    for scaled in pausing:
        steps.append(_pause(found.namespace, scaled))
    steps += map(_of_keda_gone, of_keda)
    steps += [_removal(found.namespace, autoscaler) for autoscaler in going]
    if steps:
        otherwise = "The replicas stay as they are until then"
        steps.append(Wait("scaled", names.RECMODEL, found.name, "wait until the operator scales the pools", otherwise))
    return Plan(
        "handover", found, tuple(steps), tuple(warnings.of_handover(found, going, pausing, rule_to_store(found, before))),
        f"RecModel {found.namespace}/{found.name} is handed over: its mode is Auto, and no autoscaler scales its pools.",
        f"The operator scales from here on, beginning with the replicas that run. {ON_DELETE[on_delete]}",
    )  # fmt: skip


def hand_back(found: Standing) -> Plan:
    """From the operator to what was there before."""
    stored = found.store or Stored()
    there = {name: body for name, body in found.autoscalers.items() if not leaving(body)}
    different = {
        name: changed
        for name, body in stored.autoscalers.items()
        if name in there and (changed := difference(restorable(there[name]), body))
    }
    kept_weights = rule_kept(found, stored)
    restoring: list[Step] = [*restoring_rule(found, stored), *_restoring(found, stored)]
    steps: list[Step] = [*restoring]
    if found.mode == AUTO:
        mode = stored.mode if stored.mode in NOT_ACTING else RECOMMEND
        left = "the operator leaves the replicas alone from then on"
        # Before weights that the operator would set again at once; after autoscalers, so that something scales all the time.
        steps.insert(0 if stored.rule is not None else len(steps), _mode(found, mode, left))
    if stored.uid and not different and not kept_weights:
        steps.append(_forget(found, stored))
    nothing = (
        f"ConfigMap {found.namespace}/{store_name(found.name)} is not there, so nothing is stored to be given back"
    )
    if found.mode is None:
        nothing += f"; there is no RecModel {found.namespace}/{found.name} either"
    kept = []
    if different:
        kept.append(f"What stands differs from what is stored, and was left as it is: {', '.join(different)}.")
    if stored.rule is not None and kept_weights:
        kept.append(f"The weights of {stored.rule.shown} are left as they are, and stay stored.")
    return Plan(
        "handback", found, tuple(steps), tuple(warnings.of_handback(found, stored, different)),
        " ".join(kept) or f"{nothing}.", _then(found, bool(restoring)), bool(kept),
    )  # fmt: skip


def _handable(found: Standing, pool: Pool) -> None:
    """``ValueError`` where this pool cannot be handed over."""
    if pool.replicas is None:
        raise ValueError(
            f"pool {pool.name} of RecModel {found.namespace}/{found.name}: there is no {pool.workload}: create it, or take the pool out"
        )
    for autoscaler in pool.autoscalers:
        if autoscaler.maker:
            raise ValueError(
                f"HorizontalPodAutoscaler {autoscaler.name} is made and kept by {autoscaler.maker}, which would make it again: have "
                "that scale nothing, then run this again"
            )
    for scaled in pool.scaled_objects:
        if scaled.held is not None:
            raise ValueError(
                f"ScaledObject {scaled.name} holds {pool.workload} at {scaled.held} replicas by its annotation "
                f"autoscaling.keda.sh/paused-replicas: run kubectl -n {found.namespace} annotate scaledobject {scaled.name} "
                "autoscaling.keda.sh/paused-replicas- first"
            )


def _storing(
    found: Standing, before: Stored, going: list[Autoscaler], pausing: list[ScaledObject], on_delete: str
) -> Iterator[Step]:
    """What stands now replaces what was stored of the same name or workload, and what somebody else has paused since is not ours
    to go on with; what is gone stays stored.
    """
    of = [one.body["spec"].get("scaleTargetRef") for one in going if one.name not in before.autoscalers]
    gone = {name: body for name, body in before.autoscalers.items() if body["spec"].get("scaleTargetRef") not in of}
    theirs = {one.name for one in found.scaled_objects.values() if one.paused and not one.ours}
    now = Stored(
        {**gone, **{one.name: one.body for one in going}},
        {**{n: p for n, p in before.paused.items() if n not in theirs}, **{one.name: one.pause for one in pausing}},
        before.mode or (found.mode if found.mode in NOT_ACTING else "") or "",
        on_delete,
        rule_to_store(found, before),
        uid_of(found.recmodel) or "",
    )
    unchanged = (now.autoscalers, now.paused, now.rule) == (before.autoscalers, before.paused, before.rule)
    if unchanged and (before.on_delete == on_delete if before.uid else not (now.autoscalers or now.paused)):
        return
    body, name = config_map(found.namespace, found.name, now), store_name(found.name)
    what = [f"HorizontalPodAutoscaler {one.name}" for one in going]
    what += [f"the pause annotation of ScaledObject {one.name} ({one.pause or 'none'})" for one in pausing]
    what += filter(None, [rule_stored(found, now, before)])
    by_hand = "; ".join(
        f"kubectl -n {found.namespace} get horizontalpodautoscaler {one.name} -o yaml > {one.name}.yaml" for one in going
    ) or f"kubectl -n {found.namespace} create configmap {name}"  # fmt: skip
    said = f"store {' and '.join(what) or 'what is still to be given back'} in ConfigMap {name}"
    if kept := carried(now, before, going, pausing):
        said += f", which keeps what it holds: {', '.join(kept)}"
    if before.uid:
        seen = {"uid": before.uid, "resourceVersion": before.version}
        notes = {"annotations": body["metadata"]["annotations"]}
        yield Write(
            "patch", names.CONFIG_MAP, name, said, by_hand, {"metadata": {**seen, **notes}, "data": body["data"]}
        )
    else:
        yield Write("create", names.CONFIG_MAP, name, said, by_hand, body)


def _mode(found: Standing, mode: str, why: str) -> Write:
    by_hand = (
        f'kubectl -n {found.namespace} patch recmodel {found.name} --type merge -p \'{{"spec":{{"mode":"{mode}"}}}}\''
    )
    said = f"set spec.mode of RecModel {found.name} from {found.mode} to {mode}: {why}"
    return Write("patch", names.RECMODEL, found.name, said, by_hand, {"spec": {"mode": mode}})


def _noted(found: Standing, autoscaled: bool) -> Wait:
    return Wait(
        "left alone" if autoscaled else "noted", names.RECMODEL, found.name,
        "wait until the operator has taken note" + (", and says that it leaves alone what another scales" if autoscaled else ""),
        "This run touched no autoscaler: those that stand scale as before. In the operator's pod `recmodel doctor "
        f"{found.namespace}/{found.name}` says what is wrong",
    )  # fmt: skip


def _pause(namespace: str, scaled: ScaledObject) -> Write:
    return Write(
        "patch", names.SCALED_OBJECT, scaled.name,
        f'pause ScaledObject {scaled.name} by the annotation {PAUSED}: "true", with which KEDA keeps the replicas',
        f"kubectl -n {namespace} annotate --overwrite --field-manager={names.HANDING_OVER} scaledobject {scaled.name} {PAUSED}=true",
        {"metadata": {"annotations": {PAUSED: "true"}}}, takes=taken(scaled.pause),
    )  # fmt: skip


def _of_keda_gone(autoscaler: str) -> Wait:
    return Wait(
        "gone", names.AUTOSCALER, autoscaler, f"wait until KEDA has removed HorizontalPodAutoscaler {autoscaler}",
        "It scales until then. See whether KEDA runs, and is 2.12 or later: older ones do not know the annotation",
    )  # fmt: skip


def _removal(namespace: str, autoscaler: Autoscaler) -> Write:
    name = autoscaler.name
    return Write(
        "delete", names.AUTOSCALER, name, f"delete HorizontalPodAutoscaler {name}: the replicas stay as they are",
        f"kubectl -n {namespace} delete horizontalpodautoscaler {name}", uid=autoscaler.uid, takes=autoscaler.body,
    )  # fmt: skip


def _then(found: Standing, restored: bool) -> str:
    """What is so when all was handed back."""
    said = "The replicas are as the operator left them"
    if restored:
        return f"{said}; what was restored takes them from there."
    scaled = not found.pools or any(pool.scaled for pool in found.pools)
    return f"{said}{'' if scaled else ', and nothing scales them now'}."


def _restoring(found: Standing, stored: Stored) -> Iterator[Step]:
    for name, body in stored.autoscalers.items():
        standing = found.autoscalers.get(name)
        if standing is not None and leaving(standing):
            yield Wait(
                "gone", names.AUTOSCALER, name, f"wait until HorizontalPodAutoscaler {name}, which is being deleted, is gone",
                "It is created again when it is gone",
            )  # fmt: skip
        if standing is None or leaving(standing):
            target = body["spec"].get("scaleTargetRef") or {}
            yield Write(
                "create", names.AUTOSCALER, name,
                f"create HorizontalPodAutoscaler {name} as it was stored: {target.get('kind')} {target.get('name')}, {does(body)}",
                f"kubectl -n {found.namespace} get configmap {store_name(found.name)} -o jsonpath='{{.data.autoscalers\\.json}}' | "
                "kubectl create -f -",
                body, follows=standing is not None,
            )  # fmt: skip
    for name, before in stored.paused.items():
        unread = ScaledObject(name, "true", ours=True) if found.keda_unread else ScaledObject(name)
        scaled = found.scaled_objects.get(name, unread)
        if scaled.paused and scaled.ours:
            value = shlex.quote(f"{PAUSED}={before}") if before is not None else f"{PAUSED}-"
            yield Write(
                "patch", names.SCALED_OBJECT, name, f"go on with ScaledObject {name}: its annotation {PAUSED} "
                + ("is removed" if before is None else f"becomes {before!r} again"),
                f"kubectl -n {found.namespace} annotate --overwrite scaledobject {name} {value}",
                {"metadata": {"annotations": {PAUSED: before}}},
            )  # fmt: skip


def _forget(found: Standing, stored: Stored) -> Write:
    name = store_name(found.name)
    return Write(
        "delete", names.CONFIG_MAP, name, f"delete ConfigMap {name}", f"kubectl -n {found.namespace} delete configmap {name}",
        uid=stored.uid, version=stored.version,
    )  # fmt: skip

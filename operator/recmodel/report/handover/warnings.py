"""What to look at before a plan is carried out: what comes from Git, limits, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recmodel.cluster import names
from recmodel.report.handover.found import PAUSED, Autoscaler, Pool, ScaledObject, Standing
from recmodel.report.handover.origin import origin
from recmodel.report.handover.others import acting_on
from recmodel.report.handover.rule_steps import not_known, rule_kept, under_another
from recmodel.report.handover.steps import AUTO, kept_from_scaling
from recmodel.report.handover.store import Stored, leaving, store_name
from recmodel.report.handover.weights import StoredRule, by_hand, elsewhere, may_be_ours


def of_handover(
    found: Standing, going: Sequence[Autoscaler], pausing: Sequence[ScaledObject], rule: StoredRule | None
) -> Iterator[str]:
    """Before handing over. ``rule``: the weights that are stored then."""
    for autoscaler in going:
        body = found.autoscalers[autoscaler.name]
        if kept := origin(body):
            yield (
                f"{kept.shown} has HorizontalPodAutoscaler {autoscaler.name} {kept.where} and makes it again at {kept.next_time}; then it "
                f"scales, and the operator leaves the pool alone. Remove it {kept.where} right after this"
            )
        refs = body["metadata"].get("ownerReferences") or []
        owners = [f"{owner.get('kind')} {owner.get('name')}" for owner in refs if isinstance(owner, Mapping)]
        if owners:
            yield (
                f"HorizontalPodAutoscaler {autoscaler.name} belongs to {', '.join(owners)}, and is restored without that: it may be "
                "another object by then"
            )
    for scaled in pausing:
        if kept := origin(scaled.body):
            yield (
                f"{kept.shown} has ScaledObject {scaled.name} {kept.where}, and {kept.next_time} may go on with it. Add the annotation "
                f'{PAUSED}: "true" there'
            )
    yield from _of_rule(found, rule)
    yield from _stored_otherwise(found, rule)
    yield from _mode(found, "Auto")
    for pool in found.pools:
        yield from _of_pool(pool)
    said = kept_from_scaling(found.recmodel)
    if said and not (going or pausing) and found.mode == AUTO:
        yield f"the operator scales nothing of it: {said}"
    if found.keda_unread:
        yield _unread(found, "a ScaledObject that has no HorizontalPodAutoscaler yet is not seen")


def _of_rule(found: Standing, rule: StoredRule | None) -> Iterator[str]:
    if found.rule is not None and (kept := origin(found.routes[found.rule.kind, found.rule.name])):
        yield (
            f"{kept.shown} has {found.rule.kind} {found.rule.name} {kept.where}, and {kept.next_time} may set its weights back. Let it "
            "leave them alone: docs/attach.md, From Git"
        )
    fresh = found.rule is not None and rule is not None and rule.same(found.rule) and not _stored_already(found, rule)
    if found.rule is not None and (acting := acting_on(found.rule, found.others)):
        stored = ", and those that are stored may be of its making" if fresh else ""
        yield (
            f"{acting} refers to {found.rule.shown}, too, in mode Auto: only the older one sets its weights{stored}. Hand it back first, "
            "or set mode: Recommend in it"
        )
    elif found.rule is not None and fresh and may_be_ours(found.routes[found.rule.kind, found.rule.name]):
        yield (
            f"the operator may have set {found.rule.weights} of {found.rule.shown}, and no store has what was there before: handback "
            "restores these"
        )
    if found.rule is not None and (may_not := found.may_not_list(names.RECMODEL)):
        yield (
            f"{may_not}, so whether another RecModel sets the weights of {found.rule.shown} is not known. Run this with an account that may"
        )
    if found.rule is not None and (why := not_known(found, found.store or Stored())):
        yield (
            f"the weights of {found.rule.shown} are not stored: the operator may have set {found.rule.weights}, and {why}. Run this with "
            "an account that may, else handback leaves the weights as they are"
        )


def _stored_already(found: Standing, rule: StoredRule) -> bool:
    stores = [*found.stores.values(), *([found.store] if found.store is not None else [])]
    return any(one.rule is not None and one.rule.same(rule) for one in stores)


def _stored_otherwise(found: Standing, rule: StoredRule | None) -> Iterator[str]:
    """Other stores that have other weights of the very rule."""
    for name, store in found.stores.items():
        there = store.rule
        if rule is not None and there is not None and there.target == rule.target and there.backends != rule.backends:
            yield f"ConfigMap {name} has other weights of {rule.shown} ({there.weights}): those that are handed back last stand"


def _of_pool(pool: Pool) -> Iterator[str]:
    for scaled in pool.scaled_objects:
        if scaled.paused and not scaled.ours:
            yield f"ScaledObject {scaled.name} was paused by somebody else, and handback leaves it so"
    if pool.replicas is not None and not pool.least <= pool.replicas <= pool.most:
        yield (
            f"pool {pool.name} is at {pool.replicas}, and its limits in the RecModel are {pool.least} to {pool.most}: the "
            "operator changes them at once. Change replicas.min or replicas.max to keep them"
        )


def of_handback(found: Standing, stored: Stored, different: Mapping[str, str]) -> Iterator[str]:
    """Before handing back. ``different``: autoscalers that stand, and where they differ from those stored."""
    for name, changed in different.items():
        yield (
            f"HorizontalPodAutoscaler {name} stands already, and is not as it was stored: {changed} differ. It is left as it is, and "
            f"ConfigMap {store_name(found.name)} is kept. Where what stands is right, delete the ConfigMap; else delete the "
            "HorizontalPodAutoscaler and run this again"
        )
    for name, body in stored.autoscalers.items():
        standing = found.autoscalers.get(name)
        if (kept := origin(body)) and (standing is None or leaving(standing)):
            yield (
                f"HorizontalPodAutoscaler {name} was made by {kept.shown}. If you removed it {kept.where}, put it back before "
                f"{kept.next_time}, which else may delete it"
            )
        for other in sorted(found.autoscalers.keys() - {name}):
            if found.autoscalers[other].get("spec", {}).get("scaleTargetRef") == body["spec"].get("scaleTargetRef"):
                yield f"HorizontalPodAutoscaler {other} scales the workload of {name} now, and only one should: delete one of the two"
    for pool in found.pools:
        if pool.replicas == 0 and any(_of(pool, body) for body in stored.autoscalers.values()):
            yield (
                f"pool {pool.name} is at 0 replicas, at which Kubernetes does not act on a HorizontalPodAutoscaler: run kubectl -n "
                f"{found.namespace} scale {pool.workload.replace(' ', '/').lower()} --replicas=1 after this"
            )
    yield from _of_weights(found, stored)
    yield from _stored_otherwise(found, stored.rule)
    for name in stored.paused:
        yield from _of_scaled_object(found, name)
    yield from _mode(found, stored.mode or "Recommend")
    if found.keda_unread and stored.paused:
        yield _unread(found, "whether they are still paused is not known")


def _of_weights(found: Standing, stored: Stored) -> Iterator[str]:
    rule = stored.rule
    if rule is not None and (why := found.unrouted.get((rule.kind, rule.name))):
        yield f"the weights of {rule.shown} are left as they are: {why}. Then run this again"
    elif rule is not None and (rule.kind, rule.name) not in found.routes:
        yield f"{rule.kind} {rule.name} is gone, so nothing of its weights is restored"
    elif rule is not None and (why := rule_kept(found, stored)):
        left = f"the weights of {rule.shown} are left as they are: {why}"
        moved = elsewhere(rule, found.routes[rule.kind, rule.name])
        how = "" if moved else f" by {by_hand(found.namespace, rule)}"
        if why == under_another(found, rule):
            yield f"{left}. Then run this again"
            return
        yield (
            f"{left}. If what stands is not right, set them by hand to {rule.weights}{how}; then delete ConfigMap "
            f"{store_name(found.name)}"
        )


def _of_scaled_object(found: Standing, name: str) -> Iterator[str]:
    scaled = found.scaled_objects.get(name)
    if scaled is None and not found.keda_unread:
        yield f"ScaledObject {name} is gone, so nothing of it is restored: create it again where it should scale"
    elif scaled is not None and not scaled.paused:
        yield f"ScaledObject {name} is not paused any more: somebody else went on with it"
    elif scaled is not None and not scaled.ours:
        yield f"ScaledObject {name} was paused by somebody else since, and stays so"
    elif scaled is not None and (kept := origin(scaled.body)):
        yield f"{kept.shown} has ScaledObject {name} {kept.where}. If you added the annotation {PAUSED} there, remove it"


def _of(pool: Pool, autoscaler: Mapping[str, Any]) -> bool:
    target = autoscaler["spec"].get("scaleTargetRef") or {}
    return pool.workload == f"{target.get('kind')} {target.get('name')}"


def _mode(found: Standing, mode: str) -> Iterator[str]:
    if found.mode not in (mode, None) and AUTO in (mode, found.mode) and (kept := origin(found.recmodel)):
        yield (
            f"{kept.shown} has RecModel {found.name} {kept.where}, and {kept.next_time} may set spec.mode back to {found.mode}. Set it to "
            f"{mode} there"
        )


def _unread(found: Standing, so: str) -> str:
    return f"your account may not list scaledobjects.keda.sh in namespace {found.namespace}, so {so}. Run this with an account that may"

"""The steps that restore the weights of a rule, and what of it is stored. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.report.handover.found import Standing
from recmodel.report.handover.others import acting_on, stands
from recmodel.report.handover.steps import Step, Wait, Write, asked_for, ready
from recmodel.report.handover.store import SUFFIX, Stored, store_name
from recmodel.report.handover.weights import StoredRule, by_hand, may_be_ours, restoring


def rule_to_store(found: Standing, before: Stored) -> StoredRule | None:
    """The weights as they were before the operator set them: those that are stored already, while they could be restored, or that the
    store of another RecModel has; else those that stand, which somebody else has set. Which workloads answer says the RecModel of now.
    ``ValueError`` where only a store has them that nothing is taken from, with the way out.
    """
    if found.rule is None or not_known(found, before):
        return before.rule
    _not_forgotten(found, before)
    kept = before.rule if before.rule is not None and _under_ours(found, before.rule) else None
    rule = kept or _elsewhere(found)[1] or found.rule
    return replace(rule, workloads={pool.backend: pool.workload for pool in found.pools if pool.backend})


def _not_forgotten(found: Standing, before: Stored) -> None:
    """``ValueError`` where the RecModel refers to another rule than the one whose weights are stored, and only its store has them."""
    old, now, stands_now = before.rule, found.rule, found.restored
    if old is None or now is None or stands_now is None or old.ref == now.ref or old.same(stands_now):
        return
    if restoring(old, found.routes[old.kind, old.name]) or any(
        one.rule is not None and one.rule.same(old) for one in found.stores.values()
    ):
        return
    raise ValueError(
        f"ConfigMap {found.namespace}/{store_name(found.name)} has the weights of {old.shown} ({old.weights}), over which the operator may "
        f"have set {stands_now.weights}, and RecModel {found.name} refers to {now.shown} now: hand back first by recmodel handback "
        f"{found.name} -n {found.namespace} --yes, then run this again"
    )


def not_known(found: Standing, before: Stored) -> str:
    """Why it is not known what the weights were before the operator set those that stand, so that none are stored; empty where it is."""
    if found.rule is None or (before.rule is not None and _under_ours(found, before.rule)):
        return ""
    if found.may_not_list(names.CONFIG_MAP) and may_be_ours(found.routes[found.rule.kind, found.rule.name]):
        return f"{found.may_not_list(names.CONFIG_MAP)}, one of which may have those before"
    for name, store in _under_stores(found).items():
        if found.may_not_list(names.RECMODEL) and not store.same(found.rule):
            return f"{found.may_not_list(names.RECMODEL)}, so whether ConfigMap {name} is of one is not known"
    return ""


def _under_stores(found: Standing) -> dict[str, StoredRule]:
    """The weights in other stores that the rule may have had before the operator set those that stand."""
    if found.rule is None or not may_be_ours(found.routes[found.rule.kind, found.rule.name]):
        return {}
    return {
        name: one.rule for name, one in found.stores.items() if one.rule is not None and _under_ours(found, one.rule)
    }


def _elsewhere(found: Standing) -> tuple[str, StoredRule | None]:
    """What another store has of the rule that the operator has moved since, and which ConfigMap that is. Of several the newest counts: it
    has what somebody has set last.
    """
    here = _under_stores(found)
    for name, rule in here.items():
        if stands(name, found.stores[name], found.others):
            return name, rule
    for name, rule in here.items():
        if found.rule is not None and not rule.same(found.rule):
            recmodel, of = name.removesuffix(SUFFIX), f"-n {found.namespace}"
            raise ValueError(
                f"ConfigMap {found.namespace}/{name} has the weights of {rule.shown} ({rule.weights}), over which the operator "
                f"may have set those that stand, and is of no RecModel that stands. See what it is by recmodel handback {recmodel} {of}. "
                f"If it is right, hand it back by recmodel handback {recmodel} {of} --yes; else kubectl {of} delete configmap {name}. Then "
                "run this again"
            )
    return "", None


def _under_ours(found: Standing, stored: StoredRule) -> bool:
    """Whether what stands of the rule that the RecModel refers to was set by the operator over ``stored``, or is the same."""
    now = found.rule
    return now is not None and stored.ref == now.ref and not restoring(stored, found.routes[now.kind, now.name])


def rule_stored(found: Standing, now: Stored, before: Stored) -> str:
    """The weights that are not stored yet, where they are from, and what they are stored in place of; empty where there are none."""
    rule, old = now.rule, before.rule
    if rule is None or (old is not None and old.same(rule)):
        return ""
    if found.rule is not None and rule.ref == found.rule.ref and not rule.same(found.rule):
        where = f"as ConfigMap {_elsewhere(found)[0]} has them, and not {found.rule.weights}, which the operator may have set"
        return f"the weights of {rule.shown} ({rule.weights}; {where})"
    instead = (
        f"; in place of {old.weights}, as somebody else has written the rule since"
        if old and old.ref == rule.ref
        else ""
    )
    return f"the weights of {rule.shown} ({rule.weights}{instead})"


def rule_kept(found: Standing, stored: Stored) -> str:
    """Why the weights stay as they are, so that what is stored is kept; empty where they are restored, or their route is gone."""
    rule = stored.rule
    if rule is None:
        return ""
    body = found.routes.get((rule.kind, rule.name))
    if body is None:
        return found.unrouted.get((rule.kind, rule.name), "")
    if why := restoring(rule, body) or under_another(found, rule):
        return why
    answering = [
        rule.workloads.get(backend) for backend, weight in rule.backends if weight and not _workload(rule, backend)[0]
    ]
    strange = next(filter(None, answering), None)
    return f"whether a pod of {strange} is ready is not known here" if strange is not None else ""


def under_another(found: Standing, rule: StoredRule) -> str:
    """That another RecModel may set the weights, also where they are as they are stored, with the way out; empty where none does."""
    if may_not := found.may_not_list(names.RECMODEL):
        return f"whether another RecModel sets them is not known, since {may_not}: use one that may"
    acting = acting_on(rule, found.others)
    if not acting:
        return ""
    return f"{acting} refers to it in mode Auto, and may set its own again: set mode: Recommend in it, or hand it back first"


def restoring_rule(found: Standing, stored: Stored) -> Iterator[Step]:
    """Gives each workload that had a share a ready pod first, and then the share."""
    rule = stored.rule
    if rule is None or found.restored is None or rule_kept(found, stored) or found.restored.backends == rule.backends:
        return
    needs = []
    for backend, weight in rule.backends:
        kind, name = _workload(rule, backend)
        if weight == 0 or kind is None:
            continue
        needs.append((kind, name, f"{weight} of {sum(one for _, one in rule.backends)}"))
        body, shown = found.workloads.get((kind.kind, name)), f"{kind.kind} {name}"
        if body is not None and asked_for(body) == 0:
            yield Write(
                "patch", kind, name, f"scale {shown} from 0 to 1 replica, as the weights send requests to it",
                f"kubectl -n {found.namespace} scale {kind.kind.lower()} {name} --replicas=1", {"spec": {"replicas": 1}},
                subresource="scale",
            )  # fmt: skip
        if not ready(body):
            yield Wait(
                "ready", kind, name, f"wait until a pod of {shown} is ready",
                f"The weights of {rule.shown} were left as they are: with those that are stored, requests would get no answer",
            )  # fmt: skip
    yield Write(
        "patch", rule.of, rule.name, f"set the weights of {rule.shown} as they were stored: {rule.weights}",
        by_hand(found.namespace, rule), rule=rule, needs=tuple(needs),
    )  # fmt: skip


def _workload(rule: StoredRule, backend: str) -> tuple[Kind | None, str]:
    kind, _, name = rule.workloads.get(backend, "").partition(" ")
    return names.REFERABLE.get(kind), name

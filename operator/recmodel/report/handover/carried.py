"""What a store that stands already is good for when somebody hands over. What it holds is written again with the rights of whoever runs
the command, so only that of this very RecModel is gone on with, and all of it is named. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from recmodel.api.shown import shown
from recmodel.cluster.observed.objects import uid_of
from recmodel.report.handover.found import Autoscaler, ScaledObject, Standing, does
from recmodel.report.handover.store import Stored, store_name


def gone_on_with(found: Standing) -> Stored:
    """What is stored of this RecModel; ``ValueError`` where the store is of another one, or does not say of which, with the way out."""
    store, uid = found.store or Stored(), uid_of(found.recmodel)
    if found.store is None or (uid and store.recmodel_uid == uid):
        return store
    name, of = store_name(found.name), f"{found.name} -n {found.namespace}"
    whose = f"the uid {shown(store.recmodel_uid)}" if store.recmodel_uid else "no uid of a RecModel"
    raise ValueError(
        f"ConfigMap {found.namespace}/{name} has {whose}, and not {uid}, which is that of RecModel {found.name}: what it holds is not gone "
        f"on with. See what it is by recmodel handback {of}. If it is right, hand it back by recmodel handback {of} --yes; else kubectl "
        f"-n {found.namespace} delete configmap {name}. Then run this again"
    )


def carried(now: Stored, before: Stored, going: Iterable[Autoscaler], pausing: Iterable[ScaledObject]) -> list[str]:
    """What goes from one store to the next; not ``going`` and ``pausing``, which are stored as they stand."""
    said = []
    for name in sorted(now.autoscalers.keys() - {one.name for one in going}):
        body = now.autoscalers[name]
        target = body["spec"].get("scaleTargetRef") or {}
        said.append(f"HorizontalPodAutoscaler {name} ({target.get('kind')} {target.get('name')}, {does(body)})")
    for name in sorted(now.paused.keys() - {one.name for one in pausing}):
        said.append(f"the pause annotation of ScaledObject {name} ({now.paused[name] or 'none'})")
    rule = now.rule
    if rule is not None and before.rule is not None and rule.same(before.rule):
        answer = ", ".join(rule.workloads.get(backend, "an unknown workload") for backend, _ in rule.backends)
        said.append(f"the weights of {rule.shown} ({rule.weights}; by {answer})")
    return said

"""The ConfigMap that keeps what scaled the pools of a RecModel while the operator does, so that it can be restored exactly.

It is written by whoever hands over, and nothing owns it: it outlives the RecModel. ``kubectl create`` takes the autoscalers as they
stand in it, so nothing of ours is needed to restore them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recmodel.api.shown import shown
from recmodel.cluster import names
from recmodel.report.adopted import autoscaler_of
from recmodel.report.handover.weights import StoredRule, as_data, check_name, from_data

Object = dict[str, Any]

SUFFIX = "-handover"
KUBECTLS = "kubectl.kubernetes.io/last-applied-configuration"  # restored as well, but kubectl create writes its own
RESTORE, KEEP = "restore", "keep"
AUTOSCALERS, PAUSED, MODE = "autoscalers.json", "paused.json", "mode"
RECMODEL_UID = "recmodel-uid"
# What is restored of the metadata. The API server makes the rest, such as uid, resourceVersion and managedFields. An owner may be
# another object by then, for which the garbage collector would delete what was restored.
RESTORED = ("labels", "annotations", "finalizers")


@dataclass(frozen=True, slots=True)
class Stored:
    """What scaled the pools. ``paused``: the pause annotation that each ScaledObject had before, None where it had none; ``mode``
    is that of the RecModel before, ``rule`` the weights of the rule that it refers to.
    """

    autoscalers: Mapping[str, Object] = field(default_factory=dict)
    paused: Mapping[str, str | None] = field(default_factory=dict)
    mode: str = ""
    on_delete: str = KEEP  # ``RESTORE``: deleting the RecModel restores it, too
    rule: StoredRule | None = None
    recmodel_uid: str = ""  # for which it was written; empty: it does not say
    uid: str = field(default="", compare=False)  # of the ConfigMap; empty before there is one
    version: str = field(default="", compare=False)  # its resource version


def store_name(recmodel: str) -> str:
    """The ConfigMap's name."""
    return recmodel + SUFFIX


def restorable(autoscaler: Mapping[str, Any]) -> Object:
    """A HorizontalPodAutoscaler without what the API server makes, as it is created again."""
    metadata = autoscaler["metadata"]
    kept = {key: metadata[key] for key in RESTORED if metadata.get(key)}
    return {
        "apiVersion": names.AUTOSCALER.group_version,
        "kind": names.AUTOSCALER.kind,
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], **kept},
        "spec": autoscaler["spec"],
    }


def leaving(body: Mapping[str, Any]) -> bool:
    """Whether an object is being deleted: it stands only until its finalizers are done."""
    return bool(body["metadata"].get("deletionTimestamp"))


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Where two restorable autoscalers differ, as ``spec.maxReplicas, metadata.labels``; empty where they are the same, but for
    what kubectl notes for itself.
    """
    parts = [("spec", key, one["spec"], other["spec"]) for key in sorted({*one["spec"], *other["spec"]})]
    parts += [("metadata", key, _compared(one), _compared(other)) for key in RESTORED]
    return ", ".join(f"{of}.{key}" for of, key, a, b in parts if a.get(key) != b.get(key))


def _compared(autoscaler: Mapping[str, Any]) -> Object:
    notes = {key: text for key, text in autoscaler["metadata"].get("annotations", {}).items() if key != KUBECTLS}
    return {**autoscaler["metadata"], "annotations": notes}


def config_map(namespace: str, recmodel: str, stored: Stored) -> Object:
    """The ConfigMap that holds it."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(stored.autoscalers.values())}
    return {
        "apiVersion": names.CONFIG_MAP.group_version,
        "kind": names.CONFIG_MAP.kind,
        "metadata": {
            "name": store_name(recmodel),
            "namespace": namespace,
            "labels": {names.HANDOVER_LABEL: recmodel, "app.kubernetes.io/managed-by": names.HANDING_OVER},
            "annotations": {names.ON_DELETE_ANNOTATION: stored.on_delete},
        },
        "data": {
            AUTOSCALERS: json.dumps(listed, indent=2) + "\n",
            PAUSED: json.dumps(dict(stored.paused), indent=2) + "\n",
            MODE: stored.mode,
            RECMODEL_UID: stored.recmodel_uid,
            **(as_data(stored.rule) if stored.rule is not None else {}),
        },
    }


def stored(body: Mapping[str, Any]) -> Stored:
    """What a ConfigMap holds; ``ValueError`` for one that ``recmodel handover`` did not write, or that would restore something
    elsewhere.
    """
    metadata = body["metadata"]
    what = f"ConfigMap {metadata['namespace']}/{metadata['name']}"
    labels = metadata.get("labels")
    if not isinstance(labels, Mapping) or names.HANDOVER_LABEL not in labels:
        raise ValueError(
            f"{what} is none that recmodel handover wrote (it lacks the label {names.HANDOVER_LABEL}), and that name is needed: "
            "rename yours"
        )
    try:
        data = body["data"]
        autoscalers = {item["metadata"]["name"]: item for item in json.loads(data[AUTOSCALERS])["items"]}
        for item in autoscalers.values():
            _check(item, metadata["namespace"])
        paused = dict(json.loads(data[PAUSED]))
        if not all(value is None or isinstance(value, str) for value in paused.values()):
            raise ValueError(f"{PAUSED} is {shown(paused)}")
        for name in (*autoscalers, *paused):
            check_name(name)
        mode, recmodel_uid = str(data.get(MODE, "")), str(data.get(RECMODEL_UID, ""))
        rule = from_data(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        said = f"{what} cannot be read: {type(error).__name__}: {shown(str(error), 200)}"
        raise ValueError(
            f"{said}: somebody changed it; restore it, or create again by hand what it holds, and delete it"
        ) from error
    seen = str(metadata.get("uid") or ""), str(metadata.get("resourceVersion") or "")
    return Stored(autoscalers, paused, mode, on_delete(body), rule, recmodel_uid, *seen)


def on_delete(body: Mapping[str, Any]) -> str:
    """What deleting the RecModel does with what a ConfigMap holds: ``KEEP`` where it does not say ``RESTORE``."""
    notes = body["metadata"].get("annotations")
    found = notes.get(names.ON_DELETE_ANNOTATION) if isinstance(notes, Mapping) else None
    return RESTORE if found == RESTORE else KEEP


def restored_of(body: Mapping[str, Any]) -> str:
    """The RecModel whose deletion restores what a ConfigMap holds; empty where none does."""
    labels, name = body["metadata"].get("labels"), str(body["metadata"].get("name"))
    recmodel = name.removesuffix(SUFFIX)
    ours = isinstance(labels, Mapping) and labels.get(names.HANDOVER_LABEL) == recmodel and name == store_name(recmodel)
    return recmodel if ours and on_delete(body) == RESTORE else ""


def _check(item: Object, namespace: str) -> None:
    """``ValueError`` for what is no autoscaler of this namespace as it was written."""
    if not isinstance(item["spec"], dict) or item != restorable(item):
        raise ValueError(f"{AUTOSCALERS} is not as it was written")
    if item["metadata"]["namespace"] != namespace:
        raise ValueError(
            f"{AUTOSCALERS} names the namespace {shown(item['metadata']['namespace'])}, and not {namespace}"
        )
    autoscaler_of(item)

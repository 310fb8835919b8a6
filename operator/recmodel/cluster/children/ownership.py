"""Who owns which fields of an object, as the API server itself keeps it in ``metadata.managedFields``. Pure.

A field that somebody else changes or removes leaves the entry of whoever applied it before. So an object is as we applied
it where our entry still has every field that we apply, and the annotation with the hash of what was applied, itself such
a field, is the wanted one. No value is compared: the API rewrites them ("0.5" becomes "500m"), fills in defaults, and
webhooks change them, all of which is no drift; fields of others (side-cars, an autoscaler's replicas) are theirs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from recmodel.cluster.names import FIELD_MANAGER

Object = dict[str, Any]
Fields = Mapping[str, Any]  # of an entry: names with f:, k: or v:, and what is below
Path = tuple[str, ...]  # of a field, by such names
REPLICAS: Path = ("f:spec", "f:replicas")  # where most kinds keep them
DEEPEST = 16  # levels of a path that are read
NEVER_TAKEN = {"replicas"}  # an autoscaler's
# What gives pods rights on their node or at the API. A RecModel asks for none but an account. Whoever adds one by hand has the
# policy of the operator refuse all later writes of the operator to the same object, though it applies none of them.
RIGHTS = {"hostNetwork", "hostPID", "hostIPC", "hostPath", "hostPort", "privileged", "serviceAccountName"}
IDENTITY = ("name", "namespace", "uid")  # of the metadata: whose object it is, and no field that anybody owns


def keep_ours(obj: Object) -> None:
    """Leaves of ``managedFields`` our own entry, its fields as a text that objects of one shape share (the whole would be
    half of the memory that a child takes), with the time of the newest entry, whoever wrote it.
    """
    text, changed_at = ours(obj), _changed_at(obj)
    obj["metadata"].pop("managedFields", None)
    if text:
        entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": sys.intern(text)}
        obj["metadata"]["managedFields"] = [entry if changed_at is None else {**entry, "time": changed_at}]


def changed_seconds(obj: Mapping[str, Any]) -> float | None:
    """When anything but the status of the object last changed (Unix time), as the API server noted it; None: unknown. A
    field manager's time is that of the last write with which it changed a value.
    """
    try:
        moment = datetime.fromisoformat(_changed_at(obj) or "")
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _changed_at(obj: Mapping[str, Any]) -> str | None:
    """The newest time as written; texts of one form and zone, in the order of time. None where one entry has none."""
    times = [entry.get("time") for entry in _entries(obj) if not entry.get("subresource")]
    return max((str(time) for time in times), default=None) if all(times) else None


def ours(obj: Mapping[str, Any]) -> str:
    """The fields that we own, as JSON; empty where there are none."""
    for entry in _entries(obj):
        ourselves = entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"
        if ourselves and not entry.get("subresource"):
            fields = entry.get("fieldsV1")
            return fields if isinstance(fields, str) else json.dumps(fields, sort_keys=True)
    return ""


def lost(body: Mapping[str, Any], fields: str) -> list[str]:
    """The paths of those fields of ``body`` that are not among ``fields``: somebody else has changed or removed them."""
    return sorted(_missing(_owned_part(body), json.loads(fields) if fields else {}, ""))


def holders(body: Mapping[str, Any], obj: Mapping[str, Any], paths: list[str]) -> list[str]:
    """The field managers that own any of these fields of ``body`` now."""
    part, sought = _owned_part(body), set(paths)
    return sorted({str(e["manager"]) for e in _others(obj) if not sought <= set(_missing(part, e["fieldsV1"], ""))})


def replicas_path(obj: Mapping[str, Any]) -> Path | None:
    """Where any object keeps its replicas, by what our last write of its scale has set; None where we own nothing of that."""
    mine = (
        entry for entry in _entries(obj) if (entry.get("manager"), entry.get("subresource")) == (FIELD_MANAGER, "scale")
    )
    path: list[str] = []
    fields: Any = next((entry.get("fieldsV1") for entry in mine), None)
    while isinstance(fields, dict) and len(fields) == 1 and len(path) < DEEPEST:
        ((name, fields),) = fields.items()
        path.append(name)
    return tuple(path) if path and fields == {} else None


def replicas_holders(obj: Mapping[str, Any], path: Path = REPLICAS) -> tuple[str, ...]:
    """The other field managers that own the replicas of any object now, which are at this path of it."""
    found = (entry for entry in _others(obj) if _has(entry["fieldsV1"], path))
    return _named(found)


def holders_of(field: str, obj: Mapping[str, Any]) -> tuple[str, ...]:
    """The other field managers that own a field of ``spec`` of any object now."""
    return _named(entry for entry in _others(obj) if f"f:{field}" in _spec_of(entry["fieldsV1"]))


def owned(field: str, obj: Mapping[str, Any], managers: Container[str] = (FIELD_MANAGER,)) -> bool:
    """Whether a field of ``spec`` of any object is as one of our ``managers`` last wrote it: whoever changes it takes it from that one."""
    mine = (entry for entry in _entries(obj) if entry.get("manager") in managers)
    return any(f"f:{field}" in _spec_of(entry.get("fieldsV1")) for entry in mine)


def noted(field: str, obj: Mapping[str, Any]) -> bool:
    """Whether it is known at all who owns a field of ``spec`` of any object. It is not where somebody has cleared ``managedFields``."""
    return any(f"f:{field}" in _spec_of(entry.get("fieldsV1")) for entry in _entries(obj))


def _named(found: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({str(entry["manager"]) for entry in found if entry.get("manager")}))


def cleared(body: Mapping[str, Any], obj: Mapping[str, Any]) -> Object | None:
    """``body`` as a strategic merge patch that takes away what others have set of ``obj`` in the place of what we lost, and
    the rights that they gave our pods; None where there is nothing of that kind.

    Of two such fields the API takes only one: ``valueFrom`` for our ``value``, ``minAvailable`` for ``maxUnavailable``, another
    port that has the name of ours.
    """
    fields = ours(obj)
    theirs = [_spec_of(entry["fieldsV1"]) for entry in _others(obj)]
    spec = _clearing(body["spec"], _spec_of(json.loads(fields)) if fields else {}, theirs)
    spec = _without_rights(spec, obj.get("spec"))
    return None if spec == body["spec"] else {**body, "spec": spec}


def rights(obj: Mapping[str, Any]) -> frozenset[str]:
    """The paths of what gives the pods of ``obj`` rights on their node or at the API, whoever set it."""
    return frozenset(_rights(obj["spec"].get("template"), ".spec.template"))


def beside(obj: Mapping[str, Any]) -> list[str]:
    """The fields of the pods of ``obj`` that others own and we do not, each with its field manager."""
    fields, template = ours(obj), ("f:template", "f:spec")
    mine = _below(_spec_of(json.loads(fields)) if fields else {}, template)
    found = ((entry, _below(_spec_of(entry["fieldsV1"]), template)) for entry in _others(obj))
    where = ".spec.template.spec"
    return sorted(
        {f"{path} (field manager {e['manager']})" for e, their in found for path in _added(their, mine, where)}
    )


def without(manager: str, obj: Mapping[str, Any]) -> list[Object]:
    """A JSON patch that takes the entries of a field manager away, and leaves the fields as they are."""
    kept = [entry for entry in _entries(obj) if entry.get("manager") != manager]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
    ]


def pointer(path: Path) -> str:
    """As a JSON pointer: ``/spec/replicas``."""
    return "".join(f"/{name.partition(':')[2]}" for name in path)


def _has(fields: Any, path: Path) -> bool:
    for name in path:
        if not isinstance(fields, dict) or name not in fields:
            return False
        fields = fields[name]
    return True


def _spec_of(fields: Any) -> Fields:
    found = fields.get("f:spec") if isinstance(fields, dict) else None
    return found if isinstance(found, dict) else {}


def _below(fields: Fields, names: Sequence[str]) -> Fields:
    for name in names:
        fields = fields.get(name) or {}
    return fields


def _rights(value: Any, path: str) -> Iterator[str]:
    for key, element in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        if key in RIGHTS and element:
            yield f"{path}.{key}={element}"
        else:
            yield from _rights(element, f"{path}.{key}")


def _added(their: Fields, mine: Fields, path: str) -> Iterator[str]:
    """The uppermost of their fields that are not among ours."""
    for name, part in their.items():
        kind, _, text = name.partition(":")
        if kind not in ("f", "k"):
            continue
        shown = f".{text}" if kind == "f" else f"[{','.join(str(value) for value in json.loads(text).values())}]"
        if name not in mine:
            yield f"{path}{shown}"
        elif mine[name]:
            yield from _added(part, mine[name], f"{path}{shown}")


def _without_rights(wanted: Any, live: Any) -> Any:
    """Goes by values: a host port that the API fills in with ``hostNetwork`` is nobody's field, and stays when that goes."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        given = {key for key in RIGHTS & live.keys() - wanted.keys() if live[key]}
        if "serviceAccountName" in given:
            given.add("serviceAccount")  # its old name, from which the API would fill it in again
        return {key: _without_rights(value, live.get(key)) for key, value in wanted.items()} | dict.fromkeys(
            sorted(given)
        )
    if isinstance(wanted, list) and isinstance(live, list):
        return [_without_rights(item, next((other for other in live if _alike(item, other)), None)) for item in wanted]
    return wanted


def _alike(item: Any, other: Any) -> bool:
    both = isinstance(item, dict) and isinstance(other, dict)
    return both and all(item.get(key) == other.get(key) for key in ("name", "containerPort"))


def _clearing(wanted: Any, fields: Fields, theirs: Sequence[Fields]) -> Any:
    """``fields`` are ours of this value, ``theirs`` those of each of the others."""
    if isinstance(wanted, dict):
        result = {
            key: _clearing(value, fields.get(f"f:{key}") or {}, [t[f"f:{key}"] for t in theirs if t.get(f"f:{key}")])
            for key, value in wanted.items()
        }
        if all(f"f:{key}" in fields for key in wanted):
            return result
        beside = {name[2:] for their in theirs for name in their if name.startswith("f:")}
        return {**result, **dict.fromkeys(sorted(beside - wanted.keys() - NEVER_TAKEN))}
    if isinstance(wanted, list):
        parts = [[_item(item, of)[1] or {} for of in (fields, *theirs)] for item in wanted]
        return [_clearing(item, mine, of) for item, (mine, *of) in zip(wanted, parts, strict=True)] + [
            {**keys, "$patch": "delete"} for keys in _in_the_place(wanted, fields, theirs)
        ]
    return wanted


def _in_the_place(wanted: list[Any], fields: Fields, theirs: Sequence[Fields]) -> list[Object]:
    """What distinguishes the items that others have in a list of which we lost one."""
    if all(_item(item, fields)[1] is not None for item in wanted):
        return []
    items = sorted({name for their in theirs for name in their if name.startswith("k:")})
    return [json.loads(n[2:]) for n in items if not any(_item(item, {n: {}})[1] is not None for item in wanted)]


def _owned_part(body: Mapping[str, Any]) -> Object:
    metadata = {key: value for key, value in body["metadata"].items() if key not in IDENTITY}
    return {"metadata": metadata, "spec": body["spec"]}


def _entries(obj: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = obj["metadata"].get("managedFields")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _others(obj: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [e for e in _entries(obj) if e.get("manager") != FIELD_MANAGER and isinstance(e.get("fieldsV1"), dict)]


def _missing(wanted: Any, fields: Mapping[str, Any], path: str) -> Iterator[str]:
    """``fields`` without members owns the whole of its value: a scalar, or what is only ever changed as a whole."""
    if not fields and path:
        return
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            part = fields.get(f"f:{key}")
            if isinstance(part, dict):
                yield from _missing(value, part, f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(wanted, list):
        for item in wanted:
            key, part = _item(item, fields)
            if part is None:
                yield f"{path}[{key}]"
            else:
                yield from _missing(item, part, f"{path}[{key}]")


def _item(item: Any, fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    """An item of a list as a text, and its fields: of an item that keys distinguish, or of a value in a set."""
    for name, part in fields.items():
        kind, _, text = name.partition(":")
        if kind == "k" and isinstance(item, dict):
            keys = json.loads(text)
            if all(item.get(key) == value for key, value in keys.items()):
                return ",".join(str(value) for value in keys.values()), part
        elif kind == "v" and json.loads(text) == item:
            return str(item), {}
    shown = next((item[key] for key in ("name", "uid", "key") if key in item), "") if isinstance(item, dict) else item
    return str(shown), None

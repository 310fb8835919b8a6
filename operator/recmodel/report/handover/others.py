"""Other RecModels of the namespace, which may act on the same rule: weights that are given back under one of them may be set again. And
their stores, one of which may have the weights that a rule had before any of them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from recmodel.cluster.observed.objects import identity_of, uid_of
from recmodel.report.handover.shapes import RecModelShape
from recmodel.report.handover.steps import AUTO
from recmodel.report.handover.store import Stored, leaving, store_name, stored
from recmodel.report.handover.weights import StoredRule


def acting_on(rule: StoredRule, recmodels: Iterable[Mapping[str, Any]]) -> str:
    """Those in mode ``Auto`` that refer to it, as ``RecModel another``; empty where none does. The operator leaves one alone that cannot
    be read.
    """
    return " and ".join(f"RecModel {identity_of(body)[1]}" for body in recmodels if _acts_on(rule, body))


def stores(config_maps: Iterable[Mapping[str, Any]]) -> dict[str, Stored]:
    """What is stored, by the ConfigMap's name, the newest first; not what cannot be read: nothing is taken from it."""
    found = {}
    for body in sorted(config_maps, key=_made_at, reverse=True):
        with suppress(ValueError):
            found[identity_of(body)[1]] = stored(body)
    return found


def stands(config_map: str, store: Stored, recmodels: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a store is of one of these very RecModels."""
    return bool(store.recmodel_uid) and any(
        config_map == store_name(identity_of(body)[1]) and uid_of(body) == store.recmodel_uid for body in recmodels
    )


def _made_at(body: Mapping[str, Any]) -> str:
    return str(body["metadata"].get("creationTimestamp") or "")


def _acts_on(rule: StoredRule, recmodel: Mapping[str, Any]) -> bool:
    try:
        spec = RecModelShape.model_validate(recmodel).spec
    except ValidationError:
        return False
    ref = spec.route.ref
    return (
        ref is not None and (ref.kind, ref.name, ref.rule) == rule.ref and spec.mode == AUTO and not leaving(recmodel)
    )

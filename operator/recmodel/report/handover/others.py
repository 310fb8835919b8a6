"""Other RecModels of the namespace that act on the same rule: weights that are given back under one of them would be set again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from recmodel.cluster.observed.objects import identity_of
from recmodel.report.handover.shapes import RecModelShape
from recmodel.report.handover.steps import AUTO
from recmodel.report.handover.store import leaving
from recmodel.report.handover.weights import StoredRule


def acting_on(rule: StoredRule, recmodels: Iterable[Mapping[str, Any]]) -> str:
    """Those in mode ``Auto`` that refer to it, as ``RecModel another``; empty where none does. The operator leaves one alone that cannot
    be read.
    """
    return " and ".join(f"RecModel {identity_of(body)[1]}" for body in recmodels if _acts_on(rule, body))


def _acts_on(rule: StoredRule, recmodel: Mapping[str, Any]) -> bool:
    try:
        spec = RecModelShape.model_validate(recmodel).spec
    except ValidationError:
        return False
    ref = spec.route.ref
    return (
        ref is not None and (ref.kind, ref.name, ref.rule) == rule.ref and spec.mode == AUTO and not leaving(recmodel)
    )

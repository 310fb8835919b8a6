"""The rules between the fields of a spec: those that the API server holds by CEL as well (an older CRD may not have them all), and
those that no schema can hold. Pure: a spec in, the first broken rule out.
"""

from __future__ import annotations

import re

from recmodel.api import protocol, reference, route_reference
from recmodel.api.v1alpha1 import MODELS_OF_A_PAGE, RecModelSpec

SERVICE_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
LONGEST_MODEL_NAME = 50
LONGEST_NAME = 52  # name and pool together: with the Deployment's and the pod's suffixes they stay a valid label


def broken_rule(name: str, spec: RecModelSpec) -> str | None:
    """The first rule that the spec of the RecModel ``name`` breaks, with the field and the value; None where it keeps them all."""
    if not re.fullmatch(SERVICE_NAME, name) or len(name) > LONGEST_MODEL_NAME:
        return (
            f"metadata.name is {name!r}: must match {SERVICE_NAME} and have at most {LONGEST_MODEL_NAME} characters, as it begins "
            "the names of Services"
        )
    return _names_once(spec) or _accuracies(spec) or _pools(name, spec) or _metrics(spec) or _between_fields(spec)


def _names_once(spec: RecModelSpec) -> str | None:
    for field, named in (("pools", spec.pools), ("variants", spec.variants)):
        names = [one.name for one in named]
        if len(set(names)) < len(names):
            return f"spec.{field}[].name is {names}: each name may stand once"
    return None


def _accuracies(spec: RecModelSpec) -> str | None:
    metrics = sorted({variant.accuracy.metric for variant in spec.variants if variant.accuracy is not None})
    if len({metric.casefold() for metric in metrics}) > 1:
        return f"spec.variants[].accuracy.metric is {metrics}: must be the same for all, or they cannot be compared"
    return None


def _pools(name: str, spec: RecModelSpec) -> str | None:
    variants = [variant.name for variant in spec.variants]
    for pool in spec.pools:
        where = f"spec.pools[{pool.name}]"
        if pool.replicas.min > pool.replicas.max:
            return f"{where}.replicas.min is {pool.replicas.min}: must not be above replicas.max, {pool.replicas.max}"
        if pool.variant is not None and pool.variant not in variants:
            return f"{where}.variant is {pool.variant!r}: must be the name of one of spec.variants, {variants}"
        if len(name) + len(pool.name) > LONGEST_NAME:
            return f"{where}.name is {pool.name!r}: with metadata.name, {name!r}, longer than {LONGEST_NAME} characters"
    return None


def _metrics(spec: RecModelSpec) -> str | None:
    profile, model = spec.metrics.profile, spec.metrics.model
    if (profile == "custom") != (spec.metrics.custom is not None):
        return f"spec.metrics.profile is {profile!r}: metrics.custom must be set if, and only if, it is custom"
    if model is not None and profile not in MODELS_OF_A_PAGE:
        known = ", ".join(MODELS_OF_A_PAGE)
        return f"spec.metrics.model is {model!r}: metrics.model is for the profiles {known}; custom series have matchLabels"
    return None


def _between_fields(spec: RecModelSpec) -> str | None:
    return next(
        filter(None, (rule.broken_by(spec) for rule in (*reference.RULES, *route_reference.RULES, *protocol.RULES))),
        None,
    )

"""Reads the spec of a RecModel: valid, or refused with the field, the value and the rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from recmodel.api.permitted import Permitted
from recmodel.api.rules import broken_rule
from recmodel.api.shown import shown
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.core.types import Reason
from recmodel.prometheus import profile_for

INVALID_SPEC = "InvalidSpec"
DEFAULTS = Permitted()


def read_spec(body: Mapping[str, Any], permitted: Permitted = DEFAULTS) -> RecModelSpec | Reason:
    """The spec, or why it is refused: the field, the value and the rule. ``body`` is the whole RecModel."""
    try:
        spec = RecModelSpec.model_validate(body.get("spec", {}))
    except ValidationError as error:
        problems = [f"spec.{_place(e['loc'])} is {shown(e['input'])}: {e['msg']}" for e in error.errors()[:3]]
        more = error.error_count() - len(problems)
        return Reason(INVALID_SPEC, "; ".join(problems) + (f"; and {more} more" if more else ""))
    metadata = body["metadata"]
    problem = broken_rule(metadata["name"], spec) or permitted.refusal(metadata["namespace"], spec) or _unread(spec)
    return Reason(INVALID_SPEC, problem) if problem else spec


def _unread(spec: RecModelSpec) -> str | None:
    """Why the metrics that the spec names say too little."""
    refusal = profile_for(spec.metrics).refusal
    if refusal is None:
        return None
    return f"spec.metrics.profile is {spec.metrics.profile!r}: {refusal}; {profile_for(spec.metrics).remedy}"


def _place(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".")

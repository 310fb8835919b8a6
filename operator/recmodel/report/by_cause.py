"""The conditions that are bad, by cause: what several of them say is said once, with all that it is the reason of. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_BETWEEN_SENTENCES = "; "


def by_cause(conditions: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Those of one cause together, in the order that they have: they have the same reason, or a sentence in common."""
    groups: list[list[Mapping[str, Any]]] = []
    for condition in conditions:
        same = [group for group in groups if any(_same_cause(condition, other) for other in group)]
        groups = [group for group in groups if group not in same]
        groups.append([*(other for group in same for other in group), condition])
    order = [condition["type"] for condition in conditions]
    return sorted(groups, key=lambda group: min(order.index(condition["type"]) for condition in group))


def told(group: Sequence[Mapping[str, Any]]) -> str:
    """``Ready is False, Degraded is True: REASON: sentence; another``, each sentence once, in its longest form."""
    sentences = [sentence for condition in group for sentence in _sentences(condition)]
    longest = [
        sentence
        for sentence in sentences
        if not any(_within(sentence, other) for other in sentences if other != sentence)
    ]
    are = ", ".join(f"{condition['type']} is {condition['status']}" for condition in group)
    return f"{are}: {group[0]['reason']}: {_BETWEEN_SENTENCES.join(dict.fromkeys(longest))}"


def _same_cause(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one["reason"] == other["reason"] or any(
        _within(a, b) or _within(b, a) for a in _sentences(one) for b in _sentences(other)
    )


def _sentences(condition: Mapping[str, Any]) -> list[str]:
    return str(condition["message"]).split(_BETWEEN_SENTENCES)


def _within(part: str, whole: str) -> bool:
    """Whether ``whole`` says ``part``, perhaps with words before (``no replica is ready: ``) or a way out behind."""
    return re.search(rf"(?:^|: ){re.escape(part)}(?:$|:|,)", whole) is not None

"""The body of a valid RecModel, and the same with one field changed."""

from __future__ import annotations

import copy
from typing import Any

GOOD: dict[str, Any] = {
    "metadata": {"name": "feed", "namespace": "shop"},
    "spec": {
        "objective": {"latency": {"threshold": "100ms"}},
        "pools": [
            {
                "name": "cpu", "replicas": {"min": 1, "max": 9}, "port": 8080,
                "template": {"spec": {"containers": [{"name": "s", "image": "s:1"}]}},
            }
        ],
    },
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(GOOD)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    node: Any = body
    for part in parents:
        node = node[part]
    node[last] = value
    return body

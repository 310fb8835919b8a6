"""RecModels in mode Auto that refer to workloads which stand already, and somebody who writes the replicas of these."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from builders.references import (
    ExistingWorkloads,
    pod,
    reference_recmodel,
    workload,
)
from recmodel.controller.operator import Operator


def existing(**more: list[dict[str, Any]]) -> ExistingWorkloads:
    return ExistingWorkloads(
        **{"deployments": [workload(), workload("others")], "pods": [pod("a"), pod("b"), pod("c")], **more}
    )


def automatic(name: str = "feed", created: str = "2026-01-02T00:00:00Z", **more: Any) -> dict[str, Any]:
    body = reference_recmodel(**{"name": name, "mode": "Auto", **more})
    body["metadata"]["creationTimestamp"] = created
    return body


def replicas(api: ExistingWorkloads) -> int:
    return int(api.existing["deployments"][0]["spec"]["replicas"])


def written(api: ExistingWorkloads) -> list[int]:
    return [body["spec"]["replicas"] for _, body in api.scales]


async def minutes(count: float) -> None:
    await asyncio.sleep(60.0 * count)


def put_back(operator: Operator, api: ExistingWorkloads, manager: str) -> None:
    api.write("ranker-cpu", 3, manager)
    (watched,) = operator._references._watched
    operator._references.seen(watched, copy.deepcopy(api.existing["deployments"][0]))

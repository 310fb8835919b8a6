"""What the user asks of ``recmodel optimise``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recmodel.variants import plan, quality
from recmodel.variants.errors import InputError
from recmodel.variants.server import Runtime
from recmodel.variants.speed import Effort


@dataclass(frozen=True)
class Task:
    """What the user asks for."""

    model: Path
    evaluation: Path
    out: Path
    budget_ratio: float
    sizes: tuple[int, ...]
    training: Path | None = None
    report: Path | None = None
    baseline: str | None = None
    output: str | None = None
    sigmoid: bool = False
    adapter: str = "recmodel.variants.training:JaxAdapter"
    designs: Mapping[str, Path] = field(default_factory=dict)
    recipes: Path | None = None
    quantisers: tuple[str, ...] = field(default_factory=plan.installed)
    widths: tuple[float, ...] = (0.5, 0.25, 0.125)
    soft_ratio: float = 0.5
    metric: str = "auc"
    serving_size: int | None = None
    runtime: Runtime | None = None
    core: int | None = None
    effort: Effort = field(default_factory=Effort)
    seed: int = 7

    @property
    def size(self) -> int:
        """Candidates of the request that decides."""
        return self.serving_size or max(self.sizes)

    @property
    def baseline_column(self) -> str | None:
        """Of the evaluation data and the report's, where the baseline is one."""
        return None if self.baseline == quality.CHANCE else self.baseline


def check_numbers(task: Task) -> None:
    """Raises InputError where a number or a name of the task's own is wrong."""
    if task.metric not in quality.METRICS:
        raise InputError("metric", task.metric, f"must be one of {', '.join(quality.METRICS)}")
    if task.baseline == quality.CHANCE and task.metric != "auc":
        raise InputError(
            "baseline", task.baseline, f"is known for auc alone: for {task.metric} name a column of the data"
        )
    for size in task.sizes:
        if size < 1:
            raise InputError("sizes", size, "a request has at least 1 candidate")
    if task.size not in task.sizes:
        raise InputError("serving-size", task.size, f"must be one of the sizes {list(task.sizes)}")
    if not 0.0 < task.soft_ratio <= 1.0:
        raise InputError("soft-ratio", task.soft_ratio, "must be above 0 and at most 1")
    cores = os.sched_getaffinity(0)
    if task.core is not None and task.core not in cores:
        raise InputError("core", task.core, f"must be one of this process's cores {sorted(cores)}")

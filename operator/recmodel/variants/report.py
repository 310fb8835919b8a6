"""What was found, as JSON, as a Markdown table, as a picture, and as the record that the operator reads."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recmodel.api.records import VariantRecord
from recmodel.variants.choose import Choice, Judged, lift_words
from recmodel.variants.errors import InputError
from recmodel.variants.judging import speed_as_json
from recmodel.variants.optimise import Result
from recmodel.variants.picture import Picture, Point, draw
from recmodel.variants.plan import FULL
from recmodel.variants.quality import METRICS, Measured, as_json


def write(result: Result) -> dict[str, Path]:
    """Writes result.json, table.md and pareto.png into the task's folder."""
    out = result.task.out
    paths = {"json": out / "result.json", "table": out / "table.md", "picture": out / "pareto.png"}
    paths["json"].write_text(json.dumps(as_document(result), indent=1) + "\n", encoding="utf-8")
    paths["table"].write_text(table(result), encoding="utf-8")
    picture(result, paths["picture"])
    return paths


def processor() -> dict[str, object]:
    """The processor's name and the instructions that 8 bits live on: without them int8 may be slower than fp32."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in lines if ":" in line}
    flags = facts.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
    return {
        "name": facts.get("model name", platform.processor() or platform.machine()),
        "flags": [flag for flag in wanted if flag in flags],
    }


def as_document(result: Result) -> dict[str, Any]:
    """Everything, for machines."""
    task = result.task
    return {
        "dataset": result.rows.name,
        "evaluationRows": len(result.rows),
        "reportDataset": result.report.name if result.report else None,
        "reportRows": len(result.report) if result.report else None,
        "baseline": task.baseline,
        "budgetOf": result.criterion.of,
        "metric": METRICS[task.metric],
        "budgetRatio": task.budget_ratio,
        "servingSize": task.size,
        "seed": task.seed,
        "runtime": "MLServer" if task.runtime else "onnxruntime alone",
        "core": result.core,
        "processor": processor(),
        "chosen": result.chosen,
        "leftOut": dict(result.left_out),
        "candidates": [
            {
                **one.candidate.as_dict(),
                "sizeBytes": one.size_bytes,
                "quality": as_json(one.quality),
                "report": as_json(result.reported[choice.name]) if choice.name in result.reported else None,
                "speed": speed_as_json(one.speed),
                "chosen": choice.chosen,
                "kept": choice.kept,
                "reason": choice.reason,
            }
            for one, choice in zip(result.judged, result.choices, strict=True)
        ],
    }


def table(result: Result) -> str:
    """A Markdown table, a candidate a line, the fastest last among those of a kind."""
    task, size = result.task, result.task.size
    chip = processor()
    other = [entry for entry in task.sizes if entry != size]
    head = [
        "candidate", "technique", "AUC", *_loss_heads(result), "log loss", "NDCG@10",
        f"p50 at {size}", f"p95 at {size}", "latency ratio", "throughput ratio",
        *[f"latency ratio at {entry}" for entry in other], "without server", "file", "server's memory", "choice",
    ]  # fmt: skip
    where = "through MLServer, pinned to one core" if task.runtime else "onnxruntime alone on one core"
    lines = [
        f"{len(result.rows)} rows of `{result.rows.name}`; {where}; requests of {size} candidates decide; budget "
        f"{task.budget_ratio:.2%} of {result.criterion.of}; {chip['name']} ({', '.join(chip['flags'])}); "  # type: ignore[arg-type]
        f"seed {task.seed}. Bold: chosen; italic: kept beside it.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    lines += [_line(one, choice, result, other) for one, choice in zip(result.judged, result.choices, strict=True)]
    lines += ["", *_later(result)]
    if result.left_out:
        lines += ["", "Not made:", ""] + [f"- {name}: {why}" for name, why in result.left_out.items()]
    return "\n".join(lines) + "\n"


def _line(one: Judged, choice: Choice, result: Result, other: list[int]) -> str:
    mine = one.speed.by_size[result.task.size]
    low, high = mine.latency_range
    name = one.candidate.name
    name = f"**{name}**" if choice.chosen else f"_{name}_" if choice.kept else name
    log_loss, ndcg, memory = one.quality.get("log_loss"), one.quality.get("ndcg"), one.speed.resident_bytes
    cells = [
        name, one.candidate.technique, f"{one.quality['auc'].value:.4f}", *_losses(one.candidate.name, one.quality, result),
        f"{log_loss.value:.4f}" if log_loss else "–", f"{ndcg.value:.4f}" if ndcg else "–",
        f"{mine.p50_seconds * 1e3:.2f} ms", f"{mine.p95_seconds * 1e3:.2f} ms",
        f"{mine.latency_ratio:.2f} ({low:.2f}–{high:.2f})", f"{mine.throughput_ratio:.2f}",
        *[f"{one.speed.by_size[entry].latency_ratio:.2f}" for entry in other],
        f"{mine.bare_seconds * 1e3:.2f} ms ({mine.bare_ratio:.2f})", f"{one.size_bytes / 1e6:.1f} MB",
        f"{memory / 1e6:.0f} MB" if memory else "–", choice.reason,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _loss_heads(result: Result) -> list[str]:
    """Both are always told: the loss of the metric, and that of the lead."""
    metric, baseline = result.task.metric, result.task.baseline
    heads = [f"loss of {METRICS[metric]} (95 %)"]
    return [*heads, f"loss of {lift_words(metric, baseline)} (95 %)"] if _has_lift(result) else heads


def _has_lift(result: Result) -> bool:
    return result.judged[0].quality[result.task.metric].lift is not None


def _losses(name: str, quality: Mapping[str, Measured], result: Result) -> list[str]:
    mine = quality[result.task.metric]
    found: list[tuple[float | None, tuple[float, float] | None]] = [(mine.loss_ratio, mine.loss_interval)]
    if mine.lift is not None:
        found.append((mine.lift.loss_ratio, mine.lift.loss_interval))
    return [
        "0" if name == FULL
        else "no lead" if loss is None or ends is None
        else f"{loss:+.2%} [{ends[0]:+.2%}, {ends[1]:+.2%}]"
        for loss, ends in found
    ]  # fmt: skip


def _later(result: Result) -> list[str]:
    """The kept ones on rows that chose nothing, or that there were none."""
    if result.report is None:
        return ["The same rows chose and report. `--report` takes later ones, which choose nothing."]
    metric = METRICS[result.task.metric]
    value = [] if metric == METRICS["auc"] else [metric]
    heads = ["candidate", "AUC (95 %)", *value, *_loss_heads(result), "within the budget"]
    lines = [
        f"On {len(result.report)} later rows of `{result.report.name}`, which chose nothing:", "",
        "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads),
    ]  # fmt: skip
    for name, quality in result.reported.items():
        low, high = quality["auc"].interval
        cells = [
            f"**{name}**" if name == result.chosen else name,
            f"{quality['auc'].value:.4f} [{low:.4f}, {high:.4f}]",
        ]
        cells += [f"{quality[result.task.metric].value:.4f}"] if value else []
        lines.append("| " + " | ".join([*cells, *_losses(name, quality, result), _holds(name, quality, result)]) + " |")
    return lines


def _holds(name: str, quality: Mapping[str, Measured], result: Result) -> str:
    if name == FULL:
        return "the baseline"
    try:
        _, (_, high) = result.criterion.loss(quality)
    except InputError:  # on these rows the full model has no lead
        return "no"
    return "yes" if high < result.criterion.budget_ratio else "no"


def picture(result: Result, path: Path) -> None:
    """Loss against latency; the budget, the frontier, and the chosen one."""
    task = result.task
    points = []
    for one, choice in zip(result.judged, result.choices, strict=True):
        (loss, ends), speed = result.criterion.loss(one.quality), one.speed.by_size[task.size]
        points.append(
            Point(
                one.candidate.name,
                speed.p50_seconds,
                loss,
                ends,
                choice.chosen,
                one.candidate.name == FULL,
            )
        )
    draw(points, Picture(result.rows.name, result.criterion.of, task.size, task.budget_ratio), path)


def records(result: Result, uri_prefix: str) -> list[VariantRecord]:
    """One for each kept variant; the version is the beginning of the file's hash, so a new file is a new version."""
    task, rows, found = result.task, result.report or result.rows, []
    for one, choice in zip(result.judged, result.choices, strict=True):
        if not choice.kept:
            continue
        digest = hashlib.sha256(result.models[choice.name].read_bytes()).hexdigest()
        measured = result.reported.get(choice.name, one.quality)[task.metric]
        sign = -1.0 if task.metric == "log_loss" else 1.0  # in a record more is better
        found.append(
            VariantRecord(
                variant=choice.name,
                version=digest[:12],
                uri=f"{uri_prefix.rstrip('/')}/{choice.name}.onnx",
                sha256=digest,
                dataset=f"{rows.name}, {len(rows)} rows, sha256 {rows.sha256[:12]}",
                metric=METRICS[task.metric] if sign > 0 else f"-{METRICS[task.metric]}",
                value=sign * measured.value,
                interval=_sorted(sign * measured.interval[0], sign * measured.interval[1]),
                loss_interval=measured.loss_interval,
                latency_seconds={str(size): speed.p95_seconds for size, speed in one.speed.by_size.items()},
                throughput_per_second={str(size): speed.per_second for size, speed in one.speed.by_size.items()},
                size_bytes=one.size_bytes,
                baseline=FULL,
                chosen=choice.chosen,
                reason=choice.reason + _told_later(choice.name, result),
            )
        )
    return found


def _told_later(name: str, result: Result) -> str:
    """The choice's own words are of the rows that it was made on."""
    if name == FULL or name not in result.reported:
        return ""
    loss = result.reported[name][result.task.metric]
    low, high = loss.loss_interval
    return f"; on later rows it loses {low:+.2%} to {high:+.2%} of {METRICS[result.task.metric]}"


def _sorted(one: float, other: float) -> tuple[float, float]:
    return min(one, other), max(one, other)

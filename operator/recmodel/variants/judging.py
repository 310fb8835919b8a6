"""Quality and speed of made candidates, each kept on disk under the hash of what it depends on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx

from recmodel.variants import graph, quality, verify
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError, first_line
from recmodel.variants.graph import Floats
from recmodel.variants.plan import FULL
from recmodel.variants.speed import Bench, SizeSpeed, Speed, requests_by_size
from recmodel.variants.task import Task
from recmodel.variants.workshop import Made

# Changes when the same scores are judged in another way: older results are then judged again.
JUDGING = "4"


class Judging:
    """Judges on the rows that it is given; the full model comes first."""

    def __init__(self, task: Task, given: onnx.ModelProto, rows: Rows, progress: Callable[[str], None]) -> None:
        self._task, self._given, self._rows, self._progress = task, given, rows, progress
        self._cache = task.out / "cache" / "measured"
        self._cache.mkdir(parents=True, exist_ok=True)
        self.core = task.core if task.core is not None else max(os.sched_getaffinity(0))
        self._judge: quality.Judge | None = None
        self._full: Path | None = None

    def quality(self, name: str, made: Made) -> dict[str, quality.Measured]:
        """Every metric; the full model must come first. Raises InputError where its scores are no probabilities."""
        self._full = self._full or made.served
        files = _sha(made.served), _sha(self._full), graph.sha256(self._given)
        rows = self._rows.sha256, self._task.baseline_column
        key = _key("quality", JUDGING, *files, *rows, self._task.seed, self._task.size)
        file = self._cache / f"{key}.json"
        if not file.exists():
            score = self._scores(name, made.served)
            if name == FULL:
                self._check_full(score)
            if self._judge is None:
                full = score if made.served == self._full else self._scores(FULL, self._full)
                self._judge = quality.Judge(self._rows, full, self._task.seed)
            _write(file, quality.as_json(self._judge.judge(score)))
        return quality.from_json(json.loads(file.read_text(encoding="utf-8")))

    def _check_full(self, score: Floats) -> None:
        """Raises InputError where the full model is not what the user gave, on any row: nothing may be compared with it then."""
        why = verify.gap(graph.scores(self._given, self._rows.columns), score)
        if why is not None:
            raise InputError("model", self._task.model, f"cannot be optimised: folded and in the usual spelling, {why}")

    def _scores(self, name: str, path: Path) -> Floats:
        """8 bits that take their scale from a request are scored in requests of the serving size, as they are served."""
        size = {"rows_a_call": self._task.size} if graph.scales_by_request(onnx.load(str(path))) else {}
        try:
            score = graph.scores(path, self._rows.columns, **size)
        except Exception as error:  # onnxruntime has a kind of its own for each status
            raise InputError(
                "evaluation", self._rows.name, f"onnxruntime cannot score it with {name} ({first_line(error)})"
            ) from error
        if len(score) != len(self._rows):
            raise InputError("model.score", f"{len(score)} scores", f"one a row is needed, of {len(self._rows)} rows")
        quality.check_scores(score, "model" if name == FULL else name, self._task.metric)
        return score

    def speeds(self, served: Mapping[str, Path]) -> tuple[dict[str, Speed], dict[str, str]]:
        """Of all, in one go: figures of different days do not compare, so another candidate has all measured again.

        The second are those that could not be measured, with the reason.
        """
        task = self._task
        together = sorted({_sha(path) for path in served.values()})
        settings = [list(task.sizes), self.core, str(task.runtime), str(task.effort), _sha(served[FULL]), *together]
        files = {name: self._cache / f"{_key('speed', _sha(path), *settings)}.json" for name, path in served.items()}
        missing = {name: served[name] for name, file in files.items() if not file.exists() and name != FULL}
        failed: dict[str, str] = {}
        if missing or not files[FULL].exists():
            logs = task.out / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            requests = requests_by_size(self._rows.columns, task.sizes, task.seed)
            bench = Bench(requests, self.core, task.runtime, logs, task.effort)
            for part in bench.compare(served[FULL], missing, self._progress):
                for name, speed in part.items():
                    _write(files[name or FULL], speed_as_json(speed))
            failed = bench.failed
        found = {name: file for name, file in files.items() if name not in failed}
        return {
            name: speed_from_json(json.loads(file.read_text(encoding="utf-8"))) for name, file in found.items()
        }, failed


def speed_as_json(speed: Speed) -> dict[str, object]:
    """For the cache and the result file."""
    return {
        "residentBytes": speed.resident_bytes,
        "bySize": {str(size): dict(vars(one)) for size, one in speed.by_size.items()},
    }


def speed_from_json(found: Mapping[str, Any]) -> Speed:
    """The reverse."""
    sizes = {}
    for size, one in found["bySize"].items():
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in one.items()}
        sizes[int(size)] = SizeSpeed(**values)
    return Speed(sizes, found["residentBytes"])


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(*words: object) -> str:
    return hashlib.sha256(json.dumps([str(word) for word in words]).encode()).hexdigest()[:24]


def _write(path: Path, value: object) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1), encoding="utf-8")
    partial.rename(path)

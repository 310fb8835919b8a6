"""Makes candidates, each once: what was made lies under the hash of everything that it was made from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from recmodel.variants import graph
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError
from recmodel.variants.fold import fold
from recmodel.variants.graph import Array, Floats
from recmodel.variants.plan import FULL, Candidate
from recmodel.variants.quantise import matmuls, quantise, weights
from recmodel.variants.surgery import prune, sparsify
from recmodel.variants.training import TrainingAdapter, source_of

# Changes when the same candidate is made in another way: older results are then made again.
MAKING = "7"
# Rows for calibration and for the use of hidden units.
SAMPLE_ROWS = 5120


@dataclass(frozen=True)
class Made:
    """A candidate's files: the graph that training goes on from, and the folded, perhaps quantised one that serves."""

    key: str
    trained: Path
    served: Path
    seconds: float
    dropped: tuple[str, ...] = ()  # steps that would have changed its scores, and by how much


@dataclass(frozen=True)
class Materials:
    """What candidates are made from; without ``rows`` and ``adapter`` nothing is trained."""

    full: onnx.ModelProto
    as_given: (
        onnx.ModelProto | None
    )  # what serves as the full model where that is not ``full`` itself: a graph in halves
    designs: Mapping[str, onnx.ModelProto]
    rows: Rows | None
    sample: Mapping[str, Array]  # of the rows: for calibration and for the use of hidden units
    adapter: TrainingAdapter | None


class Workshop:
    """Makes candidates, and keeps what it has made in ``cache``."""

    def __init__(self, materials: Materials, cache: Path, progress: Callable[[str], None]) -> None:
        self._materials, self._cache, self._progress = materials, cache, progress
        self._made: dict[str, Made] = {}
        self._teacher: Floats | None = None

    def make(self, candidate: Candidate) -> Made:
        """The candidate's files, from the cache where they are. Its parent must have been made before."""
        key = self._key(candidate)
        folder = self._cache / key
        if not (folder / "done.json").exists():
            self._progress(f"{candidate.name}: {candidate.technique}")
            started = time.monotonic()
            partial = self._cache / f"{key}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            trained, served, dropped = self._steps(candidate)
            graph.write(served, partial / "served.onnx")
            self._write_trained(candidate, trained, partial / "trained.onnx")
            facts = {
                "name": candidate.name,
                "seconds": round(time.monotonic() - started, 2),
                "dropped": dropped,
            }
            (partial / "done.json").write_text(json.dumps(facts), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
        files = folder / "trained.onnx", folder / "served.onnx"
        made = Made(key, *files, float(done["seconds"]), tuple(done["dropped"]))
        self._made[candidate.name] = made
        return made

    def _write_trained(self, candidate: Candidate, trained: onnx.ModelProto, path: Path) -> None:
        """A link where the parent has the same file: 8 bits are applied to what serves only."""
        same = candidate.recipe is None and candidate.keep_ratio is None and candidate.zero_ratio is None
        if candidate.parent and same:
            os.link(self._made[candidate.parent].trained, path)
        else:
            graph.write(trained, path)

    def _key(self, candidate: Candidate) -> str:
        parent = self._made[candidate.parent].key if candidate.parent else graph.sha256(self._materials.full)
        versions = [onnx.__version__, onnxruntime.__version__]
        if candidate.int8 is not None and candidate.int8.scale == "nncf":
            versions.append(metadata.version("nncf"))
        words = {
            "making": MAKING,
            "versions": versions,
            "candidate": candidate.as_dict() | {"technique": ""},
            "parent": parent,
            "full": graph.sha256(self._materials.full) if candidate.distilled else "",
            "asGiven": graph.sha256(self._materials.as_given)
            if self._materials.as_given and not candidate.parent
            else "",
            "design": graph.sha256(self._materials.designs[candidate.design]) if candidate.design else "",
            "rows": self._materials.rows.sha256 if self._materials.rows else "",
            "sample": _sha_of(self._materials.sample),
            "adapter": source_of(self._materials.adapter) if candidate.recipe else "",
        }
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:24]

    def _steps(self, candidate: Candidate) -> tuple[onnx.ModelProto, onnx.ModelProto, tuple[str, ...]]:
        if candidate.design:
            model = self._materials.designs[candidate.design]
        elif candidate.parent:
            model = onnx.load(str(self._made[candidate.parent].trained))
        else:
            model = self._materials.full
        if candidate.keep_ratio is not None:
            model = prune(model, candidate.keep_ratio, self._materials.sample)
        if candidate.zero_ratio is not None:
            model = sparsify(model, candidate.zero_ratio)
        if candidate.recipe is not None:
            model = self._trained(candidate, model)
        if candidate.name == FULL and self._materials.as_given is not None:
            return model, self._materials.as_given, ()
        folded = fold(model, self._materials.sample)
        served = folded.model
        if candidate.int8 is not None:
            served = quantise(served, candidate.int8, self._materials.sample)
        return model, served, folded.dropped

    def _trained(self, candidate: Candidate, model: onnx.ModelProto) -> onnx.ModelProto:
        if self._materials.rows is None or self._materials.adapter is None or candidate.recipe is None:
            raise InputError("training", None, f"candidate {candidate.name} needs training data and an adapter")
        recipe = candidate.recipe
        if candidate.retrained_int8 and candidate.int8:
            every = tuple(node.input[1] for node in matmuls(model))
            # Tables alone name no layer: the model then gets used to all of them in 8 bits.
            recipe = recipe.with_values(int8=weights(model, candidate.int8) or every)
        teacher = self._teacher_scores(self._materials.rows) if candidate.distilled else None
        return self._materials.adapter.train(
            model, self._materials.rows, recipe, teacher, lambda words: self._progress(f"{candidate.name}: {words}")
        )

    def _teacher_scores(self, rows: Rows) -> Floats:
        """[training rows]: the full model's, with each row's features of its own time."""
        if self._teacher is None:
            names = [name for name in rows.columns if name not in {e.name for e in self._materials.full.graph.input}]
            self._teacher = graph.scores(graph.with_inner_inputs(self._materials.full, names), rows.columns)
        return self._teacher


def _sha_of(columns: Mapping[str, Array]) -> str:
    """Of the values: calibration reads them."""
    digest = hashlib.sha256()
    for name, values in sorted(columns.items()):
        digest.update(f"{name} {values.dtype} {values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()

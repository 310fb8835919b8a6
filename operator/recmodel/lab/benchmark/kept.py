"""Results that are kept on disk, so that an interrupted run goes on and only what a change concerns is run again.

An outcome holds for the sources of the engine and the lab as they were. What HPA and KEDA came to does not depend on the engine,
so their runs are kept by the sources of the simulator, the plants and the days alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from recmodel.lab.benchmark.contest import Heat, Outcome, run_heat
from recmodel.lab.controllers.hindsight import SettingRun

PACKAGE = Path(__file__).resolve().parents[2]
ENGINE_SOURCES = ("core", "lab", "loads.py")
RIVAL_SOURCES = (
    "core/types.py",
    "loads.py",
    "lab/trace.py",
    "lab/simulator",
    "lab/controllers/baselines.py",
    "lab/controllers/clairvoyant.py",
    "lab/controllers/hindsight.py",
    "lab/benchmark/plants.py",
    "lab/benchmark/drawn_days.py",
)
OUTCOMES, RUNS = TypeAdapter(Outcome), TypeAdapter(dict[str, SettingRun])


def folder() -> Path:
    """``benchmark`` in ``RECMODEL_CACHE``, or in the user's cache."""
    return Path(os.environ.get("RECMODEL_CACHE") or Path.home() / ".cache/recmodel") / "benchmark"


def sources_digest(names: Iterable[str], traces: Sequence[Path]) -> str:
    """Of the contents of some sources of the package, and of the traces."""
    digest = hashlib.sha256()
    files = [path for name in names for path in sorted((PACKAGE / name).rglob("*.py")) or [PACKAGE / name]]
    for path in (*files, *sorted(traces)):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Store:
    """The folders of what holds for the sources and traces as they are."""

    outcomes: Path
    runs: Path

    @classmethod
    def of(cls, traces: Sequence[Path]) -> Store:
        """Found once for a whole run: what is edited meanwhile is no part of it."""
        root = folder()
        return cls(
            root / "outcomes" / sources_digest(ENGINE_SOURCES, traces),
            root / "runs" / sources_digest(RIVAL_SOURCES, traces),
        )


def kept_or_run(heat: Heat, traces: Sequence[Path], store: Store) -> tuple[Outcome, bool]:
    """The outcome of a heat, and whether it was there already."""
    name = "-".join(str(part).replace(" ", "_") for part in astuple(heat)) + ".json"
    outcome_file, runs_file = store.outcomes / name, store.runs / name
    if outcome_file.exists():
        return OUTCOMES.validate_json(outcome_file.read_bytes()), True
    runs = RUNS.validate_json(runs_file.read_bytes()) if runs_file.exists() else {}
    outcome = run_heat(heat, traces, runs)
    write(runs_file, RUNS.dump_json(runs))
    write(outcome_file, OUTCOMES.dump_json(outcome))
    return outcome, False


def write(path: Path, content: bytes) -> None:
    """All or nothing: who reads meanwhile, or stops us, finds no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(f".{os.getpid()}")
    whole.write_bytes(content)
    whole.replace(path)

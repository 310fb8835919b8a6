"""The samples that several files serve."""

from __future__ import annotations

from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[2] / "manifests" / "samples" / "ranker.yaml"

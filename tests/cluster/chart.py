"""The chart of this checkout, rendered by the real helm."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "recmodel"
URL = "prometheus.url=http://prometheus.monitoring:9090"


def run(*command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command that may fail."""
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)


def render(
    helm: str, *settings: str, release: str = "recmodel", namespace: str = "recmodel-system"
) -> list[dict[str, Any]]:
    """The objects of the chart with these settings."""
    flags = [part for setting in settings for part in ("--set", setting)]
    result = run(helm, "template", release, str(CHART), "--namespace", namespace, *flags)
    assert result.returncode == 0, result.stderr
    return [body for body in yaml.safe_load_all(result.stdout) if body]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of a kind."""
    return [body for body in objects if body["kind"] == kind]

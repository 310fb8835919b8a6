"""Records of measured variants, as ConfigMaps."""

from __future__ import annotations

import json
from typing import Any


def record(variant: str = "int8", **changes: Any) -> dict[str, Any]:
    return {
        "variant": variant, "version": "7", "uri": f"oci://models/{variant}:7", "sha256": "a" * 64,
        "dataset": "clicks, last day", "metric": "AUC", "value": 0.8, "interval": [0.79, 0.81],
        "lossInterval": [0.0, 0.01], "latencySeconds": {"1": 0.001}, "throughputPerSecond": {"1": 900.0},
        "sizeBytes": 10, "baseline": "full", "chosen": True, "reason": "the fastest within the budget", **changes,
    }  # fmt: skip


def config_map(*records: dict[str, Any], name: str = "feed-variants", version: str = "1") -> dict[str, Any]:
    data = {f"{r['variant']}.json": json.dumps(r) for r in records}
    labels = {"recmodel.dev/variants-of": "feed"}
    metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": version, "labels": labels}
    return {"metadata": metadata, "data": data}

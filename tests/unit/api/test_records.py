"""The record of a measured variant: written and read back, refused with the field's name where it is none."""

import json
from typing import Any

import pytest

from recmodel.api.records import RECORD_LABEL, VariantRecord, config_map, read_records

RECORD: dict[str, Any] = {
    "variant": "pruned-int8",
    "version": "2",
    "uri": "/models/pruned-int8.onnx",
    "sha256": "ab" * 32,
    "dataset": "movietweetings, last 10 % by time",
    "metric": "AUC",
    "value": 0.781,
    "interval": [0.772, 0.79],
    "lossInterval": [-0.001, 0.004],
    "latencySeconds": {"1": 0.0008, "200": 0.002},
    "throughputPerSecond": {"1": 1500.0, "200": 520.0},
    "sizeBytes": 1_000_000,
    "baseline": "full",
    "chosen": True,
    "reason": "the fastest within 1 %",
}


def test_what_is_written_is_read_back() -> None:
    record = VariantRecord.model_validate(RECORD)
    made = config_map("shop", "ranker", [record])
    assert made["metadata"]["labels"][RECORD_LABEL] == "ranker"
    assert json.loads(made["data"]["pruned-int8.json"]) == RECORD
    assert read_records(made["data"]) == ({"pruned-int8": record}, {})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"value": float("nan")}, "value"),
        ({"lossInterval": [0.2, 0.1]}, "lossInterval"),
        ({"latencySeconds": {}}, "latencySeconds"),
        ({"latencySeconds": {"zero": 1.0}}, "latencySeconds"),
        ({"throughputPerSecond": {"1": 0.0}}, "throughputPerSecond"),
        ({"sha256": "ABC"}, "sha256"),
        ({"speed": 1}, "speed"),
        ({"variant": "other"}, "variant"),
    ],
)
def test_one_wrong_record_is_named_and_the_others_are_read(change: dict[str, Any], told: str) -> None:
    good = json.dumps(RECORD | {"variant": "full"})
    records, wrong = read_records({"full.json": good, "pruned-int8.json": json.dumps(RECORD | change)})
    assert list(records) == ["full"]
    assert list(wrong) == ["pruned-int8.json"]
    assert told in wrong["pruned-int8.json"]
    assert "\n" not in wrong["pruned-int8.json"]

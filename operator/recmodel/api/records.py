"""What was measured of one variant, as the optimiser writes it and the operator reads it.

A ConfigMap in the RecModel's namespace, labelled ``recmodel.dev/variants-of: RECMODEL``, holds one key ``VARIANT.json`` for
each variant that was kept. Quality and speed always travel together with the hash of the file that they were measured on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AllowInfNan, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from recmodel.api.quantity import Name, Sha256, VersionName
from recmodel.api.shown import shown
from recmodel.api.strict import Strict
from recmodel.api.text import ShortText

RECORD_LABEL = "recmodel.dev/variants-of"
KEY_SUFFIX = ".json"
SHOWN_CHARACTERS = 60  # of a value that is refused
LONGEST_RECORD = 8192  # characters; one with every field as long as it may be has half of that

Finite = Annotated[float, AllowInfNan(False)]
RequestSize = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}$")]
PerSize = Annotated[
    dict[RequestSize, Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1, max_length=16)
]


class VariantRecord(Strict):
    """One variant: what it is, how good, how fast, and whether the optimiser would serve it."""

    model_config = ConfigDict(strict=False)

    variant: Name
    version: VersionName
    uri: Annotated[str, StringConstraints(pattern=r"^[^\s]+$", max_length=1024)]
    sha256: Sha256
    dataset: Annotated[ShortText, Field(description="What it was judged on, with the split.")]
    metric: Annotated[ShortText, Field(description="AUC, NDCG@10, ...: the same for all variants of a RecModel.")]
    value: Annotated[Finite, Field(description="Of that metric; more is better.")]
    interval: Annotated[tuple[Finite, Finite], Field(description="95 % interval of value.")]
    loss_interval: Annotated[
        tuple[Finite, Finite],
        Field(
            description="95 % interval of the loss against the baseline variant, a share of its value; below 0 is a gain."
        ),
    ]
    latency_seconds: Annotated[
        PerSize, Field(description="95th percentile through the model server, by candidates in a request.")
    ]
    throughput_per_second: Annotated[
        PerSize, Field(description="Requests a second of one core, by candidates in a request.")
    ]
    size_bytes: Annotated[int, Field(gt=0)]
    baseline: Annotated[Name, Field(description="The variant that losses are relative to; itself for the baseline.")]
    chosen: Annotated[bool, Field(description="The fastest whose whole loss interval is within the budget.")]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _intervals_are_ordered(self) -> VariantRecord:
        for name, (low, high) in (("interval", self.interval), ("lossInterval", self.loss_interval)):
            if low > high:
                raise ValueError(f"{name} [{low}, {high}]: the lower end comes first")
        return self


def config_map(namespace: str, recmodel: str, records: Iterable[VariantRecord]) -> dict[str, Any]:
    """The ConfigMap ``RECMODEL-variants`` with these records, as a plain Kubernetes object."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{recmodel}-variants",
            "namespace": namespace,
            "labels": {RECORD_LABEL: recmodel, "app.kubernetes.io/managed-by": "recmodel"},
        },
        "data": {r.variant + KEY_SUFFIX: r.model_dump_json(by_alias=True, indent=2) + "\n" for r in records},
    }


def read_records(data: Mapping[str, str]) -> tuple[dict[str, VariantRecord], dict[str, str]]:
    """The records of a ConfigMap's ``data`` by variant, and what is wrong with each key that is none, in one line each."""
    records: dict[str, VariantRecord] = {}
    wrong: dict[str, str] = {}
    for key, text in sorted(data.items()):
        if len(text) > LONGEST_RECORD:
            wrong[key] = f"{key} has {len(text)} characters: a record has at most {LONGEST_RECORD}"
            continue
        try:
            record = VariantRecord.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            wrong[key] = (
                f"{place} is {shown(first['input'], SHOWN_CHARACTERS)}: {first['msg']}"
                if place
                else f"{key}: {first['msg']}"
            )
            continue
        if key != record.variant + KEY_SUFFIX:
            wrong[key] = f"variant: {record.variant!r} under the key {key!r}, which must be {record.variant}.json"
        else:
            records[record.variant] = record
    return records, wrong

"""The variants of a RecModel as they are known: what its owner wrote by hand, and for the rest the records. Pure.

A record that is refused changes nothing: the one before goes on counting. What a variant has from its record stands in
the spec afterwards as if it had been written there, so nobody else needs to know of records.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recmodel.api.objective import Accuracy, Variant
from recmodel.api.records import KEY_SUFFIX, VariantRecord, read_records
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.versions import ModelVersion

BY_HAND = "spec"
MOST_RECORDS = 64  # of a RecModel


@dataclass(frozen=True, slots=True)
class Found:
    """A good record, and the ConfigMap that it is in."""

    config_map: str
    record: VariantRecord


@dataclass(frozen=True, slots=True)
class Variants:
    """What is known of a RecModel's variants."""

    spec: RecModelSpec  # what the records say is filled in
    records: Mapping[str, Found] = field(default_factory=dict)  # by variant: the one that counts
    problems: tuple[str, ...] = ()  # records that are refused: field, value and rule of each
    recorded: tuple[VariantRecord, ...] = ()  # all good records, those of variants that the spec does not list, too
    unmeasured: tuple[str, ...] = ()  # variants that no pool may send traffic to for lack of an accuracy
    targets: Mapping[str, ModelVersion | None] = field(default_factory=dict)
    """By pool: the version that it is to serve; None where none is known, which asks for no change."""

    def target(self, pool: str) -> ModelVersion | None:
        """The version that a pool is to serve."""
        return self.targets.get(pool)


def model_version(variant: Variant) -> ModelVersion | None:
    """A filled-in variant as what a pool serves."""
    if variant.version is None:
        return None
    accuracy = variant.accuracy
    return ModelVersion(
        variant.name,
        variant.version,
        variant.uri,
        variant.sha256,
        accuracy.metric if accuracy else None,
        accuracy.value if accuracy else None,
    )


def served_losses(spec: RecModelSpec, serving: Mapping[str, ModelVersion | None]) -> dict[str, float]:
    """The loss, against the best of all variants, of each pool that serves another version than its variant's newest:
    what counts is what answers. Pools for which the spec says it already are left out.
    """
    by_name = {variant.name: variant for variant in spec.variants}
    newest = {v.name: float(v.accuracy.value) for v in spec.variants if v.accuracy is not None}
    served = {
        pool: float(now.value)
        for pool, now in serving.items()
        if now is not None and now.value is not None and _differs(now, by_name.get(now.variant))
    }
    best = max([*newest.values(), *served.values()], default=0.0)
    return {pool: 1.0 - value / best for pool, value in served.items()} if best > 0 else {}


def _differs(now: ModelVersion, variant: Variant | None) -> bool:
    """Whether what is served was measured otherwise than what the spec has now; False for another metric, too, whose
    numbers say nothing beside these.
    """
    if variant is None or variant.version == now.version:
        return False
    return variant.accuracy is None or variant.accuracy.metric == now.metric


def known_variants(
    written: RecModelSpec, config_maps: Iterable[Mapping[str, Any]], before: Mapping[str, Found]
) -> Variants:
    """The spec filled in from the records in ``config_maps``; ``before`` are the records that counted until now."""
    found, broken, problems = _read(list(config_maps), [v.name + KEY_SUFFIX for v in written.variants])
    chosen: dict[str, Found] = {}
    metric = next((v.accuracy.metric for v in written.variants if v.accuracy is not None), None)
    for variant in written.variants:
        fitting = [f for f in found.get(variant.name, ()) if variant.version in (None, f.record.version)]
        wrong = [problem for f in fitting if (problem := _crossing(f, metric))] or _several(variant.name, fitting)
        problems += wrong
        best = fitting[0] if fitting and not wrong else None
        last = before.get(variant.name)
        if last is not None and (wrong or (best is None and variant.name in broken)):
            best = last if variant.version in (None, last.record.version) else None
        if best is not None:
            chosen[variant.name] = best
            metric = metric or best.record.metric
    spec = written.model_copy(update={"variants": [_filled(v, chosen.get(v.name)) for v in written.variants]})
    bare = tuple(v.name for v in spec.variants if v.accuracy is None and v.unmeasured == "Deny")
    versions = {variant.name: model_version(variant) for variant in spec.variants}
    # A workload that stands already serves what it serves.
    targets = {pool.name: versions.get(spec.variant_of(pool) or "") for pool in spec.made_pools}
    recorded = tuple(f.record for several in found.values() for f in several)
    return Variants(spec, chosen, tuple(problems), recorded, bare, targets)


def _read(
    config_maps: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> tuple[dict[str, list[Found]], set[str], list[str]]:
    """Good records by variant, the variants whose record is none, and why. Of more than ``MOST_RECORDS`` those under ``keys``
    come first, and the rest is not looked at: whoever may write a ConfigMap must not be able to hold up the others.
    """
    found: dict[str, list[Found]] = {}
    broken: set[str] = set()
    problems: list[str] = []
    counted = sum(len(config_map.get("data") or {}) for config_map in config_maps)
    for name, data in _chosen(config_maps, keys):
        records, wrong = read_records(data)
        for record in records.values():
            found.setdefault(record.variant, []).append(Found(name, record))
        for key, problem in wrong.items():
            broken.add(key.removesuffix(".json"))
            problems.append(f"{key} in ConfigMap {name}: {problem}")
    if counted > MOST_RECORDS:
        problems.append(
            f"the ConfigMaps have {counted} keys together: {MOST_RECORDS} are read, those of the spec's variants first"
        )
    return found, broken, problems


def _chosen(config_maps: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """What is read of each ConfigMap, by its name."""
    left = MOST_RECORDS
    chosen: list[dict[str, str]] = []
    for config_map in config_maps:
        data = config_map.get("data") or {}
        chosen.append({key: data[key] for key in keys[:left] if key in data})
        left -= len(chosen[-1])
    for config_map, own in zip(config_maps, chosen, strict=True):
        data = config_map.get("data") or {}
        others = heapq.nsmallest(left, (key for key in data if key not in own)) if left else ()
        left -= len(others)
        yield config_map["metadata"]["name"], {**own, **{key: data[key] for key in others}}


def _crossing(found: Found, metric: str | None) -> str | None:
    """What is wrong between the fields of a record, or between it and the other variants."""
    record, where = found.record, f"{found.record.variant}.json in ConfigMap {found.config_map}"
    low, high = record.interval
    if not low <= record.value <= high:
        return f"{where}: interval is [{low}, {high}]: must hold value, {record.value}"
    if not 0.0 < record.value < 1e9:
        return f"{where}: value is {record.value}: must be above 0, since losses are relative to it"
    if metric is not None and record.metric != metric:
        return f"{where}: metric is {record.metric!r}: must be that of the other variants, {metric!r}"
    return None


def _several(variant: str, fitting: list[Found]) -> list[str]:
    """Why records of one variant in several ConfigMaps are refused, where they do not say the same."""
    if len({f.record.model_dump_json() for f in fitting}) < 2:
        return []
    versions = ", ".join(f"{f.record.version} in {f.config_map}" for f in fitting)
    return [
        f"{variant}.json is in more than one ConfigMap ({versions}): one of them must go, or variants[].version be set"
    ]


def _filled(variant: Variant, found: Found | None) -> Variant:
    if found is None:
        return variant
    record = found.record
    accuracy = Accuracy(metric=record.metric, value=f"{record.value:.9f}".rstrip("0").rstrip("."))
    return variant.model_copy(
        update={
            "version": variant.version or record.version,
            "uri": variant.uri or record.uri,
            "sha256": variant.sha256 or record.sha256,
            "accuracy": variant.accuracy or accuracy,
        }
    )

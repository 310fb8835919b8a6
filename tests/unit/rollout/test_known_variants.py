"""What a RecModel's variants are once the records are read, and which records are refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from builders.fake_cluster import OWNER, pool, spec
from builders.variant_records import config_map, record
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.versions import POOL_ON_TRIAL, ModelVersion, Serving
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.controller.registry import learned
from recmodel.controller.tracked import Tracked
from recmodel.controller.views import core_model
from recmodel.report.snapshot import Desired
from recmodel.rollout.known_variants import MOST_RECORDS, Variants, known_variants


def feed(*variants: dict[str, Any], budget: str | None = "1%") -> RecModelSpec:
    objective = {"latency": {"threshold": "100ms"}, **({"accuracy": {"maxLoss": budget}} if budget else {})}
    pools = [{**pool(v["name"]), "variant": v["name"]} for v in variants]
    return spec(*pools, objective=objective, variants=list(variants))


FULL = {"name": "full", "accuracy": {"metric": "AUC", "value": "0.81"}}
INT8 = {"name": "int8"}


def known(*config_maps: dict[str, Any], written: RecModelSpec | None = None) -> Variants:
    return known_variants(written or feed(FULL, INT8), config_maps, {})


def test_a_variant_without_an_accuracy_takes_it_from_its_record() -> None:
    found = known(config_map(record()))
    assert found.problems == found.unmeasured == ()
    assert found.target("int8") == ModelVersion("int8", "7", "oci://models/int8:7", "a" * 64, "AUC", "0.8")
    assert found.target("full") is None
    losses = {p.name: p.accuracy_loss_ratio for p in found.spec.model("shop/feed").pools}
    assert losses["int8"] == pytest.approx(1 - 0.8 / 0.81)


def test_what_is_written_by_hand_wins() -> None:
    by_hand = {"name": "int8", "accuracy": {"metric": "AUC", "value": "0.805"}, "uri": "file:///mine"}
    found = known(config_map(record()), written=feed(FULL, by_hand))
    assert found.target("int8") == ModelVersion("int8", "7", "file:///mine", "a" * 64, "AUC", "0.805")


def test_a_record_of_another_version_than_the_one_asked_for_does_not_count() -> None:
    found = known(config_map(record()), written=feed(FULL, {"name": "int8", "version": "8"}))
    assert found.target("int8") == ModelVersion("int8", "8")
    assert found.unmeasured == ("int8",)


def test_a_variant_that_was_never_measured_gets_no_traffic_unless_its_owner_says_so() -> None:
    for unmeasured, loss in (("Deny", None), ("Allow", 0.01)):
        found = known(written=feed(FULL, {"name": "int8", "unmeasured": unmeasured}))
        assert found.spec.model("shop/feed").pools[1].accuracy_loss_ratio == loss
        assert (found.unmeasured == ("int8",)) == (unmeasured == "Deny")


REFUSED = {
    "NaN": ({"value": float("nan")}, "value is nan: Input should be a finite number"),
    "a word": ({"value": "good"}, "value is 'good': Input should be a valid number"),
    "an interval beside the value": ({"interval": [0.81, 0.9]}, "interval is [0.81, 0.9]: must hold value, 0.8"),
    "an interval the wrong way round": ({"interval": [0.81, 0.79]}, "the lower end comes first"),
    "another metric": ({"metric": "NDCG@10"}, "metric is 'NDCG@10': must be that of the other variants, 'AUC'"),
    "nothing": ({"value": 0.0, "interval": [0.0, 0.0]}, "value is 0.0: must be above 0"),
    "no hash": ({"sha256": "f00"}, "sha256 is 'f00': String should match pattern"),
    "a size of none": ({"sizeBytes": 0}, "sizeBytes is 0: Input should be greater than 0"),
    "a field too much": ({"accuracy": 1}, "accuracy is 1: Extra inputs are not permitted"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_record_is_refused_with_field_value_and_rule_and_the_one_before_goes_on(case: str) -> None:
    changes, said = REFUSED[case]
    good = known(config_map(record(version="6")))
    found = known_variants(feed(FULL, INT8), [config_map(record(**changes))], good.records)
    (problem,) = found.problems
    assert problem.startswith("int8.json in ConfigMap feed-variants")
    assert said in problem
    assert found.spec == good.spec
    # A new process knows no record before it: then there is none.
    assert known(config_map(record(**changes))).target("int8") is None


def test_text_that_is_no_json_and_a_record_under_another_key_are_refused() -> None:
    for data in ({"int8.json": "{"}, {"full.json": json.dumps(record())}, {"int8.json": "7"}, {"int8.json": "null"}):
        assert known({"metadata": {"name": "m"}, "data": data}).problems


def test_records_that_contradict_each_other_are_refused_until_the_version_says_which() -> None:
    two = config_map(record(), name="a"), config_map(record(version="8"), name="b")
    found = known(*two)
    assert "7 in a, 8 in b" in found.problems[0]
    assert found.target("int8") is None
    chosen = known(*two, written=feed(FULL, {"name": "int8", "version": "8"})).target("int8")
    assert chosen is not None
    assert chosen.version == "8"


def test_a_record_that_is_gone_and_one_of_no_variant_of_the_spec_count_for_nothing() -> None:
    good = known(config_map(record()))
    found = known_variants(feed(FULL, INT8), [config_map(record("tiny"))], good.records)
    assert found.target("int8") is None
    assert found.problems == ()


def test_records_are_read_again_only_when_they_or_the_spec_changed() -> None:
    bare = learned(Desired(written=feed(FULL, INT8)), OWNER, [])
    assert learned(bare, OWNER, []) is bare
    measured = learned(bare, OWNER, [config_map(record())])
    assert measured.variants != bare.variants
    assert learned(measured, OWNER, [config_map(record())]) is measured
    again = learned(measured, OWNER, [config_map(record(), version="2")])  # written again, and the same
    assert again.variants == measured.variants
    assert again.model is not None
    assert again.model.pools[1].accuracy_loss_ratio is not None


def test_what_a_pool_loses_is_what_it_serves_not_what_is_newest() -> None:
    written = feed(FULL, INT8)
    found = learned(
        Desired(written=written), OWNER, [config_map(record(version="8", value=0.81, interval=[0.8, 0.82]))]
    )
    tracked = Tracked(OWNER, found)
    old, new = ModelVersion("int8", "7", metric="AUC", value="0.79"), ModelVersion("int8", "8")
    pools = {"full": PoolState(True, 1, 1, 0, None, (), False, None)}
    for serving, loss in (
        (old, 1 - 0.79 / 0.81),
        (new, 0.0),
        (ModelVersion("int8", "6", metric="NDCG", value="9"), 0.0),
    ):
        pools["int8"] = PoolState(True, 1, 1, 0, None, (), False, None, Serving(serving))
        model = core_model(tracked, pools)
        assert model.pools[1].accuracy_loss_ratio == pytest.approx(loss)
        assert model.pools[1].version == serving.name
        assert model.pools[0].version == ""
    # A record that is gone takes nothing from what serves.
    tracked = Tracked(OWNER, learned(found, OWNER, []))
    pools["int8"] = PoolState(True, 1, 1, 0, None, (), False, None, Serving(old))
    assert core_model(tracked, pools).pools[1].accuracy_loss_ratio == pytest.approx(1 - 0.79 / 0.81)


def test_a_pool_that_was_taken_back_keeps_its_minimum_and_no_traffic() -> None:
    tracked = Tracked(OWNER, learned(Desired(written=feed(FULL, INT8)), OWNER, [config_map(record())]))
    bad = ModelVersion("int8", "7")
    pools = {"full": PoolState(True, 1, 1, 0, None, (), False, None)}
    for serving, most in (
        (Serving(bad, trial=POOL_ON_TRIAL, refused=bad.name), 1),
        (Serving(bad, trial=POOL_ON_TRIAL), 9),
        (Serving(bad, refused="int8@6"), 9),
    ):
        pools["int8"] = PoolState(True, 3, 3, 0, None, (), False, None, serving)
        found = core_model(tracked, pools).pools[1]
        assert found.max_replicas == most
        assert found.traffic_limit_ratio == (1.0 if serving.trial is None else 0.0)


def test_what_somebody_elses_tool_releases_is_decided_on_and_left_as_it_is() -> None:
    tracked = Tracked(OWNER, learned(Desired(written=feed(FULL)), OWNER, []))
    state = PoolState(True, 1, 1, 0, None, (), False, None, releaser="Canary shop/feed")
    assert not core_model(tracked, {"full": state}).acts


LARGE = {
    "of 60,000 keys": {f"k{i}.json": "{}" for i in range(60_000)},
    "of one long record": {"int8.json": json.dumps(record(reason="y" * 1_000_000))},
    "of deep nesting": {"int8.json": "[" * 1_000_000},
    "of one long list": {"full.json": json.dumps(record("full", interval=["x"] * 200_000))},
    "of good records": {f"v{i}.json": json.dumps(record(f"v{i}")) for i in range(1_500)},
}


@pytest.mark.parametrize("case", LARGE)
def test_large_config_maps_do_not_hold_up_the_event_loop(case: str) -> None:
    maps = [config_map(name=f"large-{i}") for i in range(3)] + [config_map(record(), name="other")]
    for large in maps[:3]:
        large["data"] = LARGE[case]
    inventory = Inventory()
    started = time.process_time()
    for obj in maps:
        inventory.see(names.CONFIG_MAP, "ADDED", obj)
    variants = learned(Desired(written=feed(FULL, INT8)), OWNER, inventory.records_of("shop/feed")).variants
    assert time.process_time() - started < 1.0  # it was 5 s
    assert variants is not None
    assert len(variants.problems) <= MOST_RECORDS + 1
    assert len(variants.recorded) <= MOST_RECORDS
    # A good record of a variant of the spec counts, whatever lies beside it.
    assert variants.target("int8") is not None


def test_of_very_many_config_maps_some_are_read() -> None:
    found = known(*[config_map(record(f"v{i}"), name=f"m{i:04}") for i in range(2_000)], config_map(record(), name="z"))
    assert found.target("int8") is not None
    assert len(found.recorded) == MOST_RECORDS
    assert "2001 keys together: 64 are read" in found.problems[-1]

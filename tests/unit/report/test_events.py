"""The Events: which changes of the status are told, and how."""

from __future__ import annotations

from dataclasses import replace

from builders.status_scene import NOW, STATE, decision, reading, status, tracked, with_records
from builders.variant_records import config_map, record
from recmodel.api.status import RecModelStatus
from recmodel.core.types import Reason
from recmodel.prometheus import Bracket
from recmodel.report.events import changes, event


def test_a_changed_decision_is_told_once_with_its_reason() -> None:
    first = status()
    grown = status(tracked(decision=decision(5, reason="ForecastRise")), written=first)
    assert changes(grown, first) == [("Normal", Reason("ForecastRise", "cpu 3 -> 5: ForecastRise at 100 requests/s"))]
    assert changes(status(tracked(decision=decision(5, reason="ForecastRise")), written=grown), grown) == []


def test_a_flipped_condition_is_told_with_its_weight() -> None:
    first = status()
    missed = status(tracked(reading=reading(Bracket(0.9, 0.9))), written=first)
    ((kind, reason),) = changes(missed, first)
    assert (kind, reason.reason) == ("Warning", "ObjectiveMissed")
    ((kind, reason),) = changes(status(written=missed), missed)
    assert (kind, reason.reason) == ("Normal", "WithinObjective")


def test_a_new_healthy_model_tells_only_that_it_serves() -> None:
    assert [reason.reason for _, reason in changes(status(), RecModelStatus())] == ["Serving"]


def test_a_new_model_that_starts_is_no_news_but_one_that_lost_all_its_pods_is() -> None:
    starting = status(pools={"cpu": replace(STATE, ready=0)})
    assert changes(starting, RecModelStatus()) == []
    lost = status(pools={"cpu": replace(STATE, ready=0)}, written=status())
    assert [(kind, reason.reason) for kind, reason in changes(lost, status())] == [("Warning", "Starting")]


def test_an_event_names_its_object_and_repeats_to_the_same_name() -> None:
    owner = {"metadata": {"name": "feed", "namespace": "shop", "uid": "u"}}
    made = event(owner, "Normal", Reason("Steady", "x" * 5000), NOW)
    assert made["involvedObject"]["uid"] == "u"
    assert len(made["message"]) == 1024
    assert made == event(owner, "Normal", Reason("Steady", "x" * 5000), NOW)


def test_a_refused_record_and_a_missing_one_are_said_and_told() -> None:
    for found, reason in ((config_map(record(value="good")), "InvalidRecord"), (None, "VariantUnmeasured")):
        t = with_records(*([found] if found else []))
        (condition,) = [c for c in status(t).conditions if c.type == "VariantsMeasured"]
        assert (condition.status, condition.reason) == ("False", reason)
        good = status(with_records(config_map(record())))
        assert [(kind, told.reason) for kind, told in changes(status(t), good)] == [("Warning", reason)]

"""What ``recmodel doctor`` says: each thing that is wrong is a line with the way out, and nothing else is called wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.good_spec import changed
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.rights import NEEDED
from recmodel.prometheus.profile import load_profile
from recmodel.report import checks

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GATEWAY, SERVER = load_profile("envoy-gateway"), load_profile("mlserver")


def written(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def levels(found: list[checks.Check]) -> list[str]:
    return [check.level for check in found]


def test_a_kind_that_is_not_served_is_named_with_what_needs_it() -> None:
    assert levels(checks.kinds({"recmodels": True, "httproutes": True})) == ["ok"]
    assert levels(checks.kinds({"recmodels": False, "httproutes": False})) == ["problem", "warning"]


def test_missing_rights_are_one_line_for_each_resource_and_place() -> None:
    deployments = next(right for right in NEEDED if right.resource == "deployments")
    found = checks.rights({"shop": [(deployments, "create"), (deployments, "patch")], None: [(deployments, "list")]})
    assert [check.message.partition(":")[0] for check in found] == [
        "may not create, patch deployments.apps in namespace shop",
        "may not list deployments.apps in all namespaces",
    ]
    assert levels(checks.rights({})) == ["ok"]


@pytest.mark.parametrize(
    ("spec", "level", "said"),
    [
        ({"holderIdentity": "a", "renewTime": written(2.0)}, "ok", "a acts"),
        ({"holderIdentity": "a", "renewTime": written(90.0)}, "problem", "renewed it 90 s ago"),
        ({"holderIdentity": "", "renewTime": None}, "problem", "nobody holds it"),
        ({}, "problem", "nobody holds it"),
    ],
)
def test_who_acts(spec: dict[str, Any], level: str, said: str) -> None:
    check = checks.lease({"spec": spec}, NOW)
    assert (check.level, said in check.message) == (level, True)


@pytest.mark.parametrize(
    ("seconds", "interval", "window", "said"),
    [
        (5.0, 5.0, 20.0, []),
        (5.9, 5.0, 20.0, []),  # the last minute lacks a sample or two
        (15.0, 15.0, 60.0, []),
        (30.0, 15.0, 60.0, ["set it to 30", "set prometheus.rateWindowSeconds to 120"]),
        (30.0, 30.0, 60.0, ["set prometheus.rateWindowSeconds to 120"]),
        (None, 15.0, 60.0, ["let it scrape the gateway's pods"]),
    ],
)
def test_scrapes_and_windows_that_do_not_fit(
    seconds: float | None, interval: float, window: float, said: list[str]
) -> None:
    found = [check for check in checks.spacing(GATEWAY, seconds, interval, window) if check.level != "ok"]
    assert len(found) == len(said)
    assert all(words in check.message for words, check in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("threshold", "les", "level", "said"),
    [
        ("100ms", ["0.05", "0.1", "+Inf"], "ok", "an edge at 100 ms"),
        ("100ms", ["0.05", "0.25", "+Inf"], "warning", "50 ms and 250 ms"),
        ("5s", ["0.05", "0.25", "+Inf"], "warning", "250 ms and infinity"),
        ("100ms", ["0.05", "nonsense", "0.1"], "ok", "an edge at 100 ms"),
    ],
)
def test_an_edge_at_the_threshold(threshold: str, les: list[str], level: str, said: str) -> None:
    spec = RecModelSpec.model_validate(changed("spec/objective/latency/threshold", threshold)["spec"])
    (check,) = checks.edges("shop/feed", spec, SERVER, les)
    assert (check.level, said in check.message) == (level, True), check.message


def body(*conditions: tuple[str, str], decided_seconds_ago: float | None = 5.0, mode: str = "Auto") -> dict[str, Any]:
    said = [{"type": kind, "status": status, "reason": "Because", "message": "words"} for kind, status in conditions]
    status: dict[str, Any] = {"conditions": said, "message": "load 3/s"}
    if decided_seconds_ago is not None:
        status["lastDecisionTime"] = written(decided_seconds_ago)
    return {"metadata": {"namespace": "shop", "name": "feed"}, "spec": {"mode": mode}, "status": status}


@pytest.mark.parametrize(
    ("recmodel", "expected"),
    [
        (body(("Ready", "True"), ("Degraded", "False"), ("Progressing", "True")), ["ok"]),
        (body(("Ready", "False"), ("Degraded", "True"), ("Stalled", "True")), ["problem"] * 3),
        (body(("ObjectiveMet", "Unknown"), ("RolledOut", "False")), ["warning"] * 2),
        (body(("VariantsReady", "True"), ("VariantsMeasured", "True")), ["ok"]),
        (body(decided_seconds_ago=None), ["problem"]),
        (body(decided_seconds_ago=None, mode="Paused"), ["ok"]),
        (body(decided_seconds_ago=900.0), ["problem"]),
    ],
)
def test_what_the_status_of_a_recmodel_says(recmodel: dict[str, Any], expected: list[str]) -> None:
    assert levels(checks.recmodel(recmodel, NOW, None)) == expected


def test_a_refused_spec_is_all_that_is_said_of_a_recmodel() -> None:
    (check,) = checks.recmodel(body(("Ready", "True")), NOW, "spec.mode is 'Off'")
    assert (check.level, check.about, check.message) == ("problem", "shop/feed", "spec.mode is 'Off'")


def test_the_text_marks_problems_and_ends_with_their_number() -> None:
    found = [checks.Check("ok", "a", "fine"), checks.Check("problem", "b", "bad"), checks.Check("warning", "c", "odd")]
    assert checks.text(found).splitlines() == [
        "ok       a: fine", "PROBLEM  b: bad", "WARNING  c: odd", "3 checks, 1 problems, 1 warnings",
    ]  # fmt: skip

"""What ``recmodel doctor`` says: each thing that is wrong is a line with the way out, and nothing else is called wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.good_spec import changed
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.rights import NEEDED
from recmodel.prometheus.profile import Profile, load_profile
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
    ("profile", "threshold", "les", "level", "said"),
    [
        (SERVER, "100ms", ["0.05", "0.1", "+Inf"], "ok", "the histograms that Prometheus has for mlserver have an edge at 100ms"),
        (SERVER, "100ms", ["0.05", "nonsense", "0.1"], "ok", "have an edge at 100ms"),
        (SERVER, "100ms", ["0.05", "0.25", "+Inf"], "warning",
         'between the edges 50ms and 250ms, in the histograms that Prometheus has for mlserver: the share of late requests is '
         'known only roughly; configure an edge there (le="0.1", in s), or take 50ms or 250ms as the threshold'),
        (SERVER, "5s", ["0.05", "0.25", "+Inf"], "warning", "above the highest edge, 250ms"),
        (SERVER, "5s", ["0.05", "0.25", "+Inf"], "warning", 'configure an edge there (le="5", in s), or take 250ms as the threshold'),
        (SERVER, "1ms", ["0.05", "0.25", "+Inf"], "warning", 'below the lowest edge, 50ms'),
        (GATEWAY, "170ms", ["150", "169", "+Inf"], "ok", "have an edge at 170ms"),
        (GATEWAY, "170ms", ["150", "200", "+Inf"], "warning",
         'configure the edge le="169" (times are cut to whole ms, so it holds all under 170ms), or take 151ms (le="150") or '
         '201ms (le="200") as the threshold'),
        (GATEWAY, "20s", ["150", "5000.0", "+Inf"], "warning",
         'configure the edge le="19999" (times are cut to whole ms, so it holds all under 20000ms), or take 5001ms (le="5000") '
         'as the threshold'),
    ],
)  # fmt: skip
def test_an_edge_at_the_threshold(profile: Profile, threshold: str, les: list[str], level: str, said: str) -> None:
    spec = RecModelSpec.model_validate(changed("spec/objective/latency/threshold", threshold)["spec"])
    (check,) = checks.edges("shop/feed", spec, profile, dict.fromkeys(les, 2.0))
    assert (check.level, said in check.message) == (level, True), check.message
    assert "infinity" not in check.message


def test_an_edge_that_only_some_histograms_have_is_called_so() -> None:
    spec = RecModelSpec.model_validate(changed("spec/objective/latency/threshold", "100ms")["spec"])
    (check,) = checks.edges("shop/feed", spec, GATEWAY, {"99": 3.0, "99.0": 2.0, "150": 7.0, "+Inf": 12.0})
    assert "5 of the histograms that Prometheus has for envoy-gateway have an edge" in check.message


def body(*conditions: tuple[str, str], decided_seconds_ago: float | None = 5.0, mode: str = "Auto") -> dict[str, Any]:
    """A RecModel with these conditions, each for a reason of its own."""
    return saying(
        *((kind, status, f"Because{kind}", f"what {kind} says") for kind, status in conditions),
        decided_seconds_ago=decided_seconds_ago,
        mode=mode,
    )


def saying(
    *conditions: tuple[str, str, str, str], decided_seconds_ago: float | None = 5.0, mode: str = "Auto"
) -> dict[str, Any]:
    """A RecModel with conditions of type, status, reason and message."""
    said = [dict(zip(("type", "status", "reason", "message"), one, strict=True)) for one in conditions]
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
        (body(decided_seconds_ago=149.0), ["ok"]),
        (body(decided_seconds_ago=151.0), ["problem"]),
    ],
)
def test_what_the_status_of_a_recmodel_says(recmodel: dict[str, Any], expected: list[str]) -> None:
    assert levels(checks.recmodel(recmodel, NOW, None, 150.0)) == expected


def test_a_refused_spec_is_all_that_is_said_of_a_recmodel() -> None:
    (check,) = checks.recmodel(body(("Ready", "True")), NOW, "spec.mode is 'Off'", 150.0)
    assert (check.level, check.about, check.message) == ("problem", "shop/feed", "spec.mode is 'Off'")


QUOTA = 'pool cpu: FailedCreate: pods "feed-cpu-1" is forbidden: exceeded quota: pods'


@pytest.mark.parametrize(
    ("conditions", "lines"),
    [
        (  # a quota: three conditions, each with its own words around one sentence
            [
                ("Ready", "False", "PodsRefused", f"no replica is ready: {QUOTA}: raise the quota"),
                ("CapacityAvailable", "False", "PoolUnschedulable", f"pods that a quota forbids: 1 of pool cpu; {QUOTA}"),
                ("Degraded", "True", "PodsRefused", f"{QUOTA}: raise the quota"),
            ],
            [
                "Ready is False, CapacityAvailable is False, Degraded is True: PodsRefused: no replica is ready: "
                f"{QUOTA}: raise the quota; pods that a quota forbids: 1 of pool cpu"
            ],
        ),
        (  # two causes are two lines
            [
                ("ObjectiveMet", "Unknown", "NoSeries", "pool cpu: no series"),
                ("MetricsAvailable", "False", "NoSeries", "pool cpu: no series"),
                ("Degraded", "True", "ApiRefused", "Service shop/feed-cpu is refused: HTTP 403: no"),
            ],
            [
                "ObjectiveMet is Unknown, MetricsAvailable is False: NoSeries: pool cpu: no series",
                "Degraded is True: ApiRefused: Service shop/feed-cpu is refused: HTTP 403: no",
            ],
        ),
        (  # a pool whose name begins as another's is another
            [
                ("Ready", "False", "A", "pool cpu: late"),
                ("Degraded", "True", "B", "pool cpu: lately started"),
            ],
            ["Ready is False: A: pool cpu: late", "Degraded is True: B: pool cpu: lately started"],
        ),
    ],
)  # fmt: skip
def test_a_cause_is_one_line_with_the_conditions_that_it_is_the_reason_of(
    conditions: list[tuple[str, str, str, str]], lines: list[str]
) -> None:
    found = checks.recmodel(saying(*conditions), NOW, None, 150.0)
    assert [check.message for check in found] == lines
    assert set(levels(found)) == {"problem"}


def test_one_that_is_not_there_is_listed_with_the_others() -> None:
    here, refused = body(), body(("Ready", "True"))
    found = checks.recmodels(
        {"shop/feed": here, "shop/odd": {**refused, "metadata": {"namespace": "shop", "name": "odd"}}},
        {"shop/odd": "spec.mode is 'Off'"},
        {"shop/gone": "there is no such RecModel"},
        NOW,
        150.0,
    )
    assert [(check.about, check.level) for check in found] == [
        ("shop/feed", "ok"), ("shop/odd", "problem"), ("shop/gone", "problem"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "last"),
    [
        (["ok", "problem", "warning"], "3 checks, 1 problem, 1 warning"),
        (["problem", "problem"], "2 checks, 2 problems, 0 warnings"),
        (["ok"], "1 check, 0 problems, 0 warnings"),
    ],
)
def test_the_sum_has_the_right_plural(found: list[checks.Level], last: str) -> None:
    assert checks.text([checks.Check(level, "a", "b") for level in found]).splitlines()[-1] == last


def test_the_text_marks_problems_and_ends_with_their_number() -> None:
    found = [checks.Check("ok", "a", "fine"), checks.Check("problem", "b", "bad"), checks.Check("warning", "c", "odd")]
    assert checks.text(found).splitlines() == [
        "ok       a: fine", "PROBLEM  b: bad", "WARNING  c: odd", "3 checks, 1 problem, 1 warning",
    ]  # fmt: skip

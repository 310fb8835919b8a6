"""What ``recmodel doctor`` says: each thing that is wrong is a line with the way out, and nothing else is called wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recmodel.cluster.rights import NEEDED
from recmodel.report import checks

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def written(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def levels(found: list[checks.Check]) -> list[str]:
    return [check.level for check in found]


def test_a_kind_that_is_not_served_is_named_with_what_needs_it() -> None:
    assert levels(checks.kinds({"recmodels": True, "httproutes": True})) == ["ok"]
    assert levels(checks.kinds({"recmodels": False, "httproutes": False})) == ["problem", "warning"]
    assert checks.grpc_routes([]) == []
    (old,) = checks.grpc_routes(["shop/a", "shop/b"])  # before 1.1 it was v1alpha2
    assert old.level == "problem"
    assert "is one (shop/a, shop/b): install the Gateway API 1.1 or later" in old.message


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
    ("claims", "expected"),
    [
        ({"shop/recmodel.dev": ("ops/recmodel", 5.0), "ads/recmodel.dev": ("ops/recmodel", 39.0)},
         [("ok", "this release holds shop/recmodel.dev, ads/recmodel.dev")]),
        ({"shop/recmodel.dev": ("other/recmodel", 5.0), "ads/recmodel.dev": ("ops/recmodel", 5.0)},
         [("problem", "the release of Lease other/recmodel holds shop/recmodel.dev and acts there, and this one (ops/recmodel) stands by: "
           "uninstall one"), ("ok", "ads/recmodel.dev")]),
        ({"shop/recmodel.dev": ("other/recmodel", 900.0)}, [("problem", "nobody has renewed shop/recmodel.dev in the last 60 s")]),
        ({"shop/recmodel.dev": None}, [("problem", "see the log of the pod that holds the Lease ops/recmodel")]),
        ({}, []),
    ],
)  # fmt: skip
def test_which_release_acts_in_a_namespace(
    claims: dict[str, tuple[str, float] | None], expected: list[tuple[str, str]]
) -> None:
    held = {
        place: {"spec": {"holderIdentity": by[0], "renewTime": written(by[1])}} if by else {}
        for place, by in claims.items()
    }
    found = checks.claims(held, "ops/recmodel", NOW)
    assert levels(found) == [level for level, _ in expected]
    assert all(words in check.message for check, (_, words) in zip(found, expected, strict=True)), found


def body(*conditions: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A RecModel with these conditions, each for a reason of its own."""
    return saying(*((kind, status, f"Because{kind}", f"what {kind} says") for kind, status in conditions), **more)


def saying(
    *conditions: tuple[str, str, str, str],
    decided_seconds_ago: float | None = 5.0,
    created_seconds_ago: float = 86400.0,
    mode: str = "Auto",
) -> dict[str, Any]:
    """A RecModel with conditions of type, status, reason and message."""
    said = [dict(zip(("type", "status", "reason", "message"), one, strict=True)) for one in conditions]
    status: dict[str, Any] = {"conditions": said, "message": "load 3/s"}
    if decided_seconds_ago is not None:
        status["lastDecisionTime"] = written(decided_seconds_ago)
    metadata = {"namespace": "shop", "name": "feed", "creationTimestamp": written(created_seconds_ago)}
    return {"metadata": metadata, "spec": {"mode": mode}, "status": status}


@pytest.mark.parametrize(
    ("recmodel", "expected"),
    [
        (body(("Ready", "True"), ("Degraded", "False"), ("Progressing", "True")), ["ok"]),
        (body(("Ready", "False"), ("Degraded", "True"), ("Stalled", "True")), ["problem"] * 3),
        (body(("ObjectiveMet", "Unknown"), ("RolledOut", "False")), ["warning"] * 2),
        (body(("VariantsReady", "True"), ("VariantsMeasured", "True")), ["ok"]),
        (body(decided_seconds_ago=None), ["problem"]),
        (body(decided_seconds_ago=None, mode="Paused"), ["ok"]),
        (body(decided_seconds_ago=None, created_seconds_ago=20.0), ["warning"]),
        (body(decided_seconds_ago=None, created_seconds_ago=200.0), ["problem"]),
        (body(decided_seconds_ago=149.0), ["ok"]),
        (body(decided_seconds_ago=151.0), ["problem"]),
    ],
)
def test_what_the_status_of_a_recmodel_says(recmodel: dict[str, Any], expected: list[str]) -> None:
    assert levels(checks.recmodel(recmodel, NOW, None, 150.0)) == expected


@pytest.mark.parametrize("odd", ["yesterday", "2026-03-01T12:00:00", 7])
def test_a_time_that_is_none_is_a_problem_of_its_own_recmodel(odd: object) -> None:
    found = body(("Ready", "True"))
    found["status"]["lastDecisionTime"] = odd
    (check,) = checks.recmodel(found, NOW, None, 150.0)
    assert (check.level, f"status.lastDecisionTime is {odd!r}" in check.message) == ("problem", True)


@pytest.mark.parametrize(
    ("asked", "namespaces", "said"),
    [
        ("shop/fed", (), "there is no such RecModel; there is shop/feed"),
        ("ads/feed", (), "there is no such RecModel; there is shop/feed"),
        ("ads/rank", (), "there is no such RecModel: `kubectl get recmodels -A` lists those there are"),
        ("feed", (), "is no NAMESPACE/NAME; there is shop/feed"),
        ("ads/feed", ("shop",), "not looked for: watchNamespaces of this operator is shop; add its namespace there, or ask the "
         "operator that serves it"),
    ],
)  # fmt: skip
def test_one_that_is_not_there_has_a_way_out(asked: str, namespaces: tuple[str, ...], said: str) -> None:
    assert checks.absent(asked, namespaces, ["shop/feed"]) == said


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


@pytest.mark.parametrize(("found", "code"), [([], 0), (["ok", "warning"], 0), (["ok", "problem"], 1)])
def test_only_a_problem_makes_the_exit_code(found: list[checks.Level], code: int) -> None:
    assert checks.exit_code([checks.Check(level, "a", "b") for level in found]) == code


def test_the_text_marks_problems_and_ends_with_their_number() -> None:
    found = [checks.Check("ok", "a", "fine"), checks.Check("problem", "b", "bad"), checks.Check("warning", "c", "odd")]
    assert checks.text(found).splitlines() == [
        "ok       a: fine", "PROBLEM  b: bad", "WARNING  c: odd", "3 checks, 1 problem, 1 warning",
    ]  # fmt: skip

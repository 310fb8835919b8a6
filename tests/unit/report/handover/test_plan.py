"""The plan of a handover: a table over what stands, with the steps, the warnings and what is refused."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from builders.handover_scene import autoscaler, of_keda, pools, scaled_object
from builders.hostile_objects import HOSTILE, paths, spoiled
from builders.references import reference_recmodel, workload
from recmodel.cluster import names
from recmodel.report.handover import text
from recmodel.report.handover.found import HELD, PAUSED, Answers, Standing, standing
from recmodel.report.handover.origin import origin
from recmodel.report.handover.plan import Plan, hand_back, hand_over
from recmodel.report.handover.steps import Wait, Write, still_lacking
from recmodel.report.handover.store import RESTORE as RESTORED
from recmodel.report.handover.store import Stored, config_map, difference, restorable, stored
from recmodel.report.handover.weights import StoredRule

Object = dict[str, Any]


def listed(
    *scalers: Object, mode: str = "Recommend", store: Stored | None = None, keda: bool = True, **recmodel: Any
) -> Answers:
    return Answers(
        reference_recmodel(*pools(), name="ranker", mode=mode) | recmodel,
        {("Deployment", name): workload(name, 3) for name in ("ranker-cpu", "ranker-gpu")},
        [body for body in scalers if "triggers" not in body["spec"]],
        [body for body in scalers if "triggers" in body["spec"]] if keda else None,
        store,
    )


def found(*scalers: Object, **more: Any) -> Standing:
    return standing("shop", "ranker", listed(*scalers, **more))


def kept(*autoscalers: Object, **paused: str | None) -> Stored:
    found = {body["metadata"]["name"]: restorable(body) for body in autoscalers}
    return Stored(found, paused, on_delete=RESTORED, recmodel_uid="u-ranker", uid="m-1", version="1")


def steps(plan: Plan) -> list[str]:
    return [
        f"{step.until} {step.name}" if isinstance(step, Wait) else f"{step.verb} {step.kind.plural} {step.name}"
        for step in plan.steps
    ]


def writes(plan: Plan) -> list[Write]:
    return [step for step in plan.steps if isinstance(step, Write)]


STORE, AUTO = "create configmaps ranker-handover", "patch recmodels ranker"
NOTED, LEFT = "noted ranker", "left alone ranker"
AGAIN = "patch configmaps ranker-handover"
REMOVE, PAUSE = "delete horizontalpodautoscalers ranker-cpu", "patch scaledobjects ranker-gpu"
SCALED = "scaled ranker"
GONE, RESTORE = "gone keda-hpa-ranker-gpu", "create horizontalpodautoscalers ranker-cpu"
FORGET = "delete configmaps ranker-handover"
GPU = (scaled_object(), of_keda())
PAUSED_GPU = scaled_object(**{PAUSED: "true"})  # by somebody else
OURS = scaled_object(**{PAUSED: "true"})
OURS["metadata"]["managedFields"] = [
    {"manager": "recmodel-handover", "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{PAUSED}": {}}}}}
]


@dataclass(frozen=True)
class Case:
    name: str
    stands: tuple[Object, ...]
    over: list[str]
    back: list[str]
    more: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("an HPA and a ScaledObject", (autoscaler(), *GPU), [STORE, AUTO, LEFT, PAUSE, GONE, REMOVE], []),
    Case("nothing scales the pools", (autoscaler("other", "other"),), [AUTO, NOTED], []),
    Case("the mode is Auto already", (autoscaler(), *GPU), [STORE, LEFT, PAUSE, GONE, REMOVE], [AUTO], {"mode": "Auto"}),
    Case(
        "all is handed over", (OURS,), [], [RESTORE, PAUSE, AUTO, FORGET],
        {"mode": "Auto", "store": kept(autoscaler(), **{"ranker-gpu": None})},
    ),
    Case(
        "somebody else has paused it since", (PAUSED_GPU,), [AGAIN, NOTED], [RESTORE, AUTO, FORGET],
        {"mode": "Auto", "store": kept(autoscaler(), **{"ranker-gpu": None})},
    ),
    Case("only stored yet", (autoscaler(),), [AUTO, LEFT, REMOVE], [FORGET], {"store": kept(autoscaler())}),
    Case(
        "stored, and edited since", (autoscaler(labels={"team": "b"}),), [AGAIN, AUTO, LEFT, REMOVE], [],
        {"store": kept(autoscaler())},
    ),
    Case(
        "one of two is gone already", GPU, [AGAIN, LEFT, PAUSE, GONE], [RESTORE, AUTO, FORGET],
        {"mode": "Auto", "store": kept(autoscaler())},
    ),
    Case("paused, and KEDA's autoscaler still stands", (PAUSED_GPU, of_keda()), [AUTO, LEFT, GONE], []),
    Case("two on one workload", (autoscaler(), autoscaler("b")), [STORE, AUTO, LEFT, REMOVE, "delete horizontalpodautoscalers b"], []),
    Case(
        "one of two on one workload is gone", (autoscaler("b"),), [LEFT, "delete horizontalpodautoscalers b"], [RESTORE, AUTO, FORGET],
        {"mode": "Auto", "store": kept(autoscaler(), autoscaler("b"))},
    ),
    Case(
        "replaced by one of another name", (autoscaler("b"),), [AGAIN, LEFT, "delete horizontalpodautoscalers b"],
        [RESTORE, AUTO, FORGET], {"mode": "Auto", "store": kept(autoscaler())},
    ),
    Case("the ScaledObject is gone", (), [], [AUTO, FORGET], {"mode": "Auto", "store": kept(**{"ranker-gpu": None})}),
    Case(
        "ScaledObjects that may not be listed", (autoscaler(), of_keda()), [STORE, AUTO, LEFT, PAUSE, GONE, REMOVE], [],
        {"keda": False},
    ),
    Case(
        "it is being deleted", (autoscaler(deletionTimestamp="2026-01-01T00:00:00Z"),), [LEFT, REMOVE],
        ["gone ranker-cpu", RESTORE, AUTO, FORGET], {"mode": "Auto", "store": kept(autoscaler())},
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_steps_go_from_what_stands_to_what_was_asked_for(case: Case) -> None:
    stands = found(*case.stands, **case.more)
    over, back = hand_over(stands), hand_back(stands)
    assert steps(over) == [*case.over, *([SCALED] if case.over else [])]
    assert steps(back) == case.back
    for plan in (over, back):
        shown = text.heading(plan) + text.steps(plan, ())
        assert all(step.said in shown for step in plan.steps)
        assert all(plan.standing.namespace in write.by_hand for write in writes(plan))
    # The mode acts before anything is taken away, and all is stored before.
    taking = [n for n, step in enumerate(steps(over)) if step in (REMOVE, PAUSE)]
    assert all(steps(over).index(LEFT if LEFT in steps(over) else NOTED) < n for n in taking)


@pytest.mark.parametrize(
    ("stands", "says"),
    [
        ((autoscaler(ownerReferences=[{"kind": "InferenceService", "name": "r", "controller": True}]),),
         "HorizontalPodAutoscaler ranker-cpu is made and kept by InferenceService r, which would make it again: have that scale nothing"),
        ((scaled_object(**{HELD: "4"}),),
         "ScaledObject ranker-gpu holds Deployment ranker-gpu at 4 replicas by its annotation autoscaling.keda.sh/paused-replicas: run "
         "kubectl -n shop annotate scaledobject ranker-gpu autoscaling.keda.sh/paused-replicas- first"),
    ],
)  # fmt: skip
def test_what_would_come_again_is_not_taken_away(stands: tuple[Object, ...], says: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the message is what is tested
        hand_over(found(*stands))
    assert says in str(refused.value)


def test_a_pool_without_a_workload_is_not_handed_over_and_one_with_a_template_never() -> None:
    there = listed(autoscaler())
    one = Answers(there.recmodel, {("Deployment", "ranker-cpu"): workload()}, there.autoscalers, [], None)
    with pytest.raises(
        ValueError, match="pool gpu of RecModel shop/ranker: there is no Deployment ranker-gpu: create it"
    ):
        hand_over(standing("shop", "ranker", one))
    assert steps(hand_back(standing("shop", "ranker", one))) == []
    own = reference_recmodel({"name": "cpu", "template": {}}, name="ranker")
    with pytest.raises(
        ValueError, match="RecModel shop/ranker has no targetRef in pool cpu: the operator has made what it"
    ):
        standing("shop", "ranker", Answers(own, {}, [], [], None))


ORIGINS: tuple[tuple[Object, str | None], ...] = (
    ({"annotations": {"argocd.argoproj.io/tracking-id": "shop-app:autoscaling/HPA:shop/x"}}, "Argo CD (Application shop-app)"),
    ({"labels": {"argocd.argoproj.io/instance": "a"}}, "Argo CD (Application a)"),
    ({"managedFields": [{"manager": "argocd-controller"}], "labels": {"app.kubernetes.io/instance": "b"}}, "Argo CD (Application b)"),
    ({"managedFields": [{"manager": "kubectl"}, {"manager": "argocd-application-controller"}]}, "Argo CD"),
    ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "f"}}, "Flux (Kustomization shop)"),
    ({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}, "annotations": {"meta.helm.sh/release-name": "x"}}, "Flux (HelmRelease shop)"),
    ({"managedFields": [{"manager": "kustomize-controller"}]}, "Flux"),
    ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "Helm (release shop)"),
    ({"labels": {"app.kubernetes.io/instance": "shop"}, "managedFields": [{"manager": "kubectl"}]}, None),
    ({}, None),
)  # fmt: skip


@pytest.mark.parametrize(("metadata", "shown"), ORIGINS)
def test_what_comes_from_git_is_known_and_the_change_there_is_named(metadata: Object, shown: str | None) -> None:
    kept_by = origin({"metadata": metadata})
    assert (kept_by.shown if kept_by else None) == shown
    mine = {**autoscaler()["metadata"], **metadata}
    plan = hand_over(
        found({**autoscaler(), "metadata": mine}, metadata={"namespace": "shop", "name": "ranker", **metadata})
    )
    scaled = scaled_object()
    scaled["metadata"] |= metadata
    if shown is None:
        assert plan.warnings == ()
        return
    of_autoscaler, of_mode = plan.warnings
    assert of_autoscaler.startswith(f"{shown} has HorizontalPodAutoscaler ranker-cpu in ")
    assert "makes it again" in of_autoscaler
    assert of_mode.startswith(f"{shown} has RecModel ranker in ")
    assert of_mode.endswith("may set spec.mode back to Recommend. Set it to Auto there")
    (of_scaled,) = hand_over(found(scaled)).warnings
    assert of_scaled.endswith(f'Add the annotation {PAUSED}: "true" there')
    if "managedFields" not in metadata:  # which are not stored
        (back,) = hand_back(found(store=kept({**autoscaler(), "metadata": mine}))).warnings
        assert back.startswith(f"HorizontalPodAutoscaler ranker-cpu was made by {shown}. If you removed it ")


def test_limits_that_do_not_hold_what_runs_and_doubles_are_told() -> None:
    recmodel = reference_recmodel(*pools(), name="ranker")
    recmodel["spec"]["pools"][0]["replicas"] = {"min": 0, "max": 2}
    limits, _ = hand_over(found(PAUSED_GPU, spec=recmodel["spec"])).warnings
    assert limits.startswith(
        "pool cpu is at 3, and its limits in the RecModel are 0 to 2: the operator changes them at"
    )
    assert hand_over(found(PAUSED_GPU)).warnings == (
        "ScaledObject ranker-gpu was paused by somebody else, and handback leaves it so",
    )
    (double,) = hand_back(found(autoscaler("new"), store=kept(autoscaler()))).warnings
    assert (
        double
        == "HorizontalPodAutoscaler new scales the workload of ranker-cpu now, and only one should: delete one of the two"
    )
    gone, unpaused = (hand_back(found(*scaled, store=kept(**{"ranker-gpu": None}))).warnings for scaled in ((), GPU))
    assert gone == (
        "ScaledObject ranker-gpu is gone, so nothing of it is restored: create it again where it should scale",
    )
    assert unpaused == ("ScaledObject ranker-gpu is not paused any more: somebody else went on with it",)


def test_owners_and_zero_replicas_are_told() -> None:
    owned = autoscaler(ownerReferences=[{"kind": "Deployment", "name": "ranker-cpu", "uid": "w"}])
    plan = hand_over(found(owned))
    assert plan.warnings[0].startswith(
        "HorizontalPodAutoscaler ranker-cpu belongs to Deployment ranker-cpu, and is restored without"
    )
    assert all("ownerReferences" not in str(write.body) for write in writes(plan))
    there = listed(store=kept(autoscaler()))
    none = {**there.workloads, ("Deployment", "ranker-cpu"): workload("ranker-cpu", 0)}
    (said_of_zero,) = hand_back(standing("shop", "ranker", replace(there, workloads=none))).warnings
    assert said_of_zero.startswith(
        "pool cpu is at 0 replicas, at which Kubernetes does not act on a HorizontalPodAutoscaler: run "
    )
    assert said_of_zero.endswith("kubectl -n shop scale deployment/ranker-cpu --replicas=1 after this")


def test_what_is_stored_is_read_as_it_was_written_and_nothing_else_is() -> None:
    kept_of = kept(autoscaler(finalizers=["x/y"]), autoscaler("b", labels=None), a=None, b="false")
    body = config_map("shop", "ranker", kept_of)
    body["metadata"]["uid"] = "m-1"
    assert stored(body) == kept_of
    good = copy.deepcopy(body)
    places = [("metadata", "labels"), ("data",), ("data", "autoscalers.json"), ("data", "paused.json")]
    texts = ['{"items": [{}]}', '{"items": [{"metadata": {"name": "a"}, "spec": 3}]}', '{"a": 3}', "[[1, 2]]"]
    for place in places:
        for value in [*HOSTILE, *texts]:
            try:
                stored(spoiled(good, place, value))
            except ValueError as error:
                said = str(error)
                assert "none that recmodel handover wrote" in said or "cannot be read: " in said
            else:
                assert place[-1] == "paused.json", (place, value)
                assert value in ("[]", "{}"), value


@pytest.mark.parametrize("name", ["a,metadata.name=b", "a; rm -r x", "A", "-a", "a\n", "", "a" * 254])
@pytest.mark.parametrize("of", ["route", "workload", "ScaledObject", "HorizontalPodAutoscaler"])
def test_a_name_that_no_object_can_have_is_not_read_from_a_store(of: str, name: str) -> None:
    names = dict.fromkeys(("route", "workload", "ScaledObject", "HorizontalPodAutoscaler"), "x") | {of: name}
    rule = StoredRule("HTTPRoute", names["route"], 0, (("x:80", 1),), {"x:80": f"Deployment {names['workload']}"})
    found = kept(autoscaler(names["HorizontalPodAutoscaler"]), **{names["ScaledObject"]: None})
    with pytest.raises(ValueError, match="ConfigMap shop/ranker-handover cannot be read: ValueError: "):
        stored(config_map("shop", "ranker", replace(found, rule=rule)))


def test_a_value_from_a_store_is_one_word_in_a_printed_line() -> None:
    (gone_on,) = (
        w for w in writes(hand_back(found(OURS, store=kept(**{"ranker-gpu": "x; rm -r y"})))) if "pause" in w.by_hand
    )
    assert gone_on.by_hand.endswith(" ranker-gpu 'autoscaling.keda.sh/paused=x; rm -r y'")


def test_whatever_stands_there_is_a_plan_or_a_sentence() -> None:
    bodies = (autoscaler(), scaled_object(), of_keda())
    recmodel = reference_recmodel(*pools(), name="ranker")
    found_by = {("metadata",), *(("metadata", field) for field in ("name", "namespace", "uid"))}
    refused = set()
    for whole in (*bodies, recmodel):
        for place in (place for place in paths(whole) if place not in found_by):
            for value in HOSTILE[:-1]:  # the client cuts what is nested deeper than a program goes
                changed = spoiled(whole, place, value)
                others = [changed if body is whole else body for body in bodies]
                there = Answers(
                    changed if whole is recmodel else recmodel,
                    {("Deployment", name): workload(name, 3) for name in ("ranker-cpu", "ranker-gpu")},
                    [others[0], others[2]], [others[1]], None,
                )  # fmt: skip
                try:
                    plan = hand_over(standing("shop", "ranker", there))
                    text.heading(plan)
                    text.steps(plan, ())
                except ValueError as error:
                    refused.add(re.sub(r"'.*'|[0-9]+", "", str(error)))
    assert len(refused) > 20
    known = (
        "cannot be read: ",
        "has no targetRef in pool",
        "made and kept by",
        "there is no Deployment ",
        "refers to a ",
    )
    assert [said for said in refused if not any(words in said for words in known)] == []


def test_a_difference_is_named_by_its_field() -> None:
    one, other = restorable(autoscaler()), restorable(autoscaler(labels={"a": "b"}))
    other["spec"] = {**other["spec"], "maxReplicas": 3}
    assert difference(one, other) == "spec.maxReplicas, metadata.labels"
    assert difference(one, one) == ""


NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
FRESH = {"observedGeneration": 1, "lastDecisionTime": "2026-01-01T00:09:00Z"}


def said(kind: str, status: str, reason: str = "X", message: str = "m") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("status", "noted", "left_alone", "scaled"),
    [
        ({**FRESH, "conditions": [said("Degraded", "False")]}, "", "does not say yet that it leaves", ""),
        ({**FRESH, "conditions": [said("Degraded", "True", "AnotherAutoscaler", "hpa")]}, "", "", "hpa"),
        ({**FRESH, "conditions": [said("Degraded", "True", "AnotherReleaser", "canary")]}, *["canary"] * 3),
        ({**FRESH, "conditions": [said("Degraded", "True", "TargetMissing", "gone")]}, *["gone"] * 3),
        ({**FRESH, "conditions": [said("Degraded", "False"), said("MetricsAvailable", "False", message="blind")]}, "blind", "blind", ""),
        ({**FRESH, "conditions": []}, "", "does not say yet that it leaves", "does not say yet whether anything"),
        ({**FRESH, "observedGeneration": 0}, *["its status is of an older spec"] * 3),
        ({**FRESH, "lastDecisionTime": "2026-01-01T00:01:00Z"}, *["its last decision is 540 s old"] * 3),
        ({"observedGeneration": 1}, *["no decision was made yet"] * 3),
        ({**FRESH, "conditions": [said("Stalled", "True", message="no")]}, *["its spec is refused: no"] * 3),
        ({**FRESH, "conditions": [said("Degraded", "True", "RightsObserveOnly", "rights: act")]}, *["rights: act"] * 3),
    ],
)  # fmt: skip
def test_an_operator_is_believed_only_what_its_status_shows(
    status: Object, noted: str, left_alone: str, scaled: str
) -> None:
    body = reference_recmodel(*pools(), name="ranker", mode="Auto") | {"status": status}
    for until, lacks in (("noted", noted), ("left alone", left_alone), ("scaled", scaled)):
        assert lacks in lacking(until, body)
        assert (lacks == "") == (lacking(until, body) == "")
    body["spec"]["mode"] = "Recommend"
    assert "somebody has set spec.mode of the RecModel to Recommend" in lacking("scaled", body)
    assert lacking("noted", None) == "the RecModel was deleted"


def lacking(until: Any, body: Object | None) -> str:
    try:
        return still_lacking(Wait(until, names.RECMODEL, "ranker", "", ""), body, NOW)
    except ValueError as error:
        return str(error)


def test_what_is_waited_for_is_gone_when_it_is() -> None:
    wait = Wait("gone", None, "x", "", "")  # type: ignore[arg-type]
    assert still_lacking(wait, None, None) == ""  # type: ignore[arg-type]
    assert still_lacking(wait, {"metadata": {}}, None) == "it is still there"  # type: ignore[arg-type]

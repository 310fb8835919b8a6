"""KEDA itself, whose ScaledObject takes its replicas from the decisions: it follows them, keeps what runs while the operator is away, and
one edit takes the operator out again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE, ROOT
from kube import Kube, Object, eventually, run, throughout
from requests_sent import Load, failed
from serving import Served
from test_attach import BUSY, LABELS, METRICS, made
from test_handover import asked, carried_out

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster import names

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

BUILD_SECONDS = 3600
# A pod carries 50 requests/s.
CALM_PER_SECOND, PER_SECOND, QUIET_PER_SECOND = 20.0, 90.0, 4.0
TRIGGER = {
    "type": "external",
    "metadata": {
        "scalerAddress": f"{RELEASE}-external-scaler.{OPERATOR_NAMESPACE}:9091",
        "recModel": "ranker",
        "pool": "cpu",
    },
}
CRON = {
    "type": "cron",
    "metadata": {"timezone": "Etc/UTC", "start": "0 0 * * *", "end": "59 23 * * *", "desiredReplicas": "2"},
}
AUTOSCALER = "keda-hpa-ranker"


@pytest.fixture(scope="module")
def keda(operator: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """KEDA in the cluster, and the operator that answers it."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    script = ROOT / "hack" / "cluster" / "keda.sh"
    with capture.global_and_fixture_disabled():  # its build is long: its progress is shown
        subprocess.run([script, "up"], check=True, timeout=BUILD_SECONDS)
    try:
        answering(True)
        yield
    finally:
        subprocess.run([script, "down"], check=True, timeout=300)
        answering(False)


def answering(enabled: bool) -> None:
    run(
        "helm", "upgrade", RELEASE, str(ROOT / "charts" / "recmodel"), "-n", OPERATOR_NAMESPACE, "--reset-then-reuse-values", "--wait",
        "--timeout", "180s", "--set", f"keda.externalScaler.enabled={str(enabled).lower()}", seconds=240.0,
    )  # fmt: skip


def scaled_object(namespace: str, trigger: Object) -> None:
    """As a team has it. Applied again with another trigger it is the one edit."""
    behavior = {"scaleUp": {"tolerance": "0"}, "scaleDown": {"tolerance": "0", "stabilizationWindowSeconds": 0}}
    spec = {
        "scaleTargetRef": {"name": "ranker"},
        "minReplicaCount": 1,
        "maxReplicaCount": 6,
        "pollingInterval": 5,
        "triggers": [trigger],
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
    }
    body = {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "ranker", "namespace": namespace}, "spec": spec,
    }  # fmt: skip
    subprocess.run(["kubectl", "apply", "-f", "-"], input=json.dumps(body), text=True, check=True, timeout=60)


def existing(kube: Kube, namespace: str) -> None:
    template = {"metadata": {"labels": LABELS}, "spec": BUSY.spec()["template"]["spec"]}
    selector = {"app": LABELS["app"]}
    made(
        kube,
        namespace,
        names.DEPLOYMENT,
        "ranker",
        {"replicas": 1, "selector": {"matchLabels": selector}, "template": template},
    )
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    made(kube, namespace, names.SERVICE, "ranker", {"selector": selector, "ports": ports})


def referring(namespace: str) -> Object:
    target = {"kind": "Deployment", "name": "ranker"}
    pool = {"name": "cpu", "replicas": {"min": 1, "max": 6}, "costPerHour": "1.0", "targetRef": target}
    spec = {"mode": "Recommend", "objective": {"latency": {"threshold": "100ms"}}, "metrics": METRICS, "pools": [pool]}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "ranker", "namespace": namespace},
        "spec": spec,
    }


def scaling_active(kube: Kube, namespace: str) -> tuple[str, str]:
    conditions = kube.get(names.AUTOSCALER, namespace, AUTOSCALER).get("status", {}).get("conditions", [])
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "ScalingActive"), ("", ""))


def test_keda_follows_the_decisions_keeps_what_runs_without_them_and_one_edit_ends_it(
    kube: Kube, keda: None, namespace: str
) -> None:
    existing(kube, namespace)

    def replicas() -> int:
        return int(kube.get(names.DEPLOYMENT, namespace, "ranker")["spec"]["replicas"])

    def stays(number: int) -> None:
        assert replicas() == number

    served = Served(kube, referring(namespace))
    eventually("the workload is found", served.has("Ready", "True"), 120.0)
    scaled_object(namespace, TRIGGER)
    with Load(served, CALM_PER_SECOND, url=f"http://ranker.{namespace}/") as load:
        eventually("KEDA scales by it", lambda: scaling_active(kube, namespace) == ("True", "ValidMetricFound"), 120.0)
        (metric,) = kube.get(names.AUTOSCALER, namespace, AUTOSCALER)["spec"]["metrics"]
        assert metric["external"]["metric"]["name"] == "s0-recmodel-ranker-cpu"
        assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "1"}
        eventually("what a pod carries is learned", lambda: served.status()["pools"][0].get("capacityPerReplica"), 90.0)
        load.rate(PER_SECOND)
        found = eventually(
            "KEDA has added replicas", lambda: replicas() if replicas() >= 3 else 0, 180.0, every_seconds=1.0
        )
        said = served.status()["recommendation"]["message"]
        measured("KEDA by the decisions, at 90/s of 50/s a pod", f"{found} replicas; {said}")
        assert f"HorizontalPodAutoscaler {AUTOSCALER} (ScaledObject ranker) scales cpu" in said

        run("kubectl", "-n", OPERATOR_NAMESPACE, "scale", f"deployment/{RELEASE}", "--replicas=0")
        try:
            eventually("KEDA has no number", lambda: scaling_active(kube, namespace)[0] == "False", 120.0)
            before = replicas()
            load.rate(
                QUIET_PER_SECOND
            )  # so few that an operator which has learned nothing yet needs one replica for them
            throughout(60.0, lambda: stays(before))
        finally:
            run("kubectl", "-n", OPERATOR_NAMESPACE, "scale", f"deployment/{RELEASE}", "--replicas=1")
            run(
                "kubectl",
                "-n",
                OPERATOR_NAMESPACE,
                "rollout",
                "status",
                f"deployment/{RELEASE}",
                "--timeout=120s",
                seconds=130.0,
            )
        eventually("KEDA has a number again", lambda: scaling_active(kube, namespace)[0] == "True", 120.0)
        fewer = eventually(
            "KEDA has released replicas", lambda: replicas() if replicas() < before else 0, 420.0, every_seconds=1.0
        )
        measured("KEDA by the decisions, then at 4/s", f"{fewer} of {before} replicas")

        scaled_object(namespace, CRON)
        eventually(
            "the autoscaler has another metric",
            lambda: "recmodel" not in json.dumps(kube.get(names.AUTOSCALER, namespace, AUTOSCALER)["spec"]["metrics"]),
            60.0,
        )
        eventually("KEDA scales by that", lambda: replicas() == 2, 180.0, every_seconds=1.0)
    managers = {
        entry["manager"] for entry in kube.get(names.DEPLOYMENT, namespace, "ranker")["metadata"]["managedFields"]
    }
    assert not {names.FIELD_MANAGER, names.REPAIRING} & managers, "in mode Recommend nothing of it is written"


def test_a_workload_that_keda_scales_is_handed_over_under_load_and_back(kube: Kube, keda: None, namespace: str) -> None:
    existing(kube, namespace)
    scaled_object(namespace, CRON)

    def replicas() -> int:
        return int(kube.get(names.DEPLOYMENT, namespace, "ranker")["spec"]["replicas"])

    eventually("KEDA scales it", lambda: replicas() == 2, 180.0, every_seconds=1.0)
    served = Served(kube, referring(namespace))
    eventually("the workload is found", served.has("Ready", "True"), 120.0)
    before = asked(kube.get(names.SCALED_OBJECT, namespace, "ranker"))
    with Load(served, CALM_PER_SECOND, url=f"http://ranker.{namespace}/") as load:
        eventually("the load is seen", served.has("MetricsAvailable", "True"), 60.0)
        assert "Replicas before: cpu 2; now: cpu 2." in carried_out("handover", served)
        eventually(
            "KEDA's autoscaler is away", lambda: kube.find(names.AUTOSCALER, namespace, AUTOSCALER) is None, 60.0
        )
        load.rate(PER_SECOND)
        found = eventually("the operator adds replicas", lambda: replicas() if replicas() >= 3 else 0, 180.0)
        assert served.has("Ready", "True")()
        carried_out("handback", served)
        assert asked(kube.get(names.SCALED_OBJECT, namespace, "ranker")) == before
        eventually("KEDA scales it again", lambda: replicas() == 2, 180.0, every_seconds=1.0)
    answers = load.answers()
    measured("handed over from KEDA and back", f"{found} replicas by the operator; {len(answers)}, {failed(answers)}")
    assert failed(answers) == {}

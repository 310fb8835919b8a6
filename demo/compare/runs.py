"""One run on the cluster: the pool, what scales it, the load, and what was seen. Everything of it is taken away afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compare import canary, manifests
from compare.manifests import JOB, NAMESPACE, Object
from compare.plan import PROBE_REPLICAS, Plan, Series, Who, csv_of

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE = CHECKOUT / "manifests/samples/ranker.yaml"
SCRIPTS = {Who.HPA: "metrics-server.sh", Who.KEDA: "keda.sh"}
DONE = "run.json"  # written last
GONE_SECONDS, READY_SECONDS = 120.0, 180.0


class RunFailed(Exception):
    """A run did not end well; the message says which and where to look."""


def kubectl(*arguments: str, body: Object | None = None, seconds: float = 240.0) -> str:
    """Its output. Raises RunFailed with what it said."""
    text = None if body is None else json.dumps(body)
    done = subprocess.run(
        ["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise RunFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def say(text: str) -> None:
    """For whoever watches."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


@contextmanager
def installed(who: Who | None) -> Iterator[None]:
    """What the controller needs in the cluster, for as long as the block lasts."""
    script = SCRIPTS.get(who) if who else None
    if script is None:
        yield
        return
    try:
        subprocess.run([CHECKOUT / "hack/cluster" / script, "up"], check=True)
        yield
    finally:
        subprocess.run([CHECKOUT / "hack/cluster" / script, "down"], check=True)


def play(
    folder: Path, who: Who | None, seed: int, rates: Series, plan: Plan, target_per_second: float | None = None
) -> None:
    """Plays the load once; ``who`` None: nobody scales. A run that is done already, with this target, is left alone. Raises RunFailed."""
    if (folder / DONE).exists() and json.loads((folder / DONE).read_text())["target_per_second"] == target_per_second:
        return
    (folder / DONE).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    label = who.value if who else "probe"
    # A name that was never used: Prometheus knows nothing of its past, so nobody learns from an earlier run.
    name = f"{label}-{seed}-{os.urandom(2).hex()}"
    say(f"{label}, seed {seed}: {len(rates)} s of load")
    prefix = os.environ["IMAGE_PREFIX"]
    # Nobody scales the probe, so it stays at its minimum.
    model = manifests.recmodel(SAMPLE.read_text(), name, who is Who.RECMODEL, prefix, None if who else PROBE_REPLICAS)
    scaled = manifests.autoscaler(who, model, plan, target_per_second) if who else None
    (folder / "schedule.csv").write_text(csv_of(rates))
    with installed(who):
        _operator(plan, folder)
        try:
            _set_up(model, scaled, folder)
            kubectl("apply", "-f", "-", body=manifests.generator(name, seed, os.environ["GATEWAY_ADDRESS"], prefix))
            with canary.watching(folder / "canary.csv"):
                _watch(folder, name)
            for kind in ("recmodel", "hpa", "deployment"):
                (folder / f"{kind}.yaml").write_text(kubectl("get", kind, "-n", NAMESPACE, "-o", "yaml"))
        finally:
            _take_away()
    facts = {"who": label, "seed": seed, "target_per_second": target_per_second, "ended": time.strftime("%Y-%m-%d")}
    (folder / DONE).write_text(json.dumps(facts))


def _operator(plan: Plan, folder: Path) -> None:
    subprocess.run([CHECKOUT / "demo/operator.sh", str(plan.tick_seconds), folder / "helm.log"], check=True)


def _set_up(model: Object, scaled: Object | None, folder: Path) -> None:
    name = model["metadata"]["name"]
    kubectl("apply", "-f", "-", body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    _take_away()
    kubectl("apply", "-f", "-", body=manifests.schedule((folder / "schedule.csv").read_text()))
    kubectl("apply", "-f", "-", body=model)
    kubectl("wait", "--for=condition=Ready", f"recmodel/{name}", "-n", NAMESPACE, f"--timeout={READY_SECONDS:.0f}s")
    if scaled is not None:
        kubectl("apply", "-f", "-", body=scaled)
        _until("the autoscaler may scale", READY_SECONDS, _scales)


def _scales() -> bool:
    found = json.loads(kubectl("get", "hpa", "-n", NAMESPACE, "-o", "json"))["items"]
    conditions = [c for item in found for c in item.get("status", {}).get("conditions", [])]
    return any(c["type"] == "ScalingActive" and c["status"] == "True" for c in conditions)


def _watch(folder: Path, name: str) -> None:
    what = ("--run", str(folder), "--job", JOB, "--namespace", NAMESPACE, "--name", name)
    command = [sys.executable, "-m", "watch", *what]
    if subprocess.run(command, check=False).returncode:
        raise RunFailed(f"the replay of {name} did not end well: {folder} has its log")


def _take_away() -> None:
    kubectl("delete", "job", "--all", "-n", NAMESPACE, "--wait=false")
    if kubectl("get", "crd", "scaledobjects.keda.sh", "--ignore-not-found", "-o", "name").strip():
        kubectl("delete", "scaledobjects", "--all", "-n", NAMESPACE, "--timeout=60s")
    kubectl("delete", "hpa", "--all", "-n", NAMESPACE, "--timeout=60s")
    kubectl("delete", "recmodel", "--all", "-n", NAMESPACE, "--timeout=90s")
    _until("the pods are gone", GONE_SECONDS, lambda: not kubectl("get", "pods", "-n", NAMESPACE, "-o", "name").strip())


def _until(what: str, seconds: float, done: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise RunFailed(f"gave up after {seconds:.0f} s: {what}")
        time.sleep(1.0)

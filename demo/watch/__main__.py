"""Shows a replay while it runs, and writes down what it saw: ``python -m watch --run DIR --job NAME``.

DIR holds ``schedule.csv``; this adds ``samples.jsonl`` (a snapshot every two seconds) and ``generator.log``. Exits 0
when the load generator is through, 1 when its Job failed or nothing was received from it in time. The addresses come from
the environment: KUBECONFIG, PROMETHEUS_URL.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.live import Live

from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.session import Connection
from watch import schedule as schedules
from watch.follow import FollowedLog
from watch.kubernetes_api import KubernetesApi, NotAnswered
from watch.questions import questions
from watch.sample import gather, judge
from watch.scene import Past, Scene, clients
from watch.snapshot import Snapshot, to_line
from watch.subject import Subject, subject
from watch.view import compact, render

SAMPLE_SECONDS = 2.0
COMPACT_SECONDS = 10.0
FIRST_LINE_SECONDS = 90.0  # the Job's pod is placed, starts Python and imports its libraries
OVERTIME_SECONDS = 60.0  # the last answers, and the pod's end
JOB_FAILED = "the load generator's Job failed"
Show = Callable[[Scene], None]


class Watch:
    """The loop: sample, show, until the generator is through."""

    def __init__(self, run: Path, job: str, seen: Subject, api: KubernetesApi, prometheus: PrometheusClient) -> None:
        self._subject, self._api, self._prometheus, self._job = seen, api, prometheus, job
        self._schedule = schedules.read(run / "schedule.csv")
        self._log = FollowedLog(seen.namespace, job, run / "generator.log")
        self._samples = run / "samples.jsonl"
        self._asked = questions(seen.namespace, seen.name)
        self._past: Past | None = None
        self._earlier: list[Snapshot] = []

    def run(self, show: Show) -> str | None:
        """Returns what went wrong, or None. A log that has its summary is of a replay that is through, whatever was
        feared of it meanwhile.
        """
        began = time.monotonic()
        problem: str | None = None
        try:
            with self._samples.open("w") as file:
                while True:
                    tick = time.monotonic()
                    snapshot = judge(
                        gather(self._api, self._prometheus, self._subject, self._asked, time.time()),
                        self._subject,
                        self._asked,
                    )
                    file.write(to_line(snapshot) + "\n")
                    file.flush()
                    scene = self._scene(snapshot)
                    show(scene)
                    over, problem = self._over(scene, time.monotonic() - began)
                    if over:
                        break
                    time.sleep(max(SAMPLE_SECONDS - (time.monotonic() - tick), 0.2))
        finally:
            log = self._log.finish()
        if log.finished and problem != JOB_FAILED:
            return None
        return problem or "the load generator's log has no summary"

    def _scene(self, snapshot: Snapshot) -> Scene:
        log = self._log.read()
        if self._past is None and log.start_seconds is not None:
            self._past = Past(log.start_seconds)
            for earlier in self._earlier:
                self._past.add(earlier)
        if self._past is None or log.start_seconds is None:
            self._earlier.append(snapshot)
            return Scene(self._subject.model, self._schedule, snapshot, None)
        self._past.add(snapshot)
        return Scene(
            self._subject.model,
            self._schedule,
            snapshot,
            snapshot.time_seconds - log.start_seconds,
            self._past.loads,
            self._past.uppers,
            clients(log),
            self._past.spent(),
            self._past.hpa_spent(self._subject.model, self._subject.devices),
        )

    def _over(self, scene: Scene, waited_seconds: float) -> tuple[bool, str | None]:
        if self._log.read().finished:
            return True, None
        if scene.elapsed_seconds is None and waited_seconds > FIRST_LINE_SECONDS:
            return (
                True,
                f"the load generator wrote nothing for {FIRST_LINE_SECONDS:.0f} s (kubectl describe job/{self._job})",
            )
        if scene.elapsed_seconds is not None and scene.elapsed_seconds > scene.schedule.seconds + OVERTIME_SECONDS:
            return True, f"the load generator did not end within {OVERTIME_SECONDS:.0f} s of the schedule's end"
        try:
            status = self._api.get(f"/apis/batch/v1/namespaces/{self._subject.namespace}/jobs/{self._job}").get(
                "status", {}
            )
        except NotAnswered:
            return False, None
        return (True, JOB_FAILED) if status.get("failed") else (False, None)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="show a replay while it runs")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--namespace", default="demo")
    parser.add_argument("--name", default="ranker")
    arguments = parser.parse_args()
    api = KubernetesApi()
    prometheus = PrometheusClient(Connection(os.environ["PROMETHEUS_URL"]))
    recmodel = api.get(f"/apis/recmodel.dev/v1alpha1/namespaces/{arguments.namespace}/recmodels/{arguments.name}")
    watch = Watch(arguments.run, arguments.job, subject(recmodel, api.items("/api/v1/nodes")), api, prometheus)
    console = Console()
    try:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
                problem = watch.run(lambda scene: live.update(render(scene, console.width), refresh=True))
        else:
            problem = watch.run(_printer())
    except KeyboardInterrupt:  # run.sh has it as well, and takes away what is to go
        return 130
    prometheus.close()
    if problem:
        print(f"the replay did not end well: {problem}", file=sys.stderr)
    return 1 if problem else 0


def _printer() -> Show:
    last = [0.0]

    def show(scene: Scene) -> None:
        if time.monotonic() - last[0] >= COMPACT_SECONDS:
            last[0] = time.monotonic()
            print(time.strftime("%H:%M:%S"), compact(scene), flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())

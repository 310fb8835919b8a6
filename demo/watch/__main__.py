"""Shows a replay while it runs, and writes down what it saw: ``python -m watch --run DIR --job NAME``.

DIR holds ``schedule.csv``; this adds ``samples.jsonl`` (a snapshot every two seconds) and ``generator.log``. With ``--beside NAME``
another RecModel is watched too, whose load generator is the Job ``JOB-beside``; what is seen of it goes to ``DIR/beside``. Exits 0
when the load generators are through, 1 when a Job failed or nothing was received in time. The addresses come from the environment:
KUBECONFIG, PROMETHEUS_URL.
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
from watch.scene import Beside, Clients, Past, Scene, clients
from watch.schedule import Schedule
from watch.snapshot import Snapshot, to_line
from watch.subject import Subject, subject
from watch.view import compact, render

SAMPLE_SECONDS = 2.0
COMPACT_SECONDS = 10.0
FIRST_LINE_SECONDS = 90.0  # the Job's pod is placed, starts Python and imports its libraries
OVERTIME_SECONDS = 60.0  # the last answers, and the pod's end
JOB_FAILED = "the load generator's Job failed"
Show = Callable[[Scene], None]


class Side:
    """One RecModel that is watched, and the load generator that sends it requests."""

    def __init__(self, folder: Path, job: str, seen: Subject, counts_from: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.subject, self.job, self.past = seen, job, Past(None, counts_from)
        self._asked, self._counts_from = questions(seen.namespace, seen.name), counts_from
        self._log = FollowedLog(seen.namespace, job, folder / "generator.log")
        self._samples = (folder / "samples.jsonl").open("w")

    def look(self, api: KubernetesApi, prometheus: PrometheusClient) -> Snapshot:
        """The newest snapshot, written down and added to the past."""
        reading = gather(api, prometheus, self.subject, self._asked, time.time())
        snapshot = judge(reading, self.subject, self._asked)
        self._samples.write(to_line(snapshot) + "\n")
        self._samples.flush()
        self.past.starts_at(self._log.read().start_seconds)
        self.past.add(snapshot)
        return snapshot

    def clients(self) -> Clients | None:
        """What they saw; None before the first complete second."""
        return clients(self._log.read(), self._counts_from)

    def finished(self) -> bool:
        """Whether the log has its summary."""
        return self._log.read().finished

    def close(self) -> bool:
        """Reads the whole log once more, and returns whether it has its summary."""
        self._samples.close()
        return self._log.finish().finished


class Watch:
    """The loop: sample, show, until the load generators are through."""

    def __init__(
        self, schedule: Schedule, side: Side, beside: Side | None, api: KubernetesApi, prometheus: PrometheusClient
    ) -> None:
        self._schedule, self._side, self._beside = schedule, side, beside
        self._api, self._prometheus = api, prometheus
        self._sides = [side] if beside is None else [side, beside]

    def run(self, show: Show) -> str | None:
        """Returns what went wrong, or None. A log that has its summary is of a replay that is through, whatever was
        feared of it meanwhile.
        """
        began = time.monotonic()
        problem: str | None = None
        try:
            while True:
                tick = time.monotonic()
                snapshots = [side.look(self._api, self._prometheus) for side in self._sides]
                scene = self._scene(*snapshots)
                show(scene)
                over, problem = self._over(scene, time.monotonic() - began)
                if over:
                    break
                time.sleep(max(SAMPLE_SECONDS - (time.monotonic() - tick), 0.2))
        finally:
            finished = [side.close() for side in self._sides]
        if all(finished) and problem != JOB_FAILED:
            return None
        return problem or "the load generator's log has no summary"

    def _scene(self, snapshot: Snapshot, of_beside: Snapshot | None = None) -> Scene:
        past = self._side.past
        return Scene(
            self._side.subject.model,
            self._schedule,
            snapshot,
            past.elapsed_seconds,
            past.loads,
            past.uppers,
            self._side.clients(),
            past.spent(),
            _besides(self._beside, of_beside),
        )

    def _over(self, scene: Scene, waited_seconds: float) -> tuple[bool, str | None]:
        if all(side.finished() for side in self._sides):
            return True, None
        job = self._side.job
        if scene.elapsed_seconds is None and waited_seconds > FIRST_LINE_SECONDS:
            return (
                True,
                f"the load generator wrote nothing for {FIRST_LINE_SECONDS:.0f} s (kubectl describe job/{job})",
            )
        if scene.elapsed_seconds is not None and scene.elapsed_seconds > scene.schedule.seconds + OVERTIME_SECONDS:
            return True, f"the load generator did not end within {OVERTIME_SECONDS:.0f} s of the schedule's end"
        return (True, JOB_FAILED) if any(map(self._failed, self._sides)) else (False, None)

    def _failed(self, side: Side) -> bool:
        path = f"/apis/batch/v1/namespaces/{side.subject.namespace}/jobs/{side.job}"
        try:
            return bool(self._api.get(path).get("status", {}).get("failed"))
        except NotAnswered:
            return False


def _besides(side: Side | None, snapshot: Snapshot | None) -> Beside | None:
    if side is None or snapshot is None:
        return None
    pool = snapshot.pools[0]
    return Beside(pool.desired, pool.ready, side.clients(), side.past.spent())


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="show a replay while it runs")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--namespace", default="demo")
    parser.add_argument("--name", default="ranker")
    parser.add_argument("--beside", metavar="NAME", help="another RecModel, which gets the same requests")
    arguments = parser.parse_args()
    api = KubernetesApi()
    prometheus = PrometheusClient(Connection(os.environ["PROMETHEUS_URL"]))
    schedule = schedules.read(arguments.run / "schedule.csv")

    def side(folder: Path, job: str, name: str) -> Side:
        recmodel = api.get(f"/apis/recmodel.dev/v1alpha1/namespaces/{arguments.namespace}/recmodels/{name}")
        return Side(folder, job, subject(recmodel, api.items("/api/v1/nodes")), schedule.counts_from)

    beside = None
    if arguments.beside is not None:
        beside = side(arguments.run / "beside", f"{arguments.job}-beside", arguments.beside)
    watch = Watch(schedule, side(arguments.run, arguments.job, arguments.name), beside, api, prometheus)
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

"""The demo keeps what it read of the load generator's log, however often ``kubectl logs --follow`` ends: with a
``kubectl`` of the test's own, whose each start plays the next script.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import demo_scenes as demo
from watch import __main__ as watching
from watch.follow import FollowedLog
from watch.generator_log import ClientLog
from watch.kubernetes_api import NotAnswered
from watch.schedule import read

SECONDS = 4


def line(second: int) -> str:
    counts = {"due": 10, "sent": 10, "ok": 10, "timeouts": 0, "unsent": 0, "failed": {}, "within": 10, "pools": {}}
    value = {"second": second, **counts, "p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 30.0}
    return f"2023-11-14T22:13:{21 + second}.050123456Z {json.dumps(value)}"


LINES = [line(second) for second in range(SECONDS)]
SUMMARY = '2023-11-14T22:13:30Z {"summary": true, "due": 40}'
ALL = [*LINES, SUMMARY]
GONE: list[str] = []  # the pod is not there any more
Kubectl = Callable[..., None]


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """``kubectl(follows=[...], whole=[...])``: what each ``--follow`` prints before it ends (the last one again and
    again), and what a fetch of the whole log prints.
    """
    folder = tmp_path / "bin"
    folder.mkdir()

    def play(follows: list[list[str]], whole: list[str]) -> None:
        for number, text in enumerate(follows, 1):
            (folder / f"follow{number}").write_text("".join(f"{x}\n" for x in text))
        (folder / "whole").write_text("".join(f"{x}\n" for x in whole))
        (folder / "kubectl").write_text(
            f"""#!/bin/sh
cd {folder}
case "$*" in *--follow*) ;; *) [ -s whole ] || exit 1; cat whole; exit 0 ;; esac
n=$(( $(cat started 2>/dev/null || echo 0) + 1 )); [ -e "follow$n" ] || n={len(follows)}
echo "$n" >started
cat "follow$n"
"""
        )
        (folder / "kubectl").chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return play


def read_until(log: FollowedLog, wanted: Callable[[ClientLog], bool]) -> ClientLog:
    deadline = time.monotonic() + 60.0
    while not wanted(found := log.read()):
        assert time.monotonic() < deadline, f"{len(found.seconds)} seconds were read"
        time.sleep(0.01)
    return found


@pytest.mark.parametrize(
    "follows",
    [
        pytest.param([LINES[:1], ALL], id="it ends early, once"),
        pytest.param([ALL, GONE], id="it ends late, with the pod, which is then gone"),
        pytest.param([LINES[:1], GONE, LINES[:3], GONE, ALL], id="it ends twice, with nothing between"),
        pytest.param([LINES[:2], LINES[2:], [SUMMARY]], id="the log was rotated: each start begins later"),
    ],
)
def test_every_line_once_read_is_kept(tmp_path: Path, kubectl: Kubectl, follows: list[list[str]]) -> None:
    kubectl(follows=follows, whole=GONE)
    log = FollowedLog("demo", "load", tmp_path / "generator.log")
    seen: list[int] = [0]

    def finished(found: ClientLog) -> bool:
        assert len(found.seconds) >= seen[-1], "what was read before is lost"
        seen.append(len(found.seconds))
        return found.finished

    read_until(log, finished)
    assert [s.second for s in log.finish().seconds] == list(range(SECONDS))
    assert (tmp_path / "generator.log").read_text().splitlines() == ALL, "the report reads this file"


def test_the_whole_log_fills_the_holes_of_a_cut_connection(tmp_path: Path, kubectl: Kubectl) -> None:
    kubectl(follows=[LINES[:2], GONE], whole=ALL)
    log = FollowedLog("demo", "load", tmp_path / "generator.log")
    read_until(log, lambda found: len(found.seconds) == 2)
    assert log.finish().finished


class Api:
    """The Job, as the API server tells of it."""

    def __init__(self, status: dict[str, int] | None = None) -> None:
        self._status = status

    def get(self, path: str) -> Any:
        if self._status is None:
            raise NotAnswered(path)
        return {"status": self._status}


@pytest.mark.parametrize(
    ("follows", "whole", "job", "problem"),
    [
        pytest.param([LINES[:2], GONE], ALL, None, None, id="nothing was heard for long, but the whole log has it all"),
        pytest.param([GONE], ALL, None, None, id="nothing was ever followed, but the whole log has it all"),
        pytest.param([LINES[:2], GONE], GONE, None, "did not end within", id="it never ends"),
        pytest.param([GONE], GONE, None, "wrote nothing", id="it never began"),
        pytest.param([LINES[:2], GONE], ALL, {"failed": 1}, "Job failed", id="the Job failed"),
    ],
)
def test_the_end_of_the_replay_is_judged_by_the_whole_log(
    tmp_path: Path,
    kubectl: Kubectl,
    monkeypatch: pytest.MonkeyPatch,
    follows: list[list[str]],
    whole: list[str],
    job: dict[str, int] | None,
    problem: str | None,
) -> None:
    kubectl(follows=follows, whole=whole)
    (tmp_path / "schedule.csv").write_text("seconds,rps,mark\n" + "".join(f"{n},10,\n" for n in range(SECONDS)))
    monkeypatch.setattr(watching, "SAMPLE_SECONDS", 0.01)
    monkeypatch.setattr(watching, "FIRST_LINE_SECONDS", 1.0)
    snapshots = (demo.snapshot(20.0 * n) for n in range(10_000))
    monkeypatch.setattr(watching, "gather", lambda *_: None)
    monkeypatch.setattr(watching, "judge", lambda *_: next(snapshots))
    side = watching.Side(tmp_path, "load", demo.SUBJECT, counts_from=0)
    watch = watching.Watch(read(tmp_path / "schedule.csv"), side, None, Api(job), None)  # type: ignore[arg-type]
    found = watch.run(lambda scene: None)
    assert (found is None) if problem is None else (found is not None and problem in found)

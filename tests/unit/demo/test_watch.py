"""The demo's live view: what it reads, and what it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import demo_scenes as demo
from builders.demo_recmodel import nodes, recmodel
from recmodel.prometheus.client import Vector
from watch.generator_log import parse
from watch.questions import questions
from watch.sample import Reading, judge, number
from watch.scene import clients
from watch.schedule import read
from watch.snapshot import Bracket, Snapshot, from_line, to_line
from watch.subject import subject

LINES = [
    '{"second": 0, "due": 40, "sent": 40, "ok": 40, "timeouts": 0, "unsent": 0, "failed": {}, "within": 39, '
    '"p50_ms": 30.0, "p95_ms": 80.0, "p99_ms": 120.0, "pools": {"cpu": 40}}',
    '{"second": 1, "due": 42, "sent": 42, "ok": 38, "timeouts": 1, "unsent": 0, "failed": {"503": 2, "connection": 1}, '
    '"within": 38, "p50_ms": null, "p95_ms": null, "p99_ms": null, "pools": {}}',
]
LOG = f"""\
Error from a shell that is no JSON
2023-11-14T22:13:21.250123456Z {LINES[0]}
2023-11-14T22:13:22.050123456Z {LINES[1]}
2023-11-14T22:13:22.060000000Z {{"second": 2, "due": 4"""


def test_the_generators_clock_starts_at_the_earliest_line_less_its_second() -> None:
    log = parse(LOG)
    assert log.start_seconds == pytest.approx(demo.START + 0.050123)  # second 1 was over at 2 s, and said so at once
    assert [second.second for second in log.seconds] == [0, 1], "the line that is still being written is left out"
    assert log.seconds[1].lost == 4
    assert log.seconds[1].p95_seconds is None
    assert not log.finished


def test_a_log_with_its_summary_is_finished() -> None:
    assert parse(LOG + '\n2023-11-14T22:13:30Z {"summary": true, "due": 82}').finished


def test_the_last_seconds_count_for_the_clients() -> None:
    seen = clients(parse(LOG))
    assert seen is not None
    assert (seen.due, seen.answered, seen.lost, seen.late) == (82, 78, 4, 1)
    assert seen.recent_within_ratio == pytest.approx(77 / 82)
    assert seen.recent_p95_seconds == pytest.approx(0.08)
    assert clients(parse("")) is None


def test_what_the_clients_saw_in_the_warm_up_does_not_count() -> None:
    seen = clients(parse(LOG), counts_from=1)
    assert seen is not None
    assert (seen.due, seen.answered, seen.lost, seen.late) == (42, 38, 4, 0)


def test_a_snapshot_survives_being_written_down() -> None:
    for snapshot in (demo.snapshot(5.0), Snapshot(demo.START)):
        assert from_line(to_line(snapshot)) == snapshot


def test_an_accelerator_is_emulated_only_where_a_node_says_so_and_a_pool_asks_for_one() -> None:
    assert subject(recmodel(), nodes("emulated")).emulated == {"gpu"}
    assert subject(recmodel(), nodes(None)).emulated == frozenset()
    assert subject(recmodel(), nodes(None)).devices == {"cpu": "cpu", "gpu": "nvidia.com/gpu"}


def test_a_reading_becomes_a_snapshot_of_what_was_answered() -> None:
    seen, asked = subject(recmodel(), nodes("emulated")), questions("demo", "ranker")
    cluster = {"envoy_cluster_name": "httproute/demo/ranker/rule/0/backend/0"}
    buckets = tuple(({**cluster, "le": le}, value) for le, value in (("49", 20.0), ("99", 58.0), ("+Inf", 60.0)))
    reading = Reading(
        demo.START,
        recmodel(),
        {
            "metadata": {"name": "ranker"},
            "spec": {
                "rules": [
                    {"backendRefs": [{"name": "ranker-cpu", "weight": 1000}, {"name": "ranker-gpu", "weight": 0}]}
                ]
            },
        },
        {
            "cpu": {
                "spec": {"replicas": 2},
                "status": {"readyReplicas": 1},
            },
            "gpu": {"spec": {"replicas": 0}, "status": {}},
        },
        {
            asked.requests: Vector(((cluster, 60.0),)),
            asked.pool_buckets: Vector(buckets),
            asked.forecast: Vector((({"pool": "gpu"}, 91.0),)),
        },
    )
    found = judge(reading, seen, asked)
    cpu, gpu = found.pools
    assert (cpu.desired, cpu.ready, cpu.weight, cpu.load_per_second) == (2, 1, 1000, 60.0)
    assert cpu.percentile_seconds == Bracket(0.05, 0.1), "95 % lie between the edges of 50 and 100 ms"
    assert (cpu.capacity_per_replica, cpu.startup_seconds) == (25.5, 12.0)
    assert (gpu.desired, gpu.ready, gpu.load_per_second, gpu.emulated) == (0, 0, None, True)
    assert found.within_ratio == Bracket(58 / 60, 58 / 60)
    assert found.forecast_upper_per_second == 91.0, "the operator's metric is newer than its status"
    assert found.forecast_seconds == 20.0
    assert found.cost_per_hour() == 2.0


def test_sources_that_do_not_answer_leave_the_unknown_not_zero() -> None:
    found = judge(Reading(demo.START), subject(recmodel(), nodes(None)), questions("demo", "ranker"))
    assert {(p.desired, p.ready, p.weight, p.load_per_second) for p in found.pools} == {(None, None, None, None)}
    assert found.load_per_second is None
    assert found.cost_per_hour() is None
    assert found.capacity_per_second() is None


@pytest.mark.parametrize(("text", "value"), [("31.5/s", 31.5), ("12", 12.0), (None, None), ("unknown", None)])
def test_numbers_of_a_status(text: str | None, value: float | None) -> None:
    assert number(text) == value


def test_the_schedule_knows_its_flash_crowd(tmp_path: Path) -> None:
    path = tmp_path / "schedule.csv"
    path.write_text("seconds,rps,mark\n0,10,\n1,20,flash\n2,20,flash\n3,10,\n")
    schedule = read(path)
    assert (schedule.seconds, schedule.flash_start, schedule.flash_end, schedule.counts_from) == (4, 1, 3, 0)
    path.write_text("seconds,rps,mark\n0,10,warm-up\n1,10,warm-up\n2,20,flash\n3,10,\n")
    assert (read(path).flash_start, read(path).counts_from) == (2, 2)
    path.write_text("seconds,rps,mark\n")
    with pytest.raises(ValueError, match="no seconds"):
        read(path)

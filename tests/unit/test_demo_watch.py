"""The demo's live view: what it reads, what it counts, and what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import demo_scenes as demo
import pytest
from rich.console import Console

from recmodel.prometheus.client import Vector
from watch import words
from watch.generator_log import parse
from watch.money import HpaRules, plain_hpa
from watch.questions import questions
from watch.sample import Reading, judge, number
from watch.scene import Past, clients, filled, hpa_rules
from watch.schedule import read
from watch.snapshot import Bracket, Snapshot, from_line, to_line
from watch.subject import subject
from watch.view import compact, render

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


def shown(renderable: object, width: int = 120) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    with console.file:
        console.print(renderable)
        return console.export_text()


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
    assert (seen.due, seen.answered, seen.lost) == (82, 78, 4)
    assert seen.recent_within_ratio == pytest.approx(77 / 82)
    assert seen.recent_p95_seconds == pytest.approx(0.08)
    assert clients(parse("")) is None


def test_a_snapshot_survives_being_written_down() -> None:
    for snapshot in (demo.snapshot(5.0), Snapshot(demo.START)):
        assert from_line(to_line(snapshot)) == snapshot


def recmodel() -> dict[str, object]:
    pool = {"replicas": {"min": 1, "max": 6}, "port": 8080}
    pods = {"cpu": {"cpu": "200m"}, "gpu": {"cpu": "1", "nvidia.com/gpu": "1"}}
    pools = [
        {
            **pool,
            "name": name,
            "template": {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": limits}}]}},
        }
        for name, limits in pods.items()
    ]
    status = {
        "state": "Tracking",
        "reason": "Steady",
        "pools": [
            {
                "name": "cpu",
                "desired": 2,
                "ready": 2,
                "weight": 600,
                "capacityPerReplica": "25.5",
                "startupSeconds": "12",
            }
        ],
        "forecast": [
            {"pool": "cpu", "seconds": 15, "p50PerSecond": "60", "upperPerSecond": "75"},
            {"pool": "gpu", "seconds": 20, "p50PerSecond": "60", "upperPerSecond": "80"},
        ],
        "decisions": [
            {
                "time": "2023-11-14T22:13:20Z",
                "state": "Tracking",
                "replicas": {"cpu": 2, "gpu": 0},
                "weights": {"cpu": 1000, "gpu": 0},
                "reason": "Steady",
                "message": "m",
            }
        ],
    }
    return {
        "metadata": {"namespace": "demo", "name": "ranker", "creationTimestamp": "2023-11-14T22:12:00Z"},
        "spec": {"objective": {"latency": {"threshold": "100ms"}}, "pools": pools},
        "status": status,
    }


def nodes(label: str | None) -> list[dict[str, object]]:
    return [{"metadata": {"labels": {"recmodel.dev/accelerator": label} if label else {}}}]


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
            "cpu": {"spec": {"replicas": 2}, "status": {"readyReplicas": 1}},
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


def test_a_replica_costs_from_when_it_is_asked_for() -> None:
    past = Past(demo.START)
    for second in (-2.0, 0.0, 1800.0, 3600.0):  # one hour: 2 cpu at 1.0 and 1 gpu at 1.6
        past.add(demo.snapshot(second))
    assert past.spent() == pytest.approx(3.6)


def test_the_cost_is_unknown_once_a_pools_replicas_were() -> None:
    past = Past(demo.START)
    whole = demo.snapshot(0.0)
    past.add(replace(whole, pools=(replace(whole.pools[0], desired=None), whole.pools[1])))
    past.add(demo.snapshot(10.0))
    assert past.spent() is None


RULES = HpaRules(
    capacity_per_replica=30.0, startup_seconds=20.0, start_replicas=2, min_replicas=1, max_replicas=6, cost_per_hour=1.0
)


def test_a_plain_hpa_adds_at_once_and_gets_the_pods_after_their_start() -> None:
    run = plain_hpa([100.0] * 60, RULES)
    assert run.desired[0] == 5, "2 x (100/60) / 0.7 = 4.8"
    assert (run.ready[19], run.ready[20]) == (2, 5)
    assert run.short_seconds([100.0] * 60) == 20
    assert run.cost()[-1] == pytest.approx(5 * 60 / 3600)


def test_a_plain_hpa_keeps_what_it_has_for_300_s_and_within_the_limits() -> None:
    run = plain_hpa([1000.0] * 60 + [10.0] * 400, RULES)
    assert run.desired[59] == 6
    assert run.desired[330] == 6, "the largest recommendation of the last 300 s holds"
    assert run.desired[-1] == 1


def test_a_plain_hpa_stays_while_the_load_is_unknown() -> None:
    assert set(plain_hpa([math.nan] * 60, RULES).desired) == {2}


def test_the_computed_hpa_needs_a_capacity_and_a_startup_time_that_were_found() -> None:
    seen = demo.snapshot(0.0)
    rules = hpa_rules(demo.MODEL, demo.DEVICES, [seen], {"cpu": 3})
    assert rules == HpaRules(25.0, 12.0, 3, 1, 6, 1.0)
    blind = replace(seen, pools=tuple(replace(pool, capacity_per_replica=None) for pool in seen.pools))
    assert hpa_rules(demo.MODEL, demo.DEVICES, [blind], {"cpu": 3}) is None
    assert hpa_rules(demo.MODEL, demo.DEVICES, [seen, blind], {"cpu": 3}) == rules, "the newest one that is known"


def test_gaps_keep_the_value_before() -> None:
    values = filled({1: 5.0, 4: 7.0})
    assert math.isnan(values[0])
    assert values[1:] == [5.0, 5.0, 5.0, 7.0]


def test_the_schedule_knows_its_flash_crowd(tmp_path: Path) -> None:
    path = tmp_path / "schedule.csv"
    path.write_text("seconds,rps,mark\n0,10,\n1,20,flash\n2,20,flash\n3,10,\n")
    schedule = read(path)
    assert (schedule.seconds, schedule.flash_start, schedule.flash_end) == (4, 1, 3)
    path.write_text("seconds,rps,mark\n")
    with pytest.raises(ValueError, match="no seconds"):
        read(path)


def test_the_view_says_what_is_emulated_and_fits_its_width() -> None:
    text = shown(render(demo.scene(), 120))
    assert max(map(len, text.splitlines())) <= 120
    for word in (
        "demo/ranker",
        "nvidia.com/gpu emulated",
        "2 / 2",
        " 600",
        "50–60 ms",
        "FLASH CROWD",
        "98.1 %",
        "a plain HPA, computed",
        "ForecastRise",
    ):
        assert word in text, f"{word} is missing in\n{text}"


def test_the_view_before_anything_is_known_shows_dashes() -> None:
    empty = replace(
        demo.scene(None),
        snapshot=judge(Reading(demo.START), subject(recmodel(), nodes("emulated")), questions("demo", "ranker")),
        clients=None,
        spent=None,
        hpa_spent=None,
        loads={},
        uppers={},
    )
    text = shown(render(empty, 100), 100)
    assert "waiting for the load generator" in text
    assert "– / –" in text
    assert "0/s" not in text.split("pool", 1)[1].split("within", 1)[0]


def test_one_line_for_where_there_is_no_terminal() -> None:
    line = compact(demo.scene())
    assert line.startswith(
        "[410/600 s] FLASH load 60/s (forecast up to 80/s)  cpu 2/2 w600 50–60ms  gpu (emulated) 1/1"
    )
    assert "HPA, computed 0.3500" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("bracket", "missed"),
    [
        (Bracket(0.1, 0.15), True),
        (Bracket(0.05, 0.1), False),
        (Bracket(0.075, 0.15), None),
        (Bracket(0.05, None), None),
        (None, None),
    ],
)
def test_an_objective_is_judged_only_where_the_bracket_decides_it(bracket: Bracket | None, missed: bool | None) -> None:
    assert words.missed(bracket, 0.1) is missed

"""The report of a past: its figures, its first line, and a page that shows whatever was read, and says what is not known."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from builders.weekly_past import BEGIN, one_pool, week
from recmodel.api.time_zone import calendar
from recmodel.lab.weekly import words
from recmodel.lab.weekly.bottleneck import by_hour_of_day, limiting
from recmodel.lab.weekly.charts import Chart, Series, charts
from recmodel.lab.weekly.clock import Clock
from recmodel.lab.weekly.figures import report_of
from recmodel.lab.weekly.latencies import percentiles, together
from recmodel.lab.weekly.page import page
from recmodel.lab.weekly.svg import nice
from recmodel.lab.weekly.values import Day, Figures, Given, Limit, Report, Signs, Spent
from recmodel.prometheus.histogram import Bracket
from recmodel.prometheus.past import BY_PAGES, BY_STATE, Past, PoolPast
from recmodel.prometheus.past_decisions import Decisions
from recmodel.prometheus.past_slots import PoolSlots, Slots
from recmodel.prometheus.past_use import CONTAINERS, LIMIT, PART_LIMIT, POD_PROCESSES, PROCESSES, REQUEST
from recmodel.prometheus.slot_questions import Latencies

NAN = math.nan


@pytest.fixture(scope="module")
def report() -> Report:
    return report_of(week())


def test_the_first_line_says_it_all(report: Report) -> None:
    assert report.first_line == (
        "p95 was 75 to 100 ms in the busiest hour (19:00), 1 of 168 hours was over the objective. ranker-cpu is the bottleneck from "
        "14:00 to 17:00; ranker-gpu is the bottleneck from 19:00 to 21:00. 789.60 was spent, 57 % of it at under half load."
    )


def test_the_figures_are_those_of_the_past(report: Report) -> None:
    given = week()
    at_noon = slice(12 * 60, 13 * 60)
    load = sum(float(pool.per_second[at_noon].mean()) for pool in given.past.pools)
    assert report.hours[12].load_per_second == pytest.approx(load)
    assert report.hours[12].percentile == Bracket(0.025, 0.05)
    assert report.pools["ranker-cpu"][12].replicas == 4.0
    assert report.pools["ranker-cpu"][12].gpu_ratio is None
    spent = 7 * 24 * 2 * 1.9 + 7 * (18 * 4 + 6 * 6) * 0.2
    assert report.spent is not None
    assert report.spent.total == pytest.approx(spent)
    assert report.spent.hours[18] == pytest.approx(6 * 0.2 + 2 * 1.9)
    assert report.budget is not None
    assert report.budget.allowed == pytest.approx(50.4)
    assert report.budget.over.lower == report.budget.over.upper > 0
    assert [day.hours[19] for day in report.days] == ["within", "over", *["within"] * 5]
    assert report.days[0].name == "Mon 5 Jan"


def test_hours_are_those_of_the_owners_clocks() -> None:
    hours = report_of(replace(week(3), calendar=calendar("Asia/Kolkata"), zone="Asia/Kolkata"))
    assert "1 of 73 hours" not in hours.first_line, "half an hour lies in the hour that the clock shows"
    assert max(range(24), key=lambda hour: hours.hours[hour].load_per_second or 0.0) == 1
    assert hours.span == "2026-01-05 05:30 to 2026-01-08 05:30 (Asia/Kolkata)"


def test_minutes_that_are_not_known_count_nowhere() -> None:
    given = one_pool(week(2))
    (pool,) = given.past.pools
    gone = slice(1440, 2880)
    arrays = {name: getattr(pool, name).copy() for name in ("per_second", "late_low", "late_high", "running", "ready")}
    for values in arrays.values():
        values[gone] = NAN
    report = report_of(replace(given, past=replace(given.past, pools=(replace(pool, **arrays),))))
    whole = report_of(one_pool(week(1)))
    assert report.hours[19].load_per_second == pytest.approx(whole.hours[19].load_per_second)
    assert report.spent is not None
    assert whole.spent is not None
    assert report.spent.total == pytest.approx(whole.spent.total)
    assert " of 24 hours " in report.first_line
    assert any(note.startswith("Of 2880 minutes 1440 are not known") for note in report.notes)


def test_the_mean_latency_of_all_pools_is_not_known_where_one_with_requests_has_no_sum() -> None:
    half, none = np.array([3.0, 3.0, 3.0]), np.array([NAN, NAN, NAN])
    one = Latencies({0.1: 50.0 + 0.0 * half, math.inf: 60.0 + 0.0 * half}, half)
    other = Latencies({0.1: np.array([40.0, 0.0, NAN]), math.inf: np.array([40.0, 0.0, NAN])}, none)
    both = together([one, other])
    np.testing.assert_array_equal(both.spent, [NAN, 3.0, 3.0])
    np.testing.assert_array_equal(both.buckets[math.inf], [100.0, 60.0, 60.0])


def test_a_histogram_of_which_a_part_is_missing_makes_no_request_late() -> None:
    """Of a pool that got another layout between two slots: 100 requests of which nothing is known are not above 100 ms."""
    whole = Latencies({0.1: np.array([50.0, 50.0]), math.inf: np.array([50.0, 50.0])}, np.full(2, NAN))
    part = Latencies({0.1: np.array([NAN, 100.0]), math.inf: np.array([100.0, 100.0])}, np.full(2, NAN))
    both = together([whole, part])
    np.testing.assert_array_equal(both.buckets[0.1], [NAN, 150.0])
    assert percentiles(both, np.array([0, 1]), 2, 0.95) == [None, Bracket(0.0, 0.1)]


def test_slots_of_another_layout_are_said_not_to_be_in_the_percentile() -> None:
    given = one_pool(week(2))
    (pool,) = given.slots.pools
    buckets = {edge: values.copy() for edge, values in pool.latencies.buckets.items()}
    buckets[0.1][:288] = NAN  # on the first day
    changed = replace(pool, latencies=replace(pool.latencies, buckets=buckets))
    report = report_of(replace(given, slots=replace(given.slots, pools=(changed,))))
    assert (
        "For 50 % of the time with requests the histogram lacks edges that it has now, so p95 is that of the rest alone"
        in report.notes
    )
    assert not any("lacks edges" in note for note in report_of(given).notes)


def test_a_kind_of_which_there_were_no_requests_yet_had_none() -> None:
    given = week(2)
    half = {edge: values.copy() for edge, values in given.slots.kinds["search"].buckets.items()}
    for values in half.values():
        values[:288] = NAN  # it is new since the second day
    kinds = {"home": given.slots.kinds["home"], "search": replace(given.slots.kinds["search"], buckets=half)}
    report = report_of(replace(given, slots=replace(given.slots, kinds=kinds)))
    of_one_day = float(half[math.inf][288:].sum())
    assert report.kind_whole["search"].load_per_second == pytest.approx(of_one_day / 576)


def test_as_many_late_requests_as_may_be_are_no_bottleneck() -> None:
    found, _, _ = limiting([Signs(np.array([10 / 100]), {})], 1.0 - 0.9)
    assert found.tolist() == [-1]


def test_what_is_not_known_of_the_load_is_not_the_rest_of_the_cost() -> None:
    given = one_pool(week(2))
    (pool,) = given.past.pools
    load = pool.per_second.copy()
    at_three, at_four = (np.arange(2880) // 60 % 24 == hour for hour in (3, 4))
    load[at_three] = NAN  # on both days
    load[at_four & (np.arange(2880) < 1440)] = NAN  # on one
    report = report_of(replace(given, past=replace(given.past, pools=(replace(pool, per_second=load),))))
    half, rest, unknown = next(chart for chart in charts(report) if chart.title == "Cost").series
    assert (half.values[3], rest.values[3], unknown.values[3]) == (None, None, 4.0)
    assert (half.values[4], rest.values[4], unknown.values[4]) == (4.0, 0.0, None)
    assert unknown.name == "load not known"
    assert [series.name for series in next(c for c in charts(report_of(week())) if c.title == "Cost").series] == [
        "at under half load",
        "the rest",
    ]


def test_nothing_is_said_of_money_that_is_not_known() -> None:
    unpriced = replace(week(1), prices={}, decisions=None)
    report = report_of(unpriced)
    assert report.spent is None
    assert report.first_line.endswith("What was spent is not known.")
    by_operator = report_of(replace(week(1), prices={}, decisions=Decisions("ranker", np.full(288, 4.5))))
    assert by_operator.spent is not None
    assert (by_operator.spent.total, by_operator.spent.half_ratio) == (pytest.approx(24 * 4.5), None)
    assert "24 of 24" not in by_operator.first_line


def test_money_of_some_hours_is_not_said_of_all() -> None:
    cost = np.full(7 * 288, NAN)
    cost[-2 * 288 :] = 4.5  # the operator is there for two days
    report = report_of(replace(week(), prices={}, decisions=Decisions("ranker", cost)))
    assert report.first_line.endswith(" 216.00 was spent in the 48 of 168 hours that are known.")
    assert "spent in the 48 of 168 hours that are known</span>" in page(report)


@pytest.mark.parametrize(
    ("case", "counted_by", "loaded", "said"),
    [
        ("it did not exist", BY_STATE, False, f"{4 * 24 * 0.9 + 3 * 24 * 4.7:.2f} was spent, "),
        ("its pages may not have been read", BY_PAGES, False, f"{3 * 24 * 4.7:.2f} was spent in the 72 of 168 hours that are known, "),
        ("it served, so it existed", BY_STATE, True, f"{3 * 24 * 4.7:.2f} was spent in the 72 of 168 hours that are known, "),
    ],
)  # fmt: skip
def test_a_pool_costs_nothing_before_it_exists(case: str, counted_by: str, loaded: bool, said: str) -> None:
    given = week()
    cpu, gpu = given.past.pools
    new = replace(gpu, running=gpu.running.copy(), ready=gpu.ready.copy(), per_second=gpu.per_second.copy())
    for values in (new.running, new.ready) if loaded else (new.running, new.ready, new.per_second):
        values[: 4 * 1440] = NAN
    past = replace(given.past, pools=(cpu, new), counted_by=counted_by)
    report = report_of(replace(given, past=past))
    assert said in report.first_line, case
    assert any(note.startswith("Of 10080 minutes 5760 are not known") for note in report.notes) == ("known" in said)


def test_a_replica_that_was_never_loaded_to_its_limit_is_at_under_half_load_at_least_so_often() -> None:
    given = one_pool(week(2))
    (pool,) = given.past.pools
    calm = replace(pool, per_second=pool.per_second / 3.0, late_low=0.0 * pool.late_low, late_high=0.0 * pool.late_high)
    report = report_of(replace(given, past=replace(given.past, pools=(calm,))))
    assert re.search(r"replica-hours ran, at least \d+ % of it at under half load\.$", report.first_line)
    assert report.carries["ranker-cpu"].startswith("at least ")


SPENT = Spent(412.3, 168.0, 168.0, "money", "", (None,) * 24, (None,) * 24, (None,) * 24, 0.61, False)
BUSY = Figures(80.0, 90.0, 0.04, Bracket(0.05, 0.1), Bracket(0.0, 0.0))
BEGUN = replace(BUSY, load_per_second=99.0, percentile=None)
IDLE = Figures(0.0, 0.0, None, None, None)


@pytest.mark.parametrize(
    ("hours", "days", "limits", "judged", "spent", "said"),
    [
        (
            [IDLE] * 19 + [BUSY, BEGUN] + [IDLE] * 3, ("over", "within", ""), {18: "cpu", 19: "cpu"}, 7, SPENT,
            "p95 was 50 to 100 ms in the busiest hour (19:00), 1 of 2 hours was over the objective. cpu is the bottleneck from 18:00 to "
            "20:00. 412.30 was spent, 61 % of it at under half load.",
        ),
        (
            [replace(BUSY, percentile=Bracket(1.0, math.inf))] * 24, ("perhaps", "over"), {23: "cpu", 0: "cpu", 5: "gpu"}, 7, None,
            "p95 was over 1 s in the busiest hour (00:00), 1 to 2 of 2 hours were over the objective. cpu is the bottleneck from 23:00 to "
            "01:00; gpu is the bottleneck from 05:00 to 06:00. What was spent is not known.",
        ),
        (
            [IDLE] * 24, ("", ""), {}, 0, replace(SPENT, of="replica-hours", half_ratio=None),
            "p95 was not known, as no request was counted, of no hour is it known whether it was over the objective. Which pool is the "
            "bottleneck is not known. 412.3 replica-hours ran.",
        ),
        (
            [replace(BUSY, percentile=Bracket(0.0, 0.01))] * 24, ("within",), dict.fromkeys(range(24), "cpu"), 7,
            replace(SPENT, half_at_least=True, known_hours=48.0),
            "p95 was at most 10 ms in the busiest hour (00:00), 0 of 1 hours were over the objective. cpu is the bottleneck all day. "
            "412.30 was spent in the 48 of 168 hours that are known, at least 61 % of it at under half load.",
        ),
    ],
)  # fmt: skip
def test_the_first_line_in_words(
    hours: list[Figures], days: tuple[str, ...], limits: dict[int, str], judged: int, spent: Spent | None, said: str
) -> None:
    usual = [Limit(limits[hour], 5, 7, "CPU") if hour in limits else None for hour in range(24)]
    assert words.first_line("p95", hours, [Day("Mon", days)], usual, [judged] * 24, spent) == said


def signs(late: float, cpu: float = NAN, gpu: float = NAN) -> Signs:
    return Signs(np.array([late]), {"CPU": np.array([cpu]), "GPU": np.array([gpu])})


@pytest.mark.parametrize(
    ("case", "pools", "which", "sign", "judged"),
    [
        ("the busier one", [signs(0.0, cpu=0.91), signs(0.0, gpu=0.85)], 0, "CPU", True),
        (
            "the late one, however busy the other is",
            [signs(0.0, cpu=0.99), signs(0.06, gpu=0.3)],
            1,
            "late requests",
            True,
        ),
        ("none is busy", [signs(0.0, cpu=0.79), signs(0.01, gpu=0.4)], -1, "", True),
        ("late, and busy", [signs(0.2, gpu=0.97)], 0, "GPU", True),
        ("lateness alone is known", [signs(0.01)], -1, "", True),
        ("nothing is known", [signs(NAN)], -1, "", False),
    ],
)
def test_the_bottleneck_of_an_hour(case: str, pools: list[Signs], which: int, sign: str, judged: bool) -> None:
    found, said, known = limiting(pools, 0.05)
    assert (found.tolist(), said, known.tolist()) == ([which], [sign], [judged]), case


def test_a_pool_is_the_bottleneck_of_an_hour_of_the_day_that_it_is_on_half_of_the_known_days() -> None:
    hours = np.array([18, 19, 18, 19, 18, 19])
    usual, times, of = by_hour_of_day(
        ["cpu", "gpu"], np.array([0, 1, 0, -1, 1, -1]), ["CPU", "GPU", "CPU", "", "GPU", ""], np.array([True] * 5 + [False]), hours
    )  # fmt: skip
    assert usual[18] == Limit("cpu", 2, 3, "CPU")
    assert usual[19] == Limit("gpu", 1, 2, "GPU")
    assert (times["cpu"][18], times["gpu"][18], of[18], of[19], usual[20]) == (2, 1, 3, 2, None)


def test_an_hour_that_the_clocks_show_twice_is_one() -> None:
    back = 1_792_890_000.0  # 25 Oct 2026, 01:00 UTC: 03:00 becomes 02:00 in Berlin
    clock = Clock.of(back + 3600.0 * np.arange(-2, 3), calendar("Europe/Berlin"))
    assert clock.places(back + 3600.0 * np.arange(-2, 3)).tolist() == [0, 1, 1, 2, 3]
    assert clock.hours_of_day.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("case", "zone", "begin", "said"),
    [
        ("back", "Europe/Berlin", 1_792_800_000.0, "On Sun 25 Oct 02:00 to 03:00 TWICE"),
        ("on", "Europe/Berlin", 1_774_656_000.0, "On Sun 29 Mar there is no 02:00 to 03:00."),
        ("back by half an hour", "Australia/Lord_Howe", 1_775_299_980.0, "On Sun 5 Apr 01:30 to 02:00 TWICE"),
        ("back over midnight", "America/Scoresbysund", 1_792_800_000.0, "On Sat 24 Oct 23:00 to 00:00 TWICE"),
        ("no change", "Asia/Kolkata", 1_792_800_000.0, ""),
    ],
)  # fmt: skip
def test_a_change_of_the_clocks_within_the_range_is_said(case: str, zone: str, begin: float, said: str) -> None:
    given = week(2)
    moved = begin - float(given.past.seconds[0])
    past = replace(given.past, seconds=given.past.seconds + moved)
    slots = replace(given.slots, seconds=given.slots.seconds + moved)
    found = report_of(replace(given, past=past, slots=slots, calendar=calendar(zone), zone=zone))
    said = said.replace("TWICE", "comes twice, and counts as one hour.")
    assert " ".join(found.clock_changes) == said, case
    assert f"Hours are those of {zone}.{f' {said}' if said else ''}</p>" in page(found)


def test_an_hour_that_no_clock_showed_is_none_that_is_not_known() -> None:
    given = week(2)
    moved = 1_774_656_000.0 - float(given.past.seconds[0])
    past = replace(given.past, seconds=given.past.seconds + moved)
    slots = replace(given.slots, seconds=given.slots.seconds + moved)
    report = report_of(replace(given, past=past, slots=slots, calendar=calendar("Europe/Berlin"), zone="Europe/Berlin"))
    day = next(day for day in report.days if day.name == "Sun 29 Mar")
    assert day.hours[1:4] == ("within", "gone", "within")
    assert " of 48 hours " in report.first_line
    assert "Sun 29 Mar, 02:00: no such hour" in page(report)


@pytest.mark.parametrize(
    ("bound", "used_by", "note"),
    [
        (LIMIT, CONTAINERS, ""),
        (LIMIT, PROCESSES, "ranker-cpu: CPU is that of the processes whose pages are read"),
        (LIMIT, POD_PROCESSES, "ranker-cpu: CPU is that of the processes whose pages are read"),
        (PART_LIMIT, CONTAINERS, "ranker-cpu: CPU is that of the containers with a limit, as others have none"),
        (REQUEST, CONTAINERS, "ranker-cpu: CPU is of what a replica requests, as it has no limit"),
    ],
)
def test_cpu_is_a_sign_of_a_bottleneck_where_a_limit_bounds_all_of_it(bound: str, used_by: str, note: str) -> None:
    given = one_pool(week())
    (pool,) = given.slots.pools
    busy = replace(pool, cpu_bound=bound, cpu_used_by=used_by, cpu_cores=0.95 * pool.cpu_bound_cores)
    slots = replace(given.slots, pools=(busy,))
    report = report_of(replace(given, slots=slots))
    signs_found = {limit.sign for limit in report.limits if limit}
    assert ("CPU" in signs_found) == (bound == LIMIT and used_by != POD_PROCESSES)
    assert any(one.startswith(note) for one in report.notes) if note else True


class Read(HTMLParser):
    """What a browser sees: elements, attributes, and whether all that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x00\ud800"


def test_a_hostile_name_is_text() -> None:
    given = week(1)
    renamed = tuple(replace(pool, name=HOSTILE + pool.name) for pool in given.past.pools)
    slots = replace(given.slots, pools=tuple(replace(pool, name=HOSTILE + pool.name) for pool in given.slots.pools))
    slots = replace(slots, kinds={HOSTILE: slots.kinds["home"]})
    decided = Decisions(HOSTILE, np.full(288, 1.0), {HOSTILE: 3}, {HOSTILE: 4}, 0.5)
    hostile = replace(
        given, namespace=HOSTILE, past=replace(given.past, pools=renamed), slots=slots, decisions=decided, kinds_by=HOSTILE,
        zone=HOSTILE, notes=(HOSTILE,), prices={pool.name: 1.0 for pool in renamed},
    )  # fmt: skip
    text = page(report_of(hostile))
    plain = page(report_of(week(1)))
    mine, theirs = read(text), read(plain)
    assert mine.tags <= theirs.tags | {"ul", "li"}
    assert mine.names == theirs.names
    assert "".join(mine.text).count("<script>alert(1)</script>") > 10
    text.encode()


def test_the_page_needs_nothing_outside_of_it_and_runs_nothing(report: Report) -> None:
    text = page(report)
    found = read(text)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "a", "base"}
    assert not found.names & {"src", "href", "onload", "action"}
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "@import" not in text
    assert "url(" not in text


def test_each_chart_has_a_table_of_its_figures(report: Report) -> None:
    text = page(report)
    drawn = [chart for chart in charts(report) if chart.known]
    assert text.count('<svg viewBox="0 0 360 ') == len(drawn) + 1
    assert text.count('role="img"') == len(drawn) + 1
    for chart in drawn:
        assert f"<caption>{chart.title}, {chart.unit}</caption>" in text
    assert len(re.findall(r'<th scope="row">19:00</th>', text)) == len(drawn)


@pytest.mark.parametrize(
    ("value", "whole", "top"),
    [(84.0, False, 100.0), (0.013, False, 0.016), (100.0, False, 100.0), (3.0, True, 3.0), (7.0, True, 8.0)],
)
def test_the_axis_ends_at_a_round_number(value: float, whole: bool, top: float) -> None:
    assert nice(value, whole) == pytest.approx(top)


@pytest.mark.parametrize("value", [None, 0.0, 5e-324, math.inf])
def test_a_chart_of_nothing_has_an_axis(value: float | None) -> None:
    assert Chart("Load", "requests/s", (Series("mean", (value,) * 24),)).top == 1.0


# What a read past may hold: gaps, nothing at all, shares at both ends, and enormous numbers.
VALUES = st.one_of(st.just(NAN), st.just(0.0), st.floats(0.0, 1e6), st.just(1e12))
HUGE = st.one_of(VALUES, st.just(5e-324), st.just(1e300))  # of series that nobody has checked
SHARES = st.one_of(st.just(NAN), st.floats(0.0, 1.0))


@st.composite
def any_past(draw: st.DrawFn) -> Given:
    minutes = draw(st.integers(1, 200))
    slots = max(minutes // 5, 1)
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3, unique=True))

    def row(values: st.SearchStrategy[float], number: int) -> np.ndarray:
        """Few values, and which of them each minute has."""
        some = draw(st.lists(values, min_size=1, max_size=4))
        return np.array(some)[np.arange(number) * draw(st.integers(0, 3)) % len(some)]

    def latencies() -> Latencies:
        edges = draw(st.lists(st.sampled_from([0.01, 0.1, 1.0, math.inf]), max_size=4, unique=True))
        return Latencies({edge: row(HUGE, slots) for edge in edges}, row(HUGE, slots))

    pools = tuple(
        PoolPast(
            name,
            row(VALUES, minutes),
            *np.sort([row(SHARES, minutes), row(SHARES, minutes)], axis=0),
            row(st.sampled_from([NAN, 0.0, 1.0, 3.0]), minutes),
            row(st.sampled_from([NAN, 0.0, 1.0, 3.0]), minutes),
            draw(st.sampled_from([Bracket(0.1, 0.1), Bracket(0.0, math.inf), Bracket(0.05, 0.25)])),
        )
        for name in names
    )
    used = tuple(
        PoolSlots(
            name,
            latencies(),
            row(HUGE, slots),
            row(HUGE, slots),
            draw(st.sampled_from(["", LIMIT, PART_LIMIT, REQUEST])),
            row(HUGE, slots),
            row(HUGE, slots),
        )
        for name in names
    )
    begin = BEGIN + 60.0 * draw(st.integers(0, 3000))
    past = Past(begin + 60.0 * np.arange(minutes), pools, 60.0, "kube-state-metrics", draw(st.booleans()))
    read_slots = Slots(
        begin + 300.0 * np.arange(slots), used, {k: latencies() for k in draw(st.lists(st.text(), max_size=2))}
    )
    decided = Decisions("m", row(HUGE, slots), {}, {}, draw(st.sampled_from([None, 0.0, 0.5])))
    return Given(
        draw(st.text(max_size=5)), past, read_slots, 0.95, 0.1, 0.005,
        dict.fromkeys(names, 1.5) if draw(st.booleans()) else {},
        decided if draw(st.booleans()) else None,
        calendar(draw(st.sampled_from(["UTC", "America/St_Johns"]))),
    )  # fmt: skip


@settings(max_examples=60, phases=[Phase.generate])
@given(any_past())
def test_any_past_gives_a_page(past: Given) -> None:
    text = page(report_of(past))
    read(text)
    text.encode()
    assert "nan" not in re.sub(
        r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", " ".join(re.findall(r'(?:x|y|height|width|points)="([^"]*)"', text))
    )

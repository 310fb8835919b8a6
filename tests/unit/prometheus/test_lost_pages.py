"""A gateway's pod that is not read: what the others count is a part of the load, unless they took over its requests."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from builders.envoy_page import NOW, SETTINGS, Canned, by_pool, cluster, page, view
from recmodel.prometheus import readings
from recmodel.prometheus.client import Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.lost_pages import MOST_PAGES, Loss, lost_pages, lost_queries, lost_query
from recmodel.prometheus.profile import PROFILE_NAMES, load_profile
from recmodel.prometheus.readings import ModelReading
from recmodel.prometheus.session import PrometheusError, PrometheusUnavailable

PROFILE = load_profile("envoy-gateway")
OTHER = {"job": "edge", "instance": "10.0.0.9:19001"}


def target(number: int) -> dict[str, str]:
    return {"job": "edge", "instance": f"10.0.0.{number}:19001"}


def gateway(
    lost: dict[int, Loss],
    *,
    read: int = 1,
    now: float = 100.0,
    before: float | None = 100.0,
    had: Iterable[int] = (0, 1),
    whose: Vector | PrometheusError | None = None,
) -> ModelReading:
    """A gateway of which some pages are lost, by their number: both pools had requests on each, ``had`` says which."""
    answers = page(
        requests=by_pool({0: now, 1: now}),
        answered=by_pool({0: now, 1: now}),
        failures=by_pool({0: 0.0, 1: 0.0}),
        moved=by_pool({0: now, 1: now}),
        lost=Vector(tuple((target(number), float(loss)) for number, loss in lost.items())),
    )
    if lost:
        pages = {(target(number)["job"], target(number)["instance"]): loss for number, loss in lost.items()}
        more = lost_queries(PROFILE, pages, 60.0)
        rows = tuple(({**cluster(pool), **target(number)}, 1.0) for pool in had for number in lost)
        answers |= {
            more.had: whose or Vector(rows),
            more.read: by_pool({0: float(read), 1: float(read)}),
            more.before: Vector(()) if before is None else by_pool({0: before, 1: before}),
        }
    return gather(Canned(answers), [view()], NOW, SETTINGS).models["demo/ranker"]


def test_while_every_page_is_read_one_question_is_enough() -> None:
    reading = gateway({})
    assert (reading.verdict, reading.reason) == ("Available", readings.METRICS_FOUND)
    assert reading.pools["cpu"].coverage_ratio is None


@pytest.mark.parametrize(
    ("case", "lost", "read", "now", "before"),
    [
        ("the scrape of one of two fails", {2: Loss.DOWN}, 1, 50.0, 100.0),
        ("it has failed for hours", {2: Loss.DOWN}, 1, 50.0, 50.0),
        ("it fails, and the load rises", {2: Loss.DOWN}, 1, 100.0, 50.0),
        ("one of two is scraped no more", {2: Loss.LEFT}, 1, 50.0, 100.0),
        ("one of two is scraped no more since a moment ago", {2: Loss.LEAVING}, 1, 60.0, 100.0),
        ("one of three is scraped no more", {2: Loss.LEFT}, 2, 67.0, 100.0),
        ("one ended, and the scrape of another fails", {2: Loss.LEFT, 3: Loss.DOWN}, 1, 100.0, 100.0),
    ],
)
def test_the_requests_of_a_part_of_the_gateway_are_no_load(
    case: str, lost: dict[int, Loss], read: int, now: float, before: float
) -> None:
    reading = gateway(lost, read=read, now=now, before=before)
    assert (reading.verdict, reading.reason) == ("Partial", readings.PODS_MISSING), case
    assert all(pool.rate_per_second is None and pool.latency is None for pool in reading.pools.values())
    assert reading.within is None
    assert "too few of the gateway's pods are read (cpu " in reading.message
    assert "10.0.0." in reading.message
    assert "let Prometheus scrape each pod" in reading.message


@pytest.mark.parametrize(
    ("case", "lost", "read", "now", "before"),
    [
        ("one of two ended", {2: Loss.LEFT}, 1, 100.0, 100.0),
        ("all three were replaced", {2: Loss.LEFT, 3: Loss.LEFT, 4: Loss.LEFT}, 3, 98.0, 100.0),
        ("one of ten ended while the load falls a little", {2: Loss.LEFT}, 9, 96.0, 100.0),
        ("one ended and the load doubles", {2: Loss.LEFT}, 1, 200.0, 100.0),
    ],
)
def test_pods_of_the_gateway_that_ended_are_not_missing(
    case: str, lost: dict[int, Loss], read: int, now: float, before: float
) -> None:
    reading = gateway(lost, read=read, now=now, before=before)
    assert (reading.verdict, reading.reason) == ("Available", readings.METRICS_FOUND), case
    assert reading.pools["cpu"].rate_per_second == now
    assert reading.pools["cpu"].share_is_known, case
    assert "nothing is released" not in reading.message


@pytest.mark.parametrize(
    ("case", "lost", "read", "before"),
    [
        ("within the rate window nobody can tell", {2: Loss.LEAVING}, 1, 100.0),
        ("a pool that was not there before", {2: Loss.LEFT}, 1, None),
        ("one of ten", {2: Loss.DOWN}, 9, 100.0),
    ],
)
def test_while_it_is_in_doubt_pools_may_grow_and_are_not_made_smaller(
    case: str, lost: dict[int, Loss], read: int, before: float | None
) -> None:
    reading = gateway(lost, read=read, before=before)
    assert reading.verdict == "Available", case
    assert reading.pools["cpu"].rate_per_second == 100.0
    assert reading.pools["cpu"].coverage_ratio is not None
    assert reading.pools["cpu"].coverage_ratio < 1.0
    assert not reading.pools["cpu"].share_is_known, "enough in time is no reason to release"
    assert "10.0.0.2:19001" in reading.message
    assert reading.message.endswith("until then nothing is released")


def test_the_page_of_another_gateway_concerns_only_the_pools_it_had() -> None:
    nobody = gateway({2: Loss.DOWN}, had=())
    assert (nobody.verdict, nobody.reason) == ("Available", readings.METRICS_FOUND)
    one = gateway({2: Loss.DOWN}, had=(1,))
    assert (one.verdict, one.reason) == ("Partial", readings.PODS_MISSING)
    assert one.pools["cpu"].rate_per_second == 100.0
    assert one.pools["gpu"].rate_per_second is None


def test_nothing_is_known_while_it_is_not_known_whose_page_is_lost() -> None:
    reading = gateway({2: Loss.DOWN}, whose=PrometheusUnavailable("too late"))
    assert (reading.verdict, reading.reason) == ("Missing", readings.PROMETHEUS_UNAVAILABLE)
    reading = gateway({2: Loss.DOWN}, whose=Vector((), partial=True))
    assert (reading.verdict, reading.reason) == ("Partial", readings.PARTIAL_ANSWER)


def test_what_is_asked_about_lost_pages_is_bounded() -> None:
    rows = tuple((target(number), float(Loss.LEFT if number % 2 else Loss.DOWN)) for number in range(1000))
    pages = lost_pages(Vector((*rows, (OTHER, 7.0), ({}, 1.0))))
    assert len(pages) == MOST_PAGES
    assert set(pages.values()) == {Loss.DOWN}, "those that fail come first"
    assert len(lost_queries(PROFILE, pages, 60.0).new()) == 3


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_only_a_gateway_with_a_series_on_every_page_can_tell(name: str) -> None:
    assert (lost_query(load_profile(name), 60.0) is not None) is (name == "envoy-gateway")

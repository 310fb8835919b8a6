"""What ``recmodel doctor`` says of scrapes and of the edges of a RecModel's own histograms."""

from __future__ import annotations

import pytest

from builders.good_spec import changed
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.prometheus.profile import Profile, load_profile
from recmodel.report import metric_checks

GATEWAY, SERVER = load_profile("envoy-gateway"), load_profile("mlserver")


@pytest.mark.parametrize(
    ("seconds", "interval", "window", "level", "said"),
    [
        (5.0, 5.0, 20.0, "ok", "scraped every 5 s, rates over 20 s"),
        (5.9, 5.0, 20.0, "ok", "scraped every 5.9 s"),  # the last minute lacks a sample or two
        (15.0, 15.0, 60.0, "ok", "scraped every 15 s"),
        (0.5, 1.0, 60.0, "ok", "scraped every 0.5 s"),
        # Set to 30, the rate window is four of them by itself: one thing is wrong, and one is said.
        (30.0, 15.0, 60.0, "problem", "scraped every 30 s, and prometheus.scrapeIntervalSeconds is 15: set it to 30, or scrape more"),
        (30.0, 30.0, 120.0, "ok", "rates over 120 s"),
        (20.0, 15.0, 60.0, "problem", "a rate window of 60 s holds 3.0 scrapes of 20 s: set prometheus.rateWindowSeconds to 80"),
    ],
)  # fmt: skip
def test_scrapes_and_windows_that_do_not_fit(
    seconds: float, interval: float, window: float, level: str, said: str
) -> None:
    check = metric_checks.spacing(GATEWAY, seconds, interval, window)
    assert (check.level, said in check.message) == (level, True), check.message


@pytest.mark.parametrize(("profile", "where"), [(GATEWAY, "the gateway's pods"), (SERVER, "the pools' pods")])
def test_a_profile_without_series_is_to_be_scraped(profile: Profile, where: str) -> None:
    check = metric_checks.no_series(profile, 60.0, ["shop/feed", "shop/rank"])
    assert (
        check.level,
        check.message.endswith(f"for 60 s, which shop/feed, shop/rank need: let it scrape {where}"),
    ) == ("warning", True)


def spec(threshold: str, *pools: str) -> RecModelSpec:
    body = changed("spec/objective/latency/threshold", threshold)["spec"]
    (one,) = body["pools"]
    return RecModelSpec.model_validate({**body, "pools": [{**one, "name": name} for name in pools or ("cpu",)]})


@pytest.mark.parametrize(
    ("profile", "threshold", "les", "level", "said"),
    [
        (SERVER, "100ms", ["0.05", "0.1", "+Inf"], "ok", "pool cpu: there is an edge at 100ms"),
        (SERVER, "100ms", ["0.05", "nonsense", "0.1"], "ok", "there is an edge at 100ms"),
        (SERVER, "100ms", ["0.05", "0.25", "+Inf"], "warning",
         'pool cpu: objective.latency.threshold, 100ms, is between the edges 50ms and 250ms: the share of late requests is '
         'known only roughly; configure an edge there (le="0.1", in s), or take 50ms or 250ms as the threshold'),
        (SERVER, "5s", ["0.05", "0.25", "+Inf"], "warning", "above the highest edge, 250ms"),
        (SERVER, "5s", ["0.05", "0.25", "+Inf"], "warning", 'configure an edge there (le="5", in s), or take 250ms as the threshold'),
        (SERVER, "1ms", ["0.05", "0.25", "+Inf"], "warning", 'below the lowest edge, 50ms'),
        (GATEWAY, "170ms", ["150", "169", "+Inf"], "ok", "there is an edge at 170ms"),
        (GATEWAY, "170ms", ["150", "200", "+Inf"], "warning",
         'configure the edge le="169" (times are cut to whole ms, so it holds all under 170ms), or take 151ms (le="150") or '
         '201ms (le="200") as the threshold'),
        (GATEWAY, "20s", ["150", "5000.0", "+Inf"], "warning",
         'configure the edge le="19999" (times are cut to whole ms, so it holds all under 20s), or take 5.001s (le="5000") '
         'as the threshold'),
    ],
)  # fmt: skip
def test_an_edge_at_the_threshold(profile: Profile, threshold: str, les: list[str], level: str, said: str) -> None:
    (check,) = metric_checks.edges("shop/feed", spec(threshold), profile, {"cpu": dict.fromkeys(les, 2.0)})
    assert (check.level, said in check.message) == (level, True), check.message
    assert "infinity" not in check.message


def test_an_edge_that_not_all_histograms_of_a_pool_have_does_not_count() -> None:
    counts = {"49": 5.0, "99": 3.0, "150": 5.0, "+Inf": 5.0}
    (check,) = metric_checks.edges("shop/feed", spec("100ms"), GATEWAY, {"cpu": counts})
    assert check.level == "warning"
    assert "100ms, is an edge of only 3 of 5 histograms" in check.message
    assert 'configure the edge le="99"' in check.message
    assert 'or take 50ms (le="49") or 151ms (le="150") as the threshold' in check.message
    spelled = {"99": 3.0, "99.0": 2.0, "150": 5.0, "+Inf": 5.0}  # one edge, of servers that write it in two ways
    (check,) = metric_checks.edges("shop/feed", spec("100ms"), GATEWAY, {"cpu": spelled})
    assert check.level == "ok"


def test_pools_that_differ_are_told_apart_and_one_that_has_no_histogram_yet_is_left_out() -> None:
    good, bad = {"0.1": 1.0, "+Inf": 1.0}, {"0.25": 1.0, "+Inf": 1.0}
    found = metric_checks.edges(
        "shop/feed", spec("100ms", "a", "b", "c", "new"), SERVER, {"a": good, "b": bad, "c": good, "new": {}}
    )
    assert [(check.level, check.message.partition(":")[0]) for check in found] == [
        ("ok", "pools a, c"),
        ("warning", "pool b"),
    ]


def test_where_no_pool_has_a_histogram_it_is_not_known() -> None:
    (check,) = metric_checks.edges("shop/feed", spec("100ms"), SERVER, {})
    assert check.level == "warning"
    assert "Prometheus has no histogram of its pools (rest_server_request_duration_seconds_bucket)" in check.message
    assert "send a request" in check.message

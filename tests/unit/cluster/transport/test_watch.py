"""Following a kind: a new list when the place is lost, else on from where it was, and never hammering the server."""

from __future__ import annotations

import pytest

from builders.watched_server import Server, followed
from recmodel.cluster.transport import watch as watch_module
from recmodel.cluster.transport.errors import ApiUnavailable, Gone, NotFound
from recmodel.cluster.transport.watch import backoff_seconds


def test_a_watch_that_ends_goes_on_from_the_last_version_and_a_bookmark_moves_it() -> None:
    server = Server([("ADDED", "11"), ("BOOKMARK", "20")], [("DELETED", "21")])
    recorder, synced = followed(server)
    assert server.asked == ["list", "watch 10", "watch 20", "watch 21"]
    assert recorder.calls == ["replace 1", "ADDED 11", "DELETED 21"]
    assert synced


def test_a_broken_watch_goes_on_without_a_new_list() -> None:
    server = Server([("ADDED", "11")], ApiUnavailable("reset"), [("MODIFIED", "12")])
    recorder, _ = followed(server)
    assert server.asked == ["list", "watch 10", "watch 11", "watch 11", "watch 12"]
    assert recorder.calls[-1] == "MODIFIED 12"


def test_a_lost_place_means_a_new_list() -> None:
    server = Server(Gone("too old", 410))
    followed(server)
    assert server.asked == ["list", "watch 10", "list", "watch 10"]


def test_after_many_failures_in_a_row_it_lists_again() -> None:
    server = Server(*[ApiUnavailable("no")] * 6)
    followed(server, 60.0)
    assert server.asked == ["list", *["watch 10"] * 6, "list", "watch 10"]


def test_a_list_that_fails_is_tried_again_and_nothing_counts_as_known_before() -> None:
    recorder, synced = followed(Server(lists=[ApiUnavailable("no")] * 1000))
    assert (recorder.calls, synced) == ([], False)


def test_a_kind_that_the_cluster_lacks_does_not_keep_the_rest_from_starting() -> None:
    recorder, synced = followed(Server(lists=[NotFound("no such kind", 404)]))
    assert (recorder.calls, synced) == ([], True)


def test_a_server_that_ends_each_watch_at_once_is_not_hammered() -> None:
    server = Server(*[[] for _ in range(1000)])
    followed(server, 20.0)
    assert len(server.asked) < 25


def test_the_backoff_grows_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module.random, "uniform", lambda low, high: high)
    assert [backoff_seconds(n) for n in (1, 2, 3, 6, 1000)] == [1.0, 2.0, 4.0, 20.0, 20.0]

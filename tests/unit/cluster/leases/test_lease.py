"""The Lease: taken when free, kept while renewed, lost in time, taken over when its holder dies, given back at the end."""

from __future__ import annotations

import asyncio

import pytest

from builders import virtual_time
from builders.leases import Leases
from recmodel.cluster.leases.lease import (
    ACT_SECONDS,
    LEASE_SECONDS,
    LONGEST_LEASE_SECONDS,
    RENEW_SECONDS,
    Lease,
    LeaseIdentity,
)

PLACE = "here/recmodel"


class Story:
    """Some operators, one API server, one clock."""

    def __init__(self, *names: str) -> None:
        self.api, self.now = Leases(), 1000.0
        self.told: list[tuple[str, bool]] = []
        self.of = {name: self.operator(name) for name in names}

    def operator(self, name: str) -> Lease:
        def changed(held: bool) -> None:
            self.told.append((name, held))

        return Lease(self.api, LeaseIdentity("here", "recmodel", name), changed, lambda: self.now)  # type: ignore[arg-type]

    def turns(self, seconds: float, *names: str) -> None:
        """These look every RENEW_SECONDS; never do two act at once."""
        end = self.now + seconds
        while self.now < end:
            for name in names:
                asyncio.run(self.of[name].turn())
                assert sum(lease.held for lease in self.of.values()) <= 1
            self.now += RENEW_SECONDS / 4
            assert sum(lease.held for lease in self.of.values()) <= 1
            self.now += RENEW_SECONDS * 3 / 4


def test_the_first_one_acts_and_the_second_one_stands_by() -> None:
    story = Story("a", "b")
    story.turns(120.0, "a", "b")
    assert story.told == [("a", True)]
    assert story.api.holder(PLACE) == "a"


def test_a_holder_that_dies_is_followed_within_fifteen_seconds() -> None:
    story = Story("a", "b")
    story.turns(10.0, "a", "b")
    died = story.now
    while not story.of["b"].held:
        story.turns(RENEW_SECONDS, "b")
    assert story.now - died <= 15.0
    assert story.api.stored[PLACE]["spec"]["leaseTransitions"] == 2


def test_a_lease_that_somebody_wrote_for_years_runs_out_all_the_same() -> None:
    """A claim lies in a tenant's namespace, and one in ``default``: neither may stop the operator by its numbers."""
    story = Story("a")
    metadata = {"name": "recmodel", "namespace": "here", "resourceVersion": "1"}
    spec = {
        "holderIdentity": "x",
        "leaseDurationSeconds": 2**31 - 1,
        "leaseTransitions": 2**31 - 1,
        "renewTime": "2099",
    }
    story.api.stored[PLACE] = {"metadata": metadata, "spec": spec}
    story.turns(LONGEST_LEASE_SECONDS - 10.0, "a")
    assert not story.of["a"].held
    story.turns(20.0, "a")
    assert story.of["a"].held
    assert story.api.stored[PLACE]["spec"]["leaseTransitions"] == 2**31 - 1


def test_one_that_comes_back_under_its_name_goes_on_at_once() -> None:
    story = Story("a")
    story.turns(4.0, "a")
    story.of["a"] = story.operator("a")
    asyncio.run(story.of["a"].turn())
    assert story.of["a"].held


def test_one_that_is_given_back_is_taken_at_once() -> None:
    story = Story("a", "b")
    story.turns(6.0, "a", "b")
    asyncio.run(story.of["a"].release())
    assert not story.of["a"].held
    assert story.api.holder(PLACE) == ""
    asyncio.run(story.of["b"].turn())
    assert story.of["b"].held
    asyncio.run(story.of["a"].turn())
    assert story.api.holder(PLACE) == "b"


def test_who_cannot_renew_stops_before_another_one_may_begin() -> None:
    story = Story("a", "b")
    story.turns(6.0, "a", "b")
    story.api.down = True
    story.turns(ACT_SECONDS + RENEW_SECONDS, "a", "b")
    assert story.told == [("a", True), ("a", False)]
    story.api.down = False
    story.turns(30.0, "b", "a")
    assert story.told[2:] == [("b", True)]


def test_a_process_that_was_asleep_does_not_act_when_it_wakes() -> None:
    story = Story("a", "b")
    story.turns(6.0, "a", "b")
    story.turns(LEASE_SECONDS + 4.0, "b")  # meanwhile "a" does nothing, and looks at nothing
    assert story.of["b"].held
    assert not story.of["a"].held


@pytest.mark.parametrize("ahead_seconds", [-3600.0, 3600.0])
def test_clocks_of_two_machines_need_not_agree(ahead_seconds: float) -> None:
    story = Story("b")
    body = {"metadata": {"name": "recmodel", "namespace": "here"}}
    asyncio.run(story.api.create_lease(body | {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 10}}))
    for i in range(30):
        story.api.stored[PLACE]["spec"]["renewTime"] = f"{story.now + ahead_seconds + i}"
        story.turns(2.0, "b")
    assert story.told == []
    story.turns(14.0, "b")
    assert story.told == [("b", True)]


def test_two_that_begin_at_once_do_not_both_get_it() -> None:
    story = Story("a", "b")

    async def both() -> None:
        await asyncio.gather(story.of["a"].turn(), story.of["b"].turn())

    asyncio.run(both())
    assert sum(lease.held for lease in story.of.values()) == 1


def test_why_the_release_cannot_renew_its_lease_is_logged_once_for_each_problem(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        story = Story("a")
        work = asyncio.create_task(story.of["a"].run())
        await asyncio.sleep(3 * RENEW_SECONDS)
        story.api.refuses["here"] = 403, "no update of leases"
        await asyncio.sleep(10 * RENEW_SECONDS)
        story.api.down = True
        await asyncio.sleep(10 * RENEW_SECONDS)
        work.cancel()
        await asyncio.wait([work])

    virtual_time.run(run())
    first, second = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert first.startswith(f"the lease {PLACE} cannot be renewed:")
    assert first.endswith("HTTP 403: no update of leases")
    assert second == f"the lease {PLACE} cannot be renewed: down"

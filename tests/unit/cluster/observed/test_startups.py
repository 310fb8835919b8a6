"""Start-up times: from pods that were seen becoming Ready for the first time, the cluster's part and the pool's apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.fake_cluster import OWNER, pool, spec
from builders.operator_stage import recmodel
from recmodel.cluster import names
from recmodel.cluster.observed.inventory import Inventory
from recmodel.controller.recalled import Recalled, recall
from recmodel.controller.tracked import Tracked
from recmodel.controller.views import observation, pool_state
from recmodel.report.snapshot import Desired

KEY = "shop/feed"


def at(seconds: float) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Pod:
    """A pod that is created at 0, and what a watch tells of it."""

    def __init__(self, inventory: Inventory, name: str = "a") -> None:
        self.inventory, self.name, self.version = inventory, name, 0
        self.conditions: dict[str, dict[str, Any]] = {}
        self.status: dict[str, Any] = {}

    def tell(self, change: str = "MODIFIED") -> Pod:
        self.version += 1
        metadata = {
            "namespace": "shop", "name": self.name, "uid": f"uid-{self.name}", "resourceVersion": str(self.version),
            "creationTimestamp": at(0), "labels": {names.MODEL_LABEL: "feed", names.POOL_LABEL: "cpu"},
        }  # fmt: skip
        status = {**self.status, "conditions": list(self.conditions.values())}
        self.inventory.see(names.POD, change, {"metadata": metadata, "status": status})
        return self

    def scheduled(self, seconds: float, begins: float | None = None) -> Pod:
        """On a node; the kubelet's own clock says ``begins``."""
        self.conditions["PodScheduled"] = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(seconds)}
        self.status["startTime"] = at(seconds if begins is None else begins)
        self.ready(False, seconds if begins is None else begins)
        self.status["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
        return self

    def ready(self, ready: bool, seconds: float, restarts: int = 0) -> Pod:
        self.conditions["Ready"] = {"type": "Ready", "status": str(ready), "lastTransitionTime": at(seconds)}
        self.status["containerStatuses"] = [{"name": "server", "restartCount": restarts, "state": {"running": {}}}]
        return self


def parts(inventory: Inventory) -> tuple[float | None, float | None]:
    state = inventory.pool(KEY, "cpu")
    return state.scheduling_seconds, state.starting_seconds


def test_a_pod_teaches_once_when_it_becomes_ready_for_the_first_time() -> None:
    inventory = Inventory()
    pod = Pod(inventory).tell("ADDED").scheduled(3).tell()
    assert parts(inventory) == (None, None)
    pod.ready(True, 43).tell()
    assert parts(inventory) == (3.0, 40.0)
    assert inventory.pool(KEY, "cpu").startup_seconds == 43.0
    for blip in (1_000, 260_000):  # three days later
        pod.ready(False, blip).tell().ready(True, blip + 10).tell()
    assert parts(inventory) == (3.0, 40.0)
    pod.tell("DELETED")
    assert parts(inventory) == (3.0, 40.0)
    inventory.forget(KEY)
    assert parts(inventory) == (None, None)


@pytest.mark.parametrize("first", ["ready", "in a blip", "its container waits to run again"])
def test_a_pod_that_was_there_when_the_operator_began_teaches_nothing(first: str) -> None:
    inventory = Inventory()
    pod = Pod(inventory).scheduled(3).ready(True, 43)
    if first != "ready":
        pod.ready(False, 259_200)
    if first == "its container waits to run again":
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        pod.status["containerStatuses"][0] |= {"state": waiting, "lastState": {"terminated": {"exitCode": 1}}}
    pod.tell().ready(True, 259_210).tell()
    assert parts(inventory) == (None, None)
    pod.ready(False, 260_000)
    pod.status["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}  # whatever it says later
    pod.tell().ready(True, 260_010).tell()
    assert parts(inventory) == (None, None)


def test_a_pod_that_was_listed_before_its_container_had_started_teaches() -> None:
    inventory = Inventory()
    Pod(inventory).scheduled(3).tell().ready(True, 43).tell()
    assert parts(inventory) == (3.0, 40.0)


ODD = {
    "a node that is free after hours": (7_200.0, None, 7_240.0, 0, (None, 40.0)),
    "a node with a clock an hour ahead": (3.0, 3_603.0, 3_643.0, 0, (3.0, 40.0)),
    "a node with a clock an hour behind": (3_603.0, 3.0, 43.0, 0, (None, 40.0)),
    "a clock that was set back while it started": (3.0, 3_603.0, 43.0, 0, (3.0, None)),
    "an image that nobody could pull for hours": (3.0, None, 7_203.0, 0, (3.0, None)),
    "a container that ended and was restarted": (3.0, None, 43.0, 1, (None, None)),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_no_start_up_teaches_nothing(case: str) -> None:
    scheduled, begins, ready, restarts, expected = ODD[case]
    inventory = Inventory()
    Pod(inventory).tell("ADDED").scheduled(scheduled, begins).tell().ready(True, ready, restarts).tell()
    assert parts(inventory) == expected


def test_the_median_of_the_last_ten_counts() -> None:
    inventory = Inventory()
    for number in range(20):
        pod = Pod(inventory, f"p{number}").tell("ADDED").scheduled(2).tell()
        pod.ready(True, 2 + (500 if number < 10 else 40 + number % 3)).tell()
    assert parts(inventory) == (2.0, 41.0)


@pytest.mark.parametrize(
    ("written", "known"), [("45", 45.0), ("259200", None), ("-1", None), ("soon", None), ("nan", None), (None, None)]
)
def test_what_was_learned_survives_a_restart_by_the_status(written: str | None, known: float | None) -> None:
    pools = [{"name": "cpu", "desired": 1, "ready": 1, "weight": 1000, "startupSeconds": written}]
    recalled = recall({**recmodel(), "status": {"pools": pools}}, Recalled(), 0.0)
    tracked = Tracked(OWNER, Desired(spec=spec(pool("cpu"))), recalled=recalled)
    inventory = Inventory()

    def startup_seconds() -> float | None:
        states = {"cpu": pool_state(tracked, "cpu", inventory.pool(OWNER.key, "cpu"))}
        return observation(tracked, states, {"cpu": 1000}, 0.0).pools["cpu"].startup_seconds

    assert startup_seconds() == known
    Pod(inventory).tell("ADDED").scheduled(3).tell().ready(True, 13).tell()
    assert startup_seconds() == 13.0


def test_a_pod_warms_from_when_it_was_first_ready_unless_a_container_of_it_began_again() -> None:
    zero = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    inventory = Inventory(clock=lambda: zero + 150.0)

    def since() -> tuple[float, ...]:
        return tuple(time - zero for time in inventory.pool(KEY, "cpu").ready_since)

    pod = Pod(inventory).tell("ADDED").scheduled(3).tell()
    assert since() == ()
    pod.ready(True, 43).tell()
    assert since() == (43.0,)
    pod.ready(False, 50).tell()
    assert since() == (), "it is not ready"
    pod.ready(True, 60).tell()
    assert since() == (43.0,), "a probe that fails for a moment empties no cache"
    pod.ready(False, 70, restarts=1).tell().ready(True, 80, restarts=1).tell()
    assert since() == (80.0,)
    Pod(inventory, "b").ready(True, 100).tell("ADDED")
    assert since() == (100.0, 80.0)
    state = inventory.pool(KEY, "cpu")
    assert state.warming_for(zero + 130.0, 40.0) == (30.0,)
    assert state.warming_for(zero + 90.0, 40.0) == (0.0, 10.0), "the own clock was put back: it is as young as can be"
    assert state.warming_for(zero + 90.0, 0.0) == ()
    pod.conditions["Ready"].pop("lastTransitionTime")
    pod.tell()
    assert since() == (100.0, 80.0), "what was known stays"
    for moment in (3_700, 3_800):  # a node's clock is an hour ahead
        Pod(inventory, "c").ready(True, moment).tell("ADDED" if moment == 3_700 else "MODIFIED")
        assert since() == (150.0, 100.0, 80.0), "it is no younger than it was seen to be"


def test_how_long_a_node_takes_is_told_by_pods_that_no_node_took_at_first() -> None:
    """A wait without a word of the scheduler is its own queue; the longest counts, as a node may have been on its way already."""
    inventory = Inventory()

    def waits(name: str, seconds: float, reason: str | None) -> None:
        pod = Pod(inventory, name)
        if reason is not None:
            pod.conditions["PodScheduled"] = {"type": "PodScheduled", "status": "False", "reason": reason}
        pod.tell("ADDED").scheduled(seconds).tell().ready(True, seconds + 40).tell()

    for name, seconds, reason in (("a", 20, None), ("b", 300, "SchedulingGated")):
        waits(name, seconds, reason)
    state = inventory.pool(KEY, "cpu")
    assert (state.node_wait_seconds, state.node_startup_seconds) == (None, None)
    for name, seconds in (("c", 150), ("d", 90), ("e", 4000)):  # the last one was given up by the plan
        waits(name, seconds, "Unschedulable")
    state = inventory.pool(KEY, "cpu")
    assert (state.node_wait_seconds, state.node_startup_seconds) == (150.0, 190.0)
    for number in range(20):  # a node is there now: they tell of no other
        waits(f"more-{number}", 1, None)
    assert inventory.pool(KEY, "cpu").node_startup_seconds == 190.0
    seen = observation(Tracked(OWNER, Desired(spec=spec(pool("cpu")))), {"cpu": inventory.pool(KEY, "cpu")}, {}, 0.0)
    assert seen.pools["cpu"].node_startup_seconds == 190.0

"""What is said of nodes that are asked for ahead of need: in the status, in CapacityAvailable, by explain and by decide."""

from __future__ import annotations

import json
from dataclasses import replace

from builders.status_scene import STATE, decision, status, tracked
from recmodel.cluster.observed.node_buffers import NOT_TAKEN_UP, NodeBufferState
from recmodel.core.types import NodeBuffer, Reason
from recmodel.decide import show
from recmodel.report.explain import explain
from recmodel.report.node_buffers import buffers_say
from recmodel.report.status import as_object

SIZED = Reason("NodeBufferSized", "cpu: 8 wanted for at most 120.0/s within 280 s; 5 are decided: nodes for 3 more")
AHEAD = replace(decision(5), node_buffers={"cpu": NodeBuffer(3, 280.0, SIZED)})


def test_the_status_and_explain_say_how_many_what_stands_and_why() -> None:
    pools = {"cpu": replace(STATE, node_buffer=NodeBufferState(2))}
    found = status(tracked(decision=AHEAD), pools)
    assert as_object(found)["pools"][0]["nodeBuffer"] == {
        "replicas": 3, "standing": 2, "reason": "NodeBufferSized", "message": SIZED.message,
    }  # fmt: skip
    said = explain(json.dumps({"kind": "RecModel", "metadata": {"name": "feed"}, "status": as_object(found)}))
    line = f"    nodes ahead of need, in replicas: 3 (the CapacityBuffer has 2): NodeBufferSized: {SIZED.message}"
    assert line in said.splitlines()
    unknown = replace(AHEAD, node_buffers={"cpu": NodeBuffer(None, 280.0, SIZED)})
    found = status(tracked(decision=unknown), {"cpu": STATE})
    said = explain(json.dumps({"kind": "RecModel", "metadata": {"name": "feed"}, "status": as_object(found)}))
    assert "nodes ahead of need, in replicas: not known (no CapacityBuffer)" in said
    assert "nodeBuffer" not in as_object(status(tracked(decision=decision(5)), {"cpu": STATE}))["pools"][0]


def test_a_recorded_decision_has_them_only_where_a_pool_asks() -> None:
    assert "nodeBuffers" not in json.loads(show(decision(5)))
    line = show(AHEAD)
    assert json.loads(line)["nodeBuffers"] == {
        "cpu": {"replicas": 3, "seconds": 280.0, "reason": "NodeBufferSized", "message": SIZED.message}
    }
    assert (
        f"  nodes ahead of need for cpu, in replicas: 3: NodeBufferSized: {SIZED.message}" in explain(line).splitlines()
    )


def test_the_condition_says_why_there_is_none_and_what_the_autoscaler_says() -> None:
    nothing = NodeBufferState(problem="the cluster serves none")
    pools = {
        "cpu": replace(STATE, node_buffer=nothing),
        "gpu": replace(STATE, node_buffer=nothing),
        "edge": replace(STATE, node_buffer=NodeBufferState(2, (NOT_TAKEN_UP,))),
        "other": STATE,
    }
    assert buffers_say(pools) == [
        "nodeBuffer of pool cpu, gpu: the cluster serves none",
        f"node buffer of pool edge: {NOT_TAKEN_UP}",
    ]
    found = {c.type: c for c in status(tracked(), {"cpu": pools["cpu"]}).conditions}["CapacityAvailable"]
    assert (found.status, found.message) == (
        "True",
        "every pod has a node; nodeBuffer of pool cpu: the cluster serves none",
    )

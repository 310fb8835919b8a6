"""Load from inside the cluster: a pod of ``pods/load.py``, and what became of its requests."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from kube import Kube, eventually, run
from serving import IMAGE, SCRIPTS, Served

from recmodel.cluster import names

FIRST_SECONDS = 90.0


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent (of the pod's clock, seconds since 1970), how long it took, what came of it."""

    sent: float
    seconds: float
    came: str  # "200", another status, the name of a gRPC status, or the failure's name
    pool: str

    @property
    def ok(self) -> bool:
        """Answered with 200, or with the gRPC status OK."""
        return self.came in ("200", "OK")


class Load:
    """A running load pod; ``with`` ends it. Answers count from ``begin``. Not ``answered``: nobody answers well yet, and it sends
    all the same. ``url``: where it sends to; else to the gateway.
    """

    _image, _script = IMAGE, "load.py"

    def __init__(
        self, served: Served, per_second: float, name: str = "load", answered: bool = True, url: str | None = None
    ) -> None:
        self._kube: Kube = served.kube
        self._namespace = served.namespace
        self._name = name
        self._served = served
        self._rate = per_second
        self._answered = answered
        self._url = url or f"http://{os.environ['GATEWAY_ADDRESS']}/"
        self._since = 0.0
        self._running = False

    def __enter__(self) -> Load:
        environment = {
            "HOST": self._served.host,
            "RATE": str(min(self._rate, 5.0)),  # until the route answers
            **self._environment(),
        }
        self._kube.create(names.POD, self._namespace, {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": self._name},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 20,
                "containers": [{
                    "name": "load", "image": self._image, "imagePullPolicy": "IfNotPresent",
                    "command": ["python", f"/scripts/{self._script}"],
                    "env": [{"name": name, "value": value} for name, value in environment.items()],
                    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                    "volumeMounts": [{"name": "scripts", "mountPath": "/scripts", "readOnly": True}],
                }],
                "volumes": [{"name": "scripts", "configMap": {"name": SCRIPTS}}],
            },
        })  # fmt: skip
        self._running = True
        # What a new route answers while the gateway takes it up says nothing of what is tested.
        try:
            said = "the gateway answers" + (" with 200" if self._answered else "")
            eventually(said, self._answers_well, FIRST_SECONDS)
            self.rate(self._rate)
        except BaseException:
            self.stop()
            raise
        self._since = self.now()
        return self

    def _environment(self) -> dict[str, str]:
        return {"URL": self._url}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            self.stop()

    def _answers_well(self) -> bool:
        phase = self._kube.get(names.POD, self._namespace, self._name)["status"].get("phase")
        if phase != "Running":
            assert phase == "Pending", f"the load pod is {phase}: {self._kube.log(self._namespace, self._name)[-2000:]}"
            return False
        last = self.answers()[-5:]
        assert len(last) == 5, f"{len(last)} requests so far"
        assert all(answer.ok for answer in last) or not self._answered, f"came: {[answer.came for answer in last]}"
        return True

    def rate(self, per_second: float) -> None:
        """Another rate from now on."""
        self._rate = per_second
        self._execute(f"echo {per_second} >/tmp/rate.new && mv /tmp/rate.new /tmp/rate")

    def now(self) -> float:
        """The pod's clock, in seconds since 1970."""
        return float(self._execute("date +%s.%N"))

    def clock_ahead_seconds(self) -> float:
        """How far the pod's clock is ahead of this process's; 0 where the difference is too small to be seen."""
        before = time.time()
        there = self.now()
        after = time.time()
        return 0.0 if before <= there <= after else there - (before + after) / 2

    def stop(self) -> None:
        """Ends the load after its last answer; the answers stay."""
        self._running = False
        self._execute("kill -TERM 1")
        eventually("the load pod has ended", self._ended, 40.0)

    def _ended(self) -> bool:
        return self._kube.get(names.POD, self._namespace, self._name)["status"].get("phase") in ("Succeeded", "Failed")

    def answers(self, since: float | None = None) -> list[Answer]:
        """All requests that have ended, by the time they were sent, from ``since`` on (else from the beginning)."""
        start = self._since if since is None else since
        text = self._kube.log(self._namespace, self._name)
        lines = (line.split(" ") for line in text.splitlines() if line.count(" ") == 3)
        found = [Answer(float(sent), float(took) / 1000.0, came, pool) for sent, took, came, pool in lines]
        return sorted((answer for answer in found if answer.sent >= start), key=lambda answer: answer.sent)

    def _execute(self, command: str) -> str:
        return run("kubectl", "exec", "-n", self._namespace, self._name, "--", "sh", "-c", command, seconds=30.0)


class GrpcLoad(Load):
    """The same with calls of the V2 protocol, by gRPC, of which so large a share asks what the model cannot answer."""

    _image, _script = IMAGE.replace("recmodel:", "recmodel-ranker:"), "grpc_load.py"

    def __init__(self, served: Served, per_second: float, failing: float = 0.0) -> None:
        super().__init__(served, per_second, answered=not failing)
        self._failing = failing

    def _environment(self) -> dict[str, str]:
        return {"TARGET": f"{os.environ['GATEWAY_ADDRESS']}:80", "FAILING": str(self._failing)}


def failed(answers: Sequence[Answer]) -> dict[str, int]:
    """How many requests came back with anything but 200, by what it was."""
    return dict(Counter(answer.came for answer in answers if not answer.ok))


def share(answers: Sequence[Answer], pool: str) -> float:
    """The share that a pool answered; 0 without answers."""
    return sum(answer.pool == pool for answer in answers) / max(len(answers), 1)


def within(answers: Sequence[Answer], seconds: float = 0.1) -> float:
    """The share answered well within so many seconds, as the client saw it."""
    return sum(answer.ok and answer.seconds <= seconds for answer in answers) / max(len(answers), 1)

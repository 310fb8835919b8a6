"""kopf's part: what is registered, what is set, and that nothing of kopf's is ever written into a RecModel."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from typing import Any

import kopf
import pytest

from recmodel.controller import handlers


class Recorder:
    """Stands in for the operator, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.illness: str | None = None

    async def start(self) -> None:
        self.told.append(("start", None))

    async def stop(self) -> None:
        self.told.append(("stop", None))


def registered() -> tuple[Recorder, dict[str, Any]]:
    recorder = Recorder()
    registry = handlers.register(recorder)  # type: ignore[arg-type]
    activities = {handler.fn.__name__: handler.fn for handler in registry._activities._handlers}
    assert not registry._watching._handlers, "a refused watch ends kopf: docs/decisions/0002"
    assert not registry._changing._handlers, "change handlers write annotations into the objects"
    assert not registry._spawning._handlers, "timers and daemons write a finalizer into the objects"
    return recorder, activities


def call(function: Any, **given: Any) -> Any:
    result = function(**given)
    return asyncio.run(result) if inspect.isawaitable(result) else result


def test_health_is_the_operators_health() -> None:
    recorder, functions = registered()
    assert call(functions["ticking"]) is True
    recorder.illness = "the tick is stuck"
    with pytest.raises(kopf.PermanentError, match="the tick is stuck"):
        call(functions["ticking"])


def test_start_and_stop() -> None:
    recorder, functions = registered()
    settings = kopf.OperatorSettings()
    call(functions["start"], settings=settings)
    call(functions["stop"])
    assert recorder.told == [("start", None), ("stop", None)]
    assert settings.watching.server_timeout == 600
    assert settings.watching.client_timeout == 660
    assert settings.watching.connect_timeout == 10
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    assert settings.queueing.worker_limit == 50
    assert settings.peering.standalone is True
    pauses: Any = settings.networking.error_backoffs
    assert all(0.0 < seconds <= 20.0 for seconds in itertools.islice(pauses, 1000))
    assert len(list(itertools.islice(pauses, 1000))) == 1000, "after the last pause kopf ends the process"

"""What a watch delivers from a server that answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from builders import virtual_time
from recmodel.cluster.names import POD
from recmodel.cluster.transport.watch import Selection, follow


class Server:
    """Answers lists and watches from a script; a watch after the script's end stays silent."""

    def __init__(self, *watches: list[Any] | Exception, lists: list[Any] | None = None) -> None:
        self.watches = list(watches)
        self.lists = lists or []
        self.asked: list[str] = []

    async def list(
        self, kind: Any, namespace: str | None, labels: str, fields: str
    ) -> tuple[list[dict[str, Any]], str]:
        self.asked.append("list")
        answer = self.lists.pop(0) if self.lists else [[{"n": 1}], "10"]
        if isinstance(answer, Exception):
            raise answer
        return list(answer[0]), str(answer[1])

    async def latest(self, kind: Any, namespace: str | None, labels: str, fields: str) -> str:
        return ""  # has no order

    async def watch(
        self, kind: Any, version: str, namespace: str | None, labels: str, fields: str
    ) -> AsyncIterator[tuple[str, Any]]:
        self.asked.append(f"watch {version}")
        if not self.watches:
            await asyncio.sleep(600)
        script = self.watches.pop(0)
        if isinstance(script, Exception):
            raise script
        for change, version_seen in script:
            yield change, {"metadata": {"resourceVersion": version_seen}}


class Recorder:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def replace(self, kind: Any, objects: list[Any], namespace: str | None) -> None:
        self.calls.append(f"replace {len(objects)}")

    def see(self, kind: Any, change: str, obj: dict[str, Any]) -> None:
        self.calls.append(f"{change} {obj['metadata']['resourceVersion']}")

    def rewound(self, kind: Any, namespace: str | None) -> None:
        self.calls.append("rewound")


def followed(server: Server, seconds: float = 30.0) -> tuple[Recorder, bool]:
    async def run() -> tuple[Recorder, bool]:
        recorder, synced = Recorder(), asyncio.Event()
        work = asyncio.create_task(follow(server, Selection(POD), recorder, synced=synced))  # type: ignore[arg-type]
        await asyncio.sleep(seconds)
        work.cancel()
        await asyncio.wait([work])
        return recorder, synced.is_set()

    return virtual_time.run(run())

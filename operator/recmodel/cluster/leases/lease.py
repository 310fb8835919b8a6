"""A Lease: of several operators over the same RecModels one acts, and another takes over when it ends or dies.

The holder renews it every two seconds. Whether another one's has run out is judged by the own clock, from when its last
renewal was *seen*: clocks of two machines are never compared. A holder that could not renew for a while stops acting
before anybody else may begin. A holder that ends gives it back, and the next one begins at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from recmodel.cluster.names import LEASE
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ClusterError, Conflict, NotFound

logger = logging.getLogger(__name__)

UNREADABLE = (TypeError, ValueError, AttributeError, KeyError, OverflowError)  # what a Lease that is none raises

LEASE_SECONDS = 10  # without a renewal for so long, others may take it
# Of another holder's word: claims lie in the namespaces of tenants, who may write Leases.
LONGEST_LEASE_SECONDS = 120.0
MOST_TRANSITIONS = 2**31 - 1  # the API takes no more
ACT_SECONDS = 7.0  # after its last renewal a holder acts for so long: what it has started ends before LEASE_SECONDS
RENEW_SECONDS = 2.0
CALL_SECONDS = 3.0  # for one look and one write


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a Lease lasts. What is between ``act_seconds`` and ``lease_seconds`` is for what was sent to arrive."""

    lease_seconds: int = LEASE_SECONDS
    act_seconds: float = ACT_SECONDS


@dataclass(frozen=True, slots=True)
class LeaseIdentity:
    """Which Lease it is, and in whose name it is held."""

    namespace: str
    name: str
    holder: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Lease:
    """One Lease, and whether it is ours. ``on_change`` is called with True when it becomes ours, False when it is lost."""

    def __init__(
        self,
        client: Client,
        identity: LeaseIdentity,
        on_change: Callable[[bool], None],
        clock: Callable[[], float],
        pace: Pace = Pace(),
    ) -> None:
        self._client = client
        self._identity = identity
        self._on_change = on_change
        self.clock = clock
        self._pace = pace
        self._seen: tuple[Any, ...] = ()  # another one's renewal, and when we saw it
        self._seen_at = -math.inf
        self._acts_until = -math.inf
        self._reported = False
        self._conflicted = False
        self.term = 0  # counts how often it became ours
        self.other = ""  # who holds it, where we do not
        self.problem = ""  # why the last look or write failed, in the API's own words; empty where it did not

    @property
    def place(self) -> str:
        """``namespace/name``."""
        return str(self._identity)

    @property
    def held(self) -> bool:
        """Whether we may act now."""
        return self.seconds_left > 0

    @property
    def seconds_left(self) -> float:
        """For how long we may act without another renewal; 0 or less: not at all. By the clock of now, so that a process
        that was asleep does not act when it wakes.
        """
        return self._acts_until - self.clock()

    async def run(self) -> None:
        """Takes and renews it, until cancelled. Each problem is logged once: it is tried again every few seconds."""
        while True:
            before = self.problem
            await self.turn()
            if self.problem not in ("", before):
                logger.warning("the lease %s cannot be renewed: %s", self.place, self.problem)
            await asyncio.sleep(RENEW_SECONDS)

    async def turn(self) -> None:
        """One look, and one write where it is ours or free. Whoever calls it tells of its ``problem``."""
        began = self.clock()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                if await self._take():
                    self.term += not self.held
                    self.other = ""
                    self._acts_until = began + self._pace.act_seconds
        except Conflict as error:
            logger.info("another one has written the lease %s meanwhile", self.place)
            if self._conflicted:  # once is a race; again is a webhook that refuses with 409
                self.problem = str(error)
            self._conflicted = True
        except TimeoutError:
            self.problem = f"no answer within {CALL_SECONDS:.0f} s"
        except ClusterError as error:
            self.problem = str(error)
        except UNREADABLE as error:  # it says who acts: in doubt somebody else does
            self.problem = f"it cannot be read ({type(error).__name__}: {error}): delete it"
        else:
            self.problem, self._conflicted = "", False
        self._report()

    def drop(self) -> None:
        """Acts on it no more before the next renewal, and leaves it to run out."""
        self._acts_until = -math.inf
        self._report()

    async def release(self, holder: str = "", lease_seconds: int = 1) -> None:
        """Gives it back where it is ours, so that the next one need not wait. Nothing may act any more by now.

        With a ``holder`` only that one need not wait, and others for ``lease_seconds``.
        """
        if not self.held:
            return
        self._acts_until = -math.inf
        try:
            async with asyncio.timeout(CALL_SECONDS):
                lease = await self._client.get(LEASE, self._identity.namespace, self._identity.name)
                if lease.get("spec", {}).get("holderIdentity") == self._identity.holder:
                    left = {"holderIdentity": holder, "leaseDurationSeconds": lease_seconds, "renewTime": _now()}
                    lease["spec"] |= left
                    await self._client.replace_lease(lease)
        except NotFound:
            return  # with its namespace
        except (ClusterError, TimeoutError, *UNREADABLE) as error:
            logger.warning("the lease %s is not given back: %s", self.place, error or type(error).__name__)

    async def _take(self) -> bool:
        """Whether it is ours after this."""
        try:
            lease = await self._client.get(LEASE, self._identity.namespace, self._identity.name)
        except NotFound:
            metadata = {"name": self._identity.name, "namespace": self._identity.namespace}
            lease = {"apiVersion": LEASE.group_version, "kind": LEASE.kind, "metadata": metadata}
            await self._client.create_lease({**lease, "spec": self._spec({})})
            return True
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if not isinstance(holder, str):
            raise TypeError("holderIdentity is no text")
        if holder not in ("", self._identity.holder) and not self._has_run_out(holder, spec):
            self._acts_until, self.other = -math.inf, holder
            return False
        self.other = ""
        await self._client.replace_lease({**lease, "spec": self._spec(spec)})
        return True

    def _has_run_out(self, holder: str, spec: dict[str, Any]) -> bool:
        renewal = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if renewal != self._seen:
            self._seen, self._seen_at = renewal, self.clock()
        seconds = min(float(spec.get("leaseDurationSeconds") or LEASE_SECONDS), LONGEST_LEASE_SECONDS)
        return self.clock() - self._seen_at > seconds

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        same = before.get("holderIdentity") == self._identity.holder
        return {
            "holderIdentity": self._identity.holder,
            "leaseDurationSeconds": self._pace.lease_seconds,
            "acquireTime": before.get("acquireTime") if same else _now(),
            "renewTime": _now(),
            "leaseTransitions": min(int(before.get("leaseTransitions") or 0) + (not same), MOST_TRANSITIONS),
        }

    def _report(self) -> None:
        if self.held != self._reported:
            self._reported = self.held
            logger.info("the lease %s is %s", self.place, "ours" if self._reported else "not ours any more")
            self._on_change(self._reported)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

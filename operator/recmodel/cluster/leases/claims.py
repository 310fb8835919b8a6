"""In which namespaces this operator may act: each namespace has one claim, a Lease in the namespace itself.

Two questions, two Leases. Which pod of a release acts: the release's Lease, renewed every two seconds. Which release
acts in a namespace: the namespace's claim, held in the release's name and renewed by its acting pod every ten seconds,
as a kubelet renews the Lease of its node. Where the claim lies depends on no setting, so releases with other sets of
namespaces, or in other namespaces, meet at one object, and one of them gets it. Another pod of the same release goes on
with its claims at once.

A release that serves all namespaces needs one more claim first, in ``default``: of two such releases one acts
everywhere and the other one nowhere, whatever namespaces come later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from recmodel.cluster.leases.lease import Lease, LeaseIdentity, Pace
from recmodel.cluster.leases.predecessors import Predecessors
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.write_fence import Term

logger = logging.getLogger(__name__)

CLAIM = "recmodel.dev"
ALL_NAMESPACE, ALL_CLAIM = "default", "all.recmodel.dev"
PACE = Pace(lease_seconds=40, act_seconds=33.0)
RENEW_SECONDS = 10.0
LOOK_SECONDS = 5.0  # where another release acts, or the claim could not be written
TURN_SECONDS = 1.0
# What is left of a claim when the acting pod ends well: the next pod of the release renews it before, and where there
# is none, another release need not wait for long.
ENDED_SECONDS = 15
END_SECONDS = 5.0  # for writing that
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Scope:
    """What is claimed: the namespaces that ``wanted`` returns; ``everywhere``: all namespaces are served, so the one claim
    for all of them is needed, too.
    """

    wanted: Callable[[], Collection[str]]
    everywhere: bool


class Claims:
    """The claims of one process. ``on_change`` is called for each namespace in which this process begins (True) or ceases
    (False) to act, ``on_turn`` after each look.
    """

    def __init__(
        self,
        client: Client,
        scope: Scope,
        lease: Lease,
        on_change: Callable[[str, bool], None],
        on_turn: Callable[[], None] = lambda: None,
        predecessors: Predecessors | None = None,
    ) -> None:
        self._client = client
        self._lease = lease
        self._wanted = scope.wanted
        self._on_change = on_change
        self._on_turn = on_turn
        self._predecessors = predecessors
        self._clock = lease.clock
        self._all = self._claim(ALL_NAMESPACE, ALL_CLAIM) if scope.everywhere else None
        self._claims: dict[str, Lease] = {}
        self._due: dict[Lease, float] = {}
        self._reported: set[str] = set()
        self._others: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def term(self, namespace: str) -> Term:
        """For how long this process may act in a namespace without another renewal of anything."""
        claim = self._claims.get(namespace)
        if claim is None:
            return Term((), -math.inf)
        needed = [self._lease, claim, *([self._all] if self._all else [])]
        return Term(tuple(lease.term for lease in needed), min(lease.seconds_left for lease in needed))

    def acts(self, namespace: str) -> bool:
        """Whether this process may act in a namespace now."""
        return self.term(namespace).seconds_left > 0

    @property
    def acting(self) -> bool:
        """Whether it may act anywhere; with nothing to do, whether it would."""
        if not self._lease.held or (self._all is not None and not self._all.held):
            return False
        return not self._claims or any(claim.held for claim in self._claims.values())

    @property
    def others(self) -> dict[str, str]:
        """Namespaces in which another release acts, though this one would, with that one's name: ``namespace/name`` of
        its Lease.
        """
        return dict(self._others)

    @property
    def refused(self) -> dict[str, str]:
        """Namespaces in which this process does not act since their claim cannot be read or written, with why, in the API's
        own words. Perhaps another release acts there and perhaps none: without the claim that is unknown.
        """
        return dict(self._refused)

    def wake(self) -> None:
        """Has all looked at as soon as possible: the release's Lease has changed hands, or there is a new namespace."""
        self._wake.set()

    async def run(self) -> None:
        """Takes and renews the claims while this pod acts for its release, until cancelled."""
        while True:
            await self.turn()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TURN_SECONDS)
            self._wake.clear()

    async def turn(self) -> None:
        """One look at what is due."""
        if not self._lease.held or not await self._alone() or not await self._holds_all():
            for claim in self._claims.values():
                claim.drop()
            self._due.clear()
        else:
            wanted = set(self._wanted())
            for namespace in wanted - self._claims.keys():
                self._claims[namespace] = self._claim(namespace, CLAIM)
            left = {namespace: self._claims.pop(namespace) for namespace in self._claims.keys() - wanted}
            await asyncio.gather(*(claim.release() for claim in left.values()))
            await asyncio.gather(*(self._renew(claim) for claim in self._claims.values()))
        self._report()

    async def leave(self) -> None:
        """Lets the next pod of this release go on at once, and another release soon. Nothing may act any more by now."""
        if not self._lease.held:
            return
        held = [claim for claim in (*self._claims.values(), self._all) if claim is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await asyncio.gather(*(claim.release(self._lease.place, ENDED_SECONDS) for claim in held))

    async def _alone(self) -> bool:
        if self._predecessors is not None and await self._predecessors.ended():
            self._predecessors = None
        return self._predecessors is None

    async def _holds_all(self) -> bool:
        if self._all is not None:
            await self._renew(self._all)
        return self._all is None or self._all.held

    async def _renew(self, claim: Lease) -> None:
        if self._clock() < self._due.get(claim, -math.inf):
            return
        async with self._at_once:
            await claim.turn()
        self._due[claim] = self._clock() + (RENEW_SECONDS if claim.held else LOOK_SECONDS)

    def _claim(self, namespace: str, name: str) -> Lease:
        identity = LeaseIdentity(namespace, name, holder=self._lease.place)
        return Lease(self._client, identity, lambda held: None, self._clock, PACE)  # noqa: ARG005

    def _report(self) -> None:
        acts = {namespace for namespace in self._claims if self.acts(namespace)}
        for namespace in sorted(acts ^ self._reported):
            self._reported ^= {namespace}
            self._on_change(namespace, namespace in acts)
        looked = {**self._claims, **({"*": self._all} if self._all else {})}
        waiting = {n: claim for n, claim in looked.items() if self._lease.held and not claim.held}
        others = {n: claim.other for n, claim in waiting.items() if claim.other}
        refused = {n: claim.problem for n, claim in waiting.items() if claim.problem}
        for namespace in sorted(others.keys() - self._others.keys()):
            logger.warning(
                "stands by in %s: the operator of %s acts there (Lease %s). Uninstall one of the two releases, or give "
                "them watchNamespaces that do not overlap",
                _named(namespace),
                others[namespace],
                looked[namespace].place,
            )
        for namespace in sorted(refused.keys() - self._refused.keys()):
            logger.warning(
                "does not act in %s: its claim (Lease %s) cannot be read or written: %s. Clear what refuses it: a missing "
                "right (helm upgrade), a quota on Leases, a webhook",
                _named(namespace),
                looked[namespace].place,
                refused[namespace].rstrip("."),
            )
        self._others, self._refused = others, refused
        self._on_turn()


def _named(namespace: str) -> str:
    return "all namespaces" if namespace == "*" else f"namespace {namespace}"

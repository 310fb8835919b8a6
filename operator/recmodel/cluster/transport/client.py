"""One client of the Kubernetes API: plain dictionaries, a time limit on every call, bounded retries, limited writes.

Writes take from one of two buckets: what keeps the traffic right (children, replicas, weights) never waits behind
reports (status, Events). Before every attempt of every write the fence is asked, here and nowhere else, so that no
retry, no wait for a token and no pause of a caller outlives the time for which this process may act.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any

import aiohttp

from recmodel.cluster.names import EVENT, LEASE, REPAIRING, Kind
from recmodel.cluster.transport import request as requests
from recmodel.cluster.transport.answers import as_object, change_of, patience_seconds, status_of, whatever
from recmodel.cluster.transport.connection import connector
from recmodel.cluster.transport.credentials import Credentials
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, LeadershipLost, refused, refuses, sentence
from recmodel.cluster.transport.request import RETRIES, Request, apply_request, scale_request, selected
from recmodel.cluster.transport.resource_version import version_of
from recmodel.cluster.transport.token_bucket import TokenBucket
from recmodel.cluster.transport.write_fence import Fence, unfenced

Object = dict[str, Any]

CONNECT_SECONDS = 5.0
CALL_SECONDS = 15.0
WATCH_SECONDS = 300  # asked of the server; a fresh watch now and then heals what went silent
WATCH_SILENCE_SECONDS = 90.0  # a half-open connection never ends by itself; quiet kinds are silent for as long, too
REPORTS_RATIO = 0.5  # of what writes may take: what keeps the traffic right has the rest for itself
RETRY_SECONDS = 0.2  # before the first retry; twice as long before each further one
LONGEST_WAIT_SECONDS = 10.0  # also for a Retry-After
PAGE = 500
MOST_PAGES = 400  # 200,000 objects, more than a cluster's pods; a list with more does not end
LINE_BYTES = 8 * 2**20  # one watch event is one line, and holds a whole object


class Client:
    """The API server. One for the process; ``async with`` closes its connections."""

    def __init__(
        self,
        credentials: Credentials,
        on_call: Callable[[str, str, int], None] = lambda verb, plural, status: None,  # noqa: ARG005
        acts_per_second: float = 20.0,
        acts_burst: int = 40,
        user_agent: str = "recmodel",
    ) -> None:
        self._credentials = credentials
        self._on_call = on_call
        self._acts = TokenBucket(acts_per_second, acts_burst)
        self._reports = TokenBucket(acts_per_second * REPORTS_RATIO, max(1, acts_burst // 2))
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self.fence: Fence = unfenced  # of whoever decides who acts; the Lease itself is written through this client

    async def __aenter__(self) -> Client:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            connector=connector(self._credentials.ssl_context),
            headers={"User-Agent": self._user_agent, "Accept": "application/json"},
            read_bufsize=LINE_BYTES // 2,  # aiohttp refuses lines over twice this
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, kind: Kind, namespace: str, name: str, part: str = "", retries: int = RETRIES) -> Object:
        """One object, or a subresource of it; ``NotFound`` where there is none."""
        return await self._call(Request("GET", kind, kind.path(namespace, name, part), retries=retries))

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster knows the kind at all (its CRD is installed and its version served)."""
        try:
            return any(resource.get("name") == kind.plural for resource in await self.resources(kind))
        except ApiRefused:
            return False

    async def resources(self, kind: Kind) -> list[Object]:
        """All that is served of the kind's group and version; ``NotFound`` where the cluster does not know that."""
        found = (await self.said_of(kind, kind.root)).get("resources")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    async def said_of(self, kind: Kind, path: str) -> Object:
        """What the API server says of itself at a path that leads to the kind; ``NotFound`` where it does not know it."""
        return await self._call(Request("GET", kind, path))

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """All objects with these labels and fields, and the resource version from which to watch; read in pages.

        ``ApiUnavailable`` where the answer is no list, or its pages do not end.
        """
        items: list[Object] = []
        doing, tokens = f"list {kind.plural}", set()
        query = {"limit": str(PAGE), **selected(labels, fields)}
        for _ in range(MOST_PAGES):
            page = await self._call(Request("GET", kind, kind.path(namespace), query))
            try:
                items += page["items"] or []
                query["continue"] = page["metadata"].get("continue") or ""
                if not query["continue"]:
                    return items, str(page["metadata"]["resourceVersion"])
            except (KeyError, TypeError, AttributeError) as error:
                raise ApiUnavailable(f"{doing}: the answer is no list: {error!r}") from error
            if query["continue"] in tokens:
                break
            tokens.add(query["continue"])
        raise ApiUnavailable(f"{doing}: the pages do not end")

    async def latest(self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = "") -> str:
        """The resource version at which the API server stands now, of a list of one object at most."""
        query = {"limit": "1", **selected(labels, fields)}
        return version_of(await self._call(Request("GET", kind, kind.path(namespace), query)))

    async def watch(
        self, kind: Kind, version: str, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes after ``version`` as (ADDED, MODIFIED, DELETED or BOOKMARK, object), until the server ends the
        watch or it was silent for long: go on with a fresh one from the last version seen.

        ``Gone`` where the version is too old: list again. ``ApiUnavailable`` where the connection failed.
        """
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        query["timeoutSeconds"] = str(WATCH_SECONDS)
        query |= selected(labels, fields)
        doing = f"watch {kind.plural}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=WATCH_SILENCE_SECONDS)
        try:
            async with self._open().get(
                self._credentials.host + kind.path(namespace),
                params=query,
                headers=await self._credentials.headers(),
                timeout=timeout,
            ) as response:
                self._on_call("watch", kind.plural, response.status)
                if response.status >= 500 or response.status == 429:
                    raise ApiUnavailable(f"{doing}: HTTP {response.status}")
                if response.status >= 400:
                    raise refused(doing, response.status, await whatever(response))
                async for line in response.content:
                    change, found = await change_of(line)
                    if change == "ERROR":
                        raise refused(doing, status_of(found), found)
                    yield change, found
        except aiohttp.SocketTimeoutError:
            return  # silent: quiet or dead, which only a fresh watch shows
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ApiUnavailable(f"{doing}: {error or type(error).__name__}") from error

    async def apply(self, kind: Kind, body: Object, force: bool = True, retries: int = RETRIES) -> Object:
        """Server-side apply of the whole of what we own of an object; returns it as it stands then."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        request = apply_request(kind, kind.path(namespace, name), body, force, retries)
        return await self._write(request, namespace, self._acts)

    async def patch(self, kind: Kind, metadata: Mapping[str, Any], body: Any, form: str, by: str = REPAIRING) -> Object:
        """A patch in one of the forms (``strategic-merge-patch``, ``json-patch``) that can take away what others own. What it
        sets is owned by the field manager ``by``.
        """
        namespace, path = metadata["namespace"], kind.path(metadata["namespace"], metadata["name"])
        request = Request("PATCH", kind, path, {"fieldManager": by}, body, f"application/{form}+json")
        return await self._write(request, namespace, self._acts)

    async def apply_replicas(
        self, kind: Kind, namespace: str, name: str, uid: str, replicas: int, retries: int = RETRIES
    ) -> Object:
        """Server-side apply of ``spec.replicas`` through the scale subresource, so that applying the rest never touches it;
        ``Conflict`` where another object has taken the name since.
        """
        written = requests.replicas_request(kind, (namespace, name), uid, replicas, retries)
        return await self._write(written, namespace, self._acts)

    async def scale(
        self, kind: Kind, identity: tuple[str, str], seen: Mapping[str, str], replicas: int, retries: int = RETRIES
    ) -> Object:
        """Writes ``spec.replicas`` of what is not ours; ``Conflict`` where it is not as ``seen`` (``uid``, ``resourceVersion``)."""
        return await self._write(scale_request(kind, identity, seen, replicas, retries), identity[0], self._acts)

    async def apply_status(self, kind: Kind, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> Object:
        """Server-side apply of the whole status; ``Conflict`` where another object has taken the name since."""
        metadata = {"namespace": namespace, "name": name, "uid": uid}
        body = {"apiVersion": kind.group_version, "kind": kind.kind, "metadata": metadata, "status": dict(status)}
        path = kind.path(namespace, name, "status")
        return await self._write(apply_request(kind, path, body), namespace, self._reports)

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str, retries: int = RETRIES, version: str = ""
    ) -> None:
        """Deletes the object with this uid (and version), and what it owns with it; nothing happens where it is gone already."""
        seen = {"uid": uid, "resourceVersion": version} if version else {"uid": uid}
        body = {"propagationPolicy": "Background", "preconditions": seen}
        request = Request("DELETE", kind, kind.path(namespace, name), body=body, retries=retries)
        try:
            await self._write(request, namespace, self._acts)
        except ApiRefused as error:
            if error.status != 404:
                raise

    async def create(self, kind: Kind, body: Object, retries: int = RETRIES) -> Object:
        """Creates an object; ``Conflict`` where it exists."""
        namespace = body["metadata"]["namespace"]
        request = Request("POST", kind, kind.path(namespace), body=body, retries=retries)
        return await self._write(request, namespace, self._acts)

    async def create_event(self, namespace: str, body: Object) -> Object:
        """Creates a Kubernetes Event."""
        return await self._write(Request("POST", EVENT, EVENT.path(namespace), body=body), namespace, self._reports)

    async def may(self, verb: str, group: str, resource: str, namespace: str | None, name: str | None = None) -> bool:
        """Whether our account may do this, as the API server says; ``resource`` is such as ``deployments/scale``, no namespace
        means in all of them. Nothing is written.
        """
        answer = await self._call(requests.access_request(verb, group, resource, namespace, name))
        return bool((answer.get("status") or {}).get("allowed"))

    async def create_lease(self, body: Object) -> Object:
        """Creates a Lease; ``Conflict`` where it exists. Neither fenced nor limited: it says who may write."""
        return await self._call(Request("POST", LEASE, LEASE.path(body["metadata"]["namespace"]), body=body))

    async def replace_lease(self, body: Object) -> Object:
        """Writes a whole Lease as it was read before; ``Conflict`` where somebody wrote it since."""
        path = LEASE.path(body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._call(Request("PUT", LEASE, path, body=body))

    async def _write(self, request: Request, namespace: str, bucket: TokenBucket) -> Object:
        """A write within the term of acting in which it was asked for; ``LeadershipLost`` where that has ended."""
        term = self.fence(namespace).number

        def seconds_left() -> float:
            now = self.fence(namespace)
            if now.number != term or now.seconds_left <= 0:
                raise LeadershipLost(f"{request}: not sent, this operator does not act in {namespace} any more")
            return now.seconds_left

        seconds_left()
        await bucket.take()
        return await self._call(request, seconds_left)

    async def _call(self, request: Request, seconds_left: Callable[[], float] = lambda: math.inf) -> Object:
        """One call with its retries. All our writes are idempotent (apply, delete by uid), so each may be sent
        again; Events may repeat. ``seconds_left`` bounds each attempt, here and at the API server, and may raise.
        """
        wait_seconds = 0.0
        answer: Any = None
        status: int | None = None
        for attempt in range(request.retries + 1):
            try:
                headers = {"Content-Type": request.content_type, **await self._credentials.headers()}
                data = None if request.body is None else json.dumps(request.body)
                left = seconds_left()  # nothing is waited for between this and the request; 0 would mean no limit there
                sent = self._open().request(
                    request.method,
                    self._credentials.host + request.path,
                    params={
                        **request.query,
                        **({} if left == math.inf else {"timeout": f"{max(left, 0.001):.3f}s"}),
                    },
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                )
                async with asyncio.timeout(min(CALL_SECONDS, left)), sent as response:
                    self._on_call(request.method, request.kind.plural, response.status)
                    if response.status < 300:
                        return await as_object(response)
                    before, answer, status = answer, await whatever(response), response.status
                    refusal = refuses(status, answer, before)
                    # A token that rotates just now is refused once; the next attempt reads the new one.
                    if status < 400 or (refusal and not (status == 401 and attempt == 0 < request.retries)):
                        raise refused(str(request), status, answer)
                    problem = f"HTTP {status}: {sentence(answer)}".removesuffix(": ")
                    wait_seconds = patience_seconds(response)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                self._on_call(request.method, request.kind.plural, 0)
                answer, status = None, None
                problem, wait_seconds = str(error) or type(error).__name__, 0.0
            if attempt < request.retries:
                backoff_seconds = RETRY_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311  jitter, no secret
                await asyncio.sleep(min(LONGEST_WAIT_SECONDS, max(wait_seconds, backoff_seconds)))
        times = f", {request.retries + 1} times" if request.retries else ""
        raise ApiUnavailable(f"{request}: {problem}{times}", status)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside of its 'async with'")
        return self._session

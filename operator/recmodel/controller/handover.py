"""``recmodel handover`` and ``recmodel handback``: read what stands, and carry out the plan that ``report.handover`` makes of it.

They run with the rights of whoever runs them, and not with the operator's: no Lease says that this process may write, so its writes
are not fenced. Each write is one of the plan, and the next run goes on from what stands then.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kubernetes.aio.config import ConfigException

from recmodel.cluster import names
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, ClusterError, Conflict, NotFound
from recmodel.cluster.transport.user_client import UserClient
from recmodel.controller.named_kinds import by_version, scale_of
from recmodel.controller.namespace_reading import allowed, bodies, find, listed, recmodels, scaled_objects
from recmodel.controller.restored_weights import restore_weights
from recmodel.report.handover import guards, text
from recmodel.report.handover.found import Answers, Standing, standing, without_recmodel
from recmodel.report.handover.plan import Plan, hand_back, hand_over
from recmodel.report.handover.sought import backing, route_refs, targets
from recmodel.report.handover.steps import Step, Wait, Write, still_lacking
from recmodel.report.handover.store import RESTORE, difference, leaving, restorable, store_name, stored
from recmodel.report.handover.weights import KINDS
from recmodel.report.way_out import with_way_out

LOOK_SECONDS = 1.0  # between two looks at what is waited for
ATTEMPTS = 5  # to take something away over the version that was seen
MOST_NAMES = 8  # of RecModels in a message
NO_TRIAL = "dry run"  # ``admission webhook "x" does not support dry run``, in its refusal of one
UNSURE = "; it may be done or not, and the next run sees which"
Say = Callable[[str], None]


async def run(command: str, key: tuple[str, str], yes: bool, say: Say, on_delete: str) -> int:
    """The exit code: 0, or 1 where it stopped on its way. ``ValueError`` where nothing was done, with the way out."""
    task = asyncio.current_task()
    if task is not None:  # as Ctrl-C does: where it stopped is said
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        client = UserClient(await credentials.load())
        async with client:
            return await perform(client, command, key, yes, say, on_delete)
    except ConfigException as error:
        said = f"{str(error).rstrip('.')}: set KUBECONFIG, or run this in a pod whose account may do it"
        raise ValueError(said) from error
    except ClusterError as error:
        raise ValueError(f"{error}: see whether the API server is up, and can be reached from here") from error


async def perform(
    client: UserClient, command: str, key: tuple[str, str], yes: bool, say: Say, on_delete: str = RESTORE
) -> int:
    """The same with a client; ``key``: namespace and name of the RecModel."""
    answers = await _look(client, *key)
    if answers.recmodel is None and (command == "handover" or answers.store is None):
        raise ValueError(_absent(*key, answers.others))
    try:
        found = standing(*key, answers)
    except ValueError as error:
        if command == "handover" or answers.store is None:
            raise
        found = without_recmodel(*key, answers, error)
    plan = hand_over(found, on_delete) if command == "handover" else hand_back(found)
    refusals = await _refusals(client, plan)
    say(text.heading(plan))
    if not yes or not plan.steps:
        say(text.steps(plan, refusals.values()))
        return 0
    # A restore that is refused keeps no other from being restored.
    restores = {n for n, step in enumerate(plan.steps, 1) if isinstance(step, Write) and step.restores}
    if refusals.keys() - restores or (refusals and refusals.keys() >= restores):
        raise ValueError("nothing was changed: " + "; ".join(refusals.values()))
    return await _carry_out(client, plan, say)


async def _carry_out(client: UserClient, plan: Plan, say: Say) -> int:
    skipped: list[int] = []
    code, numbers = 0, range(1, len(plan.steps) + 1)
    for number, step in zip(numbers, plan.steps, strict=True):
        if code and not (plan.command == "handback" and step.restores):
            skipped.append(number)
            continue
        try:
            await _do(client, plan.standing, step)
        except (ClusterError, ValueError) as error:
            unsure = UNSURE if isinstance(error, ApiUnavailable) else ""
            say(text.stopped(plan, number, with_way_out(str(error), error) + unsure))
            code = 1
        except asyncio.CancelledError:
            say(text.stopped(plan, number, f"it was interrupted{UNSURE}"))
            say(text.left(plan, numbers[number:]))
            raise
        else:
            say(text.done(plan, number))
    say(text.left(plan, skipped) if code else text.ended(plan, await _replicas(client, plan.standing)))
    return code


async def _replicas(client: UserClient, before: Standing) -> str:
    """Of all pools now."""
    try:
        return standing(before.namespace, before.name, await _look(client, before.namespace, before.name)).replicas
    except (ClusterError, ValueError) as error:
        return f"not known ({error})"


async def _do(client: UserClient, found: Standing, step: Step) -> None:
    """One step; ``ValueError`` where it cannot be done as it was planned."""
    namespace = found.namespace
    if isinstance(step, Wait):
        await _wait(client, namespace, step)
    elif step.takes is not None:
        await _take(client, found, step)
    elif step.rule is not None:
        await restore_weights(client, namespace, step, step.rule)
    elif step.verb == "create":
        await created(client, namespace, step)
    elif step.verb == "patch":
        await client.merge(step.kind, namespace, step.name, step.body or {}, step.subresource)
    else:
        with contextlib.suppress(NotFound):
            await client.remove(step.kind, namespace, step.name, {"uid": step.uid, "resourceVersion": step.version})


async def _take(client: UserClient, found: Standing, step: Write) -> None:
    """Takes away what scales a pool, over the very version that was seen to be as it is stored; its status changes all the time."""
    for _ in range(ATTEMPTS):
        recmodel = await find(client, names.RECMODEL, found.namespace, found.name)
        store = await find(client, names.CONFIG_MAP, found.namespace, store_name(found.name))
        live = await find(client, step.kind, found.namespace, step.name)
        if live is None or not guards.to_be_taken(step, recmodel, store, live):
            return
        seen = {key: str(live["metadata"].get(key) or "") for key in ("uid", "resourceVersion")}
        try:
            if step.verb == "patch":
                patch = step.body or {}
                body = {**patch, "metadata": {**patch["metadata"], **seen}}
                await client.merge(step.kind, found.namespace, step.name, body)
            else:
                await client.remove(step.kind, found.namespace, step.name, seen)
                await _wait(client, found.namespace, Wait("gone", step.kind, step.name, step.said, ""))
        except NotFound:
            return
        except Conflict:
            continue
        return
    raise ValueError(f"it changed {ATTEMPTS} times while it was looked at: run this again")


async def created(client: Client, namespace: str, step: Write) -> None:
    """Creates it; one that an attempt before this one has created, or somebody else just like it, is as good."""
    wanted = step.body or {}
    try:
        made: dict[str, Any] | None = await client.create(step.kind, wanted)
    except Conflict:
        made = await find(client, step.kind, namespace, step.name)
    if made is None or leaving(made):
        raise ValueError("one of this name is being deleted: run this again when it is gone")
    if step.kind == names.CONFIG_MAP:
        if stored(made) != stored(wanted):
            raise ValueError(f"it stands, and holds something else: {guards.AGAIN}")
    elif different := difference(restorable(made), wanted):
        raise ValueError(
            f"it stands, and is not as it was stored ({different}): somebody else made it, or a webhook changed it"
        )


async def _wait(client: UserClient, namespace: str, wait: Wait) -> None:
    """Until it has come; ``ValueError`` where it has not within its time, or will not."""
    deadline = asyncio.get_running_loop().time() + wait.seconds
    while True:
        body = await find(client, wait.kind, namespace, wait.name)
        if not (lacks := still_lacking(wait, body, datetime.now(UTC))):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise ValueError(f"not within {wait.seconds:.0f} s: {lacks}")
        await asyncio.sleep(LOOK_SECONDS)


async def _look(client: UserClient, namespace: str, name: str) -> Answers:
    """All that stands of it."""
    recmodel, others = await recmodels(client, namespace, name)
    try:
        refs = targets(recmodel, f"{namespace}/{name}") if recmodel is not None else []
    except ValueError:  # which is told when the rest is read
        refs = []
    kept = await find(client, names.CONFIG_MAP, namespace, store_name(name))
    store = stored(kept) if kept is not None else None
    workloads: dict[tuple[str, str], dict[str, Any]] = {}
    scales: dict[str, dict[str, Any]] = {}
    unknown = ""
    for named, ref in {*refs, *backing(store)}:
        try:
            kind = await by_version(client, named)
            body = await find(client, kind, namespace, ref)
            scale = await scale_of(client, kind, namespace, ref) if body is not None else None
        except ValueError as error:  # of which the store knows nothing: it can be restored all the same
            unknown = str(error)
            continue
        workloads |= {(kind.kind, ref): body} if body is not None else {}
        scales |= {ref: scale} if scale is not None else {}
    autoscalers = await listed(client, names.AUTOSCALER, namespace)
    scaled = await scaled_objects(client, namespace)
    refs_of_routes = route_refs(recmodel, store)
    routes: dict[tuple[str, str], dict[str, Any]] = {}
    unrouted: dict[tuple[str, str], str] = {}
    for of, ref in refs_of_routes:
        try:
            routes |= await bodies(client, namespace, [(KINDS[of], ref)])
        except ValueError as error:  # what scales does not wait for it
            unrouted[of, ref] = f"{of} {ref} cannot be read: {error}"
    stores = await allowed(client, names.CONFIG_MAP, namespace, names.HANDOVER_LABEL) if refs_of_routes else []
    return Answers(recmodel, workloads, autoscalers, scaled, store, scales, unknown, routes, unrouted, others, stores)


def _absent(namespace: str, name: str, others: Sequence[Mapping[str, Any]] | None) -> str:
    there = sorted(identity_of(body)[1] for body in others or ())
    has = f"there is {', '.join(there[:MOST_NAMES])}" if there else "the namespace has none"
    has = has if others is not None else "this account may not list the others"
    return f"there is no RecModel {namespace}/{name}; {has}: correct the name, or name the namespace with -n"


async def _refusals(client: UserClient, plan: Plan) -> dict[int, str]:
    """What would be refused of the plan, by the step's number: by the account's rights, else by the API server's own rules, policies
    and webhooks, since each write is tried first.
    """
    found: dict[int, str] = {}
    for number, write in enumerate(plan.steps, 1):
        if not isinstance(write, Write):
            continue
        lacks = await _lacking(client, plan.standing.namespace, write)
        if lacks:
            found[number] = text.lacking(plan, number, lacks)
            continue
        try:
            await _try(client, plan.standing.namespace, write)
        except ApiRefused as error:
            if NO_TRIAL not in error.said:  # a webhook that only takes what is meant
                found[number] = text.refused(plan, number, with_way_out(error.said, error))
    return found


async def _lacking(client: UserClient, namespace: str, write: Write) -> list[str]:
    """The verbs that the account may not do, as the API server says."""
    lacks = []
    for verb in write.rights:
        name = None if verb in ("create", "list") else write.name
        try:
            resource = f"{write.kind.plural}/{write.subresource}" if write.subresource else write.kind.plural
            allowed = await client.may(verb, write.kind.group, resource, namespace, name)
        except ApiRefused:  # it does not say; then the write itself will
            continue
        if not allowed:
            lacks.append(verb)
    return lacks


async def _try(client: UserClient, namespace: str, write: Write) -> None:
    if write.verb == "create" and not write.follows:
        await client.try_to_create(write.kind, write.body or {})
    elif write.verb == "patch" and write.rule is None:  # of weights the body is known when they are restored
        await client.try_to_merge(write.kind, namespace, write.name, write.body or {}, write.subresource)
    elif write.verb == "delete":
        seen = {"uid": write.uid, "resourceVersion": write.version}
        await client.try_to_remove(write.kind, namespace, write.name, seen)

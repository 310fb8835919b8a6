"""What ``recmodel handover`` and ``handback`` print: the plan, each step as it was done, and where it stopped."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from recmodel.report.handover.found import Pool, Standing
from recmodel.report.handover.plan import Plan
from recmodel.report.handover.steps import Step, Write


def heading(plan: Plan) -> str:
    """What stands, and what to look at."""
    found = plan.standing
    lines = [f"{plan.command} of RecModel {plan.key}, {_is(found)}"]
    lines += [f"pool {pool.name}: {_runs(pool)}; {_scaled(pool)}" for pool in found.pools]
    lines += [f"WARNING {said}." for said in plan.warnings]
    return "\n".join(lines)


def steps(plan: Plan, refusals: Collection[str]) -> str:
    """The plan while nothing is done. ``refusals``: what the API server would refuse of it."""
    if not plan.steps:
        return plan.settled
    lines = [f"  {number}. {step.said}" for number, step in enumerate(plan.steps, 1)]
    lines += [f"WARNING {said}." for said in refusals]
    return "\n".join([*lines, "", f"Nothing was changed. To carry it out: {command(plan)}"])


def refused(plan: Plan, number: int, why: str) -> str:
    """A write that the API server would refuse, in its words."""
    return f"step {number} would be refused: {why}. By hand: {_write(plan, number).by_hand}"


def lacking(plan: Plan, number: int, verbs: Iterable[str]) -> str:
    """The rights that the account lacks for a write, with the way out."""
    write = _write(plan, number)
    return (
        f"this account may not {', '.join(verbs)} {write.kind.resource} in namespace {plan.standing.namespace}, which step {number} "
        f"needs: run this with an account that may, or have somebody do that step by: {write.by_hand}"
    )


def done(plan: Plan, number: int) -> str:
    """One step that is done."""
    return f"  {number}. done: {plan.steps[number - 1].said}"


def ended(plan: Plan, after: str) -> str:
    """All is done. ``after``: the replicas that are asked for now."""
    lines = []
    if plan.standing.replicas:
        lines.append(f"Replicas before: {plan.standing.replicas}; now: {after}.")
    lines.append(plan.then)
    if plan.command == "handover":
        lines.append(f"To give them back: {command(plan, 'handback')}")
    return "\n".join(lines)


def stopped(plan: Plan, number: int, why: str) -> str:
    """The step ``number``, from 1, was not done."""
    step: Step = plan.steps[number - 1]
    by_hand = f". By hand: {step.by_hand}" if isinstance(step, Write) else f". {step.otherwise}"
    return f"  {number}. STOPPED: {step.said}: {why}{by_hand}"


def left(plan: Plan, numbers: Iterable[int]) -> str:
    """The steps that were not begun, and how to go on or back."""
    lines = [f"  {number}. not done: {plan.steps[number - 1].said}" for number in numbers]
    if plan.command == "handover":
        lines.append("An autoscaler that stands scales its pool. In mode Auto the operator scales a pool without one.")
        lines.append(f"To go on: {command(plan)}. To go back: {command(plan, 'handback')}")
    else:
        lines.append(
            "What could not be restored is stored still. In mode Auto the operator scales a pool without an autoscaler."
        )
        lines.append(f"To go on: {command(plan)}")
    return "\n".join(lines)


def command(plan: Plan, name: str = "") -> str:
    """The command that carries it out, or the other one of this name."""
    return f"recmodel {name or plan.command} {plan.standing.name} -n {plan.standing.namespace} --yes"


def _write(plan: Plan, number: int) -> Write:
    step = plan.steps[number - 1]
    assert isinstance(step, Write), step  # noqa: S101  only writes are refused
    return step


def _is(found: Standing) -> str:
    if found.unread:
        return f"of which only the store is looked at: {found.unread}"
    return f"which is in mode {found.mode}" if found.mode is not None else "which does not exist any more"


def _runs(pool: Pool) -> str:
    if pool.replicas is None:
        return f"there is no {pool.workload}"
    ready = "" if pool.ready is None else f", {pool.ready} ready"
    return f"{pool.workload} runs {pool.replicas} replica{'' if pool.replicas == 1 else 's'}{ready}"


def _scaled(pool: Pool) -> str:
    said = [_does(f"HorizontalPodAutoscaler {one.name}", f" ({one.said})", one.hindrance) for one in pool.autoscalers]
    for scaled in pool.scaled_objects:
        by = f" (by HorizontalPodAutoscaler {', '.join(scaled.autoscalers)})" if scaled.autoscalers else ""
        who = f"ScaledObject {scaled.name}"
        said.append(_does(who, by, scaled.hindrance) if scaled.scales else f"{who} is paused{by}")
    return ", ".join(said) or "no autoscaler scales it"


def _does(who: str, how: str, hindrance: str) -> str:
    return f"{who} is to scale it{how} and cannot now: {hindrance}" if hindrance else f"{who} scales it{how}"

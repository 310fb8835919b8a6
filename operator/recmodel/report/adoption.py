"""The RecModel that ``recmodel adopt`` prints: YAML that the API server takes, with a comment for each thing to look at. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from recmodel.api.objective import Latency
from recmodel.api.v1alpha1 import API_VERSION, KIND, Metrics
from recmodel.cluster import names
from recmodel.report.adopted import Autoscaler, Existing
from recmodel.report.adopted_route import AdoptedRoute
from recmodel.report.adopted_server import Choice

LOOK = "LOOK: "
LONGEST_NAME, LONGEST_TOGETHER = 40, 52  # of a pool, and of a RecModel with any of its pools
MOST_REPLICAS = 10_000
MOST_POOLS = 8
UNKNOWN_PRICE = "1.0"
_PLAIN = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._]*")
_WIDTH = 110
_SHOWN = 300  # characters of what others wrote


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. ``latency``: None where the default stands."""

    namespace: str
    name: str | None
    latency: Latency | None
    prices: Mapping[str, str]


DEFAULT_LATENCY = Latency(percentile="95", threshold="100ms")


def adoption(workloads: Sequence[Existing], choice: Choice, wanted: Wanted, route: AdoptedRoute | None = None) -> str:
    """The whole text; ``ValueError`` where no RecModel can have these pools, or a price is for none of them. ``route``: what shares the
    requests out among them, where that was asked for.

    A price is known by the workload's name, or by its pool's.
    """
    if len(workloads) > MOST_POOLS:
        raise ValueError(f"{len(workloads)} workloads: a RecModel has at most {MOST_POOLS} pools")
    name, pools = _names([workload.name for workload in workloads], wanted.name)
    named = [workload.name for workload in workloads]
    if strange := wanted.prices.keys() - {*named, *pools}:
        there = ", ".join(
            workload if workload == pool else f"{workload} (pool {pool})"
            for workload, pool in zip(named, pools, strict=True)
        )
        raise ValueError(f"--cost {min(strange)}: none of the workloads is called so; there is {there}")
    lines = [
        *_comment(
            0,
            f"What runs in namespace {wanted.namespace}, by recmodel adopt. Mode Recommend writes nothing of it.",
            f"Each {LOOK.strip(': ')} needs a look of yours before you trust what is recommended.",
        ),
        f"apiVersion: {API_VERSION}",
        f"kind: {KIND}",
        f"metadata: {{name: {_word(name)}, namespace: {_word(wanted.namespace)}}}",
        "spec:",
        "  mode: Recommend",
        *_objective(wanted.latency),
        *_comment(2, *choice.said, *(LOOK + text for text in choice.open)),
        *_metrics(choice.metrics),
        *_route(route),
        "  pools:",
    ]
    for pool, workload in zip(pools, workloads, strict=True):
        by_pool = None if pool in named else wanted.prices.get(pool)  # a workload's name is that of no other's pool
        lines += _pool(pool, workload, wanted.prices.get(workload.name, by_pool))
        if route is not None:
            service, port = route.services[workload.name]
            lines.append(f"    service: {{name: {_word(service)}, port: {port}}}")
    return "\n".join(lines) + "\n"


def _names(workloads: Sequence[str], name: str | None) -> tuple[str, list[str]]:
    """The RecModel's name and those of its pools: of ranker-cpu and ranker-gpu they are ranker, and cpu and gpu."""
    shared = "" if len(workloads) == 1 else "".join(_shared_parts(workloads))
    own = name or _clean(shared.rstrip("-") or workloads[0], LONGEST_NAME)
    most = max(1, min(LONGEST_NAME, LONGEST_TOGETHER - len(own)))
    pools: list[str] = []
    for number, workload in enumerate(workloads):
        pool = _clean(workload.removeprefix(shared), most)
        pools.append(pool if pool not in pools else f"pool-{number}")
    return own, pools


def _shared_parts(workloads: Sequence[str]) -> Iterator[str]:
    """The parts that all names begin with, each with its hyphen; at least one part of each name is left."""
    for parts in zip(*(workload.split("-")[:-1] for workload in workloads), strict=False):
        if len({*parts}) > 1:
            return
        yield f"{parts[0]}-"


def _clean(text: str, most: int) -> str:
    """A name as the API takes it: it begins with a letter, and has no dot."""
    plain = re.sub(r"[^-a-z0-9]", "-", text)
    return (plain if plain[:1].isalpha() else f"p{plain}")[:most].rstrip("-")


def _objective(latency: Latency | None) -> list[str]:
    used = latency or DEFAULT_LATENCY
    shown = f"p{used.percentile}<{used.threshold}"
    look = (
        f"{LOOK}no objective was given, so this is the default: write your own, or run it with --objective '{shown}'."
    )
    return [
        *_comment(2, *([] if latency else [look])),
        "  objective:",
        f"    latency: {{percentile: {used.percentile}, threshold: {used.threshold}}}",
    ]


def _metrics(metrics: Metrics) -> list[str]:
    lines = ["  metrics:", f"    profile: {metrics.profile}"]
    if metrics.custom is not None:
        latency = metrics.custom.latency
        lines += ["    custom:", f"      latency: {{name: {json.dumps(latency.name)}, unit: {latency.unit}}}"]
    return lines


def _route(route: AdoptedRoute | None) -> list[str]:
    if route is None:
        return []
    said = "Mode Auto also sets the weights of this rule, and nothing else of the route."
    ref = f"{{kind: {route.kind}, name: {_word(route.name)}, rule: {route.rule}}}"
    return ["  route:", *_comment(4, said), f"    ref: {ref}"]


def _pool(pool: str, workload: Existing, price: str | None) -> list[str]:
    least, most, said = _limits(workload)
    runs = f"{workload.shown} runs {workload.replicas} replica{'' if workload.replicas == 1 else 's'}."
    lines = [f"  - name: {_word(pool)}", *_comment(4, runs, *said), f"    replicas: {{min: {least}, max: {most}}}"]
    if price is None:
        asks = (
            f"One replica asks for {workload.asks}: take that part of its node's price"
            if workload.asks
            else "It asks for no resources: see what part of its node it uses, and take that of the price"
        )
        lines += _comment(
            4,
            f"{LOOK}the price of one replica per hour is not known, and {UNKNOWN_PRICE} is only a place for it. {asks}, in one "
            f"currency for all pools, or run it with --cost {workload.name}=PRICE.",
        )
    lines.append(f'    costPerHour: "{price or UNKNOWN_PRICE}"')
    of = workload.of
    if of.group != names.DEPLOYMENT.group:
        setting = f"{{group: {of.group}, kind: {of.kind}, resource: {of.plural}}}"
        lines += _comment(4, f"{LOOK}the operator's chart value scaleTargets must name the kind: {setting}.")
    lines.append(f"    targetRef: {{apiVersion: {of.group_version}, kind: {of.kind}, name: {_word(workload.name)}}}")
    return lines


def _limits(workload: Existing) -> tuple[int, int, list[str]]:
    """Least and most replicas, and where they are from."""
    if not workload.autoscalers:
        most = min(MOST_REPLICAS, max(1, 2 * workload.replicas))
        return min(1, workload.replicas), most, [
            f"{LOOK}no HorizontalPodAutoscaler scales it, so nothing tells its limits: these are a guess, up to twice what runs."
        ]  # fmt: skip
    first, *others = sorted(workload.autoscalers, key=lambda autoscaler: autoscaler.name)
    said = [_acts(first)]
    if others:
        said.append(f"{LOOK}{', '.join(o.shown for o in others)} scales it, too, and only one should.")
    if first.maker.startswith("ScaledObject ") and first.minimum == 1:
        said.append(
            f"{LOOK}KEDA shows a minReplicaCount of 0 as 1: see {first.maker}, and set min to 0 where it may be off."
        )
    if first.maximum > MOST_REPLICAS:
        said.append(f"{LOOK}its maximum, {first.maximum}, is above the {MOST_REPLICAS} that the API takes.")
    return min(first.minimum, MOST_REPLICAS), min(first.maximum, MOST_REPLICAS), said


def _acts(autoscaler: Autoscaler) -> str:
    on = f" on {', '.join(autoscaler.metrics)}" if autoscaler.metrics else ""
    if autoscaler.hindrance:
        return (
            f"{LOOK}{autoscaler.shown} is to scale it{on}, and cannot now: {autoscaler.hindrance}. The limits are its."
        )
    return f"{autoscaler.shown} scales it{on}; the limits are its."


def _comment(indent: int, *texts: str) -> list[str]:
    """Lines of comments: whatever others wrote stays within them."""
    return [f"{' ' * indent}# {line}" for text in texts for line in _wrapped(text, _WIDTH - indent)]


def _wrapped(text: str, width: int) -> Iterable[str]:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    words = (word if len(word) <= _SHOWN else f"{word[:_SHOWN]}..." for word in plain.split())
    return textwrap.wrap(" ".join(words), width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _word(text: str) -> str:
    """As YAML takes it for a string: in quotes where it looks like something else, or may end what is around it."""
    return text if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text else json.dumps(text)

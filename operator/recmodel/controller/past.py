"""``recmodel backtest --prometheus``: reads what ran. It needs read access to Prometheus and nothing else.

What is asked is that of ``prometheus.past``; here it is decided which series are the pods', over which time, and what is said where
something is missing: each message names it, the question that gave nothing, and the way out.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from recmodel.api.objective import Latency
from recmodel.api.v1alpha1 import Metrics
from recmodel.controller.pod_metrics import asked, edges_of_pods, histograms_question
from recmodel.controller.settings import PREFIX, Settings, from_environment
from recmodel.prometheus import ModelView, PoolView, pod_prefix
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.history import grid_of, histories
from recmodel.prometheus.past import STEP_SECONDS, NothingThere, Past, read_past
from recmodel.prometheus.past_scaling import Scaler, counted_replicas, scalers, startup_seconds
from recmodel.prometheus.pod_names import beginning_with
from recmodel.prometheus.session import PrometheusError, PrometheusUnavailable
from recmodel.report.adopted import objective, prices
from recmodel.report.adopted_server import Edges, Series, custom_histogram, custom_metrics

Floats = NDArray[np.float64]
Answer = TypeVar("Answer")
DAY_SECONDS = 86_400.0
DEFAULT_DAYS, MOST_DAYS = 14.0, 62.0
HISTORY_SECONDS = 14 * DAY_SECONDS
LEAST_MINUTES = 5  # of which load, replicas and late share are known
NEWEST_SECONDS = 30.0  # a sample of that age has been read
READ_TIMEOUT_SECONDS, DEADLINE_SECONDS = 30.0, 65.0  # of one question: a part of a range takes longer than an instant
MOST_NAMES = 6
_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}


@dataclass(frozen=True)
class Asked:
    """What was asked for. ``begin`` and ``end`` as they were written, or None."""

    url: str | None
    namespace: str
    deployments: tuple[str, ...]
    latency: Latency
    begin: str | None = None
    end: str | None = None
    histogram: str | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    days: float = DEFAULT_DAYS  # where no begin is given


def asked_for(options: argparse.Namespace, days: float = DEFAULT_DAYS, all_priced: bool = True) -> Asked:
    """From the command line; ``ValueError`` says what is missing. ``all_priced``: several workloads need prices."""
    names = tuple(name.removeprefix("deployment/").removeprefix("statefulset/") for name in options.deployment)
    if not names:
        raise ValueError("--deployment NAME is missing: the Deployment or StatefulSet whose pods served the requests")
    if len({*names}) != len(names):
        raise ValueError("--deployment names one workload twice: name each once")
    given = {name: float(price) for name, price in prices(options.cost).items()}
    if strange := given.keys() - {*names}:
        raise ValueError(f"--cost {min(strange)}: no --deployment is called so; there is {', '.join(names)}")
    lacking = [name for name in names if name not in given]
    if lacking and (given or (all_priced and len(names) > 1)):
        raise ValueError(
            f"--cost {lacking[0]}=PRICE is missing: the price of one replica of it an hour, in one currency for all pools"
        )
    return Asked(
        options.prometheus, options.namespace, names, objective(options.objective), options.begin, options.end,
        options.histogram, given, days,
    )  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What was read: the past, the load by the minute right before it, who scaled each workload, and how long a pod took to be Ready."""

    past: Past
    before: Floats
    scalers: Mapping[str, Scaler]
    startup_seconds: float | None
    metrics: Metrics


def read_now(wanted: Asked) -> Found:
    """As :func:`read`, up to now."""
    return read(wanted, time.time())


def read(wanted: Asked, now_seconds: float) -> Found:
    """What Prometheus has of it; ``ValueError`` with the way out where that is not enough."""
    return asking(wanted, now_seconds, _read)


def asking(
    wanted: Asked,
    now_seconds: float,
    read_of: Callable[[PrometheusClient, Asked, tuple[float, float], Sequence[str]], Answer],
) -> Answer:
    """What ``read_of`` finds with a client, from and to, and the matchers of the setting; each failure is a ``ValueError`` with the way
    out.
    """
    settings = settings_of(wanted.url)
    begin, end = span(wanted.begin, wanted.end, now_seconds, wanted.days)
    patient = replace(
        settings.connection(), read_timeout_seconds=READ_TIMEOUT_SECONDS, deadline_seconds=DEADLINE_SECONDS
    )
    with closing(PrometheusClient(patient)) as client:
        try:
            return read_of(client, wanted, (begin, end), settings.gathering.scope)
        except NothingThere as error:
            raise ValueError(
                f"{error}. Asked from {shown(begin)} to {shown(end)}: {error.question}. See whether Prometheus keeps this range, and "
                "whether its series have the labels namespace and pod (docs/metrics.md)"
            ) from error
        except PrometheusError as error:
            raise ValueError(f"{settings.prometheus_url}: {error}: {_way_out(error)}") from error


def settings_of(url: str | None) -> Settings:
    """The operator's own settings, with another address where one is given."""
    given = {f"{PREFIX}PROMETHEUS_URL": url} if url else {}
    try:
        settings = from_environment({**os.environ, **given})
        settings.connection()
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "_".join(map(str, first["loc"])).upper()
        said = f"--prometheus {url!r}" if url and name == f"{PREFIX}PROMETHEUS_URL" else name
        raise ValueError(f"{said}: {first['msg']}: write http(s)://HOST[:PORT][/PATH]") from error
    return settings


def span(begin: str | None, end: str | None, now_seconds: float, days: float = DEFAULT_DAYS) -> tuple[float, float]:
    """From and to, in Unix time on whole minutes; ``ValueError`` where they are no range."""
    newest = now_seconds - NEWEST_SECONDS
    to = min(_moment(end, "--to", now_seconds), newest) if end else newest
    since = _moment(begin, "--from", now_seconds) if begin else to - days * DAY_SECONDS
    to, since = (math.floor(moment / STEP_SECONDS) * STEP_SECONDS for moment in (to, since))
    if to - since < LEAST_MINUTES * STEP_SECONDS:
        raise ValueError(
            f"from {shown(since)} to {shown(to)} are {max(to - since, 0.0) / 60:.0f} minutes, and {LEAST_MINUTES} are the least: set "
            "--from or --to, such as --from 14d"
        )
    if to - since > MOST_DAYS * DAY_SECONDS:
        raise ValueError(f"from {shown(since)} to {shown(to)} are more than {MOST_DAYS:g} days: take a later --from")
    return since, to


def shown(seconds: float) -> str:
    """A moment, for messages."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _moment(text: str, option: str, now_seconds: float) -> float:
    ago = _AGO.fullmatch(text)
    if ago:
        return now_seconds - float(ago[1]) * _UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{option} {text!r}: write how long ago it is, as 14d or 90m, or a time, as 2026-03-01T12:00 (UTC)"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True)
class Ran:
    """The past of the workloads, and how it was asked for."""

    past: Past
    view: ModelView
    edges: Edges


def read_ran(client: PrometheusClient, wanted: Asked, times: tuple[float, float], scope: Sequence[str]) -> Ran:
    """Load, late shares and replicas from and to. Raises ``PrometheusError``, and ``NothingThere``."""
    begin, end = times
    names = wanted.deployments
    metrics, edges = _metrics(client, wanted, end, scope)
    view = ModelView(
        wanted.namespace,
        "backtest",
        wanted.latency.threshold_seconds,
        wanted.latency.within_ratio,
        metrics,
        tuple(PoolView(name, pod_prefix=pod_prefix(name)) for name in names),
    )
    moments = grid_of(end, end - begin, round(STEP_SECONDS))
    counted = counted_replicas(client, wanted.namespace, names, moments, STEP_SECONDS, scope)
    return Ran(_begun(read_past(client, view, moments, edges, counted, scope)), view, edges)


def _read(client: PrometheusClient, wanted: Asked, times: tuple[float, float], scope: Sequence[str]) -> Found:
    begin, end = times
    names = wanted.deployments
    ran = read_ran(client, wanted, times, scope)
    past, view = ran.past, ran.view
    first = float(past.seconds[0])
    before = histories(client, [view], first, HISTORY_SECONDS, STEP_SECONDS, scope)[view.key].per_second
    pods = beginning_with({pod_prefix(name) for name in names})
    return Found(
        past,
        before,
        scalers(client, wanted.namespace, names, end, end - begin, scope),
        startup_seconds(client, wanted.namespace, pods, end, end - begin, scope),
        view.metrics,
    )


def _metrics(client: PrometheusClient, wanted: Asked, at_seconds: float, scope: Sequence[str]) -> tuple[Metrics, Edges]:
    """The profile, or series of their own, that all workloads have, and the edges of each."""
    names, namespace = wanted.deployments, wanted.namespace
    if wanted.histogram is not None:
        latency = custom_histogram([wanted.histogram.removesuffix("_bucket")])
        if latency is None:
            raise ValueError(
                f"--histogram {wanted.histogram}: its name must end in its unit: _seconds, _milliseconds, _ms or _us"
            )
        metrics = custom_metrics(latency)
        found = edges_of_pods(client, namespace, names, [metrics], at_seconds, scope)
        series = Series(edges=found, histograms=(latency.name,))
    else:
        series = asked(client, namespace, names, at_seconds, scope)
    for profile, edges in series.edges.items():
        if all(edges.get(name) for name in names):
            if profile != "custom":
                return Metrics.model_validate({"profile": profile}), edges
            likeliest = custom_histogram(series.histograms)
            if likeliest is not None:
                return custom_metrics(likeliest), edges
    has = {name for edges in series.edges.values() for name in edges}
    lacking = [name for name in names if name not in has] or list(names)
    there = (
        f"; it has {', '.join(series.histograms[:MOST_NAMES])}: name one with --histogram" if series.histograms else ""
    )
    raise NothingThere(
        f"Prometheus has no histogram of request times of the pods of {', '.join(lacking)} in namespace {namespace}{there}",
        histograms_question(namespace, lacking, scope),
    )


def _begun(past: Past) -> Past:
    """The past from the first minute on of which the load is known; ``NothingThere`` where too little is known of it."""
    known = np.array([np.isfinite(p.per_second) & np.isfinite(p.running) & np.isfinite(p.ready) for p in past.pools])
    minutes = np.flatnonzero(known.any(0))
    whole = int(known.all(0).sum())
    if whole < LEAST_MINUTES:
        replicas = [pool.name for pool in past.pools if not np.isfinite(pool.running).any()]
        what = f"the replicas of {', '.join(replicas)}" if replicas else "load and replicas together"
        raise NothingThere(
            f"{what} are known of {whole} minutes, and {LEAST_MINUTES} are the least",
            "kube_deployment_status_replicas, and up of the pods",
        )
    first = int(minutes[0])
    pools = tuple(
        replace(
            pool,
            **{
                name: getattr(pool, name)[first:]
                for name in ("per_second", "late_low", "late_high", "running", "ready")
            },
        )
        for pool in past.pools
    )
    return replace(past, seconds=past.seconds[first:], pools=pools)


def _way_out(error: PrometheusError) -> str:
    said = str(error)
    if "401" in said or "403" in said:
        return f"set {PREFIX}PROMETHEUS_TOKEN_FILE to a file with a bearer token, or {PREFIX}PROMETHEUS_HEADERS"
    if "certificate" in said:
        return (
            f"set {PREFIX}PROMETHEUS_CA_FILE to the certificate of its authority, and see whether the address is https"
        )
    if isinstance(error, PrometheusUnavailable):
        return "see whether --prometheus is its address, and whether it can be reached from here"
    return "see whether --prometheus is the address of Prometheus' own API, with its path where it has one"

"""From the answers for one profile to the reading of each pool: what is known, and why the rest is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recmodel.core.types import Reason
from recmodel.prometheus import readings
from recmodel.prometheus.answers import PoolKey, idle
from recmodel.prometheus.clock import NOTICED_SECONDS, ServerClock
from recmodel.prometheus.found import Found
from recmodel.prometheus.known import none_ready, serving
from recmodel.prometheus.lost_pages import Unread
from recmodel.prometheus.plausible import back_and_forth
from recmodel.prometheus.profile import Profile
from recmodel.prometheus.readings import GatewayReading, GatherSettings, ModelView, PoolReading, PoolView
from recmodel.prometheus.usage import Usage

# Fewer than this of the requests without an answer are those that were still inside when the counters were read.
UNANSWERED_NOISE_RATIO = 0.02
MOST_NAMES = 5  # in a message


@dataclass(frozen=True, slots=True)
class PageContext:
    """What the readings of all profiles share."""

    settings: GatherSettings
    gateway: GatewayReading | None
    usage: Usage
    now_seconds: float
    unread: Mapping[PoolKey, Unread]  # at a gateway
    clock: ServerClock


def pool_reading(model: ModelView, pool: PoolView, found: Found, context: PageContext) -> PoolReading:
    """What is known of one pool."""
    key = (model.key, pool.name)
    age, lacking = found.ages.known.get(key), context.unread.get(key)
    known = PoolReading(
        age_seconds=age,
        coverage_ratio=lacking.coverage_ratio if lacking else _coverage(pool, found.up.known.get(key), found.profile),
        unread=lacking.message if lacking else None,
        cpu_utilisation_ratio=context.usage.cpu_ratio.get(key),
        gpu_utilisation_ratio=context.usage.gpu_ratio.get(key),
    )

    if none_ready(model):
        # The gateway answers by itself. A rate that its pods still had within the window falls, however many requests come.
        return dataclasses.replace(known, reason=Reason(readings.NO_READY_POOL, "no pod is ready"))
    if (problem := _unusable(model, pool, found, context)) is not None:
        return dataclasses.replace(known, reason=problem)
    # Where parts of the requests were not scraped, those that were answered are still requests.
    rate = found.rates.known.get(key)
    rate = rate if rate is None else max(rate, found.answered.known.get(key, 0.0))
    if rate is None and age is None and _idle(model, pool, found, context):
        none = Reason(readings.NO_TRAFFIC, "no series yet, and no request was to be expected")
        return dataclasses.replace(known, reason=none, rate_per_second=0.0, errors_per_second=0.0)
    if rate is None:
        return dataclasses.replace(known, reason=_no_rate(model, pool, found, context))
    if (wrong := back_and_forth(rate, found.moved.known.get(key))) is not None:
        return dataclasses.replace(known, reason=Reason(readings.RATE_IMPLAUSIBLE, wrong))
    invalid = Reason(readings.VALUES_INVALID, "the latency histogram has a bucket that can not be, or no +Inf bucket")
    return dataclasses.replace(
        known,
        rate_per_second=rate,
        errors_per_second=_errors(key, rate, found),
        latency=found.latency.known.get(key),
        uneven_edges=found.latency.left_out.get(key, ()),
        queue=found.queue.known.get(key),
        in_flight=found.in_flight.known.get(key),
        reason=invalid if key in found.latency.invalid else None,
    )


def _unusable(model: ModelView, pool: PoolView, found: Found, context: PageContext) -> Reason | None:
    """Why the series of a pool must not be used, though some are there."""
    key = (model.key, pool.name)
    if found.profile.identity.cluster and (moved := _moved(model, pool, context)) is not None:
        return Reason(readings.BACKENDS_MOVED, moved)
    served = found.served.get(key, [])
    if len(served) > 1 and model.metrics.model is None:
        return Reason(
            readings.SEVERAL_MODELS,
            f"the pods count requests of {len(served)} models ({_listed(served)}): name the one that clients ask for in "
            "spec.metrics.model, or use a gateway's profile",
        )
    if key in found.rates.invalid or key in found.ages.invalid:
        return Reason(readings.VALUES_INVALID, "a value is NaN, infinite, negative or given twice")
    age, limit = found.ages.known.get(key), context.settings.stale_after_seconds
    if age is not None and age > limit:
        by = f" by Prometheus' clock, which is {context.clock}" if context.clock.is_noticed else ""
        return Reason(readings.SERIES_STALE, f"the newest sample is {age:.0f} s old{by} ({limit:.0f} s allowed)")
    if (scrapes := found.scrapes.known.get(key, 1.0)) > 1:
        return Reason(
            readings.DUPLICATE_SCRAPES,
            f"each page is read {scrapes:.0f} times, so every request counts as often: leave one job, or ask for "
            "deduplicated series",
        )
    return None


def _no_rate(model: ModelView, pool: PoolView, found: Found, context: PageContext) -> Reason:
    """Why no rate of a pool is known."""
    key = (model.key, pool.name)
    said = "no series" if found.ages.known.get(key) is None else "fewer than two samples in the window"
    served = found.served.get(key, [])
    if served and model.metrics.model not in served:
        said = f"no series of spec.metrics.model {model.metrics.model!r}, only of {_listed(served)}"
    elif not model.counted and not found.partial and _page_is_read(model, pool, found, context) is not False:
        return Reason(readings.NO_REQUESTS_SEEN, f"no request was counted yet ({found.profile.title})")
    whose = " with the labels namespace and pod of its pods" if found.profile.identity.named else ""
    said = f"{said}{whose} ({found.profile.title})"
    gateway_is_read = found.profile.scope == "gateway" and _page_is_read(model, pool, found, context)
    if gateway_is_read and not (served or found.partial or key in found.ages.known or key in context.unread):
        said += ", though the gateway is scraped: it makes them at the next request, so send one if nobody does"
    return Reason(readings.NO_SERIES, said)


def _moved(model: ModelView, pool: PoolView, context: PageContext) -> str | None:
    """Why the window is not the pool's alone: another one may have stood in its place of the route."""
    for place, backend in enumerate(model.backends or ()):
        if backend.pool == pool.name:
            if backend.since_seconds is None:
                return f"since when it is backend {place} of the route is not known: the window may be another pool's"
            age_seconds = context.now_seconds - backend.since_seconds
            if age_seconds < -NOTICED_SECONDS:  # by the clock of whoever wrote it: another operator, or the API server
                return (
                    f"it became backend {place} of the route {-age_seconds:.0f} s after the operator's now: the clocks of the "
                    "nodes differ, keep them in step (NTP)"
                )
            if age_seconds < (limit := context.settings.moved_for_seconds):
                return f"it became backend {place} of the route {age_seconds:.0f} s ago, and the window reaches {limit:.0f} s back"
    return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def _errors(key: PoolKey, rate: float, found: Found) -> float | None:
    if not found.errors_known or key in found.errors.invalid:
        return None
    # A failure that is a label of the requests' own counter has no series before the first failure: absent means none.
    absent = 0.0 if found.failures_are_labels else None
    errors = found.errors.known.get(key, absent)
    if errors is None or _untold(key, rate, errors, found):
        return None
    # Those that got no answer failed too. A change of the number of requests inside looks the same, but is small.
    unanswered = rate - found.answered.known.get(key, rate)
    return min(rate, errors + (unanswered if unanswered > UNANSWERED_NOISE_RATIO * rate else 0.0))


def _untold(key: PoolKey, rate: float, errors: float, found: Found) -> bool:
    """Whether gRPC calls were answered of which no status is known: a status of a call is no HTTP status, so all of them may have
    failed, though they look as if they had been answered well.
    """
    if found.profile.calls is None:
        return False
    told = max(found.grpc.known.get(key, 0.0), errors)
    return found.answered.known.get(key, rate) - told > UNANSWERED_NOISE_RATIO * rate


def _coverage(pool: PoolView, up: float | None, profile: Profile) -> float | None:
    if profile.scope != "pod" or not pool.ready or up is None:
        return None
    return min(1.0, up / pool.ready)


def _fresh_siblings(
    model: ModelView, pool: PoolView, found: Found, context: PageContext
) -> list[tuple[PoolView, float]]:
    """The model's other pools whose rates are known and new, with these."""
    limit = context.settings.stale_after_seconds
    return [
        (other, rate)
        for other in model.pools
        if other.name != pool.name
        and found.ages.known.get((model.key, other.name), limit + 1) <= limit
        and (rate := found.rates.known.get((model.key, other.name))) is not None
    ]


def _page_is_read(model: ModelView, pool: PoolView, found: Found, context: PageContext) -> bool | None:
    """Whether the page that would have the pool's series was read lately; None: that is unknown."""
    profile, limit = found.profile, context.settings.stale_after_seconds
    if profile.scope == "pod":
        return pool.ready == 0 or _coverage(pool, found.up.known.get((model.key, pool.name)), profile) == 1.0
    if _fresh_siblings(model, pool, found, context):
        return True
    if profile.page is None:
        return None
    page_age_seconds = context.gateway.age_seconds if context.gateway else None
    return page_age_seconds is not None and page_age_seconds <= limit


def _idle(model: ModelView, pool: PoolView, found: Found, context: PageContext) -> bool:
    fresh = _fresh_siblings(model, pool, found, context)
    # Pods do not see what the gateway could not send them.
    dropped = context.gateway.no_cluster_per_second if context.gateway and found.profile.downstream else None
    expected = None
    weights = sum(p.weight or 0.0 for p, _ in fresh)
    if weights > 0 and pool.weight is not None:
        per_weight = sum(rate for p, rate in fresh if p.weight) / weights
        expected = per_weight * pool.weight * context.settings.rate_window_seconds
    page_is_fresh = _page_is_read(model, pool, found, context) is True
    # Where no pool may be sent anything, the gateway answers by itself and drops nothing.
    dropped = dropped if any(serving(other) for other in model.pools) else None
    return idle(pool, page_is_fresh=page_is_fresh, expected_requests=expected, dropped_per_second=dropped)

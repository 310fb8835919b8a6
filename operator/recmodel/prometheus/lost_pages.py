"""Pages of a gateway that were read and are read no more: what its other pods count is then a part of the load alone.

One query a profile says which pages those are, from a series that is on each page from its start on, so that it costs the
same however many models there are. Only while there are such pages, three more say whose requests they counted:

* the scrape fails (``up`` is 0): the page is missing for as long as it fails;
* the target is gone (no ``up``): the pod ended and the others took over its requests, or it is scraped no more. Within the
  rate window nobody can tell. After it the requests tell: they are as many as before, or the page's share is missing. That
  is judged for ``LEFT_SECONDS``; a server that has no ``up`` is judged in the same way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from recmodel.prometheus.answers import PoolKey, owner_of, values
from recmodel.prometheus.client import Vector
from recmodel.prometheus.known import COVERED_RATIO
from recmodel.prometheus.profile import Profile, Selector
from recmodel.prometheus.promql import any_of, duration, ours, rates, selector
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import PrometheusError

DOWN_SECONDS = 6 * 3600.0  # a page whose scrape fails is known by what it had within this time
LEFT_SECONDS = 900.0  # a page whose target is gone is looked for within this time
TAKEN_OVER_RATIO = 0.5  # of a page's requests, found with the others where its target is gone
MOST_PAGES = 50  # asked for by name
MOST_NAMES = 3  # in a message
# When a page that is lost had its series: instants, as ranges of hours over all pools would cost too much.
LOOKED_AT_SECONDS = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, DOWN_SECONDS)
Page = tuple[str, str]  # (job, instance)


class Loss(IntEnum):
    """Why a page is not read; the numbers are those of the query."""

    DOWN = 1  # its scrape fails
    LEAVING = 2  # its target is gone, and the rate window still holds samples of it
    LEFT = 3  # its target is gone for longer


@dataclass(frozen=True, slots=True)
class Unread:
    """Of one pool: the share of the gateway's pages with its requests that is read, and what is wrong with the others."""

    coverage_ratio: float
    message: str


@dataclass(frozen=True, slots=True)
class LostQueries:
    """The questions about lost pages."""

    had: str  # the pools that each of them had
    read: str  # how many pages of a pool are read
    before: str  # requests/s of a pool, ``LEFT_SECONDS`` ago
    requests: str  # and now, which has been asked already

    def new(self) -> tuple[str, ...]:
        """Those that are still to be asked."""
        return (self.had, self.read, self.before)


def lost_query(profile: Profile, window_seconds: float, scope: Sequence[str] = ()) -> str | None:
    """The pages that are lost, with a ``Loss`` each; None where a profile has no series that is on every page."""
    if profile.scope != "gateway" or profile.page is None:
        return None
    page = selector(profile.page, scope)
    up = f"max by (job, instance) ({selector(Selector(name='up'), scope)})"
    alive = f"({up} or group by (job, instance) ({page}))"

    def seen(seconds: float) -> str:
        return f"group by (job, instance) (last_over_time({page}[{duration(seconds)}]))"

    return (
        f"({seen(DOWN_SECONDS)} and ({up} == 0))"
        f" or ({Loss.LEAVING:d} * ({seen(window_seconds)} unless {alive}))"
        f" or ({Loss.LEFT:d} * ({seen(LEFT_SECONDS)} unless {alive}))"
    )


def lost_pages(answer: Vector | PrometheusError | None) -> dict[Page, Loss]:
    """The pages of an answer to ``lost_query``, those whose scrape fails first, ``MOST_PAGES`` at most."""
    rows = answer.rows if isinstance(answer, Vector) else ()
    losses = {float(loss): loss for loss in Loss}
    found = [(losses[value], _page(labels)) for labels, value in rows if value in losses and labels.get("instance")]
    return {page: loss for loss, page in sorted(found)[:MOST_PAGES]}


def lost_queries(
    profile: Profile, pages: Mapping[Page, Loss], window_seconds: float, scope: Sequence[str] = ()
) -> LostQueries:
    """What to ask about lost pages; rates as everywhere, over ``window_seconds``."""
    mine = (*ours(profile), *scope)
    by = ", ".join(profile.identity.owner_labels)
    counter, window = profile.requests[0], duration(window_seconds)
    of_lost = selector(counter, (*mine, f"instance{any_of(instance for _, instance in pages)}"))
    had = " or ".join(f"{of_lost} offset {duration(seconds)}" for seconds in LOOKED_AT_SECONDS)
    one_a_page = f"count by ({by}, job, instance)"
    return LostQueries(
        had=f"{one_a_page} ({had})",
        read=f"count by ({by}) ({one_a_page} ({selector(counter, mine)}))",
        before=rates(profile.requests, mine, by, f"[{window}] offset {duration(LEFT_SECONDS)}"),
        requests=rates(profile.requests, mine, by, f"[{window}]"),
    )


def unread_pages(
    profile: Profile,
    models: Sequence[ModelView],
    pages: Mapping[Page, Loss],
    queries: LostQueries,
    answers: Mapping[str, Vector],
) -> dict[PoolKey, Unread]:
    """The pools that had requests on lost pages which are missing, or may be. A pool whose requests the other pages took
    over is not among them.
    """
    owner = owner_of(profile, models)
    lost: dict[PoolKey, dict[Page, Loss]] = defaultdict(dict)
    for labels, _ in answers[queries.had].rows:
        pool, page = owner(labels), _page(labels)
        if pool is not None and page in pages:
            lost[pool][page] = pages[page]
    read, then, now = (
        values(answers[query], owner).known for query in (queries.read, queries.before, queries.requests)
    )
    found = {}
    for pool, mine in lost.items():
        judged = _judged(mine, read.get(pool, 0.0), then.get(pool), now.get(pool, 0.0))
        if judged is not None:
            found[pool] = judged
    return found


def _judged(
    lost: Mapping[Page, Loss], read: float, then_per_second: float | None, now_per_second: float
) -> Unread | None:
    down = [page for page, loss in lost.items() if loss is Loss.DOWN]
    gone = [page for page, loss in lost.items() if loss is not Loss.DOWN]
    leaving = [page for page, loss in lost.items() if loss is Loss.LEAVING]
    share = len(gone) / (read + len(gone)) if gone else 0.0
    # A pool that was not there before is not known to have lost anything: it may grow, and is not made smaller.
    young = then_per_second is None
    missing = then_per_second is not None and now_per_second < (1 - TAKEN_OVER_RATIO * share) * then_per_second
    absent = [*down, *(gone if missing else ())]
    doubtful = [] if missing else gone if young else leaving
    if not absent and not doubtful:
        return None
    coverage = read / (read + len(absent)) if absent else 1.0
    if doubtful:
        coverage = min(coverage, max(COVERED_RATIO, read / (read + len(doubtful))))
    said = [f"the scrape of {_listed(down)} fails"] if down else []
    if len(absent) > len(down):
        said.append(f"{_listed(gone)} is scraped no more, and the others did not take over its requests")
    elif doubtful:
        said.append(
            f"{_listed(doubtful)} is scraped no more, and whether the others took over its requests is not known"
        )
    return Unread(coverage, "; ".join(said))


def _page(labels: Mapping[str, str]) -> Page:
    return labels.get("job", ""), labels.get("instance", "")


def _listed(pages: Sequence[Page]) -> str:
    names = sorted({instance for _, instance in pages})
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")

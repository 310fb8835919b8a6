"""Why a guard moved the replicas of a pool: one row a cause, with the reason that users alert on, its sentence, and what ends it.

A sentence may name ``{before}`` (replicas that the checks before it let pass), ``{desired}``, ``{ready}``, ``{warming}``,
``{unschedulable}``, ``{minimum}`` and ``{maximum}`` of the pool, and ``{load}`` of the model in requests/s.
"""

from __future__ import annotations

from enum import Enum

from recmodel.core import reasons


class Cause(Enum):
    """Each cause of each guard. ``code`` stands for it in the arrays of the guards, by the order here from 1 on; 0 there is no
    cause.
    """

    def __init__(self, reason: str, sentence: str, ends: str) -> None:
        self.code, self.reason, self.sentence, self.ends = len(type(self).__members__) + 1, reason, sentence, ends

    # explore_untried
    TRIED = (
        reasons.EXPLORING,
        "its capacity is not known, and the load could fill a replica of it: it is tried",
        "until its capacity is known",
    )
    NOT_TRIED_YET = (
        reasons.EXPLORING,
        "its capacity is not known, and the load is too small to try it",
        "until the load could fill a replica of it",
    )
    BEING_TRIED = (
        reasons.EXPLORING,
        "its capacity is not known yet: what runs of it stays while it is learned",
        "until its capacity is known",
    )
    NOT_FILLED = (
        reasons.READY_NOT_FILLED,
        "its capacity is still learned, and its ready replicas ({ready}) are not known to be filled: none are added until they are",
        "until its ready replicas are filled",
    )
    # help_when_late
    LATE_THOUGH_READY = (
        reasons.OBJECTIVE_AT_RISK,
        "too many requests stay late with every replica ready: a fifth is added",
        "until its requests are in time again",
    )
    LATE_NOW = (
        reasons.OBJECTIVE_AT_RISK,
        "too many requests are late: nothing is released",
        "until its requests are in time again",
    )
    # grow_within_reason
    CAPACITY_UNKNOWN = (
        reasons.SCALE_RATE_LIMITED,
        "its capacity is not known yet: at most what runs, or twice as many as were ready a start-up time ago and one",
        "until its capacity is known, or more are ready",
    )
    # hold_what_is_needed_again
    WANTED_RECENTLY = (
        reasons.NEEDED_AGAIN_SOON,
        "a recent proposal needs as many: to start them again would cost as much as to keep them",
        "until no recent proposal needs as many",
    )
    # make_room_where_it_costs_less
    CHEAPER_ROOM = (
        reasons.ROOM_FOR_RELEASE,
        "what would stay of a dearer pool's release is not known to carry the expected load and the noise of counting it: one more here "
        "costs less than to keep one there",
        "until what would stay is known to carry it",
    )
    # release_in_steps
    WITHIN_NOISE = (
        reasons.RELEASE_WITHIN_NOISE,
        "what would stay ready is not known to carry the expected load and the noise of counting it: one replica more stays",
        "until what would stay is known to carry it",
    )
    IN_STEPS = (
        reasons.RELEASE_IN_STEPS,
        "a third of the ready replicas, or one, leaves at a time, and is judged before the next",
        "until what stays was judged",
    )
    NOT_ALL_READY = (
        reasons.SCALE_DOWN_STABILISED,
        "{ready} of {desired} are ready: a release waits until all that have a node are",
        "until all that have a node are ready",
    )
    NOT_ALL_WARM = (
        reasons.PODS_WARMING,
        "{warming} of its {ready} ready replicas are younger than its warmUp: a release waits until they are warm",
        "until all are warm",
    )
    WINDOW_HOLDS_CHANGE = (
        reasons.SCALE_DOWN_STABILISED,
        "its ready replicas were not seen unchanged for a whole rate window yet: a release waits",
        "until a rate window holds no change of its ready replicas",
    )
    LATENESS_UNKNOWN = (
        reasons.RELEASE_UNPROVEN,
        "it is not known how many of its requests are late: a release waits",
        "until it is known how many of its requests are late",
    )
    NO_LOAD_PROVEN = (
        reasons.RELEASE_UNPROVEN,
        "it is not certain yet that it answers any load in time, which takes enough requests at about one load and few of them "
        "late: a release waits",
        "until it is certain that it answers some load in time",
    )
    # keep_ready_capacity
    STAYING_TOO_FEW = (
        reasons.SCALING_IN_FLIGHT,
        "what would stay ready is not known to carry the load of {load:.3g}/s: replacements must be ready first",
        "until what would stay ready carries the load",
    )
    STAYING_COLD = (
        reasons.SCALING_IN_FLIGHT,
        "what would stay ready and warm is not known to carry the load of {load:.3g}/s: replacements must be ready and warm first",
        "until what would stay ready and warm carries the load",
    )
    NOBODY_STAYS = (
        reasons.LAST_READY_REPLICA,
        "no ready replica of any pool would stay",
        "until another replica would stay ready",
    )
    # grow_where_it_helps
    GROWTH_BOUNDED = (
        reasons.GROWTH_UNPROVEN,
        "late or failing requests, and growth has not helped yet: no more until it does",
        "until growth helps",
    )
    GROWN_IN_VAIN = (
        reasons.GROWTH_UNPROVEN,
        "growth did not help against its late or failing requests: no more than its load needs",
        "until its requests are good again",
    )
    # hold_when_blind
    NEVER_REQUESTED = (
        reasons.NO_REQUESTS_SEEN,
        "no request was counted yet: what runs stays until one is",
        "until a request is counted",
    )
    NEVER_KNOWN = (
        reasons.METRICS_MISSING,
        "the load was never known: what runs stays",
        "until the load is known",
    )
    BLIND_KEEPS = (
        reasons.METRICS_MISSING,
        "the load is unknown: what runs stays",
        "until the load is known",
    )
    BLIND_GROWS_LITTLE = (
        reasons.METRICS_MISSING,
        "the load is unknown: at most half as many are added to what runs",
        "until the load is known",
    )
    RATE_DOUBTED = (
        reasons.RATE_IMPLAUSIBLE,
        "the load that was counted is not believed: what runs stays",
        "until the load is believed",
    )
    DOUBTED_GROWS_LITTLE = (
        reasons.RATE_IMPLAUSIBLE,
        "the load that was counted is not believed: at most half as many are added to what runs",
        "until the load is believed",
    )
    # plan_without_unschedulable
    PODS_WAIT = (
        reasons.POOL_UNSCHEDULABLE,
        "{unschedulable} of its pods find no node or are over a quota: none are added",
        "until they find a node",
    )
    GIVEN_UP = (
        reasons.POOL_UNSCHEDULABLE,
        "its pods found no node for ten minutes, or were over a quota: what waits is taken back and tried again later",
        "until they are tried again",
    )
    # within_limits
    BELOW_MINIMUM = (
        reasons.AT_MINIMUM,
        "it has at least its minimum of {minimum}",
        "while its replicas.min is {minimum}",
    )
    ABOVE_MAXIMUM = (
        reasons.POOL_AT_MAXIMUM,
        "it may have {maximum} at most; {before} were asked for",
        "while its replicas.max is {maximum}",
    )
    # keep_trials_running
    ON_TRIAL = (
        reasons.ON_TRIAL,
        "its new version is on trial, and without a replica nothing would be found out",
        "until the trial ends",
    )
    # order_elsewhere
    ORDERED_ELSEWHERE = (
        reasons.ORDERED_ELSEWHERE,
        "no pool has a ready replica, and the pods that were ordered in other pools find no node or are over a quota: one replica is "
        "ordered here",
        "until another pool has a ready replica or a pod that found its node",
    )
    KEPT_ELSEWHERE = (
        reasons.ORDERED_ELSEWHERE,
        "no pool has a ready replica, and the pods that were ordered in other pools find no node or are over a quota: one that starts "
        "here stays",
        "until another pool has a ready replica or a pod that found its node",
    )
    # keep_leaving_until_carried
    LEAVES = (
        reasons.POOL_LEAVING,
        "it is not in spec.pools any more, and nobody needs it: it goes",
        "until it has gone",
    )
    LEAVES_WHEN_CARRIED = (
        reasons.POOL_LEAVING,
        "it is not in spec.pools any more, and what is ready of the others is not known to carry the {load:.3g}/s with what is expected: "
        "it answers until then; raise replicas.max of the others if they have no room, or delete its Deployment to end it at once",
        "until the other pools are known to carry the load",
    )
    LEAVES_NOT_BLIND = (
        reasons.POOL_LEAVING,
        "it is not in spec.pools any more, and the load is unknown, so nobody knows whether the others carry it: it answers until then; "
        "delete its Deployment to end it at once",
        "until the load is known, and the other pools are known to carry it",
    )
    # never_without_replicas
    LAST_OF_ALL = (
        reasons.AT_MINIMUM,
        "no pool would have a replica: the cheapest keeps one",
        "until the plan wants a replica",
    )
    LAST_OF_ITS_OWN = (
        reasons.AT_MINIMUM,
        "requests may be sent to it, since the operator does not share out this traffic: it keeps a replica",
        "until the plan wants a replica",
    )
    FIRST_OF_ITS_OWN = (
        reasons.AT_MINIMUM,
        "requests are sent to it by a weight that the operator does not set just now: it gets a replica",
        "until the plan wants a replica",
    )
    # change_nothing_unless_acting
    NOT_ACTING = (
        reasons.MODE_RECOMMEND,
        "what runs is left alone, since the mode is not Auto, the operator may not act, or somebody else scales or releases a pool: "
        "else {before} would be decided",
        "until the mode is Auto, the operator may act, and nobody else scales or releases a pool",
    )


BY_CODE = {cause.code: cause for cause in Cause}

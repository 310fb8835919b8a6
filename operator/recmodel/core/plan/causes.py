"""Why a guard moved the replicas of a pool: one row a cause, with the reason that users alert on and its sentence.

A sentence may name ``{before}`` (replicas that the checks before it let pass), ``{desired}``, ``{ready}``, ``{unschedulable}``,
``{minimum}`` and ``{maximum}`` of the pool, and ``{load}`` of the model in requests/s.
"""

from __future__ import annotations

from enum import Enum

from recmodel.core import reasons


class Cause(Enum):
    """Each cause of each guard. ``code`` stands for it in the arrays of the guards, by the order here from 1 on; 0 there is no
    cause.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        self.code, self.reason, self.sentence = len(type(self).__members__) + 1, reason, sentence

    # explore_untried
    TRIED = reasons.EXPLORING, "its capacity is not known, and the load could fill a replica of it: it is tried"
    NOT_TRIED_YET = reasons.EXPLORING, "its capacity is not known, and the load is too small to try it"
    BEING_TRIED = reasons.EXPLORING, "its capacity is not known yet: what runs of it stays while it is learned"
    NOT_FILLED = (
        reasons.READY_NOT_FILLED,
        "its capacity is still learned, and its ready replicas ({ready}) are not known to be filled: none are added until they are",
    )
    # help_when_late
    LATE_THOUGH_READY = (
        reasons.OBJECTIVE_AT_RISK,
        "too many requests stay late with every replica ready: a fifth is added",
    )
    LATE_NOW = reasons.OBJECTIVE_AT_RISK, "too many requests are late: nothing is released"
    # grow_within_reason
    CAPACITY_UNKNOWN = (
        reasons.SCALE_RATE_LIMITED,
        "its capacity is not known yet: at most what runs, or twice as many as were ready a start-up time ago and one",
    )
    # hold_what_is_needed_again
    WANTED_RECENTLY = (
        reasons.NEEDED_AGAIN_SOON,
        "a recent proposal needs as many: to start them again would cost as much as to keep them",
    )
    # release_in_steps
    WITHIN_NOISE = (
        reasons.RELEASE_WITHIN_NOISE,
        "what would stay is not known to carry the expected load and the noise of counting it: one replica more stays",
    )
    IN_STEPS = (
        reasons.RELEASE_IN_STEPS,
        "a third of the ready replicas, or one, leaves at a time, and is judged before the next",
    )
    NOT_ALL_READY = reasons.SCALE_DOWN_STABILISED, "{ready} of {desired} are ready: a release waits until all are"
    WINDOW_HOLDS_CHANGE = (
        reasons.SCALE_DOWN_STABILISED,
        "its ready replicas were not seen unchanged for a whole rate window yet: a release waits",
    )
    LATENESS_UNKNOWN = (
        reasons.RELEASE_UNPROVEN,
        "it is not known how many of its requests are late: a release waits",
    )
    NO_LOAD_PROVEN = reasons.RELEASE_UNPROVEN, "no load of it was seen to be answered in time yet: a release waits"
    # keep_ready_capacity
    STAYING_TOO_FEW = (
        reasons.SCALING_IN_FLIGHT,
        "what would stay ready is not known to carry the load of {load:.3g}/s: replacements must be ready first",
    )
    NOBODY_STAYS = reasons.LAST_READY_REPLICA, "no ready replica of any pool would stay"
    # grow_where_it_helps
    GROWTH_BOUNDED = (
        reasons.GROWTH_UNPROVEN,
        "late or failing requests, and growth has not helped yet: no more until it does",
    )
    GROWN_IN_VAIN = (
        reasons.GROWTH_UNPROVEN,
        "growth did not help against its late or failing requests: no more than its load needs",
    )
    # hold_when_blind
    NEVER_REQUESTED = reasons.NO_REQUESTS_SEEN, "no request was counted yet: what runs stays until one is"
    NEVER_KNOWN = reasons.METRICS_MISSING, "the load was never known: what runs stays"
    BLIND_KEEPS = reasons.METRICS_MISSING, "the load is unknown: what runs stays"
    BLIND_GROWS_LITTLE = reasons.METRICS_MISSING, "the load is unknown: at most half as many are added to what runs"
    RATE_DOUBTED = reasons.RATE_IMPLAUSIBLE, "the load that was counted is not believed: what runs stays"
    DOUBTED_GROWS_LITTLE = (
        reasons.RATE_IMPLAUSIBLE,
        "the load that was counted is not believed: at most half as many are added to what runs",
    )
    # plan_without_unschedulable
    PODS_WAIT = (
        reasons.POOL_UNSCHEDULABLE,
        "{unschedulable} of its pods find no node or are over a quota: none are added",
    )
    GIVEN_UP = (
        reasons.POOL_UNSCHEDULABLE,
        "its pods found no node for ten minutes, or were over a quota: what waits is taken back and tried again later",
    )
    # within_limits
    BELOW_MINIMUM = reasons.AT_MINIMUM, "it has at least its minimum of {minimum}"
    ABOVE_MAXIMUM = reasons.POOL_AT_MAXIMUM, "it may have {maximum} at most; {before} were asked for"
    # keep_trials_running
    ON_TRIAL = reasons.ON_TRIAL, "its new version is on trial, and without a replica nothing would be found out"
    # never_without_replicas
    LAST_OF_ALL = reasons.AT_MINIMUM, "no pool would have a replica: the cheapest keeps one"
    # change_nothing_unless_acting
    NOT_ACTING = (
        reasons.MODE_RECOMMEND,
        "what runs is left alone, since the mode is not Auto or somebody else scales or releases a pool: else {before} would be decided",
    )


BY_CODE = {cause.code: cause for cause in Cause}

"""The reasons and states that a decision carries. They are API: users alert on them, tests assert them, none is ever renamed."""

# States of a decision: what the loop is doing.
TRACKING = "Tracking"  # following the forecast with a known capacity
LEARNING = "Learning"  # the capacity of a pool that matters is not known yet: releases in steps, adds when late
HOLDING = "Holding"  # something needed is unknown: staying put
AWAITING_REQUESTS = "AwaitingRequests"  # no request was counted yet: staying put until the first ones
DEGRADED = "Degraded"  # no mix within the limits meets the objective: serving the most requests within it
RECOMMENDING = "Recommending"  # mode Recommend: the decision is reported, nothing changes
PAUSED = "Paused"  # mode Paused: the same, and nothing that belongs to the RecModel is touched

# Why replicas or weights are what they are.
FORECAST_RISE = "ForecastRise"  # more: the upper forecast is above what the present replicas are planned to carry
FORECAST_FALL = "ForecastFall"  # less: it is below
MIX_CHANGED = "MixChanged"  # the replicas change, and neither the forecast nor one guard alone is why
STEADY = "Steady"
OBJECTIVE_AT_RISK = "ObjectiveAtRisk"
EXPLORING = "Exploring"
READY_NOT_FILLED = "ReadyNotFilled"
METRICS_MISSING = "MetricsMissing"
NO_REQUESTS_SEEN = "NoRequestsSeen"
RATE_IMPLAUSIBLE = "RateImplausible"
POOL_UNSCHEDULABLE = "PoolUnschedulable"
ORDERED_ELSEWHERE = "OrderedElsewhere"
SCALING_IN_FLIGHT = "ScalingInFlight"
LAST_READY_REPLICA = "LastReadyReplica"
SCALE_DOWN_STABILISED = "ScaleDownStabilised"
PODS_WARMING = "PodsWarming"
RELEASE_WITHIN_NOISE = "ReleaseWithinNoise"
ROOM_FOR_RELEASE = "RoomForRelease"
RELEASE_IN_STEPS = "ReleaseInSteps"
RELEASE_UNPROVEN = "ReleaseUnproven"
SCALE_RATE_LIMITED = "ScaleRateLimited"
GROWTH_UNPROVEN = "GrowthUnproven"
FAILING_AT_ANY_LOAD = "FailingAtAnyLoad"
NEEDED_AGAIN_SOON = "NeededAgainSoon"
AT_MINIMUM = "AtMinimum"
AT_MAXIMUM = "AtMaximum"
POOL_AT_MAXIMUM = "PoolAtMaximum"
ON_TRIAL = "OnTrial"
POOL_LEAVING = "PoolLeaving"
INFEASIBLE = "Infeasible"
NO_READY_POOL = "NoReadyPool"
MODE_RECOMMEND = "ModeRecommend"
LIGHTER_VARIANTS_SERVE = "LighterVariantsServe"

# Why nodes are asked for ahead of need.
NODE_BUFFER_SIZED = "NodeBufferSized"
NODE_BUFFER_HELD = "NodeBufferHeld"
NODE_BUFFER_UNKNOWN = "NodeBufferUnknown"

# How a new version comes into the traffic.
ROLLOUT_ADVANCED = "RolloutAdvanced"
ROLLOUT_WAITING = "RolloutWaiting"
ROLLOUT_ROLLED_BACK = "RolloutRolledBack"
ROLLOUT_DONE = "RolloutDone"

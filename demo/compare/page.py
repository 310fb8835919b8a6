"""docs/comparison.md. Pure: outcomes in, Markdown out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compare.outcome import OBJECTIVE_RATIO, Outcome
from compare.plan import PROBE_REPLICAS, Plan, Series, Who
from compare.search import MOST_OVER_RATIO, TARGET_RATIOS, Computed, rounded
from compare.words import NAMES, standing, table, where_over
from recmodel.lab.verdict import Judgement, judgement, verdict

HEAD = """# HPA, KEDA and RecModel on a real cluster

`make compare` wrote this page. It runs a real HorizontalPodAutoscaler (`autoscaling/v2`), a real KEDA and RecModel on one cluster, one
after the other. Pods, load and arrivals are the same for all three. `make try` [simulates](backtest.md#make-try) a similar contest in a
minute.
"""

HOW = """## How it was run

- **Load:** {minutes} minutes of the recorded trace of `make demo`, its steepest lasting rise, without the flash crowd. They pass in
  {replay:.0f} s, so a recorded minute is {minute} s. The {before:.0f} recorded minutes before it are replayed too, and not counted. There
  are {low:.0f} to {high:.0f} requests/s, open loop, through the gateway.
- **Arrivals:** Poisson, by seed. A seed gives all three the same requests at the same times. Seeds: {seeds}.
- **Pods:** the CPU pool of [ranker.yaml](../manifests/samples/ranker.yaml), 1 to 8 replicas at a price of 1 an hour. They are real
  containers, and the model really computes. So the CPU that they burn means something, and an HPA can act on it.
- **Accelerator:** left out. HPA and KEDA scale one Deployment and set no weights, so what RecModel saves by a mix does not count here.
- **HPA:** no metric is named, so Kubernetes' default holds: 80 % of the CPU that a pod requests. metrics-server is the project's own.
- **KEDA:** its Prometheus scaler on the gateway's requests/s, {target:g} a replica. The target was found with the load known.
  {replicas} pods carried {capacity:.0f}/s each in a test before, and {settings} targets were computed on that and on this load. The
  cheapest with at most {allowed:.1%} of the minutes over is taken{none_good}.
- **RecModel:** untuned. Each run is a new RecModel. It knows no past load, and of what a pod carries only what the minutes before
  showed.
- **While HPA or KEDA scale,** the same RecModel stands in mode `Recommend`. It made the pods and the route, and leaves the replicas alone.

What was compressed, and what was not:

- The recording is {faster:g} times as fast as it was. HPA's scale-down window of 300 s is {down} s, for HPA and KEDA. Their other rules
  are the defaults.
- HPA, and KEDA through it, decide every {decide} s. That is a flag of the cluster, left at its default. RecModel ticks at every scrape,
  here {tick} s, as in `make demo`. The chart's defaults do the same: 15 s for both.
- RecModel and KEDA read rates over {window} s, from scrapes every 5 s. By default RecModel takes 60 s. metrics-server reads the CPU every
  15 s, its default.
- Start-up times of pods are real. A tick or a start-up takes {faster:g} times as much of the recorded day as it would in real time. That
  is harder for all three, and hardest for whoever is slow to see a rise.

A minute is over if more than {budget:.0%} of its requests were late (100 ms) or failed. Latency is what the load generator's clients saw,
from the moment a request was meant to leave. A replica costs from the moment it is asked for. Cost is in recorded time, of one run. A
minute is short of CPU if a ready process of the machine waited as long as it ran.
"""

LIMITS = """## What it does not show

- One window of one recorded day, which only rises. How fast each releases replicas hardly counts.
- A few pods of a fraction of a core. One replica more or less is a large step, so costs come in large steps too.
- One shared machine with two cores, where load generator, gateway, pods and whatever else runs disturb each other. Each of {replicas}
  pods carried {capacity:.0f}/s here, and [35/s on a quiet machine](../demo/ranker/pool-templates.yaml).
- A past. RecModel forecasts from days that it has seen, and here it has seen none.

[benchmark.md](benchmark.md) simulates whole days, with a past and with two kinds of pods.

Run it with `make compare` (local cluster only, about 16 minutes a controller and seed; `SEEDS=1` for one seed). What was run is kept
outside the checkout, so an interrupted comparison goes on.
"""


def page(outcomes: Sequence[Outcome], plan: Plan, rates: Series, capacity: float, best: Computed) -> str:
    """The whole page."""
    every = {who: [one for one in outcomes if one.who is who] for who in (Who.RECMODEL, Who.KEDA, Who.HPA)}
    by_who = [found for found in every.values() if found]
    missing = [
        f"**Not run yet: {NAMES[who]}.** This page is of the others.\n" for who, found in every.items() if not found
    ]
    seeds = sorted({one.seed for one in outcomes})
    replay = rates[plan.warm_up_seconds :]
    none_good = (
        ""
        if best.minutes_over <= MOST_OVER_RATIO * plan.recorded_minutes
        else "; none had so few, so it is the one with the fewest"
    )
    how = HOW.format(
        minutes=plan.recorded_minutes, replay=plan.replay_seconds, minute=plan.minute_seconds,
        before=plan.warm_up_seconds * plan.faster / 60.0, replicas=PROBE_REPLICAS,
        low=replay.min(), high=replay.max(), seeds=", ".join(map(str, seeds)), target=rounded(best.target_per_second),
        capacity=capacity, settings=len(TARGET_RATIOS), allowed=MOST_OVER_RATIO, none_good=none_good, faster=plan.faster,
        down=plan.down_window_seconds, decide=plan.decide_seconds, tick=plan.tick_seconds, window=plan.window_seconds,
        budget=1.0 - OBJECTIVE_RATIO,
    )  # fmt: skip
    return "\n".join(
        [
            HEAD,
            *missing,
            *_result(by_who, len(seeds)),
            "",
            *_why(by_who, plan),
            "",
            how,
            LIMITS.format(capacity=capacity, replicas=PROBE_REPLICAS),
        ]
    )


def _result(by_who: Sequence[Sequence[Outcome]], seeds: int) -> list[str]:
    mine, *others = (standing(outcomes) for outcomes in by_who)
    interval = "± is half of the 95 % interval of the mean." if seeds > 1 else "With one seed there is no interval."
    return [
        "## Result",
        "",
        "```text",
        verdict(mine, others, MOST_OVER_RATIO).replace(". ", ".\n"),
        "```",
        "",
        *table(by_who),
        "",
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, {mine.minutes} recorded minutes each. {interval}",
        "",
        "![Cost, late requests and replicas of HPA, KEDA and RecModel over the same recorded minutes](images/comparison.png)",
    ]


def _why(by_who: Sequence[Sequence[Outcome]], plan: Plan) -> list[str]:
    mine, *others = (standing(outcomes) for outcomes in by_who)
    wins = all(judgement(mine, other) is Judgement.WINS for other in others)
    lines = [
        "## Who was late, and when" if wins else "## Why RecModel does not win here",
        "",
        *(f"- Minutes over of {NAMES[one[0].who]}: {where_over(one, plan)}." for one in by_who),
    ]
    if not wins:
        replicas = np.concatenate([one.replicas for one in by_who[0]])
        least, most = float(replicas.min()), float(replicas.max())
        lines += [
            "- RecModel begins without knowing what a pod carries, and learns it while it serves. KEDA's target was found "
            "with the load known.",
            "- With one pool there is no mix to choose and no weight to set, where most of its saving comes from.",
            f"- With {least:.0f} to {most:.0f} replicas one more or less is a large part of the cost.",
        ]
    return lines

"""The real HPA, the real KEDA and RecModel on the same recorded load, one after the other: ``python -m compare``.

Needs the cluster of hack/cluster/up.sh and its addresses in the environment (hack/cluster/env.sh). What was run is kept in
``$RECMODEL_CACHE/compare``: an interrupted comparison goes on where it was. ``--only`` runs one part, and writes no page.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schedule import DEFAULT_TRACE, read_trace

from compare.canary import NotSound, short_minutes
from compare.outcome import OBJECTIVE_RATIO, Outcome, Written, outcome
from compare.page import page
from compare.picture import draw
from compare.plan import PROBE_REPLICAS, PROBE_SECONDS, PROBE_WARM_UP_SECONDS, Plan, Series, Who, load, probe_load
from compare.runs import CHECKOUT, DONE, RunFailed, play
from compare.search import Computed, Limits, NoCapacity, best_target, capacity_per_second, rounded
from watch.generator_log import parse
from watch.snapshot import from_line

PROBE = "probe"
START_UP_SECONDS = 9  # of the ranker's pods, where the probe saw none start (demo/ranker/pool-templates.yaml)
LIMITS = (1, 8)  # of the sample's CPU pool
ORDER = (Who.HPA, Who.KEDA, Who.RECMODEL)
PAGE, PICTURE = CHECKOUT / "docs/comparison.md", CHECKOUT / "docs/images/comparison.png"


@dataclass(frozen=True)
class Comparison:
    """The plan, its load, and where its runs are kept."""

    plan: Plan
    rates: Series
    folder: Path

    def of(self, who: Who, seed: int) -> Path:
        """The folder of a run."""
        return self.folder / f"{who.value}-{seed}"

    def probe(self) -> Path:
        """That of the measurement of what a replica carries, under its present load."""
        asked = f"{PROBE_REPLICAS}".encode() + probe_load().tobytes()
        return self.folder / f"{PROBE}-{hashlib.sha256(asked).hexdigest()[:8]}"

    def found(self) -> tuple[float, Computed]:
        """What a replica carries, and KEDA's best target. Raises NoCapacity or NotSound."""
        log = parse((self.probe() / "generator.log").read_text())
        minute = self.plan.minute_seconds
        canary = (self.probe() / "canary.csv").read_text()
        begin = (log.start_seconds or 0.0) + PROBE_WARM_UP_SECONDS
        short_minutes(PROBE, canary, begin, PROBE_SECONDS // minute, minute)
        rise = log.seconds[PROBE_WARM_UP_SECONDS:]
        capacity = capacity_per_second(rise, OBJECTIVE_RATIO, minute) / PROBE_REPLICAS
        return capacity, best_target(self.rates, capacity, self.plan, Limits(*LIMITS, self._start_up_seconds()))

    def _start_up_seconds(self) -> int:
        lines = (self.probe() / "samples.jsonl").read_text().splitlines()
        seen = [pool.startup_seconds for line in lines for pool in from_line(line).pools if pool.startup_seconds]
        return round(seen[-1]) if seen else START_UP_SECONDS

    def outcome(self, who: Who, seed: int) -> Outcome:
        """What a run came to. Raises NotSound."""
        folder = self.of(who, seed)
        target = json.loads((folder / DONE).read_text())["target_per_second"]
        texts = Written(*((folder / name).read_text() for name in ("generator.log", "samples.jsonl", "canary.csv")))
        return outcome(who, seed, target, texts, self.plan)


def run(comparison: Comparison, seeds: Sequence[int], only: str | None) -> None:
    """Whatever was not run yet. Raises RunFailed or NoCapacity."""
    plan = comparison.plan
    if only in (None, PROBE, Who.KEDA.value):
        play(comparison.probe(), None, 0, probe_load(), plan)
    for seed in seeds:
        for who in ORDER:
            if only in (None, who.value):
                target = rounded(comparison.found()[1].target_per_second) if who is Who.KEDA else None
                play(comparison.of(who, seed), who, seed, comparison.rates, plan, target)


def write(comparison: Comparison, seeds: Sequence[int]) -> None:
    """The page and its picture, of what was run. Raises NotSound."""
    done = [(who, seed) for seed in seeds for who in ORDER if (comparison.of(who, seed) / DONE).exists()]
    if not any(who is Who.RECMODEL for who, _ in done):
        raise NotSound("RecModel was not run, so there is nothing to compare with")
    outcomes = [comparison.outcome(who, seed) for who, seed in done]
    capacity, best = comparison.found()
    PAGE.write_text(page(outcomes, comparison.plan, comparison.rates, capacity, best))
    draw([one for one in outcomes if one.seed == seeds[0]], comparison.plan, PICTURE)
    print(f"written: {PAGE} and {PICTURE}")


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m compare", description="HPA, KEDA and RecModel on the same load")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each, from seed 1 (default 3)")
    parser.add_argument("--only", choices=[PROBE, *(who.value for who in ORDER)], help="run this alone, write no page")
    parser.add_argument("--page", action="store_true", help="run nothing, write the page of what was run")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: at least one")
    if not options.page and os.environ.get("CLUSTER") != "local":
        parser.error(
            'the comparison reads Prometheus from this machine: it needs CLUSTER=local (eval "$(hack/cluster/env.sh)")'
        )
    signal.signal(signal.SIGTERM, _ended)  # what was set up is taken away then as well
    plan = Plan()
    step_seconds, recorded = read_trace(DEFAULT_TRACE)
    cache = Path(os.environ.get("RECMODEL_CACHE", Path.home() / ".cache/recmodel"))
    comparison = Comparison(plan, load(recorded, step_seconds, plan)[1], cache / "compare" / plan.key)
    seeds = range(1, options.seeds + 1)
    try:
        if not options.page:
            run(comparison, seeds, options.only)
        if options.only is None:
            write(comparison, seeds)
    except (RunFailed, NoCapacity, NotSound, FileNotFoundError) as problem:
        print(f"the comparison is not complete: {problem}", file=sys.stderr)
        return 1
    return 0


def _ended(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

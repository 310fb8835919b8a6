"""Those that are run on the same arrivals, each in a process of its own where there are cores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Any

from recmodel.lab.benchmark.days import SHARES, Case
from recmodel.lab.controllers.baselines import Hpa, Keda
from recmodel.lab.controllers.clairvoyant import clairvoyant
from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO, TARGETS, Search, best_in_hindsight
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.simulation import Controller, simulate

ENGINE, TUNED, KEDA, HPA = "RecModel", "KEDA of the day before", "KEDA", "HPA"  # the slow ones first
HPA_TARGET = 0.7
ENOUGH_PER_SECOND = (
    55.0  # of which a minute's share late is known well enough: the search runs in slow motion down to it
)
REFRESH_SECONDS = 0.5

Tell = Callable[[str, float], None]  # of whom, and the share of it done
Report = Callable[[float], None]


@dataclass(frozen=True)
class Ran:
    """A controller's setting, in words, and what it came to; no result where no setting was good enough."""

    setting: str
    result: Result | None


@dataclass(frozen=True)
class Task:
    """What is run: a case with its seed, and how many minutes over KEDA's settings may have at most; the same hours of the day before,
    where the load has them.
    """

    case: Case
    day_before: Case | None = None
    seed: int = 0
    most_over_ratio: float = ALLOWED_OVER_RATIO
    targets: tuple[float, ...] = TARGETS
    shares: tuple[float, ...] = SHARES

    def names(self) -> tuple[str, ...]:
        """Who is run."""
        return (ENGINE, KEDA, HPA) if self.day_before is None else (ENGINE, TUNED, KEDA, HPA)

    def settings(self) -> int:
        """How many settings of KEDA the search is over."""
        return len(self.targets) * len(self.shares)


def run_all(task: Task, tell: Tell, jobs: int) -> dict[str, Ran]:
    """All of them. KEDA is searched again, for the engine's own minutes over, where those are more than were allowed."""
    ran = _run(dict.fromkeys(task.names(), task), tell, jobs)
    engine = ran[ENGINE].result
    over = engine.summary().minutes_over_ratio if engine is not None else 0.0
    if over > task.most_over_ratio:
        ran |= _run({KEDA: replace(task, most_over_ratio=over)}, tell, 1)
    return ran


def _run(tasks: Mapping[str, Task], tell: Tell, jobs: int) -> dict[str, Ran]:
    if jobs == 1:
        return {name: run_one(name, task, tell) for name, task in tasks.items()}
    context = get_context("spawn")
    told: SimpleQueue[tuple[str, float]] = context.SimpleQueue()
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_remember, initargs=(told,)) as pool:
        running = {name: pool.submit(_told_run, name, task) for name, task in tasks.items()}
        left: set[Future[Any]] = set(running.values())
        while left:
            _, left = wait(left, timeout=REFRESH_SECONDS)
            while not told.empty():
                tell(*told.get())
        return {name: future.result() for name, future in running.items()}


_queue: list[SimpleQueue[tuple[str, float]]] = []  # of a worker: where it tells how far it is


def _remember(queue: SimpleQueue[tuple[str, float]]) -> None:
    _queue[:] = [queue]


def _told_run(name: str, task: Task) -> Ran:
    return run_one(name, task, lambda who, done: _queue[0].put((who, done)))


def run_one(name: str, task: Task, tell: Tell) -> Ran:
    """One of them."""

    def report(done: float) -> None:
        tell(name, done)

    scenario = task.case.scenario
    if name == ENGINE:
        return Ran("untuned", _simulated(task, EngineController(scenario, task.case.history), report))
    if name == HPA:
        setting = f"{HPA_TARGET:.0%} of the CPU, {scenario.pools[0].name} pods only"
        return Ran(setting, _simulated(task, Hpa(scenario, HPA_TARGET, 0.0), report))
    known = task.day_before if name == TUNED and task.day_before is not None else task.case
    return _best_keda(task, known, report)


def _best_keda(task: Task, known: Case, report: Report) -> Ran:
    """The cheapest setting within the minutes over on the load that is ``known``, run once more, on the one that is judged."""
    search = Search(
        task.most_over_ratio,
        kinds=("keda",),
        targets=task.targets,
        shares=task.shares,
        floor_cost_by_minute=clairvoyant(known.scenario, known.rates).cost_by_minute,
        slower=max(1.0, float(known.rates.mean()) / ENOUGH_PER_SECOND),
        seed=task.seed,
    )
    best = best_in_hindsight(known.scenario, known.rates, search, lambda done: report(0.8 * done))
    if best is None:
        report(1.0)
        return Ran("none is good enough", None)
    scenario = task.case.scenario
    per_replica = ", ".join(
        f"{best.target_ratio * pool.nominal_capacity_per_second():.0f}/s a {pool.name} pod" for pool in scenario.pools
    )
    setting = f"{per_replica}, {best.gpu_share:.0%} of the traffic to {scenario.pools[-1].name}"
    controller = Keda(scenario, best.target_ratio, best.gpu_share)
    return Ran(setting, _simulated(task, controller, lambda done: report(0.8 + 0.2 * done)))


def _simulated(task: Task, controller: Controller, report: Report) -> Result:
    result = simulate(task.case.scenario, task.case.rates, controller, task.seed, report)
    report(1.0)
    return result

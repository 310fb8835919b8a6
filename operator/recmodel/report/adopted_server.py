"""Which metrics profile fits workloads that run: by the histograms that Prometheus has of their pods, else by image, program
and ports. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recmodel.api.reference import POD_PROFILES
from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics
from recmodel.prometheus.edge_words import bounds
from recmodel.prometheus.profile import CUSTOM, Profile, profile_for
from recmodel.report.adopted import Existing
from recmodel.report.metric_checks import edge

# Words of images and programs, the first that fits counts.
_WORDS = (
    ("triton", "triton"), ("tensorflow-serving", "tensorflow-serving"), ("tensorflow/serving", "tensorflow-serving"),
    ("tensorflow_model_server", "tensorflow-serving"), ("openvino", "openvino"), ("ovms", "openvino"),
    ("mlserver", "mlserver"), ("bentoml", "bentoml"), ("kserve", "kserve"),
)  # fmt: skip
_PORTS = (
    (frozenset({8000, 8001, 8002}), "triton"),
    (frozenset({8500, 8501}), "tensorflow-serving"),
    (frozenset({8080, 8081, 8082}), "mlserver"),
)
_UNITS = (("_seconds", "s"), ("_milliseconds", "ms"), ("_ms", "ms"), ("_microseconds", "us"), ("_us", "us"))
_OF_REQUESTS = re.compile("request|latency|duration|infer|predict")
PLACEHOLDER = "request_duration_seconds"
SHIPPED = tuple(name for name in POD_PROFILES if name != CUSTOM)
MOST_NAMES = 6  # of histograms in a comment

Edges = Mapping[str, Mapping[str, float]]  # by workload, how many histograms have each ``le``


@dataclass(frozen=True, slots=True)
class Series:
    """What Prometheus has of the pods. ``problem``: why it is not known."""

    problem: str | None = None
    edges: Mapping[str, Edges] = field(default_factory=dict)  # by profile
    histograms: tuple[str, ...] = ()  # of the pods, without _bucket; asked for where no profile fits


@dataclass(frozen=True, slots=True)
class Choice:
    """The profile, or custom series, and what there is to say of it; ``open``: what has to be looked at."""

    metrics: Metrics
    said: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


def custom_histogram(histograms: Iterable[str]) -> LatencySeries | None:
    """The likeliest histogram of request times: its name ends in a unit, and tells of requests where one does."""
    likely = []
    for name in sorted(histograms):
        unit = next((unit for ending, unit in _UNITS if name.endswith(ending)), None)
        if unit is not None:
            likely.append((not _OF_REQUESTS.search(name), name, unit))
    if not likely:
        return None
    _, name, unit = min(likely)
    return LatencySeries.model_validate({"name": name, "unit": unit})


def choose(workloads: Sequence[Existing], series: Series, threshold_seconds: float) -> Choice:
    """The profile for all of them: a RecModel has one."""
    fitting = {workload.name: _fits(workload, series) for workload in workloads}
    votes = Counter(fit for fit in fitting.values() if fit is not None)
    if not votes:
        return _custom(workloads, series, threshold_seconds)
    (profile, why), _ = max(votes.items(), key=lambda vote: (vote[0][1] == _HISTOGRAM, vote[1]))
    metrics = Metrics.model_validate({"profile": profile})
    said, todo = _measured(workloads, series, profile_for(metrics), threshold_seconds)
    if why == _HISTOGRAM:
        found = [f"Profile {profile} fits: Prometheus has its histogram of the pods."]
    else:
        found = [f"Profile {profile} fits by {why}."]
    other = {name: fit[0] for name, fit in fitting.items() if fit is not None and fit[0] != profile}
    for name, fit in other.items():
        todo.append(f"{name} looks like {fit}, and a RecModel has one profile: adopt it by itself.")
    unknown = [name for name, fit in fitting.items() if fit is None]
    if unknown:
        todo.append(f"nothing tells which server {', '.join(unknown)} runs: see whether it is the same.")
    return Choice(metrics, (*found, *said), tuple(todo))


_HISTOGRAM = "its histogram"


def _fits(workload: Existing, series: Series) -> tuple[str, str] | None:
    """The profile of one workload, and by what it fits."""
    guessed = _guess(workload)
    measured = [name for name in SHIPPED if series.edges.get(name, {}).get(workload.name)]
    if measured:
        return (guessed[0] if guessed and guessed[0] in measured else measured[0]), _HISTOGRAM
    return guessed


def _guess(workload: Existing) -> tuple[str, str] | None:
    for texts, what in ((workload.images, "image"), (workload.programs, "command")):
        for word, profile in _WORDS:  # before the containers: of a server and its side-car the server's word counts
            for text in texts:
                if word in text.lower():
                    return profile, f"the {what} {text}" if what == "image" else f"the word {word} in the command"
    for ports, profile in _PORTS:
        if ports <= workload.ports:
            return profile, f"the ports {', '.join(map(str, sorted(ports)))} alone"
    return None


def _measured(
    workloads: Sequence[Existing], series: Series, profile: Profile, threshold_seconds: float
) -> tuple[list[str], list[str]]:
    """What is said of the histogram of each workload, and what has to be looked at."""
    latency = profile.latency
    if latency is None:
        return [], []
    name = f"{latency.name}_bucket"
    if series.problem is not None:
        return [], [
            f"whether Prometheus has {name} of the pods, and an edge at the threshold, is not known: {series.problem}: name it with "
            "--prometheus URL, or apply this and ask recmodel doctor."
        ]
    words: dict[tuple[bool, str], list[str]] = {}
    lacking = []
    for workload in workloads:
        if found := bounds(series.edges.get(profile.name, {}).get(workload.name, {}), latency):
            level, message = edge(found, threshold_seconds, latency)
            words.setdefault((level == "ok", message), []).append(workload.name)
        else:
            lacking.append(workload.name)
    said = [f"{', '.join(names)}: {message}." for (well, message), names in words.items() if well]
    todo = [f"{', '.join(names)}: {message}." for (well, message), names in words.items() if not well]
    if lacking:
        way_out = (
            profile.without_histogram or "let Prometheus read the pods (PodMonitor), with the labels namespace and pod"
        )
        there = f" It has {', '.join(series.histograms[:MOST_NAMES])}." if series.histograms else ""
        todo.append(f"Prometheus has no {name} of the pods of {', '.join(lacking)}: {way_out}.{there}")
    return said, todo


def _custom(workloads: Sequence[Existing], series: Series, threshold_seconds: float) -> Choice:
    """Series of their own: the likeliest of those that there are, or a name to be filled in."""
    latency = custom_histogram(series.histograms)
    metrics = custom_metrics(latency or LatencySeries(name=PLACEHOLDER, unit="s"))
    if latency is None:
        where = "" if series.problem is None else f" (Prometheus: {series.problem})"
        return Choice(
            metrics, open=(
                f"which server this is could not be found out from images, commands, ports and histograms{where}: set metrics.profile "
                f"to one of {', '.join(SHIPPED)}, or write the name and unit of the server's histogram of request times here. "
                f"{PLACEHOLDER} is only a place for it.",
            ),
        )  # fmt: skip
    said, todo = _measured(workloads, series, profile_for(metrics), threshold_seconds)
    others = [name for name in series.histograms if name != latency.name][:MOST_NAMES]
    also = f"; there are also {', '.join(others)}" if others else ""
    todo.insert(0, f"no profile fits. {latency.name} is the likeliest histogram of request times by its name{also}.")
    return Choice(metrics, tuple(said), tuple(todo))


def custom_metrics(latency: LatencySeries) -> Metrics:
    """``spec.metrics`` for a histogram of its own."""
    return Metrics(profile="custom", custom=CustomMetrics(latency=latency))

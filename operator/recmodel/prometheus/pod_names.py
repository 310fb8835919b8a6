"""Pods that carry no label of ours, as those of a workload that stands already: their series are found by the labels of the
target, ``namespace`` and ``pod``, which every PodMonitor and ServiceMonitor attaches.

The pods that are watched tell whose a series is. Two kinds of pods are no longer watched and count all the same, by the form of
their names: those that ended within the rate window, as the requests that they had are taken over only from then on; and those of
the past. The form tells ``feed-6d4cf56db6-x7k2p`` of the Deployment ``feed`` from ``feed-gpu-0`` and ``feed-gpu-84b5b4d6f9-z4z7k``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from recmodel.prometheus.profile import Identity, NamedPods, Profile, Selector
from recmodel.prometheus.promql import any_of, duration, literal, quoted, selector
from recmodel.prometheus.readings import ModelView

# Kubernetes makes a random name of so many characters and five, and cuts what is longer before the five.
LONGEST_BEGINNING = 58
# Of namespaces, and of beginnings, in one selector. The longest question has eleven selectors, and VictoriaMetrics takes 16 KiB.
MOST_CHARACTERS = 650
PREFIX_LABEL = "recmodel_pod_prefix"  # made within the questions that are not by pod
ANY_PAGE_LABEL = "recmodel_any_page"  # made for the pages of pods that had no series within the window

_PAGE = "job, instance, endpoint"
_LETTER = "[bcdfghjklmnpqrstvwxz2456789]"  # those of Kubernetes' hashes and random names
_ORDINAL = "[0-9]+"  # of a StatefulSet's pods
_HASHED = (
    f"(?:{_LETTER}{{1,10}}-)?{_LETTER}{{5,15}}"  # of a Deployment's; a long name has no room for the second hyphen
)
_FORMS = (_ORDINAL, _HASHED)


def pod_prefix(workload: str) -> str:
    """What the names of all pods of a Deployment or StatefulSet begin with: ``feed-`` for ``feed``."""
    return f"{workload}-"[:LONGEST_BEGINNING]


def by_name(profile: Profile, models: Sequence[ModelView]) -> Profile:
    """``profile`` for pods without labels of ours: by namespace and pod, bounded to those of ``models``."""
    named = NamedPods(matchers=matchers(models), served=profile.identity.served)
    return profile.model_copy(update={"identity": Identity(named=named)})


def matchers(models: Sequence[ModelView]) -> tuple[str, ...]:
    """Of all series of the pods of ``models``, and of few others: as long as ``MOST_CHARACTERS`` each, however many there are."""
    prefixes = {pool.pod_prefix for model in models for pool in model.pools if pool.pod_prefix}
    namespaces = any_of(model.namespace for model in models)
    if len(namespaces) > MOST_CHARACTERS:
        namespaces = beginning_with({model.namespace for model in models})
    return f"namespace{namespaces}", f"pod{beginning_with(prefixes)}"


def beginning_with(texts: Collection[str], most_characters: int = MOST_CHARACTERS) -> str:
    """A matcher for what begins with one of ``texts``: ``=~"(?:feed-|rank-).*"``; where that is longer than
    ``most_characters``, for what begins as they do.
    """

    def written(length: int) -> str:
        cut = sorted({text[:length] for text in texts})
        alternatives = "|".join(map(literal, cut))
        return f"=~{quoted(f'(?:{alternatives}).*')}"

    longest = max(map(len, texts))
    if len(whole := written(longest)) <= most_characters:
        return whole
    lengths = range(1, longest + 1)
    return written(max(1, bisect_right(lengths, most_characters, key=lambda length: len(written(length)))))


def owner_by_name(models: Sequence[ModelView]) -> Callable[[Mapping[str, str]], tuple[str, str] | None]:
    """From a series' labels to the key of its model and the pool; of ``models`` no two have a workload in common."""
    pools = {(model.namespace, pool.pod_prefix): (model.key, pool.name) for model in models for pool in model.pools}
    watched = {(model.namespace, pod): (model.key, pool) for model in models for pod, pool in model.pods.items()}
    forms = _forms(models)

    def owner(series: Mapping[str, str]) -> tuple[str, str] | None:
        namespace, pod = series.get("namespace", ""), series.get("pod", "")
        if prefix := series.get(PREFIX_LABEL):
            return pools.get((namespace, prefix))
        if (namespace, pod) in watched:
            return watched[namespace, pod]
        for beginning in _beginnings(pod):
            pool = pools.get((namespace, beginning))
            if pool is not None and forms[pool].fullmatch(pod, len(beginning)):
                return pool
        return None

    return owner


def _beginnings(pod: str) -> Iterable[str]:
    """What the prefix of its workload may be, the longest first."""
    if len(pod) > LONGEST_BEGINNING:
        yield pod[:LONGEST_BEGINNING]
    for parts in (1, 2):
        head, *rest = pod.rsplit("-", parts)
        if len(rest) == parts:
            yield f"{head}-"


def _forms(models: Sequence[ModelView]) -> dict[tuple[str, str], re.Pattern[str]]:
    """How the names of each pool's pods go on after the prefix: as those that are watched do. So a StatefulSet is not taken for the
    Deployment of the same name.
    """
    known = [re.compile(form) for form in _FORMS]
    either = re.compile("|".join(f"(?:{form})" for form in _FORMS))
    found = {}
    for model in models:
        names: dict[str, list[str]] = defaultdict(list)
        for pod, pool in model.pods.items():
            names[pool].append(pod)
        for view in model.pools:
            begins = len(view.pod_prefix or "")
            seen = [form for form in known if any(form.fullmatch(pod, begins) for pod in names[view.name])]
            found[model.key, view.name] = seen[0] if len(seen) == 1 else either
    return found


def by_workload(query: str, profile: Profile, models: Sequence[ModelView], *more: str) -> str:
    """The sum of a query by namespace and pod over the pods of each workload, those of the past included. By ``PREFIX_LABEL``
    instead of by pod, so that two weeks of pods are as many rows as there are pools; ``more``: what else it is by.
    """
    prefixes = sorted({pool.pod_prefix for m in models for pool in m.pools if pool.pod_prefix}, key=len, reverse=True)
    pattern = f"({'|'.join(map(literal, prefixes))})(?:{'|'.join(_FORMS)})"
    labels = ("namespace", PREFIX_LABEL, *profile.identity.labels[2:], *more)
    return f'sum by ({", ".join(labels)}) (label_replace({query}, "{PREFIX_LABEL}", "$1", "pod", {quoted(pattern)}))'


def up_by_pod(profile: Profile, chosen: Sequence[str], window_seconds: float) -> str:
    """Whether each pod's page is read. A pod may have other pages, such as a side-car's, or ports without one: it is the page that
    had the profile's series within the window. Of a pod that had none it is any that is read by the job of such a page; and any at
    all, with ``ANY_PAGE_LABEL``, for workloads that had none.
    """
    up, counted = selector(Selector(name="up"), chosen), _counted(profile, chosen, window_seconds)
    others = f"{up} unless on (namespace, pod) {counted}"
    its = f"min by (namespace, pod) ({up} and on (namespace, pod, {_PAGE}) {counted})"
    of_the_job = f"max by (namespace, pod) ({others} and on (namespace, job, endpoint) {counted})"
    any_page = f'label_replace(max by (namespace, pod) ({others}), "{ANY_PAGE_LABEL}", "1", "", "")'
    return f"{its} or {of_the_job} or {any_page}"


def scrapes_by_pod(profile: Profile, chosen: Sequence[str], window_seconds: float) -> str:
    """How often the same page with the profile's series is read, by pod: a page is identified by its address."""
    up = selector(Selector(name="up"), (*chosen, f"instance!={quoted('')}"))
    its = f"{up} and on (namespace, pod, {_PAGE}) {_counted(profile, chosen, window_seconds)}"
    return f"max by (namespace, pod) (count by (namespace, pod, instance) ({its}))"


def _counted(profile: Profile, chosen: Sequence[str], window_seconds: float) -> str:
    window = duration(window_seconds)
    parts = [f"last_over_time({selector(series, chosen)}[{window}])" for series in profile.requests]
    return f"({' or '.join(parts)})"

"""Which models are asked for together: those whose profiles name the same series, and why others are not asked for."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from recmodel.core.types import Reason
from recmodel.prometheus import readings
from recmodel.prometheus.pod_names import by_name
from recmodel.prometheus.profile import CUSTOM, Profile, profile_for
from recmodel.prometheus.readings import ModelView


@dataclass(frozen=True, slots=True)
class Groups:
    """The models of each profile, and by key why those of no group have no series that can be asked for."""

    members: tuple[tuple[Profile, tuple[ModelView, ...]], ...]
    refused: Mapping[str, Reason]

    def batches(self, most_models: int) -> Iterator[tuple[Profile, str, tuple[ModelView, ...]]]:
        """So many models of one profile and one namespace at most, with both."""
        for profile, models in self.members:
            by_namespace: dict[str, list[ModelView]] = defaultdict(list)
            for model in models:
                by_namespace[model.namespace].append(model)
            for namespace, mine in by_namespace.items():
                for begin in range(0, len(mine), most_models):
                    yield profile, namespace, tuple(mine[begin : begin + most_models])


def by_profile(models: Sequence[ModelView], most_custom: float = math.inf) -> Groups:
    """The models in groups. Custom series that differ are profiles that differ, ``most_custom`` of them at most."""
    profiles: dict[str, Profile] = {}
    members: dict[str, list[ModelView]] = defaultdict(list)
    refused: dict[str, Reason] = {}
    customs = 0
    for model in models:
        custom = model.metrics.custom
        shape = custom.model_dump_json() if custom and model.metrics.profile == CUSTOM else model.metrics.profile
        if shape not in profiles:
            try:
                profile = profile_for(model.metrics)
            except ValueError:
                said = "spec.metrics names no series that can be asked for"
                refused[model.key] = Reason(readings.PROFILE_REFUSED, said)
                continue
            customs += profile.name == CUSTOM
            if profile.name == CUSTOM and customs > most_custom:
                said = f"more than {most_custom:g} different spec.metrics.custom are in use"
                refused[model.key] = Reason(readings.TOO_MANY_CUSTOM_SERIES, said)
                continue
            profiles[shape] = profile
        profile = profiles[shape]
        if model.grpc and profile.grpc is not None:
            shape = f"{shape} over gRPC"
            profile = profiles.setdefault(shape, profile.over_grpc())
        if profile.refusal:
            refused[model.key] = Reason(readings.PROFILE_REFUSED, f"{profile.refusal}: {profile.remedy}")
        else:
            members[shape].append(model)
    parts = [part for shape, group in members.items() for part in _parts(profiles[shape], group)]
    return Groups(tuple(parts), refused)


def _parts(profile: Profile, models: Sequence[ModelView]) -> Iterator[tuple[Profile, tuple[ModelView, ...]]]:
    """The models whose pods carry our labels, and those whose pods do not. Of the latter several may look at one workload: each
    of them is in a part of its own, and all parts have the same questions.
    """
    if profile.scope != "pod" or not any(model.by_name for model in models):
        yield profile, tuple(models)
        return
    if labelled := tuple(model for model in models if not model.by_name):
        yield profile, labelled
    named = [model for model in models if model.by_name]
    parts: list[dict[tuple[str, str | None], ModelView]] = []
    for model in named:
        workloads = dict.fromkeys(((model.namespace, pool.pod_prefix) for pool in model.pools), model)
        part = next((part for part in parts if part.keys().isdisjoint(workloads)), None)
        if part is None:
            parts.append(part := {})
        part |= workloads
    profile = by_name(profile, named)
    yield from ((profile, tuple({model.key: model for model in part.values()}.values())) for part in parts)

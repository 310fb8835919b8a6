"""Which models are asked for together: those whose profiles name the same series, and why others are not asked for."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from recmodel.core.types import Reason
from recmodel.prometheus import readings
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
        if profile.refusal:
            refused[model.key] = Reason(readings.PROFILE_REFUSED, f"{profile.refusal}: {profile.remedy}")
        else:
            members[shape].append(model)
    return Groups(tuple((profiles[shape], tuple(group)) for shape, group in members.items()), refused)

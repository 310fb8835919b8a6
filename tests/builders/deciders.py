"""Deciders over a Prometheus that nobody asks."""

from __future__ import annotations

from recmodel.controller.decider import Decider
from recmodel.prometheus import GatherSettings


def decider() -> Decider:
    return Decider(None, GatherSettings(), 15.0, 0.0, 300.0)  # type: ignore[arg-type]

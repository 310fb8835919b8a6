"""An ablation lacks the part that it is named after, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from recmodel.core.types import Decision, Observation
from recmodel.lab.controllers.ablations import WithoutForecast, WithoutLearning
from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.simulator.scenario import Scenario
from recmodel.lab.simulator.simulation import simulate

pytestmark = pytest.mark.usefixtures("compiled_simulator")

LONG_WINDOW = Scenario(window_seconds=600.0)


class Beside:
    """The engine decides, and an ablation sees the same."""

    def __init__(self, scenario: Scenario) -> None:
        self.engine, self.ablation = EngineController(scenario), WithoutLearning(scenario)

    def decide(self, observation: Observation) -> Decision:
        self.ablation.decide(observation)
        return self.engine.decide(observation)


def test_without_learning_the_load_is_followed_as_by_the_engine_over_whatever_window() -> None:
    both = Beside(LONG_WINDOW)
    simulate(LONG_WINDOW, np.linspace(100.0, 140.0, 1200), both)
    level = both.engine._memory.forecast.level
    assert np.isfinite(level).all()
    assert both.ablation._forecast.level == pytest.approx(level)


def test_every_ablation_knows_the_window_of_the_rates_as_the_engine_does() -> None:
    engine = EngineController(LONG_WINDOW)._memory.fleet
    without_forecast, without_learning = WithoutForecast(LONG_WINDOW)._memory.fleet, WithoutLearning(LONG_WINDOW)._fleet
    assert engine.rate_window_seconds == LONG_WINDOW.window_seconds
    assert without_forecast.rate_window_seconds == without_learning.rate_window_seconds == engine.rate_window_seconds

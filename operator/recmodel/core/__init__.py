"""The decision: pure functions from values to values. They never read a clock, a network, an environment or a random number.

In the order of one step (``engine``): ``arrays`` (models and observations), ``pods``, ``forecast``, ``latency_budget``, ``capacity``,
``failures``, ``plan`` (the mix, then the guards), ``traffic`` (weights), ``explanation``. ``memory`` is what stays from tick to tick,
and ``reindex`` fits it to a changed set of models. ``types`` and ``reasons`` are what goes in and out.
"""

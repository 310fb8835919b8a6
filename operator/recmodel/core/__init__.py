"""The decision: pure functions from values to values. They never read a clock, a network, an environment or a random number.

In the order of one step (``engine``): ``arrays`` (models and observations), ``latency_budget``, ``failures``, ``pods``, ``forecast``,
``capacity``, ``plan`` (the mix, then the guards), ``traffic`` (weights), ``explanation``. ``memory`` is what stays from tick to tick,
and ``reindex`` fits it to a changed set of models. ``types`` and ``reasons`` are what goes in and out.
"""

"""The operator's process: kopf handlers, the tick loop, status, Events, metrics. Wiring only; what it wires is
judged in ``core``.
"""

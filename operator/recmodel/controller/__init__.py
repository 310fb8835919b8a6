"""The operator's process: kopf's process, the watches, the tick loop, status, Events, metrics. Wiring only; what it wires is
judged in ``core``.
"""

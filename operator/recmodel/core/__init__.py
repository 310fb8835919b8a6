"""The judgement: pure functions from values to values. It never reads a clock, a network, an environment or a random number."""

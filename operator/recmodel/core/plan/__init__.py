"""Replicas: the cheapest mix, and the guards that it passes before it is decided."""

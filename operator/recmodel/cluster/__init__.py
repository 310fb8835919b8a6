"""The outside: the Kubernetes API through one client, the children as pure builders, the watched inventory. Each
file is one port.

Nothing here judges load, capacity or price. ``traffic`` holds the gateway's rules, which are facts about the
outside, as a pure function.
"""

"""What the demo shows while it runs: readings of the cluster, the gateway's measurements and the load generator's
log.
"""

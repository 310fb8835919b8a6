"""What the operator would have done in a past that was measured: servers as they were seen, replicas that ran, minutes that were late."""

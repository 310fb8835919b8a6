"""Brings the children, the weights and the replicas to what is wanted, writing only what differs."""

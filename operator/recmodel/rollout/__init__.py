"""A new version or variant comes into the traffic step by step, and is taken back when it is worse. Pure."""

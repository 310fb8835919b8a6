"""A new version or variant comes into the traffic step by step, and is rolled back when it is worse. Pure."""

"""What one replica of each pool carries at the objective, learned from how many requests were late at which load."""

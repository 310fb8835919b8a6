"""Weights: the share of the traffic that each pool gets, within the accuracy budget."""

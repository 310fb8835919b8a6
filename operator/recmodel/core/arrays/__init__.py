"""The models and what was observed of them, as arrays: their axes and rings, and how they follow a changed set of models."""

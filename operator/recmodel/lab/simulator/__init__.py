"""A request-level simulation of one model under a controller."""

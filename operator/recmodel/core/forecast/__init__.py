"""The largest load expected within each pool's horizon, learned from the load itself."""

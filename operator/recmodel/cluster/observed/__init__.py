"""What stands in the cluster: objects read at one boundary, and the inventory of them."""

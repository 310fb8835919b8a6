"""How workloads that pools refer to are handed over to the operator, and back: what stands, the plan, and its sentences. Pure."""

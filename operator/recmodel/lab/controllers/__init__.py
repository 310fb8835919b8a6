"""Who decides in the lab: the engine, the engine with parts taken out, HPA and KEDA, and who knows the day in advance."""

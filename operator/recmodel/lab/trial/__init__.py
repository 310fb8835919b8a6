"""The first minute: the sample on a recorded half day, under the engine, an HPA, and the best KEDA setting in hindsight."""

"""RecModel: a Kubernetes operator for elastic recommender inference.

It deploys the CPU and accelerator pools of a recommender, learns from Prometheus what each can carry, forecasts the load, and
chooses the replicas of every pool and the traffic weights between them together. ``docs/architecture.md`` draws the whole.
"""

__version__ = "0.1.0"

"""The engine against HPA, KEDA and a clairvoyant on every trace: ``python -m recmodel.lab.benchmark``."""

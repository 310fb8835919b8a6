"""The real HorizontalPodAutoscaler, the real KEDA and RecModel, one after the other on the same pods under the same arrivals."""

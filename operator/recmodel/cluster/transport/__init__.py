"""The Kubernetes API: one client with limits, its errors, and watches."""

"""The demo's RecModel and nodes as the API server has them."""

from __future__ import annotations


def recmodel() -> dict[str, object]:
    pool = {"replicas": {"min": 1, "max": 6}, "port": 8080}
    pods = {"cpu": {"cpu": "200m"}, "gpu": {"cpu": "1", "nvidia.com/gpu": "1"}}
    pools = [
        {
            **pool,
            "name": name,
            "template": {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": limits}}]}},
        }
        for name, limits in pods.items()
    ]
    status = {
        "state": "Tracking",
        "reason": "Steady",
        "pools": [
            {
                "name": "cpu",
                "desired": 2,
                "ready": 2,
                "weight": 600,
                "capacityPerReplica": "25.5",
                "startupSeconds": "12",
            }
        ],
        "forecast": [
            {"pool": "cpu", "seconds": 15, "p50PerSecond": "60", "upperPerSecond": "75"},
            {"pool": "gpu", "seconds": 20, "p50PerSecond": "60", "upperPerSecond": "80"},
        ],
        "decisions": [
            {
                "time": "2023-11-14T22:13:20Z",
                "state": "Tracking",
                "replicas": {"cpu": 2, "gpu": 0},
                "weights": {"cpu": 1000, "gpu": 0},
                "reason": "Steady",
                "message": "m",
            }
        ],
    }
    return {
        "metadata": {"namespace": "demo", "name": "ranker", "creationTimestamp": "2023-11-14T22:12:00Z"},
        "spec": {"objective": {"latency": {"threshold": "100ms"}}, "pools": pools},
        "status": status,
    }


def nodes(label: str | None) -> list[dict[str, object]]:
    return [{"metadata": {"labels": {"recmodel.dev/accelerator": label} if label else {}}}]

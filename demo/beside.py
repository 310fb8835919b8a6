"""What the demo runs beside RecModel, on the same pods and the same requests: ``python -m beside --prefix REGISTRY/``.

Prints, for ``kubectl apply``, the demo's RecModel once more, with its CPU pool alone and in mode Recommend, and a HorizontalPodAutoscaler
with its defaults that scales that pool. Its 300 s of waiting before a release are shortened as the recording is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from compare.manifests import autoscaler, cpu_alone
from compare.plan import Plan, Who

SAMPLE = Path(__file__).resolve().parents[1] / "manifests/samples/ranker.yaml"
NAME, NAMESPACE, HOST = "ranker-hpa", "demo", "hpa.ranker.example"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="print what runs beside RecModel in the demo")
    parser.add_argument("--prefix", required=True, help="of the images, as in IMAGE_PREFIX")
    prefix = parser.parse_args().prefix
    model = cpu_alone(SAMPLE.read_text(), {"name": NAME, "namespace": NAMESPACE}, HOST, acts=False, prefix=prefix)
    items = [model, autoscaler(Who.HPA, model, Plan(), None)]
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


if __name__ == "__main__":
    main()

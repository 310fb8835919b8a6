"""Which version of its model a pool serves. It is kept in an annotation of the Deployment, written in the same apply as
the pods' environment: whoever reads the one knows the other, after a crash as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from recmodel.cluster import names

VERSION_VARIABLE = "RECMODEL_MODEL_VERSION"
URI_VARIABLE = "RECMODEL_MODEL_URI"
SHA256_VARIABLE = "RECMODEL_MODEL_SHA256"

POOL_ON_TRIAL = "pool"  # new to a model that serves: its share of the traffic grows in steps
VERSION_ON_TRIAL = "version"  # its pods are being replaced, or were just now


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a variant, and the accuracy that it was measured with."""

    variant: str
    version: str
    uri: str | None = None
    sha256: str | None = None
    metric: str | None = None
    value: str | None = None  # as it was written: a string, since the API has no floats

    @property
    def name(self) -> str:
        """``int8@7``."""
        return f"{self.variant}@{self.version}"

    def environment(self) -> list[dict[str, str]]:
        """What the pods are told of it; a variable that is not known is left out."""
        values = {VERSION_VARIABLE: self.version, URI_VARIABLE: self.uri, SHA256_VARIABLE: self.sha256}
        return [{"name": name, "value": value} for name, value in values.items() if value is not None]


@dataclass(frozen=True, slots=True)
class Serving:
    """What a pool's Deployment is made for."""

    now: ModelVersion | None = None  # None: no version is known, the pods are as the template alone says
    before: ModelVersion | None = None  # to which a bad one goes back
    refused: str | None = None  # the name of the version that was taken back: not tried again
    trial: str | None = None  # what is still on trial here: POOL or VERSION; None: nothing


AS_WRITTEN = Serving()


def annotation(serving: Serving) -> dict[str, str]:
    """The Deployment's annotation; none where there is nothing to say, so that unversioned pools stay as they are."""
    return {} if serving == AS_WRITTEN else {names.SERVING_ANNOTATION: json.dumps(asdict(serving), sort_keys=True)}


def serving_of(deployment: Mapping[str, Any]) -> Serving:
    """What a Deployment is made for; ``AS_WRITTEN`` where it does not say so in words that can be read."""
    text = deployment["metadata"].get("annotations", {}).get(names.SERVING_ANNOTATION)
    if text is None:
        return AS_WRITTEN
    try:
        found = json.loads(text)
        now, before = (ModelVersion(**found[key]) if found[key] else None for key in ("now", "before"))
        return Serving(now, before, found["refused"], found["trial"])
    except (ValueError, TypeError, KeyError):  # another operator's words, or somebody's edit
        return AS_WRITTEN

"""Which version of its model a pool serves. It is kept in an annotation of the Deployment, written in the same apply as
the pods' environment: whoever reads the one knows the other, after a crash as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from recmodel.api.quantity import Decimal, Name, VersionName
from recmodel.api.shown import shown
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
        """``int8@7``; the version alone where the variant is not known."""
        return f"{self.variant}@{self.version}" if self.variant else self.version

    def environment(self) -> list[dict[str, str]]:
        """What the pods are given of it; a variable that is not known is left out."""
        values = {VERSION_VARIABLE: self.version, URI_VARIABLE: self.uri, SHA256_VARIABLE: self.sha256}
        return [{"name": name, "value": value} for name, value in values.items() if value is not None]


@dataclass(frozen=True, slots=True)
class Serving:
    """What a pool's Deployment is made for."""

    now: ModelVersion | None = None  # None: no version is known, the pods are as the template alone says
    before: ModelVersion | None = None  # to which a bad one goes back
    refused: str | None = None  # the name of the version that was rolled back: not tried again
    trial: str | None = None  # what is still on trial here: POOL or VERSION; None: nothing


AS_WRITTEN = Serving()


def annotation(serving: Serving) -> dict[str, str]:
    """The Deployment's annotation; none where there is nothing to say, so that unversioned pools stay as they are."""
    return {} if serving == AS_WRITTEN else {names.SERVING_ANNOTATION: json.dumps(asdict(serving), sort_keys=True)}


def serving_of(annotations: Mapping[str, str]) -> Serving:
    """What a Deployment with these annotations is made for; ``ValueError`` where it says so in words that cannot be read."""
    text = annotations.get(names.SERVING_ANNOTATION)
    if text is None:
        return AS_WRITTEN
    try:
        found = _Written.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f".{part}" for part in first["loc"])
        raise ValueError(
            f"annotation {names.SERVING_ANNOTATION}{place} is {shown(first['input'])}: {first['msg']}"
        ) from None
    now, before = (ModelVersion(**dict(version)) if version else None for version in (found.now, found.before))
    return Serving(now, before, found.refused, found.trial)


def serving_of_pods(labels: Mapping[str, str], environment: Mapping[str, str]) -> Serving:
    """What pods of this template serve by their own label and variables, where the annotation cannot be read. Which variant
    it is of they do not say.
    """
    version = labels.get(names.VERSION_LABEL)
    if version is None:
        return AS_WRITTEN
    return Serving(ModelVersion("", version, environment.get(URI_VARIABLE), environment.get(SHA256_VARIABLE)))


class _Version(BaseModel):
    """A version as the annotation has it: what is read becomes names, labels and variables."""

    model_config = ConfigDict(strict=True, extra="ignore")

    variant: Name
    version: VersionName
    uri: str | None = None
    sha256: str | None = None
    metric: str | None = None
    value: Decimal | None = None


class _Written(BaseModel):
    """The annotation."""

    model_config = ConfigDict(strict=True, extra="ignore")

    now: _Version | None
    before: _Version | None
    refused: str | None
    trial: Literal["pool", "version"] | None

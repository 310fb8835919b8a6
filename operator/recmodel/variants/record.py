"""The record of the kept variants, written to the cluster as a ConfigMap that its RecModel owns."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from kubernetes.aio.config import ConfigException

from recmodel.cluster import names
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ClusterError
from recmodel.variants.errors import InputError

USER_AGENT = "recmodel-optimise"


@dataclass(frozen=True)
class Target:
    """The RecModel that a record is for, as it stands in the cluster."""

    namespace: str
    recmodel: str
    owner: dict[str, Any]


def read_target(text: str) -> tuple[str, str]:
    """The namespace and name in ``NAMESPACE/RECMODEL``. Raises InputError where it is none."""
    match = re.fullmatch(r"([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/([a-z0-9](?:[-a-z0-9]{0,50}[a-z0-9])?)", text)
    if not match:
        raise InputError("record", text, "must be NAMESPACE/RECMODEL")
    return match[1], match[2]


def find(text: str) -> Target:
    """The RecModel named by ``text``, read now: minutes of work must not end at a name that is wrong."""
    namespace, name = read_target(text)
    owner = _asked(text, _get(namespace, name))
    return Target(namespace, name, owner)


def write(target: Target, config_map: dict[str, Any]) -> None:
    """Applies the ConfigMap, owned by its RecModel, so that it goes when that goes."""
    reference = {
        "apiVersion": target.owner["apiVersion"],
        "kind": target.owner["kind"],
        "name": target.recmodel,
        "uid": target.owner["metadata"]["uid"],
    }
    metadata = config_map["metadata"] | {"ownerReferences": [reference]}
    _asked(f"{target.namespace}/{target.recmodel}", _apply(config_map | {"metadata": metadata}))


def _asked(text: str, call: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = asyncio.run(call)
    except (ClusterError, ConfigException) as error:
        raise InputError("record", text, f"the cluster did not take it ({error})") from error
    return answer


async def _get(namespace: str, name: str) -> dict[str, Any]:
    async with Client(await credentials.load(), user_agent=USER_AGENT) as client:
        return await client.get(names.RECMODEL, namespace, name)


async def _apply(config_map: dict[str, Any]) -> dict[str, Any]:
    async with Client(await credentials.load(), user_agent=USER_AGENT) as client:
        return await client.apply(names.CONFIG_MAP, config_map)

"""The CapacityBuffer of a pool: for how many of its replicas the node autoscaler keeps room, beside those that run. Pure."""

from __future__ import annotations

from recmodel.api.pool import PoolSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Object, Owner, child


def node_buffer(kind: names.Kind, owner: Owner, pool: PoolSpec, replicas: int) -> Object:
    """The buffer of so many replicas. What one of them needs the autoscaler reads from the workload: the pool's Deployment, or the
    target that it names. The strategy is the API's default, nodes that run.
    """
    return child(kind, owner, pool.name, {"scalableRef": _scalable(owner, pool), "replicas": replicas})


def _scalable(owner: Owner, pool: PoolSpec) -> dict[str, str]:
    target = pool.target_ref
    if target is None:
        made = names.DEPLOYMENT
        return {"apiGroup": made.group, "kind": made.kind, "name": names.child_name(owner.name, pool.name)}
    return {"apiGroup": target.api_version.rpartition("/")[0], "kind": target.kind, "name": target.name}

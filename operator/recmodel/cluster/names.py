"""Names and addresses: labels, the names of the children, and where each kind lives in the API."""

from __future__ import annotations

from dataclasses import dataclass

from recmodel.api.v1alpha1 import GROUP, KIND, PLURAL, VERSION

FIELD_MANAGER = "recmodel"
REPAIRING = "recmodel-repair"  # the field manager of the rare write that is no apply
HANDING_OVER = "recmodel-handover"  # the field manager of a user who hands workloads over or back
MODEL_LABEL = f"{GROUP}/model"
POOL_LABEL = f"{GROUP}/pool"
APPLIED_ANNOTATION = f"{GROUP}/applied"  # hash of what was applied: a child that carries it needs no write
OWNER_ANNOTATION = f"{GROUP}/owner-uid"  # of the RecModel: whose a child is that has lost its owner reference
BACKENDS_ANNOTATION = f"{GROUP}/backends"  # since when each place among the route's backends is whose
SERVING_ANNOTATION = f"{GROUP}/serving"  # which version of its model a Deployment was made for
VERSION_LABEL = f"{GROUP}/version"  # on pods, where a version is known
HANDOVER_LABEL = f"{GROUP}/handover-of"  # on the ConfigMap that keeps what scaled the pools of a RecModel
ON_DELETE_ANNOTATION = f"{GROUP}/on-delete"  # on the same: whether deleting the RecModel restores what it holds
POOL_HEADER = "x-recmodel-pool"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of API object and where it lives: ``group_version`` is ``v1`` or ``apps/v1``."""

    kind: str
    group_version: str
    plural: str

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.group_version.rpartition("/")[0]

    @property
    def root(self) -> str:
        """The URL path of its group and version, where the API server says what it serves of them."""
        return ("/api/" if "/" not in self.group_version else "/apis/") + self.group_version

    @property
    def resource(self) -> str:
        """As kubectl and RBAC name it: ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path; without a namespace all namespaces, without a name the whole list."""
        path = self.root
        path += f"/namespaces/{namespace}" if namespace else ""
        path += f"/{self.plural}"
        path += f"/{name}" if name else ""
        return path + (f"/{subresource}" if subresource else "")


RECMODEL = Kind(KIND, f"{GROUP}/{VERSION}", PLURAL)
DEPLOYMENT = Kind("Deployment", "apps/v1", "deployments")
STATEFUL_SET = Kind("StatefulSet", "apps/v1", "statefulsets")
POD = Kind("Pod", "v1", "pods")
SERVICE = Kind("Service", "v1", "services")
DISRUPTION_BUDGET = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
ROUTE = Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes")
GRPC_ROUTE = Kind("GRPCRoute", "gateway.networking.k8s.io/v1", "grpcroutes")
POD_MONITOR = Kind("PodMonitor", "monitoring.coreos.com/v1", "podmonitors")
# Of the Cluster Autoscaler and Karpenter, the newest version first: an older autoscaler has the second one alone.
CAPACITY_BUFFERS = (
    Kind("CapacityBuffer", "autoscaling.x-k8s.io/v1beta1", "capacitybuffers"),
    Kind("CapacityBuffer", "autoscaling.x-k8s.io/v1alpha1", "capacitybuffers"),
)
CONFIG_MAP = Kind("ConfigMap", "v1", "configmaps")
JOB = Kind("Job", "batch/v1", "jobs")
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases")
EVENT = Kind("Event", "v1", "events")
ACCESS_REVIEW = Kind("SelfSubjectAccessReview", "authorization.k8s.io/v1", "selfsubjectaccessreviews")
AUTOSCALER = Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers")
SCALED_OBJECT = Kind("ScaledObject", "keda.sh/v1alpha1", "scaledobjects")
# Tools that replace a Deployment's pods, or shift its traffic, by themselves.
CANARY = Kind("Canary", "flagger.app/v1beta1", "canaries")
ARGO_ROLLOUT = Kind("Rollout", "argoproj.io/v1alpha1", "rollouts")

ROUTES = (ROUTE, GRPC_ROUTE)  # a RecModel has one of them, by what its pools speak
CHILD_KINDS = (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET, *ROUTES, POD_MONITOR)
OWNED_KINDS = (*CHILD_KINDS, *CAPACITY_BUFFERS)  # buffers are there for pools by reference, too, and are written apart

# Whose replicas and pods a pool by reference may be without any setting, by the kind's name.
REFERABLE = {kind.kind: kind for kind in (DEPLOYMENT, STATEFUL_SET)}


def child_name(model: str, pool: str) -> str:
    """The name of a pool's children: ``ranker-cpu``."""
    return f"{model}-{pool}"


def labels(model: str, pool: str | None = None) -> dict[str, str]:
    """The labels of every child; with a pool, of that pool's."""
    result = {MODEL_LABEL: model, "app.kubernetes.io/managed-by": "recmodel", "app.kubernetes.io/name": model}
    return {**result, POOL_LABEL: pool} if pool else result

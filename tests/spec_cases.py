"""Specs that are refused, and specs that are taken, as tables: for the types (tests/unit) and for a real API server (tests/cluster).

A case changes the valid RecModel of :func:`recmodel` at one path. A path is dotted, numbers are places in lists, ``POD`` and ``BOX``
stand for the first pool's pod and its first container.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

POD = "spec.pools.0.template.spec"
BOX = f"{POD}.containers.0"
META = "spec.pools.0.template.metadata"
Object = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A value at a path; ``says`` is what each refusal names beside the field, ``by_schema`` whether the API server refuses it, too."""

    path: str
    value: Any
    says: str = ""
    by_schema: bool = True

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{self.path.replace(BOX, 'BOX').replace(POD, 'POD').replace('spec.', '')}={str(self.value)[:60]}"

    def body(self) -> Object:
        """The RecModel with the change."""
        made = recmodel()
        *parents, last = [int(part) if part.isdigit() else part for part in self.path.split(".")]
        node: Any = made
        for part in parents:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        if isinstance(last, int) and last == len(node):
            node.append(copy.deepcopy(self.value))
        else:
            node[last] = copy.deepcopy(self.value)
        return made

    @property
    def field(self) -> str:
        """The field as both refusals name it; of a map's key, or what is decided further up, a part of it."""
        text = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in self.path.split("."))
        return text.removeprefix(".")


def recmodel() -> Object:
    """A valid RecModel with something in most fields."""
    container = {
        "name": "server",
        "image": "server:1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "A", "value": "1"}],
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    pools = [
        {"name": name, "replicas": {"min": 1, "max": 4}, "port": 8080,
         "template": {"metadata": {"labels": {"team": "feed"}}, "spec": copy.deepcopy(pod)}}
        for name in ("cpu", "gpu")
    ]  # fmt: skip
    return {
        "apiVersion": "recmodel.dev/v1alpha1",
        "kind": "RecModel",
        "metadata": {"name": "feed", "namespace": "default"},
        "spec": {
            "objective": {"latency": {"percentile": 95, "threshold": "100ms"}, "accuracy": {"maxLoss": "1%"}},
            "route": {"parentRefs": [{"name": "edge", "namespace": "gateways"}], "hostnames": ["feed.shop.example"]},
            "variants": [
                {"name": "full", "accuracy": {"metric": "AUC", "value": "0.8"}},
                {"name": "int8", "accuracy": {"metric": "AUC", "value": "0.79"}},
            ],
            "pools": pools,
        },
    }


def _refused() -> list[Case]:
    cases = [Case("metadata.name", name) for name in ("my.model", "1model", "My", "-a", "m" * 51)]
    cases += [Case("spec.pools.0.name", name) for name in ("my.pool", "1pool", "CPU", "a-", "x" * 41, "")]
    # Numbers and durations.
    latency = "spec.objective.latency"
    cases += [
        Case(f"{latency}.percentile", value)
        for value in (100, 99.95, 49.9, 49, "99.99", "p95", -1, True, [], {}, "1e2", "")
    ]
    cases += [
        Case(f"{latency}.threshold", value)
        for value in ("0ms", "0s", "0.0s", "11m", "1h", "9999h", "-1s", "1e3ms", "1d", "fast", "")
    ]
    cases += [Case("spec.rollout.stepDuration", value) for value in ("25h", "99999h", "soon")]
    cases += [
        Case(
            "spec.optimisation",
            {"deadline": value, "template": {"spec": {"containers": [{"name": "o", "image": "o"}]}}},
        )
        for value in ("0s", "169h")
    ]
    cases += [
        Case("spec.rollout.steps", value)
        for value in (["50%", "25%"], ["5%", "5%"], ["5%", "5.0%"], ["0%", "5%"], ["100%"], [])
    ]
    cases += [
        Case(f"spec.rollout.{field}", value)
        for field in ("maxLateExcess", "maxErrorExcess")
        for value in ("0%", "0.00%", "-1%", "NaN%", "1")
    ]
    quality = {"successes": {"name": "a"}, "trials": {"name": "b"}}
    cases += [
        Case("spec.rollout.quality", {**quality, **bad}) for bad in ({"maxLoss": "0%"}, {"confirmWithin": "200h"})
    ]
    cases += [
        Case("spec.pools.0.costPerHour", value) for value in ("1e400", "abc", "NaN", "-1", "Infinity", "0x1", "", 1.5)
    ]
    cases += [Case("spec.objective.accuracy.maxLoss", value) for value in ("1e400%", "abc", "NaN%", "-1%", "100%", "1")]
    cases += [Case("spec.variants.0.accuracy.value", value) for value in ("1e400", "abc", "NaN", "-1", "inf")]
    cases += [Case("spec.variants.1.accuracy.metric", "NDCG", "must be the same for all")]
    cases += [
        Case("spec.pools.0.replicas", {"min": 3, "max": 2}, "must not be above"),
        Case("spec.pools.0.replicas.max", 0),
    ]
    for side in ("requests", "limits"):
        cases += [
            Case(f"{BOX}.resources.{side}.memory", value)
            for value in (
                "1e400",
                "1e19",
                "abc",
                "NaN",
                "-1",
                "1GB",
                "1 Gi",
                "",
                "1.2.3",
                "--1",
                -1,
                1e300,
                True,
                [],
                {},
                ["1"],
                {"a": 1},
            )
        ]
    cases += [
        Case(f"{BOX}.resources.requests.cpu", "2", "must not be above limits.cpu", by_schema=False),
        Case(f"{BOX}.resources.limits", {"gpu": "1"}, "gpu: must be", by_schema=False),
        Case(f"{BOX}.resources.limits", {"nvidia.com/gpu": "0.5"}, "whole number", by_schema=False),
        Case(f"{BOX}.resources.requests", {"nvidia.com/gpu": "1"}, "must be set to the same", by_schema=False),
        Case(f"{BOX}.resources.limits", {"hugepages-2Mi": "3Mi"}, "must be a multiple of 2Mi", by_schema=False),
        Case(f"{BOX}.resources", {"limits": {"hugepages-2Mi": "2Mi"}}, "cpu or memory must be set", by_schema=False),
        Case(f"{POD}.volumes.0.emptyDir.sizeLimit", "-1Gi"),
    ]
    # Containers.
    cases += [Case(f"{BOX}.name", value) for value in ("Server", "my.server", "a_b", "-a", "", "x" * 64)]
    cases += [Case(f"{BOX}.image", value) for value in ("", " ", "a b", " server:1")]
    cases += [
        Case(f"{BOX}.imagePullPolicy", "Sometimes"),
        Case(f"{BOX}.terminationMessagePolicy", "Never"),
        Case(f"{POD}.containers.1", {"name": "server", "image": "b"}),
        Case(f"{POD}.initContainers", [{"name": "server", "image": "b"}], "each name may stand once"),
        Case(
            f"{POD}.initContainers",
            [{"name": "i", "image": "b", "livenessProbe": {"exec": {"command": ["a"]}}}],
            "only with restartPolicy Always",
        ),
        Case(f"{POD}.initContainers", [{"name": "i", "image": "b", "restartPolicy": "OnFailure"}]),
        Case(f"{BOX}.restartPolicy", "Always"),
        Case(f"{BOX}.ports", [{"containerPort": 8080}, {"containerPort": 8080, "protocol": "TCP"}], "may stand once"),
        Case(
            f"{BOX}.ports",
            [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}],
            "each name may stand once",
        ),
        Case(f"{BOX}.ports.0.protocol", "UDP", "must have protocol TCP"),
        Case(f"{BOX}.ports.0.protocol", "HTTP"),
        Case(f"{BOX}.ports.0.hostPort", 8080),
        Case(f"{BOX}.ports.0.containerPort", 0),
    ]
    cases += [Case(f"{BOX}.ports.0.name", value) for value in ("recmodel", "HTTP", "a--b", "123", "-a", "a" * 16, "")]
    cases += [
        Case(f"{BOX}.env.1", {"name": "A", "value": "2"}),
        Case(f"{BOX}.env.0.name", ""),
        Case(f"{BOX}.env.0.name", "a=b"),
        Case(f"{BOX}.env.0.value", 1),
        Case(f"{BOX}.env.0.valueFrom", {"fieldRef": {"fieldPath": "metadata.name"}}, "both value and valueFrom"),
    ]
    cases += [
        Case(f"{BOX}.env.0", {"name": "B", "valueFrom": source})
        for source in (
            {},
            {"fieldRef": {"fieldPath": "metadata.name"}, "secretKeyRef": {"name": "s", "key": "k"}},
            {"fieldRef": {"fieldPath": "spec.hostname"}},
            {"fieldRef": {}},
            {"resourceFieldRef": {"resource": "limits.gpu"}},
            {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "7"}},
            {"secretKeyRef": {"name": "S_", "key": "k"}},
            {"secretKeyRef": {"name": "s", "key": "a/b"}},
            {"secretKeyRef": {"name": "s"}},
        )
    ]
    cases += [
        Case(f"{BOX}.envFrom", [source])
        for source in (
            {},
            {"prefix": "A"},
            {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}},
            {"configMapRef": {"name": "A"}},
        )
    ]
    # Volumes.
    cases += [
        Case(f"{POD}.volumes.0", {"name": "tmp", **source})
        for source in (
            {},
            {"emptyDir": {}, "configMap": {"name": "a"}},
            {"hostPath": {"path": "/"}},
            {"emptyDir": {"medium": "Disk"}},
            {"configMap": {}},
            {"configMap": {"name": "A"}},
            {"configMap": {"name": "a", "defaultMode": 1000}},
            {"configMap": {"name": "a", "items": [{"key": "k", "path": "../etc"}]}},
            {"configMap": {"name": "a", "items": [{"key": "k", "path": "/etc"}]}},
            {"secret": {"name": "a"}},
            {"persistentVolumeClaim": {}},
            {"csi": {}},
            {"csi": {"driver": "a b"}},
            {"projected": {"sources": []}},
            {"projected": {"sources": [{}]}},
            {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            {"ephemeral": {}},
            {"image": {"reference": ""}},
            {"nfs": {"server": "a", "path": "/"}},
        )
    ]
    cases += [
        Case(f"{POD}.volumes.0.name", "Tmp"),
        Case(f"{POD}.volumes.1", {"name": "tmp", "emptyDir": {}}),
        Case(f"{BOX}.volumeMounts.0.name", "other", "each name must be that of one of volumes"),
        Case(f"{BOX}.volumeMounts.1", {"name": "tmp", "mountPath": "/tmp"}),
        Case(f"{BOX}.volumeMounts.0.mountPath", ""),
        Case(f"{BOX}.volumeMounts.0.mountPath", "/a:b"),
        Case(f"{BOX}.volumeMounts.0.subPath", "../x"),
        Case(f"{BOX}.volumeMounts.0.mountPropagation", "Bidirectional"),
        Case(f"{BOX}.resources.claims", [{"name": "gpu"}], "one of resourceClaims"),
        Case(f"{POD}.resourceClaims", [{"name": "gpu"}]),
    ]
    # Probes and hooks.
    get: Object = {"path": "/", "port": 8080}
    cases += [
        Case(f"{BOX}.readinessProbe", probe)
        for probe in (
            {},
            {"httpGet": get, "tcpSocket": {"port": 1}},
            {"httpGet": {"path": "/"}},
            {"httpGet": {**get, "port": 0}},
            {"httpGet": {**get, "port": "8080"}},
            {"httpGet": {**get, "port": "HTTP"}},
            {"httpGet": {**get, "scheme": "http"}},
            {"httpGet": {**get, "host": "169.254.169.254"}},
            {"tcpSocket": {"port": 1, "host": "10.0.0.1"}},
            {"httpGet": get, "failureThresold": 3},
            {"httpGet": get, "periodSeconds": -1},
            {"httpGet": get, "terminationGracePeriodSeconds": 3},
            {"grpc": {"port": "grpc"}},
        )
    ]
    cases += [
        Case(f"{BOX}.livenessProbe", {"httpGet": get, "successThreshold": 2}),
        Case(f"{BOX}.lifecycle.preStop", {}),
        Case(f"{BOX}.lifecycle.postStart", {"exec": {"command": []}}),
        Case(f"{BOX}.lifecycle.preStop", {"httpGet": {**get, "host": "a"}}, "host must not be set"),
        Case(f"{BOX}.lifecycle.postStart", {"exec": {}, "sleep": {"seconds": 1}}),
        Case(f"{BOX}.lifecycle.preStop", {"sleep": {"seconds": 30}}, "below terminationGracePeriodSeconds"),
        Case(f"{BOX}.lifecycle.preStop", {"sleep": {"seconds": -1}}),
    ]
    # Rights.
    cases += [
        Case(f"{BOX}.securityContext", context)
        for context in (
            {"privileged": True},
            {"allowPrivilegeEscalation": True},
            {"capabilities": {"add": ["SYS_ADMIN"]}},
            {"capabilities": {"add": ["NET_ADMIN"]}},
            {"procMount": "Unmasked"},
            {"runAsUser": -1},
            {"seccompProfile": {"type": "Unconfined"}},
            {"seccompProfile": {"type": "Localhost"}},
            {"runAsUser": 0, "runAsNonRoot": True},
        )
    ]
    cases += [
        Case(f"{POD}.{field}", value)
        for field, value in (
            ("hostNetwork", True),
            ("hostPID", True),
            ("hostIPC", True),
            ("restartPolicy", "Never"),
            ("restartPolicy", "OnFailure"),
            ("dnsPolicy", "None"),
            ("dnsPolicy", "ClusterFirstWithHostNet"),
            ("serviceAccount", "admin"),
            ("automountServiceAccountToken", True),
            ("nodeName", "n1"),
            ("schedulingGates", [{"name": "a"}]),
            ("ephemeralContainers", []),
            ("os", {"name": "windows"}),
            ("terminationGracePeriodSeconds", 0),
            ("terminationGracePeriodSeconds", 3601),
            ("activeDeadlineSeconds", 5),
            ("priorityClassName", "High"),
            ("imagePullSecrets", [{}]),
            ("imagePullSecrets", [{"name": "a"}, {"name": "a"}]),
            ("runtimeClassName", "A"),
            ("dnsConfig", {"nameservers": ["a"]}),
            ("dnsConfig", {"nameservers": ["256.1.1.1"]}),
            ("dnsConfig", {"nameservers": ["1::2::3"]}),
            ("dnsConfig", {"searches": ["/x"]}),
            ("hostAliases", [{"ip": "a:b"}]),
            ("terminationGracePeriodSeconds", "30"),
            ("terminationGracePeriodSeconds", True),
            ("hostUsers", "true"),
            ("securityContext", {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        )
    ]
    # Labels.
    bad_keys = ("", "a b", "-a", "a/", "/a", "A/b/c", "Prefix/a", "x" * 64, "a" * 254 + "/b", "p/" + "x" * 64)
    for place in (f"{META}.labels", f"{META}.annotations", f"{POD}.nodeSelector"):
        cases += [Case(place, {key: "v"}, "each key must be") for key in bad_keys]
    for place in (f"{META}.labels", f"{POD}.nodeSelector"):
        cases += [Case(f"{place}.team", value) for value in ("a b", "-a", "x" * 64, "a/b", 1)]
    # Scheduling.
    node = f"{POD}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    cases += [
        Case(node, value)
        for value in (
            [],
            [{"matchExpressions": [{"key": "a", "operator": "In"}]}],
            [{"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}],
            [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}],
            [{"matchExpressions": [{"key": "a b", "operator": "Exists"}]}],
            [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1", "2"]}]}],
            [{"matchExpresions": []}],
        )
    ]
    cases += [
        Case(f"{POD}.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution", value)
        for value in (
            [{"weight": 0, "podAffinityTerm": {"topologyKey": "zone"}}],
            [{"weight": 1, "podAffinityTerm": {}}],
            [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "zone",
                        "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]},
                    },
                }
            ],
        )
    ]
    cases += [
        Case(f"{POD}.tolerations", [value])
        for value in (
            {},
            {"operator": "Exist"},
            {"key": "a b"},
            {"key": "a", "operator": "Exists", "value": "v"},
            {"key": "a", "effect": "No"},
            {"key": "a", "tolerationSeconds": 5},
            {"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5},
        )
    ]
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    cases += [
        Case(f"{POD}.topologySpreadConstraints", value)
        for value in (
            [{**spread, "maxSkew": 0}],
            [{**spread, "whenUnsatisfiable": "Never"}],
            [spread, spread],
            [{**spread, "minDomains": 2}],
            [{"maxSkew": 1}],
        )
    ]
    # The route, and where metrics come from.
    cases += [
        Case("spec.route.hostnames.0", value)
        for value in ("*", "*.", "a.*.b", "*a.b", "A.b", "a_b", "a..b", "a:80", "http://a", "", "x" * 254)
    ]
    cases += [
        Case("spec.route.paths", [value])
        for value in (
            "",
            "a",
            "//",
            "/a//b",
            "/./a",
            "/a/../b",
            "/a/..",
            "/.",
            "/a%2fb",
            "/a%2Fb",
            "/a#b",
            "/a?b",
            "/a b",
            "/%zz",
            "/" + "x" * 253,
        )
    ]
    edge = {"name": "edge", "namespace": "gateways"}
    cases += [
        Case("spec.route.hostnames", ["a.b", "a.b"]),
        Case("spec.route.paths", ["/a", "/a"]),
        Case("spec.route.paths", []),
        Case("spec.route.parentRefs", [edge, edge], "only with different sectionNames"),
        Case("spec.route.parentRefs", [edge, {**edge, "sectionName": "a"}], "only with different sectionNames"),
        Case("spec.route.parentRefs.0.name", ""),
        Case("spec.route.parentRefs.0.name", "Edge"),
        Case("spec.route.parentRefs.0.namespace", "a.b"),
        Case("spec.route.parentRefs.0.sectionName", "A"),
        Case("spec.metrics.port", "Metrics"),
        Case("spec.metrics.path", "metrics"),
    ]
    return cases  # fmt: skip


def _taken() -> list[Case]:
    get: Object = {"path": "/", "port": "http"}
    cases = [
        Case("spec.objective.latency.percentile", value)
        for value in (50, 99, 99.9, "99.9", "95", 97.5, 97.3, 50.1, 98.7, 99.3, "50")
    ]
    cases += [Case("spec.objective.latency.threshold", value) for value in ("1ms", "0.5ms", "10m", "600s", "1.5s")]
    cases += [
        Case("spec.rollout", {"steps": ["0.1%", "5%", "99%"], "stepDuration": "24h"}),
        Case("spec.rollout.stepDuration", "0s"),
    ]
    cases += [
        Case(f"{BOX}.resources", {"requests": {"cpu": value}, "limits": {"cpu": "4"}})
        for value in (0.5, 2, "0.5", "500m", "1e-3", "2000m", ".5", "1.", "+1", "3E0", 0.0001)
    ]
    cases += [
        Case(f"{BOX}.resources.limits.memory", value)
        for value in (1073741824, 1.5e9, "1.5Gi", "1e9", "1E9", "128974848000m", "1Ei")
    ]
    cases += [
        Case(f"{BOX}.resources.limits", {name: "2Mi"})
        for name in ("nvidia.com/gpu", "ephemeral-storage", "amd.com/gpu", "hugepages-2Mi")
    ]
    cases += [
        Case(f"{POD}.{field}", value)
        for field, value in (
            ("restartPolicy", "Always"),
            ("dnsPolicy", "ClusterFirst"),
            ("dnsPolicy", "Default"),
            ("schedulerName", "default-scheduler"),
            ("securityContext", {}),
            ("hostNetwork", False),
            ("hostPID", False),
            ("hostIPC", False),
            ("hostUsers", False),
            ("shareProcessNamespace", False),
            ("enableServiceLinks", False),
            ("automountServiceAccountToken", False),
            ("terminationGracePeriodSeconds", 30),
            ("priorityClassName", "high"),
            ("preemptionPolicy", "Never"),
            ("runtimeClassName", "nvidia"),
            ("imagePullSecrets", [{"name": "a"}]),
            ("nodeSelector", {"kubernetes.io/arch": "amd64", "pool": ""}),
            ("os", {"name": "linux"}),
            (
                "tolerations",
                [
                    {"operator": "Exists"},
                    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                    {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 300},
                ],
            ),
            (
                "topologySpreadConstraints",
                [
                    {
                        "maxSkew": 1,
                        "topologyKey": "topology.kubernetes.io/zone",
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchLabels": {"app": "a"}},
                        "minDomains": 2,
                        "matchLabelKeys": ["pod-template-hash"],
                    }
                ],
            ),
            (
                "dnsConfig",
                {
                    "options": [{"name": "ndots", "value": "2"}],
                    "nameservers": ["1.1.1.1", "fd00::10", "1:2:3:4:5:6:7:8"],
                    "searches": ["a.svc"],
                },
            ),
            ("hostAliases", [{"ip": "10.0.0.1", "hostnames": ["store.local"]}]),
            ("resourceClaims", [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]),
            ("readinessGates", [{"conditionType": "target-health.example.com/ok"}]),
            (
                "securityContext",
                {"runAsUser": 0, "fsGroup": 0, "fsGroupChangePolicy": "OnRootMismatch", "supplementalGroups": [1, 2]},
            ),
            ("securityContext", {"runAsNonRoot": False}),
            ("initContainers", [{"name": "i", "image": "i", "command": ["a"]}]),
            (
                "initContainers",
                [
                    {
                        "name": "proxy",
                        "image": "p",
                        "restartPolicy": "Always",
                        "ports": [{"containerPort": 15000, "name": "admin"}],
                        "startupProbe": {"httpGet": {"path": "/", "port": 15000}},
                        "lifecycle": {"preStop": {"exec": {"command": ["stop"]}}},
                    }
                ],
            ),
            (
                "affinity",
                {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}
                                    ]
                                },
                                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
                            ]
                        },
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 1,
                                "preference": {
                                    "matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["8"]}]
                                },
                            }
                        ],
                    },
                    "podAntiAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 100,
                                "podAffinityTerm": {
                                    "topologyKey": "kubernetes.io/hostname",
                                    "labelSelector": {
                                        "matchExpressions": [{"key": "app", "operator": "In", "values": ["feed"]}]
                                    },
                                },
                            }
                        ]
                    },
                },
            ),
        )
    ]
    cases += [
        Case(f"{BOX}.{field}", value)
        for field, value in (
            ("terminationMessagePath", "/dev/termination-log"),
            ("terminationMessagePolicy", "File"),
            ("imagePullPolicy", "Always"),
            ("resources", {}),
            ("securityContext", {}),
            ("workingDir", "/app"),
            ("stdin", False),
            ("tty", False),
            (
                "securityContext",
                {
                    "privileged": False,
                    "allowPrivilegeEscalation": False,
                    "procMount": "Default",
                    "readOnlyRootFilesystem": True,
                    "runAsUser": 0,
                    "runAsGroup": 0,
                    "capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"], "drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                    "appArmorProfile": {"type": "RuntimeDefault"},
                },
            ),
            ("securityContext", {"seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/a.json"}}),
            ("resizePolicy", [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]),
            (
                "envFrom",
                [{"prefix": "A_", "configMapRef": {"name": "a", "optional": True}}, {"secretRef": {"name": "b"}}],
            ),
            (
                "env",
                [
                    {
                        "name": "POD",
                        "valueFrom": {
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels['app.kubernetes.io/name']"}
                        },
                    },
                    {
                        "name": "CPU",
                        "valueFrom": {
                            "resourceFieldRef": {"containerName": "server", "resource": "limits.cpu", "divisor": "0"}
                        },
                    },
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k.v_1", "optional": False}}},
                    {"name": "E"},
                    {"name": "1.a-b"},
                ],
            ),
            (
                "readinessProbe",
                {
                    "httpGet": {**get, "scheme": "HTTP", "httpHeaders": [{"name": "X-A", "value": "b"}]},
                    "initialDelaySeconds": 0,
                    "timeoutSeconds": 1,
                    "periodSeconds": 10,
                    "successThreshold": 1,
                    "failureThreshold": 3,
                },
            ),
            ("readinessProbe", {"httpGet": {**get, "host": ""}}),
            ("livenessProbe", {"grpc": {"port": 8001, "service": ""}}),
            (
                "startupProbe",
                {"tcpSocket": {"port": 8080}, "failureThreshold": 300, "terminationGracePeriodSeconds": 5},
            ),
            ("lifecycle", {"preStop": {"sleep": {"seconds": 29}}, "postStart": {"exec": {"command": ["a"]}}}),
            (
                "ports",
                [
                    {"name": "http", "containerPort": 8080, "protocol": "TCP", "hostPort": 0},
                    {"containerPort": 53, "protocol": "UDP"},
                    {"containerPort": 53, "protocol": "TCP"},
                    {"name": "http-metrics2", "containerPort": 9000},
                ],
            ),
        )
    ]
    cases += [
        Case(f"{POD}.volumes.0", {"name": "tmp", **source})
        for source in (
            {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            {"emptyDir": {"medium": "", "sizeLimit": 1000000}},
            {
                "configMap": {
                    "name": "a",
                    "items": [{"key": "k", "path": "a/b.txt", "mode": 0o644}],
                    "defaultMode": 420,
                    "optional": True,
                }
            },
            {"secret": {"secretName": "a.b", "defaultMode": 256}},
            {"persistentVolumeClaim": {"claimName": "a", "readOnly": True}},
            {
                "csi": {
                    "driver": "secrets-store.csi.k8s.io",
                    "readOnly": True,
                    "volumeAttributes": {"secretProviderClass": "a"},
                }
            },
            {
                "projected": {
                    "defaultMode": 420,
                    "sources": [
                        {"configMap": {"name": "a"}},
                        {"secret": {"name": "b"}},
                        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    ],
                }
            },
            {
                "downwardAPI": {
                    "items": [
                        {"path": "cpu", "resourceFieldRef": {"containerName": "server", "resource": "limits.cpu"}}
                    ]
                }
            },
            {
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "metadata": {"creationTimestamp": None},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "storageClassName": "fast",
                            "resources": {"requests": {"storage": "10Gi"}},
                        },
                    }
                }
            },
            {"image": {"reference": "models/feed:1", "pullPolicy": "IfNotPresent"}},
        )
    ]
    cases += [
        Case(f"{META}.creationTimestamp", None),
        Case(f"{META}.name", "server"),
        Case(
            f"{META}.annotations",
            {
                "prometheus.io/scrape": "true",
                "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
                "a": "x y\nz",
            },
        ),
        Case(
            f"{META}.labels", {"app.kubernetes.io/name": "a", "x" * 63: "", "a" * 253 + "/b": "v", "version": "v1.2_3"}
        ),
        Case("spec.route.hostnames", ["*.shop.example", "a", "1.2.3"]),
        Case("spec.route.paths", ["/", "/v2/models/a.b/", "/...", "/.well-known", "/a..b", "/a%20b", "/a:b@c,d;e=f"]),
        Case(
            "spec.route.parentRefs",
            [
                {"name": "edge", "sectionName": "a"},
                {"name": "edge", "sectionName": "b"},
                {"name": "my.edge", "namespace": "edge"},
            ],
        ),
        Case("spec.rollout", None),
        Case("spec.route.paths", None),
        Case("spec.objective.latency.percentile", None),
        Case(f"{META}.labels.gone", None),
        Case(f"{BOX}.resources.limits.memory", None),
        Case("spec.metrics", {"port": "http-metrics", "path": "/metrics"}),
    ]
    return cases  # fmt: skip


REFUSED = _refused()
TAKEN = _taken()

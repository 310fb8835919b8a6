"""Specs that are taken: by the types (tests/unit), and by a real API server (tests/cluster)."""

# fmt: off
from __future__ import annotations

from builders.spec_cases import BOX, META, POD, Case, Object


def _taken() -> list[Case]:
    get: Object = {"path": "/", "port": "http"}
    cases = [Case("spec.objective.latency.percentile", value) for value in (50, 99, 99.9, "99.9", "95", 97.5, 97.3, 50.1, 98.7, 99.3, "50")]
    cases += [Case("spec.holidays", value) for value in ([], ["2026-12-25"], ["2028-02-29", "2026-12-26"])]
    cases += [Case("spec.timeZone", value) for value in ("UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "CST6CDT")]
    cases += [Case("spec.objective.latency.threshold", value) for value in ("1ms", "0.5ms", "10m", "600s", "1.5s")]
    cases += [Case("spec.objective.latency.budget", value) for value in ("0.01%", "0.5%", "2%", "10%", None)]
    cases += [Case("spec.route.shift", {"maxStep": "1%"}), Case("spec.route.shift", {"maxStep": "2.5%", "interval": "10m"})]
    cases += [Case("spec.pools.0.warmUp", value) for value in ("30m", "90s", "1ms", "2.5m", None)]
    cases += [Case("spec.rollout", {"steps": ["0.1%", "5%", "99%"], "stepDuration": "24h"}), Case("spec.rollout.stepDuration", "0s")]
    cases += [
        Case(f"{BOX}.resources", {"requests": {"cpu": value}, "limits": {"cpu": "4"}})
        for value in (0.5, 2, "0.5", "500m", "1e-3", "2000m", ".5", "1.", "+1", "3E0", 0.0001)
    ]
    cases += [
        Case(f"{BOX}.resources", {"requests": {"cpu": one}, "limits": {"cpu": other}})
        for one, other in (("9m", "0.009"), ("0.1", "100000u"), ("100000u", "100m"), ("4.35", "4350m"), ("4350m", 4.35))
    ]
    cases += [Case(f"{BOX}.resources.limits.memory", value) for value in (1073741824, 1.5e9, "1.5Gi", "1e9", "1E9", "128974848000m", "1Ei")]
    cases += [
        Case(f"{BOX}.resources.limits", {name: "2Mi"}) for name in ("nvidia.com/gpu", "ephemeral-storage", "amd.com/gpu", "hugepages-2Mi")
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
            ("securityContext", {"runAsUser": 0, "fsGroup": 0, "fsGroupChangePolicy": "OnRootMismatch", "supplementalGroups": [1, 2]}),
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
                                {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]},
                                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
                            ]
                        },
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 1, "preference": {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["8"]}]}}
                        ],
                    },
                    "podAntiAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 100,
                                "podAffinityTerm": {
                                    "topologyKey": "kubernetes.io/hostname",
                                    "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["feed"]}]},
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
            ("envFrom", [{"prefix": "A_", "configMapRef": {"name": "a", "optional": True}}, {"secretRef": {"name": "b"}}]),
            (
                "env",
                [
                    {
                        "name": "POD",
                        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels['app.kubernetes.io/name']"}},
                    },
                    {
                        "name": "CPU",
                        "valueFrom": {"resourceFieldRef": {"containerName": "server", "resource": "limits.cpu", "divisor": "0"}},
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
            ("startupProbe", {"tcpSocket": {"port": 8080}, "failureThreshold": 300, "terminationGracePeriodSeconds": 5}),
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
            {"configMap": {"name": "a", "items": [{"key": "k", "path": "a/b.txt", "mode": 0o644}], "defaultMode": 420, "optional": True}},
            {"secret": {"secretName": "a.b", "defaultMode": 256}},
            {"persistentVolumeClaim": {"claimName": "a", "readOnly": True}},
            {"csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True, "volumeAttributes": {"secretProviderClass": "a"}}},
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
            {"downwardAPI": {"items": [{"path": "cpu", "resourceFieldRef": {"containerName": "server", "resource": "limits.cpu"}}]}},
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
        Case(f"{META}.creationTimestamp", "2026-01-01T00:00:00Z"),
        Case(f"{POD}.hostname", "feed"),
        Case(f"{POD}.setHostnameAsFQDN", False),
        Case(f"{META}.name", "server"),
        Case(
            f"{META}.annotations",
            {"prometheus.io/scrape": "true", "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "a": "x y\nz"},
        ),
        Case(f"{META}.labels", {"app.kubernetes.io/name": "a", "x" * 63: "", "a" * 253 + "/b": "v", "version": "v1.2_3"}),
        Case(f"{META}.annotations", {"controller.kubernetes.io/pod-deletion-cost": "-2147483648"}),
        *(
            Case(f"{BOX}.env.1", {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}})
            for resource, divisors in (("limits.cpu", ("1m", "1", "0", 0, 1)), ("limits.memory", ("1E", "1Ei", "1k", "1Mi", "0", 1)))
            for divisor in divisors
        ),
        Case(
            f"{POD}.volumes.0",
            {"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {
                "accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1E"}, "limits": {"storage": "10E"}},
                "dataSource": {"apiGroup": "", "kind": "PersistentVolumeClaim", "name": "a"}}}}},
        ),
        Case(
            f"{POD}.volumes.0",
            {"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "a"}}}}},
        ),
        Case(f"{POD}.volumes.0", {"name": "tmp", "csi": {"driver": "Disk.example"}}),
        Case(f"{BOX}.resources", {"requests": {"cpu": "1E"}, "limits": {"cpu": "9E"}}),
        Case(f"{BOX}.resources.limits", {"hugepages-2Mi": "0", "cpu": "1"}),
        Case(f"{BOX}.volumeMounts.0", {"name": "tmp", "mountPath": "/tmp", "readOnly": True, "recursiveReadOnly": "Enabled"}),
        Case("spec.route.hostnames", ["*.shop.example", "a", "1.2.3"]),
        Case("spec.route.paths", ["/", "/v2/models/a.b/", "/...", "/.well-known", "/a..b", "/a%20b", "/a:b@c,d;e=f"]),
        Case(
            "spec.route.parentRefs",
            [{"name": "edge", "sectionName": "a"}, {"name": "edge", "sectionName": "b"}, {"name": "my.edge", "namespace": "edge"}],
        ),
        Case("spec.rollout", None),
        Case("spec.route.paths", None),
        Case("spec.objective.latency.percentile", None),
        Case(f"{META}.labels.gone", None),
        Case(f"{BOX}.resources.limits.memory", None),
        Case("spec.metrics", {"port": "http-metrics", "path": "/metrics"}),
    ]
    return cases


TAKEN = _taken()

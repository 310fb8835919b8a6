"""Specs that are refused: by the types (tests/unit), and by a real API server (tests/cluster)."""

# fmt: off
from __future__ import annotations

from builders.spec_cases import BOX, META, POD, Case, Object


def _refused() -> list[Case]:
    cases = [Case("metadata.name", name) for name in ("my.model", "1model", "My", "-a", "m" * 51)]
    cases += [Case("spec.pools.0.name", name) for name in ("my.pool", "1pool", "CPU", "a-", "x" * 41, "")]
    # Numbers and durations.
    latency = "spec.objective.latency"
    cases += [Case(f"{latency}.percentile", value) for value in (100, 99.95, 49.9, 49, "99.99", "p95", -1, True, [], {}, "1e2", "")]
    cases += [
        Case(f"{latency}.threshold", value) for value in ("0ms", "0s", "0.0s", "11m", "1h", "9999h", "-1s", "1e3ms", "1d", "fast", "")
    ]
    cases += [Case("spec.route.shift", {"maxStep": value}) for value in ("0.9%", "0%", "100%", 10)]
    cases += [Case("spec.route.shift", value) for value in ({}, {"interval": "15s"})]
    cases += [Case("spec.route.shift", {"maxStep": "10%", "interval": value}) for value in ("0s", "11m")]
    cases += [Case("spec.pools.0.warmUp", value) for value in ("0s", "31m", "1h", "soon", 120)]
    cases += [Case("spec.rollout.stepDuration", value) for value in ("25h", "99999h", "soon")]
    twice = ["2026-12-25", "2026-12-25"]
    cases += [Case("spec.holidays", value) for value in (["2026-13-01"], ["2026-1-1"], ["12-25"], twice, "2026-12-25", [2026])]
    cases += [Case("spec.holidays", ["2026-02-30"], "must be a day of the calendar", by_schema=False)]
    cases += [Case("spec.timeZone", value) for value in ("", "+02:00", "../UTC", "Europe/", "Europe/Berlin ", 2, "E" * 65)]
    cases += [
        Case("spec.timeZone", value, "IANA time zone database", by_schema=False) for value in ("Mars/Phobos", "Local")
    ]
    cases += [
        Case("spec.optimisation", {"deadline": value, "template": {"spec": {"containers": [{"name": "o", "image": "o"}]}}})
        for value in ("0s", "169h")
    ]
    cases += [Case("spec.rollout.steps", value) for value in (["50%", "25%"], ["5%", "5%"], ["5%", "5.0%"], ["0%", "5%"], ["100%"], [])]
    cases += [
        Case(f"spec.rollout.{field}", value)
        for field in ("maxLateExcess", "maxErrorExcess")
        for value in ("0%", "0.00%", "-1%", "NaN%", "1")
    ]
    cases += [Case(f"{latency}.budget", value) for value in ("0%", "0.009%", "10.1%", "100%", "-1%", "0.5", "NaN%", "")]
    quality = {"successes": {"name": "a"}, "trials": {"name": "b"}}
    cases += [Case("spec.rollout.quality", {**quality, **bad}) for bad in ({"maxLoss": "0%"}, {"confirmWithin": "200h"})]
    cases += [Case("spec.pools.0.costPerHour", value) for value in ("1e400", "abc", "NaN", "-1", "Infinity", "0x1", "", 1.5)]
    cases += [Case("spec.objective.accuracy.maxLoss", value) for value in ("1e400%", "abc", "NaN%", "-1%", "100%", "1")]
    cases += [Case("spec.variants.0.accuracy.value", value) for value in ("1e400", "abc", "NaN", "-1", "inf")]
    cases += [Case("spec.variants.1.accuracy.metric", "NDCG", "must be the same for all")]
    cases += [Case("spec.pools.0.replicas", {"min": 3, "max": 2}, "must not be above"), Case("spec.pools.0.replicas.max", 0)]
    for side in ("requests", "limits"):
        cases += [
            Case(f"{BOX}.resources.{side}.memory", value)
            for value in ("1e400", "1e19", "abc", "NaN", "-1", "1GB", "1 Gi", "", "1.2.3", "--1", -1, 1e300, True, [], {}, ["1"], {"a": 1})
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
    # What the API server refuses in the Deployment's template, or in each of its pods.
    reference = f"{BOX}.env.0"
    cases += [
        Case(reference, {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}}, says)
        for resource, divisor, says in (
            ("limits.cpu", 0.5, ""), ("limits.memory", 0.5, ""), ("limits.cpu", "0.5", ""), ("limits.cpu", 2, ""),
            ("limits.cpu", "1E", "1 or 1m for cpu"), ("requests.cpu", "1k", "1 or 1m for cpu"), ("limits.cpu", "1Mi", "1 or 1m for cpu"),
            ("limits.memory", "1m", "1 or 1m for cpu"), ("limits.hugepages-2Mi", "1m", "1 or 1m for cpu"),
            ("requests.ephemeral-storage", "1m", "1 or 1m for cpu"),
        )
    ]
    cases += [
        Case(reference, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": path}}}, says)
        for path, says in (
            ("metadata.labels", "must name one label"), ("metadata.annotations", "must name one label"), ("metadata.labels['a b']", ""),
            ("metadata.labels['A/b']", ""), ("metadata.labels['-a']", ""), ("metadata.annotations['a/b/c']", ""),
            (f"metadata.labels['{'x' * 64}']", ""),
        )
    ]
    cases += [
        Case(
            f"{POD}.volumes.1",
            {"name": "pod", "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": path}}]}},
            "field of the metadata",
        )
        for path in ("spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.podIPs")
    ]
    one = {"configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}}
    cases += [
        Case(f"{POD}.volumes.1", {"name": "all", "projected": {"sources": [one, other]}}, "path 'p' stands twice", by_schema=False)
        for other in (
            {"configMap": {"name": "b", "items": [{"key": "l", "path": "p"}]}},
            {"secret": {"name": "b", "items": [{"key": "l", "path": "p"}]}},
            {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        )
    ]
    claim: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    cases += [
        Case(f"{POD}.volumes.1", {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": {**claim, **change}}}}, says)
        for change, says in (
            ({"dataSource": {"kind": "VolumeSnapshot", "name": "a"}}, "must be PersistentVolumeClaim where apiGroup is not set"),
            ({"dataSource": {"apiGroup": "", "kind": "VolumeSnapshot", "name": "a"}}, "must be PersistentVolumeClaim"),
            ({"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "", "name": "a"}}, ""),
            ({"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]}, "no other mode"),
        )
    ]
    chosen: Object = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}
    some = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    for place in (f"{POD}.affinity.podAffinity", f"{POD}.affinity.podAntiAffinity"):
        cases += [
            Case(f"{place}.requiredDuringSchedulingIgnoredDuringExecution", [term], says)
            for term, says in (
                ({"topologyKey": "zone", "matchLabelKeys": ["k"]}, "labelSelector must be set"),
                ({"topologyKey": "zone", "mismatchLabelKeys": ["k"]}, "labelSelector must be set"),
                ({**chosen, "matchLabelKeys": ["k"], "mismatchLabelKeys": ["k"]}, "no key of labelSelector"),
                ({**chosen, "matchLabelKeys": ["a"]}, "no key of labelSelector"),
                ({**chosen, "labelSelector": some, "matchLabelKeys": ["a"]}, "no key of labelSelector"),
            )
        ]
    cases += [
        Case(f"{POD}.topologySpreadConstraints",
             [{**chosen, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"]}], "no key of labelSelector"),
        Case(f"{POD}.initContainers", [{"name": "i", "image": "i", "resizePolicy": [
            {"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}], "without restartPolicy Always"),
        Case(f"{POD}.dnsConfig", {"searches": [f"{n}{'.a' * 125}" for n in range(9)]}, "2048 characters together"),
        Case(f"{POD}.securityContext.appArmorProfile", {"type": "Localhost", "localhostProfile": "a "}, "white space", by_schema=False),
        Case(f"{BOX}.lifecycle.postStart", {"sleep": {"seconds": 30}}, "below terminationGracePeriodSeconds"),
    ]
    cases += [
        Case(f"{BOX}.volumeMounts.0", {"name": "tmp", "mountPath": "/tmp", **mount}, "recursiveReadOnly needs")
        for mount in (
            {"recursiveReadOnly": "Enabled"}, {"recursiveReadOnly": "IfPossible", "readOnly": False},
            {"recursiveReadOnly": "Enabled", "readOnly": True, "mountPropagation": "HostToContainer"},
        )
    ]
    cases += [
        Case(f"{BOX}.resources", {"requests": {"memory": more}, "limits": {"memory": less}}, "must not be above", by_schema=False)
        for more, less in (("9007199254740993", "9007199254740992"), (9007199254740993, 9007199254740992), ("1.000000001E", "1E"))
    ]
    cases += [
        Case(f"{BOX}.resources.limits", {name: value}, says, by_schema=False)
        for name, value, says in (
            ("a/b", "9007199254740993.5", "whole number"), ("a/b", "1Ei", "at most 1e+15"), ("requests.a.b/c", "1", "must not begin with"),
            (f"{'a' * 245}/b", "1", "at most 244"),
        )
    ]
    profiles = ("container.apparmor.security.beta.kubernetes.io/server", "seccomp.security.alpha.kubernetes.io/pod",
                "container.seccomp.security.alpha.kubernetes.io/server", "scheduler.alpha.kubernetes.io/tolerations",
                "kubernetes.io/config.mirror")
    cases += [Case(f"{META}.annotations", {name: "unconfined"}, "are set in their fields") for name in profiles]
    deletion_cost = "controller.kubernetes.io/pod-deletion-cost"
    cases += [
        Case(f"{META}.annotations", {deletion_cost: value}, "whole number of 32 bits")
        for value in ("x", "+1", "01", "-0", "1.5", "2147483648", "-2147483649", "")
    ]
    cases += [
        Case(f"{META}.annotations", {f"k{n}": text for n in range(64)}, "put large texts into a ConfigMap", by_schema=False)
        for text in ("x" * 4096, "é" * 2000)
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
        Case(f"{BOX}.ports", [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}], "each name may stand once"),
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
        for source in ({}, {"prefix": "A"}, {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}, {"configMapRef": {"name": "A"}})
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
        Case(f"{BOX}.lifecycle.preStop", {"httpGet": {**get, "host": "a"}}, "must not be set: the kubelet would ask"),
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
    return cases


REFUSED = _refused()

{{- define "recmodel.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- /* The name, with a part that says what it is, of an object outside the release's own namespace, where another release may have
       the same name. A namespace and the part have no dot, so no two releases share such a name. */ -}}
{{- define "recmodel.wideName" -}}
{{- $ := index . 0 }}{{ include "recmodel.name" $ }}.{{ $.Release.Namespace }}.{{ index . 1 }}
{{- end }}

{{- define "recmodel.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "recmodel.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "recmodel.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Namespaces that this release lets go of, with commas between: leaveNamespaces, and those that the running operator serves,
       or lets go of, and that watchNamespaces leaves out, while a RecModel there does not say yet that nobody serves it. */ -}}
{{- define "recmodel.leaving" -}}
{{- $leaving := .Values.leaveNamespaces | default list }}
{{- $deployment := lookup "apps/v1" "Deployment" .Release.Namespace (include "recmodel.name" .) | default dict }}
{{- if and .Values.watchNamespaces $deployment (.Capabilities.APIVersions.Has "recmodel.dev/v1alpha1/RecModel") }}
{{- $served := list }}
{{- $left := list }}
{{- range (index $deployment.spec.template.spec.containers 0).env }}
{{- if eq .name "RECMODEL_NAMESPACE" }}{{ $served = splitList "," .value }}{{ end }}
{{- if eq .name "RECMODEL_LEAVE_NAMESPACES" }}{{ $left = splitList "," .value }}{{ end }}
{{- end }}
{{- range $namespace := ternary (concat $served $left) (list "") (gt (len $served) 0) }}
{{- range $model := (lookup "recmodel.dev/v1alpha1" "RecModel" $namespace "").items }}
{{- range dig "status" "conditions" list $model }}
{{- if and (eq .type "Ready") (ne .reason "NotServed") }}{{ $leaving = append $leaving $model.metadata.namespace }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- $result := list }}
{{- range $leaving | uniq | sortAlpha }}{{ if not (has . $.Values.watchNamespaces) }}{{ $result = append $result . }}{{ end }}{{ end }}
{{- if .Values.watchNamespaces }}{{ join "," $result }}{{ end }}
{{- end }}

{{- /* Whether deleting a RecModel gives back what was handed over. Without the policies, who may write ConfigMaps could have the
       operator make autoscalers. */ -}}
{{- define "recmodel.handsBack" -}}
{{- if and .Values.handback .Values.admissionPolicy.enabled (eq (default "act" .Values.rights) "act") }}true{{ else }}false{{ end }}
{{- end }}

{{- define "recmodel.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "recmodel.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: recmodel
{{- end }}

{{- define "recmodel.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- /* Where the token and the certificates of Prometheus are in the pod. */ -}}
{{- define "recmodel.tokenFile" -}}
{{- if .Values.prometheus.bearerTokenSecret }}/etc/recmodel/token/{{ .Values.prometheus.bearerTokenKey }}{{ else }}{{ .Values.prometheus.bearerTokenFile }}{{ end }}
{{- end }}
{{- define "recmodel.caFile" -}}
{{- if .Values.prometheus.caConfigMap }}/etc/recmodel/ca/{{ .Values.prometheus.caKey }}{{ end }}
{{- end }}

{{- /* What the operator may do with the objects of the namespaces that it serves. Each verb is one that its code uses:
       apply is patch, and create where the object is new. */ -}}
{{- define "recmodel.rules.act" -}}
- apiGroups: [recmodel.dev]
  resources: [recmodels]
  verbs: [list, watch]
- apiGroups: [recmodel.dev]
  resources: [recmodels/status]
  verbs: [patch]
# Owner references with blockOwnerDeletion, where the cluster checks them.
- apiGroups: [recmodel.dev]
  resources: [recmodels/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
# Pools by reference: looked at, and scaled in mode Auto.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets/scale]
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
# Records of variants. It asks for those with the label recmodel.dev/variants-of alone; a role cannot say so.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
# The Job of spec.optimisation, and how it ends. It asks for those with the label recmodel.dev/optimises alone.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create]
# Whether Flagger or Argo Rollouts releases a pool's Deployment already.
- apiGroups: [flagger.app]
  resources: [canaries]
  verbs: [list, watch]
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# The claim that says which release acts in a namespace. A name cannot be asked for where an object is created.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [recmodel.dev, all.recmodel.dev]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}

{{- /* Beside these, to give back what was handed over when its RecModel is deleted. */ -}}
{{- define "recmodel.rules.handback" -}}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [create]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [delete]
{{- end }}

{{- /* The same where rights is observe: what it watches, its report, and the Leases. */ -}}
{{- define "recmodel.rules.observe" -}}
- apiGroups: [recmodel.dev]
  resources: [recmodels]
  verbs: [list, watch]
- apiGroups: [recmodel.dev]
  resources: [recmodels/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch]
# Pools by reference: only looked at.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [list, watch]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
# Records of variants. It asks for those with the label recmodel.dev/variants-of alone; a role cannot say so.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
# The Job of spec.optimisation, and how it ends. It asks for those with the label recmodel.dev/optimises alone.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch]
# Whether Flagger or Argo Rollouts releases a pool's Deployment already.
- apiGroups: [flagger.app]
  resources: [canaries]
  verbs: [list, watch]
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# The claim that says which release acts in a namespace. A name cannot be asked for where an object is created.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [recmodel.dev, all.recmodel.dev]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}

{{- /* Beside these rules: nodes ahead of need. */ -}}
{{- define "recmodel.rules.nodeBuffers" -}}
- apiGroups: [autoscaling.x-k8s.io]
  resources: [capacitybuffers]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}

{{- /* Which resource each kind is that a pool may refer to, by group and kind, as JSON. */ -}}
{{- define "recmodel.targetResources" -}}
{{- $resources := dict "apps/Deployment" "deployments" "apps/StatefulSet" "statefulsets" }}
{{- range .Values.scaleTargets }}
{{- $_ := set $resources (printf "%s/%s" .group .kind) .resource }}
{{- end }}
{{- toJson $resources }}
{{- end }}

{{- /* Beside these rules: the further kinds that pools may refer to. */ -}}
{{- define "recmodel.rules.scaleTargets" -}}
{{- range .Values.scaleTargets }}
- apiGroups: [{{ .group | quote }}]
  resources: [{{ .resource | quote }}]
  verbs: [list, watch]
- apiGroups: [{{ .group | quote }}]
  resources: ["{{ .resource }}/scale"]
  verbs: [get{{ if eq (default "act" $.Values.rights) "act" }}, patch{{ end }}]
{{- end }}
{{- end }}

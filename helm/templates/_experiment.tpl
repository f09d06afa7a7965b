{{/* What the experiment may do, in its namespace alone: exactly what the cluster engine calls. */}}
{{- define "async-reduce.experimentRules" -}}
# Trials: applied, looked at and removed; those that dead runs left behind too.
- apiGroups: [numaflow.numaproj.io]
  resources: [pipelines]
  verbs: [get, list, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [list, create, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, update, delete]
# Whether they run, and why not.
- apiGroups: [numaflow.numaproj.io]
  resources: [vertices, interstepbufferservices]
  verbs: [get]
- apiGroups: [""]
  resources: [pods, events]
  verbs: [list]
# The sink's records.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# The run's own Job, as owner, and Numaflow's clean-up Jobs.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list]
# The summary.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, patch]
{{- end -}}

{{/* What of the user's the generator and the recorder replace in trials: source, sink, both, or nothing. */}}
{{- define "async-reduce.replaced" -}}
{{- $parts := list -}}
{{- with include "async-reduce.sourceKind" . -}}{{- $parts = append $parts (printf "source.%s" .) -}}{{- end -}}
{{- with include "async-reduce.sinkKind" . -}}{{- $parts = append $parts (printf "sink.%s" .) -}}{{- end -}}
{{- join " and " $parts -}}
{{- end -}}

{{/* Plan and base, as the Job reads them. */}}
{{- define "async-reduce.experimentData" -}}
{{- if not (.Values.experiment.plan | default "" | trim) -}}
{{- fail "experiment.plan: empty, but experiment.enabled is true: give a plan by --set-file experiment.plan=FILE, such as plans/quick.yaml" -}}
{{- end -}}
{{- $payloads := include "async-reduce.payloadsFrom" . -}}
{{- if $payloads -}}
{{- $file := include "async-reduce.payloadsFile" . -}}
{{- if not (regexMatch "(?m)^payloads *:" .Values.experiment.plan) -}}
{{- fail (printf "experiment.plan: names no payloads, but generator.payloads gives some: add the line `payloads: %s`" (ternary $file (printf "/payloads/%s" $file) (eq $payloads "lines"))) -}}
{{- end -}}
{{- if .Values.generator.payloads.keyPointer -}}
{{- fail "generator.payloads.keyPointer: a plan has it as key_pointer: leave it out" -}}
{{- end -}}
{{- end -}}
{{- $trials := merge (dict "forTrials" true) . -}}
{{- $base := list (include "async-reduce.pipeline" $trials) -}}
{{- if include "async-reduce.ownEndpoint" . -}}
{{- $base = concat $base (list (include "async-reduce.endpointDeployment" $trials) (include "async-reduce.endpointService" $trials)) -}}
{{- end -}}
plan.yaml: |
  {{- .Values.experiment.plan | trimSuffix "\n" | nindent 2 }}
base.yaml: |
  {{- join "\n---\n" $base | nindent 2 }}
{{- if eq $payloads "lines" }}
{{ include "async-reduce.payloadsFile" . }}: {{ .Values.generator.payloads.lines | toJson }}
{{- end }}
{{- end -}}

{{/* The Job's spec: (dict "root" $ "job" NAME). */}}
{{- define "async-reduce.experimentSpec" -}}
{{- $values := .root.Values.experiment -}}
{{- $of := dict "root" .root "component" "experiment" -}}
{{- $env := include "async-reduce.env" (dict "root" .root "own" $values.env "defaults" (list "JOB_NAME" .job)) -}}
{{- $mounts := list
  (dict "name" "settings" "mountPath" "/etc/async-reduce" "readOnly" true)
  (dict "name" "out" "mountPath" "/out")
  (dict "name" "tmp" "mountPath" "/tmp")
-}}
{{- $claim := dict -}}
{{- if eq (include "async-reduce.payloadsFrom" .root) "claim" -}}
{{- $claim = include "async-reduce.payloadsVolume" .root | fromYaml -}}
{{- $mounts = append $mounts (dict "name" "payloads" "mountPath" "/payloads" "readOnly" true) -}}
{{- end -}}
backoffLimit: 0
{{- with include "async-reduce.text" $values.activeDeadlineSeconds }}
activeDeadlineSeconds: {{ . }}
{{- end }}
{{- with include "async-reduce.text" $values.ttlSecondsAfterFinished }}
ttlSecondsAfterFinished: {{ . }}
{{- end }}
template:
  metadata:
    {{- include "async-reduce.ownPodMetadata" $of | nindent 4 }}
  spec:
    restartPolicy: Never
    {{- with include "async-reduce.experimentAccount" .root }}
    serviceAccountName: {{ . }}
    {{- end }}
    automountServiceAccountToken: true
    enableServiceLinks: false
    # Long enough to remove the trial that is under way.
    terminationGracePeriodSeconds: 60
    {{- with include "async-reduce.pod" .root | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with include "async-reduce.scheduling" (dict "root" .root "part" "experiment") }}{{ . | nindent 4 }}{{ end }}
    {{- with include "async-reduce.spread" $of | trim }}
    topologySpreadConstraints:
      {{- . | nindent 6 }}
    {{- end }}
    containers:
      - name: experiment
        {{- include "async-reduce.container" (dict "root" .root "program" "experiment" "part" "experiment" "env" $env "mounts" $mounts) | nindent 8 }}
        {{- $search := $values.search | default dict }}
        args:
          - {{ ternary "search" "run" ($search.enabled | default false) }}
          - /etc/async-reduce/plan.yaml
          - --engine=cluster
          - --base=/etc/async-reduce/base.yaml
          - --out=/out
          {{- if $search.enabled }}
          {{- with $search.find }}
          - --find={{ . }}
          {{- end }}
          {{- range $search.objective }}
          - {{ printf "--objective=%s" . | quote }}
          {{- end }}
          {{- with $search.budget }}
          - --budget={{ . }}
          {{- end }}
          {{- range $search.args }}
          - {{ . | quote }}
          {{- end }}
          {{- end }}
    volumes:
      - name: settings
        configMap:
          name: {{ .job }}
      - name: out
        emptyDir:
          sizeLimit: 256Mi
      - name: tmp
        emptyDir:
          sizeLimit: 64Mi
      {{- with $claim }}
      {{- list . | toYaml | nindent 6 }}
      {{- end }}
      {{- with $values.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}

{{/* The name of the Job's account; empty for the namespace's default. */}}
{{- define "async-reduce.experimentAccount" -}}
{{- include "async-reduce.accountName" (dict "account" .Values.experiment.serviceAccount "own" (printf "%s-experiment" (include "async-reduce.fullname" .))) -}}
{{- end -}}

{{/*
The Job's name. A Job cannot be changed, so each plan and template has a Job of its own; an upgrade that changes
neither leaves the run alone.
*/}}
{{- define "async-reduce.experimentName" -}}
{{- $all := printf "%s\n%s" (include "async-reduce.experimentData" .) (include "async-reduce.experimentSpec" (dict "root" . "job" "")) -}}
{{- printf "%s-experiment-%s" (include "async-reduce.fullname" .) (sha256sum $all | trunc 7) -}}
{{- end -}}

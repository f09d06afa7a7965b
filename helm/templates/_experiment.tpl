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

{{/* Plan and base, as the Job reads them. */}}
{{- define "async-reduce.experimentData" -}}
{{- if not (trim .Values.experiment.plan) -}}
{{- fail "experiment.plan: empty, but experiment.enabled is true: give a plan by --set-file experiment.plan=FILE, such as plans/quick.yaml" -}}
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
{{- end -}}

{{/* The Job's spec: (dict "root" $ "job" NAME). */}}
{{- define "async-reduce.experimentSpec" -}}
backoffLimit: 0
{{- with include "async-reduce.whole" .root.Values.experiment.activeDeadlineSeconds }}
activeDeadlineSeconds: {{ . }}
{{- end }}
{{- with include "async-reduce.whole" .root.Values.experiment.ttlSecondsAfterFinished }}
ttlSecondsAfterFinished: {{ . }}
{{- end }}
template:
  metadata:
    {{- include "async-reduce.podMetadata" (dict "root" .root "component" "experiment") | nindent 4 }}
  spec:
    restartPolicy: Never
    serviceAccountName: {{ include "async-reduce.fullname" .root }}-experiment
    automountServiceAccountToken: true
    enableServiceLinks: false
    # Long enough to remove the trial that is under way.
    terminationGracePeriodSeconds: 60
    {{- with include "async-reduce.pod" .root | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with include "async-reduce.scheduling" (dict "root" .root "own" .root.Values.experiment) | trim }}{{ . | nindent 4 }}{{ end }}
    containers:
      - name: experiment
        {{- include "async-reduce.program" (dict "root" .root "program" "experiment") | nindent 8 }}
        args:
          - run
          - /etc/async-reduce/plan.yaml
          - --engine=cluster
          - --base=/etc/async-reduce/base.yaml
          - --out=/out
        {{- with .root.Values.experiment.resources }}
        resources:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        env:
          {{- include "async-reduce.env" (dict "root" .root "own" .root.Values.experiment.env "defaults" (list "JOB_NAME" .job)) | trim | nindent 10 }}
        volumeMounts:
          - name: settings
            mountPath: /etc/async-reduce
            readOnly: true
          - name: out
            mountPath: /out
          - name: tmp
            mountPath: /tmp
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
{{- end -}}

{{/*
The Job's name. A Job cannot be changed, so each plan and template has a Job of its own; an upgrade that changes
neither leaves the run alone.
*/}}
{{- define "async-reduce.experimentName" -}}
{{- $all := printf "%s\n%s" (include "async-reduce.experimentData" .) (include "async-reduce.experimentSpec" (dict "root" . "job" "")) -}}
{{- printf "%s-experiment-%s" (include "async-reduce.fullname" .) (sha256sum $all | trunc 7) -}}
{{- end -}}

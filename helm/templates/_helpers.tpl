{{/* The chart's name. */}}
{{- define "async-reduce.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the release's objects. Numaflow makes names from it, the longest is <it>-generator-headless. */}}
{{- define "async-reduce.fullname" -}}
{{- $name := include "async-reduce.name" . -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- if gt (len $full) 44 -}}
{{- fail (printf "fullnameOverride: the name %q has %d characters, and Numaflow's %s-generator-headless may have 63 in all: choose a release name or fullnameOverride of at most 44" $full (len $full) $full) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) -}}
{{- fail (printf "fullnameOverride: Numaflow refuses the pipeline's name %q: it must begin with a letter and have only lower-case letters, digits and dashes" $full) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{/* The image of all containers of ours. */}}
{{- define "async-reduce.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Labels of an object: (dict "root" $ "component" "udf"), further "labels" if wanted. Helm does not manage the objects of
a trial, so theirs are without Helm's labels: `forTrials` in the root says so.
*/}}
{{- define "async-reduce.labels" -}}
{{- $own := include "async-reduce.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- if not .root.forTrials -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- end -}}
{{- toYaml (merge $own (.labels | default dict) .root.Values.commonLabels) -}}
{{- end -}}

{{/* Metadata of an object: (dict "root" $ "component" "udf" "name" NAME), "annotations" and "labels" if wanted. */}}
{{- define "async-reduce.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "async-reduce.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels that select the pods of a component of ours; a Deployment's cannot be changed. */}}
{{- define "async-reduce.selector" -}}
app.kubernetes.io/name: {{ include "async-reduce.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Metadata of the pods that Numaflow makes: it owns all of the recommended labels but the instance. */}}
{{- define "async-reduce.numaflowPodMetadata" -}}
labels:
  {{- toYaml (merge (dict "app.kubernetes.io/instance" .Release.Name) .Values.podLabels .Values.commonLabels) | nindent 2 }}
{{- with .Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Metadata of a pod of ours: (dict "root" $ "component" "udf"). */}}
{{- define "async-reduce.podMetadata" -}}
{{- $own := include "async-reduce.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
labels:
  {{- toYaml (merge $own .root.Values.podLabels .root.Values.commonLabels) | nindent 2 }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where a pod may run: (dict "root" $ "own" .Values.udf); without "own", as for every pod. */}}
{{- define "async-reduce.scheduling" -}}
{{- $own := .own | default dict -}}
{{- with $own.nodeSelector | default .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations | default .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity | default .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What all pods have: who they run as, how they pull images, their priority. */}}
{{- define "async-reduce.pod" -}}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Image, command and security of a container of ours: (dict "root" $ "program" "udf"). */}}
{{- define "async-reduce.program" -}}
image: {{ include "async-reduce.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [/usr/local/bin/{{ .program }}]
{{- with .root.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Resources and security of a container of Numaflow: (dict "root" $ "resources" RESOURCES), "env" if wanted. */}}
{{- define "async-reduce.containerTemplate" -}}
{{- with .resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
Environment: (dict "root" $ "defaults" (list NAME VALUE NAME VALUE …) "own" [{name: …}, …]). Empty values are left out,
and those that the user names too: a variable twice is refused by server-side apply.
*/}}
{{- define "async-reduce.env" -}}
{{- $given := dict -}}
{{- range .own -}}{{- $_ := set $given .name true -}}{{- end -}}
{{- $defaults := concat .defaults (list "RUST_LOG" .root.Values.log.level "LOG_FORMAT" .root.Values.log.format) -}}
{{- $name := "" -}}
{{- range $i, $item := $defaults -}}
{{- if mod $i 2 | eq 0 -}}
{{- $name = $item -}}
{{- else if and (ne $item "") (not (hasKey $given $name)) }}
- name: {{ $name }}
  value: {{ $item | quote }}
{{- end -}}
{{- end -}}
{{- with .own }}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* A number as it is written in full: large ones arrive as floats. Nothing where there is none. */}}
{{- define "async-reduce.whole" -}}
{{- if not (kindIs "invalid" .) -}}{{- int64 . -}}{{- end -}}
{{- end -}}

{{/* The InterStepBufferService of the pipeline. */}}
{{- define "async-reduce.isbsvc" -}}
{{- .Values.isbsvc.name | default (ternary (include "async-reduce.fullname" .) "default" .Values.isbsvc.create) -}}
{{- end -}}

{{/* Whether an endpoint is deployed: "true" or nothing. */}}
{{- define "async-reduce.ownEndpoint" -}}
{{- if not .Values.udf.endpointUrl -}}true{{- end -}}
{{- end -}}

{{/* The port of the endpoint: its calls and its metrics. */}}
{{- define "async-reduce.endpointPort" -}}9888{{- end -}}

{{/* The port on which generator, UDF and sink serve their metrics. */}}
{{- define "async-reduce.metricsPort" -}}9100{{- end -}}

{{/* Where the UDF calls. */}}
{{- define "async-reduce.endpointUrl" -}}
{{- .Values.udf.endpointUrl | default (printf "http://%s-endpoint:%s" (include "async-reduce.fullname" .) (include "async-reduce.endpointPort" .)) -}}
{{- end -}}

{{/* A duration's text in nanoseconds, for comparing. */}}
{{- define "async-reduce.nanoseconds" -}}
{{- $units := dict "ns" 1.0 "us" 1e3 "ms" 1e6 "s" 1e9 "m" 60e9 "h" 3600e9 -}}
{{- mulf (regexFind "^[0-9.]+" .) (get $units (regexFind "[a-z]+$" .)) -}}
{{- end -}}

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

{{/*
The image of a part: (dict "root" $ "part" "udf"). That of `image`, unless the part names a repository of its own; a tag
or digest of the part alone is one of ours.
*/}}
{{- define "async-reduce.image" -}}
{{- $ours := .root.Values.image -}}
{{- $own := (include "async-reduce.part" . | fromYaml).image | default dict -}}
{{- $registry := $own.registry | default $ours.registry -}}
{{- $tag := $own.tag | default $ours.tag | default .root.Chart.AppVersion -}}
{{- $digest := $own.digest | default (ternary "" $ours.digest (ne ($own.tag | default "") "")) -}}
{{- if $own.repository -}}
{{- if not (or $own.tag $own.digest) -}}
{{- fail (printf "%s.image.tag: empty, and so is %s.image.digest: name the version of %s" .part .part $own.repository) -}}
{{- end -}}
{{- $registry = $own.registry -}}
{{- $digest = $own.digest -}}
{{- end -}}
{{- with (.root.Values.global).imageRegistry | default $registry -}}{{ trimSuffix "/" . }}/{{- end -}}
{{- $own.repository | default $ours.repository -}}
{{- if $digest -}}@{{ $digest }}{{- else -}}:{{ $tag }}{{- end -}}
{{- end -}}

{{/* A value as text. Helm reads whole numbers as floats, which print as 1e+06. Nothing where there is none. */}}
{{- define "async-reduce.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{- int64 . -}}{{- else -}}{{- toString . -}}{{- end -}}
{{- else if not (kindIs "invalid" .) -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* A list of words of a command line. */}}
{{- define "async-reduce.texts" -}}
{{- range . }}
- {{ include "async-reduce.text" . | quote }}
{{- end }}
{{- end -}}

{{/* The fields of a map of texts and numbers, those without a value or with an empty one left out. */}}
{{- define "async-reduce.scalars" -}}
{{- range $name, $value := . }}
{{- with include "async-reduce.text" $value }}
{{ $name }}: {{ ternary (toYaml .) . (kindIs "string" $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The values of a part of the chart, such as udf; empty where the user took them all away. */}}
{{- define "async-reduce.part" -}}
{{- get .root.Values .part | default dict | toYaml -}}
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
{{- toYaml (merge $own (.labels | default dict) (.root.Values.commonLabels | default dict)) -}}
{{- end -}}

{{/*
Metadata of an object: (dict "root" $ "component" "udf" "name" NAME), and "annotations", "labels" and "namespace" if
wanted.
*/}}
{{- define "async-reduce.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "async-reduce.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
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

{{/*
Metadata of pods: (dict "root" $ "labels" LABELS "own" PART). The labels stand above the user's; podLabels and
podAnnotations of the part stand above those for every pod.
*/}}
{{- define "async-reduce.podMetadata" -}}
{{- $own := .own | default dict -}}
{{- $values := .root.Values -}}
labels:
  {{- toYaml (merge (dict) .labels ($own.podLabels | default dict) ($values.podLabels | default dict) ($values.commonLabels | default dict)) | nindent 2 }}
{{- with merge (dict) ($own.podAnnotations | default dict) ($values.podAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Metadata of a pod of ours: (dict "root" $ "component" "endpoint"); the component is the part. */}}
{{- define "async-reduce.ownPodMetadata" -}}
{{- $labels := include "async-reduce.selector" . | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- include "async-reduce.podMetadata" (dict "root" .root "labels" $labels "own" (get .root.Values .component)) -}}
{{- end -}}

{{/* Metadata of pods that Numaflow makes: it owns all of the recommended labels but the instance. "own" if wanted. */}}
{{- define "async-reduce.numaflowPodMetadata" -}}
{{- $labels := dict "app.kubernetes.io/instance" .root.Release.Name -}}
{{- include "async-reduce.podMetadata" (dict "root" .root "labels" $labels "own" .own) -}}
{{- end -}}

{{/* Where and how a pod runs: (dict "root" $ "part" "udf"); without "part", as every pod. */}}
{{- define "async-reduce.scheduling" -}}
{{- $part := include "async-reduce.part" (dict "root" .root "part" (.part | default "")) | fromYaml -}}
{{- $fields := dict -}}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "dnsPolicy" "dnsConfig" -}}
{{- with get $part $name | default (get $.root.Values $name) -}}
{{- $_ := set $fields $name . -}}
{{- end -}}
{{- end -}}
{{- with $fields }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* How the pods of a part of ours are spread: (dict "root" $ "component" "endpoint"). */}}
{{- define "async-reduce.spread" -}}
{{- $part := include "async-reduce.part" (dict "root" .root "part" .component) | fromYaml -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "async-reduce.selector" . | fromYaml)) -}}
{{- range $part.topologySpreadConstraints | default .root.Values.topologySpreadConstraints }}
- {{ toYaml (ternary . (merge (dict) (omit . "labelSelector") $own) (hasKey . "labelSelector")) | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{/* The name of an account: (dict "account" .Values.serviceAccount "own" NAME); empty for the namespace's default. */}}
{{- define "async-reduce.accountName" -}}
{{- with .account | default dict -}}
{{- .name | default (ternary $.own "" (default false .create)) -}}
{{- end -}}
{{- end -}}

{{/* An account that the chart makes: (dict "root" $ "account" .Values.serviceAccount "component" C "name" NAME), "annotations" if wanted. */}}
{{- define "async-reduce.account" -}}
{{- $annotations := merge (dict) (.annotations | default dict) (.account.annotations | default dict) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "async-reduce.metadata" (merge (dict "annotations" $annotations) .) | nindent 2 }}
# Pods say themselves whether they mount its token.
automountServiceAccountToken: false
{{- end -}}

{{/* Who all pods but those of the Jobs that use the API server run as. */}}
{{- define "async-reduce.identity" -}}
{{- $account := .Values.serviceAccount | default dict -}}
{{- with include "async-reduce.accountName" (dict "account" $account "own" (include "async-reduce.fullname" .)) -}}
serviceAccountName: {{ . }}
{{ end -}}
automountServiceAccountToken: {{ $account.automount | default false }}
{{- end -}}

{{/* What all pods have: who their containers run as, how they pull images. */}}
{{- define "async-reduce.pod" -}}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $secrets := list -}}
{{- range concat (.Values.imagePullSecrets | default list) ((.Values.global).imagePullSecrets | default list) -}}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with $secrets | uniq }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
A container of a part without its name: (dict "root" $ "program" "udf" "part" "udf" "env" ENVIRONMENT), and "mounts" of
the chart's own volumes. It runs our program, or what the part's image and command say.
*/}}
{{- define "async-reduce.container" -}}
{{- $part := include "async-reduce.part" . | fromYaml -}}
image: {{ include "async-reduce.image" . | quote }}
imagePullPolicy: {{ ($part.image).pullPolicy | default .root.Values.image.pullPolicy | default "IfNotPresent" }}
{{- if $part.command }}
command:
  {{- include "async-reduce.texts" $part.command | nindent 2 }}
{{- else if not ($part.image).repository }}
command: [/usr/local/bin/{{ .program }}]
{{- end }}
{{- with $part.args }}
args:
  {{- include "async-reduce.texts" . | nindent 2 }}
{{- end }}
{{- with .root.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .env }}
env:
  {{- . | nindent 2 }}
{{- end }}
{{- with $part.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $mounts := .mounts | default list -}}
{{- $volumes := dict -}}
{{- range concat $mounts ($part.extraVolumes | default list) -}}{{- $_ := set $volumes .name true -}}{{- end -}}
{{- range $part.extraVolumeMounts -}}
{{- if not (hasKey $volumes .name) -}}
{{- fail (printf "%s.extraVolumeMounts: there is no volume %q: name one of %s.extraVolumes" $.part .name $.part) -}}
{{- end -}}
{{- end -}}
{{- with concat $mounts ($part.extraVolumeMounts | default list) }}
volumeMounts:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Resources and security of a container of Numaflow: (dict "root" $ "resources" RESOURCES), "env" and "envFrom" if wanted. */}}
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
{{- with .envFrom }}
envFrom:
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
{{- $log := .root.Values.log | default dict -}}
{{- $lines := list -}}
{{- range chunk 2 (concat (.defaults | default list) (list "RUST_LOG" $log.level "LOG_FORMAT" $log.format)) -}}
{{- $value := include "async-reduce.text" (last .) -}}
{{- if and (ne $value "") (not (hasKey $given (first .))) -}}
{{- $lines = append $lines (printf "- name: %s\n  value: %s" (first .) (quote $value)) -}}
{{- end -}}
{{- end -}}
{{- with .own -}}{{- $lines = append $lines (toYaml .) -}}{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}

{{/* The InterStepBufferService of the pipeline. */}}
{{- define "async-reduce.isbsvc" -}}
{{- $isbsvc := .Values.isbsvc | default dict -}}
{{- $isbsvc.name | default (ternary (include "async-reduce.fullname" .) "default" (default false $isbsvc.create)) -}}
{{- end -}}

{{/* Whether the UDF is a program of the user's: "true" or nothing. */}}
{{- define "async-reduce.ownUdf" -}}
{{- if or (.Values.udf.image).repository .Values.udf.command -}}true{{- end -}}
{{- end -}}

{{/* What the notes call the UDF. */}}
{{- define "async-reduce.udfShown" -}}
{{- if include "async-reduce.ownUdf" . -}}
{{- include "async-reduce.image" (dict "root" . "part" "udf") }}{{ range .Values.udf.command }} {{ . }}{{ end -}}
{{- else -}}
{{- .Values.udf.strategy -}}
{{- end -}}
{{- end -}}

{{/* Whether an endpoint is deployed: "true" or nothing. */}}
{{- define "async-reduce.ownEndpoint" -}}
{{- $enabled := (.Values.endpoint).enabled -}}
{{- $url := .Values.udf.endpointUrl -}}
{{- $service := (include "async-reduce.request" . | fromYaml).url -}}
{{- if kindIs "invalid" $enabled -}}
{{- if not (or $url $service (include "async-reduce.ownUdf" .)) -}}true{{- end -}}
{{- else if $enabled -}}
{{- if $url -}}
{{- fail (printf "endpoint.enabled: true, and udf.endpointUrl names an endpoint of your own (%s): leave one of them out" $url) -}}
{{- end -}}
{{- if and $service (include "async-reduce.experimenting" .) -}}
{{- fail "endpoint.enabled: true, but udf.request.url does not name the endpoint that each trial has of its own: leave one of them out" -}}
{{- end -}}
true
{{- else if not (or $url $service (include "async-reduce.ownUdf" .) (eq (.Values.udf.workload | default "http") "cpu")) -}}
{{- fail "endpoint.enabled: false, but udf.workload is http: name an endpoint of your own by udf.endpointUrl, or a service by udf.request.url" -}}
{{- end -}}
{{- end -}}

{{/* Whether a plan runs in place of a standing pipeline: "true" or nothing. */}}
{{- define "async-reduce.experimenting" -}}
{{- if (.Values.experiment).enabled -}}true{{- end -}}
{{- end -}}

{{/* The port of the endpoint: its calls and its metrics. */}}
{{- define "async-reduce.endpointPort" -}}9888{{- end -}}

{{/* The tag of the messages that are records. */}}
{{- define "async-reduce.recordTag" -}}async-reduce-record{{- end -}}

{{/* The port on which generator, UDF and recorder serve their metrics. */}}
{{- define "async-reduce.metricsPort" -}}9100{{- end -}}

{{/* Where the UDF calls; nothing where that is its own affair. */}}
{{- define "async-reduce.endpointUrl" -}}
{{- if (include "async-reduce.request" . | fromYaml).url -}}
{{- else if include "async-reduce.ownEndpoint" . -}}
http://{{ include "async-reduce.fullname" . }}-endpoint:{{ include "async-reduce.endpointPort" . }}
{{- else -}}
{{- .Values.udf.endpointUrl -}}
{{- end -}}
{{- end -}}

{{/* Refuses a duration that is shorter than another, as Numaflow does: (list PATH MAP LONGER SHORTER). */}}
{{- define "async-reduce.notLess" -}}
{{- $of := index . 1 -}}
{{- $longer := index . 2 -}}
{{- $shorter := index . 3 -}}
{{- if and (get $of $longer) (get $of $shorter) -}}
{{- if lt (include "async-reduce.nanoseconds" (get $of $longer) | float64) (include "async-reduce.nanoseconds" (get $of $shorter) | float64) -}}
{{- fail (printf "%s.%s: %s is less than %s (%s), which Numaflow refuses: raise it" (index . 0) $longer (get $of $longer) $shorter (get $of $shorter)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A duration's text in nanoseconds, for comparing. */}}
{{- define "async-reduce.nanoseconds" -}}
{{- $units := dict "ns" 1.0 "us" 1e3 "µs" 1e3 "μs" 1e3 "ms" 1e6 "s" 1e9 "m" 60e9 "h" 3600e9 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[^0-9.]+" . -1 -}}
{{- $sum = addf $sum (mulf (regexFind "^[0-9.]+" .) (get $units (regexFind "[^0-9.]+$" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

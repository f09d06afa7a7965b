{{/* The Pipeline: the standing one's, and the base that an experiment's trials are made from. */}}
{{- define "async-reduce.pipeline" -}}
{{- $name := include "async-reduce.fullname" . -}}
{{- $pipeline := .Values.pipeline | default dict -}}
{{- $udf := .Values.udf -}}
{{- $partitions := $udf.partitions | default 1 | int -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- with include "async-reduce.requestSources" . | fromYamlArray -}}
{{- $volumes = list (dict "name" "request" "projected" (dict "sources" .)) -}}
{{- $mounts = list (dict "name" "request" "mountPath" (include "async-reduce.requestFolder" $) "readOnly" true) -}}
{{- end }}
{{- with ($pipeline.watermark).idleSource }}
{{- include "async-reduce.notLess" (list "pipeline.watermark.idleSource" . "threshold" "incrementBy") }}
{{- include "async-reduce.notLess" (list "pipeline.watermark.idleSource" . "initSourceDelay" "threshold") }}
{{- end }}
{{- if and (gt $partitions 1) (not $udf.keyed) }}
{{- fail (printf "udf.partitions: %d partitions need udf.keyed=true, as a reduce without keys has only one" $partitions) }}
{{- end -}}
apiVersion: numaflow.numaproj.io/v1alpha1
kind: Pipeline
metadata:
  {{- include "async-reduce.metadata" (dict "root" . "component" "pipeline" "name" $name) | nindent 2 }}
spec:
  interStepBufferServiceName: {{ include "async-reduce.isbsvc" . }}
  {{- with include "async-reduce.scalars" $pipeline.limits | trim }}
  limits:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $pipeline.watermark }}
  watermark:
    {{- with .maxDelay }}
    maxDelay: {{ . }}
    {{- end }}
    {{- with include "async-reduce.scalars" .idleSource | trim }}
    idleSource:
      {{- . | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- if ($pipeline.ordered).enabled }}
  ordered:
    enabled: true
  {{- end }}
  {{- with include "async-reduce.scalars" $pipeline.lifecycle | trim }}
  lifecycle:
    {{- . | nindent 4 }}
  {{- end }}
  templates:
    {{- include "async-reduce.pipelineTemplates" . | nindent 4 }}
  vertices:
    {{- include "async-reduce.sourceVertex" . | nindent 4 }}
    - name: udf
      {{- with include "async-reduce.vertexPod" (dict "root" . "part" "udf" "volumes" $volumes) | trim }}{{ . | nindent 6 }}{{ end }}
      partitions: {{ $partitions }}
      # Numaflow runs one pod for each partition, if the scale lets it.
      scale:
        min: {{ $partitions }}
        max: {{ $partitions }}
      udf:
        container:
          {{- include "async-reduce.vertexContainer" (dict "root" . "part" "udf" "env" (include "async-reduce.udfEnv" .) "mounts" $mounts) | nindent 10 }}
        groupBy:
          window:
            fixed:
              length: {{ $udf.window }}
          {{- with include "async-reduce.scalars" (pick $udf "keyed" "allowedLateness") | trim }}
          {{- . | nindent 10 }}
          {{- end }}
          storage:
            {{- include "async-reduce.storage" ($udf.storage | default dict) | nindent 12 }}
    {{- include "async-reduce.sinkVertices" . | nindent 4 }}
  edges:
    - from: {{ include "async-reduce.sourceName" . }}
      to: udf
    {{- include "async-reduce.sinkEdges" . | nindent 4 }}
{{- end -}}

{{/* Pods and containers that are Numaflow's. */}}
{{- define "async-reduce.pipelineTemplates" -}}
{{- $numa := .Values.numa | default dict -}}
{{- $job := dict "podLabels" $numa.jobPodLabels "podAnnotations" $numa.jobPodAnnotations -}}
{{- $scheduling := include "async-reduce.scheduling" (dict "root" .) -}}
{{- $init := include "async-reduce.containerTemplate" (dict "root" . "resources" $numa.initResources) | trim -}}
{{- $pod := printf "%s\n%s" (include "async-reduce.identity" .) (include "async-reduce.pod" . | trim) | trim -}}
vertex:
  metadata:
    {{- include "async-reduce.numaflowPodMetadata" (dict "root" .) | nindent 4 }}
  {{- $pod | nindent 2 }}
  {{- with include "async-reduce.containerTemplate" (dict "root" . "resources" $numa.resources "env" $numa.env "envFrom" $numa.envFrom) | trim }}
  containerTemplate:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $init }}
  initContainerTemplate:
    {{- . | nindent 4 }}
  {{- end }}
daemon:
  metadata:
    {{- include "async-reduce.numaflowPodMetadata" (dict "root" .) | nindent 4 }}
  {{- $pod | nindent 2 }}
  {{- with $scheduling }}{{ . | nindent 2 }}{{ end }}
  {{- with include "async-reduce.containerTemplate" (dict "root" . "resources" $numa.daemonResources) | trim }}
  containerTemplate:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $init }}
  initContainerTemplate:
    {{- . | nindent 4 }}
  {{- end }}
job:
  metadata:
    {{- include "async-reduce.numaflowPodMetadata" (dict "root" . "own" $job) | nindent 4 }}
  {{- $pod | nindent 2 }}
  {{- with $scheduling }}{{ . | nindent 2 }}{{ end }}
  {{- with include "async-reduce.containerTemplate" (dict "root" . "resources" $numa.jobResources) | trim }}
  containerTemplate:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/*
The pod of a vertex: (dict "root" $ "part" "udf"), and "volumes" of the chart's own. Numaflow merges it with its template of vertices, maps and all, so the
fields of every pod stand here and not there, for a part's own to take their place.
*/}}
{{- define "async-reduce.vertexPod" -}}
{{- $part := include "async-reduce.part" . | fromYaml -}}
{{- $metadata := dict -}}
{{- with $part.podLabels }}{{ $_ := set $metadata "labels" . }}{{ end -}}
{{- with $part.podAnnotations }}{{ $_ := set $metadata "annotations" . }}{{ end -}}
{{- with $metadata }}
metadata:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "async-reduce.scheduling" . }}
{{ . }}
{{- end }}
{{- with concat (.volumes | default list) ($part.extraVolumes | default list) }}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The container of a part's vertex; the program has the part's name. Numaflow calls its own port "metrics". */}}
{{- define "async-reduce.vertexContainer" -}}
{{- include "async-reduce.container" (merge (dict "program" .part) .) }}
ports:
  - name: http-metrics
    containerPort: {{ include "async-reduce.metricsPort" .root }}
    protocol: TCP
{{- end -}}

{{- define "async-reduce.udfEnv" -}}
{{- with .Values.udf -}}
{{- $own := concat (.env | default list) (include "async-reduce.requestSecrets" $ | fromYamlArray) -}}
{{- $request := include "async-reduce.requestEnv" $ | fromYamlArray -}}
{{- include "async-reduce.env" (dict "root" $ "own" $own "defaults" (concat $request (list
  "STRATEGY" .strategy
  "START_RULE" .startRule
  "MAX_WORKERS" .maxWorkers
  "WORKLOAD" .workload
  "ENDPOINT_URL" (include "async-reduce.endpointUrl" $)
  "HTTP_CLIENT" .httpClient
  "HTTP_METHOD" .httpMethod
  "IDEMPOTENT" .idempotent
  "IDLE_TIMEOUT" .idleTimeout
  "MAX_ANSWER_BYTES" .maxAnswerBytes
  "IO_DELAY" .ioDelay
  "TIMEOUT" .timeout
  "RETRIES" .retries
  "RETRY_STATUSES" .retryStatuses
  "RETRY_PAUSE" .retryPause
  "RUNTIME_THREADS" .runtimeThreads
  "CPU_OFFLOAD" .cpuOffload
  "CLOSE_DEADLINE" .closeDeadline
  "MAX_WAITING" .maxWaiting
  "MAX_WAITING_BYTES" .maxWaitingBytes
  "RECORDS" (include "async-reduce.records" $)
  "RESULT_FORMAT" .resultFormat
  "STATS_LISTEN" (include "async-reduce.statsListen" $)
))) -}}
{{- end -}}
{{- end -}}

{{/*
What a key and window sends. A program of the user's, or the shipped one with a result of the user's, sends its own results,
and the record beside them in a trial; otherwise the shipped one sends the record, and its results too where they have a
sink of their own.
*/}}
{{- define "async-reduce.records" -}}
{{- $own := or (include "async-reduce.ownUdf" .) (include "async-reduce.request" . | fromYaml).result | default "" -}}
{{- $ownSink := include "async-reduce.ownSink" . -}}
{{- $given := .Values.udf.records -}}
{{- if include "async-reduce.experimenting" . -}}
{{- ternary "beside" "only" (ne $own "") -}}
{{- else if kindIs "bool" $given -}}
{{- /* YAML reads a bare `off` as false. */ -}}
off
{{- else if $given -}}
{{- if and (eq $given "only") $ownSink -}}
{{- fail "udf.records: only sends nothing but records, which never reach a sink of your own: set beside or off" -}}
{{- end -}}
{{- $given -}}
{{- else if $own -}}
{{- ternary "beside" "off" (ne (.Values.udf.resultFormat | default "") "") -}}
{{- else -}}
{{- ternary "beside" "only" (ne $ownSink "") -}}
{{- end -}}
{{- end -}}

{{- define "async-reduce.statsListen" -}}0.0.0.0:{{ include "async-reduce.metricsPort" . }}{{- end -}}

{{/* Where the UDF keeps open windows; exactly one kind. */}}
{{- define "async-reduce.storage" -}}
{{- $type := .type | default "no_store" -}}
{{- if eq $type "no_store" -}}
no_store: {}
{{- else if eq $type "emptyDir" -}}
emptyDir:
  {{- .emptyDir | default dict | toYaml | nindent 2 }}
{{- else -}}
persistentVolumeClaim:
  {{- with include "async-reduce.scalars" .pvc | trim }}{{ . | nindent 2 }}{{ else }} {}{{ end }}
{{- end -}}
{{- end -}}

{{/* The one of a part's fields that is a kind of source or sink: (dict "root" $ "part" "sink" "kinds" KINDS); or nothing. */}}
{{- define "async-reduce.kind" -}}
{{- $part := include "async-reduce.part" . | fromYaml -}}
{{- $found := list -}}
{{- range .kinds -}}
{{- if kindIs "map" (get $part .) -}}{{- $found = append $found . -}}{{- end -}}
{{- end -}}
{{- if gt (len $found) 1 -}}
{{- fail (printf "%s: has %s, and can be only one of them" .part (join " and " $found)) -}}
{{- end -}}
{{- join "" $found -}}
{{- end -}}

{{/*
Fields of a part as the user gives them, for Numaflow: (dict "root" $ "part" "sink" "fields" FIELDS). Containers that say
nothing of their security get that of every container.
*/}}
{{- define "async-reduce.passedOn" -}}
{{- $part := include "async-reduce.part" . | fromYaml -}}
{{- $fields := dict -}}
{{- range .fields -}}
{{- if kindIs "map" (get $part .) -}}{{- $_ := set $fields . (get $part .) -}}{{- end -}}
{{- end -}}
{{- $with := .root.Values.securityContext -}}
{{- range $of := list $fields $fields.fallback $fields.onSuccess -}}
{{- range list "udsource" "transformer" "udsink" -}}
{{- $container := (get ($of | default dict) . | default dict).container -}}
{{- if and $container $with (not (hasKey ($container | default dict) "securityContext")) -}}
{{- $_ := set $container "securityContext" $with -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $fields }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The scale of a part: (dict "root" $ "part" "sink"). */}}
{{- define "async-reduce.scale" -}}
{{- $scale := (include "async-reduce.part" . | fromYaml).scale | default dict -}}
{{- if and $scale.min $scale.max (gt (int $scale.min) (int $scale.max)) -}}
{{- fail (printf "%s.scale.min: %d is more than %s.scale.max (%d)" .part (int $scale.min) .part (int $scale.max)) -}}
{{- end -}}
{{- include "async-reduce.scalars" $scale -}}
{{- end -}}

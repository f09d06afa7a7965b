{{/* The Pipeline: the standing one's, and the base that an experiment's trials are made from. */}}
{{- define "async-reduce.pipeline" -}}
{{- $name := include "async-reduce.fullname" . -}}
{{- $pipeline := .Values.pipeline | default dict -}}
{{- $udf := .Values.udf -}}
{{- $partitions := $udf.partitions | default 1 | int -}}
{{- $scale := (.Values.sink).scale | default dict -}}
{{- $ordered := ($pipeline.ordered).enabled -}}
{{- $retry := (.Values.sink).retryStrategy -}}
{{- with ($pipeline.watermark).idleSource }}
{{- include "async-reduce.notLess" (list "pipeline.watermark.idleSource" . "threshold" "incrementBy") }}
{{- include "async-reduce.notLess" (list "pipeline.watermark.idleSource" . "initSourceDelay" "threshold") }}
{{- end }}
{{- with ($retry).backoff }}
{{- include "async-reduce.notLess" (list "sink.retryStrategy.backoff" (merge (dict) . (dict "interval" "1ms")) "cap" "interval") }}
{{- end }}
{{- if and (gt $partitions 1) (not $udf.keyed) }}
{{- fail (printf "udf.partitions: %d partitions need udf.keyed=true, as a reduce without keys has only one" $partitions) }}
{{- end }}
{{- if and $scale.min $scale.max (gt (int $scale.min) (int $scale.max)) }}
{{- fail (printf "sink.scale.min: %d is more than sink.scale.max (%d)" (int $scale.min) (int $scale.max)) }}
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
  {{- if $ordered }}
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
    - name: generator
      {{- with include "async-reduce.vertexPod" (dict "root" . "part" "generator") | trim }}{{ . | nindent 6 }}{{ end }}
      # A second replica would offer the whole rate again.
      scale:
        min: 1
        max: 1
      source:
        udsource:
          container:
            {{- include "async-reduce.vertexContainer" (dict "root" . "part" "generator" "env" (include "async-reduce.generatorEnv" .)) | nindent 12 }}
    - name: udf
      {{- with include "async-reduce.vertexPod" (dict "root" . "part" "udf") | trim }}{{ . | nindent 6 }}{{ end }}
      partitions: {{ $partitions }}
      # Numaflow runs one pod for each partition, if the scale lets it.
      scale:
        min: {{ $partitions }}
        max: {{ $partitions }}
      udf:
        container:
          {{- include "async-reduce.vertexContainer" (dict "root" . "part" "udf" "env" (include "async-reduce.udfEnv" .)) | nindent 10 }}
        groupBy:
          window:
            fixed:
              length: {{ $udf.window }}
          {{- with include "async-reduce.scalars" (pick $udf "keyed" "allowedLateness") | trim }}
          {{- . | nindent 10 }}
          {{- end }}
          storage:
            {{- include "async-reduce.storage" ($udf.storage | default dict) | nindent 12 }}
    - name: sink
      {{- with include "async-reduce.vertexPod" (dict "root" . "part" "sink") | trim }}{{ . | nindent 6 }}{{ end }}
      {{- with (.Values.sink).partitions }}
      partitions: {{ int . }}
      {{- end }}
      {{- /* Numaflow fixes the pods of an ordered sink to its partitions, and refuses a scale. */}}
      {{- with include "async-reduce.scalars" (ternary dict $scale (default false $ordered)) | trim }}
      scale:
        {{- . | nindent 8 }}
      {{- end }}
      sink:
        {{- with $retry }}
        retryStrategy:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        udsink:
          container:
            {{- include "async-reduce.vertexContainer" (dict "root" . "part" "sink" "env" (include "async-reduce.sinkEnv" .)) | nindent 12 }}
  edges:
    - from: generator
      to: udf
    - from: udf
      to: sink
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
The pod of a vertex: (dict "root" $ "part" "udf"). Numaflow merges it with its template of vertices, maps and all, so the
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
{{- with $part.extraVolumes }}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A vertex' container, whose part has the program's name. Numaflow calls its own port "metrics". */}}
{{- define "async-reduce.vertexContainer" -}}
{{- include "async-reduce.container" (merge (dict "program" .part) .) }}
ports:
  - name: http-metrics
    containerPort: {{ include "async-reduce.metricsPort" .root }}
    protocol: TCP
{{- end -}}

{{- define "async-reduce.generatorEnv" -}}
{{- $generator := .Values.generator | default dict -}}
{{- include "async-reduce.env" (dict "root" . "own" $generator.env "defaults" (list
  "RPU" $generator.rpu
  "KEYS" $generator.keys
  "KEY_SKEW" $generator.keySkew
  "KEYED" (toString (default false .Values.udf.keyed))
  "PAYLOAD_SIZE" $generator.payloadSize
  "COUNT" $generator.count
  "SEED" $generator.seed
  "ALIGN" $generator.align
  "STATS_LISTEN" (include "async-reduce.statsListen" .)
)) -}}
{{- end -}}

{{- define "async-reduce.udfEnv" -}}
{{- with .Values.udf -}}
{{- include "async-reduce.env" (dict "root" $ "own" .env "defaults" (list
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
  "MAX_WAITING" .maxWaiting
  "RESULT_FORMAT" .resultFormat
  "STATS_LISTEN" (include "async-reduce.statsListen" $)
)) -}}
{{- end -}}
{{- end -}}

{{- define "async-reduce.sinkEnv" -}}
{{- include "async-reduce.env" (dict "root" . "own" (.Values.sink).env "defaults" (list "STATS_LISTEN" (include "async-reduce.statsListen" .))) -}}
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

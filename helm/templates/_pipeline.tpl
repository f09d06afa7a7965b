{{/* The Pipeline: the standing one's, and the base that an experiment's trials are made from. */}}
{{- define "async-reduce.pipeline" -}}
{{- $name := include "async-reduce.fullname" . -}}
{{- with .Values.pipeline.watermark.idleSource }}
{{- if lt (include "async-reduce.nanoseconds" .threshold | float64) (include "async-reduce.nanoseconds" .incrementBy | float64) }}
{{- fail (printf "pipeline.watermark.idleSource.threshold: %s is less than incrementBy (%s), which Numaflow refuses: raise it" .threshold .incrementBy) }}
{{- end }}
{{- end }}
{{- if and (gt (int .Values.udf.partitions) 1) (not .Values.udf.keyed) }}
{{- fail (printf "udf.partitions: %d partitions need udf.keyed=true, as a reduce without keys has only one" (int .Values.udf.partitions)) }}
{{- end }}
{{- if gt (int .Values.sink.scale.min) (int .Values.sink.scale.max) }}
{{- fail (printf "sink.scale.min: %d is more than sink.scale.max (%d)" (int .Values.sink.scale.min) (int .Values.sink.scale.max)) }}
{{- end -}}
apiVersion: numaflow.numaproj.io/v1alpha1
kind: Pipeline
metadata:
  {{- include "async-reduce.metadata" (dict "root" . "component" "pipeline" "name" $name) | nindent 2 }}
spec:
  interStepBufferServiceName: {{ include "async-reduce.isbsvc" . }}
  limits:
    {{- with .Values.pipeline.limits }}
    readBatchSize: {{ int64 .readBatchSize }}
    readTimeout: {{ .readTimeout }}
    bufferMaxLength: {{ int64 .bufferMaxLength }}
    bufferUsageLimit: {{ int64 .bufferUsageLimit }}
    {{- with .concurrency }}
    concurrency: {{ int64 . }}
    {{- end }}
    {{- end }}
  watermark:
    {{- with .Values.pipeline.watermark }}
    maxDelay: {{ .maxDelay }}
    idleSource:
      threshold: {{ .idleSource.threshold }}
      incrementBy: {{ .idleSource.incrementBy }}
      stepInterval: {{ .idleSource.stepInterval }}
    {{- end }}
  lifecycle:
    deletionGracePeriodSeconds: {{ int64 .Values.pipeline.lifecycle.deletionGracePeriodSeconds }}
    pauseGracePeriodSeconds: {{ int64 .Values.pipeline.lifecycle.pauseGracePeriodSeconds }}
  templates:
    {{- include "async-reduce.pipelineTemplates" . | nindent 4 }}
  vertices:
    - name: generator
      {{- with include "async-reduce.scheduling" (dict "root" . "own" .Values.generator) | trim }}{{ . | nindent 6 }}{{ end }}
      # A second replica would offer the whole rate again.
      scale:
        min: 1
        max: 1
      source:
        udsource:
          container:
            {{- include "async-reduce.program" (dict "root" . "program" "generator") | nindent 12 }}
            {{- include "async-reduce.vertexContainer" .Values.generator | trim | nindent 12 }}
            env:
              {{- include "async-reduce.generatorEnv" . | nindent 14 }}
    - name: udf
      {{- with include "async-reduce.scheduling" (dict "root" . "own" .Values.udf) | trim }}{{ . | nindent 6 }}{{ end }}
      partitions: {{ int .Values.udf.partitions }}
      # Numaflow runs one pod for each partition, if the scale lets it.
      scale:
        min: {{ int .Values.udf.partitions }}
        max: {{ int .Values.udf.partitions }}
      udf:
        container:
          {{- include "async-reduce.program" (dict "root" . "program" "udf") | nindent 10 }}
          {{- include "async-reduce.vertexContainer" .Values.udf | trim | nindent 10 }}
          env:
            {{- include "async-reduce.udfEnv" . | nindent 12 }}
        groupBy:
          window:
            fixed:
              length: {{ .Values.udf.window }}
          keyed: {{ .Values.udf.keyed }}
          allowedLateness: {{ .Values.udf.allowedLateness }}
          storage:
            {{- include "async-reduce.storage" .Values.udf.storage | nindent 12 }}
    - name: sink
      {{- with include "async-reduce.scheduling" (dict "root" . "own" .Values.sink) | trim }}{{ . | nindent 6 }}{{ end }}
      scale:
        min: {{ int .Values.sink.scale.min }}
        max: {{ int .Values.sink.scale.max }}
      sink:
        udsink:
          container:
            {{- include "async-reduce.program" (dict "root" . "program" "sink") | nindent 12 }}
            {{- include "async-reduce.vertexContainer" .Values.sink | trim | nindent 12 }}
            env:
              {{- include "async-reduce.env" (dict "root" . "own" .Values.sink.env "defaults" (list "STATS_LISTEN" (printf "0.0.0.0:%s" (include "async-reduce.metricsPort" .)))) | trim | nindent 14 }}
  edges:
    - from: generator
      to: udf
    - from: udf
      to: sink
{{- end -}}

{{/* Pods and containers that are Numaflow's. */}}
{{- define "async-reduce.pipelineTemplates" -}}
{{- $init := include "async-reduce.containerTemplate" (dict "root" . "resources" .Values.numa.initResources) | trim -}}
vertex:
  metadata:
    {{- include "async-reduce.numaflowPodMetadata" . | nindent 4 }}
  automountServiceAccountToken: false
  {{- with include "async-reduce.pod" . | trim }}{{ . | nindent 2 }}{{ end }}
  containerTemplate:
    {{- include "async-reduce.containerTemplate" (dict "root" . "resources" .Values.numa.resources "env" .Values.numa.env) | trim | nindent 4 }}
  initContainerTemplate:
    {{- $init | nindent 4 }}
daemon:
  metadata:
    {{- include "async-reduce.numaflowPodMetadata" . | nindent 4 }}
  automountServiceAccountToken: false
  {{- with include "async-reduce.pod" . | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "async-reduce.scheduling" (dict "root" .) | trim }}{{ . | nindent 2 }}{{ end }}
  containerTemplate:
    {{- include "async-reduce.containerTemplate" (dict "root" . "resources" .Values.numa.daemonResources) | trim | nindent 4 }}
  initContainerTemplate:
    {{- $init | nindent 4 }}
job:
  metadata:
    {{- include "async-reduce.numaflowPodMetadata" . | nindent 4 }}
  automountServiceAccountToken: false
  {{- with include "async-reduce.pod" . | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "async-reduce.scheduling" (dict "root" .) | trim }}{{ . | nindent 2 }}{{ end }}
  containerTemplate:
    {{- include "async-reduce.containerTemplate" (dict "root" . "resources" .Values.numa.jobResources) | trim | nindent 4 }}
{{- end -}}

{{/* Resources and port of a vertex' container. Numaflow calls its own port "metrics". */}}
{{- define "async-reduce.vertexContainer" -}}
{{- with .resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: http-metrics
    containerPort: {{ include "async-reduce.metricsPort" . }}
    protocol: TCP
{{- end -}}

{{- define "async-reduce.generatorEnv" -}}
{{- $whole := "async-reduce.whole" -}}
{{- with .Values.generator -}}
{{- include "async-reduce.env" (dict "root" $ "own" .env "defaults" (list
  "RPU" (include $whole .rpu)
  "KEYS" (include $whole .keys)
  "KEY_SKEW" (toString .keySkew)
  "PAYLOAD_SIZE" (include $whole .payloadSize)
  "COUNT" (include $whole .count)
  "SEED" (include $whole .seed)
  "ALIGN" .align
  "STATS_LISTEN" (printf "0.0.0.0:%s" (include "async-reduce.metricsPort" .))
)) | trim -}}
{{- end -}}
{{- end -}}

{{- define "async-reduce.udfEnv" -}}
{{- $whole := "async-reduce.whole" -}}
{{- with .Values.udf -}}
{{- include "async-reduce.env" (dict "root" $ "own" .env "defaults" (list
  "STRATEGY" .strategy
  "START_RULE" .startRule
  "MAX_WORKERS" (include $whole .maxWorkers)
  "WORKLOAD" .workload
  "ENDPOINT_URL" (include "async-reduce.endpointUrl" $)
  "HTTP_CLIENT" .httpClient
  "IO_DELAY" (toString .ioDelay)
  "TIMEOUT" .timeout
  "RETRIES" (include $whole .retries)
  "CPU_OFFLOAD" (toString .cpuOffload)
  "MAX_WAITING" (include $whole .maxWaiting)
  "RESULT_FORMAT" .resultFormat
  "STATS_LISTEN" (printf "0.0.0.0:%s" (include "async-reduce.metricsPort" .))
)) | trim -}}
{{- end -}}
{{- end -}}

{{/* Where the UDF keeps open windows; exactly one kind. */}}
{{- define "async-reduce.storage" -}}
{{- if eq .type "no_store" -}}
no_store: {}
{{- else if eq .type "emptyDir" -}}
emptyDir:
  {{- toYaml .emptyDir | nindent 2 }}
{{- else -}}
persistentVolumeClaim:
  {{- with .pvc.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  accessMode: {{ .pvc.accessMode }}
  volumeSize: {{ .pvc.volumeSize }}
{{- end -}}
{{- end -}}

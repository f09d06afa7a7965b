{{/*
The sink: the recorder, or one of the user's. The latter never gets a record: these have a recorder of their own beside
it, or are not sent. An experiment always has the recorder as its sink.
*/}}
{{- define "async-reduce.sinkVertices" -}}
{{- $sink := .Values.sink | default dict -}}
{{- $own := include "async-reduce.ownSink" . -}}
{{- include "async-reduce.checkedSink" . -}}
{{- $retry := $sink.retryStrategy | default dict -}}
{{- if not $own -}}
{{- /* The recorder of an experiment has no fallback. */ -}}
{{- $retry = ternary (omit $retry "onFailure") $retry (eq ($retry.onFailure | default "") "fallback") -}}
{{- end -}}
- name: sink
  {{- with include "async-reduce.vertexPod" (dict "root" . "part" "sink") | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with $sink.partitions }}
  partitions: {{ int . }}
  {{- end }}
  {{- with include "async-reduce.sinkScale" (dict "root" . "scale" (include "async-reduce.scale" (dict "root" . "part" "sink"))) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  sink:
    {{- with $retry }}
    retryStrategy:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $own }}
    {{- . | nindent 4 }}
    {{- else }}
    {{- include "async-reduce.recorder" . | nindent 4 }}
    {{- end }}
{{- if include "async-reduce.besideSink" . }}
- name: records
  {{- with include "async-reduce.vertexPod" (dict "root" . "part" "sink") | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "async-reduce.sinkScale" (dict "root" . "scale" "min: 1\nmax: 1") | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  sink:
    {{- include "async-reduce.recorder" . | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "async-reduce.sinkEdges" -}}
- from: udf
  to: sink
{{- if include "async-reduce.ownSink" . }}
  conditions:
    tags:
      operator: not
      values: [{{ include "async-reduce.recordTag" . }}]
{{- end }}
{{- if include "async-reduce.besideSink" . }}
- from: udf
  to: records
  conditions:
    tags:
      operator: or
      values: [{{ include "async-reduce.recordTag" . }}]
{{- end }}
{{- end -}}

{{/* Whether there is a recorder beside a sink of the user's: "true" or nothing. */}}
{{- define "async-reduce.besideSink" -}}
{{- if and (include "async-reduce.ownSink" .) (ne (include "async-reduce.records" .) "off") -}}true{{- end -}}
{{- end -}}

{{/* Numaflow's `sink` as the user gives it; nothing where it is the recorder. */}}
{{- define "async-reduce.ownSink" -}}
{{- if not (include "async-reduce.experimenting" .) -}}
{{- with include "async-reduce.sinkKind" . -}}
{{- include "async-reduce.passedOn" (dict "root" $ "part" "sink" "fields" (list . "fallback" "onSuccess")) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "async-reduce.sinkKind" -}}
{{- $kinds := list "blackhole" "kafka" "log" "pulsar" "sqs" "udsink" -}}
{{- include "async-reduce.kind" (dict "root" . "part" "sink" "kinds" $kinds) -}}
{{- end -}}

{{/* Refuses values of the sink that contradict one another. */}}
{{- define "async-reduce.checkedSink" -}}
{{- $sink := .Values.sink | default dict -}}
{{- $retry := $sink.retryStrategy | default dict -}}
{{- with $retry.backoff -}}
{{- include "async-reduce.notLess" (list "sink.retryStrategy.backoff" (merge (dict) . (dict "interval" "1ms")) "cap" "interval") -}}
{{- end -}}
{{- if not (include "async-reduce.experimenting" .) -}}
{{- $own := include "async-reduce.ownSink" . -}}
{{- range list "fallback" "onSuccess" -}}
{{- if and (not $own) (get $sink .) -}}
{{- fail (printf "sink.%s: the recorder has none: name a sink of your own beside it" .) -}}
{{- end -}}
{{- end -}}
{{- if and (eq ($retry.onFailure | default "") "fallback") (not $sink.fallback) -}}
{{- fail "sink.retryStrategy.onFailure: fallback needs a sink.fallback" -}}
{{- end -}}
{{- range list "env" "envFrom" "extraVolumeMounts" -}}
{{- if and $own (not (include "async-reduce.besideSink" $)) (get $sink .) -}}
{{- fail (printf "sink.%s: is the recorder's, and udf.records=off beside a sink of your own deploys none: put it into sink.udsink.container" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The scale of a sink. Numaflow fixes the pods of an ordered one to its partitions, and refuses a scale. */}}
{{- define "async-reduce.sinkScale" -}}
{{- if not ((.root.Values.pipeline).ordered).enabled -}}
{{- with .scale | trim -}}
scale:
  {{- . | nindent 2 }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "async-reduce.recorder" -}}
udsink:
  container:
    {{- include "async-reduce.vertexContainer" (dict "root" . "part" "sink" "env" (include "async-reduce.sinkEnv" .)) | nindent 4 }}
{{- end -}}

{{- define "async-reduce.sinkEnv" -}}
{{- include "async-reduce.env" (dict "root" . "own" (.Values.sink).env "defaults" (list "STATS_LISTEN" (include "async-reduce.statsListen" .))) -}}
{{- end -}}

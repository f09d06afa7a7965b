{{/* The source: the generator, or one of the user's. An experiment always has the generator. */}}
{{- define "async-reduce.sourceVertex" -}}
{{- with include "async-reduce.ownSource" . -}}
- name: source
  {{- with include "async-reduce.vertexPod" (dict "root" $ "part" "source") | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "async-reduce.scale" (dict "root" $ "part" "source") | trim }}
  scale:
    {{- . | nindent 4 }}
  {{- end }}
  source:
    {{- . | nindent 4 }}
{{- else -}}
- name: generator
  {{- with include "async-reduce.vertexPod" (dict "root" . "part" "generator") | trim }}{{ . | nindent 2 }}{{ end }}
  # A second replica would offer the whole rate again.
  scale:
    min: 1
    max: 1
  source:
    udsource:
      container:
        {{- include "async-reduce.vertexContainer" (dict "root" . "part" "generator" "env" (include "async-reduce.generatorEnv" .)) | nindent 8 }}
{{- end -}}
{{- end -}}

{{- define "async-reduce.sourceKind" -}}
{{- $kinds := list "generator" "http" "jetstream" "kafka" "nats" "pulsar" "sqs" "udsource" -}}
{{- include "async-reduce.kind" (dict "root" . "part" "source" "kinds" $kinds) -}}
{{- end -}}

{{- define "async-reduce.sourceName" -}}
{{- ternary "generator" "source" (eq (include "async-reduce.ownSource" .) "") -}}
{{- end -}}

{{/* Numaflow's `source` as the user gives it; nothing where it is the generator. */}}
{{- define "async-reduce.ownSource" -}}
{{- if not (include "async-reduce.experimenting" .) -}}
{{- with include "async-reduce.sourceKind" . -}}
{{- include "async-reduce.unusedGenerator" $ -}}
{{- include "async-reduce.passedOn" (dict "root" $ "part" "source" "fields" (list . "transformer")) -}}
{{- else -}}
{{- if (.Values.source).transformer -}}
{{- fail "source.transformer: the generator has none: name a source of your own beside it" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses values of the generator where there is none. */}}
{{- define "async-reduce.unusedGenerator" -}}
{{- /* The defaults in values.yaml that are not empty: a template cannot tell them from values that the user gave. */ -}}
{{- $defaults := dict "rpu" 100.0 "keys" 1.0 "seed" 1.0 "resources"
  (dict "requests" (dict "cpu" "50m" "memory" "32Mi") "limits" (dict "cpu" "1" "memory" "128Mi")) -}}
{{- range $name, $value := .Values.generator | default dict -}}
{{- if and $value (ne (toJson $value) (toJson (get $defaults $name))) -}}
{{- fail (printf "generator.%s: there is no generator beside a source of your own: leave it out" $name) -}}
{{- end -}}
{{- end -}}
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

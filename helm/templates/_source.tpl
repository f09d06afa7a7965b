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
{{- $payloads := include "async-reduce.payloadsVolume" . | fromYaml -}}
{{- $mounts := list -}}
{{- with $payloads }}{{ $mounts = list (dict "name" "payloads" "mountPath" "/payloads" "readOnly" true) }}{{ end -}}
- name: generator
  {{- with include "async-reduce.vertexPod" (dict "root" . "part" "generator" "volumes" (ternary (list $payloads) list (gt (len $payloads) 0))) | trim }}{{ . | nindent 2 }}{{ end }}
  # A second replica would offer the whole rate again.
  scale:
    min: 1
    max: 1
  source:
    udsource:
      container:
        {{- include "async-reduce.vertexContainer" (dict "root" . "part" "generator" "env" (include "async-reduce.generatorEnv" .) "mounts" $mounts) | nindent 8 }}
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
{{- $defaults := dict "rpu" 100.0 "keys" 1.0 "seed" 1.0
  "payloads" (dict "lines" "" "existingClaim" "" "template" "" "file" "payloads.jsonl" "keyPointer" "")
  "resources" (dict "requests" (dict "cpu" "50m" "memory" "32Mi") "limits" (dict "cpu" "1" "memory" "128Mi")) -}}
{{- range $name, $value := .Values.generator | default dict -}}
{{- if and $value (ne (toJson $value) (toJson (get $defaults $name))) -}}
{{- fail (printf "generator.%s: there is no generator beside a source of your own: leave it out" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the user's own events come from: "lines", "claim", or nothing. */}}
{{- define "async-reduce.payloadsFrom" -}}
{{- $payloads := (.Values.generator | default dict).payloads | default dict -}}
{{- $lines := $payloads.lines | default "" -}}
{{- if and $lines $payloads.existingClaim -}}
{{- fail "generator.payloads: lines and existingClaim exclude each other: leave one of them out" -}}
{{- end -}}
{{- if and $payloads.template (or $lines $payloads.existingClaim) -}}
{{- fail "generator.payloads: a template excludes lines and existingClaim: leave one of them out" -}}
{{- end -}}
{{- if gt (len $lines) 1000000 -}}
{{- fail (printf "generator.payloads.lines: %d bytes are more than the 1000000 that a ConfigMap has room for: put the file on a volume, and name its claim by generator.payloads.existingClaim" (len $lines)) -}}
{{- end -}}
{{- if and $payloads.keyPointer (not $lines) (not $payloads.existingClaim) -}}
{{- fail "generator.payloads.keyPointer: the generator's own events have no such place: give events of your own by lines or existingClaim" -}}
{{- end -}}
{{- if $lines -}}lines{{- else if $payloads.existingClaim -}}claim{{- end -}}
{{- end -}}

{{- define "async-reduce.payloadsFile" -}}
{{- ((.Values.generator | default dict).payloads | default dict).file | default "payloads.jsonl" -}}
{{- end -}}

{{/* Their ConfigMap. The generator reads it once, so other lines need other pods, and so another name. */}}
{{- define "async-reduce.payloadsName" -}}
{{- printf "%s-payloads-%s" (include "async-reduce.fullname" .) (sha256sum .Values.generator.payloads.lines | trunc 7) -}}
{{- end -}}

{{/* Their volume; nothing in the base of trials for lines, which the experiment brings along. */}}
{{- define "async-reduce.payloadsVolume" -}}
{{- $from := include "async-reduce.payloadsFrom" . -}}
{{- if eq $from "claim" -}}
name: payloads
persistentVolumeClaim:
  claimName: {{ .Values.generator.payloads.existingClaim }}
  readOnly: true
{{- else if and (eq $from "lines") (not .forTrials) -}}
name: payloads
configMap:
  name: {{ include "async-reduce.payloadsName" . }}
{{- end -}}
{{- end -}}

{{/* Kubernetes reads `$$` in a variable's value as `$`, and `$(NAME)` as a variable: each `$` of a template is written twice. */}}
{{- define "async-reduce.generatorEnv" -}}
{{- $generator := .Values.generator | default dict -}}
{{- $payloads := dict -}}
{{- if include "async-reduce.payloadsVolume" . -}}
{{- $pointer := ternary nil $generator.payloads.keyPointer (eq (toString .forTrials) "true") -}}
{{- $payloads = dict "path" (printf "/payloads/%s" (include "async-reduce.payloadsFile" .)) "pointer" $pointer -}}
{{- end -}}
{{- include "async-reduce.env" (dict "root" . "own" $generator.env "defaults" (list
  "RPU" $generator.rpu
  "KEYS" $generator.keys
  "KEY_SKEW" $generator.keySkew
  "KEYED" (toString (default false .Values.udf.keyed))
  "PAYLOAD_SIZE" $generator.payloadSize
  "PAYLOADS" $payloads.path
  "KEY_POINTER" $payloads.pointer
  "PAYLOAD_TEMPLATE" (($generator.payloads | default dict).template | default "" | replace "$" "$$")
  "COUNT" $generator.count
  "SEED" $generator.seed
  "ALIGN" $generator.align
  "STATS_LISTEN" (include "async-reduce.statsListen" .)
)) -}}
{{- end -}}

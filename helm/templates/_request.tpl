{{/* The request of the shipped UDF to a service of the user's. */}}

{{/* Where the UDF's files are mounted. */}}
{{- define "async-reduce.requestFolder" -}}/etc/async-reduce/request{{- end -}}

{{/* The request, checked; empty for a program of the user's own, which has flags of its own. */}}
{{- define "async-reduce.request" -}}
{{- $request := .Values.udf.request | default dict -}}
{{- if include "async-reduce.ownUdf" . -}}
{{- if or $request.url $request.result -}}
{{- fail "udf.request: udf.image and udf.command are a program of your own, which makes its own calls: give it flags by udf.args" -}}
{{- end -}}
{{- $request = dict -}}
{{- end -}}
{{- if and $request.url .Values.udf.endpointUrl -}}
{{- fail "udf.request.url: udf.endpointUrl is another place for the same requests: give one of them" -}}
{{- end -}}
{{- if and $request.bodyTemplate (eq ($request.body | default "none") "payload") -}}
{{- fail "udf.request.bodyTemplate: udf.request.body is the payload already: leave one of them out" -}}
{{- end -}}
{{- if and ($request.ca).secret ($request.ca).configMap -}}
{{- fail "udf.request.ca: a Secret and a ConfigMap, and can be only one of them" -}}
{{- end -}}
{{- toYaml $request -}}
{{- end -}}

{{/* The ConfigMap of the body. A change gives it another name, so that the pods restart with it. */}}
{{- define "async-reduce.requestName" -}}
{{- $body := (include "async-reduce.request" . | fromYaml).bodyTemplate -}}
{{- with $body -}}{{ include "async-reduce.fullname" $ }}-request-{{ sha256sum . | trunc 7 }}{{- end -}}
{{- end -}}

{{/* Kubernetes reads $$ in the value of a variable as $. */}}
{{- define "async-reduce.requestText" -}}{{ replace "$$" "$$$$" . }}{{- end -}}

{{/* Environment of the request, as pairs of names and values in a YAML list. */}}
{{- define "async-reduce.requestEnv" -}}
{{- $request := include "async-reduce.request" . | fromYaml -}}
{{- $folder := include "async-reduce.requestFolder" . -}}
{{- $headers := list -}}
{{- range $name, $value := $request.headers -}}
{{- $headers = append $headers (printf "%s: %s" $name (include "async-reduce.text" $value)) -}}
{{- end -}}
{{- $statuses := list -}}
{{- range $request.expect -}}{{- $statuses = append $statuses (include "async-reduce.text" .) -}}{{- end -}}
{{- $ca := $request.ca | default dict -}}
{{- $client := ($request.clientCertificate).secret -}}
{{- list
  "REQUEST_URL" (include "async-reduce.requestText" ($request.url | default ""))
  "REQUEST_HEADERS" (include "async-reduce.requestText" (join "\n" $headers))
  "REQUEST_BODY" (ternary "payload" "" (eq ($request.body | default "") "payload"))
  "REQUEST_BODY_TEMPLATE" (ternary (printf "%s/body.json" $folder) "" (ne ($request.bodyTemplate | default "") ""))
  "CA_FILE" (ternary (printf "%s/ca.crt" $folder) "" (or $ca.secret $ca.configMap | empty | not))
  "CLIENT_CERTIFICATE" (ternary (printf "%s/client/tls.crt" $folder) "" (empty $client | not))
  "CLIENT_KEY" (ternary (printf "%s/client/tls.key" $folder) "" (empty $client | not))
  "REQUEST_EXPECT" (join "," $statuses)
  "REQUEST_ANSWER" $request.answer
  "RESULT" $request.result
  | toYaml -}}
{{- end -}}

{{/* Variables from Secrets, beside those of udf.env, which stand above them. */}}
{{- define "async-reduce.requestSecrets" -}}
{{- $given := dict -}}
{{- range .Values.udf.env -}}{{- $_ := set $given .name true -}}{{- end -}}
{{- $variables := list -}}
{{- range $name, $of := (include "async-reduce.request" . | fromYaml).secretEnv -}}
{{- if not (hasKey $given $name) -}}
{{- $variables = append $variables (dict "name" $name "valueFrom" (dict "secretKeyRef" (dict "name" $of.name "key" $of.key))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* Files of the request, as the sources of one volume in a YAML list. */}}
{{- define "async-reduce.requestSources" -}}
{{- $request := include "async-reduce.request" . | fromYaml -}}
{{- $sources := list -}}
{{- with include "async-reduce.requestName" . -}}
{{- $sources = append $sources (dict "configMap" (dict "name" .)) -}}
{{- end -}}
{{- with $request.secretFiles -}}
{{- $items := list -}}
{{- range $key := .keys -}}{{- $items = append $items (dict "key" $key "path" (printf "secret/%s" $key)) -}}{{- end -}}
{{- if .secret -}}
{{- $sources = append $sources (dict "secret" (dict "name" .secret "items" $items)) -}}
{{- end -}}
{{- end -}}
{{- with $request.ca -}}
{{- $items := list (dict "key" (.key | default "ca.crt") "path" "ca.crt") -}}
{{- with .secret -}}{{- $sources = append $sources (dict "secret" (dict "name" . "items" $items)) -}}{{- end -}}
{{- with .configMap -}}{{- $sources = append $sources (dict "configMap" (dict "name" . "items" $items)) -}}{{- end -}}
{{- end -}}
{{- with ($request.clientCertificate).secret -}}
{{- $items := list (dict "key" "tls.crt" "path" "client/tls.crt") (dict "key" "tls.key" "path" "client/tls.key") -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "items" $items)) -}}
{{- end -}}
{{- toYaml $sources -}}
{{- end -}}

{{/* The endpoint's Deployment: the standing one's, and the base of a trial's. */}}
{{- define "async-reduce.endpointDeployment" -}}
{{- $of := dict "root" . "component" "endpoint" -}}
{{- $endpoint := .Values.endpoint | default dict -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "async-reduce.metadata" (merge (dict "name" (printf "%s-endpoint" (include "async-reduce.fullname" .))) $of) | nindent 2 }}
spec:
  {{- with include "async-reduce.text" $endpoint.replicas }}
  replicas: {{ . }}
  {{- end }}
  revisionHistoryLimit: 2
  selector:
    matchLabels:
      {{- include "async-reduce.selector" $of | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      {{- include "async-reduce.ownPodMetadata" $of | nindent 6 }}
    spec:
      {{- include "async-reduce.identity" . | nindent 6 }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: 15
      {{- with include "async-reduce.pod" . | trim }}{{ . | nindent 6 }}{{ end }}
      {{- with include "async-reduce.scheduling" (dict "root" . "part" "endpoint") }}{{ . | nindent 6 }}{{ end }}
      {{- with include "async-reduce.spread" $of | trim }}
      topologySpreadConstraints:
        {{- . | nindent 8 }}
      {{- end }}
      containers:
        - name: endpoint
          {{- include "async-reduce.container" (dict "root" . "program" "endpoint" "part" "endpoint" "env" (include "async-reduce.endpointEnv" .)) | nindent 10 }}
          ports:
            - name: http
              containerPort: {{ include "async-reduce.endpointPort" . }}
              protocol: TCP
          readinessProbe:
            httpGet:
              path: /healthz
              port: http
            periodSeconds: 2
            timeoutSeconds: 2
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
            initialDelaySeconds: 10
            periodSeconds: 20
            timeoutSeconds: 10
            failureThreshold: 6
      {{- with $endpoint.extraVolumes }}
      volumes:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}

{{- define "async-reduce.endpointEnv" -}}
{{- $endpoint := .Values.endpoint | default dict -}}
{{- include "async-reduce.env" (dict "root" . "own" $endpoint.env "defaults" (list
  "LISTEN" (printf "0.0.0.0:%s" (include "async-reduce.endpointPort" .))
  "IO_DELAY" $endpoint.ioDelay
  "CAPACITY" $endpoint.capacity
  "MAX_CONNECTIONS" $endpoint.maxConnections
  "KEEP_ALIVE" $endpoint.keepAlive
  "FAIL_STATUS" $endpoint.failStatus
  "FAIL_STATUS_CODE" $endpoint.failStatusCode
  "FAIL_RESET" $endpoint.failReset
  "FAIL_HANG" $endpoint.failHang
  "FAIL_BODY" $endpoint.failBody
  "ANSWER" $endpoint.answer
  "ANSWER_BYTES" $endpoint.answerBytes
  "ANSWER_TYPE" $endpoint.answerType
  "MAX_BODY_BYTES" $endpoint.maxBodyBytes
  "SEED" $endpoint.seed
)) -}}
{{- end -}}

{{/* The endpoint's Service. */}}
{{- define "async-reduce.endpointService" -}}
{{- $of := dict "root" . "component" "endpoint" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "async-reduce.metadata" (merge (dict "name" (printf "%s-endpoint" (include "async-reduce.fullname" .))) $of) | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    {{- include "async-reduce.selector" $of | nindent 4 }}
  ports:
    - name: http
      port: {{ include "async-reduce.endpointPort" . }}
      targetPort: http
      protocol: TCP
{{- end -}}

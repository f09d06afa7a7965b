{{/* The endpoint's Deployment: the standing one's, and the base of a trial's. */}}
{{- define "async-reduce.endpointDeployment" -}}
{{- $of := dict "root" . "component" "endpoint" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "async-reduce.metadata" (merge (dict "name" (printf "%s-endpoint" (include "async-reduce.fullname" .))) $of) | nindent 2 }}
spec:
  replicas: {{ int .Values.endpoint.replicas }}
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
      {{- include "async-reduce.podMetadata" $of | nindent 6 }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 15
      {{- with include "async-reduce.pod" . | trim }}{{ . | nindent 6 }}{{ end }}
      {{- with include "async-reduce.scheduling" (dict "root" . "own" .Values.endpoint) | trim }}{{ . | nindent 6 }}{{ end }}
      containers:
        - name: endpoint
          {{- include "async-reduce.program" (dict "root" . "program" "endpoint") | nindent 10 }}
          {{- with .Values.endpoint.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
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
          env:
            {{- include "async-reduce.endpointEnv" . | nindent 12 }}
{{- end -}}

{{- define "async-reduce.endpointEnv" -}}
{{- $whole := "async-reduce.whole" -}}
{{- with .Values.endpoint -}}
{{- include "async-reduce.env" (dict "root" $ "own" .env "defaults" (list
  "LISTEN" (printf "0.0.0.0:%s" (include "async-reduce.endpointPort" .))
  "IO_DELAY" (toString .ioDelay)
  "CAPACITY" (include $whole .capacity)
  "MAX_CONNECTIONS" (include $whole .maxConnections)
  "FAIL_STATUS" (toString .failStatus)
  "FAIL_STATUS_CODE" (include $whole .failStatusCode)
  "FAIL_RESET" (toString .failReset)
  "FAIL_HANG" (toString .failHang)
  "FAIL_BODY" (toString .failBody)
  "SEED" (include $whole .seed)
)) | trim -}}
{{- end -}}
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

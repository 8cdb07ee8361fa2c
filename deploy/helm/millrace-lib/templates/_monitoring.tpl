{{- define "millrace-lib.serviceMonitor" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $monitoring := mergeOverwrite (deepCopy $values.monitoring) (dig "monitoring" (dict) (.Values.global | default dict)) -}}
{{- if $monitoring.serviceMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels:
    {{- include "millrace-lib.labels" . | nindent 4 }}
    {{- with $monitoring.labels }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  selector:
    matchLabels: {{- include "millrace-lib.selector" . | nindent 6 }}
  endpoints:
    - port: http
      path: /metrics
      interval: {{ $monitoring.interval }}
      scrapeTimeout: 10s
      {{- if include "millrace-lib.servesTls" . }}
      {{- $tls := printf "%s-inner-tls" (include "millrace-lib.name" .) }}
      scheme: https
      tlsConfig:
        serverName: {{ include "millrace-lib.name" . }}
        ca: {secret: {name: {{ $tls }}, key: ca.crt}}
        cert: {secret: {name: {{ $tls }}, key: tls.crt}}
        keySecret: {name: {{ $tls }}, key: tls.key}
      {{- end }}
      relabelings:
        - targetLabel: service
          replacement: {{ .Chart.Name }}
{{- end -}}
{{- end -}}

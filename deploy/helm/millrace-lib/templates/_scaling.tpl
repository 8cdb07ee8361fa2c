{{- define "millrace-lib.autoscaler" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- if $values.autoscaling.enabled -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "millrace-lib.name" . }}
  minReplicas: {{ $values.autoscaling.min }}
  maxReplicas: {{ $values.autoscaling.max }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $values.autoscaling.cpu }}}
    {{- with $values.autoscaling.metrics }}{{ toYaml . | nindent 4 }}{{ end }}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 0
      policies:
        - {type: Percent, value: 100, periodSeconds: 30}
        - {type: Pods, value: 2, periodSeconds: 30}
      selectPolicy: Max
    scaleDown:
      stabilizationWindowSeconds: 300
      policies:
        - {type: Percent, value: 25, periodSeconds: 60}
{{- end -}}
{{- end -}}

{{- define "millrace-lib.disruption" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $least := ternary $values.autoscaling.min $values.replicas $values.autoscaling.enabled -}}
{{- if gt (int $least) 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $values.disruption.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "millrace-lib.selector" . | nindent 6 }}
{{- end -}}
{{- end -}}

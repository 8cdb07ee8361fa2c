{{/* Who may call a service and whom it may call; everything else is denied. */}}
{{- define "millrace-lib.networkPolicy" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $network := dig "network" (dict) (.Values.global | default dict) -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "millrace-lib.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports: [{protocol: TCP, port: http}]
      from:
        {{- range $values.networkPolicy.ingress }}
        - {{- tpl (toYaml .) $ | nindent 10 }}
        {{- end }}
        {{- toYaml (dig "monitoring" "peers" (list (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" "monitoring")))) $network) | nindent 8 }}
  egress:
    {{- include "millrace-lib.egress" (dict "servers" $values.networkPolicy "network" $network) | nindent 4 }}
    {{- if dig "files" "url" "" $values }}
    # The bucket.
    - ports: [{protocol: TCP, port: {{ $values.files.port }}}]
      {{- with $values.files.peers }}
      to: {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- range $values.networkPolicy.egress }}
    - {{- tpl (toYaml .) $ | nindent 6 }}
    {{- end }}
{{- end -}}

{{/* (dict "servers" {postgres: true, …} "network" {postgres: {port, peers}, …}) → rules of egress, with DNS. */}}
{{- define "millrace-lib.egress" -}}
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- $network := .network -}}
{{- $servers := .servers -}}
{{- range $name, $port := dict "postgres" 5432 "redis" 6379 "nats" 4222 }}
{{- if get $servers $name }}
- ports: [{protocol: TCP, port: {{ dig $name "port" $port $network }}}]
  {{- with dig $name "peers" (list) $network }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- with dig "traces" "port" 0 $network }}
- ports: [{protocol: TCP, port: {{ . }}}]
  {{- with dig "traces" "peers" (list) $network }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

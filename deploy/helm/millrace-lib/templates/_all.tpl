{{/* Everything a service's chart consists of. */}}
{{- define "millrace-lib.all" -}}
{{- range list "serviceAccount" "config" "secret" "deployment" "service" "autoscaler" "disruption" "networkPolicy" "ingress" "route" "serviceMonitor" "certificate" }}
---
{{ include (printf "millrace-lib.%s" .) $ }}
{{- end }}
{{- end -}}

{{/* "on" where processes speak TLS with one another, by certificates of cert-manager: `global.tls`. */}}
{{- define "millrace-lib.tls" -}}
{{- if dig "tls" "enabled" false (.Values.global | default dict) }}on{{ end -}}
{{- end -}}

{{/* "on" where the chart's process serves TLS itself: all but the gateway, before which the ingress stands. */}}
{{- define "millrace-lib.servesTls" -}}
{{- if and (include "millrace-lib.tls" .) (ne .Chart.Name "gateway") }}on{{ end -}}
{{- end -}}

{{- define "millrace-lib.certificate" -}}
{{- if include "millrace-lib.tls" . -}}
{{- $name := include "millrace-lib.name" . -}}
{{- $tls := .Values.global.tls -}}
{{- if not (or $tls.issuer $tls.clusterIssuer) }}{{ fail "global.tls: name an issuer or a clusterIssuer of cert-manager" }}{{ end -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ $name }}-inner
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
spec:
  secretName: {{ $name }}-inner-tls
  duration: {{ $tls.duration | default "2160h" }}
  commonName: {{ $name }}
  dnsNames: [{{ $name }}, {{ $name }}.{{ .Release.Namespace }}, {{ $name }}.{{ .Release.Namespace }}.svc]
  usages: [server auth, client auth]
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  issuerRef:
    group: cert-manager.io
    kind: {{ ternary "ClusterIssuer" "Issuer" (not (empty $tls.clusterIssuer)) }}
    name: {{ $tls.clusterIssuer | default $tls.issuer }}
{{- end -}}
{{- end -}}

{{- define "millrace-lib.tlsEnv" -}}
{{- if include "millrace-lib.tls" . }}
- {name: TLS_CERT_FILE, value: /run/secrets/tls/tls.crt}
- {name: TLS_KEY_FILE, value: /run/secrets/tls/tls.key}
- {name: TLS_CA_FILE, value: /run/secrets/tls/ca.crt}
- {name: TLS_CLIENT_CA_FILE, value: /run/secrets/tls/ca.crt}
{{- end }}
{{- end -}}

{{/* (list $ "live") → how a probe asks. The kubelet has no certificate, so the container asks itself. */}}
{{- define "millrace-lib.probe" -}}
{{- $root := index . 0 -}}
{{- if include "millrace-lib.servesTls" $root -}}
exec: {command: [healthy, {{ index . 1 }}]}
{{- else -}}
httpGet: {path: /health/{{ index . 1 }}, port: http}
{{- end -}}
{{- end -}}

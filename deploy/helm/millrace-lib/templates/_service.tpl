{{- define "millrace-lib.service" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
spec:
  type: ClusterIP
  selector: {{- include "millrace-lib.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ $values.port }}, targetPort: http, appProtocol: http}
{{- end -}}

{{- define "millrace-lib.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- end -}}

{{- define "millrace-lib.ingress" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $ingress := $values.ingress -}}
{{- $name := include "millrace-lib.name" . -}}
{{- if $ingress.enabled -}}
{{- if not $ingress.hosts }}{{ fail "ingress.hosts is empty: name the hosts, such as *.crm.example.com" }}{{ end -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $name }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
  {{- $annotations := deepCopy $ingress.annotations }}
  {{- with $ingress.clusterIssuer }}{{ $_ := set $annotations "cert-manager.io/cluster-issuer" . }}{{ end }}
  {{- with $ingress.issuer }}{{ $_ := set $annotations "cert-manager.io/issuer" . }}{{ end }}
  {{- with $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  tls:
    - secretName: {{ $ingress.tlsSecret | default (printf "%s-tls" $name) }}
      hosts:
        {{- range $ingress.hosts }}
        - {{ tpl . $ | quote }}
        {{- end }}
  rules:
    {{- range $ingress.hosts }}
    - host: {{ tpl . $ | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ $name }}
                port: {name: http}
    {{- end }}
{{- end -}}
{{- end -}}

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
    - {name: http, port: {{ $values.port }}, targetPort: http, protocol: TCP, appProtocol: http}
{{- end -}}

{{- define "millrace-lib.serviceAccount" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
  {{- with $values.serviceAccount.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
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
  {{- $canary := $ingress.canary }}
  {{- if $canary.of }}
  {{- $_ := set $annotations "nginx.ingress.kubernetes.io/canary" "true" }}
  {{- $_ := set $annotations "nginx.ingress.kubernetes.io/canary-weight" (toString $canary.weight) }}
  {{- with $canary.header }}{{ $_ := set $annotations "nginx.ingress.kubernetes.io/canary-by-header" . }}{{ end }}
  {{- else }}
  {{- with $ingress.clusterIssuer }}{{ $_ := set $annotations "cert-manager.io/cluster-issuer" . }}{{ end }}
  {{- with $ingress.issuer }}{{ $_ := set $annotations "cert-manager.io/issuer" . }}{{ end }}
  {{- end }}
  {{- with $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  tls:
    - secretName: {{ $ingress.tlsSecret | default (printf "%s-tls" (ternary (printf "%s-%s" $canary.of .Chart.Name) $name (not (empty $canary.of)))) }}
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

{{/* A route of the Gateway API, which divides requests between this release and another one. */}}
{{- define "millrace-lib.route" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $route := $values.route -}}
{{- if $route.enabled -}}
{{- if not (and $route.hosts $route.parents) }}{{ fail "route: name the hosts, and as parents the Gateways that have their certificates" }}{{ end -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
spec:
  parentRefs: {{- toYaml $route.parents | nindent 4 }}
  hostnames:
    {{- range $route.hosts }}
    - {{ tpl . $ | quote }}
    {{- end }}
  rules:
    - matches: [{path: {type: PathPrefix, value: /}}]
      backendRefs:
        - {name: {{ include "millrace-lib.name" . }}, port: {{ $values.port }}, weight: {{ sub 100 (int $route.canary.weight) }}}
        {{- with $route.canary.release }}
        - {name: {{ . }}-{{ $.Chart.Name }}, port: {{ $values.port }}, weight: {{ $route.canary.weight }}}
        {{- end }}
{{- end -}}
{{- end -}}

{{- define "millrace-lib.config" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $global := .Values.global | default dict -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "millrace-lib.name" . }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
data:
  HOST: "0.0.0.0"
  PORT: {{ $values.port | quote }}
  VERSION: {{ .Chart.AppVersion | quote }}
  SHUTDOWN_SECONDS: {{ $values.termination.shutdownSeconds | quote }}
  {{- with $values.files }}
  FILES_URL: {{ include "millrace-lib.filesUrl" (dict "files" . "what" $.Chart.Name) | quote }}
  {{- end }}
  {{- $config := mergeOverwrite (deepCopy ($global.config | default dict)) $values.config }}
  {{- range $key, $value := $config }}
  {{ $key }}: {{ tpl (toString $value) $ | quote }}
  {{- end }}
{{- end -}}

{{/* (dict "files" {url, claim} "what" "records") */}}
{{- define "millrace-lib.filesUrl" -}}
{{- if eq (empty .files.url) (empty .files.claim) -}}
{{- fail (printf "%s: give exactly one of files.url (s3://bucket/prefix?region=…) and files.claim (ReadWriteMany)" .what) -}}
{{- end -}}
{{- .files.url | default "file:///var/lib/millrace/files" -}}
{{- end -}}

{{- define "millrace-lib.secretName" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $values.secret.existing | default (include "millrace-lib.name" .) -}}
{{- end -}}

{{- define "millrace-lib.secret" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- include "millrace-lib.secretOf" (dict "secret" $values.secret "secrets" $values.secrets "name" (include "millrace-lib.name" .) "labels" (include "millrace-lib.labels" .) "what" .Chart.Name) -}}
{{- end -}}

{{/* (dict "secret" {existing, external, values} "secrets" [NAME] "name" "labels" "what" "annotations") */}}
{{- define "millrace-lib.secretOf" -}}
{{- $ways := 0 -}}
{{- range list .secret.existing .secret.external.store .secret.values -}}
{{- if . }}{{ $ways = add1 $ways }}{{ end -}}
{{- end -}}
{{- if ne (int $ways) 1 -}}
{{- fail (printf "%s: give exactly one of secret.existing, secret.external.store and secret.values; the keys are %s" .what (join ", " .secrets)) -}}
{{- end -}}
{{- if .secret.external.store -}}
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: {{ .name }}
  labels: {{- .labels | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  refreshInterval: {{ .secret.external.refreshInterval }}
  secretStoreRef:
    name: {{ .secret.external.store }}
    kind: {{ .secret.external.storeKind }}
  target:
    name: {{ .name }}
  data:
    {{- $path := required (printf "%s: secret.external.path is needed" .what) .secret.external.path }}
    {{- range .secrets }}
    - secretKey: {{ . }}
      remoteRef:
        key: {{ $path }}/{{ . }}
    {{- end }}
{{- else if .secret.values -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  labels: {{- .labels | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
type: Opaque
stringData:
  {{- $given := .secret.values }}
  {{- $what := .what }}
  {{- range .secrets }}
  {{ . }}: {{ required (printf "%s: secret.values.%s is missing" $what .) (get $given .) | quote }}
  {{- end }}
{{- end -}}
{{- end -}}

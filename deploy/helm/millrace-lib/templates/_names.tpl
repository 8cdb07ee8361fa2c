{{/* The chart's values over the library's defaults, as YAML. */}}
{{- define "millrace-lib.values" -}}
{{- $own := omit .Values "millrace-lib" -}}
{{- mergeOverwrite (deepCopy (index .Values "millrace-lib")) $own | toYaml -}}
{{- end -}}

{{- define "millrace-lib.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "millrace-lib.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "millrace-lib.labels" -}}
{{ include "millrace-lib.selector" . }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* (dict "root" $ "image" {...} "name" "auth") → the reference of an image. */}}
{{- define "millrace-lib.image" -}}
{{- $image := .image -}}
{{- $global := dig "image" (dict) (.root.Values.global | default dict) -}}
{{- $repository := $image.repository | default (printf "millrace/%s" .name) -}}
{{- if $global.registry -}}{{- $repository = printf "%s/%s" (trimSuffix "/" $global.registry) $repository -}}{{- end -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default $global.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

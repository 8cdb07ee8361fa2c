{{/* What the restricted Pod Security Standard asks of a pod. */}}
{{- define "millrace-lib.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* … and of a container. */}}
{{- define "millrace-lib.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "millrace-lib.pullSecrets" -}}
{{- with dig "image" "pullSecrets" (list) (.Values.global | default dict) }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* (dict "secrets" [NAME]) → each as a file of the mounted Secret. */}}
{{- define "millrace-lib.secretEnv" -}}
{{- range .secrets }}
- name: {{ . }}_FILE
  value: /run/secrets/millrace/{{ . }}
{{- end }}
{{- end -}}

{{- define "millrace-lib.secretMounts" -}}
- name: secrets
  mountPath: /run/secrets/millrace
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end -}}

{{/* (dict "secretName" "…" "secrets" [NAME]) */}}
{{- define "millrace-lib.secretVolumes" -}}
- name: secrets
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
    items:
      {{- range .secrets }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: {{ .tmp | default "16Mi" }}
{{- end -}}

{{/* Hooks run before the release's own objects are there, so what a hook needs is a hook as well, of lower weight. Helm does
     not count hooks among a release's objects: an uninstall leaves them, so they go as soon as all have succeeded. */}}
{{- define "millrace.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "millrace.operationsLabels" -}}
app.kubernetes.io/name: operations
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The secret settings of the jobs before an install or upgrade, as JSON. */}}
{{- define "millrace.migrationSecrets" -}}
{{- $secrets := list -}}
{{- if .Values.operations.migrate.enabled }}{{ $secrets = append $secrets "MIGRATION_DATABASE_URL" }}{{ end -}}
{{- if .Values.operations.bootstrap.enabled -}}
{{- $secrets = concat $secrets (list "ADMIN_DATABASE_URL" "MIGRATION_DATABASE_URL" "AUTH_DATABASE_URL" "PIPELINES_DATABASE_URL" "RECORDS_DATABASE_URL" "REALTIME_DATABASE_URL") -}}
{{- end -}}
{{- $secrets | uniq | toJson -}}
{{- end -}}

{{/* … and of what the release keeps: backups, archive, records of deployments. */}}
{{- define "millrace.upkeepSecrets" -}}
{{- $secrets := list -}}
{{- if .Values.operations.record.enabled }}{{ $secrets = append $secrets "MIGRATION_DATABASE_URL" }}{{ end -}}
{{- if .Values.operations.backup.enabled }}{{ $secrets = concat $secrets (list "ADMIN_DATABASE_URL" "BACKUP_IDENTITY") }}{{ end -}}
{{- with .Values.operations.archive -}}
{{- if .enabled }}{{ $secrets = concat $secrets (list "ADMIN_DATABASE_URL" "BACKUP_IDENTITY") }}{{ end -}}
{{- if and .enabled .s3Keys }}{{ $secrets = concat $secrets (list "BACKUP_S3_ACCESS_KEY" "BACKUP_S3_SECRET_KEY") }}{{ end -}}
{{- end -}}
{{- $secrets | uniq | toJson -}}
{{- end -}}

{{/* (dict "root" $ "part" "upkeep" "components" [..] "secrets" [..] "annotations" {..} "bucket" 443) → the account, the secret
     and the network of some of the jobs. */}}
{{- define "millrace.operationsAccess" -}}
{{- $name := printf "%s-%s" .root.Release.Name .part -}}
{{- $labels := include "millrace.operationsLabels" .root -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels: {{- $labels | nindent 4 }}
  {{- with merge (deepCopy .root.Values.operations.serviceAccount.annotations) .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
{{ include "millrace-lib.secretOf" (dict "secret" .root.Values.operations.secret "secrets" .secrets "name" $name "labels" $labels "annotations" .annotations "what" "operations") }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}
  labels: {{- $labels | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: operations
      app.kubernetes.io/instance: {{ .root.Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
  policyTypes: [Ingress, Egress]
  egress:
    {{- include "millrace-lib.egress" (dict "servers" (dict "postgres" true) "network" .root.Values.global.network) | nindent 4 }}
    {{- with .bucket }}
    # The bucket.
    - ports: [{protocol: TCP, port: {{ . }}}]
    {{- end }}
{{- end -}}

{{/* (dict "root" $ "job" {name, schedule} "pod" {…} "deadline" 600) → a job that runs by the clock. */}}
{{- define "millrace.cronJob" -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ .root.Release.Name }}-{{ .job.name }}
  labels: {{- include "millrace.operationsLabels" .root | nindent 4 }}
spec:
  schedule: {{ .job.schedule | quote }}
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    metadata:
      labels: {{- include "millrace.operationsLabels" .root | nindent 8 }}
    spec:
      backoffLimit: 1
      activeDeadlineSeconds: {{ .deadline }}
      template: {{- include "millrace.operationsPod" .pod | nindent 8 }}
{{- end -}}

{{/* (dict "root" $ "command" [..] "secrets" [..] "env" {..} "claim" "" "scratch" "") → the pod of a job. Those before an
     install or upgrade have "part": "migration"; what goes on for ever has "restart", "component", "resources" and "readiness". */}}
{{- define "millrace.operationsPod" -}}
{{- $operations := .root.Values.operations -}}
{{- $part := .part | default "upkeep" -}}
{{- $name := printf "%s-%s" .root.Release.Name $part -}}
metadata:
  labels:
    {{- include "millrace.operationsLabels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component | default $part }}
spec:
  restartPolicy: {{ .restart | default "Never" }}
  serviceAccountName: {{ $name }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- include "millrace-lib.pullSecrets" .root | nindent 2 }}
  securityContext: {{- include "millrace-lib.podSecurity" .root | nindent 4 }}
  containers:
    - name: millrace
      image: {{ include "millrace-lib.image" (dict "root" .root "image" $operations.image "name" "operations") }}
      imagePullPolicy: {{ $operations.image.pullPolicy }}
      command: {{ toJson .command }}
      env:
        {{- include "millrace-lib.secretEnv" . | nindent 8 }}
        - {name: LOG_FORMAT, value: json}
        {{- range $name, $value := .env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      {{- with .readiness }}
      readinessProbe: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- $resources := deepCopy (.resources | default $operations.resources) }}
      {{- if .scratch }}{{ $_ := set $resources.limits "ephemeral-storage" .scratch }}{{ end }}
      resources: {{- toYaml $resources | nindent 8 }}
      securityContext: {{- include "millrace-lib.containerSecurity" .root | nindent 8 }}
      volumeMounts:
        {{- include "millrace-lib.secretMounts" .root | nindent 8 }}
        {{- if .claim }}
        - {name: backups, mountPath: /backups}
        {{- end }}
        {{- if .scratch }}
        - {name: scratch, mountPath: /scratch}
        {{- end }}
  volumes:
    {{- include "millrace-lib.secretVolumes" (dict "secretName" ($operations.secret.existing | default $name) "secrets" .secrets) | nindent 4 }}
    {{- with .claim }}
    - name: backups
      persistentVolumeClaim: {claimName: {{ . }}}
    {{- end }}
    {{- with .scratch }}
    - name: scratch
      emptyDir: {sizeLimit: {{ . }}}
    {{- end }}
{{- end -}}

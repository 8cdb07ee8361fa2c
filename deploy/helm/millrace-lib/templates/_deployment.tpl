{{- define "millrace-lib.deployment" -}}
{{- $values := include "millrace-lib.values" . | fromYaml -}}
{{- $name := include "millrace-lib.name" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "millrace-lib.labels" . | nindent 4 }}
spec:
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  minReadySeconds: 5
  progressDeadlineSeconds: 300
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  selector:
    matchLabels: {{- include "millrace-lib.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "millrace-lib.labels" . | nindent 8 }}
        {{- with $values.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      annotations:
        checksum/config: {{ include "millrace-lib.config" . | sha256sum }}
        checksum/secret: {{ toYaml $values.secret | sha256sum }}
        {{- with $values.podAnnotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $values.termination.graceSeconds }}
      {{- include "millrace-lib.pullSecrets" . | nindent 6 }}
      securityContext: {{- include "millrace-lib.podSecurity" . | nindent 8 }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- range $values.spread }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "millrace-lib.selector" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      containers:
        - name: {{ .Chart.Name }}
          image: {{ include "millrace-lib.image" (dict "root" . "image" $values.image "name" .Chart.Name) }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          ports:
            - {name: http, containerPort: {{ $values.port }}, protocol: TCP}
          envFrom:
            - configMapRef:
                name: {{ $name }}
          env: {{- include "millrace-lib.secretEnv" $values | nindent 12 }}
            {{- include "millrace-lib.tlsEnv" . | nindent 12 }}
          startupProbe:
            {{- include "millrace-lib.probe" (list . "live") | nindent 12 }}
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            {{- include "millrace-lib.probe" (list . "live") | nindent 12 }}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            {{- include "millrace-lib.probe" (list . "ready") | nindent 12 }}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
          lifecycle:
            preStop:
              sleep: {seconds: {{ $values.termination.drainSeconds }}}
          resources: {{- toYaml $values.resources | nindent 12 }}
          securityContext: {{- include "millrace-lib.containerSecurity" . | nindent 12 }}
          volumeMounts: {{- include "millrace-lib.secretMounts" . | nindent 12 }}
            {{- if include "millrace-lib.tls" . }}
            - {name: tls, mountPath: /run/secrets/tls, readOnly: true}
            {{- end }}
            {{- if dig "files" "claim" "" $values }}
            - {name: files, mountPath: /var/lib/millrace/files}
            {{- end }}
      volumes:
        {{- include "millrace-lib.secretVolumes" (dict "secretName" (include "millrace-lib.secretName" .) "secrets" $values.secrets) | nindent 8 }}
        {{- if include "millrace-lib.tls" . }}
        - name: tls
          secret: {secretName: {{ $name }}-inner-tls, defaultMode: 0440}
        {{- end }}
        {{- with dig "files" "claim" "" $values }}
        - name: files
          persistentVolumeClaim: {claimName: {{ . }}}
        {{- end }}
{{- end -}}

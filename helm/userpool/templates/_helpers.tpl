{{/* Names and labels. */}}

{{- define "userpool.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* At most 50 characters, so that the longest ending still fits into a name. */}}
{{- define "userpool.fullname" -}}
{{- $name := include "userpool.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "userpool.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "userpool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The server's pods, and not the migration's. */}}
{{- define "userpool.selector" -}}
app.kubernetes.io/name: {{ include "userpool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "userpool.migrationSelector" -}}
app.kubernetes.io/name: {{ include "userpool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: migration
{{- end }}

{{- define "userpool.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "userpool.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "userpool.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* The host of the public URL. */}}
{{- define "userpool.host" -}}
{{- regexReplaceAll ":[0-9]+$" (urlParse (index .Values.settings "public-url")).host "" }}
{{- end }}

{{/* The file with the settings. */}}

{{/* The settings of the values, with those that the chart decides. As YAML. */}}
{{- define "userpool.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- $_ := set $settings "grpc-addr" (printf "%s:50051" .Values.listenAddress) }}
{{- $_ := set $settings "http-addr" (printf "%s:8080" .Values.listenAddress) }}
{{- if .Values.tls.terminatedElsewhere }}
{{- $_ := set $settings "tls-terminated-elsewhere" true }}
{{- end }}
{{- if .Values.tls.secret }}
{{- $tls := dict "certificate" "/etc/userpool/tls/tls.crt" "key" "/etc/userpool/tls/tls.key" }}
{{- if .Values.tls.clientCa.secret }}
{{- $_ := set $tls "client-ca" (printf "/etc/userpool/client-ca/%s" .Values.tls.clientCa.key) }}
{{- end }}
{{- $_ := set $settings "tls" $tls }}
{{- end }}
{{- range include "userpool.messageSecrets" . | fromYamlArray }}
{{- $file := printf "/etc/userpool/%s/%s" .name .secret.key }}
{{- $_ := set $settings .section (merge (dict .setting $file) (default dict (get $settings .section))) }}
{{- end }}
{{- $limits := default dict $settings.limits }}
{{- if not (hasKey $limits "replicas") }}
{{- $replicas := ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled }}
{{- $_ := set $settings "limits" (merge (dict "replicas" (max 1 (int $replicas))) $limits) }}
{{- end }}
{{- $settings | toYaml }}
{{- end }}

{{/* A table of TOML, given its path and its content. Texts, numbers and lists look in TOML as they do in JSON. */}}
{{- define "userpool.table" -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{- printf "%s = %s\n" (include "userpool.key" $key) (toRawJson $value) }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- if and (kindIs "map" $value) $value }}
{{- $path := append $.path (include "userpool.key" $key) }}
{{- printf "\n[%s]\n" (join "." $path) }}
{{- include "userpool.table" (dict "path" $path "table" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Secrets for messages that are named: directory, section and setting of the file, the value. As YAML. */}}
{{- define "userpool.messageSecrets" -}}
{{- with .Values.email.passwordSecret }}
{{- if .name }}
- {name: email, section: email, setting: password-file, value: email.passwordSecret, secret: {{ toJson . }}}
{{- end }}
{{- end }}
{{- with .Values.sms.authorizationSecret }}
{{- if .name }}
- {name: sms, section: sms, setting: authorization-file, value: sms.authorizationSecret, secret: {{ toJson . }}}
{{- end }}
{{- end }}
{{- with .Values.sms.headersSecret }}
{{- if .name }}
- {name: sms-headers, section: sms, setting: headers-file, value: sms.headersSecret, secret: {{ toJson . }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "userpool.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toRawJson . }}{{ end }}
{{- end }}

{{- define "userpool.toml" -}}
{{- include "userpool.table" (dict "path" list "table" (include "userpool.settings" . | fromYaml)) }}
{{- end }}

{{/* What the server's and the migration's pods have in common. */}}

{{- define "userpool.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
# Reads the Secrets, which are mounted for it with mode 0440.
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "userpool.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "userpool.fileMounts" -}}
{{- range .Values.files }}
- name: file-{{ .name }}
  mountPath: /etc/userpool/files/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "userpool.fileVolumes" -}}
{{- range .Values.files }}
- name: file-{{ .name }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ .configMap }}
    defaultMode: 0440
  {{- end }}
{{- end }}
{{- end }}

{{/* One key of a Secret as a file that only the pod's group reads. */}}
{{- define "userpool.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
{{- end }}

{{- define "userpool.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ .scheme }}
periodSeconds: {{ .numbers.periodSeconds }}
timeoutSeconds: 3
failureThreshold: {{ .numbers.failureThreshold }}
{{- end }}

{{- define "userpool.scheme" -}}
{{- ternary "HTTPS" "HTTP" (ne .Values.tls.secret "") }}
{{- end }}

{{/* The server pauses, drains for 25 seconds, and stops its workers: 10 seconds are left for these. */}}
{{- define "userpool.gracePeriod" -}}
{{- add (dig "shutdown-pause" 5 .Values.settings | int) 25 10 }}
{{- end }}

{{- define "userpool.dnsRule" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}

{{/* Stops the installation, and says all that is wrong at once. */}}
{{- define "userpool.refuse" -}}
{{- $wrong := list }}
{{- $values := .Values }}
{{- if not $values.image.repository }}
{{- $wrong = append $wrong "image.repository is missing: name the image that you built from the Dockerfile" }}
{{- end }}
{{- if not (index $values.settings "public-url") }}
{{- $wrong = append $wrong "settings.public-url is missing: the address under which clients reach the HTTP door" }}
{{- end }}
{{- if not $values.database.secret.name }}
{{- $wrong = append $wrong "database.secret.name is missing: the Secret that has the database's URL" }}
{{- end }}
{{- if not $values.masterKeys.secret.name }}
{{- $wrong = append $wrong "masterKeys.secret.name is missing: the Secret that has the master keys" }}
{{- end }}
{{- if not (or $values.tls.secret $values.tls.terminatedElsewhere) }}
{{- $wrong = append $wrong "there is no TLS: name a certificate in tls.secret, or set tls.terminatedElsewhere if a proxy or a mesh has it" }}
{{- end }}
{{- if and $values.tls.clientCa.secret (or $values.tls.terminatedElsewhere (not $values.tls.secret)) }}
{{- $wrong = append $wrong "tls.clientCa is of use only with tls.secret and without tls.terminatedElsewhere" }}
{{- end }}
{{- if and (not $values.tls.terminatedElsewhere) (hasPrefix "http://" (index $values.settings "public-url")) }}
{{- $wrong = append $wrong "settings.public-url has no TLS: use https, or set tls.terminatedElsewhere" }}
{{- end }}
{{- range include "userpool.messageSecrets" . | fromYamlArray }}
{{- if not (get $values.settings .section) }}
{{- $wrong = append $wrong (printf "%s is of no use without settings.%s" .value .section) }}
{{- end }}
{{- end }}
{{- if and $values.kafka.propertiesSecret.name (not (dig "kafka" "brokers" "" $values.settings)) }}
{{- $wrong = append $wrong "kafka.propertiesSecret is of no use without settings.kafka.brokers" }}
{{- end }}
{{- if and (or $values.ingress.enabled $values.httpRoute.enabled $values.grpcRoute.enabled) (not (index $values.settings "trusted-proxies")) }}
{{- $wrong = append $wrong "settings.trusted-proxies is missing: behind an Ingress or a Gateway all callers count as one unless its network is named" }}
{{- end }}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) }}
{{- $wrong = append $wrong "httpRoute.parentRefs is missing: the Gateways to which the route belongs" }}
{{- end }}
{{- if and $values.grpcRoute.enabled (not $values.grpcRoute.parentRefs) }}
{{- $wrong = append $wrong "grpcRoute.parentRefs is missing: the Gateways to which the route belongs" }}
{{- end }}
{{- if and $values.autoscaling.enabled (gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas)) }}
{{- $wrong = append $wrong "autoscaling.minReplicas is more than autoscaling.maxReplicas" }}
{{- end }}
{{- if $wrong }}
{{- fail (printf "\n%s" (join "\n" $wrong)) }}
{{- end }}
{{- end }}

#!/usr/bin/env bash
# Terraform's provider for AWS, where only the endpoint is changed: after each apply, after a change and after an
# import, it finds its resources as it made them.

set -Eeuo pipefail

CONFIGURATION="$(cd "$(dirname "${BASH_SOURCE[0]}")/terraform" && pwd)"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT

step() { printf '  %s\n' "$*"; }

fail() {
    printf '  FAILED: %s\n' "$*" >&2
    exit 1
}

skip() {
    printf '  SKIPPED: %s\n' "$*" >&2
    exit 0
}

command -v terraform >/dev/null || skip "there is no terraform on the PATH"

# A mirror of providers on this machine stands in for the registry: <mirror>/<registry>/hashicorp/aws.
mirror="$(find /opt /usr/local /usr/share ~/.terraform.d -xdev -name .terraform -prune -o \
    -type d -path '*/hashicorp/aws' -print -quit 2>/dev/null)" || true
if [[ -n "$mirror" ]]; then
    printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' \
        "${mirror%/*/hashicorp/aws}" >"$WORK/terraform.rc"
    export TF_CLI_CONFIG_FILE="$WORK/terraform.rc"
fi
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1 TF_VAR_endpoint="http://$USERPOOL_HTTP_ADDR"

# terraform DIRECTORY COMMAND [ARGUMENT...]: its messages are shown only if it fails.
run() {
    local status=0
    terraform -chdir="$WORK/$1" "${@:2}" -no-color >"$WORK/answer" 2>&1 || status=$?
    return "$status"
}
must() { run "$@" || fail "terraform ${*:2}: $(cat "$WORK/answer")"; }

begin() {
    cp -r "$CONFIGURATION" "$WORK/$1"
    run "$1" init || skip "the provider hashicorp/aws is not to be had: $(tail -n 3 "$WORK/answer" | tr '\n' ' ')"
}

# unchanged DIRECTORY [ARGUMENT...]: the plan must have nothing in it.
unchanged() {
    local status=0
    run "$1" plan -detailed-exitcode "${@:2}" || status=$?
    ((status == 0)) || fail "the plan is not empty: $(cat "$WORK/answer")"
}

value() { terraform -chdir="$WORK/made" output -json read | jq -c "$1"; }
expect() { [[ "$2" == "$3" ]] || fail "$1: wanted '$2', found '$3'"; }

begin made

step "apply"
must made apply -auto-approve
step "what data sources read"
expect "second factor" '"OPTIONAL"' "$(value .mfa)"
# 21 of every pool, and four of this one.
expect "attributes" 25 "$(value .attributes)"
expect "pools of the name" 1 "$(value '.pools | length')"
expect "clients" '["terraform default","terraform empty"]' "$(value .clients)"
expect "callbacks" '["http://127.0.0.1:3000/in","http://[::1]:3000/in","https://app.example.com/in"]' \
    "$(value '.callback_urls | sort')"
expect "groups" '["full","plain"]' "$(value .groups)"
expect "a certificate" true "$(value .has_certificate)"
step "an empty plan"
unchanged made

step "a change of everything that can be changed"
must made apply -auto-approve -var changed=true
expect "the description of a group" '"may write"' "$(value .description)"
expect "attributes" 26 "$(value .attributes)"
step "an empty plan"
unchanged made -var changed=true

step "import"
begin imported
terraform -chdir="$WORK/made" show -json >"$WORK/state.json"
# Memberships in groups can't be imported; they are applied again.
jq -r '
    def identifier: if .type == "aws_cognito_user_pool" then .values.id
        elif .type == "aws_cognito_user_pool_client" then "\(.values.user_pool_id)/\(.values.id)"
        elif .type == "aws_cognito_user_group" then "\(.values.user_pool_id)/\(.values.name)"
        elif .type == "aws_cognito_user" then "\(.values.user_pool_id)/\(.values.username)"
        else empty end;
    .values.root_module.resources[] | select(.mode == "managed")
    | "import {\n  to = \(.address)\n  id = \"\(identifier)\"\n}"' "$WORK/state.json" >"$WORK/imported/imports.tf"
must imported plan -var changed=true -out="$WORK/plan"
terraform -chdir="$WORK/imported" show -json "$WORK/plan" >"$WORK/plan.json"
expect "resources to import" "$(grep -c '^import' "$WORK/imported/imports.tf")" \
    "$(jq '[.resource_changes[] | select(.change.importing)] | length' "$WORK/plan.json")"
# Only a user's unreadable attributes are new to Terraform.
expect "what an import would change" "" "$(jq -r '
    ["password", "message_action", "desired_delivery_mediums"] as $unreadable
    | .resource_changes[] | select(.change.importing) | . as $it
    | (.change.after // {} | keys[]) | select(. as $key | $unreadable | index($key) | not)
    | select($it.change.before[.] != $it.change.after[.]) | "\($it.address) \(.)"' "$WORK/plan.json")"
must imported apply -auto-approve -var changed=true
step "an empty plan"
unchanged imported -var changed=true

step "destroy"
must imported destroy -auto-approve -var changed=true

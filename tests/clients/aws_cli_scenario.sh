#!/usr/bin/env bash
# shellcheck disable=SC2016  # what stands in single quotes are programs for jq
# A user's life with the AWS CLI, with nothing changed but the endpoint.

source "$(dirname "${BASH_SOURCE[0]}")/lib/flow.sh"

call() {
    # CreateUserPool -> create-user-pool
    local command
    command="$(sed -E 's/([A-Z])/-\L\1/g; s/^-//' <<<"$1")"
    aws cognito-idp "$command" --output json --cli-input-json "$2"
}

create_pool_and_client
live_and_leave

step "a wrong secret key is refused"
AWS_SECRET_ACCESS_KEY="$(printf 'x%.0s' {1..40})" \
    refused InvalidSignatureException DescribeUserPool "$(json '{UserPoolId: $pool}' --arg pool "$FLOW_POOL")"
step "an unknown access key is refused"
AWS_ACCESS_KEY_ID=AKIANOBODYKNOWSTHIS0 \
    refused UnrecognizedClientException DescribeUserPool "$(json '{UserPoolId: $pool}' --arg pool "$FLOW_POOL")"

#!/usr/bin/env bash
# shellcheck disable=SC2016 # single quotes contain programs for jq A user's life with the AWS CLI,
# where only the endpoint is changed.

source "$(dirname "${BASH_SOURCE[0]}")/lib/flow.sh"

call() {
    # CreateUserPool -> create-user-pool
    local command
    command="$(sed -E 's/([A-Z])/-\L\1/g; s/^-//' <<<"$1")"
    # One request per call: the CLI's own pagination is tested below.
    aws cognito-idp "$command" --no-paginate --output json --cli-input-json "$2"
}

create_pool_and_client
live_and_leave
administer

step "list-user-pools and list-user-pool-clients, by the CLI's own paging"
create_pool_and_client
call CreateUserPoolClient "$(json '{UserPoolId: $pool, ClientName: "another"}' --arg pool "$FLOW_POOL")" >/dev/null
# All pages, with one entry each: --max-results would return only the first.
answer="$(aws cognito-idp list-user-pools --output json --cli-input-json '{"MaxResults": 1}')"
expect "the pool is listed" true "$(jq --arg pool "$FLOW_POOL" 'any(.UserPools[]; .Id == $pool)' <<<"$answer")"
expect "there is nothing after all pages" null "$(jq .NextToken <<<"$answer")"
answer="$(aws cognito-idp list-user-pool-clients --output json --user-pool-id "$FLOW_POOL" --page-size 1 --max-items 1)"
first="$(field '.UserPoolClients | map(.ClientName) | join(" ")' "$answer")"
answer="$(aws cognito-idp list-user-pool-clients --output json --user-pool-id "$FLOW_POOL" --page-size 1 \
    --starting-token "$(field .NextToken "$answer")")"
second="$(field '.UserPoolClients | map(.ClientName) | join(" ")' "$answer")"
expect "the clients" $'another\nfront-end' "$(printf '%s\n' "$first" "$second" | sort)"

step "a wrong secret key is refused"
AWS_SECRET_ACCESS_KEY="$(printf 'x%.0s' {1..40})" \
    refused InvalidSignatureException DescribeUserPool "$(json '{UserPoolId: $pool}' --arg pool "$FLOW_POOL")"
step "an unknown access key is refused"
AWS_ACCESS_KEY_ID=AKIANOBODYKNOWSTHIS0 \
    refused UnrecognizedClientException DescribeUserPool "$(json '{UserPoolId: $pool}' --arg pool "$FLOW_POOL")"

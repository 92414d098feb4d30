#!/usr/bin/env bash
# shellcheck disable=SC2016 # single quotes contain programs for jq A user's life with grpcurl,
# which knows the service only by reflection.

source "$(dirname "${BASH_SOURCE[0]}")/lib/flow.sh"

service_of() {
    case "$1" in
    *UserPoolClient | ListUserPoolClients) echo AppClientService ;;
    *UserPool | ListUserPools) echo UserPoolService ;;
    SignUp | ConfirmSignUp | ResendConfirmationCode) echo SignUpService ;;
    *InitiateAuth | *GlobalSignOut | GetTokensFromRefreshToken | RevokeToken) echo AuthService ;;
    Admin*User | AdminConfirmSignUp) echo AdminUserService ;;
    GetUser | DeleteUser) echo UserService ;;
    *) fail "which service has $1?" ;;
    esac
}

call() {
    local credentials=()
    # The operations of users and front ends need no service account.
    case "$1" in
    *UserPool | *UserPools | *UserPoolClient | *UserPoolClients | Admin*) credentials=(-H "authorization: Bearer $USERPOOL_TOKEN") ;;
    esac
    grpcurl -plaintext "${credentials[@]}" -d "$2" "$USERPOOL_GRPC_ADDR" \
        "userpool.v1.$(service_of "$1")/$1"
}

step "reflection lists the services"
services="$(grpcurl -plaintext "$USERPOOL_GRPC_ADDR" list)"
for service in UserPoolService AppClientService SignUpService AuthService UserService AdminUserService; do
    grep -Fxq "userpool.v1.$service" <<<"$services" || fail "reflection lists no userpool.v1.$service: $services"
done

step "the standard health service answers"
expect "the health" SERVING "$(field .status "$(grpcurl -plaintext "$USERPOOL_GRPC_ADDR" grpc.health.v1.Health/Check)")"

create_pool_and_client
live_and_leave
administer

step "developer operations need a valid token"
request="$(json '{UserPoolId: $pool}' --arg pool "$FLOW_POOL")"
USERPOOL_TOKEN="${USERPOOL_TOKEN%.*}.not-the-secret" refused Unauthenticated DescribeUserPool "$request"
if grpcurl -plaintext -d "$request" "$USERPOOL_GRPC_ADDR" userpool.v1.UserPoolService/DescribeUserPool \
    >"$FLOW_DIR/answer" 2>"$FLOW_DIR/error"; then
    fail "DescribeUserPool without a token answered: $(cat "$FLOW_DIR/answer")"
fi
grep -Fq MissingAuthenticationTokenException "$FLOW_DIR/error" || fail "the wrong refusal: $(cat "$FLOW_DIR/error")"

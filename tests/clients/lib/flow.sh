# shellcheck shell=bash shellcheck disable=SC2016 # single quotes contain programs for jq Sourced by
# the scenarios beside this directory: one user's life, from sign-up to deletion, told in terms of
# one function that each scenario defines for its client:
#
#   call OPERATION JSON    prints the answer as JSON; fails, with the error on standard error
#
# Request and answer have the same field names with every client.

set -Eeuo pipefail

FLOW_DIR="$(mktemp -d)"
trap 'rm -rf "$FLOW_DIR"' EXIT

# Each personal value of the user is unusual enough to be found wherever it appears. shellcheck
# disable=SC2034 # the scenarios read them
{
    FLOW_STAMP="$(date +%s)$$"
    FLOW_USERNAME="zenobia-$FLOW_STAMP"
    FLOW_EMAIL="zenobia.$FLOW_STAMP@example.com"
    FLOW_NAME="Zenobia Quillfeather $FLOW_STAMP"
    FLOW_PHONE="+1555${FLOW_STAMP: -7}"
    FLOW_PASSWORD="Correct-Horse-$FLOW_STAMP"
}

step() { printf '  %s\n' "$*"; }

fail() {
    printf '  FAILED: %s\n' "$*" >&2
    exit 1
}

# json FILTER [--arg NAME VALUE ...]: builds a request with jq, so that every value is quoted
# correctly.
json() { jq -nc "${@:2}" "$1"; }

# field FILTER JSON: prints a value that must exist.
field() {
    local value
    value="$(jq -er "$1" <<<"$2")" || fail "no $1 in the answer: $2"
    printf '%s' "$value"
}

# expect WHAT WANTED FOUND
expect() { [[ "$2" == "$3" ]] || fail "$1: wanted '$2', found '$3'"; }

# refused EXCEPTION OPERATION JSON: the call must fail, and with this exception.
refused() {
    local answer
    if answer="$(call "$2" "$3" 2>"$FLOW_DIR/error")"; then
        fail "$2 was not refused with $1 but answered: $answer"
    fi
    grep -Fq "$1" "$FLOW_DIR/error" || fail "$2 was not refused with $1 but with: $(cat "$FLOW_DIR/error")"
}

# mailed_code ADDRESS: the newest code in the development mailbox, as soon as there is one.
mailed_code() {
    local tries code
    for ((tries = 0; tries < 200; tries++)); do
        if code="$(curl -fsS -G -H 'Accept: application/json' --data-urlencode "to=$1" \
            "http://$USERPOOL_HTTP_ADDR/dev/messages" | jq -er 'first(.[] | .code | select(. != null and . != ""))')"; then
            printf '%s' "$code"
            return
        fi
        sleep 0.1
    done
    fail "no message with a code for $1 came within 20 seconds"
}

# Sets FLOW_POOL and FLOW_CLIENT.
create_pool_and_client() {
    local answer
    step "CreateUserPool"
    answer="$(call CreateUserPool "$(json '{
        PoolName: $name,
        Policies: {PasswordPolicy: {MinimumLength: 10, RequireUppercase: true, RequireLowercase: true,
                                    RequireNumbers: true, RequireSymbols: true, TemporaryPasswordValidityDays: 7}},
        AutoVerifiedAttributes: ["email"]
    }' --arg name "clients-$FLOW_STAMP")")"
    FLOW_POOL="$(field .UserPool.Id "$answer")"
    expect "the pool's name" "clients-$FLOW_STAMP" "$(field .UserPool.Name "$answer")"
    answer="$(call DescribeUserPool "$(json '{UserPoolId: $pool}' --arg pool "$FLOW_POOL")")"
    expect "the described pool's name" "clients-$FLOW_STAMP" "$(field .UserPool.Name "$answer")"
    expect "the verified attributes" email "$(field '.UserPool.AutoVerifiedAttributes | join(",")' "$answer")"
    expect "the minimum length" 10 "$(field .UserPool.Policies.PasswordPolicy.MinimumLength "$answer")"

    step "CreateUserPoolClient"
    answer="$(call CreateUserPoolClient "$(json '{
        UserPoolId: $pool,
        ClientName: "front-end",
        ExplicitAuthFlows: ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        PreventUserExistenceErrors: "ENABLED"
    }' --arg pool "$FLOW_POOL")")"
    FLOW_CLIENT="$(field .UserPoolClient.ClientId "$answer")"
    answer="$(call DescribeUserPoolClient "$(json '{UserPoolId: $pool, ClientId: $client}' \
        --arg pool "$FLOW_POOL" --arg client "$FLOW_CLIENT")")"
    expect "the client's name" front-end "$(field .UserPoolClient.ClientName "$answer")"

    refused ResourceNotFoundException DescribeUserPool "$(json '{UserPoolId: $pool}' --arg pool us-east-1_000000000)"
}

sign_in_request() {
    json '{AuthFlow: "USER_PASSWORD_AUTH", ClientId: $client, AuthParameters: {USERNAME: $user, PASSWORD: $password}}' \
        --arg client "$FLOW_CLIENT" --arg user "$FLOW_USERNAME" --arg password "$1"
}

refresh_request() {
    json '{AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: $client, AuthParameters: {REFRESH_TOKEN: $token}}' \
        --arg client "$FLOW_CLIENT" --arg token "$1"
}

confirm_request() {
    json '{ClientId: $client, Username: $user, ConfirmationCode: $code}' \
        --arg client "$FLOW_CLIENT" --arg user "$FLOW_USERNAME" --arg code "$1"
}

rotate_request() { json '{ClientId: $client, RefreshToken: $token}' --arg client "$1" --arg token "$2"; }

revoke_request() { json '{ClientId: $client, Token: $token}' --arg client "$1" --arg token "$2"; }

token_request() { json '{AccessToken: $token}' --arg token "$1"; }

# Sets FLOW_SUB. Needs create_pool_and_client.
live_and_leave() {
    local answer sign_up code wrong access refresh refreshed

    step "SignUp"
    sign_up="$(json '{
        ClientId: $client, Username: $user, Password: $password,
        UserAttributes: [{Name: "email", Value: $email}, {Name: "name", Value: $name}, {Name: "phone_number", Value: $phone}]
    }' --arg client "$FLOW_CLIENT" --arg user "$FLOW_USERNAME" --arg password "$FLOW_PASSWORD" \
        --arg email "$FLOW_EMAIL" --arg name "$FLOW_NAME" --arg phone "$FLOW_PHONE")"
    refused InvalidPasswordException SignUp "$(jq -c '.Password = "short"' <<<"$sign_up")"
    answer="$(call SignUp "$sign_up")"
    FLOW_SUB="$(field .UserSub "$answer")"
    expect "UserConfirmed" false "$(jq -r '.UserConfirmed // false' <<<"$answer")"
    expect "the delivery's medium" EMAIL "$(field .CodeDeliveryDetails.DeliveryMedium "$answer")"
    expect "the delivery's attribute" email "$(field .CodeDeliveryDetails.AttributeName "$answer")"
    [[ "$answer" != *"$FLOW_EMAIL"* ]] || fail "the address is not masked: $answer"
    refused UsernameExistsException SignUp "$sign_up"
    refused UserNotConfirmedException InitiateAuth "$(sign_in_request "$FLOW_PASSWORD")"

    step "ConfirmSignUp"
    code="$(mailed_code "$FLOW_EMAIL")"
    wrong=000000
    [[ "$code" != "$wrong" ]] || wrong=111111
    refused CodeMismatchException ConfirmSignUp "$(confirm_request "$wrong")"
    call ConfirmSignUp "$(confirm_request "$code")" >/dev/null
    answer="$(call AdminGetUser "$(json '{UserPoolId: $pool, Username: $user}' --arg pool "$FLOW_POOL" --arg user "$FLOW_USERNAME")")"
    expect "the user's status" CONFIRMED "$(field .UserStatus "$answer")"

    step "InitiateAuth, USER_PASSWORD_AUTH"
    refused NotAuthorizedException InitiateAuth "$(sign_in_request "Wrong-$FLOW_PASSWORD")"
    answer="$(call InitiateAuth "$(sign_in_request "$FLOW_PASSWORD")")"
    access="$(field .AuthenticationResult.AccessToken "$answer")"
    refresh="$(field .AuthenticationResult.RefreshToken "$answer")"
    field .AuthenticationResult.IdToken "$answer" >/dev/null
    expect "the token's type" Bearer "$(field .AuthenticationResult.TokenType "$answer")"

    step "GetUser"
    answer="$(call GetUser "$(token_request "$access")")"
    expect "the user's name" "$FLOW_USERNAME" "$(field .Username "$answer")"
    local attributes='.UserAttributes | map({key: .Name, value: .Value}) | from_entries'
    expect "sub" "$FLOW_SUB" "$(field "$attributes | .sub" "$answer")"
    expect "email" "$FLOW_EMAIL" "$(field "$attributes | .email" "$answer")"
    expect "email_verified" true "$(field "$attributes | .email_verified" "$answer")"
    expect "name" "$FLOW_NAME" "$(field "$attributes | .name" "$answer")"
    refused NotAuthorizedException GetUser "$(token_request "${access%.*}.AAAA")"

    step "InitiateAuth, REFRESH_TOKEN_AUTH"
    answer="$(call InitiateAuth "$(refresh_request "$refresh")")"
    refreshed="$(field .AuthenticationResult.AccessToken "$answer")"
    call GetUser "$(token_request "$refreshed")" >/dev/null

    step "GlobalSignOut"
    call GlobalSignOut "$(token_request "$access")" >/dev/null
    refused NotAuthorizedException GetUser "$(token_request "$access")"
    refused NotAuthorizedException GetUser "$(token_request "$refreshed")"
    refused NotAuthorizedException InitiateAuth "$(refresh_request "$refresh")"

    step "DeleteUser"
    answer="$(call InitiateAuth "$(sign_in_request "$FLOW_PASSWORD")")"
    access="$(field .AuthenticationResult.AccessToken "$answer")"
    call DeleteUser "$(token_request "$access")" >/dev/null
    refused UserNotFoundException AdminGetUser \
        "$(json '{UserPoolId: $pool, Username: $user}' --arg pool "$FLOW_POOL" --arg user "$FLOW_USERNAME")"
    refused NotAuthorizedException InitiateAuth "$(sign_in_request "$FLOW_PASSWORD")"
}

# pages OPERATION JSON: follows NextToken; prints each page as a line.
pages() {
    local request="$2" answer token count
    for ((count = 0; count < 1000; count++)); do
        answer="$(call "$1" "$request")"
        jq -c . <<<"$answer"
        token="$(jq -r '.NextToken // ""' <<<"$answer")"
        [[ -n "$token" ]] || return 0
        request="$(jq -c --arg token "$token" '.NextToken = $token' <<<"$request")"
    done
    fail "the pages of $1 have no end"
}

# Operations of administrators, and refresh tokens that are revoked and rotated: for another user,
# in a separate pool, which is deleted at the end.
administer() {
    local FLOW_POOL FLOW_CLIENT FLOW_USERNAME="octavia-$FLOW_STAMP" FLOW_EMAIL="octavia.$FLOW_STAMP@example.com"
    local pool user answer flows access refresh next last rotating wanted found
    create_pool_and_client
    pool="$(json '{UserPoolId: $pool}' --arg pool "$FLOW_POOL")"
    user="$(jq -c --arg user "$FLOW_USERNAME" '.Username = $user' <<<"$pool")"

    step "UpdateUserPool"
    call UpdateUserPool "$(jq -c '. + {DeletionProtection: "ACTIVE", AutoVerifiedAttributes: ["email"]}' <<<"$pool")" >/dev/null
    answer="$(call DescribeUserPool "$pool")"
    expect "the deletion protection" ACTIVE "$(field .UserPool.DeletionProtection "$answer")"
    refused InvalidParameterException DeleteUserPool "$pool"

    step "UpdateUserPoolClient"
    flows='{ExplicitAuthFlows: ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"]}'
    call UpdateUserPoolClient "$(jq -c --arg client "$FLOW_CLIENT" \
        ". + {ClientId: \$client, ClientName: \"front-end-2\"} + $flows
        | .ExplicitAuthFlows += [\"ALLOW_REFRESH_TOKEN_AUTH\"]" <<<"$pool")" >/dev/null
    answer="$(call DescribeUserPoolClient "$(jq -c --arg client "$FLOW_CLIENT" '.ClientId = $client' <<<"$pool")")"
    expect "the client's name" front-end-2 "$(field .UserPoolClient.ClientName "$answer")"
    rotating="$(field .UserPoolClient.ClientId "$(call CreateUserPoolClient "$(jq -c ". + $flows + {
        ClientName: \"rotating\", RefreshTokenRotation: {Feature: \"ENABLED\", RetryGracePeriodSeconds: 0}
    }" <<<"$pool")")")"

    step "SignUp, ResendConfirmationCode, AdminConfirmSignUp"
    call SignUp "$(json '{ClientId: $client, Username: $user, Password: $password, UserAttributes: [{Name: "email", Value: $email}]}' \
        --arg client "$FLOW_CLIENT" --arg user "$FLOW_USERNAME" --arg password "$FLOW_PASSWORD" --arg email "$FLOW_EMAIL")" >/dev/null
    answer="$(call ResendConfirmationCode "$(json '{ClientId: $client, Username: $user}' \
        --arg client "$FLOW_CLIENT" --arg user "$FLOW_USERNAME")")"
    expect "the delivery's attribute" email "$(field .CodeDeliveryDetails.AttributeName "$answer")"
    call AdminConfirmSignUp "$user" >/dev/null

    step "AdminInitiateAuth, AdminUserGlobalSignOut"
    answer="$(call AdminInitiateAuth "$(sign_in_request "$FLOW_PASSWORD" |
        jq -c --arg pool "$FLOW_POOL" '. + {UserPoolId: $pool, AuthFlow: "ADMIN_USER_PASSWORD_AUTH"}')")"
    access="$(field .AuthenticationResult.AccessToken "$answer")"
    call GetUser "$(token_request "$access")" >/dev/null
    call AdminUserGlobalSignOut "$user" >/dev/null
    refused NotAuthorizedException GetUser "$(token_request "$access")"

    step "GetTokensFromRefreshToken, RevokeToken"
    answer="$(call InitiateAuth "$(sign_in_request "$FLOW_PASSWORD")")"
    refresh="$(field .AuthenticationResult.RefreshToken "$answer")"
    answer="$(call GetTokensFromRefreshToken "$(rotate_request "$FLOW_CLIENT" "$refresh")")"
    access="$(field .AuthenticationResult.AccessToken "$answer")"
    expect "a refresh token without rotation" null "$(jq -r .AuthenticationResult.RefreshToken <<<"$answer")"
    refused UnsupportedTokenTypeException RevokeToken "$(revoke_request "$FLOW_CLIENT" "$access")"
    refused UnauthorizedException RevokeToken "$(revoke_request nobodysclient "$refresh")"
    call RevokeToken "$(revoke_request "$FLOW_CLIENT" "$refresh")" >/dev/null
    refused NotAuthorizedException GetUser "$(token_request "$access")"
    refused NotAuthorizedException GetTokensFromRefreshToken "$(rotate_request "$FLOW_CLIENT" "$refresh")"

    step "a refresh token that was replaced ends all of its family"
    answer="$(call InitiateAuth "$(sign_in_request "$FLOW_PASSWORD" | jq -c --arg client "$rotating" '.ClientId = $client')")"
    refresh="$(field .AuthenticationResult.RefreshToken "$answer")"
    answer="$(call GetTokensFromRefreshToken "$(rotate_request "$rotating" "$refresh")")"
    next="$(field .AuthenticationResult.RefreshToken "$answer")"
    [[ "$next" != "$refresh" ]] || fail "rotation gave the same refresh token"
    answer="$(call GetTokensFromRefreshToken "$(rotate_request "$rotating" "$next")")"
    last="$(field .AuthenticationResult.RefreshToken "$answer")"
    access="$(field .AuthenticationResult.AccessToken "$answer")"
    refused RefreshTokenReuseException GetTokensFromRefreshToken "$(rotate_request "$rotating" "$refresh")"
    refused NotAuthorizedException GetTokensFromRefreshToken "$(rotate_request "$rotating" "$last")"
    refused NotAuthorizedException GetUser "$(token_request "$access")"

    step "AdminDeleteUser"
    call AdminDeleteUser "$user" >/dev/null
    refused UserNotFoundException AdminDeleteUser "$user"
    refused UserNotFoundException AdminUserGlobalSignOut "$user"

    step "ListUserPoolClients, ListUserPools"
    found="$(pages ListUserPoolClients "$(jq -c '.MaxResults = 1' <<<"$pool")" | jq -c '[.UserPoolClients[].ClientId]' | sort)"
    wanted="$(printf '["%s"]\n' "$FLOW_CLIENT" "$rotating" | sort)"
    expect "the clients, each on a page" "$wanted" "$found"
    found="$(pages ListUserPools '{"MaxResults": 1}' | jq -r '.UserPools[].Id')"
    expect "how often the pool is listed" 1 "$(grep -Fxc "$FLOW_POOL" <<<"$found")"
    expect "pools that are listed twice" "" "$(sort <<<"$found" | uniq -d)"

    step "DeleteUserPoolClient, DeleteUserPool"
    call DeleteUserPoolClient "$(jq -c --arg client "$rotating" '.ClientId = $client' <<<"$pool")" >/dev/null
    refused ResourceNotFoundException DescribeUserPoolClient \
        "$(jq -c --arg client "$rotating" '.ClientId = $client' <<<"$pool")"
    call UpdateUserPool "$(jq -c '.DeletionProtection = "INACTIVE"' <<<"$pool")" >/dev/null
    call DeleteUserPool "$pool" >/dev/null
    refused ResourceNotFoundException DescribeUserPool "$pool"
}

#!/usr/bin/env python3
"""A user's life with boto3, with nothing changed but the endpoint; a client with a secret; the
tokens, verified with a stock library; what administrators do; paginators; and signatures that must
be refused.

The environment is what `userpool dev` writes to its dev.env.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import jwt

ENDPOINT = os.environ["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"]
HTTP_ADDR = os.environ["USERPOOL_HTTP_ADDR"]
REGION = os.environ["AWS_REGION"]
STAMP = f"{int(time.time())}{os.getpid()}"
EMAIL = f"melisande.{STAMP}@example.com"
PASSWORD = f"Correct-Horse-{STAMP}"


def step(text):
    print(f"  {text}", flush=True)


def expect(what, wanted, found):
    assert wanted == found, f"{what}: wanted {wanted!r}, found {found!r}"


def client(**credentials):
    # Without retries: each refusal is checked once.
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    return boto3.client("cognito-idp", region_name=REGION, config=config, **credentials)


def refused(code, call, status=400, **arguments):
    """The call must be refused with this exception; returns its message."""
    try:
        answer = call(**arguments)
    except botocore.exceptions.ClientError as error:
        expect("the exception", code, error.response["Error"]["Code"])
        expect("the status", status, error.response["ResponseMetadata"]["HTTPStatusCode"])
        return error.response["Error"]["Message"]
    raise AssertionError(f"not refused with {code} but answered: {answer}")


def mailed_code(address):
    """The newest code in the development mailbox, as soon as there is one."""
    query = urllib.parse.urlencode({"to": address})
    request = urllib.request.Request(
        f"http://{HTTP_ADDR}/dev/messages?{query}", headers={"Accept": "application/json"}
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with urllib.request.urlopen(request, timeout=10) as response:
            messages = json.load(response)
        for message in messages:
            if message.get("code"):
                expect("the message's address", address, message["to"])
                expect("the message's medium", "email", message["medium"].lower())
                assert message["code"] in message["body"], "the message does not show its code"
                return message["code"]
        time.sleep(0.1)
    raise AssertionError(f"no message with a code for {address} came within 20 seconds")


def attributes(user):
    return {attribute["Name"]: attribute["Value"] for attribute in user["UserAttributes"]}


# --- A user's life ----------------------------------------------------------------------------


def live_and_leave(idp, pool, app, username, secret_hash):
    """`secret_hash` is what a client with a secret adds to each call, for a client without: {}."""
    flat = {"SecretHash": secret_hash} if secret_hash else {}
    parameter = {"SECRET_HASH": secret_hash} if secret_hash else {}

    def sign_in(password=PASSWORD):
        return dict(
            ClientId=app,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": password, **parameter},
        )

    def refresh(token):
        return dict(
            ClientId=app,
            AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters={"REFRESH_TOKEN": token, **parameter},
        )

    step("sign_up")
    email = f"{username}@example.com"
    signing_up = dict(
        ClientId=app,
        Username=username,
        Password=PASSWORD,
        UserAttributes=[{"Name": "email", "Value": email}],
        **flat,
    )
    answer = idp.sign_up(**signing_up)
    sub = answer["UserSub"]
    expect("UserConfirmed", False, answer["UserConfirmed"])
    expect("the medium", "EMAIL", answer["CodeDeliveryDetails"]["DeliveryMedium"])
    assert email not in json.dumps(answer, default=str), "the address is not masked"
    message = refused("UsernameExistsException", idp.sign_up, **signing_up)
    expect("the message", "User already exists", message)
    refused("UserNotConfirmedException", idp.initiate_auth, **sign_in())

    step("confirm_sign_up")
    code = mailed_code(email)
    wrong = "000000" if code != "000000" else "111111"
    confirming = dict(ClientId=app, Username=username, **flat)
    refused("CodeMismatchException", idp.confirm_sign_up, ConfirmationCode=wrong, **confirming)
    idp.confirm_sign_up(ConfirmationCode=code, **confirming)
    user = idp.admin_get_user(UserPoolId=pool, Username=username)
    expect("the status", "CONFIRMED", user["UserStatus"])
    expect("the type of a time", datetime.datetime, type(user["UserCreateDate"]))

    step("initiate_auth, USER_PASSWORD_AUTH")
    message = refused("NotAuthorizedException", idp.initiate_auth, **sign_in("Wrong-" + PASSWORD))
    expect("the message", "Incorrect username or password.", message)
    tokens = idp.initiate_auth(**sign_in())["AuthenticationResult"]
    expect("the token's type", "Bearer", tokens["TokenType"])
    expect("the token's time", 3600, tokens["ExpiresIn"])
    verify_tokens(pool, app, username, sub, email, tokens)

    step("get_user")
    user = idp.get_user(AccessToken=tokens["AccessToken"])
    expect("the user name", username, user["Username"])
    found = attributes(user)
    expect("sub", sub, found["sub"])
    expect("email", email, found["email"])
    expect("email_verified", "true", found["email_verified"])

    step("initiate_auth, REFRESH_TOKEN_AUTH")
    refreshed = idp.initiate_auth(**refresh(tokens["RefreshToken"]))["AuthenticationResult"]
    assert "RefreshToken" not in refreshed, "a refresh token came without rotation"
    verify_tokens(pool, app, username, sub, email, refreshed)
    idp.get_user(AccessToken=refreshed["AccessToken"])

    step("global_sign_out")
    idp.global_sign_out(AccessToken=tokens["AccessToken"])
    refused("NotAuthorizedException", idp.get_user, AccessToken=tokens["AccessToken"])
    refused("NotAuthorizedException", idp.get_user, AccessToken=refreshed["AccessToken"])
    refused("NotAuthorizedException", idp.initiate_auth, **refresh(tokens["RefreshToken"]))

    step("delete_user")
    tokens = idp.initiate_auth(**sign_in())["AuthenticationResult"]
    idp.get_user(AccessToken=tokens["AccessToken"])
    idp.delete_user(AccessToken=tokens["AccessToken"])
    message = refused(
        "UserNotFoundException", idp.admin_get_user, UserPoolId=pool, Username=username
    )
    expect("the message", "User does not exist.", message)
    refused("NotAuthorizedException", idp.initiate_auth, **sign_in())


def verify_tokens(pool, app, username, sub, email, tokens):
    """As a resource server does it: a stock library and the pool's published keys."""
    issuer = f"http://{HTTP_ADDR}/{pool}"
    keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")

    def decode(token, **arguments):
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key.key,
            algorithms=["RS256"],
            issuer=issuer,
            # Both sides use the same clock, but whole seconds are rounded.
            leeway=2,
            options={"require": ["exp", "iat", "iss", "sub"]},
            **arguments,
        )

    access = decode(tokens["AccessToken"])
    expect("token_use", "access", access["token_use"])
    expect("client_id", app, access["client_id"])
    expect("username", username, access["username"])
    expect("scope", "aws.cognito.signin.user.admin", access["scope"])
    assert "aud" not in access, "an access token has no audience"

    identity = decode(tokens["IdToken"], audience=app)
    expect("token_use", "id", identity["token_use"])
    expect("cognito:username", username, identity["cognito:username"])
    expect("email", email, identity["email"])
    expect("email_verified", True, identity["email_verified"])

    for claims in (access, identity):
        expect("sub", sub, claims["sub"])
        expect("the token's life", 3600, claims["exp"] - claims["iat"])
        for claim in ("jti", "origin_jti", "event_id", "auth_time"):
            assert claims.get(claim), f"no {claim} in {claims}"
    expect("the two event ids", access["event_id"], identity["event_id"])
    key_ids = {jwt.get_unverified_header(tokens[name])["kid"] for name in ("AccessToken", "IdToken")}
    expect("the number of keys", 2, len(key_ids))


# --- A client with a secret -------------------------------------------------------------------


def secret_hash_of(secret, username, app):
    digest = hmac.new(secret.encode(), (username + app).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def client_with_secret(idp, pool):
    answer = idp.create_user_pool_client(
        UserPoolId=pool,
        ClientName="back-end",
        GenerateSecret=True,
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        PreventUserExistenceErrors="ENABLED",
    )["UserPoolClient"]
    app, secret = answer["ClientId"], answer["ClientSecret"]
    username = f"back-end-user-{STAMP}"

    step("a missing and a wrong SecretHash are refused")
    signing_up = dict(
        ClientId=app,
        Username=username,
        Password=PASSWORD,
        UserAttributes=[{"Name": "email", "Value": EMAIL}],
    )
    message = refused("NotAuthorizedException", idp.sign_up, **signing_up)
    expect(
        "the message",
        f"Client {app} is configured with secret but SECRET_HASH was not received",
        message,
    )
    wrong = secret_hash_of("not the secret", username, app)
    message = refused("NotAuthorizedException", idp.sign_up, SecretHash=wrong, **signing_up)
    expect("the message", f"Unable to verify secret hash for client {app}", message)

    live_and_leave(idp, pool, app, username, secret_hash_of(secret, username, app))


# --- Administrators, rotation and lists -------------------------------------------------------


def invite(idp, pool, app):
    username = f"invited-{STAMP}"
    email = f"{username}@example.com"
    user = dict(UserPoolId=pool, Username=username)
    step("admin_create_user, NEW_PASSWORD_REQUIRED, respond_to_auth_challenge")
    created = idp.admin_create_user(
        **user,
        UserAttributes=[
            {"Name": "email", "Value": email},
            {"Name": "email_verified", "Value": "true"},
        ],
        DesiredDeliveryMediums=["EMAIL"],
    )["User"]
    expect("the status", "FORCE_CHANGE_PASSWORD", created["UserStatus"])
    refused("UsernameExistsException", idp.admin_create_user, **user)
    challenge = idp.initiate_auth(
        ClientId=app,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": username, "PASSWORD": mailed_code(email)},
    )
    expect("the challenge", "NEW_PASSWORD_REQUIRED", challenge["ChallengeName"])
    told = challenge["ChallengeParameters"]
    expect("the missing attributes", [], json.loads(told["requiredAttributes"]))
    expect("the address", email, json.loads(told["userAttributes"])["email"])
    answer = dict(ClientId=app, ChallengeName="NEW_PASSWORD_REQUIRED", Session=challenge["Session"])
    responses = {"USERNAME": told["USER_ID_FOR_SRP"], "NEW_PASSWORD": "weak"}
    refused(
        "InvalidPasswordException",
        idp.respond_to_auth_challenge,
        ChallengeResponses=responses,
        **answer,
    )
    responses["NEW_PASSWORD"] = PASSWORD
    tokens = idp.respond_to_auth_challenge(ChallengeResponses=responses, **answer)
    tokens = tokens["AuthenticationResult"]
    expect("the name", username, idp.get_user(AccessToken=tokens["AccessToken"])["Username"])
    refused(
        "NotAuthorizedException",
        idp.respond_to_auth_challenge,
        ChallengeResponses=responses,
        **answer,
    )

    step("admin_link_provider_for_user, admin_disable_provider_for_user")
    google = {
        "ProviderName": "Google",
        "ProviderAttributeName": "Cognito_Subject",
        "ProviderAttributeValue": STAMP,
    }
    idp.admin_link_provider_for_user(
        UserPoolId=pool,
        DestinationUser={"ProviderName": "Cognito", "ProviderAttributeValue": username},
        SourceUser=google,
    )
    linked = json.loads(attributes(idp.admin_get_user(**user))["identities"])
    expect("the provider", ["Google"], [identity["providerName"] for identity in linked])
    idp.admin_disable_provider_for_user(UserPoolId=pool, User=google)
    assert "identities" not in attributes(idp.admin_get_user(**user)), "the link is still there"

    step("admin_disable_user, admin_enable_user")
    idp.admin_disable_user(**user)
    message = refused(
        "NotAuthorizedException", idp.get_user, AccessToken=tokens["AccessToken"]
    )
    expect("the message", "User is disabled.", message)
    idp.admin_enable_user(**user)
    expect("whether it may be used", True, idp.admin_get_user(**user)["Enabled"])


def administer(idp):
    username = f"administered-{STAMP}"
    email = f"{username}@example.com"
    step("update_user_pool, update_user_pool_client")
    pool = idp.create_user_pool(PoolName=f"boto3-2-{STAMP}", AutoVerifiedAttributes=["email"])
    pool = pool["UserPool"]["Id"]
    idp.update_user_pool(
        UserPoolId=pool, AutoVerifiedAttributes=["email"], DeletionProtection="ACTIVE"
    )
    described = idp.describe_user_pool(UserPoolId=pool)["UserPool"]
    expect("the deletion protection", "ACTIVE", described["DeletionProtection"])
    refused("InvalidParameterException", idp.delete_user_pool, UserPoolId=pool)

    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"]

    def create_client(name, **settings):
        return idp.create_user_pool_client(
            UserPoolId=pool, ClientName=name, ExplicitAuthFlows=flows, **settings
        )["UserPoolClient"]

    changed = create_client("front-end")
    app = changed["ClientId"]
    changed = idp.update_user_pool_client(
        UserPoolId=pool,
        ClientId=app,
        ClientName="front-end-2",
        ExplicitAuthFlows=[*flows, "ALLOW_REFRESH_TOKEN_AUTH"],
        AccessTokenValidity=10,
        TokenValidityUnits={"AccessToken": "minutes"},
        PreventUserExistenceErrors="ENABLED",
    )["UserPoolClient"]
    expect("the client's name", "front-end-2", changed["ClientName"])

    def rotation(seconds):
        return {"Feature": "ENABLED", "RetryGracePeriodSeconds": seconds}

    secret = create_client("rotating", GenerateSecret=True, RefreshTokenRotation=rotation(0))
    rotating = secret["ClientId"]
    graceful = create_client("graceful", RefreshTokenRotation=rotation(60))["ClientId"]

    step("resend_confirmation_code, admin_confirm_sign_up")
    idp.sign_up(
        ClientId=app,
        Username=username,
        Password=PASSWORD,
        UserAttributes=[{"Name": "email", "Value": email}],
    )
    answer = idp.resend_confirmation_code(ClientId=app, Username=username)
    expect("the medium", "EMAIL", answer["CodeDeliveryDetails"]["DeliveryMedium"])
    user = dict(UserPoolId=pool, Username=username)
    idp.admin_confirm_sign_up(**user)
    refused("NotAuthorizedException", idp.admin_confirm_sign_up, **user)

    step("admin_initiate_auth, admin_user_global_sign_out")
    parameters = {"USERNAME": username, "PASSWORD": PASSWORD}

    def sign_in(client_id, **more):
        return idp.initiate_auth(
            ClientId=client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={**parameters, **more},
        )["AuthenticationResult"]

    tokens = idp.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=app,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters=parameters,
    )["AuthenticationResult"]
    expect("the token's time", 600, tokens["ExpiresIn"])
    idp.get_user(AccessToken=tokens["AccessToken"])
    idp.admin_user_global_sign_out(**user)
    refused("NotAuthorizedException", idp.get_user, AccessToken=tokens["AccessToken"])

    invite(idp, pool, app)

    step("get_tokens_from_refresh_token, revoke_token")
    tokens = sign_in(app)
    token = tokens["RefreshToken"]
    refreshed = idp.get_tokens_from_refresh_token(ClientId=app, RefreshToken=token)
    refreshed = refreshed["AuthenticationResult"]
    assert "RefreshToken" not in refreshed, "a refresh token came without rotation"
    refused(
        "UnsupportedTokenTypeException", idp.revoke_token, ClientId=app, Token=tokens["IdToken"]
    )
    refused("UnauthorizedException", idp.revoke_token, ClientId="nobodysclient", Token=token)
    idp.revoke_token(ClientId=app, Token=token)
    idp.revoke_token(ClientId=app, Token=token)
    for result in (tokens, refreshed):
        refused("NotAuthorizedException", idp.get_user, AccessToken=result["AccessToken"])
    refused(
        "NotAuthorizedException",
        idp.get_tokens_from_refresh_token,
        ClientId=app,
        RefreshToken=token,
    )

    step("rotation, of a client with a secret")
    client_secret = secret["ClientSecret"]

    def rotate(token):
        return dict(ClientId=rotating, ClientSecret=client_secret, RefreshToken=token)

    first = sign_in(rotating, SECRET_HASH=secret_hash_of(client_secret, username, rotating))
    without_secret = dict(ClientId=rotating, RefreshToken=first["RefreshToken"])
    refused("NotAuthorizedException", idp.get_tokens_from_refresh_token, **without_secret)
    second = idp.get_tokens_from_refresh_token(**rotate(first["RefreshToken"]))
    second = second["AuthenticationResult"]
    assert second["RefreshToken"] != first["RefreshToken"], "rotation gave the same token"
    third = idp.get_tokens_from_refresh_token(**rotate(second["RefreshToken"]))
    third = third["AuthenticationResult"]
    refused(
        "RefreshTokenReuseException",
        idp.get_tokens_from_refresh_token,
        **rotate(first["RefreshToken"]),
    )
    refused(
        "NotAuthorizedException",
        idp.get_tokens_from_refresh_token,
        **rotate(third["RefreshToken"]),
    )
    refused("NotAuthorizedException", idp.get_user, AccessToken=third["AccessToken"])

    step("rotation with a grace period")
    token = sign_in(graceful)["RefreshToken"]
    for _ in range(2):
        answer = idp.get_tokens_from_refresh_token(ClientId=graceful, RefreshToken=token)
    token = answer["AuthenticationResult"]["RefreshToken"]
    idp.get_tokens_from_refresh_token(ClientId=graceful, RefreshToken=token)

    step("admin_delete_user")
    idp.admin_delete_user(**user)
    for operation in (
        idp.admin_get_user,
        idp.admin_delete_user,
        idp.admin_user_global_sign_out,
        idp.admin_confirm_sign_up,
    ):
        refused("UserNotFoundException", operation, **user)

    step("the paginators list_user_pool_clients and list_user_pools")
    pages = list(
        idp.get_paginator("list_user_pool_clients").paginate(
            UserPoolId=pool, PaginationConfig={"PageSize": 2}
        )
    )
    expect("the sizes of the pages", [2, 1], [len(page["UserPoolClients"]) for page in pages])
    found = sorted(client["ClientId"] for page in pages for client in page["UserPoolClients"])
    expect("the clients", sorted([app, rotating, graceful]), found)
    pools = idp.get_paginator("list_user_pools").paginate(
        PaginationConfig={"PageSize": 1, "MaxItems": 1000}
    )
    found = [description["Id"] for page in pools for description in page["UserPools"]]
    expect("how often the pool is listed", 1, found.count(pool))
    expect("the number of different pools", len(found), len(set(found)))
    # A token that goes on elsewhere.
    foreign = idp.list_user_pools(MaxResults=1)["NextToken"]
    refused(
        "InvalidParameterException",
        idp.list_user_pool_clients,
        UserPoolId=pool,
        NextToken=foreign,
    )

    step("delete_user_pool_client, delete_user_pool")
    idp.delete_user_pool_client(UserPoolId=pool, ClientId=rotating)
    refused(
        "ResourceNotFoundException",
        idp.describe_user_pool_client,
        UserPoolId=pool,
        ClientId=rotating,
    )
    idp.update_user_pool(UserPoolId=pool, DeletionProtection="INACTIVE")
    idp.delete_user_pool(UserPoolId=pool)
    refused("ResourceNotFoundException", idp.describe_user_pool, UserPoolId=pool)


# --- Signatures -------------------------------------------------------------------------------


def signed_headers(operation, body, secret=None, key_id=None, age=datetime.timedelta(0)):
    """AWS Signature Version 4, written out: a library would not sign for another time."""
    secret = secret or os.environ["AWS_SECRET_ACCESS_KEY"]
    key_id = key_id or os.environ["AWS_ACCESS_KEY_ID"]
    now = datetime.datetime.now(datetime.timezone.utc) - age
    timestamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{timestamp[:8]}/{REGION}/cognito-idp/aws4_request"
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urllib.parse.urlsplit(ENDPOINT).netloc,
        "x-amz-date": timestamp,
        "x-amz-target": f"AWSCognitoIdentityProviderService.{operation}",
    }
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["POST", "/", ""]
        + [f"{name}:{headers[name]}" for name in sorted(headers)]
        + ["", names, hashlib.sha256(body).hexdigest()]
    )
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", timestamp, scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def post(headers, body):
    """The status, and the error's name or the answer."""
    request = urllib.request.Request(ENDPOINT, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        answer = json.load(error)
        name = answer["__type"].split("#")[-1]
        expect("x-amzn-errortype", name, error.headers["x-amzn-errortype"].split(":")[0])
        assert error.headers["x-amzn-requestid"], "an error without a request id"
        return error.status, name


def signatures(idp, pool):
    operation = "DescribeUserPool"
    body = json.dumps({"UserPoolId": pool}).encode()

    step("a signature written out by hand is accepted")
    status, answer = post(signed_headers(operation, body), body)
    expect("the status", 200, status)
    expect("the pool", pool, answer["UserPool"]["Id"])
    # A difference of a few minutes is accepted.
    age = datetime.timedelta(minutes=5)
    expect("the status", 200, post(signed_headers(operation, body, age=age), body)[0])

    step("a wrong secret key is refused")
    wrong = client(
        aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="x" * 40
    )
    refused("InvalidSignatureException", wrong.describe_user_pool, status=403, UserPoolId=pool)

    step("an unknown access key is refused")
    unknown = client(
        aws_access_key_id="AKIANOBODYKNOWSTHIS0",
        aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    refused("UnrecognizedClientException", unknown.describe_user_pool, status=403, UserPoolId=pool)

    invalid = (403, "InvalidSignatureException")
    step("an old signature and one from the future are refused")
    for minutes in (16, -16):
        headers = signed_headers(operation, body, age=datetime.timedelta(minutes=minutes))
        expect(f"{minutes} minutes old", invalid, post(headers, body))

    step("a changed body is refused")
    headers = signed_headers(operation, body)
    expect("the refusal", invalid, post(headers, body.replace(b"}", b" }")))

    step("a changed operation is refused")
    headers = signed_headers(operation, body)
    headers["x-amz-target"] = "AWSCognitoIdentityProviderService.DeleteUserPool"
    expect("the refusal", invalid, post(headers, body))
    idp.describe_user_pool(UserPoolId=pool)

    step("no signature is refused")
    headers = signed_headers(operation, body)
    del headers["authorization"]
    expect("the refusal", (403, "MissingAuthenticationTokenException"), post(headers, body))

    step("half a signature is refused")
    headers = signed_headers(operation, body)
    headers["authorization"] = headers["authorization"].split(", Signature=")[0]
    expect("the refusal", (403, "IncompleteSignatureException"), post(headers, body))


def main():
    idp = client()
    step("create_user_pool, create_user_pool_client")
    pool = idp.create_user_pool(
        PoolName=f"boto3-{STAMP}",
        Policies={
            "PasswordPolicy": {
                "MinimumLength": 10,
                "RequireUppercase": True,
                "RequireLowercase": True,
                "RequireNumbers": True,
                "RequireSymbols": True,
            }
        },
        AutoVerifiedAttributes=["email"],
    )["UserPool"]["Id"]
    assert pool.startswith(f"{REGION}_"), f"not a pool of {REGION}: {pool}"
    described = idp.describe_user_pool(UserPoolId=pool)["UserPool"]
    expect("the pool's name", f"boto3-{STAMP}", described["Name"])
    expect("the verified attributes", ["email"], described["AutoVerifiedAttributes"])
    app = idp.create_user_pool_client(
        UserPoolId=pool,
        ClientName="front-end",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        PreventUserExistenceErrors="ENABLED",
    )["UserPoolClient"]
    assert "ClientSecret" not in app, "a client without a secret has one"

    live_and_leave(idp, pool, app["ClientId"], f"front-end-user-{STAMP}", None)
    client_with_secret(idp, pool)
    administer(idp)
    signatures(idp, pool)


if __name__ == "__main__":
    main()

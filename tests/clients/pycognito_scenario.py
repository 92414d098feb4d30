#!/usr/bin/env python3
"""Signing in by SRP with pycognito, where only the endpoint is given: with and without a client
secret, by a temporary password, with passwords that are refused, and with a device that is remembered.

The environment is what `userpool dev` writes to its dev.env.
"""

import os
import time

import boto3
import pycognito.aws_srp
import pycognito.exceptions

REGION = os.environ["AWS_REGION"]
STAMP = f"{int(time.time())}{os.getpid()}"
PASSWORD = f"Correct-Horse-{STAMP}"
TEMPORARY = f"Temporary-Horse-{STAMP}"

cognito = boto3.client("cognito-idp", region_name=REGION)


def step(text):
    print(f"  {text}", flush=True)


def new_client(pool, **more):
    flows = ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    made = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="app", ExplicitAuthFlows=flows, **more
    )
    return made["UserPoolClient"]


def srp(pool, client, username, password, **device):
    return pycognito.aws_srp.AWSSRP(
        username=username,
        password=password,
        pool_id=pool,
        client_id=client["ClientId"],
        client_secret=client.get("ClientSecret"),
        client=cognito,
        **device,
    )


def with_device(pool, client, username):
    """Confirms the device of a first sign-in, and proves it at a second one."""
    first = srp(pool, client, username, PASSWORD).authenticate_user()["AuthenticationResult"]
    device = first["NewDeviceMetadata"]
    key, group = device["DeviceKey"], device["DeviceGroupKey"]
    password, verifier = pycognito.aws_srp.generate_hash_device(group, key)
    confirmed = cognito.confirm_device(
        AccessToken=first["AccessToken"], DeviceKey=key, DeviceSecretVerifierConfig=verifier
    )
    assert confirmed["UserConfirmationNecessary"] is False
    named = {"device_key": key, "device_group_key": group}
    proving = srp(pool, client, username, PASSWORD, device_password=password, **named)
    second = proving.authenticate_user()["AuthenticationResult"]
    assert "NewDeviceMetadata" not in second
    try:
        wrong = password[::-1]
        srp(pool, client, username, PASSWORD, device_password=wrong, **named).authenticate_user()
        raise AssertionError("a device without its password was accepted")
    except cognito.exceptions.NotAuthorizedException as error:
        assert error.response["Error"]["Message"] == "Incorrect username or password."
    refresh = {"REFRESH_TOKEN": second["RefreshToken"]}
    cognito.initiate_auth(
        ClientId=client["ClientId"],
        AuthFlow="REFRESH_TOKEN_AUTH",
        AuthParameters={**refresh, "DEVICE_KEY": key},
    )
    try:
        cognito.initiate_auth(
            ClientId=client["ClientId"], AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters=refresh
        )
        raise AssertionError("a refresh token without its device was accepted")
    except cognito.exceptions.NotAuthorizedException as error:
        assert error.response["Error"]["Message"] == "Invalid Refresh Token"
    listed = cognito.list_devices(AccessToken=second["AccessToken"])["Devices"]
    assert [device["DeviceKey"] for device in listed] == [key]


def signed_in(pool, client, username, password):
    tokens = srp(pool, client, username, password).authenticate_user()["AuthenticationResult"]
    return cognito.get_user(AccessToken=tokens["AccessToken"])["Username"]


def main():
    pool = cognito.create_user_pool(PoolName="srp", AliasAttributes=["email"])["UserPool"]["Id"]
    public, secret = new_client(pool), new_client(pool, GenerateSecret=True)
    name, email = f"leonore-{STAMP}", f"leonore.{STAMP}@example.com"
    cognito.admin_create_user(
        UserPoolId=pool,
        Username=name,
        TemporaryPassword=TEMPORARY,
        MessageAction="SUPPRESS",
        UserAttributes=[
            {"Name": "email", "Value": email},
            {"Name": "email_verified", "Value": "true"},
        ],
    )

    try:
        signed_in(pool, public, name, TEMPORARY)
        raise AssertionError("a temporary password signs nobody in")
    except pycognito.exceptions.ForceChangePasswordException:
        pass
    srp(pool, public, name, TEMPORARY).set_new_password_challenge(PASSWORD)
    step("replaced a temporary password after SRP")

    for client in (public, secret):
        assert signed_in(pool, client, name, PASSWORD) == name
    assert signed_in(pool, public, email, PASSWORD) == name
    step("signed in by SRP: with a client secret, without one, and by an alias")

    try:
        signed_in(pool, public, name, TEMPORARY)
        raise AssertionError("a wrong password was accepted")
    except cognito.exceptions.NotAuthorizedException as error:
        assert error.response["Error"]["Message"] == "Incorrect username or password."
    step("a wrong password is refused")

    tracking = {"ChallengeRequiredOnNewDevice": True, "DeviceOnlyRememberedOnUserPrompt": False}
    cognito.update_user_pool(UserPoolId=pool, DeviceConfiguration=tracking)
    with_device(pool, public, name)
    step("confirmed a device, and proved it by SRP")


main()

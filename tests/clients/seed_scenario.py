#!/usr/bin/env python3
"""A seed of `userpool dev`: boto3 signs in as its users through its clients, and its published schema refuses what the
server refuses, with a stock validator.

The servers of this check are its own; USERPOOL_BIN is the program.
"""

import base64
import contextlib
import copy
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import tempfile
import time

import boto3
import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
POOL = "us-east-1_Boto3seed"
PUBLIC = "1boto3example9abcdefghijkl"
SECRET = "2boto3example9abcdefghijkl"
CLIENT_SECRET = "1secret23456789abcdefghijklmnopqrstuvwxyz1234567890"
SUB = "7c1d5f0a-0c53-4a53-8a3b-0f5a3b1c9d21"
LONGEST_START = 120

SEED = {
    "UserPools": [
        {
            "Id": POOL,
            "PoolName": "people",
            "AutoVerifiedAttributes": ["email"],
            "Policies": {"PasswordPolicy": {"MinimumLength": 10}},
            "UserPoolTags": {"team": "one"},
            "UserPoolClients": [
                {"ClientId": PUBLIC, "ClientName": "web", "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"]},
                {
                    "ClientId": SECRET,
                    "ClientName": "back-end",
                    "ClientSecret": CLIENT_SECRET,
                    "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
                    "RefreshTokenValidity": 7,
                },
            ],
            "Groups": [{"GroupName": "readers", "Precedence": 2}],
            "Users": [
                {
                    "Username": "ann",
                    "Password": "Correct-horse-1",
                    "UserAttributes": [
                        {"Name": "sub", "Value": SUB},
                        {"Name": "email", "Value": "ann@example.com"},
                        {"Name": "email_verified", "Value": "true"},
                    ],
                    "Groups": ["readers"],
                },
                {"Username": "bob", "Password": "Correct-horse-2🦀é", "Permanent": False},
            ],
        }
    ]
}

# A position in the seed, and an invalid value for it.
WRONG = [
    ([], []),
    (["UserPools"], {}),
    (["UserPools", 0, "Id"], "us-east-1_short"),
    (["UserPools", 0, "Id"], 1),
    (["UserPools", 0, "PoolName"], ""),
    (["UserPools", 0, "PoolName"], "no!"),
    (["UserPools", 0, "PoolName"], None),
    (["UserPools", 0, "Name"], "people"),
    (["UserPools", 0, "AutoVerifiedAttributes"], ["name"]),
    (["UserPools", 0, "Policies", "PasswordPolicy", "MinimumLength"], 5),
    (["UserPools", 0, "Policies", "PasswordPolicy", "MinimumLength"], "10"),
    (["UserPools", 0, "Policies", "PasswordPolicy"], {"MinLength": 10}),
    (["UserPools", 0, "UserPoolTags", "team"], 1),
    (["UserPools", 0, "UserPoolClients", 0, "ClientId"], "web"),
    (["UserPools", 0, "UserPoolClients", 0], {"ClientName": "web"}),
    (["UserPools", 0, "UserPoolClients", 1, "ClientSecret"], "short"),
    (["UserPools", 0, "UserPoolClients", 1, "RefreshTokenValidity"], -1),
    (["UserPools", 0, "Groups", 0], {"Precedence": 2}),
    (["UserPools", 0, "Groups", 0, "Precedence"], -1),
    (["UserPools", 0, "Users", 0], {"Username": "ann"}),
    (["UserPools", 0, "Users", 0, "Password"], " "),
    (["UserPools", 0, "Users", 0, "Email"], "ann@example.com"),
    (["UserPools", 0, "Users", 0, "UserAttributes", 0], {"Value": "ann@example.com"}),
    (["UserPools", 0, "Users", 1, "Permanent"], "yes"),
]


def step(text):
    print(f"  {text}", flush=True)


def expect(what, wanted, found):
    assert wanted == found, f"{what}: wanted {wanted!r}, found {found!r}"


def own_environment():
    """Variables without those of the server that the other checks share."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("USERPOOL_", "AWS_"))}


def dev(directory, seed):
    return [os.environ["USERPOOL_BIN"], "dev", "--data-dir", str(directory / "data"), "--seed", str(seed)] + [
        argument for door in ("grpc", "http") for argument in (f"--{door}-addr", "127.0.0.1:0")
    ]


@contextlib.contextmanager
def server(directory, seed):
    """Starts a server with a seed; gives its variables."""
    with open(directory / "out", "w+") as out, open(directory / "log", "w+") as log:
        process = subprocess.Popen(dev(directory, seed), stdout=out, stderr=log, env=own_environment())
        try:
            deadline = time.monotonic() + LONGEST_START
            while "userpool dev is ready" not in (directory / "out").read_text():
                assert process.poll() is None and time.monotonic() < deadline, (directory / "log").read_text()
                time.sleep(0.1)
            lines = (directory / "data" / "dev.env").read_text().splitlines()
            exports = (line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
            yield {name: value.strip("'") for name, value in exports}
        finally:
            process.terminate()
            expect("the status", 0, process.wait(60))


def sign_in(cognito, client, username, password, **parameters):
    parameters |= {"USERNAME": username, "PASSWORD": password}
    return cognito.initiate_auth(ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)


def secret_hash(username):
    digest = hmac.digest(CLIENT_SECRET.encode(), (username + SECRET).encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


def users_sign_in(variables):
    cognito = boto3.client(
        "cognito-idp",
        region_name="us-east-1",
        endpoint_url=variables["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    tokens = sign_in(cognito, PUBLIC, "ann", "Correct-horse-1")["AuthenticationResult"]
    me = cognito.get_user(AccessToken=tokens["AccessToken"])
    attributes = {attribute["Name"]: attribute["Value"] for attribute in me["UserAttributes"]}
    expect("the attributes", {"sub": SUB, "email": "ann@example.com", "email_verified": "true"}, attributes)
    body = tokens["IdToken"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    expect("the groups", ["readers"], claims["cognito:groups"])
    expect("the audience", PUBLIC, claims["aud"])
    assert "AccessToken" in sign_in(
        cognito, SECRET, "ann", "Correct-horse-1", SECRET_HASH=secret_hash("ann")
    )["AuthenticationResult"]
    answer = sign_in(cognito, PUBLIC, "bob", "Correct-horse-2🦀é")
    expect("bob's challenge", "NEW_PASSWORD_REQUIRED", answer.get("ChallengeName"))
    users = cognito.list_users(UserPoolId=POOL)["Users"]
    return sorted((user["Username"], user["UserStatus"], user["UserLastModifiedDate"]) for user in users)


def replaced(place, value):
    seed = copy.deepcopy(SEED)
    if not place:
        return value
    part = seed
    for step_ in place[:-1]:
        part = part[step_]
    part[place[-1]] = value
    return seed


def main():
    schema = json.loads((ROOT / "docs/seed.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        # Started by root, the database runs as another account.
        directory.chmod(0o755)
        file = directory / "seed.json"

        step("the schema refuses what the server refuses")
        for place, value in WRONG:
            seed = replaced(place, value)
            file.write_text(json.dumps(seed))
            assert not validator.is_valid(seed), f"the schema takes {value!r} at {place}"
            refused = subprocess.run(dev(directory, file), text=True, capture_output=True, env=own_environment())
            expect(f"the status of {value!r} at {place}", 1, refused.returncode)
            assert refused.stderr.startswith(f"userpool: {file}:1:"), refused.stderr
            assert not (directory / "data").exists(), "something was started"

        step("users of a seed sign in, after a second start as well")
        validator.validate(SEED)
        file.write_text(json.dumps(SEED))
        with server(directory, file) as variables:
            first = users_sign_in(variables)
        with server(directory, file) as variables:
            expect("the users", first, users_sign_in(variables))


main()

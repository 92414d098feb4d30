#!/usr/bin/env python3
"""The examples of responders, and an endpoint on this machine: each lets a user in and keeps another one out.

RESPONDER_MODULES is where the packages of examples/node are.
"""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PASSWORD = "Correct-horse-1"
REFUSAL = "PreSignUp failed with error only addresses of example.com may sign up."

cognito = boto3.client("cognito-idp")


def step(text):
    print(f"  {text}", flush=True)


def sign_up(client, address):
    return cognito.sign_up(
        ClientId=client,
        Username=f"user-{uuid.uuid4()}",
        Password=PASSWORD,
        UserAttributes=[{"Name": "email", "Value": address}],
    )


def decides(function):
    """A pool whose pre sign-up trigger is this function, and what it decides."""
    pool = cognito.create_user_pool(PoolName="responders", LambdaConfig={"PreSignUp": function})["UserPool"]["Id"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="web")["UserPoolClient"]["ClientId"]
    assert sign_up(client, "jane@example.com")["UserConfirmed"]
    try:
        sign_up(client, "jane@example.org")
    except cognito.exceptions.UserLambdaValidationException as refusal:
        assert refusal.response["Error"]["Message"] == REFUSAL, refusal
    else:
        raise AssertionError("anybody is let in")
    cognito.delete_user_pool(UserPoolId=pool)


@contextlib.contextmanager
def responder(command, **options):
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, **options)
        try:
            yield
        except BaseException:
            log.seek(0)
            print(log.read(), file=sys.stderr)
            raise
        finally:
            process.terminate()
            assert process.wait(30) == 0, "the responder does not end well"


class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        failed = not event["request"]["userAttributes"]["email"].endswith("@example.com")
        event["response"]["autoConfirmUser"] = True
        answer = json.dumps({"errorMessage": "only addresses of example.com may sign up"} if failed else event).encode()
        found = self.path == "/2015-03-31/functions/function/invocations"
        self.send_response(200 if found else 404)
        if failed:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def main():
    step("examples/python")
    function = "arn:aws:lambda:us-east-1:123456789012:function:python"
    command = ["python", "responder.py", "handler.py", "lambda_handler", "pre-sign-up", "--function", function]
    with responder(command, cwd=EXAMPLES / "python"):
        decides(function)

    step("examples/node")
    function = "arn:aws:lambda:us-east-1:123456789012:function:node"
    with tempfile.TemporaryDirectory() as directory:
        for file in (EXAMPLES / "node").glob("*.mjs"):
            shutil.copy(file, directory)
        (pathlib.Path(directory) / "node_modules").symlink_to(os.environ["RESPONDER_MODULES"])
        command = ["node", "responder.mjs", "handler.mjs", "handler", "pre-sign-up"]
        with responder(command, cwd=directory, env=os.environ | {"FUNCTION": function, "GROUP": "node"}):
            decides(function)

    step("an endpoint on this machine")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        decides(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


main()

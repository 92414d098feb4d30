"""The server's e-mails at a mail relay of other people's making: aiosmtpd, over STARTTLS and over TLS from the first byte on,
with a password; what arrives is read by Python's own parser.

The worker is that of the server, run by a test of the crate that is ignored otherwise.
"""

import asyncio
import datetime
import email.policy
import ipaddress
import json
import logging
import os
import pathlib
import ssl
import sys
import tempfile
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USER, PASSWORD = "userpool", "Correct-Horse-Relay"
TEST = "store::deliveries::a_relay_of_others_takes_what_is_sent"


def step(text):
    print(f"  {text}", flush=True)


def certificate(directory):
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    files = directory / "relay.pem", directory / "relay.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


class Mailbox:
    """Keeps the e-mails that arrive, and refuses recipients whose name begins with `refused`."""

    def __init__(self):
        self.arrived = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        assert server.transport.get_extra_info("sslcontext"), "not encrypted"
        assert session.authenticated, "nobody signed in"
        self.arrived.append(envelope)
        return "250 ok"


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


async def check(security, files, directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    mailbox = Mailbox()
    options = {"authenticator": authenticate, "auth_required": True}
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    else:
        # aiosmtpd allows a sign-in only after STARTTLS, and does not know TLS from the first byte.
        options |= {"auth_require_tls": False}
    relay = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, **options), "127.0.0.1", 0, ssl=context if security == "tls" else None
    )
    password_file = directory / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(f"{PASSWORD}\n")
    settings = {
        "host": "127.0.0.1",
        "port": relay.sockets[0].getsockname()[1],
        "security": security,
        "from": "Codes <codes@example.org>",
        "username": USER,
        "password-file": str(password_file),
        "ca-file": str(files[0]),
    }
    command = ["cargo", "test", "--quiet", "--test", "it", "--", "--ignored", "--exact", TEST]
    environment = os.environ | {"USERPOOL_TEST_EMAIL": json.dumps(settings)}
    worker = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await worker.communicate())[0].decode()
    assert worker.returncode == 0 and "1 passed" in output, output
    relay.close()
    [envelope] = mailbox.arrived
    assert (envelope.mail_from, envelope.rcpt_tos) == ("app@example.net", ["jane@example.com"]), envelope
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert message.defects == [], message.defects
    assert message["From"] == "Grüße von App <app@example.net>", message["From"]
    assert message["Reply-To"] == "help@example.net", message["Reply-To"]
    assert message["To"] == "jane@example.com", message["To"]
    assert message["Subject"] == "Grüße an jüne, der Code ist da", message["Subject"]
    assert message["Message-ID"].endswith("@example.net>"), message["Message-ID"]
    assert message.get_content_type() == "multipart/alternative", message.get_content_type()
    plain = message.get_body(["plain"]).get_content()
    assert plain.startswith("Für jüne: ") and "…" in plain and "<" not in plain, plain
    body = message.get_body(["html"]).get_content()
    assert body.startswith("<p>Für <b>jüne</b>: ") and "…" in body, body
    step(f"{security}: one e-mail arrived whole, and one was refused")


def main():
    # aiosmtpd's warnings about its own settings don't matter here.
    warnings.filterwarnings("ignore", module="aiosmtpd")
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        files = certificate(directory)
        for security in ("starttls", "tls"):
            asyncio.run(check(security, files, directory))


if __name__ == "__main__":
    sys.exit(main())

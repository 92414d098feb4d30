#!/usr/bin/env python3
"""Every command of the pages for users, run in the order of the page.

A page is one session of Bash in a directory of its own, where `userpool` stands for a checkout of this
repository with a running `scripts/dev`. Blocks of it are

- ```console: lines that begin with `$ ` are commands, up to where Bash finds them whole; what follows is
  their output, which must be what the command prints. `…` stands for anything, and ids, codes, tokens and
  times for any of their kind. A command fails only where the output that is shown is an error's.
- any other: a file. The line before names it: "Save as `name`". A seed fits its schema, each command of a
  workflow is one of the page's or installs something, and services are started by commands that there are.

The environment is what `userpool dev` writes to its dev.env, and USERPOOL_DEV_ENV, the path of that file. A page that
starts servers of its own has none of those variables.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ["docs/grpc.md", "docs/aws-sdks.md", "docs/moving-from-cognito.md", "docs/events.md"]
PAGES_WITH_SERVERS = ["docs/testing-with-userpool.md"]
PAGES += PAGES_WITH_SERVERS
# Files for `buf generate`, which reports mistakes itself.
READ_BY_COMMANDS = ["buf.gen.yaml"]
# An app's dependencies take a while to compile.
LONGEST_COMMAND = 400
# How long messages and events take to arrive.
LONGEST_DELIVERY = 20

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"^Save as `([\w./-]+)`.*:\n\n\Z", re.MULTILINE)
# Commands that are repeated until they print what the page shows, because their data arrives a
# moment later.
EVENTUAL = re.compile(r"^(\w+=\$\()?(curl|kcat)\b")
# How errors of grpcurl, the AWS CLI and `userpool call` begin.
ERROR = re.compile(r"ERROR:|An error occurred|\w+Exception:")

# Values that differ from run to run, each kind with a name. The order matters: longer ones come
# first.
VARYING = [
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "token"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "uuid"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "time"),
    (r"us-east-1_[0-9A-Za-z]{9}", "pool"),
    (r"\b17\d{8}(\.\d+)?\b", "seconds"),
    (r"\b[0-9a-z]{26}\b", "client"),
    (r"\bUP[0-9A-Z]{18}\b", "access key"),
    (r"127\.0\.0\.1:\d+", "address"),
    (r"\b\d{6}\b", "code"),
]


def blocks(text):
    """Pairs of a language or file name and the content of the block."""
    for found in FENCE.finditer(text):
        language, content = found.groups()
        if language == "console":
            yield None, content
            continue
        name = FILE_NAME.search(text, 0, found.start())
        line = text.count("\n", 0, found.start()) + 1
        assert name, f"line {line}: a block that nothing runs"
        yield name.group(1), content


def is_whole(command):
    check = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True)
    return check.returncode == 0 and not check.stderr and not command.endswith("\\")


def commands(content):
    """Pairs of a command and the output that the page shows."""
    lines = content.splitlines()
    at = 0
    while at < len(lines):
        assert lines[at].startswith("$ "), f"output of no command: {lines[at]}"
        command = lines[at][2:]
        at += 1
        while not is_whole(command):
            assert at < len(lines), f"a command without an end: {command}"
            command += "\n" + lines[at]
            at += 1
        shown = []
        while at < len(lines) and not lines[at].startswith("$ "):
            shown.append(lines[at])
            at += 1
        yield command, "\n".join(shown).strip()


def without_what_varies(text):
    for pattern, name in VARYING:
        text = re.sub(pattern, f"<{name}>", text)
    return re.sub(r"\s+", " ", text).strip()


def is_as_shown(shown, printed):
    parts = (re.escape(without_what_varies(part)) for part in shown.split("…"))
    return re.fullmatch(r"\s*.*\s*".join(parts), without_what_varies(printed), re.DOTALL) is not None


class Session:
    """A Bash that keeps its variables from one command to the next."""

    END = "\x1e"

    def __init__(self, directory, environment):
        self.directory = directory
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Aliases work as in a user's shell, and an error before a pipe counts.
        self.run("shopt -s expand_aliases; set -o pipefail")

    def run(self, command):
        """Runs a command; returns its status and its output."""
        script = self.directory / ".command"
        script.write_text(command + "\n")
        self.bash.stdin.write(f"source ./.command </dev/null; printf '{self.END}%d{self.END}' $?\n".encode())
        self.bash.stdin.flush()
        printed = b""
        end = self.END.encode()
        while printed.count(end) < 2:
            piece = os.read(self.bash.stdout.fileno(), 65536)
            assert piece, f"the shell ended: {printed.decode()}"
            printed += piece
        output, status, _ = printed.split(end)
        return int(status), output.decode()

    def close(self):
        self.bash.stdin.close()
        try:
            self.bash.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.bash.pid, signal.SIGKILL)
            self.bash.wait()


def environment_of(page):
    variables = dict(os.environ)
    if page in PAGES_WITH_SERVERS:
        of_the_server = re.findall(r"^export (\w+)=", pathlib.Path(os.environ["USERPOOL_DEV_ENV"]).read_text(), re.MULTILINE)
        for name in of_the_server:
            del variables[name]
    return variables


def check_seed(seed):
    jsonschema.validate(seed, json.loads((ROOT / "docs/seed.schema.json").read_text()))


def check_workflow(workflow, commands_of_page):
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), f"a step that does not one thing: {step}"
            # This machine already has what these commands install.
            for line in step.get("run", "").splitlines():
                makes_ready = line.startswith(("rustup ", "cargo build ", "echo ", "pip install "))
                assert makes_ready or line in commands_of_page, f"no command of the page: {line}"


def check_compose(compose):
    for name, service in compose["services"].items():
        assert ("image" in service) != ("build" in service), f"{name} comes from nowhere"
        for other, on in service.get("depends_on", {}).items():
            waits = on["condition"] == "service_healthy"
            assert waits and "healthcheck" in compose["services"][other], f"{name} waits for {other} in vain"
    # With --help a program accepts known flags, and refuses unknown ones.
    command = [os.environ["USERPOOL_BIN"], *compose["services"]["userpool"]["command"], "--help"]
    checked = subprocess.run(command, text=True, capture_output=True)
    assert checked.returncode == 0, f"{command}: {checked.stderr}"


def check_file(name, content, commands_of_page):
    """Checks a file that no command of the page reads."""
    if not name.endswith((".yaml", ".yml")) or name in READ_BY_COMMANDS:
        return
    document = yaml.safe_load(content)
    if "UserPools" in document:
        check_seed(document)
    elif "jobs" in document:
        check_workflow(document, commands_of_page)
    elif "services" in document:
        check_compose(document)
    else:
        raise AssertionError(f"{name}: nothing is known of such a file")


def run_page(page, directory):
    if page in PAGES_WITH_SERVERS:
        # Jest needs one.
        (directory / "package.json").write_text("{}")
    session = Session(directory, environment_of(page))
    text = (ROOT / page).read_text()
    shown = [content for name, content in blocks(text) if name is None]
    commands_of_page = [command for content in shown for command, _ in commands(content)]
    try:
        for name, content in blocks(text):
            if name:
                file = directory / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
                check_file(name, content, commands_of_page)
                continue
            for command, shown in commands(content):
                run_command(session, command, shown)
    finally:
        signal.alarm(0)
        session.close()


def run_command(session, command, shown):
    print(f"  $ {command.splitlines()[0]}", flush=True)
    signal.alarm(LONGEST_COMMAND)
    deadline = time.monotonic() + LONGEST_DELIVERY
    while True:
        status, printed = session.run(command)
        right = (status == 0) != bool(ERROR.match(shown)) and is_as_shown(shown, printed)
        if right or not EVENTUAL.match(command) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert right, f"{command}\n--- shown:\n{shown}\n--- printed, with status {status}:\n{printed}"


def make_directory(directory):
    """Provides what the pages assume: a checkout with a running server, and installed packages."""
    checkout = directory / "userpool"
    (checkout / ".userpool").mkdir(parents=True)
    shutil.copy(os.environ["USERPOOL_DEV_ENV"], checkout / ".userpool" / "dev.env")
    (checkout / "target" / "debug").mkdir(parents=True)
    (checkout / "target" / "debug" / "userpool").symlink_to(os.environ["USERPOOL_BIN"])
    for name in ("proto", "buf.yaml"):
        (checkout / name).symlink_to(ROOT / name)
    (directory / "node_modules").symlink_to(os.environ["NODE_PATH"])
    (directory / "lib").symlink_to(os.environ["JAVA_LIB"])
    for name in ("go.mod", "go.sum"):
        shutil.copy(ROOT / "tests/clients/pages" / name, directory)
    # The versions of the server's own dependencies, which are on this machine.
    (directory / "app").mkdir()
    shutil.copy(ROOT / "Cargo.lock", directory / "app")


def too_long(*_):
    raise TimeoutError(f"a command took longer than {LONGEST_COMMAND} s")


def main():
    signal.signal(signal.SIGALRM, too_long)
    # Reuses what an earlier run has compiled.
    os.environ["CARGO_TARGET_DIR"] = os.environ["RUST_APP_TARGET"]
    failed = False
    for page in [page for page in PAGES if not sys.argv[1:] or page in sys.argv[1:]]:
        print(f"  {page}", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            make_directory(pathlib.Path(directory))
            try:
                run_page(page, pathlib.Path(directory))
                print(f"  {page}: {time.monotonic() - started:.0f} s", flush=True)
            except (AssertionError, TimeoutError) as problem:
                failed = True
                print(f"  FAILED: {page}: {problem}", file=sys.stderr, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()

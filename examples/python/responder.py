#!/usr/bin/env python3
"""Answers the triggers of user pools with the handler of a Lambda function, as it is.

    python responder.py handler.py lambda_handler [--function ARN] [pre-sign-up ...]

Without names of triggers it serves all of them. The handler is called for one record after another: start several
responders to share the work. The brokers are those of the variables USERPOOL_KAFKA_BROKERS, USERPOOL_KAFKA_PREFIX and
USERPOOL_KAFKA_PROPERTIES, as the server has them.
"""

import argparse
import collections
import importlib.util
import json
import os
import pathlib
import signal
import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

TOLD = ["post-confirmation", "post-authentication", "custom-sms-sender", "custom-email-sender"]
ASKED = [
    "pre-sign-up",
    "pre-authentication",
    "define-auth-challenge",
    "create-auth-challenge",
    "verify-auth-challenge-response",
    "pre-token-generation",
    "user-migration",
    "custom-message",
]
# How often something is told again to a handler that fails.
TELLINGS = 5
# How many replies are remembered. A question is asked again within seconds.
REMEMBERED = 10_000


class Context:
    """What a handler may ask of Lambda."""

    def __init__(self, function, request_id, deadline):
        self.invoked_function_arn = function
        self.function_name = function.split(":")[6] if function.count(":") >= 6 else function
        self.aws_request_id = request_id
        self.deadline = deadline

    def get_remaining_time_in_millis(self):
        return max(0, self.deadline - now())


def now():
    return int(time.time() * 1000)


def log(text):
    print(text, file=sys.stderr, flush=True)


def load(path, name):
    """The handler in a file."""
    path = pathlib.Path(path).resolve()
    # Modules beside the handler are found, as on Lambda.
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def settings():
    lines = os.environ.get("USERPOOL_KAFKA_PROPERTIES", "").splitlines()
    properties = dict(line.split("=", 1) for line in lines if line.strip())
    return properties | {"bootstrap.servers": os.environ["USERPOOL_KAFKA_BROKERS"]}


def wait_for(topics):
    """Waits until the server has made the topics. An AdminClient asks: a Consumer that is polled must not."""
    admin = AdminClient(settings())
    while missing := set(topics) - set(admin.list_topics(timeout=10).topics):
        log(f"waiting for {', '.join(sorted(missing))}")
        time.sleep(1)


class Responder:
    def __init__(self, handler, function):
        self.handler = handler
        self.function = function
        self.producer = Producer(settings() | {"linger.ms": 0, "message.timeout.ms": 5000})
        # Replies by correlation id, each with the attempt that it was sent for.
        self.replies = collections.OrderedDict()

    def take(self, record):
        headers = {name: value.decode() for name, value in record.headers() or []}
        if self.function and headers["function"] != self.function:
            return
        if "reply-to" in headers:
            self.answer(record, headers)
        else:
            self.hear(record, headers)

    def answer(self, record, headers):
        """Calls the handler for a question, once however often it is asked, and replies."""
        question, attempt, deadline = headers["correlation-id"], headers["attempt"], int(headers["deadline"])
        if deadline <= now():
            return
        answered, reply = self.replies.get(question, (None, None))
        if answered == attempt:
            return
        if reply is None:
            try:
                event = json.loads(record.value())
                reply = json.dumps(self.handler(event, Context(headers["function"], question, deadline)))
            except Exception as error:
                reply = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__})
        self.replies[question] = attempt, reply
        if len(self.replies) > REMEMBERED:
            self.replies.popitem(last=False)
        self.producer.produce(
            headers["reply-to"],
            partition=int(headers["reply-partition"]),
            key=question,
            value=reply,
            headers={"correlation-id": question},
        )
        self.producer.poll(0)

    def hear(self, record, headers):
        """Calls the handler for what it is told. It may be told the same again."""
        request_id = f"{record.topic()}/{record.partition()}/{record.offset()}"
        for telling in range(1, TELLINGS + 1):
            try:
                self.handler(json.loads(record.value()), Context(headers["function"], request_id, now() + 60_000))
                return
            except Exception as error:
                log(f"{request_id} failed, {telling} of {TELLINGS}: {type(error).__name__}")
                time.sleep(telling)

    def run(self, topics, group):
        consumer = Consumer(
            settings()
            | {
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.offset.store": False,
                # The broker of `userpool dev` answers a fetch only after this time.
                "fetch.wait.max.ms": 50,
            }
        )
        consumer.subscribe(topics)
        going_on = [True]
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, lambda *_: going_on.clear())
        log(f"serving {', '.join(topics)}")
        while going_on:
            record = consumer.poll(0.2)
            if record is None:
                continue
            if record.error():
                log(record.error())
                continue
            self.take(record)
            # Stored when it is done, and committed by the client from time to time and at the end.
            consumer.store_offsets(record)
        self.producer.flush(5)
        consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="the file with the handler")
    parser.add_argument("handler", help="the name of the handler in it")
    parser.add_argument("trigger", nargs="*", choices=[[], *ASKED, *TOLD], default=[], metavar="trigger", help="triggers to serve [default: all]")
    parser.add_argument("--function", help="serve only pools that name this function")
    parser.add_argument("--group", help="the group that shares the work [default: userpool-responder-<file>]")
    arguments = parser.parse_args()
    prefix = os.environ.get("USERPOOL_KAFKA_PREFIX", "")
    topics = [f"{prefix}userpool.triggers.{trigger}" for trigger in arguments.trigger or ASKED + TOLD]
    group = arguments.group or f"{prefix}userpool-responder-{pathlib.Path(arguments.file).stem}"
    handler = load(arguments.file, arguments.handler)
    wait_for(topics)
    Responder(handler, arguments.function).run(topics, group)


main()

#!/usr/bin/env node
// Answers the triggers of user pools with the handler of a Lambda function, as it is.
//
//     node responder.mjs handler.mjs handler [pre-sign-up ...]
//
// Without names of triggers it serves all of them. The brokers are those of the variables USERPOOL_KAFKA_BROKERS and
// USERPOOL_KAFKA_PREFIX, as the server has them; USERPOOL_KAFKA_SSL, USERPOOL_KAFKA_USERNAME and USERPOOL_KAFKA_PASSWORD say
// how to connect. FUNCTION serves only pools that name this function, and GROUP names the group that shares the work.

import path from "node:path";
import { pathToFileURL } from "node:url";

import { Kafka, Partitioners, logLevel } from "kafkajs";

const TOLD = ["post-confirmation", "post-authentication", "custom-sms-sender", "custom-email-sender"];
const ASKED = [
    "pre-sign-up",
    "pre-authentication",
    "define-auth-challenge",
    "create-auth-challenge",
    "verify-auth-challenge-response",
    "pre-token-generation",
    "user-migration",
    "custom-message",
];
// How often something is told again to a handler that fails.
const TELLINGS = 5;
// How many replies are remembered. A question is asked again within seconds.
const REMEMBERED = 10_000;

const [file, name, ...triggers] = process.argv.slice(2);
if (!file || !name) {
    console.error("usage: node responder.mjs FILE HANDLER [TRIGGER ...]");
    process.exit(2);
}
const {
    USERPOOL_KAFKA_BROKERS: brokers = "localhost:9092",
    USERPOOL_KAFKA_PREFIX: prefix = "",
    USERPOOL_KAFKA_SSL: ssl,
    USERPOOL_KAFKA_USERNAME: username,
    USERPOOL_KAFKA_PASSWORD: password,
    FUNCTION: only,
    GROUP: group = `${prefix}userpool-responder-${path.parse(file).name}`,
} = process.env;
const topics = (triggers.length ? triggers : [...ASKED, ...TOLD]).map((trigger) => `${prefix}userpool.triggers.${trigger}`);
// A file in the form of CommonJS has its exports in `default`.
const exported = await import(pathToFileURL(path.resolve(file)));
const handler = exported[name] ?? exported.default?.[name];

const kafka = new Kafka({
    clientId: "userpool-responder",
    brokers: brokers.split(","),
    ssl: ssl === "true",
    sasl: username ? { mechanism: "scram-sha-512", username, password } : undefined,
    logLevel: logLevel.WARN,
});
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 50 });
// Replies by correlation id, each with the attempt that it was sent for.
const replies = new Map();

// A handler returns a promise, or calls back.
function call(event, context) {
    return new Promise((resolve, reject) => {
        const returned = handler(event, context, (error, answer) => (error ? reject(error) : resolve(answer)));
        if (handler.length < 3 || typeof returned?.then === "function") resolve(returned);
    });
}

function contextOf(arn, awsRequestId, deadline) {
    return {
        invokedFunctionArn: arn,
        functionName: arn.split(":")[6] ?? arn,
        awsRequestId,
        getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    };
}

// Calls the handler for a question, once however often it is asked, and replies.
async function answer(value, headers) {
    const { "correlation-id": question, attempt, "reply-to": topic, "reply-partition": partition } = headers;
    const deadline = Number(headers.deadline);
    const known = replies.get(question);
    if (deadline <= Date.now() || known?.attempt === attempt) return;
    const reply = known?.reply ?? (await replyOf(value, contextOf(headers.function, question, deadline)));
    replies.set(question, { attempt, reply });
    if (replies.size > REMEMBERED) replies.delete(replies.keys().next().value);
    const message = { key: question, value: reply, partition: Number(partition), headers: { "correlation-id": question } };
    await producer.send({ topic, messages: [message], acks: 1 });
}

async function replyOf(value, context) {
    try {
        return JSON.stringify((await call(JSON.parse(value), context)) ?? null);
    } catch (error) {
        return JSON.stringify({ errorMessage: error?.message ?? String(error), errorType: error?.name ?? "Error" });
    }
}

// Calls the handler for what it is told. It may be told the same again.
async function hear(value, headers, requestId) {
    for (let telling = 1; telling <= TELLINGS; telling++) {
        try {
            await call(JSON.parse(value), contextOf(headers.function, requestId, Date.now() + 60_000));
            return;
        } catch (error) {
            console.error(`${requestId} failed, ${telling} of ${TELLINGS}: ${error?.name}`);
            await new Promise((resolve) => setTimeout(resolve, telling * 1000));
        }
    }
}

async function waitForTopics() {
    const admin = kafka.admin();
    await admin.connect();
    for (;;) {
        const known = await admin.listTopics();
        const missing = topics.filter((topic) => !known.includes(topic));
        if (!missing.length) break;
        console.error(`waiting for ${missing.join(", ")}`);
        await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await admin.disconnect();
}

await waitForTopics();
await producer.connect();
await consumer.connect();
await consumer.subscribe({ topics, fromBeginning: true });
for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, async () => {
        // A broker that is away must not hold the end up.
        setTimeout(() => process.exit(1), 10_000).unref();
        await consumer.disconnect();
        await producer.disconnect();
        process.exit(0);
    });
}
await consumer.run({
    // Partitions are served beside each other, and each in its order.
    partitionsConsumedConcurrently: 4,
    eachMessage: async ({ topic, partition, message }) => {
        const headers = Object.fromEntries(Object.entries(message.headers).map(([key, header]) => [key, header.toString()]));
        if (only && headers.function !== only) return;
        const value = message.value.toString();
        if (headers["reply-to"]) await answer(value, headers);
        else await hear(value, headers, `${topic}/${partition}/${message.offset}`);
    },
});
console.error(`serving ${topics.join(", ")}`);

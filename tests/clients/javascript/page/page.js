// The page's own script: calls to a server of another origin, as an application makes them. The
// scenario beside this directory says which, and checks what the page could read.

import { createFileRegistry, fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { JwtVerifier } from "aws-jwt-verify";

const TIMEOUT = 20_000;

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** A call at the AWS door. */
window.callAws = async (endpoint, operation, input, headers = {}) => {
    const response = await fetch(endpoint, {
        method: "POST",
        headers: {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": `AWSCognitoIdentityProviderService.${operation}`,
            ...headers,
        },
        body: JSON.stringify(input),
        signal: AbortSignal.timeout(TIMEOUT),
    });
    const text = await response.text();
    return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: text === "" ? null : JSON.parse(text),
    };
};

/** A document, by GET. */
window.getJson = async (url) => {
    const response = await fetch(url, {
        headers: { accept: "application/json" },
        signal: AbortSignal.timeout(TIMEOUT),
    });
    return { status: response.status, body: await response.json() };
};

/** A call over gRPC-Web, framed by hand; `message` and the answer are Protobuf in Base64. */
window.callGrpcWeb = async (endpoint, method, message, { text = false, headers = {} } = {}) => {
    const content = bytes(message);
    const frame = new Uint8Array(5 + content.length);
    new DataView(frame.buffer).setUint32(1, content.length);
    frame.set(content, 5);
    const type = text ? "application/grpc-web-text+proto" : "application/grpc-web+proto";
    const response = await fetch(`${endpoint}/userpool.v1.${method}`, {
        method: "POST",
        headers: { "content-type": type, accept: type, "x-grpc-web": "1", ...headers },
        body: text ? base64(frame) : frame,
        signal: AbortSignal.timeout(TIMEOUT),
    });
    const found = { status: response.status, headers: Object.fromEntries(response.headers), messages: [], trailers: {} };
    let answer;
    if (text) {
        // Each piece that the server encoded may end in padding of its own.
        const pieces = (await response.text()).match(/[^=]+=*/g) ?? [];
        answer = Uint8Array.from(pieces.flatMap((piece) => [...bytes(piece)]));
    } else {
        answer = new Uint8Array(await response.arrayBuffer());
    }
    for (let at = 0; at < answer.length; ) {
        const length = new DataView(answer.buffer).getUint32(at + 1);
        const part = answer.subarray(at + 5, at + 5 + length);
        if (part.length !== length) throw new Error("the answer ends within a frame");
        if (answer[at] === 0) {
            found.messages.push(base64(part));
        } else if (answer[at] === 0x80) {
            for (const line of new TextDecoder().decode(part).split("\r\n").filter(Boolean)) {
                const colon = line.indexOf(":");
                found.trailers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
            }
        } else {
            throw new Error(`a frame with the flags ${answer[at]}`);
        }
        at += 5 + length;
    }
    return found;
};

let registry;

/** A call by Connect's client for gRPC-Web, which knows only the server's own descriptors. */
window.callConnect = async (endpoint, service, method, input, { headers = {}, timeoutMs = TIMEOUT } = {}) => {
    registry ??= fetch("/descriptors")
        .then((response) => response.arrayBuffer())
        .then((set) => createFileRegistry(fromBinary(FileDescriptorSetSchema, new Uint8Array(set))));
    const descriptor = (await registry).getService(`userpool.v1.${service}`);
    const { input: inputType, output } = descriptor.method[method];
    const client = createClient(descriptor, createGrpcWebTransport({ baseUrl: endpoint }));
    try {
        const answer = await client[method](fromJson(inputType, input), { headers, timeoutMs });
        return { answer: toJson(output, answer) };
    } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        return {
            error: {
                code: error.code,
                message: error.rawMessage,
                details: error.details.map(({ type, value }) => ({ type, value: base64(value) })),
            },
        };
    }
};

/** The claims of a token, if it is of this issuer. */
window.verifyToken = async (issuer, token) => {
    const verifier = JwtVerifier.create({ issuer, jwksUri: `${issuer}/.well-known/jwks.json`, audience: null });
    return verifier.verify(token);
};

window.ready = true;

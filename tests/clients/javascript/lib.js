// Functions that the scenarios beside this file share.

"use strict";

const assert = require("node:assert/strict");

const HTTP_ADDR = process.env.USERPOOL_HTTP_ADDR;

/** Differs in every run, so that a server may see the scenarios more than once. */
exports.STAMP = `${Math.floor(Date.now() / 1000)}${process.pid}`;

exports.step = function step(text) {
    console.log(`  ${text}`);
};

/** The newest message with a code in the development mailbox, as soon as there is one with another code than this. */
exports.mailedMessage = async function mailedMessage(address, known) {
    const url = `http://${HTTP_ADDR}/dev/messages?${new URLSearchParams({ to: address })}`;
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
        const response = await fetch(url, {
            headers: { accept: "application/json" },
            signal: AbortSignal.timeout(10_000),
        });
        assert.equal(response.status, 200);
        const message = (await response.json()).find((message) => message.code);
        if (message && message.code !== known) return message;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.fail(`no message with a code for ${address} came within 20 seconds`);
};

/** The code of that message. */
exports.mailedCode = async (address, known) => (await exports.mailedMessage(address, known)).code;

/** A new pool that confirms addresses, with a client; and a function that calls developer operations. */
exports.createPool = async function createPool(name, client, pool = {}) {
    const idp = require("@aws-sdk/client-cognito-identity-provider");
    const developer = new idp.CognitoIdentityProviderClient({ maxAttempts: 1 });
    const admin = (operation, input) => developer.send(new idp[`${operation}Command`](input));
    const created = await admin("CreateUserPool", { PoolName: name, AutoVerifiedAttributes: ["email"], ...pool });
    const UserPoolId = created.UserPool.Id;
    const { UserPoolClient } = await admin("CreateUserPoolClient", { UserPoolId, ClientName: "app", ...client });
    return { admin, UserPoolId, ClientId: UserPoolClient.ClientId };
};

/** What an authenticator app with this secret shows, now or so many time steps later (RFC 6238). */
exports.totp = function totp(secret, later = 0) {
    const { createHmac } = require("node:crypto");
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("");
    const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
    const step = Buffer.alloc(8);
    step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
    const hash = createHmac("sha1", key).update(step).digest();
    const number = hash.readUInt32BE(hash[19] & 15) & 0x7fffffff;
    return String(number % 1_000_000).padStart(6, "0");
};

/** Chromium, as all scenarios start it. */
exports.launchChromium = () =>
    // Not every scenario needs it.
    require("playwright-core").chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        headless: true,
        // A first start on a busy machine takes long.
        timeout: 120_000,
        args: [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    });

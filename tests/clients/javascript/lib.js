// Functions that the scenarios beside this file share.

"use strict";

const assert = require("node:assert/strict");

const HTTP_ADDR = process.env.USERPOOL_HTTP_ADDR;

/** Differs in every run, so that a server may see the scenarios more than once. */
exports.STAMP = `${Math.floor(Date.now() / 1000)}${process.pid}`;

exports.step = function step(text) {
    console.log(`  ${text}`);
};

/** The newest message with a code in the development mailbox, as soon as there is one. */
exports.mailedMessage = async function mailedMessage(address) {
    const url = `http://${HTTP_ADDR}/dev/messages?${new URLSearchParams({ to: address })}`;
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
        const response = await fetch(url, {
            headers: { accept: "application/json" },
            signal: AbortSignal.timeout(10_000),
        });
        assert.equal(response.status, 200);
        const message = (await response.json()).find((message) => message.code);
        if (message) return message;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.fail(`no message with a code for ${address} came within 20 seconds`);
};

/** The code of that message. */
exports.mailedCode = async (address) => (await exports.mailedMessage(address)).code;

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

// The development console in a real browser: every page, wide and narrow, light and dark, with what a reader does there.
//
// The environment has the variables that `userpool dev` writes to its dev.env. With SCREENSHOTS, pictures of all pages
// are kept in that folder.

"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const idp = require("@aws-sdk/client-cognito-identity-provider");
const { STAMP, launchChromium, mailedCode, mailedMessage, step } = require("./lib.js");

const HTTP = `http://${process.env.USERPOOL_HTTP_ADDR}`;
const PASSWORD = `Correct-Horse-${STAMP}`;
const HOSTILE = '"><img/src=x/onerror=alert(1)>';
const WIDTHS = [1280, 360];
const SCHEMES = ["light", "dark"];

const client = new idp.CognitoIdentityProviderClient({ maxAttempts: 1 });

/** Pools with a little of everything, and with names of one long word. */
async function furnish() {
    const { UserPool: pool } = await client.send(
        new idp.CreateUserPoolCommand({
            PoolName: `console-${STAMP}`,
            AutoVerifiedAttributes: ["email"],
            VerificationMessageTemplate: {
                DefaultEmailOption: "CONFIRM_WITH_CODE",
                EmailSubject: "Welcome, {username}",
                EmailMessage:
                    '<div style="text-align:center"><h2 style="color:#7a2048">Welcome, {username}</h2>' +
                    "<p>Your code is <b>{####}</b>.</p><p><a href=\"https://example.com/\">Our site</a></p></div>",
            },
        }),
    );
    const { UserPoolClient: app } = await client.send(
        new idp.CreateUserPoolClientCommand({
            UserPoolId: pool.Id,
            ClientName: "front-end",
            ExplicitAuthFlows: ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        }),
    );
    const { UserPoolClient: secretive } = await client.send(
        new idp.CreateUserPoolClientCommand({ UserPoolId: pool.Id, ClientName: "back-end", GenerateSecret: true }),
    );
    await client.send(
        new idp.CreateGroupCommand({
            UserPoolId: pool.Id,
            GroupName: "readers",
            Precedence: 10,
            Description: "Whoever may read and nothing else",
        }),
    );
    const address = (name) => `${name}.${STAMP}@example.com`;
    for (const name of ["jane", "rosa", HOSTILE, "pneumonoultramicroscopicsilicovolcanoconiosis-".repeat(2)]) {
        const to = name === HOSTILE ? address("hostile") : address(name.slice(0, 40));
        await client.send(
            new idp.SignUpCommand({
                ClientId: app.ClientId,
                Username: name,
                Password: PASSWORD,
                UserAttributes: [{ Name: "email", Value: to }],
            }),
        );
        await mailedCode(to);
    }
    await client.send(
        new idp.AdminCreateUserCommand({
            UserPoolId: pool.Id,
            Username: "invited",
            DesiredDeliveryMediums: ["EMAIL"],
            UserAttributes: [{ Name: "email", Value: address("invited") }],
        }),
    );
    await mailedMessage(address("invited"));
    const jane = { UserPoolId: pool.Id, Username: "jane" };
    await client.send(new idp.AdminAddUserToGroupCommand({ ...jane, GroupName: "readers" }));
    const { UserAttributes } = await client.send(new idp.AdminGetUserCommand(jane));
    const sub = UserAttributes.find(({ Name }) => Name === "sub").Value;

    const { UserPool: other } = await client.send(
        new idp.CreateUserPoolCommand({
            PoolName: `console-links-${STAMP}`,
            AutoVerifiedAttributes: ["email", "phone_number"],
            VerificationMessageTemplate: { DefaultEmailOption: "CONFIRM_WITH_LINK" },
        }),
    );
    const { UserPoolClient: linked } = await client.send(
        new idp.CreateUserPoolClientCommand({ UserPoolId: other.Id, ClientName: "front-end" }),
    );
    const phone = `+49${STAMP}`.slice(0, 15);
    for (const [Username, Name, Value] of [
        ["linked", "email", address("linked")],
        ["texted", "phone_number", phone],
    ]) {
        const UserAttributes = [{ Name, Value }];
        await client.send(
            new idp.SignUpCommand({ ClientId: linked.ClientId, Username, Password: PASSWORD, UserAttributes }),
        );
        await mailedMessage(Value);
    }
    const { link } = await mailedMessage(address("linked"));
    return { pool: pool.Id, app: app.ClientId, secretive: secretive.ClientId, sub, address, link };
}

/** A page whose errors fail the scenario. */
async function watched(context) {
    const page = await context.newPage();
    const problems = [];
    page.on("pageerror", (error) => problems.push(`error: ${error}`));
    page.on("console", (line) => {
        if (line.type() === "error" || line.type() === "warning") problems.push(`console: ${line.text()}`);
    });
    page.on("dialog", (dialog) => {
        problems.push(`a dialog: ${dialog.message()}`);
        dialog.dismiss();
    });
    return { page, problems };
}

/** Checks that hold for every page. */
async function look(browser, places, pictures) {
    for (const colorScheme of SCHEMES) {
        for (const width of WIDTHS) {
            const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
            const { page, problems } = await watched(context);
            for (const [name, address, status = 200] of places) {
                const seen = `${name} at ${width}, ${colorScheme}`;
                const answer = await page.goto(address);
                assert.equal(answer.status(), status, seen);
                // The console reports statuses without success, which are expected here.
                if (status !== 200) problems.length = 0;
                for (const details of await page.locator("details").all()) {
                    await details.evaluate((element) => (element.open = true));
                }
                const [wide, room] = await page.evaluate(() => {
                    const { scrollWidth, clientWidth } = document.documentElement;
                    return [scrollWidth, clientWidth];
                });
                assert.ok(wide <= room, `${seen}: ${wide} pixels do not fit into ${room}`);
                const small = await page.evaluate(() => {
                    const shown = [...document.querySelectorAll("a, button, input, select, summary")];
                    return shown.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML);
                });
                assert.deepEqual(small, [], `${seen}: cut off`);
                assert.deepEqual(problems, [], seen);
                await page.screenshot({ path: path.join(pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
            }
            await context.close();
        }
    }
}

/** Presses Tab until what is focused has this text; the focus is seen everywhere on the way. */
async function tabTo(page, text) {
    for (let tries = 0; tries < 60; tries += 1) {
        await page.keyboard.press("Tab");
        const focused = await page.evaluate(() => {
            const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
            return { text: document.activeElement.textContent, outline: `${outlineStyle} ${outlineWidth}` };
        });
        if (focused.text.includes(text)) {
            assert.equal(focused.outline, "solid 3px", `${text} is focused and does not show it`);
            return;
        }
    }
    assert.fail(`nothing with ${text} is reached by the keyboard`);
}

async function act(browser, { pool, app, secretive, sub, address }) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: HTTP });
    const { page, problems } = await watched(context);
    const clipboard = () => page.evaluate(() => navigator.clipboard.readText());

    step("a code is copied, by a click and by the keyboard");
    await page.goto(`${HTTP}/dev/messages?to=${encodeURIComponent(address("jane"))}`);
    const code = await mailedCode(address("jane"));
    await page.getByRole("button", { name: `Copy ${code}` }).click();
    await page.getByRole("status").getByText(`Copied ${code}`).waitFor();
    assert.equal(await clipboard(), code);
    await page.goto(`${HTTP}/dev/messages?to=${encodeURIComponent(address("rosa"))}`);
    const other = await mailedCode(address("rosa"));
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    await tabTo(page, other);
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText(`Copied ${other}`).waitFor();
    assert.equal(await clipboard(), other);

    step("an e-mail is shown with its markup");
    const heading = page.frameLocator("iframe").getByRole("heading", { name: "Welcome, rosa" });
    await heading.waitFor();
    assert.equal(await heading.evaluate((element) => getComputedStyle(element).color), "rgb(122, 32, 72)");

    step("a message and an event arrive without reloading");
    const events = await watched(context);
    await events.page.goto(`${HTTP}/dev/events?pool=${pool}`);
    await page.bringToFront();
    await page.goto(`${HTTP}/dev/messages?pool=${pool}`);
    await page.locator("#live[data-state=on]").waitFor();
    await page.evaluate(() => (window.stays = true));
    const before = await page.locator("article").count();
    const late = address("late");
    await client.send(
        new idp.SignUpCommand({
            ClientId: app,
            Username: "late",
            Password: PASSWORD,
            UserAttributes: [{ Name: "email", Value: late }],
        }),
    );
    const first = page.locator("article").first();
    await first.getByText(late, { exact: true }).first().waitFor({ timeout: 20_000 });
    assert.equal(await page.locator("article").count(), before + 1);
    assert.ok(await page.evaluate(() => window.stays));
    await first.getByRole("button", { name: await mailedCode(late) }).click();
    assert.equal(await clipboard(), await mailedCode(late));
    await events.page.bringToFront();
    await events.page.locator("article").first().getByText("userpool.user.signed_up.v1", { exact: true }).first().waitFor();

    step("messages are found");
    await page.bringToFront();
    await page.getByLabel("Address").fill("INVITED.");
    await page.getByLabel("Pool").selectOption(pool);
    await page.getByLabel("Kind").selectOption("Invitation");
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByText(address("invited"), { exact: true }).first().waitFor();
    assert.equal(await page.locator("article").count(), 1);

    step("commands that are copied do what they say");
    const run = async (place, title, program) => {
        await page.goto(`${HTTP}/dev/pools/${pool}${place}`);
        await page.getByText(title, { exact: true }).click();
        await page.getByRole("button", { name: `Copy for ${program}: ${title}` }).click();
        await page.getByRole("status").getByText("Copied").waitFor();
        return execFileSync("bash", ["-c", await clipboard()], { encoding: "utf8", timeout: 60_000 });
    };
    for (const program of ["the AWS CLI", "grpcurl"]) {
        await run("", "Change it: all of its settings as they are", program);
        await run(`/clients/${app}`, "Change it: all of its settings as they are", program);
        const shown = JSON.parse(await run(`/clients/${secretive}`, "Show it with its secret", program));
        assert.ok(!(await page.content()).includes(shown.UserPoolClient.ClientSecret), "the secret is on the page");
        await run(`/users/${sub}`, "Change its attributes: all as they are", program);
        await run("/group?name=readers", "Change it: all of its settings as they are", program);
    }
    assert.deepEqual(problems, []);
    assert.deepEqual(events.problems, []);
    await context.close();

    step("what an e-mail brings does nothing");
    const hostile = await (await browser.newContext()).newPage();
    hostile.on("dialog", () => assert.fail("a script of an e-mail ran"));
    await client.send(
        new idp.UpdateUserPoolCommand({
            UserPoolId: pool,
            AutoVerifiedAttributes: ["email"],
            VerificationMessageTemplate: {
                EmailSubject: "Hostile",
                EmailMessage:
                    "<script>alert(1)</script><form action=/><button>Send</button></form>" +
                    "<img src=x onerror=\"parent.document.title='taken'\"><p>{####}</p>",
            },
        }),
    );
    const ClientId = app;
    await client.send(new idp.ResendConfirmationCodeCommand({ ClientId, Username: "rosa" }));
    await hostile.goto(`${HTTP}/dev/messages?to=${encodeURIComponent(address("rosa"))}`);
    await hostile.getByRole("heading", { name: "Hostile" }).waitFor({ timeout: 20_000 });
    const frame = hostile.frameLocator("iframe").first();
    await frame.getByRole("button", { name: "Send" }).click();
    assert.equal(await hostile.title(), "Messages · userpool dev");
    await hostile.context().close();
}

async function main() {
    const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "console-"));
    const pictures = process.env.SCREENSHOTS ?? temporary;
    let browser;
    try {
        const furnished = await furnish();
        const { pool, app, secretive, sub, link } = furnished;
        browser = await launchChromium();
        const of = (place) => `${HTTP}/dev/pools/${pool}${place}`;
        step("every page fits, wide and narrow, light and dark, and breaks no policy");
        const places = [
            ["messages", `${HTTP}/dev/messages`],
            ["messages-none", `${HTTP}/dev/messages?to=nobody`],
            ["pools", `${HTTP}/dev/pools`],
            ["pool", of("")],
            ["clients", of("/clients")],
            ["client", of(`/clients/${secretive}`)],
            ["users", of("/users")],
            ["users-none", of("/users?find=nobody")],
            ["user", of(`/users/${sub}`)],
            ["groups", of("/groups")],
            ["group", of("/group?name=readers")],
            ["events", `${HTTP}/dev/events?pool=${pool}`],
            ["facts", `${HTTP}/dev/events?log=activity&pool=${pool}`],
            ["missing", of("/clients/nothing"), 404],
            ["confirm", link],
            ["confirm-invalid", link.replace("client_id", "no_id"), 400],
        ];
        await look(browser, places, pictures);
        await act(browser, { ...furnished, app });
    } finally {
        await browser?.close();
        fs.rmSync(temporary, { recursive: true, force: true });
    }
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});

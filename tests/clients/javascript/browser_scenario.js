// A front end in a real browser: a page of one origin, Chromium, and a server of another origin,
// called at the AWS door (fetch) and over gRPC-Web (by hand, and with Connect's client).
//
// The environment has the variables that `userpool dev` writes to its dev.env.

"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const idp = require("@aws-sdk/client-cognito-identity-provider");
const { STAMP, launchChromium, mailedCode, mailedMessage, step } = require("./lib.js");

const ENDPOINT = process.env.AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER;
const GRPC_ADDR = process.env.USERPOOL_GRPC_ADDR;
const GRPC = `http://${GRPC_ADDR}`;
const HTTP = `http://${process.env.USERPOOL_HTTP_ADDR}`;
const TOKEN = process.env.USERPOOL_TOKEN;
const MODULES = path.join(process.env.NODE_PATH, path.sep);

// Not ASCII, so that the encoding at each door is tested.
const USERNAME = `ségolène-${STAMP}`;
const EMAIL = `segolene.${STAMP}@example.com`;
const PASSWORD = `Correct-Horse-${STAMP}`;

// --- Protobuf, as far as a few messages need it -------------------------------------------------

/** A message from pairs of field number and text or message. */
function message(...fields) {
    return Buffer.concat(
        fields.flatMap(([number, value]) => {
            const content = Buffer.from(value);
            return [varint((number << 3) | 2), varint(content.length), content];
        }),
    );
}

function varint(value) {
    const found = [];
    for (; value > 0x7f; value >>>= 7) found.push((value & 0x7f) | 0x80);
    return Buffer.from([...found, value]);
}

/** The fields of a message: pairs of number and value. */
function fieldsOf(content) {
    const found = [];
    let at = 0;
    const number = () => {
        let value = 0;
        for (let shift = 0; ; shift += 7) {
            const byte = content[at++];
            value += (byte & 0x7f) * 2 ** shift;
            if (byte < 0x80) return value;
        }
    };
    while (at < content.length) {
        const tag = number();
        if ((tag & 7) === 0) {
            found.push([tag >> 3, number()]);
        } else {
            assert.equal(tag & 7, 2, `a field of another wire type: ${tag}`);
            const length = number();
            found.push([tag >> 3, content.subarray(at, (at += length))]);
        }
    }
    return found;
}

const textOf = (content, number) => fieldsOf(content).find(([found]) => found === number)?.[1].toString();

/** The reason and the metadata of a google.rpc.ErrorInfo. */
function errorInfo(content) {
    const metadata = fieldsOf(content).filter(([number]) => number === 3);
    return {
        reason: textOf(content, 1),
        metadata: Object.fromEntries(metadata.map(([, entry]) => [textOf(entry, 1), textOf(entry, 2)])),
    };
}

/** The ErrorInfo in the google.rpc.Status of a grpc-status-details-bin. */
function errorInfoOfStatus(base64) {
    const details = fieldsOf(Buffer.from(base64, "base64")).filter(([number]) => number === 3);
    const info = details.map(([, any]) => any).find((any) => textOf(any, 1).endsWith("/google.rpc.ErrorInfo"));
    assert.ok(info, "no ErrorInfo in the details");
    return errorInfo(fieldsOf(info).find(([number]) => number === 2)[1]);
}

// --- The page -----------------------------------------------------------------------------------

/** The server's own descriptors, by reflection. */
function descriptors(directory) {
    const file = path.join(directory, "descriptors.binpb");
    // An empty name lists everything.
    execFileSync("grpcurl", ["-plaintext", "-protoset-out", file, GRPC_ADDR, "describe"], {
        stdio: ["ignore", "ignore", "inherit"],
        timeout: 30_000,
    });
    return fs.readFileSync(file);
}

/** Serves the page, the packages that it uses, and the descriptors, at an origin of its own. */
async function servePage(descriptorSet) {
    const own = {
        "/": ["page/index.html", "text/html; charset=utf-8"],
        "/page.js": ["page/page.js", "text/javascript"],
    };
    const server = http.createServer((request, response) => {
        const { pathname } = new URL(request.url, "http://page");
        const module = path.join(MODULES, pathname.replace(/^\/modules\//, ""));
        let content, type;
        if (own[pathname]) {
            type = own[pathname][1];
            content = fs.readFileSync(path.join(__dirname, own[pathname][0]));
        } else if (pathname === "/descriptors") {
            type = "application/octet-stream";
            content = descriptorSet;
        } else if (pathname.startsWith("/modules/") && module.startsWith(MODULES) && fs.existsSync(module)) {
            type = "text/javascript";
            content = fs.readFileSync(module);
        } else {
            response.writeHead(404).end();
            return;
        }
        response.writeHead(200, { "content-type": type }).end(content);
    });
    await new Promise((resolve, reject) => server.on("error", reject).listen(0, "127.0.0.1", resolve));
    return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

// --- The scenario -------------------------------------------------------------------------------

async function createPoolAndClient() {
    const client = new idp.CognitoIdentityProviderClient({ maxAttempts: 1 });
    const { UserPool } = await client.send(
        new idp.CreateUserPoolCommand({ PoolName: `browser-${STAMP}`, AutoVerifiedAttributes: ["email"] }),
    );
    const { UserPoolClient } = await client.send(
        new idp.CreateUserPoolClientCommand({
            UserPoolId: UserPool.Id,
            ClientName: "front-end",
            ExplicitAuthFlows: ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            PreventUserExistenceErrors: "ENABLED",
        }),
    );
    return { pool: UserPool.Id, app: UserPoolClient.ClientId };
}

async function live(page, pool, app, preflights) {
    const call = (name, ...args) => page.evaluate(([name, args]) => window[name](...args), [name, args]);
    const aws = async (operation, input, headers) => {
        const found = await call("callAws", `${ENDPOINT}/`, operation, input, headers);
        assert.ok(found.headers["x-amzn-requestid"], `${operation}: the page can't read x-amzn-requestid`);
        return found;
    };
    const awsAnswers = async (operation, input, headers) => {
        const found = await aws(operation, input, headers);
        assert.equal(found.status, 200, `${operation} was refused with ${JSON.stringify(found)}`);
        return found.body;
    };
    const awsRefuses = async (exception, operation, input, headers, status = 400) => {
        const found = await aws(operation, input, headers);
        assert.equal(found.status, status);
        assert.equal(found.headers["x-amzn-errortype"], exception);
        assert.equal(found.body.__type.split("#").pop(), exception);
        assert.equal(found.headers["content-type"], "application/x-amz-json-1.1");
        return found;
    };
    const grpc = async (method, content, options) => {
        const found = await call("callGrpcWeb", GRPC, method, content.toString("base64"), options);
        assert.equal(found.status, 200);
        const type = options?.text ? "application/grpc-web-text" : "application/grpc-web";
        assert.ok(found.headers["content-type"].startsWith(type), `not ${type}: ${found.headers["content-type"]}`);
        return found;
    };
    const grpcAnswers = async (method, content, options) => {
        const found = await grpc(method, content, options);
        assert.equal(found.trailers["grpc-status"], "0", `${method} was refused with ${JSON.stringify(found)}`);
        assert.equal(found.messages.length, 1);
        return Buffer.from(found.messages[0], "base64");
    };
    const grpcRefuses = async (exception, status, method, content, options) => {
        const found = await grpc(method, content, options);
        // An answer without a message may have its trailers as headers, which CORS must expose.
        const trailers = { ...found.headers, ...found.trailers };
        assert.equal(trailers["grpc-status"], String(status), JSON.stringify(found));
        assert.ok(trailers["grpc-message"], "the page can't read grpc-message");
        assert.ok(trailers["grpc-status-details-bin"], "the page can't read grpc-status-details-bin");
        assert.equal(errorInfoOfStatus(trailers["grpc-status-details-bin"]).metadata.exception, exception);
        return { message: decodeURIComponent(trailers["grpc-message"]), found };
    };
    const connect = (service, method, input, options) => call("callConnect", GRPC, service, method, input, options);

    step("the AWS door: SignUp and its errors");
    const signUp = {
        ClientId: app,
        Username: USERNAME,
        Password: PASSWORD,
        UserAttributes: [{ Name: "email", Value: EMAIL }],
    };
    // Headers that SDKs add: the preflight must allow them.
    const headersOfSdks = { "amz-sdk-invocation-id": STAMP, "amz-sdk-request": "attempt=1", "x-amz-user-agent": "a/1" };
    const { UserSub: sub } = await awsAnswers("SignUp", signUp, headersOfSdks);
    assert.match(sub, /^[0-9a-f-]{36}$/);
    const taken = await awsRefuses("UsernameExistsException", "SignUp", signUp);
    assert.equal(taken.body.message, "User already exists");
    assert.equal(taken.headers["x-amzn-errormessage"], "User already exists");
    assert.ok(Date.parse(taken.headers.date), "no page can mend its clock");
    await awsRefuses("UnknownOperationException", "MakeCoffee", {});
    await awsRefuses("MissingAuthenticationTokenException", "DescribeUserPool", { UserPoolId: pool }, {}, 403);

    step("gRPC-Web by hand: ConfirmSignUp and its errors");
    const code = await mailedCode(EMAIL);
    const wrong = code === "000000" ? "111111" : "000000";
    const confirm = (code) => message([1, app], [3, USERNAME], [4, code]);
    const confirmMethod = "SignUpService/ConfirmSignUp";
    const mismatch = await grpcRefuses("CodeMismatchException", 9, confirmMethod, confirm(wrong));
    assert.equal(mismatch.message, "Invalid verification code provided, please try again.");
    await grpcAnswers(confirmMethod, confirm(code));

    step("the AWS door: InitiateAuth, GetUser");
    const signIn = (password) => ({
        ClientId: app,
        AuthFlow: "USER_PASSWORD_AUTH",
        AuthParameters: { USERNAME, PASSWORD: password },
    });
    await awsRefuses("NotAuthorizedException", "InitiateAuth", signIn(`Wrong-${PASSWORD}`));
    const { AuthenticationResult: tokens } = await awsAnswers("InitiateAuth", signIn(PASSWORD));
    const user = await awsAnswers("GetUser", { AccessToken: tokens.AccessToken });
    assert.equal(user.Username, USERNAME);
    assert.equal(user.UserAttributes.find((it) => it.Name === "email").Value, EMAIL);
    const forged = { AccessToken: `${tokens.AccessToken.replace(/[^.]*$/, "")}AAAA` };
    await awsRefuses("NotAuthorizedException", "GetUser", forged);

    step("the keys and the discovery document, and aws-jwt-verify in the page");
    const issuer = `${HTTP}/${pool}`;
    const discovery = await call("getJson", `${issuer}/.well-known/openid-configuration`);
    assert.equal(discovery.status, 200);
    assert.equal(discovery.body.issuer, issuer);
    for (const token of [tokens.AccessToken, tokens.IdToken]) {
        assert.equal((await call("verifyToken", issuer, token)).sub, sub);
    }

    step("gRPC-Web by hand: GetUser, binary and as text");
    for (const text of [false, true]) {
        const found = await grpcAnswers("UserService/GetUser", message([1, tokens.AccessToken]), { text });
        assert.equal(textOf(found, 1), USERNAME);
        const attributes = fieldsOf(found).filter(([number]) => number === 2);
        const email = attributes.map(([, it]) => it).find((it) => textOf(it, 1) === "email");
        assert.equal(textOf(email, 2), EMAIL);
        const request = message([1, forged.AccessToken]);
        await grpcRefuses("NotAuthorizedException", 16, "UserService/GetUser", request, { text });
    }

    step("gRPC-Web by hand: refusals before an operation is reached");
    await grpcRefuses("InvalidParameterException", 3, "UserService/GetUser", message());
    for (const method of ["UserService/MakeCoffee", "CoffeeService/MakeCoffee"]) {
        await grpcRefuses("UnknownOperationException", 12, method, message());
    }
    const describe = message([1, pool]);
    await grpcRefuses("MissingAuthenticationTokenException", 16, "UserPoolService/DescribeUserPool", describe);
    const headers = { authorization: `Bearer ${TOKEN}` };
    await grpcAnswers("UserPoolService/DescribeUserPool", describe, { headers });

    step("gRPC-Web with Connect's client");
    const { answer: signedIn } = await connect("AuthService", "initiateAuth", signIn(PASSWORD));
    const access = signedIn.AuthenticationResult.AccessToken;
    const { answer: same } = await connect("UserService", "getUser", { AccessToken: access });
    assert.equal(same.Username, USERNAME);
    assert.equal(same.UserAttributes.find((it) => it.Name === "sub").Value, sub);
    const { answer: described } = await connect("UserPoolService", "describeUserPool", { UserPoolId: pool }, { headers });
    assert.equal(described.UserPool.Name, `browser-${STAMP}`);
    const refusals = [
        ["SignUpService", "signUp", signUp, 6, "UsernameExistsException", "User already exists"],
        ["AuthService", "initiateAuth", signIn("Wrong"), 16, "NotAuthorizedException", "Incorrect username or password."],
    ];
    for (const [service, method, input, code, exception, text] of refusals) {
        const { error } = await connect(service, method, input);
        assert.equal(error?.code, code, `${method}: ${JSON.stringify(error)}`);
        assert.equal(error.message, text);
        const info = error.details.find(({ type }) => type === "google.rpc.ErrorInfo");
        assert.equal(errorInfo(Buffer.from(info.value, "base64")).metadata.exception, exception);
    }

    step("signing out at one door counts at the other");
    await connect("AuthService", "globalSignOut", { AccessToken: access });
    await awsRefuses("NotAuthorizedException", "GetUser", { AccessToken: access });
    const { AuthenticationResult: last } = await awsAnswers("InitiateAuth", signIn(PASSWORD));
    const { answer: deleted } = await connect("UserService", "deleteUser", { AccessToken: last.AccessToken });
    assert.ok(deleted, "DeleteUser was refused");
    await awsRefuses("NotAuthorizedException", "InitiateAuth", signIn(PASSWORD));

    step("the browser asked before it sent, at both doors");
    for (const origin of [ENDPOINT, GRPC]) {
        assert.ok(preflights.some((url) => url.startsWith(origin)), `no preflight to ${origin}: ${preflights}`);
    }
}

/** A sign-up that is confirmed by the link of its e-mail, in a page of its own. */
async function followLink(browser) {
    step("the link of an e-mail, opened and confirmed");
    const client = new idp.CognitoIdentityProviderClient({ maxAttempts: 1 });
    const { UserPool } = await client.send(
        new idp.CreateUserPoolCommand({
            PoolName: `link-${STAMP}`,
            AutoVerifiedAttributes: ["email"],
            VerificationMessageTemplate: { DefaultEmailOption: "CONFIRM_WITH_LINK" },
        }),
    );
    const { UserPoolClient } = await client.send(
        new idp.CreateUserPoolClientCommand({ UserPoolId: UserPool.Id, ClientName: "front-end", GenerateSecret: false }),
    );
    const email = `link.${EMAIL}`;
    const app = { ClientId: UserPoolClient.ClientId, Username: USERNAME };
    const attributes = [{ Name: "email", Value: email }];
    await client.send(new idp.SignUpCommand({ ...app, Password: PASSWORD, UserAttributes: attributes }));
    const { link, body } = await mailedMessage(email);
    const status = async () => {
        const command = new idp.AdminGetUserCommand({ UserPoolId: UserPool.Id, Username: USERNAME });
        return (await client.send(command)).UserStatus;
    };
    const page = await browser.newPage();
    const problems = [];
    page.on("console", (line) => problems.push(line.text()));
    // Shows the e-mail like a mail program, so that the link itself is clicked.
    await page.setContent(body);
    await Promise.all([page.waitForURL(link), page.click("a")]);
    assert.equal(await page.title(), "Confirm your e-mail address");
    assert.equal(await status(), "UNCONFIRMED");
    // The style applies, so the policy allows it.
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("button")).cursor), "pointer");
    const confirm = async (heading) => {
        await page.getByRole("button", { name: "Confirm" }).click();
        await page.getByRole("heading", { name: heading }).waitFor({ timeout: 20_000 });
    };
    await confirm("Your registration is confirmed");
    assert.equal(await status(), "CONFIRMED");
    await page.goto(link);
    assert.deepEqual(problems, []);
    await confirm("There is nothing to confirm");
    await page.close();
}

async function main() {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"));
    let browser, pageServer;
    try {
        const { pool, app } = await createPoolAndClient();
        pageServer = await servePage(descriptors(directory));
        step("Chromium opens a page of another origin");
        browser = await launchChromium();
        const page = await browser.newPage();
        const problems = [];
        page.on("pageerror", (error) => problems.push(`error: ${error}`));
        page.on("console", (line) => {
            // The console also reports statuses without success, which the scenario checks itself.
            if (line.type() === "error" && !line.text().startsWith("Failed to load resource")) {
                problems.push(`console: ${line.text()}`);
            }
        });
        const preflights = [];
        const session = await page.context().newCDPSession(page);
        session.on("Network.requestWillBeSent", ({ initiator, request }) => {
            if (initiator.type === "preflight") preflights.push(request.url);
        });
        await session.send("Network.enable");
        try {
            await page.goto(pageServer.origin, { timeout: 60_000 });
            await page.waitForFunction(() => window.ready, null, { timeout: 60_000 });
            await live(page, pool, app, preflights);
            await followLink(browser);
        } catch (error) {
            console.error(problems.join("\n"));
            throw error;
        }
        assert.deepEqual(problems, []);
    } finally {
        await browser?.close();
        pageServer?.server.closeAllConnections();
        pageServer?.server.close();
        fs.rmSync(directory, { recursive: true, force: true });
    }
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});

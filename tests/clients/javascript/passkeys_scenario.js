// Passkeys in a real browser: Chromium with a virtual authenticator makes them and signs with them, on a page of the
// relying party `localhost`, and the AWS SDK calls the server.
//
// The environment has the variables that `userpool dev` writes to its dev.env.

"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const idp = require("@aws-sdk/client-cognito-identity-provider");
const { STAMP, createPool, launchChromium, mailedCode, step } = require("./lib.js");

const USERNAME = `ottilie-${STAMP}`;
const EMAIL = `ottilie.${STAMP}@example.com`;
const PASSWORD = `Correct-Horse-${STAMP}`;

/** An empty page on this machine. Browsers trust `localhost` without TLS. */
async function servePage() {
    const server = http.createServer((_, response) => {
        response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<!doctype html><title>Passkeys</title>");
    });
    await new Promise((resolve, reject) => server.on("error", reject).listen(0, "127.0.0.1", resolve));
    return { server, origin: `http://localhost:${server.address().port}` };
}

/** An authenticator that asks nobody: it is always there, and knows its user. Returns its id. */
async function addAuthenticator(session) {
    const options = {
        protocol: "ctap2",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
    };
    return (await session.send("WebAuthn.addVirtualAuthenticator", { options })).authenticatorId;
}

/** What a page does with the answer of StartWebAuthnRegistration, and gives to CompleteWebAuthnRegistration. */
const create = (page, options) =>
    page.evaluate(async (options) => {
        const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
        return (await navigator.credentials.create({ publicKey })).toJSON();
    }, options);

/** What a page does with the challenge WEB_AUTHN, and answers it with. */
const get = (page, options) =>
    page.evaluate(async (options) => {
        const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
        return (await navigator.credentials.get({ publicKey })).toJSON();
    }, options);

async function live(page, session) {
    const { admin, UserPoolId, ClientId } = await createPool(
        "ottilie",
        { ExplicitAuthFlows: ["ALLOW_USER_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] },
        { Policies: { SignInPolicy: { AllowedFirstAuthFactors: ["PASSWORD", "WEB_AUTHN"] } } },
    );
    await admin("SetUserPoolMfaConfig", {
        UserPoolId,
        MfaConfiguration: "OFF",
        WebAuthnConfiguration: { RelyingPartyId: "localhost", UserVerification: "required" },
    });
    // An app has no key pair.
    const app = new idp.CognitoIdentityProviderClient({
        maxAttempts: 1,
        credentials: { accessKeyId: "none", secretAccessKey: "none" },
    });
    const call = (operation, input) => app.send(new idp[`${operation}Command`](input));

    const UserAttributes = [{ Name: "email", Value: EMAIL }];
    const { Session: signedUp } = await call("SignUp", { ClientId, Username: USERNAME, Password: PASSWORD, UserAttributes });
    const ConfirmationCode = await mailedCode(EMAIL);
    const { Session: confirmed } = await call("ConfirmSignUp", { ClientId, Username: USERNAME, ConfirmationCode, Session: signedUp });
    const begin = (more, Session) =>
        call("InitiateAuth", { ClientId, AuthFlow: "USER_AUTH", AuthParameters: { USERNAME, ...more }, Session });
    const first = await begin({}, confirmed);
    const { AccessToken } = first.AuthenticationResult;
    step("signed up, and in by the session of the confirmation");

    await session.send("WebAuthn.enable", { enableUI: false });
    const authenticatorId = await addAuthenticator(session);
    const { CredentialCreationOptions } = await call("StartWebAuthnRegistration", { AccessToken });
    assert.equal(CredentialCreationOptions.rp.id, "localhost");
    const Credential = await create(page, CredentialCreationOptions);
    await call("CompleteWebAuthnRegistration", { AccessToken, Credential });
    const { Credentials } = await call("ListWebAuthnCredentials", { AccessToken });
    assert.deepEqual(
        Credentials.map((it) => [it.CredentialId, it.RelyingPartyId]),
        [[Credential.id, "localhost"]],
    );
    step("registered a passkey, which is listed");

    // Its authenticator makes no second one for the same user.
    const again = await call("StartWebAuthnRegistration", { AccessToken });
    await assert.rejects(create(page, again.CredentialCreationOptions), /InvalidStateError/);
    const choice = await begin({});
    assert.ok(choice.AvailableChallenges.includes("WEB_AUTHN"), choice.AvailableChallenges);
    step("a second passkey of the same authenticator is refused by the browser");

    const challenge = await begin({ PREFERRED_CHALLENGE: "WEB_AUTHN" });
    assert.equal(challenge.ChallengeName, "WEB_AUTHN");
    const options = JSON.parse(challenge.ChallengeParameters.CREDENTIAL_REQUEST_OPTIONS);
    const signed = await get(page, options);
    assert.equal(signed.id, Credential.id);
    const answer = {
        ClientId,
        ChallengeName: "WEB_AUTHN",
        Session: challenge.Session,
        ChallengeResponses: { USERNAME, CREDENTIAL: JSON.stringify(signed) },
    };
    const { AuthenticationResult } = await call("RespondToAuthChallenge", answer);
    const user = await call("GetUser", { AccessToken: AuthenticationResult.AccessToken });
    assert.equal(user.Username, USERNAME);
    await assert.rejects(call("RespondToAuthChallenge", answer), { name: "NotAuthorizedException" });
    step("signed in by the passkey, once");

    // The authenticator signs for another challenge than the one that is answered.
    const other = await begin({ PREFERRED_CHALLENGE: "WEB_AUTHN" });
    const late = { ...answer, Session: other.Session };
    await assert.rejects(call("RespondToAuthChallenge", late), { name: "NotAuthorizedException" });
    step("a signature for another challenge signs nobody in");

    const CredentialId = Credential.id;
    await call("DeleteWebAuthnCredential", { AccessToken, CredentialId });
    assert.deepEqual((await call("ListWebAuthnCredentials", { AccessToken })).Credentials, []);
    await assert.rejects(call("DeleteWebAuthnCredential", { AccessToken, CredentialId }), { name: "ResourceNotFoundException" });
    await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
    step("deleted the passkey");
}

async function main() {
    let browser, served;
    try {
        served = await servePage();
        browser = await launchChromium();
        const page = await browser.newPage();
        const session = await page.context().newCDPSession(page);
        await page.goto(served.origin, { timeout: 60_000 });
        await live(page, session);
    } finally {
        await browser?.close();
        served?.server.closeAllConnections();
        served?.server.close();
    }
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});

// A user's life with amazon-cognito-identity-js, the library of many older apps, where only the endpoint is given: it
// signs in by SRP and keeps its session.
//
// The environment has the variables that `userpool dev` writes to its dev.env.

"use strict";

const assert = require("node:assert/strict");
const identity = require("amazon-cognito-identity-js");
const { STAMP, createPool, mailedCode, step, totp } = require("./lib.js");

const USERNAME = `josephine-${STAMP}`;
const EMAIL = `josephine.${STAMP}@example.com`;
const PASSWORD = `Correct-Horse-${STAMP}`;
const BETTER = `Better-Horse-${STAMP}`;

/** The result of a function whose last parameter is a callback of Node's kind. */
function called(target, method, ...values) {
    return new Promise((resolve, reject) => {
        target[method](...values, (error, result) => (error ? reject(error) : resolve(result)));
    });
}

/** The result of a function whose last parameter is an object of callbacks. */
function answered(target, method, ...values) {
    return new Promise((resolve, reject) => {
        target[method](...values, {
            onSuccess: (result) => resolve({ result }),
            onFailure: reject,
            newPasswordRequired: (attributes) => resolve({ attributes }),
            inputVerificationCode: () => resolve({ isCodeSent: true }),
            totpRequired: () => resolve({ isAppAsked: true }),
            associateSecretCode: (secret) => resolve({ secret }),
        });
    });
}

/** The answer to the question for an app's code, whose callbacks are not the last parameter. */
function sentCode(user, code) {
    return new Promise((resolve, reject) => {
        const callbacks = { onSuccess: (result) => resolve({ result }), onFailure: reject };
        user.sendMFACode(code, callbacks, "SOFTWARE_TOKEN_MFA");
    });
}

async function refused(name, promise) {
    await assert.rejects(promise, (error) => {
        assert.equal(error.name, name, error.message);
        return true;
    });
}

async function main() {
    const { admin, UserPoolId, ClientId } = await createPool("josephine", {
        ExplicitAuthFlows: ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    });
    const endpoint = `http://${process.env.USERPOOL_HTTP_ADDR}/`;
    const pool = new identity.CognitoUserPool({ UserPoolId, ClientId, endpoint });
    const user = (Username) => new identity.CognitoUser({ Username, Pool: pool });
    const by = (Username, Password) => new identity.AuthenticationDetails({ Username, Password });

    const email = new identity.CognitoUserAttribute({ Name: "email", Value: EMAIL });
    await called(pool, "signUp", USERNAME, PASSWORD, [email], null);
    const josephine = user(USERNAME);
    await refused("UserNotConfirmedException", answered(josephine, "authenticateUser", by(USERNAME, PASSWORD)));
    const code = await mailedCode(EMAIL);
    await called(josephine, "confirmRegistration", code, true);
    step("signed up");

    await refused("NotAuthorizedException", answered(josephine, "authenticateUser", by(USERNAME, "Wrong-Horse-7")));
    const { result: session } = await answered(josephine, "authenticateUser", by(USERNAME, PASSWORD));
    assert.ok(session.isValid());
    assert.equal(session.getIdToken().payload.email, EMAIL);
    assert.equal(session.getAccessToken().payload.username, USERNAME);
    step("signed in by SRP");

    const refreshed = await called(josephine, "refreshSession", session.getRefreshToken());
    assert.notEqual(refreshed.getAccessToken().getJwtToken(), session.getAccessToken().getJwtToken());
    const attributes = await called(josephine, "getUserAttributes");
    assert.ok(attributes.some((attribute) => attribute.getName() === "email" && attribute.getValue() === EMAIL));
    assert.equal(await called(josephine, "changePassword", PASSWORD, BETTER), "SUCCESS");
    step("refreshed, and changed the password");

    await answered(josephine, "forgotPassword");
    await answered(josephine, "confirmPassword", await mailedCode(EMAIL, code), PASSWORD);
    const again = await answered(user(USERNAME), "authenticateUser", by(USERNAME, PASSWORD));
    assert.ok(again.result.isValid());
    step("replaced a forgotten password");

    await admin("SetUserPoolMfaConfig", {
        UserPoolId,
        MfaConfiguration: "OPTIONAL",
        SoftwareTokenMfaConfiguration: { Enabled: true },
    });
    const owner = user(USERNAME);
    await answered(owner, "authenticateUser", by(USERNAME, PASSWORD));
    const { secret } = await answered(owner, "associateSoftwareToken");
    await answered(owner, "verifySoftwareToken", totp(secret), "pocket");
    const preferred = { Enabled: true, PreferredMfa: true };
    assert.equal(await called(owner, "setUserMfaPreference", null, preferred), "SUCCESS");
    const { isAppAsked } = await answered(owner, "authenticateUser", by(USERNAME, PASSWORD));
    assert.ok(isAppAsked);
    const { result: withApp } = await sentCode(owner, totp(secret, 1));
    assert.ok(withApp.isValid());
    step("set up an authenticator app, and signed in with it");

    const name = `newcomer-${STAMP}`;
    await admin("AdminCreateUser", { UserPoolId, Username: name, TemporaryPassword: PASSWORD, MessageAction: "SUPPRESS" });
    const newcomer = user(name);
    const { attributes: given } = await answered(newcomer, "authenticateUser", by(name, PASSWORD));
    assert.ok(given, "a temporary password asks for another one");
    await answered(newcomer, "completeNewPasswordChallenge", BETTER, {});
    const own = await answered(user(name), "authenticateUser", by(name, BETTER));
    assert.equal(own.result.getAccessToken().payload.username, name);
    step("replaced a temporary password after SRP");
}

/** The library remembers the device by itself, and proves it at the next sign-in in place of the app's code. */
async function remembersItsDevice() {
    const tracking = { ChallengeRequiredOnNewDevice: true, DeviceOnlyRememberedOnUserPrompt: false };
    const { admin, UserPoolId, ClientId } = await createPool(
        "tracking",
        { ExplicitAuthFlows: ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] },
        { DeviceConfiguration: tracking },
    );
    await admin("SetUserPoolMfaConfig", {
        UserPoolId,
        MfaConfiguration: "OPTIONAL",
        SoftwareTokenMfaConfiguration: { Enabled: true },
    });
    const Username = `antoinette-${STAMP}`;
    await admin("AdminCreateUser", { UserPoolId, Username, MessageAction: "SUPPRESS" });
    await admin("AdminSetUserPassword", { UserPoolId, Username, Password: PASSWORD, Permanent: true });
    const endpoint = `http://${process.env.USERPOOL_HTTP_ADDR}/`;
    const Pool = new identity.CognitoUserPool({ UserPoolId, ClientId, endpoint });
    const details = new identity.AuthenticationDetails({ Username, Password: PASSWORD });
    const antoinette = new identity.CognitoUser({ Username, Pool });

    await answered(antoinette, "authenticateUser", details);
    const { secret } = await answered(antoinette, "associateSoftwareToken");
    await answered(antoinette, "verifySoftwareToken", totp(secret), "pocket");
    await called(antoinette, "setUserMfaPreference", null, { Enabled: true, PreferredMfa: true });
    const { result: again } = await answered(antoinette, "authenticateUser", details);
    assert.ok(again.isValid(), "the device stands for the app");
    assert.match(again.getAccessToken().payload.device_key, /^[\w-]+_[0-9a-f-]{36}$/);
    await called(antoinette, "refreshSession", again.getRefreshToken());
    const { result: devices } = await answered(antoinette, "listDevices", 10, null);
    assert.equal(devices.Devices.length, 1);
    step("remembered its device, and signed in with it in place of a code");

    await answered(antoinette, "forgetDevice");
    await assert.rejects(called(antoinette, "refreshSession", again.getRefreshToken()), { name: "NotAuthorizedException" });
    const stranger = new identity.CognitoUser({ Username, Pool });
    stranger.clearCachedDeviceKeyAndPassword();
    const { isAppAsked } = await answered(stranger, "authenticateUser", details);
    assert.ok(isAppAsked, "without its device the user is asked for a code");
    step("forgot the device, which ended its session");
}

main().then(remembersItsDevice).catch((error) => {
    console.error(error);
    process.exit(1);
});

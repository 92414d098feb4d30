// A user's life with AWS Amplify, where only the endpoint of the user pool is given: it signs in by SRP by default.
//
// The environment has the variables that `userpool dev` writes to its dev.env.

"use strict";

const assert = require("node:assert/strict");
const { Amplify } = require("aws-amplify");
const auth = require("aws-amplify/auth");
const { STAMP, createPool, mailedCode, step, totp } = require("./lib.js");

const USERNAME = `henriette-${STAMP}`;
const EMAIL = `henriette.${STAMP}@example.com`;
const PASSWORD = `Correct-Horse-${STAMP}`;
const BETTER = `Better-Horse-${STAMP}`;

/** Who confirms the sign-up is signed in at once, and later by a code. */
async function signUpWithoutPassword() {
    const { UserPoolId, ClientId } = await createPool(
        "passwordless",
        { ExplicitAuthFlows: ["ALLOW_USER_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] },
        { Policies: { SignInPolicy: { AllowedFirstAuthFactors: ["PASSWORD", "EMAIL_OTP"] } } },
    );
    const userPoolEndpoint = `http://${process.env.USERPOOL_HTTP_ADDR}/`;
    Amplify.configure({ Auth: { Cognito: { userPoolId: UserPoolId, userPoolClientId: ClientId, userPoolEndpoint } } });
    const [username, email] = [`free-${STAMP}`, `free.${STAMP}@example.com`];
    const options = { userAttributes: { email }, autoSignIn: { authFlowType: "USER_AUTH" } };
    const signedUp = await auth.signUp({ username, options });
    assert.equal(signedUp.nextStep.signUpStep, "CONFIRM_SIGN_UP");
    const code = await mailedCode(email);
    const confirmed = await auth.confirmSignUp({ username, confirmationCode: code });
    assert.equal(confirmed.nextStep.signUpStep, "COMPLETE_AUTO_SIGN_IN");
    assert.ok((await auth.autoSignIn()).isSignedIn);
    assert.equal((await auth.fetchAuthSession()).tokens.idToken.payload.email, email);
    await auth.signOut();
    step("signed up without a password, and was signed in by the confirmation");

    const byCode = { authFlowType: "USER_AUTH", preferredChallenge: "EMAIL_OTP" };
    const { nextStep } = await auth.signIn({ username, options: byCode });
    assert.equal(nextStep.signInStep, "CONFIRM_SIGN_IN_WITH_EMAIL_CODE");
    assert.ok((await auth.confirmSignIn({ challengeResponse: await mailedCode(email, code) })).isSignedIn);
    await auth.deleteUser();
    step("signed in by a code");
}

async function main() {
    const { admin, UserPoolId, ClientId } = await createPool("henriette", {
        ExplicitAuthFlows: ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    });
    const Cognito = {
        userPoolId: UserPoolId,
        userPoolClientId: ClientId,
        userPoolEndpoint: `http://${process.env.USERPOOL_HTTP_ADDR}/`,
    };
    Amplify.configure({ Auth: { Cognito } });

    const options = { userAttributes: { email: EMAIL } };
    const { nextStep } = await auth.signUp({ username: USERNAME, password: PASSWORD, options });
    assert.equal(nextStep.signUpStep, "CONFIRM_SIGN_UP");
    const code = await mailedCode(EMAIL);
    await auth.confirmSignUp({ username: USERNAME, confirmationCode: code });
    step("signed up");

    await assert.rejects(auth.signIn({ username: USERNAME, password: "Wrong-Horse-7" }), { name: "NotAuthorizedException" });
    const { isSignedIn } = await auth.signIn({ username: USERNAME, password: PASSWORD });
    assert.ok(isSignedIn);
    const { tokens, userSub } = await auth.fetchAuthSession();
    assert.equal(tokens.idToken.payload.email, EMAIL);
    assert.equal(userSub, tokens.accessToken.payload.sub);
    assert.equal((await auth.getCurrentUser()).username, USERNAME);
    step("signed in by SRP");

    const refreshed = (await auth.fetchAuthSession({ forceRefresh: true })).tokens;
    assert.notEqual(refreshed.accessToken.toString(), tokens.accessToken.toString());
    assert.equal((await auth.fetchUserAttributes()).email, EMAIL);
    await auth.updatePassword({ oldPassword: PASSWORD, newPassword: BETTER });
    await auth.signOut();
    step("refreshed, changed the password and signed out");

    await auth.resetPassword({ username: USERNAME });
    const confirmationCode = await mailedCode(EMAIL, code);
    await auth.confirmResetPassword({ username: USERNAME, confirmationCode, newPassword: PASSWORD });
    assert.ok((await auth.signIn({ username: USERNAME, password: PASSWORD })).isSignedIn);
    await auth.signOut({ global: true });
    step("replaced a forgotten password, and signed out everywhere");

    await admin("SetUserPoolMfaConfig", {
        UserPoolId,
        MfaConfiguration: "OPTIONAL",
        SoftwareTokenMfaConfiguration: { Enabled: true },
    });
    await auth.signIn({ username: USERNAME, password: PASSWORD });
    const { sharedSecret } = await auth.setUpTOTP();
    await auth.verifyTOTPSetup({ code: totp(sharedSecret) });
    await auth.updateMFAPreference({ totp: "PREFERRED" });
    assert.deepEqual(await auth.fetchMFAPreference(), { enabled: ["TOTP"], preferred: "TOTP" });
    await auth.signOut();
    const half = await auth.signIn({ username: USERNAME, password: PASSWORD });
    assert.equal(half.nextStep.signInStep, "CONFIRM_SIGN_IN_WITH_TOTP_CODE");
    // A code is good once: the app's next one comes early.
    assert.ok((await auth.confirmSignIn({ challengeResponse: totp(sharedSecret, 1) })).isSignedIn);
    await auth.signOut();
    step("set up an authenticator app, and signed in with it");

    const username = `newcomer-${STAMP}`;
    await admin("AdminCreateUser", {
        UserPoolId,
        Username: username,
        TemporaryPassword: PASSWORD,
        MessageAction: "SUPPRESS",
    });
    const first = await auth.signIn({ username, password: PASSWORD });
    assert.equal(first.nextStep.signInStep, "CONFIRM_SIGN_IN_WITH_NEW_PASSWORD_REQUIRED");
    assert.ok((await auth.confirmSignIn({ challengeResponse: BETTER })).isSignedIn);
    step("replaced a temporary password after SRP");

    // Amplify confirms the device of a sign-in by itself, and proves it at the next one. It asks the browser for the name.
    globalThis.navigator ??= { userAgent: "a browser" };
    await auth.signOut();
    await admin("UpdateUserPool", {
        UserPoolId,
        AutoVerifiedAttributes: ["email"],
        DeviceConfiguration: { ChallengeRequiredOnNewDevice: true, DeviceOnlyRememberedOnUserPrompt: true },
    });
    const device = async () => (await auth.fetchAuthSession()).tokens.accessToken.payload.device_key;
    await auth.signIn({ username, password: BETTER });
    const key = await device();
    await auth.rememberDevice();
    await auth.signOut();
    assert.ok((await auth.signIn({ username, password: BETTER })).isSignedIn);
    assert.equal(await device(), key);
    await auth.fetchAuthSession({ forceRefresh: true });
    assert.equal(await device(), key);
    assert.deepEqual((await auth.fetchDevices()).map(({ id }) => id), [key]);
    step("remembered a device, proved it by SRP, and refreshed with it");

    await auth.deleteUser();
    step("deleted the user");

    await signUpWithoutPassword();
}

main().then(
    // A timer of Amplify still waits for three minutes, for the confirmation that has come.
    () => process.exit(0),
    (error) => {
        console.error(error);
        process.exit(1);
    },
);

// Custom challenges with AWS Amplify, alone and after a password. The pool names endpoints of this process as its
// triggers, which run the handlers in custom_auth_handlers.js.
//
// The environment has the variables that `userpool dev` writes to its dev.env.

"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { Amplify } = require("aws-amplify");
const auth = require("aws-amplify/auth");
const handlers = require("./custom_auth_handlers.js");
const { STAMP, createPool, step } = require("./lib.js");

const USERNAME = `celeste-${STAMP}`;
const PASSWORD = `Correct-Horse-${STAMP}`;
const STEP = "CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE";

/** Calls the handler that the path names with the event in the body. */
async function run(request) {
    let body = "";
    for await (const part of request) body += part;
    return handlers[request.url.slice(1)](JSON.parse(body), {});
}

/** Serves the handlers, and returns their address. */
function serve() {
    const server = http.createServer((request, response) => {
        run(request).then(
            (event) => response.setHeader("content-type", "application/json").end(JSON.stringify(event)),
            (error) => response.setHeader("x-amz-function-error", "Unhandled").end(JSON.stringify({ errorMessage: error.message })),
        );
    });
    return new Promise((resolve) => {
        server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
    });
}

async function main() {
    const address = await serve();
    const { admin, UserPoolId, ClientId } = await createPool(
        "questions",
        { ExplicitAuthFlows: ["ALLOW_CUSTOM_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] },
        {
            LambdaConfig: {
                DefineAuthChallenge: `${address}/define`,
                CreateAuthChallenge: `${address}/create`,
                VerifyAuthChallengeResponse: `${address}/verify`,
            },
        },
    );
    const userPoolEndpoint = `http://${process.env.USERPOOL_HTTP_ADDR}/`;
    Amplify.configure({ Auth: { Cognito: { userPoolId: UserPoolId, userPoolClientId: ClientId, userPoolEndpoint } } });
    await admin("AdminCreateUser", { UserPoolId, Username: USERNAME, MessageAction: "SUPPRESS" });
    await admin("AdminSetUserPassword", { UserPoolId, Username: USERNAME, Password: PASSWORD, Permanent: true });

    const alone = { username: USERNAME, options: { authFlowType: "CUSTOM_WITHOUT_SRP" } };
    const { nextStep } = await auth.signIn(alone);
    assert.equal(nextStep.signInStep, STEP);
    assert.equal(nextStep.additionalInfo.question, "Which color has the sky?");
    assert.equal(nextStep.additionalInfo.answer, undefined);
    const again = await auth.confirmSignIn({ challengeResponse: "green" });
    assert.equal(again.nextStep.signInStep, STEP);
    assert.ok((await auth.confirmSignIn({ challengeResponse: "blue" })).isSignedIn);
    assert.equal((await auth.getCurrentUser()).username, USERNAME);
    await auth.signOut();
    step("signed in by a question, at the second try");

    await auth.signIn(alone);
    await auth.confirmSignIn({ challengeResponse: "green" });
    await assert.rejects(auth.confirmSignIn({ challengeResponse: "red" }), { name: "NotAuthorizedException" });
    step("was refused after two wrong answers");

    const options = { authFlowType: "CUSTOM_WITH_SRP" };
    const wrong = auth.signIn({ username: USERNAME, password: "Wrong-Horse-7", options });
    await assert.rejects(wrong, { name: "NotAuthorizedException" });
    const proved = await auth.signIn({ username: USERNAME, password: PASSWORD, options });
    assert.equal(proved.nextStep.signInStep, STEP);
    assert.ok((await auth.confirmSignIn({ challengeResponse: "blue" })).isSignedIn);
    await auth.deleteUser();
    step("signed in by a password and a question");
}

main().then(
    () => process.exit(0),
    (error) => {
        console.error(error);
        process.exit(1);
    },
);

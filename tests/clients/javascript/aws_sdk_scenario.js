// A user's life with the AWS SDK for JavaScript, where only the endpoint is changed; the tokens,
// verified with aws-jwt-verify; paginators and typed errors.
//
// The environment has the variables that `userpool dev` writes to its dev.env.

"use strict";

const assert = require("node:assert/strict");
const idp = require("@aws-sdk/client-cognito-identity-provider");
const { JwtVerifier } = require("aws-jwt-verify");
const { validateCognitoJwtFields } = require("aws-jwt-verify/cognito-verifier");
const { CognitoJwtInvalidClientIdError, JwtInvalidSignatureError } = require("aws-jwt-verify/error");
const { SimpleJwksCache } = require("aws-jwt-verify/jwk");
const { STAMP, mailedCode, step } = require("./lib.js");

const HTTP_ADDR = process.env.USERPOOL_HTTP_ADDR;
const USERNAME = `rosalind-${STAMP}`;
const EMAIL = `rosalind.${STAMP}@example.com`;
const PASSWORD = `Correct-Horse-${STAMP}`;

// Without retries: each refusal is checked once.
const client = new idp.CognitoIdentityProviderClient({ maxAttempts: 1 });

/** Sends the operation with this name. */
function call(operation, input) {
    return client.send(new idp[`${operation}Command`](input));
}

/** The call must be refused with this class of exception; returns its message. */
async function refused(exception, operation, input) {
    let answer;
    try {
        answer = await call(operation, input);
    } catch (error) {
        assert.ok(error instanceof exception, `${operation}: wanted ${exception.name}, found ${error}`);
        assert.equal(error.name, exception.name);
        assert.equal(error.$fault, "client");
        assert.equal(error.$metadata.httpStatusCode, 400);
        assert.ok(error.$metadata.requestId, "an error without a request id");
        return error.message;
    }
    assert.fail(`${operation} was not refused with ${exception.name} but answered ${JSON.stringify(answer)}`);
}

/** All pages of a paginator. */
async function pages(paginator) {
    const found = [];
    for await (const page of paginator) {
        found.push(page);
        assert.ok(found.length <= 1000, "the pages have no end");
    }
    return found;
}

/** The two verifiers of a resource server: they check what CognitoJwtVerifier checks, for our own issuer. */
function verifiers(pool, app) {
    const issuer = `http://${HTTP_ADDR}/${pool}`;
    const fetcher = {
        // The library's own fetcher only supports HTTPS.
        async fetch(uri) {
            const response = await fetch(uri, { signal: AbortSignal.timeout(10_000) });
            assert.equal(response.status, 200);
            return response.arrayBuffer();
        },
    };
    const jwksCache = new SimpleJwksCache({ fetcher });
    const verifier = (tokenUse) =>
        JwtVerifier.create(
            {
                issuer,
                jwksUri: `${issuer}/.well-known/jwks.json`,
                // An access token has no audience; its client is checked below.
                audience: tokenUse === "id" ? app : null,
                customJwtCheck: ({ payload }) =>
                    validateCognitoJwtFields(payload, { tokenUse, clientId: app }),
            },
            { jwksCache },
        );
    return { access: verifier("access"), id: verifier("id") };
}

async function verifyTokens(pool, app, sub, tokens) {
    const { access, id } = verifiers(pool, app);
    const accessClaims = await access.verify(tokens.AccessToken);
    assert.equal(accessClaims.sub, sub);
    assert.equal(accessClaims.username, USERNAME);
    assert.equal(accessClaims.scope, "aws.cognito.signin.user.admin");
    assert.equal(accessClaims.exp - accessClaims.iat, 3600);
    const idClaims = await id.verify(tokens.IdToken);
    assert.equal(idClaims.sub, sub);
    assert.equal(idClaims["cognito:username"], USERNAME);
    assert.equal(idClaims.email, EMAIL);
    assert.equal(idClaims.email_verified, true);

    await assert.rejects(id.verify(tokens.AccessToken), "an access token passed for an ID token");
    await assert.rejects(access.verify(tokens.IdToken), "an ID token passed for an access token");
    const [header, payload, signature] = tokens.AccessToken.split(".");
    const forged = Buffer.from(JSON.stringify({ ...accessClaims, username: "somebody" })).toString("base64url");
    assert.notEqual(forged, payload);
    await assert.rejects(access.verify(`${header}.${forged}.${signature}`), JwtInvalidSignatureError);
    const other = verifiers(pool, "another").access;
    await assert.rejects(other.verify(tokens.AccessToken), CognitoJwtInvalidClientIdError);
}

async function main() {
    step("CreateUserPool, UpdateUserPool");
    const { UserPool: created } = await call("CreateUserPool", {
        PoolName: `javascript-${STAMP}`,
        Policies: { PasswordPolicy: { MinimumLength: 10, RequireUppercase: true, RequireNumbers: true } },
        AutoVerifiedAttributes: ["email"],
    });
    const pool = created.Id;
    assert.ok(created.CreationDate instanceof Date, "a time is no Date");
    await call("UpdateUserPool", {
        UserPoolId: pool,
        Policies: { PasswordPolicy: { MinimumLength: 12, RequireUppercase: true, RequireNumbers: true } },
        AutoVerifiedAttributes: ["email"],
        DeletionProtection: "ACTIVE",
    });
    const { UserPool: updated } = await call("DescribeUserPool", { UserPoolId: pool });
    assert.equal(updated.Name, `javascript-${STAMP}`);
    assert.equal(updated.Policies.PasswordPolicy.MinimumLength, 12);
    assert.equal(updated.DeletionProtection, "ACTIVE");
    await refused(idp.InvalidParameterException, "DeleteUserPool", { UserPoolId: pool });

    step("CreateUserPoolClient, UpdateUserPoolClient");
    const flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"];
    const createClient = async (ClientName, more) => {
        const { UserPoolClient } = await call("CreateUserPoolClient", {
            UserPoolId: pool,
            ClientName,
            PreventUserExistenceErrors: "ENABLED",
            ...more,
        });
        return UserPoolClient.ClientId;
    };
    const app = await createClient("front-end", { ExplicitAuthFlows: flows });
    await call("UpdateUserPoolClient", {
        UserPoolId: pool,
        ClientId: app,
        ClientName: "front-end-2",
        ExplicitAuthFlows: [...flows, "ALLOW_REFRESH_TOKEN_AUTH"],
        PreventUserExistenceErrors: "ENABLED",
    });
    const { UserPoolClient: described } = await call("DescribeUserPoolClient", { UserPoolId: pool, ClientId: app });
    assert.equal(described.ClientName, "front-end-2");
    assert.deepEqual([...described.ExplicitAuthFlows].sort(), [...flows, "ALLOW_REFRESH_TOKEN_AUTH"].sort());
    const rotating = await createClient("rotating", {
        ExplicitAuthFlows: flows,
        RefreshTokenRotation: { Feature: "ENABLED", RetryGracePeriodSeconds: 0 },
    });
    const graceful = await createClient("graceful", {
        ExplicitAuthFlows: flows,
        RefreshTokenRotation: { Feature: "ENABLED", RetryGracePeriodSeconds: 60 },
    });

    step("SignUp, ConfirmSignUp");
    const signUp = {
        ClientId: app,
        Username: USERNAME,
        Password: PASSWORD,
        UserAttributes: [{ Name: "email", Value: EMAIL }],
    };
    await refused(idp.InvalidPasswordException, "SignUp", { ...signUp, Password: "short" });
    const signedUp = await call("SignUp", signUp);
    const sub = signedUp.UserSub;
    assert.equal(signedUp.UserConfirmed, false);
    assert.equal(signedUp.CodeDeliveryDetails.DeliveryMedium, "EMAIL");
    await refused(idp.UsernameExistsException, "SignUp", signUp);
    const signIn = (ClientId, PasswordGiven = PASSWORD) => ({
        ClientId,
        AuthFlow: "USER_PASSWORD_AUTH",
        AuthParameters: { USERNAME, PASSWORD: PasswordGiven },
    });
    await refused(idp.UserNotConfirmedException, "InitiateAuth", signIn(app));
    const code = await mailedCode(EMAIL);
    const confirm = { ClientId: app, Username: USERNAME, ConfirmationCode: code };
    const wrong = code === "000000" ? "111111" : "000000";
    await refused(idp.CodeMismatchException, "ConfirmSignUp", { ...confirm, ConfirmationCode: wrong });
    await call("ConfirmSignUp", confirm);

    step("InitiateAuth, and aws-jwt-verify on its tokens");
    await refused(idp.NotAuthorizedException, "InitiateAuth", signIn(app, `Wrong-${PASSWORD}`));
    const { AuthenticationResult: tokens } = await call("InitiateAuth", signIn(app));
    await verifyTokens(pool, app, sub, tokens);

    step("GetUser");
    const user = await call("GetUser", { AccessToken: tokens.AccessToken });
    assert.equal(user.Username, USERNAME);
    const attributes = Object.fromEntries(user.UserAttributes.map(({ Name, Value }) => [Name, Value]));
    assert.equal(attributes.sub, sub);
    assert.equal(attributes.email, EMAIL);
    assert.equal(attributes.email_verified, "true");

    step("REFRESH_TOKEN_AUTH, GetTokensFromRefreshToken");
    const { AuthenticationResult: refreshed } = await call("InitiateAuth", {
        ClientId: app,
        AuthFlow: "REFRESH_TOKEN_AUTH",
        AuthParameters: { REFRESH_TOKEN: tokens.RefreshToken },
    });
    assert.equal(refreshed.RefreshToken, undefined);
    await verifyTokens(pool, app, sub, refreshed);
    const byRefreshToken = (ClientId, RefreshToken) => call("GetTokensFromRefreshToken", { ClientId, RefreshToken });
    const { AuthenticationResult: again } = await byRefreshToken(app, tokens.RefreshToken);
    assert.equal(again.RefreshToken, undefined);
    await verifyTokens(pool, app, sub, again);

    step("RevokeToken");
    const revoke = { ClientId: app, Token: tokens.RefreshToken };
    await refused(idp.UnsupportedTokenTypeException, "RevokeToken", { ...revoke, Token: tokens.AccessToken });
    await refused(idp.UnauthorizedException, "RevokeToken", { ...revoke, ClientId: "nobodysclient" });
    await call("RevokeToken", revoke);
    await call("RevokeToken", revoke);
    for (const { AccessToken } of [tokens, refreshed, again]) {
        await refused(idp.NotAuthorizedException, "GetUser", { AccessToken });
    }
    await refused(idp.NotAuthorizedException, "GetTokensFromRefreshToken", {
        ClientId: app,
        RefreshToken: tokens.RefreshToken,
    });

    step("rotation: a new refresh token each time, and reuse ends them all");
    await refused(idp.InvalidParameterException, "CreateUserPoolClient", {
        UserPoolId: pool,
        ClientName: "both",
        ExplicitAuthFlows: ["ALLOW_REFRESH_TOKEN_AUTH"],
        RefreshTokenRotation: { Feature: "ENABLED", RetryGracePeriodSeconds: 0 },
    });
    const { AuthenticationResult: first } = await call("InitiateAuth", signIn(rotating));
    const { AuthenticationResult: second } = await byRefreshToken(rotating, first.RefreshToken);
    assert.ok(second.RefreshToken, "no new refresh token");
    assert.notEqual(second.RefreshToken, first.RefreshToken);
    const { AuthenticationResult: third } = await byRefreshToken(rotating, second.RefreshToken);
    await verifyTokens(pool, rotating, sub, third);
    const reuse = { ClientId: rotating, RefreshToken: first.RefreshToken };
    await refused(idp.RefreshTokenReuseException, "GetTokensFromRefreshToken", reuse);
    await refused(idp.NotAuthorizedException, "GetTokensFromRefreshToken", {
        ClientId: rotating,
        RefreshToken: third.RefreshToken,
    });
    await refused(idp.NotAuthorizedException, "GetUser", { AccessToken: third.AccessToken });

    step("rotation: the token before the newest is good within the grace period");
    const { AuthenticationResult: begun } = await call("InitiateAuth", signIn(graceful));
    const { AuthenticationResult: next } = await byRefreshToken(graceful, begun.RefreshToken);
    const { AuthenticationResult: repeated } = await byRefreshToken(graceful, begun.RefreshToken);
    await byRefreshToken(graceful, repeated.RefreshToken);
    await call("GetUser", { AccessToken: next.AccessToken });

    step("AdminInitiateAuth, AdminUserGlobalSignOut");
    const { AuthenticationResult: byAdmin } = await call("AdminInitiateAuth", {
        UserPoolId: pool,
        ClientId: app,
        AuthFlow: "ADMIN_USER_PASSWORD_AUTH",
        AuthParameters: { USERNAME, PASSWORD },
    });
    await verifyTokens(pool, app, sub, byAdmin);
    await call("AdminUserGlobalSignOut", { UserPoolId: pool, Username: USERNAME });
    await refused(idp.NotAuthorizedException, "GetUser", { AccessToken: byAdmin.AccessToken });
    await refused(idp.NotAuthorizedException, "GetTokensFromRefreshToken", {
        ClientId: app,
        RefreshToken: byAdmin.RefreshToken,
    });

    step("AdminDeleteUser");
    const named = { UserPoolId: pool, Username: USERNAME };
    const found = await call("AdminGetUser", named);
    assert.equal(found.UserStatus, "CONFIRMED");
    assert.ok(found.UserCreateDate instanceof Date, "a time is no Date");
    await call("AdminDeleteUser", named);
    for (const operation of ["AdminGetUser", "AdminDeleteUser", "AdminUserGlobalSignOut"]) {
        assert.equal(await refused(idp.UserNotFoundException, operation, named), "User does not exist.");
    }
    await refused(idp.NotAuthorizedException, "InitiateAuth", signIn(app));

    step("paginateListUserPoolClients, paginateListUserPools");
    const clients = await pages(idp.paginateListUserPoolClients({ client, pageSize: 2 }, { UserPoolId: pool }));
    assert.deepEqual(
        clients.map((page) => page.UserPoolClients.length),
        [2, 1],
    );
    const clientIds = clients.flatMap((page) => page.UserPoolClients.map((it) => it.ClientId));
    assert.deepEqual(clientIds.sort(), [app, rotating, graceful].sort());
    const more = [];
    for (const number of [2, 3]) {
        const { UserPool } = await call("CreateUserPool", { PoolName: `javascript-${number}-${STAMP}` });
        more.push(UserPool.Id);
    }
    const pools = await pages(idp.paginateListUserPools({ client, pageSize: 2 }, { MaxResults: 2 }));
    assert.ok(pools.length >= 2, "not several pages");
    assert.ok(pools.slice(0, -1).every((page) => page.UserPools.length === 2), "a page that is not full");
    const poolIds = pools.flatMap((page) => page.UserPools.map((it) => it.Id));
    assert.equal(new Set(poolIds).size, poolIds.length, "a pool is listed twice");
    for (const id of [pool, ...more]) assert.ok(poolIds.includes(id), `${id} is not listed`);
    const elsewhere = { UserPoolId: pool, MaxResults: 1, NextToken: pools[0].NextToken };
    await refused(idp.InvalidParameterException, "ListUserPoolClients", elsewhere);

    step("DeleteUserPoolClient, DeleteUserPool");
    await call("DeleteUserPoolClient", { UserPoolId: pool, ClientId: rotating });
    await refused(idp.ResourceNotFoundException, "DescribeUserPoolClient", { UserPoolId: pool, ClientId: rotating });
    await call("UpdateUserPool", { UserPoolId: pool, DeletionProtection: "INACTIVE" });
    for (const id of [pool, ...more]) {
        await call("DeleteUserPool", { UserPoolId: id });
        await refused(idp.ResourceNotFoundException, "DescribeUserPool", { UserPoolId: id });
    }
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});

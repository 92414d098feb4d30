//! Signing in, refreshing, signing out.

use serde_json::{Value, json};
use tonic::Code;
use userpool::proto::v1::*;

use crate::support::client::{assert_refused, eventually};
use crate::support::dev::shared_server;
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, password_client, texts, unique};
use crate::support::wire;

const INVALID: &str = "InvalidParameterException";
const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");
const REVOKED_ACCESS: (&str, &str) = ("NotAuthorizedException", "Access Token has been revoked");
const REVOKED_REFRESH: (&str, &str) = ("NotAuthorizedException", "Refresh Token has been revoked");
const INVALID_REFRESH: (&str, &str) = ("NotAuthorizedException", "Invalid Refresh Token");

#[tokio::test]
async fn a_password_gives_three_tokens() {
    let pool = Pool::create().await;
    let person = pool.person("tokens").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    assert_eq!(tokens.token_type.as_deref(), Some("Bearer"));
    assert_eq!(tokens.expires_in, Some(3600));
    assert!(tokens.access_token.is_some() && tokens.id_token.is_some() && tokens.refresh_token.is_some());
    // The `sub` works in the place of the name in every pool.
    pool.sign_in(&person.sub, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_read_the_same_where_users_are_hidden() {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    let pool = Pool::create_with(email_pool(), hiding).await;
    let person = pool.person("hidden").await;
    let wrong = pool.sign_in(&person.username, "Wrong-horse-7").await.unwrap_err();
    let unknown = pool.sign_in(&unique("nobody"), PASSWORD).await.unwrap_err();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.pair(), WRONG);
    assert_eq!(wrong.code, Code::Unauthenticated);

    let legacy =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("LEGACY".into()), ..password_client() };
    let legacy = pool.add_client(legacy).await;
    let mut open = pool.sign_in_request(&unique("nobody"), PASSWORD);
    open.client_id = legacy.client_id;
    let refusal = pool.api.call(open).await.unwrap_err();
    assert_eq!(refusal.pair(), ("UserNotFoundException", "User does not exist."));
    assert_eq!(refusal.code, Code::NotFound);
    pool.verify().await;
}

#[tokio::test]
async fn a_users_pending_step_is_told_whatever_the_password_unless_users_are_hidden() {
    const NOT_CONFIRMED: (&str, &str) = ("UserNotConfirmedException", "User is not confirmed.");
    const RESET: (&str, &str) = ("PasswordResetRequiredException", "Password reset required for the user");
    let flows = texts(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"]);
    for (existence, hides) in [(None, false), (Some("LEGACY"), false), (Some("ENABLED"), true)] {
        let client = CreateUserPoolClientRequest {
            prevent_user_existence_errors: existence.map(str::to_owned),
            explicit_auth_flows: flows.clone(),
            ..Default::default()
        };
        let pool = Pool::create_with(email_pool(), client).await;
        let unconfirmed = unique("unconfirmed");
        pool.sign_up(&unconfirmed, &[("email", &format!("{unconfirmed}@example.com"))]).await.unwrap();
        let reset = pool.person("reset").await.username;
        let (user_pool_id, username) = (Some(pool.id.clone()), Some(reset.clone()));
        let take_back = AdminResetUserPasswordRequest { user_pool_id, username, ..Default::default() };
        pool.api.call(take_back).await.unwrap();
        for (name, standing) in [(&unconfirmed, NOT_CONFIRMED), (&reset, RESET)] {
            for (password, told) in [("Wrong-horse-7", if hides { WRONG } else { standing }), (PASSWORD, standing)] {
                assert_refused(pool.sign_in(name, password).await, told.0, told.1);
                let by_server = AdminInitiateAuthRequest {
                    user_pool_id: Some(pool.id.clone()),
                    client_id: Some(pool.client_id.clone()),
                    auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".into()),
                    auth_parameters: parameters(&[("USERNAME", name), ("PASSWORD", password)]),
                    ..Default::default()
                };
                assert_refused(pool.api.call(by_server).await, told.0, told.1);
            }
            // Each wrong password counts and locks as anywhere, whatever the answer said.
            let mut told = Vec::new();
            while told.last() != Some(&LOCKED.1.to_owned()) && told.len() < 12 {
                told.push(pool.sign_in(name, "Wrong-horse-7").await.unwrap_err().message);
            }
            assert!(told.len() > 2 && told.last().is_some_and(|message| message == LOCKED.1), "{told:?}");
            let first = if hides { WRONG } else { standing };
            assert_eq!(told[0], first.1);
        }
        pool.verify().await;
    }
}

#[tokio::test]
async fn tokens_come_with_parameters_of_no_challenge_at_the_aws_door() {
    let server = shared_server().await;
    let channel = wire::channel(&server.address).await;
    let (pool, _) = wire::pool_and_client(&channel, &server.address, "parameters").await;
    let call = async |name: &str, body: Value| {
        let info = wire::operations().find(|info| info.name == name).expect("an operation");
        let answer = wire::aws(&server.address, info, body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    };
    let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
    let client = json!({ "UserPoolId": pool, "ClientName": "app", "ExplicitAuthFlows": flows });
    let client = call("CreateUserPoolClient", client).await["UserPoolClient"]["ClientId"].clone();
    let none = json!({});
    for (name, sign_in, flow, respond) in [
        ("one", "InitiateAuth", "USER_PASSWORD_AUTH", "RespondToAuthChallenge"),
        ("two", "AdminInitiateAuth", "ADMIN_USER_PASSWORD_AUTH", "AdminRespondToAuthChallenge"),
    ] {
        let temporary = "Temporary-horse-7";
        let user = json!({ "UserPoolId": pool, "Username": name, "TemporaryPassword": temporary, "MessageAction": "SUPPRESS" });
        call("AdminCreateUser", user).await;
        let by = |password: &str| json!({ "USERNAME": name, "PASSWORD": password });
        let begin = |parameters: Value, flow: &str| json!({ "UserPoolId": pool, "ClientId": client, "AuthFlow": flow, "AuthParameters": parameters });
        let challenge = call(sign_in, begin(by(temporary), flow)).await;
        let parameters = challenge["ChallengeParameters"].as_object().expect("parameters");
        assert_eq!(parameters["USER_ID_FOR_SRP"], name);
        let answer = json!({
            "UserPoolId": pool, "ClientId": client, "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": challenge["Session"],
            "ChallengeResponses": { "USERNAME": name, "NEW_PASSWORD": PASSWORD },
        });
        assert_eq!(call(respond, answer).await["ChallengeParameters"], none, "{respond}");
        let signed_in = call(sign_in, begin(by(PASSWORD), flow)).await;
        assert_eq!(signed_in["ChallengeParameters"], none, "{sign_in}");
        let token = json!({ "REFRESH_TOKEN": signed_in["AuthenticationResult"]["RefreshToken"] });
        let refreshed = call(sign_in, begin(token, "REFRESH_TOKEN_AUTH")).await;
        assert_eq!(refreshed["ChallengeParameters"], none, "a refresh by {sign_in}");
    }
}

/// Guesses until the name is locked, on a machine of any speed: each lock is twice as long as the one before.
async fn lock(pool: &Pool, name: &str) {
    for attempt in 0..12 {
        let refusal = pool.sign_in(name, "Wrong-horse-7").await.unwrap_err();
        match refusal.pair() {
            WRONG => {}
            LOCKED => {
                assert!(attempt >= 5, "locked after {attempt} failures");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("never locked");
}

#[tokio::test]
async fn five_failures_lock_a_name_for_a_while() {
    let pool = Pool::create().await;
    let person = pool.person("locked").await;
    for _ in 0..4 {
        assert_refused(pool.sign_in(&person.username, "Wrong-horse-7").await, WRONG.0, WRONG.1);
    }
    // The right password forgets the failures.
    pool.sign_in(&person.username, PASSWORD).await.unwrap();
    lock(&pool, &person.username).await;
    let unlocked = eventually(async || match pool.sign_in(&person.username, PASSWORD).await {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal.pair(), LOCKED);
            false
        }
    });
    assert!(unlocked.await, "a lock ends");
    pool.verify().await;
}

#[tokio::test]
async fn an_unknown_name_is_locked_as_well() {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    let pool = Pool::create_with(email_pool(), hiding).await;
    lock(&pool, &unique("nobody")).await;
    pool.verify().await;
}

#[tokio::test]
async fn only_the_flows_of_the_client_are_open() {
    let pool = Pool::create().await;
    let person = pool.person("flows").await;
    // A client without flows has those of Cognito's default, which have no password.
    let default = pool.add_client(CreateUserPoolClientRequest::default()).await;
    let mut request = pool.sign_in_request(&person.username, PASSWORD);
    request.client_id = default.client_id;
    let message = "USER_PASSWORD_AUTH flow not enabled for this client";
    assert_refused(pool.api.call(request).await, "InvalidParameterException", message);

    // The older name of the flow enables it as well.
    let older =
        CreateUserPoolClientRequest { explicit_auth_flows: texts(&["USER_PASSWORD_AUTH"]), ..Default::default() };
    let older = pool.add_client(older).await;
    let mut request = pool.sign_in_request(&person.username, PASSWORD);
    request.client_id.clone_from(&older.client_id);
    let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();

    let password_only =
        CreateUserPoolClientRequest { explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH"]), ..Default::default() };
    let password_only = pool.add_client(password_only).await;
    let mut request = pool.refresh_request(tokens.refresh_token());
    request.client_id = password_only.client_id;
    let message = "REFRESH_TOKEN_AUTH flow not enabled for this client";
    assert_refused(pool.api.call(request).await, INVALID, message);
    pool.verify().await;
}

#[tokio::test]
async fn missing_parameters_and_flows_are_named() {
    let pool = Pool::create().await;
    let with = |flow: &str, values: &[(&str, &str)]| InitiateAuthRequest {
        auth_flow: Some(flow.into()),
        client_id: Some(pool.client_id.clone()),
        auth_parameters: parameters(values),
        ..Default::default()
    };
    for (request, message) in [
        (with("USER_PASSWORD_AUTH", &[]), "Missing required parameter USERNAME"),
        (with("USER_PASSWORD_AUTH", &[("USERNAME", "jane")]), "Missing required parameter PASSWORD"),
        (with("USER_PASSWORD_AUTH", &[("USERNAME", ""), ("PASSWORD", "x")]), "Missing required parameter USERNAME"),
        (with("REFRESH_TOKEN_AUTH", &[]), "Missing required parameter REFRESH_TOKEN"),
        (with("REFRESH_TOKEN", &[]), "Missing required parameter REFRESH_TOKEN"),
        (with("USER_SRP_AUTH", &[]), "Missing required parameter USERNAME"),
        (with("USER_SRP_AUTH", &[("USERNAME", "jane")]), "Missing required parameter SRP_A"),
        (with("CUSTOM_AUTH", &[]), "Missing required parameter USERNAME"),
        (with("USER_AUTH", &[]), "Missing required parameter USERNAME"),
        (with("ADMIN_USER_PASSWORD_AUTH", &[]), "Initiate Auth method not supported."),
        (with("ADMIN_NO_SRP_AUTH", &[]), "Initiate Auth method not supported."),
    ] {
        assert_refused(pool.api.call(request).await, "InvalidParameterException", message);
    }
    let unknown = pool.api.call(with("MAGIC", &[])).await.unwrap_err();
    assert_eq!(unknown.exception, "InvalidParameterException");
    assert!(unknown.message.contains("Member must satisfy enum value set"), "{}", unknown.message);
    assert_eq!(unknown.fields, ["authFlow"]);
    pool.verify().await;
}

#[tokio::test]
async fn a_trusted_server_gets_the_answers_of_an_app() {
    let pool = Pool::create().await;
    let flows =
        |flows: &[&str]| CreateUserPoolClientRequest { explicit_auth_flows: texts(flows), ..Default::default() };
    let trusted = pool.add_client(flows(&["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"])).await;
    let password_only = pool.add_client(flows(&["ALLOW_ADMIN_USER_PASSWORD_AUTH"])).await;
    let rotating = CreateUserPoolClientRequest {
        refresh_token_rotation: Some(RefreshTokenRotationType {
            feature: Some("ENABLED".into()),
            ..Default::default()
        }),
        ..flows(&["ALLOW_ADMIN_USER_PASSWORD_AUTH"])
    };
    let rotating = pool.add_client(rotating).await;
    let of = |client: &UserPoolClientType, flow: &str, values: &[(&str, &str)]| AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: client.client_id.clone(),
        auth_flow: Some(flow.into()),
        auth_parameters: parameters(values),
        ..Default::default()
    };
    let sign_in = |name: &str, password: &str| {
        of(&trusted, "ADMIN_USER_PASSWORD_AUTH", &[("USERNAME", name), ("PASSWORD", password)])
    };
    let unconfirmed = unique("unconfirmed");
    pool.sign_up(&unconfirmed, &[("email", &format!("{unconfirmed}@example.com"))]).await.unwrap();
    let [disabled, reset, guessed] = ["disabled", "reset", "guessed"].map(|name| pool.person(name));
    let (disabled, reset, guessed) = (disabled.await.username, reset.await.username, guessed.await.username);
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(disabled.clone()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(reset.clone()));
    let reset_password = AdminResetUserPasswordRequest { user_pool_id, username, ..Default::default() };
    pool.api.call(reset_password).await.unwrap();
    for _ in 0..12 {
        let refusal = pool.api.call(sign_in(&guessed, "Wrong-horse-7")).await.unwrap_err();
        if refusal.pair() == LOCKED {
            break;
        }
        assert_eq!(refusal.pair(), WRONG);
    }
    let rotates = "This client rotates refresh tokens: use GetTokensFromRefreshToken.";
    let refresh = [("REFRESH_TOKEN", "not.a.token")];
    for (request, exception, message) in [
        (of(&trusted, "USER_SRP_AUTH", &[]), INVALID, "Missing required parameter USERNAME"),
        (of(&trusted, "CUSTOM_AUTH", &[]), INVALID, "Missing required parameter USERNAME"),
        (of(&trusted, "ADMIN_USER_PASSWORD_AUTH", &[]), INVALID, "Missing required parameter USERNAME"),
        (of(&rotating, "REFRESH_TOKEN_AUTH", &refresh), INVALID, rotates),
        (of(&password_only, "REFRESH_TOKEN_AUTH", &refresh), INVALID, "Auth flow not enabled for this client"),
        (
            of(&password_only, "USER_PASSWORD_AUTH", &[("USERNAME", "jane"), ("PASSWORD", PASSWORD)]),
            INVALID,
            "Auth flow not enabled for this client",
        ),
        (of(&trusted, "REFRESH_TOKEN_AUTH", &refresh), WRONG.0, "Invalid Refresh Token"),
        (sign_in(&guessed, PASSWORD), LOCKED.0, LOCKED.1),
        (sign_in(&disabled, PASSWORD), WRONG.0, "User is disabled."),
        (sign_in(&unique("nobody"), PASSWORD), "UserNotFoundException", "User does not exist."),
        (sign_in(&unconfirmed, PASSWORD), "UserNotConfirmedException", "User is not confirmed."),
        (sign_in(&reset, PASSWORD), "PasswordResetRequiredException", "Password reset required for the user"),
    ] {
        assert_refused(pool.api.call(request).await, exception, message);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_of_the_same_session() {
    let pool = Pool::create().await;
    let person = pool.person("refresh").await;
    let first = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    for flow in ["REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"] {
        let mut request = pool.refresh_request(first.refresh_token());
        request.auth_flow = Some(flow.into());
        let next = pool.api.call(request).await.unwrap().authentication_result.unwrap();
        assert_eq!(next.refresh_token, None);
        assert_ne!(next.access_token, first.access_token);
        assert_ne!(next.id_token, first.id_token);
        assert_eq!(pool.get_user(next.access_token()).await.unwrap().username(), person.username);
    }
    // The first tokens are still good.
    pool.get_user(first.access_token()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_refresh_token_works_through_its_client_only() {
    let pool = Pool::create().await;
    let person = pool.person("its-client").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let other = pool.add_client(password_client()).await;
    let mut request = pool.refresh_request(tokens.refresh_token());
    request.client_id = other.client_id;
    assert_refused(pool.api.call(request).await, INVALID_REFRESH.0, INVALID_REFRESH.1);

    let foreign = Pool::create().await;
    assert_refused(foreign.refresh(tokens.refresh_token()).await, INVALID_REFRESH.0, INVALID_REFRESH.1);
    foreign.verify().await;

    let token = tokens.refresh_token();
    let mut changed = token.to_owned();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'Q' } else { 'A' });
    for garbage in ["x", ".", "a.b", "é", &changed, &token[..token.len() - 4], tokens.access_token()] {
        assert_refused(pool.refresh(garbage).await, INVALID_REFRESH.0, INVALID_REFRESH.1);
    }
    pool.refresh(token).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session() {
    let pool = Pool::create().await;
    let person = pool.person("sign-out").await;
    let first = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let second = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let bystander = pool.person("bystander").await;
    let untouched = pool.sign_in(&bystander.username, PASSWORD).await.unwrap();
    pool.sign_out(first.access_token()).await.unwrap();
    for tokens in [&first, &second] {
        // Both processes refuse them.
        for _ in 0..2 {
            assert_refused(pool.get_user(tokens.access_token()).await, REVOKED_ACCESS.0, REVOKED_ACCESS.1);
            assert_refused(pool.refresh(tokens.refresh_token()).await, REVOKED_REFRESH.0, REVOKED_REFRESH.1);
        }
        assert_refused(pool.sign_out(tokens.access_token()).await, REVOKED_ACCESS.0, REVOKED_ACCESS.1);
        assert_refused(pool.delete_user(tokens.access_token()).await, REVOKED_ACCESS.0, REVOKED_ACCESS.1);
    }
    pool.get_user(untouched.access_token()).await.unwrap();
    let third = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    pool.get_user(third.access_token()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn an_expired_refresh_token_is_refused() {
    let pool = Pool::create().await;
    let person = pool.person("old-session").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    // The test can't wait for 30 days, so it ends the session now.
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let aged = sqlx::query("update sessions set expires_at = expires_at - interval '30 days' where user_pool_id = $1");
    assert_eq!(aged.bind(&pool.id).execute(&database).await.unwrap().rows_affected(), 1);
    let refused = pool.refresh(tokens.refresh_token()).await;
    assert_refused(refused, "NotAuthorizedException", "Refresh Token has expired");
    // The access token has its own lifetime.
    pool.get_user(tokens.access_token()).await.unwrap();
    pool.verify().await;
}

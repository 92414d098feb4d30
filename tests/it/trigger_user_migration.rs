//! The user migration trigger: users come over from another directory when they sign in or have forgotten their password.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::dev::shared;
use crate::support::mfa::all_factors;
use crate::support::pool::{
    PASSWORD, Pool, by_name, email_pool, parameters, password_client, texts, unique, unique_phone,
};
use crate::support::refusals::met;
use crate::support::serve::Installation;
use crate::support::triggers::{self, Asked, Reply, Responder, lambda_config};

const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const INVALID: &str = "InvalidLambdaResponseException";
/// A password that no policy of today would accept.
const OLD: &str = "old";

fn client(existence: &str) -> CreateUserPoolClientRequest {
    let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_USER_AUTH"];
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&flows),
        prevent_user_existence_errors: Some(existence.to_owned()),
        ..password_client()
    }
}

/// A pool whose unknown users this handler knows.
async fn pool_with(
    request: CreateUserPoolRequest,
    existence: &str,
    handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Pool, Responder) {
    let lambda_config = Some(lambda_config(&[Trigger::UserMigration]));
    let pool = Pool::create_with(CreateUserPoolRequest { lambda_config, ..request }, client(existence)).await;
    let responder = triggers::respond(&pool.id, handler).await;
    (pool, responder)
}

/// Another directory, where everybody has the old password and an address at this domain.
fn knows(asked: &Asked) -> Reply {
    let (name, password) = (asked.event["userName"].as_str().unwrap(), &asked.event["request"]["password"]);
    if *password != OLD && !password.is_null() {
        return asked.answered(json!({}));
    }
    asked.answered(json!({
        "userAttributes": {"email": format!("{name}@example.com"), "email_verified": "true", "name": "Jane"},
        "finalUserStatus": "CONFIRMED",
        "messageAction": "SUPPRESS",
    }))
}

/// The same, without a status.
fn resets(asked: &Asked) -> Reply {
    let Reply::Event(mut event) = knows(asked) else { panic!("an event") };
    event["response"]["finalUserStatus"] = Value::Null;
    Reply::Event(event)
}

async fn forgot(pool: &Pool, username: &str) -> Result<ForgotPasswordResponse, Refusal> {
    let request = ForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(username.to_owned()),
        client_metadata: parameters(&[("source", "app")]),
        ..Default::default()
    };
    pool.api.call(request).await
}

async fn recover(pool: &Pool, username: &str, code: &str) {
    let request = ConfirmForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(username.to_owned()),
        confirmation_code: Some(code.to_owned()),
        password: Some(PASSWORD.to_owned()),
        ..Default::default()
    };
    pool.api.call(request).await.unwrap();
}

#[tokio::test]
async fn a_user_comes_over_and_has_tokens_in_the_same_call() {
    let (pool, responder) = pool_with(email_pool(), "ENABLED", knows).await;
    let name = unique("jane");
    let request =
        InitiateAuthRequest { client_metadata: parameters(&[("ticket", "7")]), ..pool.sign_in_request(&name, OLD) };
    let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();
    let shown = by_name(&pool.get_user(tokens.access_token()).await.unwrap().user_attributes);
    assert_eq!((shown["email"].as_str(), shown["email_verified"].as_str()), (&*format!("{name}@example.com"), "true"));
    assert_eq!(pool.admin_get_user(&name).await.unwrap().user_status(), "CONFIRMED");
    let [asked] = &responder.asked()[..] else { panic!("one question") };
    let expected = json!({
        "version": "1",
        "region": "us-east-1",
        "userPoolId": pool.id,
        "userName": name,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": pool.client_id},
        "triggerSource": "UserMigration_Authentication",
        "request": {"password": OLD, "validationData": {"ticket": "7"}, "clientMetadata": null},
        "response": {
            "userAttributes": null,
            "finalUserStatus": null,
            "messageAction": null,
            "desiredDeliveryMediums": null,
            "forceAliasCreation": null,
            "enableSMSMFA": null,
        },
    });
    assert_eq!(asked.event, expected);
    // From now on the pool knows the user.
    pool.sign_in(&name, OLD).await.unwrap();
    assert_refused(pool.sign_in(&name, "wrong").await, WRONG.0, WRONG.1);
    assert_eq!(responder.asked().len(), 1);
    pool.verify().await;
}

#[tokio::test]
async fn who_signs_in_twice_at_once_comes_over_once() {
    let (pool, _) =
        pool_with(email_pool(), "ENABLED", |asked| Reply::After(Duration::from_millis(100), Box::new(knows(asked))))
            .await;
    let name = unique("burst");
    let answers = join_all((0..8).map(|number| {
        let admin = AdminInitiateAuthRequest {
            user_pool_id: Some(pool.id.clone()),
            client_id: Some(pool.client_id.clone()),
            auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".to_owned()),
            auth_parameters: parameters(&[("USERNAME", &name), ("PASSWORD", OLD)]),
            ..Default::default()
        };
        let (pool, name) = (&pool, &name);
        async move {
            match number % 2 {
                0 => pool.sign_in(name, OLD).await,
                _ => pool.api.call(admin).await.map(|answer| answer.authentication_result.unwrap()),
            }
        }
    }))
    .await;
    let mut subs = Vec::new();
    for tokens in answers {
        let user = pool.get_user(tokens.unwrap().access_token()).await.unwrap();
        subs.push(by_name(&user.user_attributes)["sub"].clone());
    }
    subs.dedup();
    assert_eq!(subs.len(), 1);
    pool.verify().await;
}

#[tokio::test]
async fn who_is_found_nowhere_is_refused_like_anybody_and_a_locked_name_asks_nobody() {
    for existence in ["ENABLED", "LEGACY"] {
        let (pool, responder) = pool_with(email_pool(), existence, knows).await;
        let refusal = match existence {
            "ENABLED" => WRONG,
            _ => ("UserNotFoundException", "User does not exist."),
        };
        for _ in 0..5 {
            assert_refused(pool.sign_in("jane", "wrong").await, refusal.0, refusal.1);
        }
        let locked = ("NotAuthorizedException", "Password attempts exceeded");
        assert_refused(pool.sign_in("jane", OLD).await, locked.0, locked.1);
        assert_eq!(responder.asked().len(), 5);
        assert_refused(pool.admin_get_user("jane").await, "UserNotFoundException", "User does not exist.");
        pool.verify().await;
    }
}

#[tokio::test]
async fn a_password_that_the_trigger_refuses_counts_like_a_wrong_one() {
    let (pool, responder) = pool_with(email_pool(), "ENABLED", |_| Reply::Error("wrong password".to_owned())).await;
    let message = "UserMigration failed with error wrong password.";
    for _ in 0..5 {
        assert_refused(pool.sign_in("jane", OLD).await, "UserLambdaValidationException", message);
    }
    assert_refused(pool.sign_in("jane", OLD).await, "NotAuthorizedException", "Password attempts exceeded");
    assert_eq!(responder.asked().len(), 5);
    pool.verify().await;
}

#[tokio::test]
async fn a_user_without_a_status_sets_another_password_first() {
    let (pool, _) = pool_with(email_pool(), "LEGACY", resets).await;
    let name = unique("reset");
    let reset = ("PasswordResetRequiredException", "Password reset required for the user");
    assert_refused(pool.sign_in(&name, OLD).await, reset.0, reset.1);
    assert_eq!(pool.admin_get_user(&name).await.unwrap().user_status(), "RESET_REQUIRED");
    forgot(&pool, &name).await.unwrap();
    recover(&pool, &name, &pool.api.code_for(&format!("{name}@example.com")).await).await;
    pool.sign_in(&name, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn who_has_forgotten_the_password_comes_over_and_is_sent_a_code() {
    let (pool, responder) = pool_with(email_pool(), "ENABLED", knows).await;
    let name = unique("forgetful");
    let details = forgot(&pool, &name).await.unwrap().code_delivery_details.unwrap();
    assert_eq!(details.delivery_medium(), "EMAIL");
    let asked = responder.asked().remove(0).event;
    assert_eq!(asked["triggerSource"], "UserMigration_ForgotPassword");
    let request = json!({"password": null, "validationData": null, "clientMetadata": {"source": "app"}});
    assert_eq!(asked["request"], request);
    assert_eq!(pool.admin_get_user(&name).await.unwrap().user_status(), "RESET_REQUIRED");
    recover(&pool, &name, &pool.api.code_for(&format!("{name}@example.com")).await).await;
    pool.sign_in(&name, PASSWORD).await.unwrap();
    assert_eq!(responder.asked().len(), 1);
    pool.verify().await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_asks_for_a_code_five_times_and_not_more() {
    let (pool, responder) = pool_with(email_pool(), "ENABLED", |asked| asked.answered(json!({}))).await;
    for _ in 0..5 {
        forgot(&pool, "nobody").await.unwrap();
    }
    let limit = "Attempt limit exceeded, please try after some time.";
    assert_refused(forgot(&pool, "nobody").await, "LimitExceededException", limit);
    assert_eq!(responder.asked().len(), 5);
    pool.verify().await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_creates_nobody() {
    let cases = [
        (Reply::Raw(b"null".to_vec()), INVALID, "Unrecognizable lambda output"),
        (
            Reply::Error("not now".to_owned()),
            "UserLambdaValidationException",
            "UserMigration failed with error not now.",
        ),
        (
            Reply::Silence,
            "UnexpectedLambdaException",
            "UserMigration invocation failed due to error Socket timeout while invoking Lambda function.",
        ),
        (
            Reply::Event(json!({"response": {"userAttributes": {"sub": "7"}}})),
            INVALID,
            "Unrecognizable lambda output: user.sub: Attribute cannot be updated.",
        ),
        (
            Reply::Event(json!({"response": {"userAttributes": {"name": "J"}, "enableSMSMFA": true}})),
            INVALID,
            "Unrecognizable lambda output: enableSMSMFA needs a pool with SMS as a second factor, and a phone_number.",
        ),
    ];
    let refused = cases.map(|(reply, exception, message)| async move {
        let (pool, _) = pool_with(email_pool(), "ENABLED", move |_| reply.clone()).await;
        let (sign_in, forgotten) = tokio::join!(pool.sign_in("jane", OLD), forgot(&pool, "joan"));
        assert_refused(sign_in, exception, message);
        assert_refused(forgotten, exception, message);
        for name in ["jane", "joan"] {
            assert_refused(pool.admin_get_user(name).await, "UserNotFoundException", "User does not exist.");
        }
        pool.verify().await;
    });
    join_all(refused).await;
}

#[tokio::test]
async fn a_user_who_came_over_has_the_second_factor_and_the_message_that_the_trigger_says() {
    let phone = unique_phone();
    let email = format!("{}@example.com", unique("factor"));
    let response = json!({
        "userAttributes": {"email": email, "phone_number": phone},
        "finalUserStatus": "CONFIRMED",
        "desiredDeliveryMediums": ["EMAIL"],
        "enableSMSMFA": true,
    });
    let (pool, _) = pool_with(email_pool(), "ENABLED", move |asked| asked.answered(response.clone())).await;
    pool.api.call(all_factors(&pool, "OPTIONAL")).await.unwrap();
    let challenge = pool.challenge("jane", OLD).await;
    assert_eq!(challenge.challenge_name(), "SMS_MFA");
    pool.api.code_for(&phone).await;
    let [message] = &pool.api.messages_for(&email, 1).await[..] else { panic!("one message") };
    assert_eq!(message["body"], "Your account with the username jane has moved.");
    pool.verify().await;
}

#[tokio::test]
async fn an_alias_is_taken_only_by_force_and_the_trigger_may_tell_the_user_name() {
    let by_alias = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let (pool, _) = pool_with(by_alias, "ENABLED", |asked| {
        let typed = asked.event["userName"].as_str().unwrap();
        asked.answered(json!({
            "userAttributes": {"username": "newcomer", "email": typed, "email_verified": "true"},
            "finalUserStatus": "CONFIRMED",
            "messageAction": "SUPPRESS",
        }))
    })
    .await;
    let email = format!("{}@example.com", unique("alias"));
    let tokens = pool.sign_in(&email, OLD).await.unwrap();
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), "newcomer");

    let taken = email.clone();
    triggers::respond(&pool.id, move |asked| {
        asked.answered(json!({
            "userAttributes": {"email": taken, "email_verified": "true"},
            "finalUserStatus": "CONFIRMED",
            "messageAction": "SUPPRESS",
            "forceAliasCreation": asked.event["userName"] == "forces",
        }))
    })
    .await;
    let message = "Unrecognizable lambda output: An account with the given email already exists.";
    assert_refused(pool.sign_in("asks", OLD).await, INVALID, message);
    pool.sign_in("forces", OLD).await.unwrap();
    assert_eq!(pool.admin_get_user(&email).await.unwrap().username(), "forces");
    pool.verify().await;
}

#[tokio::test]
async fn a_user_comes_over_by_the_password_that_they_choose_as_a_factor() {
    let (pool, responder) = pool_with(email_pool(), "ENABLED", knows).await;
    let name = unique("choice");
    let request = InitiateAuthRequest {
        auth_flow: Some("USER_AUTH".to_owned()),
        auth_parameters: parameters(&[("USERNAME", &name)]),
        ..pool.sign_in_request(&name, OLD)
    };
    let challenge = pool.api.call(request).await.unwrap();
    assert_eq!(challenge.challenge_name(), "SELECT_CHALLENGE");
    let request = RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("SELECT_CHALLENGE".to_owned()),
        session: challenge.session,
        challenge_responses: parameters(&[("USERNAME", &name), ("ANSWER", "PASSWORD"), ("PASSWORD", OLD)]),
        client_metadata: parameters(&[("step", "two")]),
        ..Default::default()
    };
    assert!(pool.api.call(request).await.unwrap().authentication_result.is_some());
    let asked = responder.asked().remove(0).event;
    assert_eq!(asked["request"], json!({"password": OLD, "validationData": null, "clientMetadata": {"step": "two"}}));
    pool.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_would_send_passwords_in_the_clear_has_no_such_trigger() {
    let refused = tokio::task::spawn_blocking(|| {
        let postgres = &shared().postgres;
        postgres.create_database("serve_migration");
        let installation = Installation::on(&postgres.url("serve_migration"));
        let server = installation.start(&[]);
        let grpc = server.grpc.to_string();
        let call = |operation: &str, request: Value| {
            let request = request.to_string();
            installation.output(&["call", operation, &request, "--grpc-addr", &grpc, "--token", &installation.token])
        };
        let on = json!({"UserMigration": triggers::function(Trigger::UserMigration)});
        let created = call("CreateUserPool", json!({"PoolName": "people"}));
        let created: Value = serde_json::from_slice(&created.stdout).expect("a pool");
        let id = &created["UserPool"]["Id"];
        [
            ("CreateUserPool", call("CreateUserPool", json!({"PoolName": "more", "LambdaConfig": on}))),
            ("UpdateUserPool", call("UpdateUserPool", json!({"UserPoolId": id, "LambdaConfig": on}))),
        ]
    });
    let message =
        "LambdaConfig.UserMigration sends passwords: this server needs an encrypted connection to Kafka for it.";
    for (operation, output) in refused.await.unwrap() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(message), "{told}");
        met(operation, "InvalidParameterException", message);
    }
}

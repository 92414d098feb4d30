//! Every operation that asks a trigger says how the trigger has failed: by a refusal, by garbage, by silence. Then it has
//! written nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::json;
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::{Api, Refusal};
use crate::support::environment::{DevOptions, environment, start_dev};
use crate::support::pool::{PASSWORD, Pool, attributes, email_pool, parameters, texts, unique};
use crate::support::triggers::{self, Reply, lambda_config};

/// How a responder answers, in the order of the failures below; before the first it answers as it should.
const WAYS: [&str; 4] =
    ["", "UserLambdaValidationException", "InvalidLambdaResponseException", "UnexpectedLambdaException"];
/// The triggers that the operations ask.
const ASKED: [Trigger; 3] = [Trigger::CustomMessage, Trigger::PreAuthentication, Trigger::PreTokenGeneration];
const AWAITED: [Trigger; 1] = [Trigger::PostConfirmation];

/// A pool whose responder can be made to fail.
struct Failing {
    pool: Pool,
    way: Arc<AtomicUsize>,
}

/// A user of the pool, and what the operations need.
struct Subject {
    name: String,
    access_token: String,
    refresh_token: String,
    /// A user with a temporary password.
    invited: String,
    /// The session of their challenge.
    session: String,
}

async fn failing(api: Api, on: &[Trigger]) -> Failing {
    let request = CreateUserPoolRequest { lambda_config: Some(lambda_config(on)), ..email_pool() };
    let client = CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&[
            "ALLOW_USER_PASSWORD_AUTH",
            "ALLOW_ADMIN_USER_PASSWORD_AUTH",
            "ALLOW_REFRESH_TOKEN_AUTH",
        ]),
        ..Default::default()
    };
    let pool = Pool::create_by(api, request, client).await;
    let way = Arc::new(AtomicUsize::new(0));
    let chosen = way.clone();
    triggers::respond(&pool.id, move |asked| match chosen.load(Ordering::SeqCst) {
        0 => asked.answered(json!({})),
        1 => Reply::Error("no".to_owned()),
        2 => Reply::Raw(b"null".to_vec()),
        _ => Reply::Silence,
    })
    .await;
    Failing { pool, way }
}

fn begin_request(pool: &Pool, name: &str, password: &str) -> AdminInitiateAuthRequest {
    AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".to_owned()),
        auth_parameters: parameters(&[("USERNAME", name), ("PASSWORD", password)]),
        ..Default::default()
    }
}

async fn subject(pool: &Pool) -> Subject {
    const TEMPORARY: &str = "Temporary-horse-1";
    let person = pool.person("jane").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let invited = unique("invited");
    pool.create_user(&invited, &[], TEMPORARY).await;
    let challenge = pool.api.call(begin_request(pool, &invited, TEMPORARY)).await.unwrap();
    Subject {
        name: person.username,
        access_token: tokens.access_token().to_owned(),
        refresh_token: tokens.refresh_token().to_owned(),
        invited,
        session: challenge.session.unwrap(),
    }
}

/// The operations that ask one of the triggers, without those whose scenarios have the failures.
const OPERATIONS: [&str; 10] = [
    "ResendConfirmationCode",
    "ForgotPassword",
    "AdminResetUserPassword",
    "AdminUpdateUserAttributes",
    "UpdateUserAttributes",
    "GetUserAttributeVerificationCode",
    "InitiateAuth",
    "AdminInitiateAuth",
    "AdminRespondToAuthChallenge",
    "GetTokensFromRefreshToken",
];

async fn call(operation: &str, pool: &Pool, of: &Subject) -> Result<(), Refusal> {
    let (user_pool_id, client_id) = (Some(pool.id.clone()), Some(pool.client_id.clone()));
    let username = Some(of.name.clone());
    let access_token = Some(of.access_token.clone());
    let email = unique("new");
    let user_attributes = attributes(&[("email", &format!("{email}@example.com"))]);
    let api = &pool.api;
    match operation {
        "ForgotPassword" => {
            api.call(ForgotPasswordRequest { client_id, username, ..Default::default() }).await.map(drop)
        }
        "AdminResetUserPassword" => {
            api.call(AdminResetUserPasswordRequest { user_pool_id, username, ..Default::default() }).await.map(drop)
        }
        "AdminUpdateUserAttributes" => {
            let request =
                AdminUpdateUserAttributesRequest { user_pool_id, username, user_attributes, ..Default::default() };
            api.call(request).await.map(drop)
        }
        "UpdateUserAttributes" => {
            let request = UpdateUserAttributesRequest { access_token, user_attributes, ..Default::default() };
            api.call(request).await.map(drop)
        }
        "GetUserAttributeVerificationCode" => {
            let attribute_name = Some("email".to_owned());
            let request =
                GetUserAttributeVerificationCodeRequest { access_token, attribute_name, ..Default::default() };
            api.call(request).await.map(drop)
        }
        "InitiateAuth" => api.call(pool.sign_in_request(&of.name, PASSWORD)).await.map(drop),
        "AdminInitiateAuth" => api.call(begin_request(pool, &of.name, PASSWORD)).await.map(drop),
        "AdminRespondToAuthChallenge" => {
            let request = AdminRespondToAuthChallengeRequest {
                user_pool_id,
                client_id,
                challenge_name: Some("NEW_PASSWORD_REQUIRED".to_owned()),
                session: Some(of.session.clone()),
                challenge_responses: parameters(&[("USERNAME", &of.invited), ("NEW_PASSWORD", PASSWORD)]),
                ..Default::default()
            };
            api.call(request).await.map(drop)
        }
        "GetTokensFromRefreshToken" => {
            let refresh_token = Some(of.refresh_token.clone());
            api.call(GetTokensFromRefreshTokenRequest { client_id, refresh_token, ..Default::default() })
                .await
                .map(drop)
        }
        other => panic!("{other} is no operation that asks"),
    }
}

/// Calls an operation while its trigger fails in each way, and then while it answers.
async fn fails_in_each_way(operation: &str) {
    let Failing { pool, way } = failing(Api::connect().await, &ASKED).await;
    let of = Box::pin(subject(&pool)).await;
    let unconfirmed = unique("unconfirmed");
    pool.sign_up(&unconfirmed, &[("email", &format!("{unconfirmed}@example.com"))]).await.unwrap();
    let resend = || ResendConfirmationCodeRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(unconfirmed.clone()),
        ..Default::default()
    };
    for number in [1, 2, 3, 0] {
        way.store(number, Ordering::SeqCst);
        let answer = match operation {
            "ResendConfirmationCode" => pool.api.call(resend()).await.map(drop),
            other => Box::pin(call(other, &pool, &of)).await,
        };
        match answer {
            Ok(()) => assert_eq!(number, 0, "{operation}"),
            Err(refusal) => assert_eq!(refusal.exception, WAYS[number], "{operation}: {}", refusal.message),
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn an_operation_says_how_its_trigger_has_failed_and_works_afterwards() {
    // On the heap: together they would fill the stack.
    join_all(OPERATIONS.map(|operation| Box::pin(fails_in_each_way(operation)))).await;
}

#[tokio::test]
async fn an_operation_says_how_an_awaited_trigger_has_failed() {
    let server = tokio::task::spawn_blocking(|| {
        let environment = environment();
        environment.postgres.create_database("awaited_refusals");
        start_dev(&DevOptions {
            name: "awaited-refusals",
            database_url: &environment.postgres.url("awaited_refusals"),
            kafka_brokers: &environment.kafka.bootstrap,
            kafka_prefix: "",
            master_keys_file: &environment.master_keys_file,
            public_url: "http://127.0.0.1:1",
            http_addr: "127.0.0.1:0",
            log_filter: "info",
            arguments: &["--triggers-await", "post-confirmation"],
        })
    });
    let server = server.await.unwrap();
    let Failing { pool, way } = failing(Api::of(&[server]), &AWAITED).await;
    for (number, exception) in WAYS.iter().enumerate().skip(1) {
        for operation in ["ConfirmSignUp", "AdminConfirmSignUp", "ConfirmForgotPassword"] {
            way.store(0, Ordering::SeqCst);
            let name = unique("jane");
            let email = format!("{name}@example.com");
            pool.sign_up(&name, &[("email", &email)]).await.unwrap();
            let code = pool.api.code_for(&email).await;
            let (user_pool_id, client_id) = (Some(pool.id.clone()), Some(pool.client_id.clone()));
            let username = Some(name.clone());
            let answer = match operation {
                "ConfirmSignUp" => {
                    way.store(number, Ordering::SeqCst);
                    pool.confirm(&name, &code).await.map(drop)
                }
                "AdminConfirmSignUp" => {
                    way.store(number, Ordering::SeqCst);
                    let request = AdminConfirmSignUpRequest { user_pool_id, username, ..Default::default() };
                    pool.api.call(request).await.map(drop)
                }
                _ => {
                    pool.confirm(&name, &code).await.unwrap();
                    let forgot = ForgotPasswordRequest {
                        client_id: client_id.clone(),
                        username: username.clone(),
                        ..Default::default()
                    };
                    pool.api.call(forgot).await.unwrap();
                    let newest = pool.api.messages_for(&email, 2).await;
                    way.store(number, Ordering::SeqCst);
                    let request = ConfirmForgotPasswordRequest {
                        client_id,
                        username,
                        confirmation_code: newest[0]["code"].as_str().map(str::to_owned),
                        password: Some(PASSWORD.to_owned()),
                        ..Default::default()
                    };
                    pool.api.call(request).await.map(drop)
                }
            };
            assert_eq!(answer.unwrap_err().exception, *exception, "{operation}");
            // What is only told has happened.
            assert_eq!(pool.admin_get_user(&name).await.unwrap().user_status(), "CONFIRMED");
        }
    }
    pool.verify().await;
}

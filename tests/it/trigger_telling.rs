//! The triggers that decide nothing: what they are told, in which order, and that nothing is lost.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::PgPool;
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::{assert_refused, eventually};
use crate::support::environment::environment;
use crate::support::events::read_until;
use crate::support::http::send_if_there;
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, password_client, unique};
use crate::support::serve::{Installation, Serve};
use crate::support::triggers::{self, Asked, Reply, Responder, function, lambda_config};

const CONFIRMED: &str = "PostConfirmation_ConfirmSignUp";
const RECOVERED: &str = "PostConfirmation_ConfirmForgotPassword";
const SIGNED_IN: &str = "PostAuthentication_Authentication";

/// A pool with these triggers, which admit and confirm everybody if they are asked.
async fn pool_with(on: &[Trigger]) -> (Pool, Responder) {
    let lambda_config = Some(lambda_config(on));
    let pool = Pool::create_with(CreateUserPoolRequest { lambda_config, ..email_pool() }, password_client()).await;
    let responder = triggers::respond(&pool.id, |asked: &Asked| match asked.source().starts_with("PreSignUp") {
        true => asked.answered(json!({"autoConfirmUser": true})),
        false => Reply::Silence,
    })
    .await;
    (pool, responder)
}

/// What was told from a source, once there are so many.
async fn told(responder: &Responder, source: &str, count: usize) -> Vec<Asked> {
    assert!(eventually(async || responder.asked_of(source).len() >= count).await, "{source}: {count}");
    let told = responder.asked_of(source);
    assert_eq!(told.len(), count, "{source}");
    told
}

#[tokio::test]
async fn post_confirmation_is_told_of_every_confirmation() {
    let (pool, responder) = pool_with(&[Trigger::PostConfirmation]).await;
    let (name, email) = (unique("jane"), format!("{}@example.com", unique("jane")));
    let sub = pool.sign_up(&name, &[("email", &email)]).await.unwrap().user_sub.unwrap();
    let confirm = ConfirmSignUpRequest {
        client_metadata: parameters(&[("from", "app")]),
        ..pool.confirm_request(&name, &pool.api.code_for(&email).await)
    };
    let wrong = ConfirmSignUpRequest { confirmation_code: Some("0".to_owned()), ..confirm.clone() };
    pool.api.call(wrong).await.unwrap_err();
    pool.api.call(confirm).await.unwrap();
    let [asked] = &told(&responder, CONFIRMED, 1).await[..] else { panic!("one") };
    let expected = json!({
        "version": "1",
        "region": "us-east-1",
        "userPoolId": pool.id,
        "userName": name,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": pool.client_id},
        "triggerSource": CONFIRMED,
        "request": {
            "userAttributes": {
                "sub": sub, "email": email, "email_verified": "true", "cognito:user_status": "CONFIRMED",
            },
            "clientMetadata": {"from": "app"},
        },
        "response": {},
    });
    assert_eq!(asked.event, expected);
    assert_eq!(
        (asked.topic.as_str(), &asked.key),
        ("userpool.triggers.post-confirmation", &format!("{}/{sub}", pool.id))
    );
    assert_eq!(asked.headers["function"], function(Trigger::PostConfirmation));
    assert_eq!(asked.headers["id"].parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    assert!(!asked.headers.contains_key("reply-to"));

    let (client_id, username) = (Some(pool.client_id.clone()), Some(name.clone()));
    let forgot =
        ForgotPasswordRequest { client_id: client_id.clone(), username: username.clone(), ..Default::default() };
    pool.api.call(forgot).await.unwrap();
    let code = pool.api.messages_for(&email, 2).await[0]["code"].as_str().unwrap().to_owned();
    let recover = ConfirmForgotPasswordRequest {
        client_id,
        username,
        confirmation_code: Some(code),
        password: Some("Other-horse-7".to_owned()),
        ..Default::default()
    };
    pool.api.call(recover).await.unwrap();
    let recovered = told(&responder, RECOVERED, 1).await.remove(0);
    assert_eq!(recovered.event["request"]["clientMetadata"], Value::Null);

    let other = unique("other");
    pool.sign_up(&other, &[]).await.unwrap();
    let confirm = AdminConfirmSignUpRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(other.clone()),
        ..Default::default()
    };
    pool.api.call(confirm.clone()).await.unwrap();
    let message = "User cannot be confirmed. Current status is CONFIRMED";
    assert_refused(pool.api.call(confirm).await, "NotAuthorizedException", message);
    let confirmed = told(&responder, CONFIRMED, 2).await.remove(1);
    assert_eq!(confirmed.event["userName"], json!(other));
    assert_eq!(confirmed.event["callerContext"]["clientId"], "CLIENT_ID_NOT_APPLICABLE");
    pool.verify().await;
}

#[tokio::test]
async fn post_confirmation_is_told_of_who_is_confirmed_by_a_trigger() {
    let (pool, responder) = pool_with(&[Trigger::PreSignUp, Trigger::PostConfirmation]).await;
    let name = unique("jane");
    assert!(pool.sign_up(&name, &[]).await.unwrap().user_confirmed());
    let confirmed = told(&responder, CONFIRMED, 1).await.remove(0);
    assert_eq!(confirmed.event["request"]["userAttributes"]["cognito:user_status"], "CONFIRMED");
    assert_eq!(confirmed.event["userName"], json!(name));
    pool.verify().await;
}

#[tokio::test]
async fn post_authentication_is_told_of_every_sign_in_and_of_nothing_else() {
    let (pool, responder) = pool_with(&[Trigger::PostAuthentication]).await;
    let person = pool.person("jane").await;
    let sign_in = InitiateAuthRequest {
        client_metadata: parameters(&[("for", "others")]),
        ..pool.sign_in_request(&person.username, PASSWORD)
    };
    let tokens = pool.api.call(sign_in).await.unwrap().authentication_result.unwrap();
    pool.sign_in(&person.username, "Wrong-horse-7").await.unwrap_err();
    pool.refresh(tokens.refresh_token()).await.unwrap();
    let first = told(&responder, SIGNED_IN, 1).await.remove(0);
    let request = &first.event["request"];
    assert_eq!(first.event["userName"], json!(person.username));
    assert_eq!(request["userAttributes"]["sub"], json!(person.sub));
    assert_eq!((&request["newDeviceUsed"], &request["clientMetadata"]), (&json!(false), &Value::Null));
    assert_eq!(first.key, format!("{}/{}", pool.id, person.sub));
    pool.get_user(tokens.access_token()).await.unwrap();

    // A sign-in that ends with the answer to a challenge is told with the metadata of the answer.
    let invited = unique("invited");
    pool.create_user(&invited, &[], "Temporary-horse-7").await;
    let challenge = pool.challenge(&invited, "Temporary-horse-7").await;
    let answer = RespondToAuthChallengeRequest {
        client_metadata: parameters(&[("from", "app")]),
        ..pool.new_password_request(challenge.session(), &invited, PASSWORD)
    };
    pool.api.call(answer).await.unwrap();
    let second = told(&responder, SIGNED_IN, 2).await.remove(1);
    assert_eq!(second.event["userName"], json!(invited));
    assert_eq!(second.event["request"]["clientMetadata"], json!({"from": "app"}));
    pool.verify().await;
}

#[tokio::test]
async fn each_of_many_sign_ins_is_told_once_and_in_order() {
    const SIGN_INS: usize = 24;
    let (pool, responder) = pool_with(&[Trigger::PostAuthentication]).await;
    let person = pool.person("jane").await;
    let sign_ins = (0..SIGN_INS).map(|_| pool.sign_in(&person.username, PASSWORD));
    for signed_in in futures::future::join_all(sign_ins).await {
        signed_in.unwrap();
    }
    let told = told(&responder, SIGNED_IN, SIGN_INS).await;
    let ids: Vec<_> = told.iter().map(|asked| asked.headers["id"].clone()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), SIGN_INS);
    pool.verify().await;
}

const PREFIX: &str = "telling.";
const TOPIC: &str = "telling.userpool.triggers.post-confirmation";
const USERS: usize = 30;

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

fn start(installation: &Installation, brokers: &str) -> Serve {
    installation.start(&["--kafka-brokers", brokers, "--kafka-prefix", PREFIX])
}

fn call(installation: &Installation, server: &Serve, operation: &str, request: &Value) -> Value {
    let (grpc, request) = (server.grpc.to_string(), request.to_string());
    let printed =
        installation.run(&["call", operation, &request, "--grpc-addr", &grpc, "--token", &installation.token]);
    if printed.trim().is_empty() { Value::Null } else { serde_json::from_str(&printed).expect("it prints JSON") }
}

async fn sign_up_and_confirm(installation: &Installation, server: &Serve, ids: (&str, &str), name: &str) -> String {
    let (pool, client) = ids;
    let body = json!({ "ClientId": client, "Username": name, "Password": PASSWORD });
    let target = [("x-amz-target", "AWSCognitoIdentityProviderService.SignUp")];
    let answer =
        send_if_there(server.http, "POST", "/", &target, body.to_string().as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    call(installation, server, "AdminConfirmSignUp", &json!({ "UserPoolId": pool, "Username": name }));
    answer.json()["UserSub"].as_str().expect("a sub").to_owned()
}

/// No brokers are there at first, so that everything waits; then a server is killed while it tells, and another one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_brokers_are_away_or_when_a_server_is_killed() {
    let (installation, server, pool, client) = blocking(|| {
        let postgres = &environment().postgres;
        postgres.create_database("telling");
        let installation = Installation::on(&postgres.url("telling"));
        let server = start(&installation, "127.0.0.1:1");
        let post_confirmation = json!({ "PostConfirmation": function(Trigger::PostConfirmation) });
        let pool = json!({ "PoolName": "telling", "LambdaConfig": post_confirmation });
        let pool = call(&installation, &server, "CreateUserPool", &pool)["UserPool"]["Id"].as_str().unwrap().to_owned();
        let client = json!({ "UserPoolId": pool, "ClientName": "app" });
        let client = call(&installation, &server, "CreateUserPoolClient", &client);
        let client = client["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned();
        (installation, server, pool, client)
    })
    .await;
    let mut subs = BTreeSet::new();
    for number in 0..USERS {
        let name = format!("user-{number}");
        subs.insert(sign_up_and_confirm(&installation, &server, (&pool, &client), &name).await);
    }
    let listed = installation.run(&["messages", "list"]);
    assert_eq!(listed.matches("TRIGGER").count(), USERS, "{listed}");
    let database = PgPool::connect(&installation.database_url).await.unwrap();
    let (installation, mut server) = blocking(move || {
        let mut server = server;
        server.end(Signal::SIGKILL);
        let server = start(&installation, &environment().kafka.bootstrap);
        (installation, server)
    })
    .await;
    sqlx::query("update outbox set next_at = now()").execute(&database).await.unwrap();
    let waiting =
        async || sqlx::query_scalar::<_, i64>("select count(*) from outbox").fetch_one(&database).await.unwrap();
    assert!(eventually(async || waiting().await < USERS as i64).await, "{}", server.log());
    let (installation, server) = blocking(move || {
        server.end(Signal::SIGKILL);
        let server = start(&installation, &environment().kafka.bootstrap);
        (installation, server)
    })
    .await;
    let key = format!("{pool}/");
    let expected = subs.clone();
    read_until(&environment().kafka.bootstrap, TOPIC, move |records| {
        let told: BTreeSet<_> = records.iter().filter_map(|record| record.key.strip_prefix(&key)).collect();
        expected.iter().all(|sub| told.contains(sub.as_str()))
    })
    .await;
    assert!(eventually(async || waiting().await == 0).await, "{}", server.log());
    blocking(move || drop((server, installation))).await;
}

/// Where an operator wants callers to wait, the error of the trigger is theirs, and what was done stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_awaited_trigger_is_asked_after_the_commit() {
    let (installation, server, pool) = blocking(|| {
        let postgres = &environment().postgres;
        postgres.create_database("awaited");
        let installation = Installation::on(&postgres.url("awaited"));
        let brokers = &environment().kafka.bootstrap;
        let awaited = "post-confirmation,post-authentication";
        let server = installation.start(&["--kafka-brokers", brokers, "--triggers-await", awaited]);
        let config = json!({
            "PostConfirmation": function(Trigger::PostConfirmation),
            "PostAuthentication": function(Trigger::PostAuthentication),
        });
        let pool = json!({ "PoolName": "awaited", "LambdaConfig": config });
        let pool = call(&installation, &server, "CreateUserPool", &pool)["UserPool"]["Id"].as_str().unwrap().to_owned();
        (installation, server, pool)
    })
    .await;
    let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
    let client = json!({ "UserPoolId": pool, "ClientName": "app", "ExplicitAuthFlows": flows });
    let client = call(&installation, &server, "CreateUserPoolClient", &client);
    let client = client["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned();
    let responder = triggers::respond(&pool, |asked| match asked.event["userName"] == "bad" {
        true => Reply::Error("not you".to_owned()),
        false => asked.answered(json!({})),
    })
    .await;
    for name in ["good", "bad"] {
        let body = json!({ "ClientId": client, "Username": name, "Password": PASSWORD });
        let sign_up = aws(&server, "SignUp", &body).await;
        assert_eq!(sign_up.status, 200, "{}", sign_up.text());
        let output = installation.output(&[
            "call",
            "AdminConfirmSignUp",
            &json!({ "UserPoolId": pool, "Username": name }).to_string(),
            "--grpc-addr",
            &server.grpc.to_string(),
            "--token",
            &installation.token,
        ]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), name == "good", "{errors}");
        assert_eq!(errors.contains("PostConfirmation failed with error not you."), name == "bad", "{errors}");
        // Confirmed in any case.
        let parameters = json!({ "USERNAME": name, "PASSWORD": PASSWORD });
        let body = json!({ "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters });
        let signed_in = aws(&server, "InitiateAuth", &body).await;
        match name {
            "good" => assert_eq!(signed_in.status, 200, "{}", signed_in.text()),
            _ => assert_eq!(signed_in.exception().0, "UserLambdaValidationException"),
        }
    }
    let sources: Vec<_> = responder.asked().iter().map(|asked| asked.source().to_owned()).collect();
    assert_eq!(sources, [CONFIRMED, SIGNED_IN, CONFIRMED, SIGNED_IN]);
    let database = PgPool::connect(&installation.database_url).await.unwrap();
    let count =
        async |statement: &'static str| sqlx::query_scalar::<_, i64>(statement).fetch_one(&database).await.unwrap();
    assert_eq!(count("select count(*) from outbox").await, 0);
    assert_eq!(count("select count(*) from sessions").await, 2);
    blocking(move || drop((server, installation))).await;
}

async fn aws(server: &Serve, operation: &str, body: &Value) -> crate::support::http::Answer {
    let target = format!("AWSCognitoIdentityProviderService.{operation}");
    let target = [("x-amz-target", target.as_str())];
    let answer = send_if_there(server.http, "POST", "/", &target, body.to_string().as_bytes()).await;
    answer.expect("an answer")
}

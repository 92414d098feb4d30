//! The pre authentication trigger: it refuses sign-ins before anything is proved.

use serde_json::json;
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, texts, unique};
use crate::support::requests::same_fields;
use crate::support::triggers::{self, Asked, Reply, Responder, lambda_config};

const REFUSED: (&str, &str) = ("UserLambdaValidationException", "PreAuthentication failed with error not from there.");

fn client(existence: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&[
            "ALLOW_USER_PASSWORD_AUTH",
            "ALLOW_ADMIN_USER_PASSWORD_AUTH",
            "ALLOW_USER_SRP_AUTH",
            "ALLOW_USER_AUTH",
            "ALLOW_REFRESH_TOKEN_AUTH",
        ]),
        prevent_user_existence_errors: Some(existence.to_owned()),
        ..Default::default()
    }
}

async fn pool_with(existence: &str, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Pool, Responder) {
    let allowed = texts(&["PASSWORD", "EMAIL_OTP"]);
    let sign_in_policy = Some(SignInPolicyType { allowed_first_auth_factors: allowed });
    let policies = Some(UserPoolPolicyType { sign_in_policy, ..Default::default() });
    let lambda_config = Some(lambda_config(&[Trigger::PreAuthentication]));
    let request = CreateUserPoolRequest { lambda_config, policies, ..email_pool() };
    let pool = Pool::create_with(request, client(existence)).await;
    let responder = triggers::respond(&pool.id, handler).await;
    (pool, responder)
}

fn admits(asked: &Asked) -> Reply {
    asked.answered(json!({}))
}

/// Refuses whoever's validation data has this source.
fn refuses_elsewhere(asked: &Asked) -> Reply {
    match asked.event["request"]["validationData"]["source"].as_str() {
        Some("elsewhere") => Reply::Error("not from there".to_owned()),
        _ => admits(asked),
    }
}

fn begin(pool: &Pool, flow: &str, values: &[(&str, &str)]) -> InitiateAuthRequest {
    InitiateAuthRequest {
        auth_flow: Some(flow.to_owned()),
        client_id: Some(pool.client_id.clone()),
        auth_parameters: parameters(values),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_trigger_gets_what_a_lambda_function_gets() {
    let (pool, responder) = pool_with("ENABLED", admits).await;
    let jane = pool.person("jane").await;
    let client_metadata = parameters(&[("source", "app")]);
    let request = InitiateAuthRequest { client_metadata, ..pool.sign_in_request(&jane.email, PASSWORD) };
    assert_eq!(pool.api.call(request.clone()).await.unwrap_err().pair().0, "NotAuthorizedException", "no alias");
    let request = InitiateAuthRequest {
        auth_parameters: pool.sign_in_request(&jane.username, PASSWORD).auth_parameters,
        ..request
    };
    let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();
    let [nobody, asked] = &responder.asked()[..] else { panic!("two questions") };
    let event = |name: &str, request: serde_json::Value| {
        json!({
            "version": "1",
            "region": "us-east-1",
            "userPoolId": pool.id,
            "userName": name,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": pool.client_id},
            "triggerSource": "PreAuthentication_Authentication",
            "request": request,
            "response": {},
        })
    };
    let request = json!({
        "userAttributes": {
            "sub": jane.sub, "email": jane.email, "email_verified": "true", "cognito:user_status": "CONFIRMED",
        },
        "validationData": {"source": "app"},
        "userNotFound": false,
    });
    assert_eq!(asked.event, event(&jane.username, request));
    let request = json!({"userAttributes": {}, "validationData": {"source": "app"}, "userNotFound": true});
    assert_eq!(nobody.event, event(&jane.email, request));
    // A refresh asks nobody.
    pool.refresh(tokens.refresh_token()).await.unwrap();
    assert_eq!(responder.asked().len(), 2);
    pool.verify().await;
}

#[tokio::test]
async fn every_flow_is_refused_before_anything_is_proved_or_sent() {
    let (pool, responder) = pool_with("ENABLED", refuses_elsewhere).await;
    let jane = pool.person("jane").await;
    let sent = pool.api.mailbox(&jane.email).await.len();
    let srp_a = crate::support::srp::Client::quick().public();
    let name = ("USERNAME", jane.username.as_str());
    let elsewhere = parameters(&[("source", "elsewhere")]);
    let requests = [
        begin(&pool, "USER_PASSWORD_AUTH", &[name, ("PASSWORD", "Wrong-horse-7")]),
        begin(&pool, "USER_SRP_AUTH", &[name, ("SRP_A", &srp_a)]),
        begin(&pool, "USER_AUTH", &[name]),
        begin(&pool, "USER_AUTH", &[name, ("PREFERRED_CHALLENGE", "EMAIL_OTP")]),
        begin(&pool, "USER_AUTH", &[name, ("PREFERRED_CHALLENGE", "PASSWORD"), ("PASSWORD", PASSWORD)]),
    ];
    for request in &requests {
        let request = InitiateAuthRequest { client_metadata: elsewhere.clone(), ..request.clone() };
        for _ in 0..5 {
            assert_refused(pool.api.call(request.clone()).await, REFUSED.0, REFUSED.1);
        }
    }
    let by_server = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".into()),
        client_metadata: elsewhere,
        ..same_fields(&requests[0])
    };
    assert_refused(pool.api.call(by_server).await, REFUSED.0, REFUSED.1);
    assert_eq!(responder.asked().len(), 5 * requests.len() + 1);
    assert_eq!(pool.api.mailbox(&jane.email).await.len(), sent, "no code was sent");
    // No wrong password was counted: five would lock.
    pool.sign_in(&jane.username, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_choice_is_asked_about_where_it_begins() {
    let (pool, responder) = pool_with("ENABLED", refuses_elsewhere).await;
    let jane = pool.person("jane").await;
    let begun = pool.api.call(begin(&pool, "USER_AUTH", &[("USERNAME", &jane.username)])).await.unwrap();
    assert_eq!((begun.challenge_name(), responder.asked().len()), ("SELECT_CHALLENGE", 1));
    let choice = RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("SELECT_CHALLENGE".into()),
        session: begun.session,
        challenge_responses: parameters(&[
            ("USERNAME", &jane.username),
            ("ANSWER", "PASSWORD"),
            ("PASSWORD", PASSWORD),
        ]),
        client_metadata: parameters(&[("source", "elsewhere")]),
        ..Default::default()
    };
    assert!(pool.api.call(choice).await.unwrap().authentication_result.is_some());
    assert_eq!(responder.asked().len(), 1);
    pool.verify().await;
}

#[tokio::test]
async fn the_trigger_is_not_asked_about_what_is_refused_anyway() {
    let (pool, responder) = pool_with("LEGACY", admits).await;
    let jane = pool.person("jane").await;
    let nobody = pool.sign_in(&unique("nobody"), PASSWORD).await;
    assert_refused(nobody, "UserNotFoundException", "User does not exist.");
    assert_eq!(responder.asked().len(), 0);
    for _ in 0..5 {
        pool.sign_in(&jane.username, "Wrong-horse-7").await.unwrap_err();
    }
    let locked = pool.sign_in(&jane.username, PASSWORD).await;
    assert_refused(locked, "NotAuthorizedException", "Password attempts exceeded");
    assert_eq!(responder.asked().len(), 5);
    pool.verify().await;
}

#[tokio::test]
async fn garbage_and_silence_refuse_a_sign_in() {
    let (pool, responder) =
        pool_with("ENABLED", |asked| match asked.event["request"]["validationData"]["source"].as_str() {
            Some("garbage") => Reply::Raw(b"null".to_vec()),
            _ => Reply::Silence,
        })
        .await;
    let jane = pool.person("jane").await;
    let from = |source: &str| InitiateAuthRequest {
        client_metadata: parameters(&[("source", source)]),
        ..pool.sign_in_request(&jane.username, PASSWORD)
    };
    let garbage = pool.api.call(from("garbage")).await;
    assert_refused(garbage, "InvalidLambdaResponseException", "Unrecognizable lambda output");
    let silence = pool.api.call(from("silence")).await;
    let message = "PreAuthentication invocation failed due to error Socket timeout while invoking Lambda function.";
    assert_refused(silence, "UnexpectedLambdaException", message);
    assert_eq!(responder.asked().len(), 4);
    pool.verify().await;
}

//! The pre sign-up trigger: it refuses, confirms and verifies new users.

use serde_json::json;
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::pool::{
    PASSWORD, Pool, attributes, by_name, email_pool, parameters, password_client, texts, unique,
};
use crate::support::triggers::{self, Asked, Reply, Responder, function, lambda_config};

/// A pool whose new users are admitted by this handler.
async fn pool_with(
    request: CreateUserPoolRequest,
    handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Pool, Responder) {
    let lambda_config = Some(lambda_config(&[Trigger::PreSignUp]));
    let pool = Pool::create_with(CreateUserPoolRequest { lambda_config, ..request }, password_client()).await;
    let responder = triggers::respond(&pool.id, handler).await;
    (pool, responder)
}

fn admits(asked: &Asked) -> Reply {
    asked.answered(json!({"autoConfirmUser": true, "autoVerifyEmail": true, "autoVerifyPhone": false}))
}

#[tokio::test]
async fn the_trigger_gets_what_a_lambda_function_gets() {
    let (pool, responder) = pool_with(email_pool(), |asked| asked.answered(json!({}))).await;
    let email = format!("{}@example.com", unique("jane"));
    let request = SignUpRequest {
        validation_data: attributes(&[("captcha", "7")]),
        client_metadata: parameters(&[("source", "app")]),
        ..pool.sign_up_request("jane", &[("email", &email), ("name", "Jane")])
    };
    let answer = pool.api.call(request).await.unwrap();
    assert!(!answer.user_confirmed() && answer.code_delivery_details.is_some());
    let [asked] = &responder.asked()[..] else { panic!("one question") };
    let expected = json!({
        "version": "1",
        "region": "us-east-1",
        "userPoolId": pool.id,
        "userName": "jane",
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": pool.client_id},
        "triggerSource": "PreSignUp_SignUp",
        "request": {
            "userAttributes": {"email": email, "name": "Jane"},
            "validationData": {"captcha": "7"},
            "clientMetadata": {"source": "app"},
        },
        "response": {"autoConfirmUser": false, "autoVerifyEmail": false, "autoVerifyPhone": false},
    });
    assert_eq!(asked.event, expected);
    assert_eq!(asked.topic, "userpool.triggers.pre-sign-up");
    let header = |name: &str| asked.headers[name].clone();
    assert_eq!((header("function"), header("attempt")), (function(Trigger::PreSignUp), "1".to_owned()));
    assert_eq!(header("reply-to"), "userpool.triggers.replies");
    assert_eq!(header("correlation-id"), asked.key);
    assert_eq!((asked.key.len(), hex::decode(&asked.key).map(|id| id.len())), (32, Ok(16)));
    let deadline: i64 = header("deadline").parse().unwrap();
    let left = deadline - userpool::environment::Clock.now().0;
    assert!((0..=5_000).contains(&left), "{left}");
    pool.verify().await;
}

#[tokio::test]
async fn metadata_that_was_not_given_is_null_and_an_address_as_a_name_gives_way_to_the_sub() {
    let by_email = CreateUserPoolRequest { username_attributes: texts(&["email"]), ..email_pool() };
    let (pool, responder) = pool_with(by_email, |asked| asked.answered(json!({}))).await;
    let email = format!("{}@example.com", unique("jane"));
    let answer = pool.sign_up(&email, &[]).await.unwrap();
    let asked = responder.asked().remove(0).event;
    assert_eq!(asked["userName"], json!(answer.user_sub()));
    let request = json!({"userAttributes": {"email": email}, "validationData": null, "clientMetadata": null});
    assert_eq!(asked["request"], request);
    pool.verify().await;
}

#[tokio::test]
async fn a_confirmed_user_signs_in_at_once_and_is_sent_no_code() {
    let (pool, _) = pool_with(email_pool(), admits).await;
    let email = format!("{}@example.com", unique("jane"));
    let answer = pool.sign_up("jane", &[("email", &email)]).await.unwrap();
    assert_eq!((answer.user_confirmed(), answer.code_delivery_details, answer.session), (true, None, None));
    let tokens = pool.sign_in("jane", PASSWORD).await.unwrap();
    let user = by_name(&pool.get_user(tokens.access_token()).await.unwrap().user_attributes);
    assert_eq!(user["email_verified"], "true");
    let status = pool.admin_get_user("jane").await.unwrap();
    assert_eq!(status.user_status(), "CONFIRMED");
    pool.verify().await;
}

#[tokio::test]
async fn a_verified_address_is_taken_from_the_user_who_had_it() {
    let by_alias = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let (pool, _) = pool_with(by_alias, admits).await;
    let email = format!("{}@example.com", unique("shared"));
    for name in ["first", "second"] {
        pool.sign_up(name, &[("email", &email)]).await.unwrap();
        let owner = pool.admin_get_user(&email).await.unwrap();
        assert_eq!(owner.username(), name);
    }
    let first = by_name(&pool.admin_get_user("first").await.unwrap().user_attributes);
    assert_eq!(first["email_verified"], "false");
    pool.verify().await;
}

#[tokio::test]
async fn an_address_that_is_not_there_cannot_be_verified() {
    let (pool, _) = pool_with(email_pool(), admits).await;
    let why = "Unrecognizable lambda output: email can't be verified, because the user has none.";
    assert_refused(pool.sign_up("jane", &[]).await, "InvalidLambdaResponseException", why);
    assert_refused(pool.admin_get_user("jane").await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn a_refused_user_does_not_exist() {
    let (pool, responder) = pool_with(email_pool(), |_| Reply::Error("not from there".to_owned())).await;
    let why = "PreSignUp failed with error not from there.";
    assert_refused(pool.sign_up("jane", &[]).await, "UserLambdaValidationException", why);
    let request = pool.create_user_request("jane", &[]);
    assert_refused(pool.api.call(request).await, "UserLambdaValidationException", why);
    assert_refused(pool.admin_get_user("jane").await, "UserNotFoundException", "User does not exist.");
    assert_eq!(responder.asked().len(), 2);
    pool.verify().await;
}

#[tokio::test]
async fn the_trigger_is_not_asked_about_what_is_refused_anyway() {
    let (pool, responder) = pool_with(email_pool(), admits).await;
    let email = format!("{}@example.com", unique("jane"));
    pool.sign_up("jane", &[("email", &email)]).await.unwrap();
    assert_refused(pool.sign_up("jane", &[("email", &email)]).await, "UsernameExistsException", "User already exists");
    let weak = SignUpRequest { password: Some("weak".to_owned()), ..pool.sign_up_request("joan", &[]) };
    assert_eq!(pool.api.call(weak).await.unwrap_err().exception, "InvalidPasswordException");
    assert_eq!(responder.asked().len(), 1);
    pool.verify().await;
}

#[tokio::test]
async fn an_administrator_s_user_is_admitted_or_refused_and_nothing_more() {
    let (pool, responder) = pool_with(email_pool(), admits).await;
    let email = format!("{}@example.com", unique("jane"));
    let request = AdminCreateUserRequest {
        message_action: Some("SUPPRESS".to_owned()),
        validation_data: attributes(&[("ticket", "1")]),
        client_metadata: parameters(&[("source", "console")]),
        ..pool.create_user_request("jane", &[("email", &email), ("email_verified", "false")])
    };
    let created = pool.api.call(request).await.unwrap().user.unwrap();
    assert_eq!(created.user_status(), "FORCE_CHANGE_PASSWORD");
    assert_eq!(by_name(&created.attributes)["email_verified"], "false");
    let asked = responder.asked().remove(0).event;
    assert_eq!(asked["triggerSource"], "PreSignUp_AdminCreateUser");
    assert_eq!(asked["callerContext"]["clientId"], "CLIENT_ID_NOT_APPLICABLE");
    let expected = json!({
        "userAttributes": {"email": email, "email_verified": "false"},
        "validationData": {"ticket": "1"},
        "clientMetadata": {"source": "console"},
    });
    assert_eq!(asked["request"], expected);
    pool.verify().await;
}

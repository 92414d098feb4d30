//! The custom message trigger: it words every message that carries a code or a temporary password.

use serde_json::{Value, json};
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::choice::choosing_client;
use crate::support::client::{Api, assert_refused};
use crate::support::mfa::{all_factors, answer_request};
use crate::support::one_time_codes::{by_email, with_codes};
use crate::support::pool::{PASSWORD, Pool, attributes, email_pool, parameters, password_client, unique, unique_phone};
use crate::support::triggers::{self, Asked, Reply, Responder, lambda_config};

/// A pool whose messages are worded by this handler.
async fn pool_with(
    request: CreateUserPoolRequest,
    client: CreateUserPoolClientRequest,
    handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Pool, Responder) {
    let lambda_config = Some(lambda_config(&[Trigger::CustomMessage]));
    let pool = Pool::create_with(CreateUserPoolRequest { lambda_config, ..request }, client).await;
    let responder = triggers::respond(&pool.id, handler).await;
    (pool, responder)
}

/// Texts that name their source.
fn by_source(asked: &Asked) -> Reply {
    let source = asked.source();
    let text = format!("{source}: {{####}} for {{username}}");
    asked.answered(json!({"smsMessage": text, "emailMessage": text, "emailSubject": format!("Subject of {source}")}))
}

/// The newest of at least so many messages, with its code checked and taken out of its text.
async fn newest(api: &Api, address: &str, count: usize) -> (String, String) {
    let message = api.messages_for(address, count).await.swap_remove(0);
    let (code, body) = (message["code"].as_str().unwrap(), message["body"].as_str().unwrap());
    assert!(body.contains(code), "{body}");
    (body.replace(code, "CODE"), code.to_owned())
}

fn metadata() -> std::collections::BTreeMap<String, String> {
    parameters(&[("from", "app")])
}

#[tokio::test]
async fn each_message_about_a_user_is_worded_by_the_trigger() {
    let (pool, responder) = pool_with(email_pool(), password_client(), by_source).await;
    let (name, email) = (unique("jane"), format!("{}@example.com", unique("jane")));
    let client_id = Some(pool.client_id.clone());
    let sign_up = SignUpRequest { client_metadata: metadata(), ..pool.sign_up_request(&name, &[("email", &email)]) };
    let sub = pool.api.call(sign_up).await.unwrap().user_sub.unwrap();
    assert_eq!(newest(&pool.api, &email, 1).await.0, format!("CustomMessage_SignUp: CODE for {name}"));
    assert_eq!(pool.api.messages_for(&email, 1).await[0]["subject"], "Subject of CustomMessage_SignUp");
    let [asked] = &responder.asked()[..] else { panic!("one question") };
    let expected = json!({
        "version": "1",
        "region": "us-east-1",
        "userPoolId": pool.id,
        "userName": name,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": pool.client_id},
        "triggerSource": "CustomMessage_SignUp",
        "request": {
            "userAttributes": {
                "sub": sub, "email": email, "email_verified": "false", "cognito:user_status": "UNCONFIRMED",
            },
            "codeParameter": "{####}",
            "linkParameter": "{##Click Here##}",
            "usernameParameter": null,
            "clientMetadata": {"from": "app"},
        },
        "response": {"smsMessage": null, "emailMessage": null, "emailSubject": null},
    });
    let mut event = asked.event.clone();
    let flag = event["request"]["userAttributes"].as_object_mut().unwrap().remove("email_verified");
    assert!(flag.is_none() || flag == Some(json!("false")));
    let mut expected: Value = expected;
    expected["request"]["userAttributes"].as_object_mut().unwrap().remove("email_verified");
    assert_eq!(event, expected);

    let resend = ResendConfirmationCodeRequest {
        client_id: client_id.clone(),
        username: Some(name.clone()),
        client_metadata: metadata(),
        ..Default::default()
    };
    pool.api.call(resend).await.unwrap();
    let (body, code) = newest(&pool.api, &email, 2).await;
    assert_eq!(body, format!("CustomMessage_ResendCode: CODE for {name}"));
    pool.confirm(&name, &code).await.unwrap();

    let forgot = ForgotPasswordRequest {
        client_id: client_id.clone(),
        username: Some(name.clone()),
        client_metadata: metadata(),
        ..Default::default()
    };
    pool.api.call(forgot).await.unwrap();
    assert_eq!(newest(&pool.api, &email, 3).await.0, format!("CustomMessage_ForgotPassword: CODE for {name}"));

    let tokens = pool.sign_in(&name, PASSWORD).await.unwrap();
    let verify = GetUserAttributeVerificationCodeRequest {
        access_token: tokens.access_token.clone(),
        attribute_name: Some("email".to_owned()),
        client_metadata: metadata(),
    };
    pool.api.call(verify).await.unwrap();
    let expected = format!("CustomMessage_VerifyUserAttribute: CODE for {name}");
    assert_eq!(newest(&pool.api, &email, 4).await.0, expected);

    let other = format!("{}@example.com", unique("other"));
    let update = UpdateUserAttributesRequest {
        access_token: tokens.access_token.clone(),
        user_attributes: attributes(&[("email", &other)]),
        client_metadata: metadata(),
    };
    pool.api.call(update).await.unwrap();
    let (body, code) = newest(&pool.api, &other, 1).await;
    assert_eq!(body, format!("CustomMessage_UpdateUserAttribute: CODE for {name}"));
    let verify = VerifyUserAttributeRequest {
        access_token: tokens.access_token.clone(),
        attribute_name: Some("email".to_owned()),
        code: Some(code),
    };
    pool.api.call(verify).await.unwrap();
    let reset = AdminResetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        client_metadata: metadata(),
    };
    pool.api.call(reset).await.unwrap();
    assert_eq!(newest(&pool.api, &other, 2).await.0, format!("CustomMessage_ForgotPassword: CODE for {name}"));
    for asked in responder.asked() {
        assert_eq!(asked.event["request"]["clientMetadata"], json!({"from": "app"}), "{}", asked.source());
        assert_eq!(asked.topic, "userpool.triggers.custom-message");
    }
    assert_eq!(responder.asked().len(), 6);
    pool.verify().await;
}

#[tokio::test]
async fn an_invitation_names_the_user_and_the_temporary_password() {
    let (pool, responder) = pool_with(email_pool(), password_client(), by_source).await;
    let (name, email) = (unique("jane"), format!("{}@example.com", unique("jane")));
    let invite = AdminCreateUserRequest {
        desired_delivery_mediums: vec!["EMAIL".to_owned()],
        client_metadata: metadata(),
        ..pool.create_user_request(&name, &[("email", &email)])
    };
    pool.api.call(invite.clone()).await.unwrap();
    let expected = format!("CustomMessage_AdminCreateUser: CODE for {name}");
    assert_eq!(newest(&pool.api, &email, 1).await.0, expected);
    pool.api.call(AdminCreateUserRequest { message_action: Some("RESEND".to_owned()), ..invite }).await.unwrap();
    assert_eq!(newest(&pool.api, &email, 2).await.0, expected);
    let [first, second] = &responder.asked()[..] else { panic!("two questions") };
    for asked in [first, second] {
        assert_eq!(asked.event["request"]["usernameParameter"], "{username}");
        assert_eq!(asked.event["request"]["clientMetadata"], Value::Null);
        assert_eq!(asked.event["callerContext"]["clientId"], "CLIENT_ID_NOT_APPLICABLE");
    }
    // No message, no question.
    let other = unique("silent");
    pool.create_user(&other, &[], PASSWORD).await;
    assert_eq!(responder.asked().len(), 2);
    pool.verify().await;
}

#[tokio::test]
async fn the_codes_of_sign_ins_are_worded_too() {
    let (pool, responder) = pool_with(with_codes(), choosing_client("ENABLED"), by_source).await;
    let person = pool.person("jane").await;
    by_email(&pool, &person.username).await.unwrap();
    let expected = format!("CustomMessage_Authentication: CODE for {}", person.username);
    assert_eq!(newest(&pool.api, &person.email, 2).await.0, expected);
    // Nobody is asked about a name that nobody has.
    by_email(&pool, &unique("nobody")).await.unwrap();
    assert_eq!(responder.asked_of("CustomMessage_Authentication").len(), 1);
    pool.verify().await;
}

#[tokio::test]
async fn the_code_of_a_second_factor_is_worded_with_the_metadata_of_the_answer_before() {
    let (pool, responder) = pool_with(email_pool(), password_client(), by_source).await;
    let phone = unique_phone();
    let person = pool.person_with("jane", &[("phone_number", &phone)]).await;
    let on = SetUserPoolMfaConfigRequest { software_token_mfa_configuration: None, ..all_factors(&pool, "ON") };
    pool.api.call(on).await.unwrap();
    let challenge = pool.challenge(&person.username, PASSWORD).await;
    let asked_of = || responder.asked_of("CustomMessage_Authentication");
    match challenge.challenge_name() {
        "SELECT_MFA_TYPE" => {
            let session = ("SELECT_MFA_TYPE", challenge.session());
            let answer = answer_request(&pool, session, &[("USERNAME", &person.username), ("ANSWER", "SMS_MFA")]);
            pool.api.call(RespondToAuthChallengeRequest { client_metadata: metadata(), ..answer }).await.unwrap();
            assert_eq!(asked_of()[0].event["request"]["clientMetadata"], json!({"from": "app"}));
        }
        other => {
            assert_eq!(other, "SMS_MFA");
            assert_eq!(asked_of()[0].event["request"]["clientMetadata"], Value::Null);
        }
    }
    let expected = format!("CustomMessage_Authentication: CODE for {}", person.username);
    assert_eq!(newest(&pool.api, &phone, 1).await.0, expected);
    pool.verify().await;
}

#[tokio::test]
async fn a_link_stands_in_the_place_of_the_trigger() {
    let template = VerificationMessageTemplateType {
        default_email_option: Some("CONFIRM_WITH_LINK".to_owned()),
        ..Default::default()
    };
    let request = CreateUserPoolRequest { verification_message_template: Some(template), ..email_pool() };
    let (pool, _) = pool_with(request, password_client(), |asked| {
        let place = asked.event["request"]["linkParameter"].as_str().unwrap().to_owned();
        asked.answered(json!({"emailMessage": format!("Please {place}")}))
    })
    .await;
    let email = format!("{}@example.com", unique("jane"));
    pool.sign_up("jane", &[("email", &email)]).await.unwrap();
    let message = pool.api.messages_for(&email, 1).await.remove(0);
    let (body, link) = (message["body"].as_str().unwrap(), message["link"].as_str().unwrap());
    assert_eq!(body, format!("Please <a href=\"{}\">Click Here</a>", link.replace('&', "&amp;")));
    pool.verify().await;
}

#[tokio::test]
async fn nothing_happens_if_the_trigger_answers_badly_and_null_is_the_template() {
    let (pool, _) = pool_with(email_pool(), password_client(), |asked| {
        match asked.event["request"]["clientMetadata"]["case"].as_str() {
            Some("no code") => asked.answered(json!({"emailMessage": "no code"})),
            Some("long") => asked.answered(json!({"emailMessage": format!("{{####}}{}", "x".repeat(20_000))})),
            Some("error") => Reply::Error("not today".to_owned()),
            Some("null") => Reply::Raw(b"null".to_vec()),
            Some("silence") => Reply::Silence,
            _ => asked.answered(json!({"smsMessage": null, "emailMessage": null, "emailSubject": null})),
        }
    })
    .await;
    let email = format!("{}@example.com", unique("jane"));
    let invalid = "InvalidLambdaResponseException";
    for (case, exception, message) in [
        ("no code", invalid, "Unrecognizable lambda output: emailMessage does not contain {####}."),
        ("long", invalid, "Unrecognizable lambda output: emailMessage has more than 20000 characters."),
        ("null", invalid, "Unrecognizable lambda output"),
        ("error", "UserLambdaValidationException", "CustomMessage failed with error not today."),
        (
            "silence",
            "UnexpectedLambdaException",
            "CustomMessage invocation failed due to error Socket timeout while invoking Lambda function.",
        ),
    ] {
        let client_metadata = parameters(&[("case", case)]);
        let request = SignUpRequest { client_metadata, ..pool.sign_up_request("jane", &[("email", &email)]) };
        assert_refused(pool.api.call(request).await, exception, message);
        assert_refused(pool.admin_get_user("jane").await, "UserNotFoundException", "User does not exist.");
    }
    pool.sign_up("jane", &[("email", &email)]).await.unwrap();
    let (body, _) = newest(&pool.api, &email, 1).await;
    assert_eq!(body, "Your confirmation code is CODE");
    assert_eq!(pool.api.mailbox(&email).await.len(), 1);
    pool.verify().await;
}

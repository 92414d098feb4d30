//! Signing in with a second factor: which is asked for, by which message, and what becomes of the session.

use serde_json::Value;
use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::events::{ACTIVITY, Record, read_until};
use crate::support::mfa::{
    all_factors, answer_request, apps_alone, asked, code_request, give_code, password_flows, person_with_phone,
    pool_with_factors, prefer, set_up_app,
};
use crate::support::pool::{PASSWORD, Pool, by_name, email_pool, other_than, parameters, unique, unique_phone};
use crate::support::requests::same_fields;

const INVALID: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");
const MISMATCH: (&str, &str) = ("CodeMismatchException", "Invalid verification code provided, please try again.");
const EXPIRED: (&str, &str) = ("ExpiredCodeException", "Invalid code provided, please request a code again.");
const TEMPORARY: &str = "Temporary-horse-7";

fn sms_alone(pool: &Pool, mode: &str) -> SetUserPoolMfaConfigRequest {
    SetUserPoolMfaConfigRequest {
        software_token_mfa_configuration: None,
        email_mfa_configuration: None,
        ..all_factors(pool, mode)
    }
}

/// Asserts that an answer is refused, by a trusted server as well.
async fn refused(pool: &Pool, request: RespondToAuthChallengeRequest, (exception, message): (&str, &str)) {
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
    assert_refused(pool.api.call(by_server).await, exception, message);
    assert_refused(pool.api.call(request).await, exception, message);
}

/// The code of the newest message to an address, of which there are at least this many.
async fn newest(pool: &Pool, address: &str, count: usize) -> Value {
    pool.api.messages_for(address, count).await.swap_remove(0)
}

#[tokio::test]
async fn a_code_by_sms_signs_in_and_verifies_the_number() {
    let pool = Pool::create_with(email_pool(), password_flows()).await;
    pool.api.call(sms_alone(&pool, "ON")).await.unwrap();
    let (person, phone) = person_with_phone(&pool, "sms").await;
    let name = &person.username;
    let challenge = asked(&pool, name, "SMS_MFA").await;
    let told = &challenge.challenge_parameters;
    assert_eq!(told["CODE_DELIVERY_DELIVERY_MEDIUM"], "SMS");
    assert_eq!(
        told["CODE_DELIVERY_DESTINATION"],
        format!("+{}{}", "*".repeat(phone.len() - 5), &phone[phone.len() - 4..])
    );
    let message = newest(&pool, &phone, 1).await;
    let code = message["code"].as_str().unwrap().to_owned();
    assert_eq!(message["body"], format!("SMS code: {code}"));
    let session = ("SMS_MFA", challenge.session());
    let right = code_request(&pool, name, session, &code);
    // A wrong code leaves the session usable.
    refused(&pool, code_request(&pool, name, session, &other_than(&code)), MISMATCH).await;
    let verified = async || {
        by_name(&pool.admin_get_user(name).await.unwrap().user_attributes).get("phone_number_verified").cloned()
    };
    assert_eq!(verified().await.as_deref(), Some("false"));
    let client = pool.add_client(password_flows()).await.client_id;
    refused(&pool, RespondToAuthChallengeRequest { client_id: client, ..right.clone() }, INVALID).await;
    let other = RespondToAuthChallengeRequest { challenge_name: Some("EMAIL_OTP".into()), ..right.clone() };
    let other = RespondToAuthChallengeRequest {
        challenge_responses: parameters(&[("USERNAME", name), ("EMAIL_OTP_CODE", &code)]),
        ..other
    };
    refused(&pool, other, INVALID).await;
    let mut missing = right.clone();
    missing.challenge_responses.remove("SMS_MFA_CODE");
    refused(&pool, missing, ("InvalidParameterException", "Missing required parameter SMS_MFA_CODE")).await;
    let tokens = give_code(&pool, name, session, &code).await.unwrap();
    pool.refresh(tokens.refresh_token()).await.unwrap();
    assert_eq!(verified().await.as_deref(), Some("true"));
    refused(&pool, right, USED).await;
    pool.verify().await;
}

#[tokio::test]
async fn a_code_does_not_verify_a_number_that_is_the_name_of_another_user() {
    let request = CreateUserPoolRequest { alias_attributes: vec!["phone_number".into()], ..email_pool() };
    let pool = Pool::create_with(request, password_flows()).await;
    pool.api.call(sms_alone(&pool, "ON")).await.unwrap();
    let (person, phone) = person_with_phone(&pool, "shares").await;
    let owner = unique("owner");
    pool.create_user(&owner, &[("phone_number", &phone), ("phone_number_verified", "true")], TEMPORARY).await;
    let session = asked(&pool, &person.username, "SMS_MFA").await.session.unwrap();
    let code = pool.api.code_for(&phone).await;
    give_code(&pool, &person.username, ("SMS_MFA", &session), &code).await.unwrap();
    let told = by_name(&pool.admin_get_user(&person.username).await.unwrap().user_attributes);
    assert_eq!(told["phone_number_verified"], "false");
    assert_eq!(pool.admin_get_user(&phone).await.unwrap().username(), owner);
    pool.verify().await;
}

#[tokio::test]
async fn a_code_by_mail_signs_in_and_serves_once() {
    let pool = pool_with_factors("OPTIONAL").await;
    let person = pool.person("mail").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    prefer(&pool, &token, &["EMAIL_OTP"], None).await.unwrap();
    let first = asked(&pool, name, "EMAIL_OTP").await;
    assert_eq!(first.challenge_parameters["CODE_DELIVERY_DELIVERY_MEDIUM"], "EMAIL");
    assert_eq!(first.challenge_parameters["CODE_DELIVERY_DESTINATION"], format!("{}***@e***", &person.email[..1]));
    let message = newest(&pool, &person.email, 2).await;
    let code = message["code"].as_str().unwrap().to_owned();
    assert_eq!(
        (message["subject"].as_str(), message["body"].as_str()),
        (Some("Sign in"), Some(&*format!("<p>{code}</p>")))
    );
    // The next code takes the place of this one, in whichever session.
    let second = asked(&pool, name, "EMAIL_OTP").await;
    let newer = newest(&pool, &person.email, 3).await["code"].as_str().unwrap().to_owned();
    if newer != code {
        refused(&pool, code_request(&pool, name, ("EMAIL_OTP", second.session()), &code), MISMATCH).await;
    }
    give_code(&pool, name, ("EMAIL_OTP", first.session()), &newer).await.unwrap();
    // It is used up, and the other session has none.
    refused(&pool, code_request(&pool, name, ("EMAIL_OTP", second.session()), &newer), EXPIRED).await;
    let third = asked(&pool, name, "EMAIL_OTP").await;
    let code = newest(&pool, &person.email, 4).await["code"].as_str().unwrap().to_owned();
    // Three minutes pass.
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    sqlx::query("update codes set expires_at = expires_at - interval '181 seconds' where user_pool_id = $1")
        .bind(&pool.id)
        .execute(&database)
        .await
        .unwrap();
    refused(&pool, code_request(&pool, name, ("EMAIL_OTP", third.session()), &code), EXPIRED).await;
    pool.verify().await;
}

#[tokio::test]
async fn a_person_with_several_factors_chooses_one() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (person, phone) = person_with_phone(&pool, "several").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    let app = set_up_app(&pool, &token).await;
    prefer(&pool, &token, &["SMS_MFA", "SOFTWARE_TOKEN_MFA"], None).await.unwrap();
    let choose = |session: &str, choice: &str| {
        answer_request(&pool, ("SELECT_MFA_TYPE", session), &[("USERNAME", name), ("ANSWER", choice)])
    };
    let challenge = asked(&pool, name, "SELECT_MFA_TYPE").await;
    assert_eq!(challenge.challenge_parameters["MFAS_CAN_CHOOSE"], r#"["SMS_MFA","SOFTWARE_TOKEN_MFA"]"#);
    assert!(pool.api.mailbox(&phone).await.is_empty(), "no code is sent before the choice");
    let session = challenge.session();
    let unheard_of = ("InvalidParameterException", "ANSWER must be one of the factors in MFAS_CAN_CHOOSE.");
    refused(&pool, choose(session, "PIGEON"), unheard_of).await;
    let not_theirs = ("MFAMethodNotFoundException", "EMAIL_OTP is no second factor of the user.");
    refused(&pool, choose(session, "EMAIL_OTP"), not_theirs).await;
    let chosen = pool.api.call(choose(session, "SMS_MFA")).await.unwrap();
    assert_eq!(chosen.challenge_name(), "SMS_MFA");
    refused(&pool, choose(session, "SOFTWARE_TOKEN_MFA"), USED).await;
    let code = pool.api.code_for(&phone).await;
    give_code(&pool, name, ("SMS_MFA", chosen.session()), &code).await.unwrap();
    let session = asked(&pool, name, "SELECT_MFA_TYPE").await.session.unwrap();
    let chosen = pool.api.call(choose(&session, "SOFTWARE_TOKEN_MFA")).await.unwrap();
    assert_eq!(
        (chosen.challenge_name(), chosen.challenge_parameters["FRIENDLY_DEVICE_NAME"].as_str()),
        ("SOFTWARE_TOKEN_MFA", "pocket")
    );
    give_code(&pool, name, ("SOFTWARE_TOKEN_MFA", chosen.session()), &app.code(1)).await.unwrap();
    // A preferred one is asked for at once.
    prefer(&pool, &token, &["SMS_MFA", "SOFTWARE_TOKEN_MFA"], Some("SOFTWARE_TOKEN_MFA")).await.unwrap();
    asked(&pool, name, "SOFTWARE_TOKEN_MFA").await;
    pool.verify().await;
}

#[tokio::test]
async fn a_second_factor_follows_the_first_own_password() {
    let pool = Pool::create_with(email_pool(), password_flows()).await;
    pool.api.call(sms_alone(&pool, "ON")).await.unwrap();
    let (name, phone) = (unique("invited"), unique_phone());
    pool.create_user(&name, &[("phone_number", &phone)], TEMPORARY).await;
    let begin = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".into()),
        auth_parameters: parameters(&[("USERNAME", &name), ("PASSWORD", TEMPORARY)]),
        ..Default::default()
    };
    let challenge = pool.api.call(begin).await.unwrap();
    assert_eq!(challenge.challenge_name(), "NEW_PASSWORD_REQUIRED");
    let by_server = |request: RespondToAuthChallengeRequest| AdminRespondToAuthChallengeRequest {
        user_pool_id: Some(pool.id.clone()),
        ..same_fields(&request)
    };
    let request = by_server(pool.new_password_request(challenge.session(), &name, PASSWORD));
    let challenge = pool.api.call(request).await.unwrap();
    assert_eq!(challenge.challenge_name(), "SMS_MFA");
    // The password is theirs from now on, whether or not the sign-in is finished.
    assert_eq!(pool.admin_get_user(&name).await.unwrap().user_status(), "CONFIRMED");
    let code = pool.api.code_for(&phone).await;
    let request = by_server(code_request(&pool, &name, ("SMS_MFA", challenge.session()), &code));
    assert!(pool.api.call(request).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

#[tokio::test]
async fn the_pool_decides_whether_a_factor_is_asked_for() {
    let sms = SmsConfigurationType { external_id: Some("x".into()), ..Default::default() };
    let request = CreateUserPoolRequest {
        mfa_configuration: Some("ON".into()),
        sms_configuration: Some(sms.clone()),
        ..email_pool()
    };
    let pool = Pool::create_with(request, password_flows()).await;
    let (person, _) = person_with_phone(&pool, "modes").await;
    let name = &person.username;
    let session = asked(&pool, name, "SMS_MFA").await.session.unwrap();
    let update = |mode: &str| UpdateUserPoolRequest {
        user_pool_id: Some(pool.id.clone()),
        mfa_configuration: Some(mode.into()),
        sms_configuration: Some(sms.clone()),
        auto_verified_attributes: vec!["email".into()],
        ..Default::default()
    };
    pool.api.call(update("OPTIONAL")).await.unwrap();
    // The factor counted because one was required; the user has turned none on.
    let gone = ("MFAMethodNotFoundException", "SMS_MFA is no second factor of the user.");
    refused(&pool, code_request(&pool, name, ("SMS_MFA", &session), "123456"), gone).await;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    pool.api.call(apps_alone(&pool, "OPTIONAL")).await.unwrap();
    let app = set_up_app(&pool, &token).await;
    let session = asked(&pool, name, "SOFTWARE_TOKEN_MFA").await.session.unwrap();
    // Users keep what the pool turns off, and it is asked for again when the pool turns it on.
    pool.api.call(update("OFF")).await.unwrap();
    pool.sign_in(name, PASSWORD).await.unwrap();
    assert_eq!(pool.get_user(&token).await.unwrap().preferred_mfa_setting(), "SOFTWARE_TOKEN_MFA");
    let off = ("SoftwareTokenMFANotFoundException", "Software Token MFA has not been enabled by the userPool");
    let right = code_request(&pool, name, ("SOFTWARE_TOKEN_MFA", &session), &app.code(1));
    refused(&pool, right.clone(), off).await;
    let none = "Invalid MFA configuration given, can't disable all MFAs with a required or optional configuration.";
    let without = UpdateUserPoolRequest { sms_configuration: None, ..update("ON") };
    assert_refused(pool.api.call(without).await, "InvalidParameterException", none);
    pool.api.call(apps_alone(&pool, "ON")).await.unwrap();
    give_code(&pool, name, ("SOFTWARE_TOKEN_MFA", &session), &app.code(1)).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_password_that_is_taken_back_ends_the_sign_in() {
    let pool = pool_with_factors("OPTIONAL").await;
    let person = pool.person("reset").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    let app = set_up_app(&pool, &token).await;
    let session = asked(&pool, name, "SOFTWARE_TOKEN_MFA").await.session.unwrap();
    let right = || code_request(&pool, name, ("SOFTWARE_TOKEN_MFA", &session), &app.code(1));
    let request = AdminResetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        ..Default::default()
    };
    pool.api.call(request).await.unwrap();
    refused(&pool, right(), ("PasswordResetRequiredException", "Password reset required for the user")).await;
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.clone()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    refused(&pool, right(), ("NotAuthorizedException", "User is disabled.")).await;
    pool.verify().await;
}

#[tokio::test]
async fn each_outcome_is_a_fact_with_its_factor() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (person, phone) = person_with_phone(&pool, "facts").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    let app = set_up_app(&pool, &token).await;
    let first = asked(&pool, name, "SOFTWARE_TOKEN_MFA").await.session.unwrap();
    let second = asked(&pool, name, "SOFTWARE_TOKEN_MFA").await.session.unwrap();
    let give = async |session: &str, code: &str| give_code(&pool, name, ("SOFTWARE_TOKEN_MFA", session), code).await;
    give(&first, &app.wrong()).await.unwrap_err();
    let code = app.code(1);
    give(&first, &code).await.unwrap();
    give(&second, &code).await.unwrap_err();
    prefer(&pool, &token, &["SMS_MFA"], None).await.unwrap();
    let session = asked(&pool, name, "SMS_MFA").await.session.unwrap();
    let code = pool.api.code_for(&phone).await;
    give_code(&pool, name, ("SMS_MFA", &session), &code).await.unwrap();
    let key = format!("{}/users/{}", pool.id, person.sub);
    let of_user = move |records: &[Record]| -> Vec<(String, Value)> {
        let kinds = ["user.signed_in", "user.sign_in_refused", "user.code_sent"];
        let of = records.iter().filter(|record| record.key.contains(&person.sub) && kinds.contains(&record.kind()));
        of.map(|record| (record.kind().to_owned(), record.json())).collect()
    };
    let enough = of_user.clone();
    let bootstrap = pool.api.environment().kafka.bootstrap.clone();
    let records = read_until(&bootstrap, ACTIVITY, move |records| enough(records).len() >= 7).await;
    let told: Vec<_> = of_user(&records)
        .into_iter()
        .map(|(kind, body)| {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            (kind, text("second_factor"), [text("reason"), text("purpose")].concat())
        })
        .collect();
    let is = |index: usize, kind: &str, factor: &str, why: &str| {
        assert_eq!(told[index], (kind.to_owned(), factor.to_owned(), why.to_owned()), "{key} {told:?}");
    };
    is(0, "user.code_sent", "", "CODE_PURPOSE_SIGN_UP");
    is(1, "user.signed_in", "", "");
    is(2, "user.sign_in_refused", "SECOND_FACTOR_SOFTWARE_TOKEN", "SIGN_IN_REFUSAL_WRONG_CODE");
    is(3, "user.signed_in", "SECOND_FACTOR_SOFTWARE_TOKEN", "");
    is(4, "user.sign_in_refused", "SECOND_FACTOR_SOFTWARE_TOKEN", "SIGN_IN_REFUSAL_USED_CODE");
    is(5, "user.code_sent", "", "CODE_PURPOSE_SIGN_IN_BY_SMS");
    is(6, "user.signed_in", "SECOND_FACTOR_SMS", "");
    pool.verify().await;
}

//! Sessions of challenges whose time is over: the client's `AuthSessionValidity`.

use serde_json::json;
use userpool::proto::v1::*;

use crate::support::choice::{begin_request, beginning_with};
use crate::support::client::assert_refused;
use crate::support::devices::{DEVICE_PASSWORD, begin, proving_pool, srp_auth, up_to_proof, with_device};
use crate::support::mfa::{
    all_factors, answer_request, apps_alone, asked, code_request, give_code, password_flows, person_with_phone, prefer,
    set_up_app,
};
use crate::support::passkeys::{Authenticator, person_with_passkey, pool_with_passkeys, signed};
use crate::support::pool::{PASSWORD, Pool, attributes, email_pool, texts, unique};
use crate::support::requests::same_fields;
use crate::support::sessions::{expired, expired_block};
use crate::support::srp::Client;

const EXPIRED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session is expired.");

/// A client for all flows of these scenarios, whose sessions are the shortest.
fn short_client() -> CreateUserPoolClientRequest {
    let flows = [
        "ALLOW_USER_AUTH",
        "ALLOW_USER_PASSWORD_AUTH",
        "ALLOW_USER_SRP_AUTH",
        "ALLOW_ADMIN_USER_PASSWORD_AUTH",
        "ALLOW_REFRESH_TOKEN_AUTH",
    ];
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&flows),
        auth_session_validity: Some(3),
        ..password_flows()
    }
}

/// A pool whose users can begin by a code.
async fn short_pool() -> Pool {
    Pool::create_with(beginning_with(&["PASSWORD", "EMAIL_OTP", "SMS_OTP"]), short_client()).await
}

/// Asserts that an answer comes too late at every door: with the time of its session moved, and otherwise right.
async fn assert_too_late(pool: &Pool, answer: RespondToAuthChallengeRequest) {
    let session = match &answer.session {
        Some(session) => Some(expired(pool, session).await),
        None => None,
    };
    let mut late = RespondToAuthChallengeRequest { session, ..answer };
    if late.session.is_none() {
        let block = &late.challenge_responses["PASSWORD_CLAIM_SECRET_BLOCK"];
        let block = expired_block(pool, block).await;
        late.challenge_responses.insert("PASSWORD_CLAIM_SECRET_BLOCK".to_owned(), block);
    }
    let named = json!({
        "ClientId": late.client_id, "ChallengeName": late.challenge_name, "Session": late.session,
        "ChallengeResponses": late.challenge_responses,
    });
    let answered = pool.api.aws_json("RespondToAuthChallenge", &named).await.json();
    assert_eq!(answered["message"], EXPIRED.1, "{:?}: {answered}", late.challenge_name);
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id: Some(pool.id.clone()), ..same_fields(&late) };
    assert_refused(pool.api.call(by_server).await, EXPIRED.0, EXPIRED.1);
    assert_refused(pool.api.call(late).await, EXPIRED.0, EXPIRED.1);
}

/// Asks for a factor, by which the sign-in is to begin.
async fn begin_by(pool: &Pool, name: &str, factor: &str) -> InitiateAuthResponse {
    let begun = pool.api.call(begin_request(pool, name, &[("PREFERRED_CHALLENGE", factor)])).await.unwrap();
    assert_eq!(begun.challenge_name(), factor);
    begun
}

#[tokio::test]
async fn a_first_factor_is_not_heard_after_its_time() {
    let pool = short_pool().await;
    let person = pool.person("late").await;
    let name = person.username.as_str();
    let choice = pool.api.call(begin_request(&pool, name, &[])).await.unwrap();
    let chosen = [("USERNAME", name), ("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
    let right = answer_request(&pool, ("SELECT_CHALLENGE", choice.session()), &chosen);
    assert_too_late(&pool, right.clone()).await;
    let by_password = begin_by(&pool, name, "PASSWORD").await;
    let password = [("USERNAME", name), ("PASSWORD", PASSWORD)];
    assert_too_late(&pool, answer_request(&pool, ("PASSWORD", by_password.session()), &password)).await;
    let client = Client::new();
    let by_srp = begin_by(&pool, name, "PASSWORD_SRP").await;
    let srp = [("USERNAME", name), ("SRP_A", &client.public())];
    assert_too_late(&pool, answer_request(&pool, ("PASSWORD_SRP", by_srp.session()), &srp)).await;
    let challenge = pool.begin_srp(&client, name).await.unwrap();
    // The signature covers the block, which is not the same any more: the time is looked at before.
    assert_too_late(&pool, pool.verifier_request(&client, &challenge, PASSWORD)).await;
    // None of these was a guess, and in time the answer is right.
    assert!(pool.api.call(right).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

#[tokio::test]
async fn a_code_in_the_place_of_a_password_is_not_heard_after_its_time() {
    let pool = short_pool().await;
    let (person, phone) = person_with_phone(&pool, "code").await;
    let name = person.username.as_str();
    let verified = AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.to_owned()),
        user_attributes: attributes(&[("phone_number_verified", "true")]),
        ..Default::default()
    };
    pool.api.call(verified).await.unwrap();
    for (factor, address, messages) in [("EMAIL_OTP", &person.email, 2), ("SMS_OTP", &phone, 1)] {
        let begun = begin_by(&pool, name, factor).await;
        let code = pool.api.messages_for(address, messages).await[0]["code"].as_str().unwrap().to_owned();
        let right = code_request(&pool, name, (factor, begun.session()), &code);
        assert_too_late(&pool, right.clone()).await;
        assert!(pool.api.call(right).await.unwrap().authentication_result.is_some(), "the code was not used up");
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_passkey_is_not_heard_after_its_time() {
    let pool = pool_with_passkeys("ENABLED").await;
    let authenticator = Authenticator::new().counting(1);
    let (name, _) = person_with_passkey(&pool, "passkey", &authenticator).await;
    let right = signed(&pool, &name, &authenticator.counting(2)).await;
    assert_too_late(&pool, right.clone()).await;
    assert!(pool.api.call(right).await.unwrap().authentication_result.is_some(), "the counter was not used up");
    pool.verify().await;
}

#[tokio::test]
async fn a_choice_of_second_factors_and_a_code_by_sms_are_not_heard_after_their_time() {
    let pool = short_pool().await;
    pool.api.call(all_factors(&pool, "OPTIONAL")).await.unwrap();
    let (person, phone) = person_with_phone(&pool, "factors").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    prefer(&pool, &token, &["SMS_MFA", "EMAIL_OTP"], None).await.unwrap();
    let challenge = asked(&pool, name, "SELECT_MFA_TYPE").await;
    let choice = [("USERNAME", name.as_str()), ("ANSWER", "SMS_MFA")];
    let right = answer_request(&pool, ("SELECT_MFA_TYPE", challenge.session()), &choice);
    assert_too_late(&pool, right.clone()).await;
    assert!(pool.api.mailbox(&phone).await.is_empty(), "no code is sent for a choice that comes too late");
    let chosen = pool.api.call(right).await.unwrap();
    let code = pool.api.code_for(&phone).await;
    assert_too_late(&pool, code_request(&pool, name, ("SMS_MFA", chosen.session()), &code)).await;
    give_code(&pool, name, ("SMS_MFA", chosen.session()), &code).await.expect("the code was not used up");
    pool.verify().await;
}

#[tokio::test]
async fn a_new_password_and_a_second_factor_are_not_heard_after_their_time() {
    let pool = short_pool().await;
    let invited = unique("invited");
    pool.create_user(&invited, &[], "Temporary-horse-7").await;
    let session = pool.challenge(&invited, "Temporary-horse-7").await.session.unwrap();
    let right = pool.new_password_request(&session, &invited, PASSWORD);
    assert_too_late(&pool, right.clone()).await;
    pool.api.call(right).await.unwrap();

    pool.api.call(apps_alone(&pool, "OPTIONAL")).await.unwrap();
    let name = pool.person("factor").await.username;
    let token = pool.sign_in(&name, PASSWORD).await.unwrap().access_token.unwrap();
    let app = set_up_app(&pool, &token).await;
    let session = pool.challenge(&name, PASSWORD).await.session.unwrap();
    let right = code_request(&pool, &name, ("SOFTWARE_TOKEN_MFA", &session), &app.code(1));
    assert_too_late(&pool, right.clone()).await;
    assert!(pool.api.call(right).await.unwrap().authentication_result.is_some(), "the code was not used up");
    pool.verify().await;
}

#[tokio::test]
async fn a_set_up_ends_with_its_session() {
    let pool = Pool::create_with(email_pool(), short_client()).await;
    let name = pool.person("set-up").await.username;
    pool.api.call(apps_alone(&pool, "ON")).await.unwrap();
    let session = pool.challenge(&name, PASSWORD).await.session.unwrap();
    let late = Some(expired(&pool, &session).await);
    let associate = AssociateSoftwareTokenRequest { session: late.clone(), access_token: None };
    assert_refused(pool.api.call(associate).await, EXPIRED.0, EXPIRED.1);
    let verify =
        VerifySoftwareTokenRequest { session: late, user_code: Some("000000".to_owned()), ..Default::default() };
    assert_refused(pool.api.call(verify).await, EXPIRED.0, EXPIRED.1);
    assert_too_late(&pool, answer_request(&pool, ("MFA_SETUP", &session), &[("USERNAME", &name)])).await;
    pool.verify().await;
}

#[tokio::test]
async fn a_device_is_not_heard_after_its_time() {
    let pool = proving_pool(false).await;
    let person = pool.person("device").await;
    let (_, key) = with_device(&pool, &person).await;
    let begun = begin(&pool, &person.username, &key).await;
    assert_eq!(begun.challenge_name(), "DEVICE_SRP_AUTH");
    let client = Client::new();
    assert_too_late(&pool, srp_auth(&pool, &client, (&person.username, &key), begun.session)).await;
    let proof = up_to_proof(&pool, &person.username, &key, DEVICE_PASSWORD).await;
    assert_eq!(proof.session, None);
    assert_too_late(&pool, proof.clone()).await;
    assert!(pool.api.call(proof).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

//! Sessions of challenges whose time is over: the client's `AuthSessionValidity`.

use serde_json::json;
use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::devices::{begin, proving_pool, srp_auth, up_to_proof, with_device};
use crate::support::mfa::{answer_request, apps_alone, code_request, password_flows, set_up_app};
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, texts, unique};
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
    let allowed_first_auth_factors = texts(&["PASSWORD", "EMAIL_OTP"]);
    let sign_in_policy = Some(SignInPolicyType { allowed_first_auth_factors });
    let policies = Some(UserPoolPolicyType { sign_in_policy, ..Default::default() });
    Pool::create_with(CreateUserPoolRequest { policies, ..email_pool() }, short_client()).await
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

fn begin_by_choice(pool: &Pool, name: &str, more: &[(&str, &str)]) -> InitiateAuthRequest {
    let mut auth_parameters = parameters(more);
    auth_parameters.insert("USERNAME".into(), name.into());
    InitiateAuthRequest {
        auth_flow: Some("USER_AUTH".into()),
        client_id: Some(pool.client_id.clone()),
        auth_parameters,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_first_factor_is_not_heard_after_its_time() {
    let pool = short_pool().await;
    let person = pool.person("late").await;
    let name = person.username.as_str();
    let choice = pool.api.call(begin_by_choice(&pool, name, &[])).await.unwrap();
    let chosen = [("USERNAME", name), ("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
    let right = answer_request(&pool, ("SELECT_CHALLENGE", choice.session()), &chosen);
    assert_too_late(&pool, right.clone()).await;
    let by_password =
        pool.api.call(begin_by_choice(&pool, name, &[("PREFERRED_CHALLENGE", "PASSWORD")])).await.unwrap();
    let password = [("USERNAME", name), ("PASSWORD", PASSWORD)];
    assert_too_late(&pool, answer_request(&pool, ("PASSWORD", by_password.session()), &password)).await;
    let by_code = pool.api.call(begin_by_choice(&pool, name, &[("PREFERRED_CHALLENGE", "EMAIL_OTP")])).await.unwrap();
    let code = pool.api.messages_for(&person.email, 2).await[0]["code"].as_str().unwrap().to_owned();
    assert_too_late(&pool, code_request(&pool, name, ("EMAIL_OTP", by_code.session()), &code)).await;
    let client = Client::new();
    let challenge = pool.begin_srp(&client, name).await.unwrap();
    // The signature covers the block, which is not the same any more: the time is looked at before.
    assert_too_late(&pool, pool.verifier_request(&client, &challenge, PASSWORD)).await;
    // None of these was a guess, and in time the answer is right.
    assert!(pool.api.call(right).await.unwrap().authentication_result.is_some());
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
    let proof = up_to_proof(&pool, &person.username, &key, crate::support::devices::DEVICE_PASSWORD).await;
    assert_eq!(proof.session, None);
    assert_too_late(&pool, proof.clone()).await;
    assert!(pool.api.call(proof).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

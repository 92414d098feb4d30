//! Signing in by a code in the place of a password: EMAIL_OTP and SMS_OTP of USER_AUTH.

use futures::future::join_all;
use serde_json::json;
use userpool::proto::v1::*;

use crate::support::choice::{begin_request, choosing_client};
use crate::support::client::assert_refused;
use crate::support::mfa::{all_factors, set_up_app};
use crate::support::one_time_codes::{answer, by_email, pool_with_codes};
use crate::support::pool::{PASSWORD, Person, Pool, other_than, parameters, unique, unique_phone};
use crate::support::requests::same_fields;

const INVALID: &str = "InvalidParameterException";
const MISMATCH: (&str, &str) = ("CodeMismatchException", "Invalid verification code provided, please try again.");
const NO_SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");
const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");

/// The code of the newest message, of which there are this many.
async fn newest(pool: &Pool, address: &str, count: usize) -> String {
    pool.api.messages_for(address, count).await[0]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_by_email_signs_in() {
    let pool = pool_with_codes("ENABLED").await;
    let Person { username, email, .. } = pool.person("email").await;
    let challenge = by_email(&pool, &username).await.unwrap();
    assert_eq!(challenge.challenge_name(), "EMAIL_OTP");
    let told = &challenge.challenge_parameters;
    assert_eq!(told["CODE_DELIVERY_DELIVERY_MEDIUM"], "EMAIL");
    assert!(told["CODE_DELIVERY_DESTINATION"].contains("***"), "{told:?}");
    let code = newest(&pool, &email, 2).await;
    let right = answer(&pool, &username, challenge.session(), ("EMAIL", &code));
    // A wrong code leaves the session usable.
    let wrong = answer(&pool, &username, challenge.session(), ("EMAIL", &other_than(&code)));
    assert_refused(pool.api.call(wrong).await, MISMATCH.0, MISMATCH.1);
    let tokens = pool.api.call(right.clone()).await.unwrap().authentication_result.expect("tokens");
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), username);
    pool.refresh(tokens.refresh_token()).await.unwrap();
    assert_refused(pool.api.call(right).await, USED.0, USED.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_code_by_sms_is_chosen_at_either_door() {
    let pool = pool_with_codes("ENABLED").await;
    let phone = unique_phone();
    let name = unique("sms");
    let email = format!("{name}@example.com");
    let verified = [("phone_number", phone.as_str()), ("phone_number_verified", "true"), ("email", &email)];
    pool.create_user(&name, &verified, "Temporary-horse-7").await;
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.clone()));
    let password = Some(PASSWORD.to_owned());
    let set = AdminSetUserPasswordRequest { user_pool_id, username, password, permanent: Some(true) };
    pool.api.call(set).await.unwrap();
    let request =
        json!({ "ClientId": pool.client_id, "AuthFlow": "USER_AUTH", "AuthParameters": { "USERNAME": name } });
    let asked = pool.api.aws_json("InitiateAuth", &request).await.json();
    assert_eq!(asked["AvailableChallenges"], json!(["PASSWORD", "PASSWORD_SRP", "EMAIL_OTP", "SMS_OTP"]), "{asked}");
    let choice = json!({
        "ClientId": pool.client_id, "ChallengeName": "SELECT_CHALLENGE", "Session": asked["Session"],
        "ChallengeResponses": { "USERNAME": name, "ANSWER": "SMS_OTP" },
    });
    let challenge = pool.api.aws_json("RespondToAuthChallenge", &choice).await.json();
    assert_eq!(challenge["ChallengeName"], "SMS_OTP", "{challenge}");
    let code = pool.api.code_for(&phone).await;
    let right = answer(&pool, &name, challenge["Session"].as_str().unwrap(), ("SMS", &code));
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&right) };
    assert!(pool.api.call(by_server).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

#[tokio::test]
async fn a_code_signs_in_once_whoever_is_first() {
    let pool = pool_with_codes("ENABLED").await;
    let Person { username, email, .. } = pool.person("burst").await;
    for count in 2..5 {
        let challenge = by_email(&pool, &username).await.unwrap();
        let code = newest(&pool, &email, count).await;
        let right = answer(&pool, &username, challenge.session(), ("EMAIL", &code));
        let answers = join_all((0..6).map(|_| pool.api.call(right.clone()))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    }
    pool.verify().await;
}

#[tokio::test]
async fn wrong_codes_lock_like_wrong_passwords() {
    let pool = pool_with_codes("LEGACY").await;
    let Person { username, email, .. } = pool.person("guessed").await;
    let challenge = by_email(&pool, &username).await.unwrap();
    let code = newest(&pool, &email, 2).await;
    let wrong = answer(&pool, &username, challenge.session(), ("EMAIL", &other_than(&code)));
    for _ in 0..5 {
        assert_refused(pool.api.call(wrong.clone()).await, MISMATCH.0, MISMATCH.1);
    }
    let locked = pool.sign_in(&username, PASSWORD).await;
    assert_refused(locked, LOCKED.0, LOCKED.1);
    pool.verify().await;
}

#[tokio::test]
async fn nobody_and_whoever_is_sent_no_code_read_the_same_where_users_are_hidden() {
    let pool = pool_with_codes("ENABLED").await;
    let unproved = unique("unproved");
    pool.sign_up(&unproved, &[("email", &format!("{unproved}@example.com"))]).await.unwrap();
    let disabled = pool.person("disabled").await.username;
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(disabled.clone()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    for name in [&unique("nobody"), &unproved, &disabled] {
        let challenge = by_email(&pool, name).await.unwrap();
        assert_eq!(challenge.challenge_name(), "EMAIL_OTP");
        let guess = answer(&pool, name, challenge.session(), ("EMAIL", "000000"));
        for _ in 0..2 {
            assert_refused(pool.api.call(guess.clone()).await, MISMATCH.0, MISMATCH.1);
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_client_that_hides_nobody_says_why_there_is_no_code() {
    let pool = pool_with_codes("LEGACY").await;
    let unconfirmed = unique("unconfirmed");
    pool.sign_up(&unconfirmed, &[("email", &format!("{unconfirmed}@example.com"))]).await.unwrap();
    let person = pool.person("no-phone").await.username;
    let by_sms = begin_request(&pool, &person, &[("PREFERRED_CHALLENGE", "SMS_OTP")]);
    assert_refused(pool.api.call(by_sms).await, INVALID, "SMS_OTP is not available to the user.");
    let refused = by_email(&pool, &unique("nobody")).await;
    assert_refused(refused, "UserNotFoundException", "User does not exist.");
    assert_refused(by_email(&pool, &unconfirmed).await, "UserNotConfirmedException", "User is not confirmed.");
    // The same when it is chosen, and by a trusted server.
    let refused = |answer, factor| assert_refused(answer, INVALID, &format!("{factor} is not available to the user."));
    let chosen = pool.api.call(begin_request(&pool, &person, &[])).await.unwrap();
    let choice = RespondToAuthChallengeRequest {
        challenge_name: Some("SELECT_CHALLENGE".into()),
        challenge_responses: parameters(&[("USERNAME", &person), ("ANSWER", "SMS_OTP")]),
        ..answer(&pool, &person, chosen.session(), ("SMS", "none"))
    };
    refused(pool.api.call(choice.clone()).await.map(drop), "SMS_OTP");
    let user_pool_id = || Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id: user_pool_id(), ..same_fields(&choice) };
    refused(pool.api.call(by_server).await.map(drop), "SMS_OTP");
    let preferred = begin_request(&pool, &person, &[("PREFERRED_CHALLENGE", "SMS_OTP")]);
    let by_server = AdminInitiateAuthRequest { user_pool_id: user_pool_id(), ..same_fields(&preferred) };
    refused(pool.api.call(by_server).await.map(drop), "SMS_OTP");
    // Who has a second factor begins by the password.
    pool.api.call(all_factors(&pool, "OPTIONAL")).await.unwrap();
    let token = pool.sign_in(&person, PASSWORD).await.unwrap().access_token.unwrap();
    set_up_app(&pool, &token).await;
    assert_refused(by_email(&pool, &person).await, INVALID, "EMAIL_OTP is not available to the user.");
    pool.verify().await;
}

#[tokio::test]
async fn a_session_is_of_its_client_and_challenge() {
    let pool = pool_with_codes("ENABLED").await;
    let Person { username, email, .. } = pool.person("elsewhere").await;
    let challenge = by_email(&pool, &username).await.unwrap();
    let code = newest(&pool, &email, 2).await;
    let right = answer(&pool, &username, challenge.session(), ("EMAIL", &code));
    let client_id = pool.add_client(choosing_client("ENABLED")).await.client_id;
    let elsewhere = RespondToAuthChallengeRequest { client_id, ..right.clone() };
    assert_refused(pool.api.call(elsewhere).await, NO_SESSION.0, NO_SESSION.1);
    let as_other = answer(&pool, &pool.person("other").await.username, challenge.session(), ("EMAIL", &code));
    assert_refused(pool.api.call(as_other).await, NO_SESSION.0, NO_SESSION.1);
    let as_sms = answer(&pool, &username, challenge.session(), ("SMS", &code));
    assert_refused(pool.api.call(as_sms).await, NO_SESSION.0, NO_SESSION.1);
    let mut without = right.clone();
    without.challenge_responses.remove("EMAIL_OTP_CODE");
    assert_refused(pool.api.call(without).await, INVALID, "Missing required parameter EMAIL_OTP_CODE");
    pool.api.call(right).await.unwrap();
    pool.verify().await;
}

//! Signing in by a first factor of the caller's choice: USER_AUTH.

use futures::future::join_all;
use serde_json::json;
use userpool::environment::Random;
use userpool::proto::v1::*;

use crate::support::choice::{begin_request, beginning_with, choosing_client};
use crate::support::client::{Refusal, assert_refused};
use crate::support::mfa::{apps_alone, code_request, give_code, set_up_app};
use crate::support::passkeys::{Authenticator, configuration, configure, person_with_passkey, signed};
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, texts, unique};
use crate::support::requests::same_fields;
use crate::support::srp::Client;

const INVALID: &str = "InvalidParameterException";
const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const NO_SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");

async fn choosing_pool(existence: &str) -> Pool {
    Pool::create_with(email_pool(), choosing_client(existence)).await
}

async fn begin(pool: &Pool, name: &str, more: &[(&str, &str)]) -> Result<InitiateAuthResponse, Refusal> {
    pool.api.call(begin_request(pool, name, more)).await
}

/// The answer to a challenge of this name.
fn answer(pool: &Pool, challenge: (&str, &str), name: &str, more: &[(&str, &str)]) -> RespondToAuthChallengeRequest {
    let mut challenge_responses = parameters(more);
    challenge_responses.insert("USERNAME".into(), name.into());
    RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some(challenge.0.to_owned()),
        session: Some(challenge.1.to_owned()),
        challenge_responses,
        ..Default::default()
    }
}

/// Asks for the choice, and returns the session.
async fn asked_to_choose(pool: &Pool, name: &str) -> String {
    let challenge = begin(pool, name, &[]).await.unwrap();
    assert_eq!(challenge.challenge_name(), "SELECT_CHALLENGE");
    assert_eq!(challenge.available_challenges, ["PASSWORD", "PASSWORD_SRP"]);
    challenge.session().to_owned()
}

#[tokio::test]
async fn a_user_chooses_the_password() {
    let pool = choosing_pool("ENABLED").await;
    let name = pool.person("choice").await.username;
    let session = asked_to_choose(&pool, &name).await;
    let by_password = |password: &str| {
        answer(&pool, ("SELECT_CHALLENGE", &session), &name, &[("ANSWER", "PASSWORD"), ("PASSWORD", password)])
    };
    let tokens = pool.api.call(by_password(PASSWORD)).await.unwrap().authentication_result.expect("tokens");
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), name);
    pool.refresh(tokens.refresh_token()).await.unwrap();
    assert_refused(pool.api.call(by_password(PASSWORD)).await, USED.0, USED.1);
    // A wrong password uses the session up as well.
    let session = asked_to_choose(&pool, &name).await;
    let guess = |password: &str| {
        answer(&pool, ("SELECT_CHALLENGE", &session), &name, &[("ANSWER", "PASSWORD"), ("PASSWORD", password)])
    };
    assert_refused(pool.api.call(guess("Wrong-horse-7")).await, WRONG.0, WRONG.1);
    assert_refused(pool.api.call(guess(PASSWORD)).await, USED.0, USED.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_user_chooses_srp() {
    let pool = choosing_pool("ENABLED").await;
    let name = pool.person("srp-choice").await.username;
    let session = asked_to_choose(&pool, &name).await;
    let client = Client::new();
    let chosen = [("ANSWER", "PASSWORD_SRP"), ("SRP_A", &client.public())];
    let begun = pool.api.call(answer(&pool, ("SELECT_CHALLENGE", &session), &name, &chosen)).await.unwrap();
    assert_eq!(begun.challenge_name(), "PASSWORD_VERIFIER");
    let challenge = InitiateAuthResponse { challenge_parameters: begun.challenge_parameters, ..Default::default() };
    let proof = pool.verifier_request(&client, &challenge, PASSWORD);
    assert!(pool.api.call(proof).await.unwrap().authentication_result.is_some());
    // With the exchange, the choice is used up.
    let by_password = [("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
    let again = pool.api.call(answer(&pool, ("SELECT_CHALLENGE", &session), &name, &by_password)).await;
    assert_refused(again, USED.0, USED.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_preferred_factor_is_asked_for_or_taken_at_once() {
    let pool = choosing_pool("ENABLED").await;
    let name = pool.person("preferred").await.username;
    let preferred = [("PREFERRED_CHALLENGE", "PASSWORD"), ("PASSWORD", PASSWORD)];
    assert!(begin(&pool, &name, &preferred).await.unwrap().authentication_result.is_some());
    let client = Client::new();
    let preferred = [("PREFERRED_CHALLENGE", "PASSWORD_SRP"), ("SRP_A", &client.public())];
    let challenge = begin(&pool, &name, &preferred).await.unwrap();
    assert_eq!(challenge.challenge_name(), "PASSWORD_VERIFIER");
    let proof = pool.verifier_request(&client, &challenge, PASSWORD);
    assert!(pool.api.call(proof).await.unwrap().authentication_result.is_some());

    let challenge = begin(&pool, &name, &[("PREFERRED_CHALLENGE", "PASSWORD")]).await.unwrap();
    assert_eq!((challenge.challenge_name(), challenge.available_challenges.len()), ("PASSWORD", 0));
    let right = answer(&pool, ("PASSWORD", challenge.session()), &name, &[("PASSWORD", PASSWORD)]);
    assert!(pool.api.call(right).await.unwrap().authentication_result.is_some());
    let challenge = begin(&pool, &name, &[("PREFERRED_CHALLENGE", "PASSWORD_SRP")]).await.unwrap();
    assert_eq!(challenge.challenge_name(), "PASSWORD_SRP");
    let client = Client::new();
    let srp = answer(&pool, ("PASSWORD_SRP", challenge.session()), &name, &[("SRP_A", &client.public())]);
    let begun = pool.api.call(srp).await.unwrap();
    assert_eq!(begun.challenge_name(), "PASSWORD_VERIFIER");
    pool.verify().await;
}

#[tokio::test]
async fn an_aws_client_and_a_trusted_server_choose_as_well() {
    let pool = choosing_pool("LEGACY").await;
    let name = pool.person("doors").await.username;
    let request =
        json!({ "ClientId": pool.client_id, "AuthFlow": "USER_AUTH", "AuthParameters": { "USERNAME": name } });
    let asked = pool.api.aws_json("InitiateAuth", &request).await.json();
    assert_eq!(asked["AvailableChallenges"], json!(["PASSWORD", "PASSWORD_SRP"]), "{asked}");
    let user_pool_id = Some(pool.id.clone());
    let request = begin_request(&pool, &name, &[]);
    let begin = AdminInitiateAuthRequest { user_pool_id: user_pool_id.clone(), ..same_fields(&request) };
    let asked = pool.api.call(begin).await.unwrap();
    assert_eq!(asked.available_challenges, ["PASSWORD", "PASSWORD_SRP"]);
    let chosen = [("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
    let chosen = answer(&pool, ("SELECT_CHALLENGE", asked.session()), &name, &chosen);
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&chosen) };
    assert!(pool.api.call(by_server).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

#[tokio::test]
async fn an_alias_is_as_good_as_the_user_name_in_each_step() {
    let factors = ["PASSWORD", "EMAIL_OTP", "WEB_AUTHN"];
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..beginning_with(&factors) };
    let pool = Pool::create_with(request, choosing_client("ENABLED")).await;
    configure(&pool, configuration("preferred", "SINGLE_FACTOR")).await;
    let authenticator = Authenticator::new();
    let (name, token) = person_with_passkey(&pool, "alias", &authenticator).await;
    let alias = format!("{name}@example.com");
    for (messages, asked, answered) in [(2, &alias, &name), (3, &name, &alias)] {
        let session = begin(&pool, asked, &[]).await.unwrap().session.unwrap();
        let chosen = [("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
        let by_password = answer(&pool, ("SELECT_CHALLENGE", &session), answered, &chosen);
        let session = begin(&pool, asked, &[("PREFERRED_CHALLENGE", "EMAIL_OTP")]).await.unwrap().session.unwrap();
        let code = pool.api.messages_for(&alias, messages).await[0]["code"].as_str().unwrap().to_owned();
        let by_code = code_request(&pool, answered, ("EMAIL_OTP", &session), &code);
        let mut by_passkey = signed(&pool, asked, &authenticator).await;
        by_passkey.challenge_responses.insert("USERNAME".into(), answered.clone());
        for right in [by_password, by_code, by_passkey] {
            let tokens = pool.api.call(right).await.unwrap().authentication_result.expect("tokens");
            assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), name);
        }
    }
    pool.api.call(apps_alone(&pool, "OPTIONAL")).await.unwrap();
    let app = set_up_app(&pool, &token).await;
    let challenge = pool.challenge(&alias, PASSWORD).await;
    assert_eq!(challenge.challenge_parameters["USER_ID_FOR_SRP"], name);
    give_code(&pool, &alias, ("SOFTWARE_TOKEN_MFA", challenge.session()), &app.code(1)).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_session_gives_one_guess_whoever_is_first() {
    let pool = choosing_pool("ENABLED").await;
    let name = pool.person("burst").await.username;
    for _ in 0..3 {
        let session = asked_to_choose(&pool, &name).await;
        let by_password = [("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
        let guess = answer(&pool, ("SELECT_CHALLENGE", &session), &name, &by_password);
        let answers = join_all((0..6).map(|_| pool.api.call(guess.clone()))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        for refused in answers.into_iter().filter(Result::is_err) {
            assert_refused(refused, USED.0, USED.1);
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn an_unknown_user_is_asked_alike_where_users_are_hidden() {
    let pool = choosing_pool("ENABLED").await;
    let nobody = unique("nobody");
    let session = asked_to_choose(&pool, &nobody).await;
    let by_password = [("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
    let guess = answer(&pool, ("SELECT_CHALLENGE", &session), &nobody, &by_password);
    assert_refused(pool.api.call(guess.clone()).await, WRONG.0, WRONG.1);
    assert_refused(pool.api.call(guess).await, USED.0, USED.1);
    let legacy = pool.add_client(choosing_client("LEGACY")).await.client_id;
    let request = InitiateAuthRequest { client_id: legacy, ..begin_request(&pool, &nobody, &[]) };
    assert_refused(pool.api.call(request).await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn a_session_answers_no_other_challenge_whether_or_not_there_is_a_user() {
    let pool = choosing_pool("ENABLED").await;
    let refused = async |request: RespondToAuthChallengeRequest| {
        let user_pool_id = Some(pool.id.clone());
        let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
        assert_refused(pool.api.call(by_server).await, NO_SESSION.0, NO_SESSION.1);
        assert_refused(pool.api.call(request).await, NO_SESSION.0, NO_SESSION.1);
    };
    let key = format!("us-east-1_{}", Random::default().uuid());
    let client = Client::quick();
    let signed =
        Authenticator::new().assertion("example.com", "https://example.com", b"no challenge", None).to_string();
    for name in [pool.person("known").await.username, unique("nobody")] {
        let session = asked_to_choose(&pool, &name).await;
        for (challenge, more) in [
            ("PASSWORD", &[("PASSWORD", PASSWORD)][..]),
            ("PASSWORD_SRP", &[("SRP_A", "2")]),
            ("EMAIL_OTP", &[("EMAIL_OTP_CODE", "123456")]),
            ("SMS_OTP", &[("SMS_OTP_CODE", "123456")]),
            ("SMS_MFA", &[("SMS_MFA_CODE", "123456")]),
            ("SOFTWARE_TOKEN_MFA", &[("SOFTWARE_TOKEN_MFA_CODE", "123456")]),
            ("SELECT_MFA_TYPE", &[("ANSWER", "SMS_MFA")]),
            ("MFA_SETUP", &[]),
            ("NEW_PASSWORD_REQUIRED", &[("NEW_PASSWORD", PASSWORD)]),
            ("DEVICE_SRP_AUTH", &[("DEVICE_KEY", &key), ("SRP_A", "2")]),
            ("WEB_AUTHN", &[("CREDENTIAL", &signed)]),
        ] {
            refused(answer(&pool, (challenge, &session), &name, more)).await;
        }
        let by_srp = [("PREFERRED_CHALLENGE", "PASSWORD_SRP"), ("SRP_A", &client.public())];
        let begun = begin(&pool, &name, &by_srp).await.unwrap();
        let mut proof = pool.verifier_request(&client, &begun, PASSWORD);
        proof.challenge_name = Some("DEVICE_PASSWORD_VERIFIER".into());
        proof.challenge_responses.insert("DEVICE_KEY".into(), key.clone());
        refused(proof).await;
    }
    pool.verify().await;
}

#[tokio::test]
async fn answers_that_fit_no_choice_are_refused() {
    let pool = choosing_pool("ENABLED").await;
    let (name, other) = (pool.person("one").await.username, pool.person("other").await.username);
    let not_among = "PREFERRED_CHALLENGE must be one of the AvailableChallenges.";
    for (preferred, message) in [("SMS_MFA", not_among), ("MAGIC", not_among)] {
        let request = begin_request(&pool, &name, &[("PREFERRED_CHALLENGE", preferred)]);
        let user_pool_id = Some(pool.id.clone());
        let by_server = AdminInitiateAuthRequest { user_pool_id, ..same_fields(&request) };
        assert_refused(pool.api.call(by_server).await, INVALID, message);
        assert_refused(pool.api.call(request).await, INVALID, message);
    }
    let session = asked_to_choose(&pool, &name).await;
    let choose = |name: &str, more: &[(&str, &str)]| answer(&pool, ("SELECT_CHALLENGE", &session), name, more);
    for (more, message) in [
        (&[][..], "Missing required parameter ANSWER"),
        (&[("ANSWER", "PASSWORD")][..], "Missing required parameter PASSWORD"),
        (&[("ANSWER", "PASSWORD_SRP")][..], "Missing required parameter SRP_A"),
        (&[("ANSWER", "PASSWORD_SRP"), ("SRP_A", "0")][..], "SRP_A must be a hexadecimal number from 1 to N - 1."),
        (&[("ANSWER", "MAGIC")][..], "ANSWER must be one of the AvailableChallenges."),
        (&[("ANSWER", "EMAIL_OTP")][..], "ANSWER must be one of the AvailableChallenges."),
        (&[("ANSWER", "WEB_AUTHN")][..], "ANSWER must be one of the AvailableChallenges."),
    ] {
        let request = choose(&name, more);
        let user_pool_id = Some(pool.id.clone());
        let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
        assert_refused(pool.api.call(by_server).await, INVALID, message);
        assert_refused(pool.api.call(request).await, INVALID, message);
    }
    let right = [("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)];
    let client_id = pool.add_client(choosing_client("ENABLED")).await.client_id;
    let elsewhere = RespondToAuthChallengeRequest { client_id, ..choose(&name, &right) };
    let as_password = answer(&pool, ("PASSWORD", &session), &name, &[("PASSWORD", PASSWORD)]);
    let no_token = answer(&pool, ("SELECT_CHALLENGE", "no token, but long enough"), &name, &right);
    for request in [choose(&other, &right), elsewhere, as_password, no_token] {
        assert_refused(pool.api.call(request).await, NO_SESSION.0, NO_SESSION.1);
    }
    let without = RespondToAuthChallengeRequest { session: None, ..choose(&name, &right) };
    assert_refused(pool.api.call(without).await, INVALID, "Missing required parameter Session");
    // None of these was a guess.
    pool.api.call(choose(&name, &right)).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_client_that_does_not_allow_the_choice_refuses_it() {
    let pool = Pool::create().await;
    let name = pool.person("closed").await.username;
    let refused = begin(&pool, &name, &[]).await;
    assert_refused(refused, INVALID, "USER_AUTH flow not enabled for this client");
    pool.verify().await;
}

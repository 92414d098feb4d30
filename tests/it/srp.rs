//! Signing in by SRP: the password never reaches the server.

use futures::future::join_all;
use serde_json::json;
use userpool::proto::v1::*;

use crate::support::choice::begin_request;
use crate::support::client::{Refusal, assert_refused};
use crate::support::imported::without_verifier;
use crate::support::mfa::{all_factors, answer_request, give_code, person_with_phone, prefer, set_up_app};
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, texts, unique};
use crate::support::requests::same_fields;
use crate::support::srp::{Client, TIMESTAMP, prime};

const INVALID: &str = "InvalidParameterException";
const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");
const NO_SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");
const WRONG_PASSWORD: &str = "Wrong-horse-7";

fn srp_client(existence: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        prevent_user_existence_errors: Some(existence.to_owned()),
        ..Default::default()
    }
}

async fn srp_pool(existence: &str) -> Pool {
    Pool::create_with(email_pool(), srp_client(existence)).await
}

async fn respond(
    pool: &Pool,
    request: RespondToAuthChallengeRequest,
) -> Result<RespondToAuthChallengeResponse, Refusal> {
    pool.api.call(request).await
}

/// A whole sign-in by SRP.
async fn sign_in(pool: &Pool, username: &str, password: &str) -> Result<RespondToAuthChallengeResponse, Refusal> {
    let client = Client::new();
    let challenge = pool.begin_srp(&client, username).await?;
    respond(pool, pool.verifier_request(&client, &challenge, password)).await
}

/// Asserts that an answer is refused, by a trusted server as well.
async fn refused_everywhere(pool: &Pool, request: RespondToAuthChallengeRequest, (exception, message): (&str, &str)) {
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
    assert_refused(pool.api.call(by_server).await, exception, message);
    assert_refused(respond(pool, request).await, exception, message);
}

fn told(challenge: &InitiateAuthResponse) -> Vec<&str> {
    challenge.challenge_parameters.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_user_signs_in_and_the_password_stays_with_the_client() {
    let pool = srp_pool("ENABLED").await;
    let person = pool.person("srp").await;
    let client = Client::new();
    let challenge = pool.begin_srp(&client, &person.username).await.unwrap();
    assert_eq!(told(&challenge), ["SALT", "SECRET_BLOCK", "SRP_B", "USERNAME", "USER_ID_FOR_SRP"]);
    assert_eq!(challenge.session, None, "SECRET_BLOCK is the session");
    assert_eq!(challenge.challenge_parameters["USER_ID_FOR_SRP"], person.username);
    let answer = respond(&pool, pool.verifier_request(&client, &challenge, PASSWORD)).await.unwrap();
    let tokens = answer.authentication_result.expect("tokens");
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), person.username);
    pool.refresh(tokens.refresh_token()).await.unwrap();
    assert_refused(sign_in(&pool, &person.username, WRONG_PASSWORD).await, WRONG.0, WRONG.1);
    pool.verify().await;
}

#[tokio::test]
async fn an_aws_client_signs_in() {
    let pool = srp_pool("ENABLED").await;
    let person = pool.person("aws").await;
    let client = Client::new();
    let request = json!({
        "ClientId": pool.client_id, "AuthFlow": "USER_SRP_AUTH",
        "AuthParameters": { "USERNAME": person.username, "SRP_A": client.public() },
    });
    let challenge = pool.api.aws_json("InitiateAuth", &request).await.json();
    assert_eq!((&challenge["ChallengeName"], &challenge["Session"]), (&json!("PASSWORD_VERIFIER"), &json!(null)));
    let parameters = serde_json::from_value(challenge["ChallengeParameters"].clone()).unwrap();
    let challenge = InitiateAuthResponse { challenge_parameters: parameters, ..Default::default() };
    let answer = pool.verifier_request(&client, &challenge, PASSWORD);
    let answer = json!({
        "ClientId": pool.client_id, "ChallengeName": "PASSWORD_VERIFIER",
        "ChallengeResponses": answer.challenge_responses,
    });
    let signed_in = pool.api.aws_json("RespondToAuthChallenge", &answer).await.json();
    assert_eq!(signed_in["AuthenticationResult"]["TokenType"], "Bearer", "{signed_in}");
    pool.verify().await;
}

#[tokio::test]
async fn a_trusted_server_passes_the_exchange_on() {
    let pool = srp_pool("LEGACY").await;
    let person = pool.person("server").await;
    let client = Client::new();
    let user_pool_id = Some(pool.id.clone());
    let request = pool.srp_request(&client, &person.username);
    let begin = AdminInitiateAuthRequest { user_pool_id: user_pool_id.clone(), ..same_fields(&request) };
    let begun = pool.api.call(begin).await.unwrap();
    let (challenge_name, challenge_parameters) = (begun.challenge_name, begun.challenge_parameters);
    let challenge = InitiateAuthResponse { challenge_name, challenge_parameters, ..Default::default() };
    let answer = pool.verifier_request(&client, &challenge, PASSWORD);
    let answer = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&answer) };
    assert!(pool.api.call(answer).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

#[tokio::test]
async fn an_alias_leads_to_the_user_name_and_an_address_to_the_sub() {
    let by_alias = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let by_address = CreateUserPoolRequest { username_attributes: texts(&["email"]), ..Default::default() };
    for (request, is_alias) in [(by_alias, true), (by_address, false)] {
        let pool = Pool::create_with(request, srp_client("ENABLED")).await;
        let email = format!("{}@example.com", unique("alias"));
        let name = if is_alias { unique("named") } else { email.clone() };
        pool.create_user(&name, &[("email", &email), ("email_verified", "true")], "Temporary-horse-7").await;
        let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.clone()));
        let password = Some(PASSWORD.to_owned());
        let set = AdminSetUserPasswordRequest { user_pool_id, username, password, permanent: Some(true) };
        pool.api.call(set).await.unwrap();
        let shown = pool.admin_get_user(&name).await.unwrap().username().to_owned();
        let client = Client::new();
        let challenge = pool.begin_srp(&client, &email).await.unwrap();
        assert_eq!(challenge.challenge_parameters["USER_ID_FOR_SRP"], shown);
        assert_eq!(challenge.challenge_parameters["USERNAME"], shown);
        assert_eq!(name == shown, is_alias);
        let answer = respond(&pool, pool.verifier_request(&client, &challenge, PASSWORD)).await.unwrap();
        assert!(answer.authentication_result.is_some());
        // The answer may name the user by the alias as well.
        let (client, again) = (Client::new(), pool.begin_srp(&Client::new(), &email).await.unwrap());
        assert_ne!(again.challenge_parameters["SRP_B"], challenge.challenge_parameters["SRP_B"]);
        let challenge = pool.begin_srp(&client, &email).await.unwrap();
        let mut answer = pool.verifier_request(&client, &challenge, PASSWORD);
        answer.challenge_responses.insert("USERNAME".into(), email);
        assert!(respond(&pool, answer).await.unwrap().authentication_result.is_some());
        pool.verify().await;
    }
}

#[tokio::test]
async fn a_sub_that_is_not_the_user_name_is_an_unknown_user() {
    let (open, hiding) = (srp_pool("LEGACY").await, srp_pool("ENABLED").await);
    let person = open.person("sub").await;
    let refused = sign_in(&open, &person.sub, PASSWORD).await;
    assert_refused(refused, "UserNotFoundException", "User does not exist.");
    let person = hiding.person("sub").await;
    assert_refused(sign_in(&hiding, &person.sub, PASSWORD).await, WRONG.0, WRONG.1);
    open.verify().await;
    hiding.verify().await;
}

#[tokio::test]
async fn an_unknown_user_gets_a_challenge_that_looks_the_same_where_users_are_hidden() {
    let pool = srp_pool("ENABLED").await;
    let (person, nobody) = (pool.person("known").await.username, unique("nobody"));
    let begin = async |name: &str| pool.begin_srp(&Client::new(), name).await.unwrap();
    let (known, unknown) = (begin(&person).await, begin(&nobody).await);
    assert_eq!(told(&known), told(&unknown));
    assert_eq!(unknown.challenge_parameters["USER_ID_FOR_SRP"], nobody);
    for (name, first) in [(&person, &known), (&nobody, &unknown)] {
        let again = begin(name).await;
        let same = |parameter: &str| again.challenge_parameters[parameter] == first.challenge_parameters[parameter];
        assert!(same("SALT") && same("USERNAME") && !same("SRP_B") && !same("SECRET_BLOCK"));
    }
    let length = |challenge: &InitiateAuthResponse, parameter: &str| challenge.challenge_parameters[parameter].len();
    assert_eq!(length(&known, "SALT"), length(&unknown, "SALT"));
    assert!(length(&known, "SRP_B").abs_diff(length(&unknown, "SRP_B")) < 12, "but for leading zeros");
    assert_refused(sign_in(&pool, &nobody, PASSWORD).await, WRONG.0, WRONG.1);
    pool.verify().await;
}

#[tokio::test]
async fn an_unknown_address_gets_a_user_name_that_looks_like_a_sub() {
    let pool = Pool::create_with(
        CreateUserPoolRequest { username_attributes: texts(&["email"]), ..Default::default() },
        srp_client("ENABLED"),
    )
    .await;
    let challenge = pool.begin_srp(&Client::new(), "nobody@example.com").await.unwrap();
    let shown = &challenge.challenge_parameters["USER_ID_FOR_SRP"];
    assert_eq!(uuid::Uuid::parse_str(shown).map(|id| id.get_version_num()), Ok(4), "{shown}");
    let legacy = pool.add_client(srp_client("LEGACY")).await.client_id;
    let request = InitiateAuthRequest { client_id: legacy, ..pool.srp_request(&Client::new(), "nobody@example.com") };
    assert_refused(pool.api.call(request).await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn wrong_proofs_lock_like_wrong_passwords_and_count_with_them() {
    for existence in ["ENABLED", "LEGACY"] {
        let pool = srp_pool(existence).await;
        let name = pool.person("locked").await.username;
        for _ in 0..2 {
            assert_refused(sign_in(&pool, &name, WRONG_PASSWORD).await, WRONG.0, WRONG.1);
            assert_refused(pool.sign_in(&name, WRONG_PASSWORD).await, WRONG.0, WRONG.1);
        }
        // Both ways forget the failures.
        sign_in(&pool, &name, PASSWORD).await.unwrap();
        let mut told = Vec::new();
        while told.len() < 12 && !told.ends_with(&[LOCKED.1.to_owned()]) {
            told.push(sign_in(&pool, &name, WRONG_PASSWORD).await.unwrap_err().message);
        }
        assert!(told.len() > 5 && told.ends_with(&[LOCKED.1.to_owned()]), "{told:?}");
        assert_refused(pool.sign_in(&name, PASSWORD).await, LOCKED.0, LOCKED.1);
        pool.verify().await;
    }
}

#[tokio::test]
async fn a_burst_of_wrong_proofs_gets_no_more_guesses_than_one_after_the_other() {
    let pool = srp_pool("LEGACY").await;
    let name = pool.person("burst").await.username;
    let mut proofs = Vec::new();
    for _ in 0..24 {
        let client = Client::new();
        let challenge = pool.begin_srp(&client, &name).await.unwrap();
        proofs.push(pool.verifier_request(&client, &challenge, WRONG_PASSWORD));
    }
    let began = std::time::Instant::now();
    let answers = join_all(proofs.into_iter().map(|proof| respond(&pool, proof))).await;
    let heard = answers.iter().filter(|answer| answer.as_ref().is_err_and(|refusal| refusal.pair() == WRONG)).count();
    // Five at once, and then one at the end of each lock of 1, 2, 4 … seconds.
    let locks = (1..).take_while(|lock| began.elapsed().as_secs() >= (1 << lock) - 1).count();
    assert!((5..=5 + 1 + locks).contains(&heard), "{heard} guesses in {:?}", began.elapsed());
    assert!(answers.iter().all(Result::is_err));
    pool.verify().await;
}

#[tokio::test]
async fn a_password_that_came_as_a_hash_has_a_verifier_from_the_next_sign_in_by_it_on() {
    let lacking =
        ("NotAuthorizedException", "The user has to sign in by USER_PASSWORD_AUTH once before SRP can be used.");
    for existence in ["LEGACY", "ENABLED"] {
        let mut client = srp_client(existence);
        client.explicit_auth_flows.push("ALLOW_USER_AUTH".to_owned());
        let pool = Pool::create_with(email_pool(), client).await;
        let name = pool.person("imported").await.username;
        without_verifier(&pool, &name).await;
        if existence == "ENABLED" {
            // What is missing would show that there is a user.
            assert_refused(sign_in(&pool, &name, PASSWORD).await, WRONG.0, WRONG.1);
        } else {
            let client = Client::new();
            let request = pool.srp_request(&client, &name);
            let user_pool_id = Some(pool.id.clone());
            let by_server = AdminInitiateAuthRequest { user_pool_id, ..same_fields(&request) };
            assert_refused(pool.api.call(by_server).await, lacking.0, lacking.1);
            assert_refused(pool.api.call(request).await, lacking.0, lacking.1);
            let asked = pool.api.call(begin_request(&pool, &name, &[])).await.unwrap();
            let choice = [("USERNAME", name.as_str()), ("ANSWER", "PASSWORD_SRP"), ("SRP_A", &client.public())];
            let choice = answer_request(&pool, ("SELECT_CHALLENGE", asked.session()), &choice);
            refused_everywhere(&pool, choice, lacking).await;
        }
        pool.sign_in(&name, PASSWORD).await.unwrap();
        sign_in(&pool, &name, PASSWORD).await.unwrap();
        pool.verify().await;
    }
}

#[tokio::test]
async fn an_exchange_is_answered_once() {
    let pool = srp_pool("ENABLED").await;
    let name = pool.person("once").await.username;
    for _ in 0..3 {
        let client = Client::new();
        let challenge = pool.begin_srp(&client, &name).await.unwrap();
        let answer = pool.verifier_request(&client, &challenge, PASSWORD);
        let answers = join_all((0..6).map(|_| respond(&pool, answer.clone()))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        for refused in answers.into_iter().filter(Result::is_err) {
            assert_refused(refused, USED.0, USED.1);
        }
    }
    // A wrong answer, also through a trusted server, uses the exchange up as well.
    let client = Client::new();
    let challenge = pool.begin_srp(&client, &name).await.unwrap();
    let wrong = pool.verifier_request(&client, &challenge, WRONG_PASSWORD);
    let right = pool.verifier_request(&client, &challenge, PASSWORD);
    let user_pool_id = Some(pool.id.clone());
    let wrong = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&wrong) };
    assert_refused(pool.api.call(wrong).await, WRONG.0, WRONG.1);
    assert_refused(respond(&pool, right).await, USED.0, USED.1);
    sign_in(&pool, &name, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn an_exchange_ends_with_the_password_that_it_began_with() {
    let pool = srp_pool("ENABLED").await;
    let name = pool.person("changed").await.username;
    let client = Client::new();
    let challenge = pool.begin_srp(&client, &name).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.clone()));
    let password = Some("Another-horse-7".to_owned());
    let set = AdminSetUserPasswordRequest { user_pool_id, username, password, permanent: Some(true) };
    pool.api.call(set).await.unwrap();
    let late = respond(&pool, pool.verifier_request(&client, &challenge, PASSWORD)).await;
    assert_refused(late, WRONG.0, WRONG.1);
    sign_in(&pool, &name, "Another-horse-7").await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn the_state_of_an_account_is_told_once_the_password_is_proved() {
    for existence in ["ENABLED", "LEGACY"] {
        let pool = srp_pool(existence).await;
        let unconfirmed = unique("unconfirmed");
        pool.sign_up(&unconfirmed, &[("email", &format!("{unconfirmed}@example.com"))]).await.unwrap();
        let (reset, disabled) = (pool.person("reset").await.username, pool.person("disabled").await.username);
        let user_pool_id = Some(pool.id.clone());
        let username = Some(reset.clone());
        let request =
            AdminResetUserPasswordRequest { user_pool_id: user_pool_id.clone(), username, ..Default::default() };
        pool.api.call(request).await.unwrap();
        let disable = AdminDisableUserRequest { user_pool_id: user_pool_id.clone(), username: Some(disabled.clone()) };
        pool.api.call(disable).await.unwrap();
        for (name, exception, message) in [
            (&unconfirmed, "UserNotConfirmedException", "User is not confirmed."),
            (&reset, "PasswordResetRequiredException", "Password reset required for the user"),
            (&disabled, "NotAuthorizedException", "User is disabled."),
        ] {
            assert_refused(sign_in(&pool, name, PASSWORD).await, exception, message);
            let client = Client::new();
            let challenge = pool.begin_srp(&client, name).await.unwrap();
            let answer = pool.verifier_request(&client, &challenge, PASSWORD);
            let by_server =
                AdminRespondToAuthChallengeRequest { user_pool_id: user_pool_id.clone(), ..same_fields(&answer) };
            assert_refused(pool.api.call(by_server).await, exception, message);
        }
        pool.verify().await;
    }
}

#[tokio::test]
async fn a_temporary_password_is_replaced_after_srp() {
    let pool = srp_pool("ENABLED").await;
    let name = unique("invited");
    pool.create_user(&name, &[], "Temporary-horse-7").await;
    let challenge = sign_in(&pool, &name, "Temporary-horse-7").await.unwrap();
    assert_eq!(challenge.challenge_name(), "NEW_PASSWORD_REQUIRED");
    let request = pool.new_password_request(challenge.session(), &name, PASSWORD);
    assert!(respond(&pool, request).await.unwrap().authentication_result.is_some());
    sign_in(&pool, &name, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_second_factor_follows_srp_and_the_exchange_is_used_up() {
    let pool = srp_pool("ENABLED").await;
    pool.api.call(all_factors(&pool, "OPTIONAL")).await.unwrap();
    let (person, phone) = person_with_phone(&pool, "factor").await;
    let name = person.username;
    let access_token = pool.sign_in(&name, PASSWORD).await.unwrap().access_token.unwrap();
    let app = set_up_app(&pool, &access_token).await;
    // Asking for an app's code writes only that the exchange was answered.
    let client = Client::new();
    let begun = pool.begin_srp(&client, &name).await.unwrap();
    let proof = pool.verifier_request(&client, &begun, PASSWORD);
    let challenge = respond(&pool, proof.clone()).await.unwrap();
    assert_eq!(challenge.challenge_name(), "SOFTWARE_TOKEN_MFA");
    assert_refused(respond(&pool, proof).await, USED.0, USED.1);
    give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", challenge.session()), &app.code(1)).await.unwrap();
    // A code that is sent is a commit.
    prefer(&pool, &access_token, &["SMS_MFA"], Some("SMS_MFA")).await.unwrap();
    let begun = pool.begin_srp(&client, &name).await.unwrap();
    let proof = pool.verifier_request(&client, &begun, PASSWORD);
    let challenge = respond(&pool, proof.clone()).await.unwrap();
    assert_eq!(challenge.challenge_name(), "SMS_MFA");
    assert_refused(respond(&pool, proof).await, USED.0, USED.1);
    let code = pool.api.code_for(&phone).await;
    give_code(&pool, &name, ("SMS_MFA", challenge.session()), &code).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn requests_that_are_no_exchange_are_refused() {
    let pool = srp_pool("ENABLED").await;
    let name = pool.person("refused").await.username;
    let begin = |values: &[(&str, &str)]| InitiateAuthRequest {
        auth_parameters: parameters(values),
        ..pool.srp_request(&Client::new(), &name)
    };
    let number = "SRP_A must be a hexadecimal number from 1 to N - 1.";
    for (value, message) in [
        ("0", number),
        ("00", number),
        (&prime(), number),
        (&format!("{}{}", prime(), "0"), number),
        ("no number", number),
        ("", "Missing required parameter SRP_A"),
    ] {
        let request = begin(&[("USERNAME", &name), ("SRP_A", value)]);
        let user_pool_id = Some(pool.id.clone());
        let by_server = AdminInitiateAuthRequest { user_pool_id, ..same_fields(&request) };
        assert_refused(pool.api.call(by_server).await, INVALID, message);
        assert_refused(pool.api.call(request).await, INVALID, message);
    }
    let nameless = begin(&[("SRP_A", "2")]);
    assert_refused(pool.api.call(nameless).await, INVALID, "Missing required parameter USERNAME");

    let other = pool.add_client(srp_client("ENABLED")).await.client_id;
    let client = Client::new();
    let challenge = pool.begin_srp(&client, &name).await.unwrap();
    let answer = pool.verifier_request(&client, &challenge, PASSWORD);
    let with = |parameter: &str, value: &str| {
        let mut answer = answer.clone();
        answer.challenge_responses.insert(parameter.to_owned(), value.to_owned());
        answer
    };
    for parameter in ["USERNAME", "PASSWORD_CLAIM_SECRET_BLOCK", "PASSWORD_CLAIM_SIGNATURE", "TIMESTAMP"] {
        let message = format!("Missing required parameter {parameter}");
        assert_refused(respond(&pool, with(parameter, "")).await, INVALID, &message);
    }
    let form = "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.";
    refused_everywhere(&pool, with("TIMESTAMP", "2026-11-30T09:05:07Z"), (INVALID, form)).await;
    let through_other = RespondToAuthChallengeRequest { client_id: other, ..answer.clone() };
    assert_refused(respond(&pool, through_other).await, NO_SESSION.0, NO_SESSION.1);
    let block = &challenge.challenge_parameters["SECRET_BLOCK"];
    for block in ["no block", "AAAA", &block[..block.len() - 8], &format!("AAAA{}", &block[4..])] {
        assert_refused(respond(&pool, with("PASSWORD_CLAIM_SECRET_BLOCK", block)).await, NO_SESSION.0, NO_SESSION.1);
    }
    // None of these was a guess, so the exchange still counts.
    respond(&pool, answer.clone()).await.unwrap();

    let client = Client::new();
    let challenge = pool.begin_srp(&client, &name).await.unwrap();
    let mut another_time = pool.verifier_request(&client, &challenge, PASSWORD);
    let later = TIMESTAMP.replace("09:05", "09:06");
    another_time.challenge_responses.insert("TIMESTAMP".into(), later);
    assert_refused(respond(&pool, another_time).await, WRONG.0, WRONG.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_client_that_does_not_allow_srp_begins_no_exchange() {
    let flows = texts(&["ALLOW_USER_PASSWORD_AUTH"]);
    let client = CreateUserPoolClientRequest { explicit_auth_flows: flows, ..Default::default() };
    let pool = Pool::create_with(email_pool(), client).await;
    let name = pool.person("closed").await.username;
    let refused = pool.api.call(pool.srp_request(&Client::new(), &name)).await;
    assert_refused(refused, INVALID, "USER_SRP_AUTH flow not enabled for this client");
    pool.verify().await;
}

//! A remembered device that proves itself by SRP after the password, in place of a second factor.

use futures::future::join_all;
use serde_json::json;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::devices::{
    DEVICE_PASSWORD, admin_get, begin, claims, confirmation, forget, new_device, proof, proving_pool,
    proving_pool_with_aliases, refresh, srp_auth, tracking_pool, up_to_proof, update, with_device,
};
use crate::support::mfa::{all_factors, give_code, person_with_phone};
use crate::support::pool::{PASSWORD, Person, Pool, parameters, password_client, secret_hash};
use crate::support::requests::same_fields;
use crate::support::srp::{Client, prime};

const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");
const NO_SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const NO_DEVICE: (&str, &str) = ("ResourceNotFoundException", "Device does not exist.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");

async fn respond(
    pool: &Pool,
    request: RespondToAuthChallengeRequest,
) -> Result<RespondToAuthChallengeResponse, Refusal> {
    pool.api.call(request).await
}

fn tokens(answer: RespondToAuthChallengeResponse) -> AuthenticationResultType {
    answer.authentication_result.expect("tokens")
}

/// A user with a device that is remembered.
async fn remembered(pool: &Pool, name: &str) -> (Person, AuthenticationResultType, String) {
    let person = pool.person(name).await;
    let (tokens, key) = with_device(pool, &person).await;
    (person, tokens, key)
}

#[tokio::test]
async fn a_remembered_device_proves_itself_after_the_password() {
    let pool = proving_pool(false).await;
    let (person, first, key) = remembered(&pool, "proved").await;
    let begun = begin(&pool, &person.username, &key).await;
    assert_eq!(begun.challenge_name(), "DEVICE_SRP_AUTH");
    let told = parameters(&[("DEVICE_KEY", &key), ("USERNAME", &person.username)]);
    assert_eq!((&begun.challenge_parameters, &begun.authentication_result), (&told, &None));
    let client = Client::new();
    let answer = respond(&pool, srp_auth(&pool, &client, (&person.username, &key), begun.session)).await.unwrap();
    assert_eq!(answer.challenge_name(), "DEVICE_PASSWORD_VERIFIER");
    assert_eq!(answer.session, None, "SECRET_BLOCK is the session");
    let told: Vec<_> = answer.challenge_parameters.keys().map(String::as_str).collect();
    assert_eq!(told, ["DEVICE_KEY", "SALT", "SECRET_BLOCK", "SRP_B", "USERNAME"]);
    let proof = proof(&pool, &client, &answer.challenge_parameters, DEVICE_PASSWORD);
    let signed_in = tokens(respond(&pool, proof.clone()).await.unwrap());
    assert_eq!(signed_in.new_device_metadata, None);
    assert_eq!(claims(signed_in.access_token())["device_key"], key.as_str());
    refresh(&pool, signed_in.refresh_token(), Some(&key)).await.unwrap();
    let device = admin_get(&pool, &person.username, &key).await.unwrap();
    let auth_time = claims(signed_in.access_token())["auth_time"].as_i64();
    assert_eq!(device.device_last_authenticated_date.map(|at| at.seconds), auth_time);
    assert!(claims(first.access_token())["auth_time"].as_i64() <= auth_time);
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let recorded: Vec<Option<String>> = sqlx::query_scalar(
        "select payload->>'device_id' from activity
         where user_pool_id = $1 and owner = $2 and type = 'user.signed_in' order by at",
    )
    .bind(&pool.id)
    .bind(&person.sub)
    .fetch_all(&database)
    .await
    .unwrap();
    let id = key.split_once('_').map(|(_, id)| id.to_owned());
    assert_eq!(recorded, [id.clone(), id], "both sign-ins were with the device");
    // An answer works once, also with another signature in it.
    assert_refused(respond(&pool, proof).await, USED.0, USED.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_device_proves_itself_after_a_sign_in_by_srp() {
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "srp").await;
    // Clients name the device at the beginning, with the signature, or both times.
    for (first, second) in [(true, true), (true, false), (false, true)] {
        let client = Client::new();
        let named = |is_named: bool| is_named.then(|| ("DEVICE_KEY".to_owned(), key.clone()));
        let mut request = pool.srp_request(&client, &person.username);
        request.auth_parameters.extend(named(first));
        let challenge = pool.api.call(request).await.unwrap();
        let mut answer = pool.verifier_request(&client, &challenge, PASSWORD);
        answer.challenge_responses.extend(named(second));
        let begun = respond(&pool, answer).await.unwrap();
        assert_eq!(begun.challenge_name(), "DEVICE_SRP_AUTH");
        // Some libraries use one public value for both exchanges, and send no session.
        let request = srp_auth(&pool, &client, (&person.username, &key), None);
        let challenge = respond(&pool, request).await.unwrap();
        let proof = proof(&pool, &client, &challenge.challenge_parameters, DEVICE_PASSWORD);
        let signed_in = tokens(respond(&pool, proof).await.unwrap());
        assert_eq!(claims(signed_in.access_token())["device_key"], key.as_str());
    }
    pool.verify().await;
}

#[tokio::test]
async fn an_exchange_without_a_session_needs_a_sign_in_that_waits_for_this_device_and_client() {
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "waiting").await;
    let (other, _, others_key) = remembered(&pool, "other").await;
    let client = Client::new();
    let asked = |username: &str, key: &str| srp_auth(&pool, &client, (username, key), None);
    // Nobody has proved a password yet.
    assert_refused(respond(&pool, asked(&person.username, &key)).await, NO_SESSION.0, NO_SESSION.1);
    begin(&pool, &person.username, &key).await;
    // Under another of their names, it is not the sign-in that began.
    for (username, key) in
        [(&other.username, &key), (&person.username, &others_key), (&other.username, &others_key), (&person.sub, &key)]
    {
        assert_refused(respond(&pool, asked(username, key)).await, NO_SESSION.0, NO_SESSION.1);
    }
    let another = pool.add_client(password_client()).await;
    let elsewhere = RespondToAuthChallengeRequest { client_id: another.client_id, ..asked(&person.username, &key) };
    assert_refused(respond(&pool, elsewhere).await, NO_SESSION.0, NO_SESSION.1);
    let challenge = respond(&pool, asked(&person.username, &key)).await.unwrap();
    let right = proof(&pool, &client, &challenge.challenge_parameters, DEVICE_PASSWORD);
    tokens(respond(&pool, right).await.unwrap());
    assert_refused(respond(&pool, asked(&person.username, &key)).await, NO_SESSION.0, NO_SESSION.1);
    pool.verify().await;
}

#[tokio::test]
async fn the_owner_of_a_device_may_be_named_by_an_alias() {
    let pool = proving_pool_with_aliases().await;
    let (person, _, key) = remembered(&pool, "alias").await;
    for (asked, answered) in [(&person.email, &person.username), (&person.username, &person.email)] {
        let session = begin(&pool, asked, &key).await.session;
        let client = Client::new();
        let challenge = respond(&pool, srp_auth(&pool, &client, (answered, &key), session)).await.unwrap();
        let mut right = proof(&pool, &client, &challenge.challenge_parameters, DEVICE_PASSWORD);
        right.challenge_responses.insert("USERNAME".to_owned(), asked.clone());
        tokens(respond(&pool, right).await.unwrap());
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_wrong_proof_ends_the_sign_in_counts_and_is_recorded() {
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "wrong").await;
    let wrong = up_to_proof(&pool, &person.username, &key, "another password").await;
    assert_refused(respond(&pool, wrong.clone()).await, WRONG.0, WRONG.1);
    assert_refused(respond(&pool, wrong).await, USED.0, USED.1);
    let mut garbled = up_to_proof(&pool, &person.username, &key, DEVICE_PASSWORD).await;
    garbled.challenge_responses.insert("PASSWORD_CLAIM_SIGNATURE".to_owned(), "no base64".to_owned());
    assert_refused(respond(&pool, garbled).await, WRONG.0, WRONG.1);
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let reasons: Vec<String> = sqlx::query_scalar(
        "select payload->>'reason' from activity
         where user_pool_id = $1 and owner = $2 and type = 'user.sign_in_refused' order by at",
    )
    .bind(&pool.id)
    .bind(&person.sub)
    .fetch_all(&database)
    .await
    .unwrap();
    assert_eq!(reasons, ["SIGN_IN_REFUSAL_WRONG_DEVICE_PASSWORD"; 2]);
    // They count like wrong passwords: five lock the user for a moment.
    for _ in 0..3 {
        let wrong = up_to_proof(&pool, &person.username, &key, "another password").await;
        assert_refused(respond(&pool, wrong).await, WRONG.0, WRONG.1);
    }
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, LOCKED.0, LOCKED.1);
    pool.verify().await;
}

#[tokio::test]
async fn of_many_proofs_at_one_moment_one_signs_in() {
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "burst").await;
    let right = up_to_proof(&pool, &person.username, &key, DEVICE_PASSWORD).await;
    let answers = join_all((0..8).map(|_| respond(&pool, right.clone()))).await;
    let (signed_in, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(signed_in.len(), 1);
    for refusal in refused {
        assert_refused(refusal, USED.0, USED.1);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_device_is_asked_for_nothing_unless_it_is_remembered_and_the_pool_says_so() {
    let asks = proving_pool(true).await;
    let (person, first, key) = remembered(&asks, "asked").await;
    for (status, expected) in
        [(None, None), (Some("remembered"), Some("DEVICE_SRP_AUTH")), (Some("not_remembered"), None)]
    {
        update(&asks, &first, &key, status).await.unwrap();
        let begun = begin(&asks, &person.username, &key).await;
        assert_eq!(begun.challenge_name.as_deref(), expected);
        if let Some(signed_in) = begun.authentication_result {
            assert_eq!(signed_in.new_device_metadata, None, "it is known all the same");
        }
    }
    asks.verify().await;

    let does_not = tracking_pool(false).await;
    let (person, _, key) = remembered(&does_not, "unasked").await;
    assert_eq!(begin(&does_not, &person.username, &key).await.challenge_name, None);
    does_not.verify().await;

    let bare = proving_pool(false).await;
    let person = bare.person("bare").await;
    let signed_in = bare.sign_in(&person.username, PASSWORD).await.unwrap();
    let request = ConfirmDeviceRequest { device_secret_verifier_config: None, ..confirmation(&signed_in) };
    bare.api.call(request).await.unwrap();
    let key = new_device(&signed_in).device_key.unwrap();
    assert_eq!(begin(&bare, &person.username, &key).await.challenge_name, None, "it has nothing to prove itself with");
    bare.verify().await;
}

#[tokio::test]
async fn a_remembered_device_takes_the_place_of_the_second_factor_until_it_is_not_remembered() {
    let pool = proving_pool(false).await;
    let (other, _, others_key) = remembered(&pool, "elsewhere").await;
    let factors = SetUserPoolMfaConfigRequest {
        software_token_mfa_configuration: None,
        email_mfa_configuration: None,
        ..all_factors(&pool, "ON")
    };
    pool.api.call(factors).await.unwrap();
    let (person, phone) = person_with_phone(&pool, "second").await;
    let name = person.username.as_str();
    let newest = async |count| {
        let message = pool.api.messages_for(&phone, count).await.swap_remove(0);
        message["code"].as_str().expect("a code").to_owned()
    };
    let by_code = async |key: Option<&str>, count| {
        let mut request = pool.sign_in_request(name, PASSWORD);
        request.auth_parameters.extend(key.map(|key| ("DEVICE_KEY".to_owned(), key.to_owned())));
        let begun = pool.api.call(request).await.unwrap();
        assert_eq!(begun.challenge_name(), "SMS_MFA");
        give_code(&pool, name, ("SMS_MFA", begun.session()), &newest(count).await).await.unwrap()
    };
    let first = by_code(None, 1).await;
    pool.api.call(confirmation(&first)).await.unwrap();
    let key = new_device(&first).device_key.unwrap();
    tokens(respond(&pool, up_to_proof(&pool, name, &key, DEVICE_PASSWORD).await).await.unwrap());

    // Without its key, or with the key of another user's device, the second factor is asked for.
    assert!(by_code(None, 2).await.new_device_metadata.is_some());
    assert!(by_code(Some(&others_key), 3).await.new_device_metadata.is_some());
    update(&pool, &first, &key, Some("not_remembered")).await.unwrap();
    let known = by_code(Some(&key), 4).await;
    assert_eq!((&known.new_device_metadata, &claims(known.access_token())["device_key"]), (&None, &json!(key)));

    // Also if that happens while the device proves itself.
    update(&pool, &first, &key, Some("remembered")).await.unwrap();
    let right = up_to_proof(&pool, name, &key, DEVICE_PASSWORD).await;
    update(&pool, &first, &key, Some("not_remembered")).await.unwrap();
    let asked = respond(&pool, right).await.unwrap();
    assert_eq!(asked.challenge_name(), "SMS_MFA");
    give_code(&pool, name, ("SMS_MFA", asked.session()), &newest(5).await).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(other.username));
    pool.api.call(AdminDeleteUserRequest { user_pool_id, username }).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn what_changes_while_a_device_proves_itself_counts() {
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "changing").await;
    let right = up_to_proof(&pool, &person.username, &key, DEVICE_PASSWORD).await;
    let set = AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        password: Some(PASSWORD.to_owned()),
        permanent: Some(true),
    };
    pool.api.call(set).await.unwrap();
    assert_refused(respond(&pool, right).await, NO_SESSION.0, NO_SESSION.1);

    // A device that is not remembered any more proves nothing that is asked for.
    let right = up_to_proof(&pool, &person.username, &key, DEVICE_PASSWORD).await;
    let begun = begin(&pool, &person.username, &key).await;
    let elsewhere = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    update(&pool, &elsewhere, &key, Some("not_remembered")).await.unwrap();
    let signed_in = tokens(respond(&pool, right).await.unwrap());
    assert_eq!(claims(signed_in.access_token())["device_key"], key.as_str());
    update(&pool, &elsewhere, &key, Some("remembered")).await.unwrap();

    let right = up_to_proof(&pool, &person.username, &key, DEVICE_PASSWORD).await;
    forget(&pool, &elsewhere, &key).await.unwrap();
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&right) };
    assert_refused(pool.api.call(by_server).await, NO_DEVICE.0, NO_DEVICE.1);
    assert_refused(respond(&pool, right).await, NO_DEVICE.0, NO_DEVICE.1);
    let late = srp_auth(&pool, &Client::new(), (&person.username, &key), begun.session);
    assert_refused(respond(&pool, late).await, NO_DEVICE.0, NO_DEVICE.1);
    pool.verify().await;
}

#[tokio::test]
async fn answers_that_lack_something_or_belong_to_something_else_are_refused() {
    const INVALID: &str = "InvalidParameterException";
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "lacking").await;
    let (other, _, others_key) = remembered(&pool, "another").await;
    let begun = begin(&pool, &person.username, &key).await;
    let client = Client::new();
    let asked = srp_auth(&pool, &client, (&person.username, &key), begun.session.clone());
    for name in ["USERNAME", "DEVICE_KEY", "SRP_A"] {
        let mut without = asked.clone();
        without.challenge_responses.remove(name);
        assert_refused(respond(&pool, without).await, INVALID, &format!("Missing required parameter {name}"));
    }
    for public in ["0", &prime(), "no number"] {
        let mut wrong = asked.clone();
        wrong.challenge_responses.insert("SRP_A".to_owned(), public.to_owned());
        let message = "SRP_A must be a hexadecimal number from 1 to N - 1.";
        assert_refused(respond(&pool, wrong).await, INVALID, message);
    }
    for (username, key) in [(&other.username, &key), (&person.username, &others_key), (&other.username, &others_key)] {
        let wrong = srp_auth(&pool, &client, (username, key), begun.session.clone());
        assert_refused(respond(&pool, wrong).await, NO_SESSION.0, NO_SESSION.1);
    }
    let forged = srp_auth(&pool, &client, (&person.username, &key), Some("a session of nobody's".to_owned()));
    assert_refused(respond(&pool, forged).await, NO_SESSION.0, NO_SESSION.1);

    let challenge = respond(&pool, asked).await.unwrap().challenge_parameters;
    let right = proof(&pool, &client, &challenge, DEVICE_PASSWORD);
    for name in ["USERNAME", "DEVICE_KEY", "PASSWORD_CLAIM_SECRET_BLOCK", "PASSWORD_CLAIM_SIGNATURE", "TIMESTAMP"] {
        let mut without = right.clone();
        without.challenge_responses.remove(name);
        assert_refused(respond(&pool, without).await, INVALID, &format!("Missing required parameter {name}"));
    }
    let foreign = [("USERNAME", &other.username), ("DEVICE_KEY", &others_key)];
    for (name, value) in foreign.into_iter().chain([("PASSWORD_CLAIM_SECRET_BLOCK", &"bm9uZQ==".to_owned())]) {
        let mut wrong = right.clone();
        wrong.challenge_responses.insert(name.to_owned(), value.clone());
        assert_refused(respond(&pool, wrong).await, NO_SESSION.0, NO_SESSION.1);
    }
    // The block of a device is no proof of a user's password.
    let crossed =
        RespondToAuthChallengeRequest { challenge_name: Some("PASSWORD_VERIFIER".to_owned()), ..right.clone() };
    assert_refused(respond(&pool, crossed).await, NO_SESSION.0, NO_SESSION.1);
    tokens(respond(&pool, right).await.unwrap());
    pool.verify().await;
}

#[tokio::test]
async fn a_new_password_comes_before_the_device() {
    const TEMPORARY: &str = "Temporary-horse-7";
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "renewed").await;
    let set = AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        password: Some(TEMPORARY.to_owned()),
        permanent: Some(false),
    };
    pool.api.call(set).await.unwrap();
    let mut request = pool.sign_in_request(&person.username, TEMPORARY);
    request.auth_parameters.insert("DEVICE_KEY".to_owned(), key.clone());
    let session = pool.api.call(request).await.unwrap().session.expect("a challenge");
    let answer =
        respond(&pool, pool.new_password_request(&session, &person.username, "Another-horse-8")).await.unwrap();
    assert_eq!(answer.challenge_name(), "DEVICE_SRP_AUTH");
    let client = Client::new();
    let asked = srp_auth(&pool, &client, (&person.username, &key), None);
    let challenge = respond(&pool, asked).await.unwrap().challenge_parameters;
    tokens(respond(&pool, proof(&pool, &client, &challenge, DEVICE_PASSWORD)).await.unwrap());
    pool.verify().await;
}

#[tokio::test]
async fn a_server_with_a_secret_proves_the_device_of_its_user() {
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "served").await;
    let client = CreateUserPoolClientRequest {
        generate_secret: Some(true),
        explicit_auth_flows: vec!["ALLOW_USER_SRP_AUTH".to_owned(), "ALLOW_REFRESH_TOKEN_AUTH".to_owned()],
        ..Default::default()
    };
    let client = pool.add_client(client).await;
    let (id, client_secret) = (client.client_id().to_owned(), client.client_secret.unwrap());
    let hash = secret_hash(&client_secret, &person.username, &id);
    let respond = |request: RespondToAuthChallengeRequest, with_hash: bool| {
        let mut challenge_responses = request.challenge_responses;
        challenge_responses.extend(with_hash.then(|| ("SECRET_HASH".to_owned(), hash.clone())));
        pool.api.call(AdminRespondToAuthChallengeRequest {
            user_pool_id: Some(pool.id.clone()),
            client_id: Some(id.clone()),
            challenge_name: request.challenge_name,
            session: request.session,
            challenge_responses,
            ..Default::default()
        })
    };
    let srp = Client::new();
    let begin = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(id.clone()),
        auth_flow: Some("USER_SRP_AUTH".to_owned()),
        auth_parameters: parameters(&[
            ("USERNAME", &person.username),
            ("SRP_A", &srp.public()),
            ("DEVICE_KEY", &key),
            ("SECRET_HASH", &hash),
        ]),
        ..Default::default()
    };
    let begun = pool.api.call(begin).await.unwrap();
    let begun = InitiateAuthResponse { challenge_parameters: begun.challenge_parameters, ..Default::default() };
    let answer = respond(pool.verifier_request(&srp, &begun, PASSWORD), true).await.unwrap();
    assert_eq!(answer.challenge_name(), "DEVICE_SRP_AUTH");
    let asked = srp_auth(&pool, &srp, (&person.username, &key), answer.session);
    let missing = format!("Client {id} is configured with secret but SECRET_HASH was not received");
    assert_refused(respond(asked.clone(), false).await, "NotAuthorizedException", &missing);
    let challenge = respond(asked, true).await.unwrap().challenge_parameters;
    let right = proof(&pool, &srp, &challenge, DEVICE_PASSWORD);
    assert_refused(respond(right.clone(), false).await, "NotAuthorizedException", &missing);
    let signed_in = respond(right, true).await.unwrap().authentication_result.expect("tokens");
    assert_eq!(claims(signed_in.access_token())["device_key"], key.as_str());
    pool.verify().await;
}

#[tokio::test]
async fn an_aws_client_proves_its_device() {
    let pool = proving_pool(false).await;
    let (person, _, key) = remembered(&pool, "aws").await;
    let begin = json!({
        "ClientId": pool.client_id, "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": { "USERNAME": person.username, "PASSWORD": PASSWORD, "DEVICE_KEY": key },
    });
    let begun = pool.api.aws_json("InitiateAuth", &begin).await.json();
    assert_eq!(begun["ChallengeName"], "DEVICE_SRP_AUTH");
    let client = Client::new();
    let asked = json!({
        "ClientId": pool.client_id, "ChallengeName": "DEVICE_SRP_AUTH", "Session": begun["Session"],
        "ChallengeResponses": { "USERNAME": person.username, "DEVICE_KEY": key, "SRP_A": client.public() },
    });
    let challenge = pool.api.aws_json("RespondToAuthChallenge", &asked).await.json();
    assert_eq!(challenge["ChallengeName"], "DEVICE_PASSWORD_VERIFIER");
    let told = serde_json::from_value(challenge["ChallengeParameters"].clone()).unwrap();
    let right = proof(&pool, &client, &told, DEVICE_PASSWORD);
    let answer = json!({
        "ClientId": pool.client_id, "ChallengeName": "DEVICE_PASSWORD_VERIFIER", "Session": challenge["Session"],
        "ChallengeResponses": right.challenge_responses,
    });
    let answer = pool.api.aws_json("RespondToAuthChallenge", &answer).await.json();
    let token = answer["AuthenticationResult"]["AccessToken"].as_str().expect("a token");
    assert_eq!(claims(token)["device_key"], key.as_str());
    pool.verify().await;
}

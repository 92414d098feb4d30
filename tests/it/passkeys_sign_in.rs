//! Signing in by a passkey: WEB_AUTHN of USER_AUTH.

use futures::future::join_all;
use serde_json::json;
use userpool::proto::v1::*;

use crate::support::choice::{begin_request, choosing_client};
use crate::support::client::assert_refused;
use crate::support::mfa::{all_factors, give_code, set_up_app};
use crate::support::passkeys::{
    Authenticator, ORIGIN, PARTY, answer, begin, challenge_of, configuration, configure, options_of,
    person_with_passkey, pool_with_passkeys, signed,
};
use crate::support::pool::{PASSWORD, Pool, parameters, unique};
use crate::support::requests::same_fields;

const INVALID: &str = "InvalidParameterException";
const UNPROVED: (&str, &str) = ("NotAuthorizedException", "The passkey could not be verified.");
const NO_SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");
const LOCKED: (&str, &str) = ("NotAuthorizedException", "Password attempts exceeded");

/// The facts about the sign-ins of a user, as the log of activity has them.
async fn facts(pool: &Pool, kind: &str) -> Vec<serde_json::Value> {
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let statement = "select payload from activity where user_pool_id = $1 and type = $2 order by at";
    sqlx::query_scalar(statement).bind(&pool.id).bind(kind).fetch_all(&database).await.unwrap()
}

#[tokio::test]
async fn a_passkey_signs_in_and_its_answer_works_once() {
    let pool = pool_with_passkeys("ENABLED").await;
    for authenticator in [Authenticator::new(), Authenticator::rs256()] {
        let (username, _) = person_with_passkey(&pool, "passkey", &authenticator).await;
        let challenge = begin(&pool, &username).await.unwrap();
        let options = options_of(&challenge);
        assert_eq!((&options["rpId"], &options["userVerification"]), (&json!(PARTY), &json!("preferred")));
        assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
        let given = authenticator.assertion(PARTY, ORIGIN, &challenge_of(&options), None);
        let right = answer(&pool, &username, challenge.session(), &given);
        let tokens = pool.api.call(right.clone()).await.unwrap().authentication_result.expect("tokens");
        assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), username);
        pool.refresh(tokens.refresh_token()).await.unwrap();
        assert_refused(pool.api.call(right).await, USED.0, USED.1);
    }
    let facts = facts(&pool, "user.signed_in").await;
    assert!(facts.last().unwrap()["passkey_id"].is_string(), "{facts:?}");
    pool.verify().await;
}

#[tokio::test]
async fn a_passkey_is_chosen_at_either_door_and_by_a_trusted_server() {
    let pool = pool_with_passkeys("ENABLED").await;
    let authenticator = Authenticator::new();
    let (username, _) = person_with_passkey(&pool, "doors", &authenticator).await;
    let request =
        json!({ "ClientId": pool.client_id, "AuthFlow": "USER_AUTH", "AuthParameters": { "USERNAME": username } });
    let asked = pool.api.aws_json("InitiateAuth", &request).await.json();
    assert_eq!(asked["AvailableChallenges"], json!(["PASSWORD", "PASSWORD_SRP", "WEB_AUTHN"]), "{asked}");
    let choice = json!({
        "ClientId": pool.client_id, "ChallengeName": "SELECT_CHALLENGE", "Session": asked["Session"],
        "ChallengeResponses": { "USERNAME": username, "ANSWER": "WEB_AUTHN" },
    });
    let challenge = pool.api.aws_json("RespondToAuthChallenge", &choice).await.json();
    assert_eq!(challenge["ChallengeName"], "WEB_AUTHN", "{challenge}");
    let options = challenge["ChallengeParameters"]["CREDENTIAL_REQUEST_OPTIONS"].as_str().unwrap();
    let options = serde_json::from_str(options).unwrap();
    let given = authenticator.assertion(PARTY, ORIGIN, &challenge_of(&options), None);
    let right = answer(&pool, &username, challenge["Session"].as_str().unwrap(), &given);
    let user_pool_id = Some(pool.id.clone());
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id: user_pool_id.clone(), ..same_fields(&right) };
    assert!(pool.api.call(by_server).await.unwrap().authentication_result.is_some());
    // A trusted server begins, and the app answers.
    let request = begin_request(&pool, &username, &[("PREFERRED_CHALLENGE", "WEB_AUTHN")]);
    let begun = pool.api.call(AdminInitiateAuthRequest { user_pool_id, ..same_fields(&request) }).await.unwrap();
    let options = serde_json::from_str(&begun.challenge_parameters["CREDENTIAL_REQUEST_OPTIONS"]).unwrap();
    let given = authenticator.assertion(PARTY, ORIGIN, &challenge_of(&options), None);
    let right = answer(&pool, &username, begun.session(), &given);
    assert!(pool.api.call(right).await.unwrap().authentication_result.is_some());
    pool.verify().await;
}

#[tokio::test]
async fn of_many_answers_at_one_moment_one_signs_in() {
    let pool = pool_with_passkeys("ENABLED").await;
    let authenticator = Authenticator::new();
    let (username, _) = person_with_passkey(&pool, "burst", &authenticator).await;
    for _ in 0..3 {
        let right = signed(&pool, &username, &authenticator).await;
        let answers = join_all((0..6).map(|_| pool.api.call(right.clone()))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        for refused in answers.into_iter().filter(Result::is_err) {
            assert_refused(refused, USED.0, USED.1);
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_counter_that_does_not_go_up_is_refused_and_recorded() {
    let pool = pool_with_passkeys("ENABLED").await;
    let authenticator = Authenticator::new().counting(3);
    let (username, _) = person_with_passkey(&pool, "copied", &authenticator).await;
    let at = |counter| authenticator.clone().counting(counter);
    assert_refused(pool.api.call(signed(&pool, &username, &at(3)).await).await, UNPROVED.0, UNPROVED.1);
    pool.api.call(signed(&pool, &username, &at(5)).await).await.unwrap();
    for copied in [5, 4, 0] {
        assert_refused(pool.api.call(signed(&pool, &username, &at(copied)).await).await, UNPROVED.0, UNPROVED.1);
    }
    // Of two with the same counter at one moment, one signs in.
    let both = [signed(&pool, &username, &at(6)).await, signed(&pool, &username, &at(6)).await];
    let answers = join_all(both.map(|right| pool.api.call(right))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let refusals = facts(&pool, "user.sign_in_refused").await;
    assert_eq!(refusals.len(), 5, "{refusals:?}");
    assert!(refusals.iter().all(|fact| fact["reason"] == "SIGN_IN_REFUSAL_COPIED_PASSKEY"), "{refusals:?}");
    pool.verify().await;
}

#[tokio::test]
async fn what_another_key_page_or_challenge_has_signed_counts_like_a_wrong_password() {
    let pool = pool_with_passkeys("LEGACY").await;
    let (authenticator, other) = (Authenticator::new(), Authenticator::new());
    let (username, _) = person_with_passkey(&pool, "wrong", &authenticator).await;
    let challenge = begin(&pool, &username).await.unwrap();
    let bytes = challenge_of(&options_of(&challenge));
    let give = |given| answer(&pool, &username, challenge.session(), &given);
    // The session stays usable.
    for wrong in [
        other.assertion(PARTY, ORIGIN, &bytes, None),
        authenticator.assertion(PARTY, "https://example.org", &bytes, None),
        authenticator.assertion("example.org", ORIGIN, &bytes, None),
        authenticator.assertion(PARTY, ORIGIN, b"another challenge", None),
    ] {
        assert_refused(pool.api.call(give(wrong)).await, UNPROVED.0, UNPROVED.1);
    }
    let by_server = |request: &RespondToAuthChallengeRequest| AdminRespondToAuthChallengeRequest {
        user_pool_id: Some(pool.id.clone()),
        ..same_fields(request)
    };
    // A fifth one locks the user, in whichever session.
    let elsewhere = signed(&pool, &username, &other).await;
    assert_refused(pool.api.call(elsewhere).await, UNPROVED.0, UNPROVED.1);
    let locked = pool.sign_in(&username, PASSWORD).await;
    assert_refused(locked, LOCKED.0, LOCKED.1);
    let refusals = facts(&pool, "user.sign_in_refused").await;
    let wrong = refusals.iter().filter(|fact| fact["reason"] == "SIGN_IN_REFUSAL_WRONG_PASSKEY").count();
    assert_eq!(wrong, 5, "{refusals:?}");
    let wrong = give(other.assertion(PARTY, ORIGIN, &bytes, None));
    assert_refused(pool.api.call(by_server(&wrong)).await, UNPROVED.0, UNPROVED.1);
    let no_json = RespondToAuthChallengeRequest {
        challenge_responses: parameters(&[("USERNAME", &username), ("CREDENTIAL", "{}")]),
        ..give(json!({}))
    };
    let message = "CREDENTIAL must be an assertion as JSON.";
    assert_refused(pool.api.call(by_server(&no_json)).await, INVALID, message);
    assert_refused(pool.api.call(no_json).await, INVALID, message);
    let without = RespondToAuthChallengeRequest {
        challenge_responses: parameters(&[("USERNAME", &username)]),
        ..give(json!({}))
    };
    assert_refused(pool.api.call(without).await, INVALID, "Missing required parameter CREDENTIAL");
    pool.verify().await;
}

#[tokio::test]
async fn a_session_is_of_its_client_and_its_pools_passkeys() {
    let pool = pool_with_passkeys("ENABLED").await;
    let authenticator = Authenticator::new();
    let (username, _) = person_with_passkey(&pool, "elsewhere", &authenticator).await;
    let right = signed(&pool, &username, &authenticator).await;
    let client_id = pool.add_client(choosing_client("ENABLED")).await.client_id;
    let elsewhere = RespondToAuthChallengeRequest { client_id, ..right.clone() };
    assert_refused(pool.api.call(elsewhere).await, NO_SESSION.0, NO_SESSION.1);
    // The pool has another relying party now: the passkey is of no use, until it is back.
    let other = WebAuthnConfigurationType {
        relying_party_id: Some("example.org".into()),
        ..configuration("preferred", "SINGLE_FACTOR")
    };
    configure(&pool, other).await;
    assert_refused(pool.api.call(right.clone()).await, UNPROVED.0, UNPROVED.1);
    configure(&pool, configuration("preferred", "SINGLE_FACTOR")).await;
    pool.api.call(right).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn nobody_and_whoever_has_no_passkey_are_asked_alike_where_users_are_hidden() {
    let pool = pool_with_passkeys("ENABLED").await;
    let (nobody, without) = (unique("nobody"), pool.person("without").await.username);
    for name in [&nobody, &without] {
        let (first, second) = (begin(&pool, name).await.unwrap(), begin(&pool, name).await.unwrap());
        let (options, again) = (options_of(&first), options_of(&second));
        assert_eq!(options["allowCredentials"], again["allowCredentials"], "it is the same each time");
        assert_ne!(options["challenge"], again["challenge"]);
        let given = Authenticator::new().assertion(PARTY, ORIGIN, &challenge_of(&options), None);
        let guess = answer(&pool, name, first.session(), &given);
        for _ in 0..2 {
            assert_refused(pool.api.call(guess.clone()).await, UNPROVED.0, UNPROVED.1);
        }
    }
    let options = options_of(&begin(&pool, &nobody).await.unwrap());
    let other = options_of(&begin(&pool, &without).await.unwrap());
    assert_ne!(options["allowCredentials"], other["allowCredentials"]);
    pool.verify().await;
}

#[tokio::test]
async fn a_client_that_hides_nobody_says_that_there_is_no_passkey() {
    let pool = pool_with_passkeys("LEGACY").await;
    let without = pool.person("without").await.username;
    let message = "WEB_AUTHN is not available to the user.";
    let user_pool_id = Some(pool.id.clone());
    let request = begin_request(&pool, &without, &[("PREFERRED_CHALLENGE", "WEB_AUTHN")]);
    let by_server = AdminInitiateAuthRequest { user_pool_id: user_pool_id.clone(), ..same_fields(&request) };
    assert_refused(pool.api.call(by_server).await, INVALID, message);
    assert_refused(pool.api.call(request).await, INVALID, message);
    let asked = pool.api.call(begin_request(&pool, &without, &[])).await.unwrap();
    let choice = RespondToAuthChallengeRequest {
        challenge_name: Some("SELECT_CHALLENGE".into()),
        challenge_responses: parameters(&[("USERNAME", &without), ("ANSWER", "WEB_AUTHN")]),
        ..answer(&pool, &without, asked.session(), &json!({}))
    };
    let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&choice) };
    assert_refused(pool.api.call(by_server).await, INVALID, message);
    assert_refused(pool.api.call(choice).await, INVALID, message);
    assert_refused(begin(&pool, &unique("nobody")).await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn user_verification_is_demanded_where_the_pool_requires_it() {
    let pool = pool_with_passkeys("ENABLED").await;
    let authenticator = Authenticator::new();
    let (username, _) = person_with_passkey(&pool, "unverified", &authenticator).await;
    let unverified = authenticator.without_verification();
    pool.api.call(signed(&pool, &username, &unverified).await).await.unwrap();
    configure(&pool, configuration("required", "SINGLE_FACTOR")).await;
    assert_refused(pool.api.call(signed(&pool, &username, &unverified).await).await, UNPROVED.0, UNPROVED.1);
    pool.api.call(signed(&pool, &username, &authenticator).await).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_passkey_stands_for_both_factors_only_where_the_pool_or_the_user_says_so() {
    let pool = pool_with_passkeys("LEGACY").await;
    let authenticator = Authenticator::new();
    let (username, token) = person_with_passkey(&pool, "factors", &authenticator).await;
    let with = |mode: &str, factors: &str| SetUserPoolMfaConfigRequest {
        web_authn_configuration: Some(configuration("preferred", factors)),
        ..all_factors(&pool, mode)
    };
    pool.api.call(with("OPTIONAL", "SINGLE_FACTOR")).await.unwrap();
    let app = set_up_app(&pool, &token).await;
    let asked = pool.api.call(signed(&pool, &username, &authenticator).await).await.unwrap();
    assert_eq!(asked.challenge_name(), "SOFTWARE_TOKEN_MFA");
    give_code(&pool, &username, ("SOFTWARE_TOKEN_MFA", asked.session()), &app.code(1)).await.unwrap();
    let facts = facts(&pool, "user.signed_in").await;
    let last = facts.last().unwrap();
    assert!(last["passkey_id"].is_string() && last["second_factor"] == "SECOND_FACTOR_SOFTWARE_TOKEN", "{last}");
    pool.api.call(with("ON", "SINGLE_FACTOR")).await.unwrap();
    // At once on both replicas, whatever pool they remember.
    for _ in 0..2 {
        assert_refused(begin(&pool, &username).await, INVALID, "WEB_AUTHN is not available to the user.");
    }
    // The user's own setting.
    let own = |enabled| SetUserMfaPreferenceRequest {
        access_token: Some(token.clone()),
        web_authn_mfa_settings: Some(WebAuthnMfaSettingsType { enabled: Some(enabled) }),
        ..Default::default()
    };
    pool.api.call(own(true)).await.unwrap();
    assert_eq!(options_of(&begin(&pool, &username).await.unwrap())["userVerification"], "required");
    let tokens = pool.api.call(signed(&pool, &username, &authenticator).await).await.unwrap();
    assert!(tokens.authentication_result.is_some());
    let unverified = signed(&pool, &username, &authenticator.without_verification()).await;
    assert_refused(pool.api.call(unverified).await, UNPROVED.0, UNPROVED.1);
    pool.api.call(own(false)).await.unwrap();
    assert_refused(begin(&pool, &username).await, INVALID, "WEB_AUTHN is not available to the user.");
    pool.api.call(with("ON", "MULTI_FACTOR_WITH_USER_VERIFICATION")).await.unwrap();
    for _ in 0..2 {
        let tokens = pool.api.call(signed(&pool, &username, &authenticator).await).await.unwrap();
        assert!(tokens.authentication_result.is_some());
    }
    let unverified = signed(&pool, &username, &authenticator.without_verification()).await;
    assert_eq!(pool.api.call(unverified).await.unwrap().challenge_name(), "SOFTWARE_TOKEN_MFA");
    pool.verify().await;
}

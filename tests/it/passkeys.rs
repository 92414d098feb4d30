//! Passkeys of a user: registered, listed and deleted. Signing in by them is in `passkeys_sign_in`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use serde_json::{Value, json};
use userpool::proto::v1::*;

use crate::support::choice::{beginning_with, choosing_client};
use crate::support::client::{Refusal, assert_refused};
use crate::support::passkeys::{
    Authenticator, ORIGIN, PARTY, begin, challenge_of, completion, configuration, configure, person_with_passkey,
    pool_with_passkeys, pool_without_party, register, signed, start, token_of,
};
use crate::support::pool::{Pool, texts};

const UNSUPPORTED: &str = "WebAuthnCredentialNotSupportedException";
const MISMATCH: (&str, &str) =
    ("WebAuthnRelyingPartyMismatchException", "The credential is for another relying party.");
const NOT_FOUND: (&str, &str) = ("WebAuthnChallengeNotFoundException", "No registration waits for this challenge.");
const MOST: (&str, &str) = ("LimitExceededException", "A user can have at most 20 passkeys.");
const GONE: (&str, &str) = ("ResourceNotFoundException", "Passkey does not exist.");

fn list_request(token: &str) -> ListWebAuthnCredentialsRequest {
    ListWebAuthnCredentialsRequest { access_token: Some(token.to_owned()), ..Default::default() }
}

async fn listed(pool: &Pool, token: &str) -> Vec<WebAuthnCredentialDescription> {
    pool.api.call(list_request(token)).await.unwrap().credentials
}

async fn delete(pool: &Pool, token: &str, credential_id: &str) -> Result<(), Refusal> {
    let (access_token, credential_id) = (Some(token.to_owned()), Some(credential_id.to_owned()));
    pool.api.call(DeleteWebAuthnCredentialRequest { access_token, credential_id }).await.map(drop)
}

#[tokio::test]
async fn a_passkey_is_registered_listed_and_deleted() {
    let pool = pool_with_passkeys("ENABLED").await;
    let person = pool.person("registered").await;
    let token = token_of(&pool, &person.username).await;
    let options = start(&pool, &token).await.unwrap();
    assert_eq!(options["rp"], json!({ "id": PARTY, "name": "scenario" }));
    assert_eq!(options["pubKeyCredParams"][0], json!({ "type": "public-key", "alg": -7 }));
    assert_eq!((&options["user"]["name"], &options["excludeCredentials"]), (&json!(person.username), &json!([])));
    let user = uuid::Uuid::parse_str(&person.sub).unwrap();
    assert_eq!(options["user"]["id"], URL_SAFE_NO_PAD.encode(user.as_bytes()));

    let authenticator = Authenticator::new();
    let mut made = authenticator.attestation(PARTY, ORIGIN, &challenge_of(&options));
    made["authenticatorAttachment"] = json!("platform");
    made["response"]["transports"] = json!(["internal", "hybrid"]);
    pool.api.call(completion(&token, &made)).await.unwrap();
    let id = URL_SAFE_NO_PAD.encode(authenticator.id());
    let passkeys = listed(&pool, &token).await;
    let [passkey] = &passkeys[..] else { panic!("{passkeys:?}") };
    assert_eq!((passkey.credential_id(), passkey.friendly_credential_name()), (id.as_str(), "Passkey"));
    assert_eq!((passkey.relying_party_id(), passkey.authenticator_attachment()), (PARTY, "platform"));
    assert_eq!(passkey.authenticator_transports, ["internal", "hybrid"]);
    assert!(passkey.created_at.is_some());
    // A browser that has it makes no second one.
    let again = start(&pool, &token).await.unwrap();
    let known = json!([{ "type": "public-key", "id": id, "transports": ["internal", "hybrid"] }]);
    assert_eq!(again["excludeCredentials"], known);

    assert_refused(delete(&pool, &token, "bm9uZQ").await, GONE.0, GONE.1);
    assert_refused(delete(&pool, &token, "no base64").await, GONE.0, GONE.1);
    delete(&pool, &token, &id).await.unwrap();
    assert_refused(delete(&pool, &token, &id).await, GONE.0, GONE.1);
    assert_eq!(listed(&pool, &token).await, []);
    pool.verify().await;
}

#[tokio::test]
async fn an_aws_client_gets_and_gives_plain_json() {
    let pool = pool_with_passkeys("ENABLED").await;
    let token = token_of(&pool, &pool.person("json").await.username).await;
    let answer = pool.api.aws_json("StartWebAuthnRegistration", &json!({ "AccessToken": token })).await;
    let text = answer.text();
    assert!(text.contains(r#""alg":-7,"#) && text.contains(r#""timeout":300000"#), "{text}");
    let options = &answer.json()["CredentialCreationOptions"];
    let authenticator = Authenticator::new();
    let credential = authenticator.attestation(PARTY, ORIGIN, &challenge_of(options));
    let request = json!({ "AccessToken": token, "Credential": credential });
    assert_eq!(pool.api.aws_json("CompleteWebAuthnRegistration", &request).await.json(), json!({}));
    let listed = pool.api.aws_json("ListWebAuthnCredentials", &json!({ "AccessToken": token })).await.json();
    let id = URL_SAFE_NO_PAD.encode(authenticator.id());
    assert_eq!(listed["Credentials"][0]["CredentialId"], id, "{listed}");
    assert!(listed["Credentials"][0]["CreatedAt"].is_number(), "{listed}");
    let factors = pool.api.aws_json("GetUserAuthFactors", &json!({ "AccessToken": token })).await.json();
    assert_eq!(factors["ConfiguredUserAuthFactors"], json!(["PASSWORD", "WEB_AUTHN"]), "{factors}");
    let wrong = json!({ "AccessToken": token, "Credential": "text" });
    let refused = pool.api.aws_json("CompleteWebAuthnRegistration", &wrong).await.exception();
    assert_eq!(refused.0, "SerializationException");
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_says_what_it_lacks_for_passkeys() {
    let off = Pool::create().await;
    let token = token_of(&off, &off.person("off").await.username).await;
    let disabled = ("WebAuthnNotEnabledException", "Passkeys are not enabled for the user pool.");
    assert_refused(start(&off, &token).await, disabled.0, disabled.1);
    let made = Authenticator::new().attestation(PARTY, ORIGIN, b"a challenge");
    assert_refused(off.api.call(completion(&token, &made)).await, disabled.0, disabled.1);
    off.verify().await;

    let pool = pool_without_party("ENABLED").await;
    let token = token_of(&pool, &pool.person("partyless").await.username).await;
    let message = "The user pool has no relying party for passkeys: set WebAuthnConfiguration.RelyingPartyId.";
    assert_refused(start(&pool, &token).await, "WebAuthnConfigurationMissingException", message);
    pool.verify().await;
}

#[tokio::test]
async fn what_is_not_as_it_was_asked_for_is_not_registered() {
    let pool = pool_with_passkeys("ENABLED").await;
    let token = token_of(&pool, &pool.person("strange").await.username).await;
    let challenge = challenge_of(&start(&pool, &token).await.unwrap());
    let authenticator = Authenticator::new();
    let complete = async |credential: &Value| pool.api.call(completion(&token, credential)).await;
    let by = |party, origin| authenticator.attestation(party, origin, &challenge);
    assert_refused(complete(&by("login.example.com", ORIGIN)).await, MISMATCH.0, MISMATCH.1);
    let message = "The origin of the credential is not allowed for the relying party.";
    for origin in ["http://example.com", "https://example.org"] {
        assert_refused(complete(&by(PARTY, origin)).await, "WebAuthnOriginNotAllowedException", message);
    }
    let not_json = "Credential must be a new credential as JSON.";
    assert_refused(complete(&json!({ "id": "AAAA" })).await, "InvalidParameterException", not_json);
    for unknown in [&b"a challenge of nobody"[..], b""] {
        let made = authenticator.attestation(PARTY, ORIGIN, unknown);
        assert_refused(complete(&made).await, NOT_FOUND.0, NOT_FOUND.1);
    }
    configure(&pool, configuration("required", "SINGLE_FACTOR")).await;
    let unverified = authenticator.without_verification().attestation(PARTY, ORIGIN, &challenge);
    let message = "The credential is not supported: it has not verified the user.";
    assert_refused(complete(&unverified).await, UNSUPPORTED, message);
    let elsewhere = WebAuthnConfigurationType {
        relying_party_id: Some("example.org".into()),
        ..configuration("preferred", "SINGLE_FACTOR")
    };
    configure(&pool, elsewhere).await;
    assert_refused(complete(&by(PARTY, ORIGIN)).await, MISMATCH.0, MISMATCH.1);
    // None of these has used the challenge up.
    configure(&pool, configuration("preferred", "SINGLE_FACTOR")).await;
    complete(&by(PARTY, ORIGIN)).await.unwrap();
    assert_refused(complete(&by(PARTY, ORIGIN)).await, NOT_FOUND.0, NOT_FOUND.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_registration_is_of_its_user_and_client_and_a_credential_of_one_user() {
    let pool = pool_with_passkeys("ENABLED").await;
    let (jane, joan) = (pool.person("jane").await, pool.person("joan").await);
    let (token, other) = (token_of(&pool, &jane.username).await, token_of(&pool, &joan.username).await);
    let client_id = pool.add_client(choosing_client("ENABLED")).await.client_id;
    let request =
        InitiateAuthRequest { client_id, ..pool.sign_in_request(&jane.username, crate::support::pool::PASSWORD) };
    let elsewhere = pool.api.call(request).await.unwrap().authentication_result.unwrap().access_token.unwrap();
    let challenge = challenge_of(&start(&pool, &token).await.unwrap());
    let authenticator = Authenticator::new();
    let made = authenticator.attestation(PARTY, ORIGIN, &challenge);
    assert_refused(pool.api.call(completion(&other, &made)).await, NOT_FOUND.0, NOT_FOUND.1);
    let message = "The registration was started through another app client.";
    assert_refused(pool.api.call(completion(&elsewhere, &made)).await, "WebAuthnClientMismatchException", message);
    pool.api.call(completion(&token, &made)).await.unwrap();
    for token in [&token, &other] {
        let again = register(&pool, token, &authenticator).await;
        assert_refused(again, UNSUPPORTED, "The passkey is registered already.");
    }
    pool.verify().await;
}

#[tokio::test]
async fn of_many_registrations_at_one_moment_no_more_count_than_a_user_may_have() {
    let pool = pool_with_passkeys("ENABLED").await;
    let token = token_of(&pool, &pool.person("collector").await.username).await;
    for _ in 0..17 {
        register(&pool, &token, &Authenticator::new()).await.unwrap();
    }
    // More than are left; those that collide too often are told to come again, and do.
    let burst = join_all((0..8).map(async |_| register(&pool, &token, &Authenticator::new()).await)).await;
    for refused in burst.into_iter().filter(Result::is_err) {
        assert_refused(refused, MOST.0, MOST.1);
    }
    assert_eq!(listed(&pool, &token).await.len(), 20);
    assert_refused(start(&pool, &token).await, MOST.0, MOST.1);
    let mut ids = Vec::new();
    let mut next = list_request(&token);
    next.max_results = Some(7);
    loop {
        let page = pool.api.call(next.clone()).await.unwrap();
        assert!(page.credentials.len() <= 7);
        ids.extend(page.credentials.into_iter().map(|passkey| passkey.credential_id.unwrap()));
        match page.next_token {
            Some(token) => next.next_token = Some(token),
            None => break,
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    let foreign = ListWebAuthnCredentialsRequest { next_token: Some("token".into()), ..list_request(&token) };
    let message = "The pagination token is not one of this list.";
    assert_refused(pool.api.call(foreign).await, "InvalidParameterException", message);
    pool.verify().await;
}

#[tokio::test]
async fn of_many_completions_of_one_registration_one_counts() {
    let pool = pool_with_passkeys("ENABLED").await;
    let token = token_of(&pool, &pool.person("burst").await.username).await;
    let challenge = challenge_of(&start(&pool, &token).await.unwrap());
    let attempts = (0..6).map(|_| Authenticator::new().attestation(PARTY, ORIGIN, &challenge));
    let answers = join_all(attempts.map(async |made| pool.api.call(completion(&token, &made)).await)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_refused(refused, NOT_FOUND.0, NOT_FOUND.1);
    }
    pool.verify().await;
}

#[tokio::test]
async fn the_deletion_of_a_user_leaves_nothing_of_their_passkeys() {
    let pool = pool_with_passkeys("ENABLED").await;
    let authenticator = Authenticator::new();
    let (username, token) = person_with_passkey(&pool, "erased", &authenticator).await;
    pool.api.call(signed(&pool, &username, &authenticator).await).await.unwrap();
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let uses = async || {
        let statement = "select count(*) from passkey_uses where user_pool_id = $1";
        sqlx::query_scalar::<_, i64>(statement).bind(&pool.id).fetch_one(&database).await.unwrap()
    };
    assert_eq!(uses().await, 1);
    pool.delete_user(&token).await.unwrap();
    assert_eq!(uses().await, 0);
    // Another user can have the credential now.
    let (other, token) = person_with_passkey(&pool, "heir", &authenticator).await;
    pool.api.call(signed(&pool, &other, &authenticator).await).await.unwrap();
    // With the passkey, its uses are forgotten.
    let id = URL_SAFE_NO_PAD.encode(authenticator.id());
    delete(&pool, &token, &id).await.unwrap();
    assert_eq!(uses().await, 0);
    pool.verify().await;
}

#[tokio::test]
async fn a_user_is_told_by_which_factors_they_can_sign_in() {
    let pool = pool_with_passkeys("ENABLED").await;
    let (username, token) = person_with_passkey(&pool, "factors", &Authenticator::new()).await;
    let told = async || {
        let request = GetUserAuthFactorsRequest { access_token: Some(token.clone()) };
        pool.api.call(request).await.unwrap()
    };
    let factors = told().await;
    assert_eq!((factors.username(), factors.preferred_mfa_setting.as_deref()), (username.as_str(), None));
    assert_eq!(factors.configured_user_auth_factors, ["PASSWORD", "WEB_AUTHN"]);
    let update = UpdateUserPoolRequest {
        user_pool_id: Some(pool.id.clone()),
        policies: beginning_with(&["PASSWORD", "EMAIL_OTP"]).policies,
        auto_verified_attributes: texts(&["email"]),
        ..Default::default()
    };
    pool.api.call(update).await.unwrap();
    assert_eq!(told().await.configured_user_auth_factors, ["PASSWORD", "EMAIL_OTP"]);
    for _ in 0..2 {
        let asked = begin(&pool, &username).await.unwrap();
        assert_eq!(asked.challenge_name(), "SELECT_CHALLENGE", "passkeys are not among the factors any more");
    }
    pool.verify().await;
}

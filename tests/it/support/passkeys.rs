//! Passkeys in scenarios: pools that allow them, and a browser with an authenticator.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use userpool::proto::document;
use userpool::proto::v1::*;

use super::choice::{begin_request, beginning_with, choosing_client};
use super::client::{Api, Refusal};
use super::pool::{PASSWORD, Pool, parameters};
pub use authenticator::Authenticator;

/// The authenticator of the rules' own tests.
#[path = "../../../src/domain/web_authn/authenticator.rs"]
mod authenticator;

/// The relying party of every pool here.
pub const PARTY: &str = "example.com";
/// A page of it.
pub const ORIGIN: &str = "https://login.example.com";

/// The part of the settings that names the relying party.
pub fn configuration(user_verification: &str, factors: &str) -> WebAuthnConfigurationType {
    WebAuthnConfigurationType {
        relying_party_id: Some(PARTY.to_owned()),
        user_verification: Some(user_verification.to_owned()),
        factor_configuration: Some(factors.to_owned()),
    }
}

/// A pool whose policy allows passwords and passkeys, without a relying party.
pub async fn pool_without_party(existence: &str) -> Pool {
    pool_by(Api::connect().await, existence).await
}

async fn pool_by(api: Api, existence: &str) -> Pool {
    Pool::create_by(api, beginning_with(&["PASSWORD", "WEB_AUTHN"]), choosing_client(existence)).await
}

/// A pool in which passkeys are a single factor, and are asked to verify users.
pub async fn pool_with_passkeys(existence: &str) -> Pool {
    pool_with_passkeys_by(Api::connect().await, existence).await
}

/// The same, by another `Api`.
pub async fn pool_with_passkeys_by(api: Api, existence: &str) -> Pool {
    let pool = pool_by(api, existence).await;
    configure(&pool, configuration("preferred", "SINGLE_FACTOR")).await;
    pool
}

/// Sets the relying party of a pool, and turns second factors off.
pub async fn configure(pool: &Pool, configuration: WebAuthnConfigurationType) {
    let request = SetUserPoolMfaConfigRequest {
        user_pool_id: Some(pool.id.clone()),
        mfa_configuration: Some("OFF".to_owned()),
        web_authn_configuration: Some(configuration),
        ..Default::default()
    };
    pool.api.call(request).await.expect("a relying party");
}

/// The access token of a person who signs in by password.
pub async fn token_of(pool: &Pool, username: &str) -> String {
    pool.sign_in(username, PASSWORD).await.expect("tokens").access_token.expect("an access token")
}

/// The options of a registration.
pub async fn start(pool: &Pool, token: &str) -> Result<Value, Refusal> {
    let request = StartWebAuthnRegistrationRequest { access_token: Some(token.to_owned()) };
    let options = pool.api.call(request).await?.credential_creation_options.expect("options");
    Ok(Value::Object(document::to_object(&options)))
}

/// The challenge in options.
pub fn challenge_of(options: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(options["challenge"].as_str().expect("a challenge")).expect("base64url")
}

/// A request to complete a registration, to be sent as it is or changed.
pub fn completion(token: &str, credential: &Value) -> CompleteWebAuthnRegistrationRequest {
    CompleteWebAuthnRegistrationRequest {
        access_token: Some(token.to_owned()),
        credential: document::of_object(credential.as_object().expect("an object")),
    }
}

/// Registers the key of an authenticator.
pub async fn register(pool: &Pool, token: &str, authenticator: &Authenticator) -> Result<(), Refusal> {
    let challenge = challenge_of(&start(pool, token).await?);
    let made = authenticator.attestation(PARTY, ORIGIN, &challenge);
    pool.api.call(completion(token, &made)).await.map(drop)
}

/// A person with a passkey, and their access token.
pub async fn person_with_passkey(pool: &Pool, name: &str, authenticator: &Authenticator) -> (String, String) {
    let username = pool.person(name).await.username;
    let token = token_of(pool, &username).await;
    register(pool, &token, authenticator).await.expect("a passkey");
    (username, token)
}

/// Asks for a passkey.
pub async fn begin(pool: &Pool, name: &str) -> Result<InitiateAuthResponse, Refusal> {
    pool.api.call(begin_request(pool, name, &[("PREFERRED_CHALLENGE", "WEB_AUTHN")])).await
}

/// The options of a challenge.
pub fn options_of(challenge: &InitiateAuthResponse) -> Value {
    assert_eq!(challenge.challenge_name(), "WEB_AUTHN");
    serde_json::from_str(&challenge.challenge_parameters["CREDENTIAL_REQUEST_OPTIONS"]).expect("JSON")
}

/// An answer to WEB_AUTHN, to be sent as it is or changed.
pub fn answer(pool: &Pool, name: &str, session: &str, credential: &Value) -> RespondToAuthChallengeRequest {
    RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("WEB_AUTHN".into()),
        session: Some(session.to_owned()),
        challenge_responses: parameters(&[("USERNAME", name), ("CREDENTIAL", &credential.to_string())]),
        ..Default::default()
    }
}

/// Asks for a passkey, and lets an authenticator sign. Gives the answer, which is not sent yet.
pub async fn signed(pool: &Pool, name: &str, authenticator: &Authenticator) -> RespondToAuthChallengeRequest {
    let challenge = begin(pool, name).await.expect("a challenge");
    let given = authenticator.assertion(PARTY, ORIGIN, &challenge_of(&options_of(&challenge)), None);
    answer(pool, name, challenge.session(), &given)
}

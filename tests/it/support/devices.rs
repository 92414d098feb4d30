//! An app that has a device: it confirms the device, signs in with it, and proves it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use userpool::domain::auth::srp;
use userpool::proto::v1::*;

use super::client::Refusal;
use super::pool::{PASSWORD, Person, Pool, email_pool, parameters, password_client, texts};
use super::srp::{Client, TIMESTAMP};

/// The password of every device, which only apps know.
pub const DEVICE_PASSWORD: &str = "the device's own password";

/// A pool that tracks devices, with a client for the password flows.
pub async fn tracking_pool(on_prompt: bool) -> Pool {
    pool_with(email_pool(), on_prompt, false).await
}

/// A pool whose remembered devices prove themselves.
pub async fn proving_pool(on_prompt: bool) -> Pool {
    pool_with(email_pool(), on_prompt, true).await
}

/// The same, where users are known by their addresses too.
pub async fn proving_pool_with_aliases() -> Pool {
    pool_with(CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() }, false, true).await
}

async fn pool_with(request: CreateUserPoolRequest, on_prompt: bool, proves: bool) -> Pool {
    let configuration = DeviceConfigurationType {
        challenge_required_on_new_device: Some(proves),
        device_only_remembered_on_user_prompt: Some(on_prompt),
    };
    let request = CreateUserPoolRequest { device_configuration: Some(configuration), ..request };
    let flows = [
        "ALLOW_USER_PASSWORD_AUTH",
        "ALLOW_USER_SRP_AUTH",
        "ALLOW_ADMIN_USER_PASSWORD_AUTH",
        "ALLOW_REFRESH_TOKEN_AUTH",
    ];
    Pool::create_with(request, CreateUserPoolClientRequest { explicit_auth_flows: texts(&flows), ..password_client() })
        .await
}

pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}

/// The keys that a sign-in gave out.
pub fn new_device(tokens: &AuthenticationResultType) -> NewDeviceMetadataType {
    tokens.new_device_metadata.clone().expect("a new device")
}

/// Salt and verifier of a device's password, as Cognito's clients make them.
pub fn secret(device: &NewDeviceMetadataType, password: &str) -> DeviceSecretVerifierConfigType {
    let made = srp::verifier(device.device_group_key(), device.device_key(), password, [7; 16]);
    DeviceSecretVerifierConfigType {
        password_verifier: Some(STANDARD.encode(made.verifier)),
        salt: Some(STANDARD.encode(made.salt)),
    }
}

/// A request to confirm the device of a sign-in, to be sent as it is or changed.
pub fn confirmation(tokens: &AuthenticationResultType) -> ConfirmDeviceRequest {
    let device = new_device(tokens);
    ConfirmDeviceRequest {
        access_token: tokens.access_token.clone(),
        device_secret_verifier_config: Some(secret(&device, DEVICE_PASSWORD)),
        device_key: device.device_key,
        device_name: Some("a phone".to_owned()),
    }
}

/// Signs in with a device, or without one.
pub async fn sign_in(pool: &Pool, person: &Person, key: Option<&str>) -> AuthenticationResultType {
    let mut request = pool.sign_in_request(&person.username, PASSWORD);
    request.auth_parameters.extend(key.map(|key| ("DEVICE_KEY".to_owned(), key.to_owned())));
    pool.api.call(request).await.unwrap().authentication_result.expect("tokens")
}

/// Signs in and confirms the device. Gives the tokens and the device's key.
pub async fn with_device(pool: &Pool, person: &Person) -> (AuthenticationResultType, String) {
    let tokens = sign_in(pool, person, None).await;
    pool.api.call(confirmation(&tokens)).await.unwrap();
    let key = new_device(&tokens).device_key.unwrap();
    (tokens, key)
}

pub async fn get(pool: &Pool, tokens: &AuthenticationResultType, key: &str) -> Result<DeviceType, Refusal> {
    let request = GetDeviceRequest { device_key: Some(key.to_owned()), access_token: tokens.access_token.clone() };
    Ok(pool.api.call(request).await?.device.expect("a device"))
}

pub async fn admin_get(pool: &Pool, username: &str, key: &str) -> Result<DeviceType, Refusal> {
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(username.to_owned()));
    let request = AdminGetDeviceRequest { user_pool_id, username, device_key: Some(key.to_owned()) };
    Ok(pool.api.call(request).await?.device.expect("a device"))
}

pub async fn forget(pool: &Pool, tokens: &AuthenticationResultType, key: &str) -> Result<(), Refusal> {
    let request = ForgetDeviceRequest { device_key: Some(key.to_owned()), access_token: tokens.access_token.clone() };
    pool.api.call(request).await.map(drop)
}

pub async fn update(
    pool: &Pool,
    tokens: &AuthenticationResultType,
    key: &str,
    status: Option<&str>,
) -> Result<(), Refusal> {
    let request = UpdateDeviceStatusRequest {
        access_token: tokens.access_token.clone(),
        device_key: Some(key.to_owned()),
        device_remembered_status: status.map(str::to_owned),
    };
    pool.api.call(request).await.map(drop)
}

pub async fn refresh(pool: &Pool, refresh_token: &str, key: Option<&str>) -> Result<AuthenticationResultType, Refusal> {
    let mut request = pool.refresh_request(refresh_token);
    request.auth_parameters.extend(key.map(|key| ("DEVICE_KEY".to_owned(), key.to_owned())));
    Ok(pool.api.call(request).await?.authentication_result.expect("tokens"))
}

/// A sign-in by password that names a device: tokens, or what is asked for next.
pub async fn begin(pool: &Pool, username: &str, key: &str) -> InitiateAuthResponse {
    let mut request = pool.sign_in_request(username, PASSWORD);
    request.auth_parameters.insert("DEVICE_KEY".to_owned(), key.to_owned());
    pool.api.call(request).await.expect("the password is right")
}

/// An answer to DEVICE_SRP_AUTH, to be sent as it is or changed.
pub fn srp_auth(
    pool: &Pool,
    client: &Client,
    (username, key): (&str, &str),
    session: Option<String>,
) -> RespondToAuthChallengeRequest {
    RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("DEVICE_SRP_AUTH".to_owned()),
        session,
        challenge_responses: parameters(&[("USERNAME", username), ("DEVICE_KEY", key), ("SRP_A", &client.public())]),
        ..Default::default()
    }
}

/// An answer to DEVICE_PASSWORD_VERIFIER, to be sent as it is or changed.
pub fn proof(
    pool: &Pool,
    client: &Client,
    told: &BTreeMap<String, String>,
    password: &str,
) -> RespondToAuthChallengeRequest {
    let group = format!("-{}", &pool.name()[..8]);
    let signature = client.signature_of((&group, &told["DEVICE_KEY"], password), told, TIMESTAMP);
    RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("DEVICE_PASSWORD_VERIFIER".to_owned()),
        challenge_responses: parameters(&[
            ("USERNAME", &told["USERNAME"]),
            ("DEVICE_KEY", &told["DEVICE_KEY"]),
            ("PASSWORD_CLAIM_SECRET_BLOCK", &told["SECRET_BLOCK"]),
            ("PASSWORD_CLAIM_SIGNATURE", &signature),
            ("TIMESTAMP", TIMESTAMP),
        ]),
        ..Default::default()
    }
}

/// Signs in by password up to the proof of a device. Gives the proof, which is not sent yet.
pub async fn up_to_proof(pool: &Pool, username: &str, key: &str, password: &str) -> RespondToAuthChallengeRequest {
    let begun = begin(pool, username, key).await;
    assert_eq!(begun.challenge_name(), "DEVICE_SRP_AUTH");
    let client = Client::new();
    let answer = pool.api.call(srp_auth(pool, &client, (username, key), begun.session)).await.expect("a challenge");
    assert_eq!((answer.challenge_name(), &answer.session), ("DEVICE_PASSWORD_VERIFIER", &None));
    proof(pool, &client, &answer.challenge_parameters, password)
}

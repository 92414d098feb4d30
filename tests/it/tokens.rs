//! ID and access tokens, as their page of the guide describes them and as a stock library checks them.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use serde_json::{Value, json};
use userpool::environment::Clock;
use userpool::proto::v1::*;

use crate::support::http;
use crate::support::pool::{PASSWORD, Pool, email_pool, password_client, texts};

/// The keys of a pool, from the address that its tokens' `iss` names.
async fn key_set(issuer: &str) -> Vec<Value> {
    let (host, pool) = issuer.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let path = format!("/{pool}/.well-known/jwks.json");
    let answer = http::get(host.parse().unwrap(), &path).await;
    assert_eq!(answer.status, 200);
    answer.json()["keys"].as_array().unwrap().clone()
}

/// Checks a token as any resource server would.
fn checked(token: &str, keys: &[Value], issuer: &str, audience: Option<&str>) -> TokenData<Value> {
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = keys.iter().find(|key| key["kid"].as_str() == header.kid.as_deref()).expect("a key of that name");
    let part = |name: &str| key[name].as_str().unwrap();
    let key = DecodingKey::from_rsa_components(part("n"), part("e")).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    match audience {
        Some(audience) => validation.set_audience(&[audience]),
        None => validation.validate_aud = false,
    }
    jsonwebtoken::decode(token, &key, &validation).unwrap()
}

fn names(claims: &Value) -> BTreeSet<&str> {
    claims.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn tokens_have_the_claims_of_the_guide_and_verify_with_the_published_keys() {
    let schema = vec![SchemaAttributeType {
        name: Some("age".into()),
        attribute_data_type: Some("Number".into()),
        ..Default::default()
    }];
    let pool = Pool::create_with(CreateUserPoolRequest { schema, ..email_pool() }, password_client()).await;
    let values = [("given_name", "Jane"), ("custom:age", "42"), ("updated_at", "1700000000"), ("address", "Main St 1")];
    let person = pool.person_with("claims", &values).await;
    let before = Clock.now().seconds();
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let after = Clock.now().seconds();

    let issuer = format!("{}/{}", pool.api.environment().public_url, pool.id);
    let keys = key_set(&issuer).await;
    assert_eq!(keys.len(), 2);
    for key in &keys {
        assert_eq!(names(key), ["alg", "e", "kid", "kty", "n", "use"].into());
        assert_eq!((&key["alg"], &key["kty"], &key["use"]), (&json!("RS256"), &json!("RSA"), &json!("sig")));
    }
    let access = checked(tokens.access_token(), &keys, &issuer, None);
    let id = checked(tokens.id_token(), &keys, &issuer, Some(&pool.client_id));
    assert_ne!(access.header.kid, id.header.kid, "each kind of token has a key of its own");
    for (token, header) in [(tokens.access_token(), &access.header), (tokens.id_token(), &id.header)] {
        use base64::Engine;
        let first = token.split('.').next().unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(first).unwrap();
        let header_json: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(header_json, json!({ "kid": header.kid, "alg": "RS256" }));
    }

    let claims = &access.claims;
    let expected = [
        "auth_time",
        "client_id",
        "event_id",
        "exp",
        "iat",
        "iss",
        "jti",
        "origin_jti",
        "scope",
        "sub",
        "token_use",
        "username",
    ];
    assert_eq!(names(claims), expected.into());
    assert_eq!(claims["sub"], json!(person.sub));
    assert_eq!(claims["client_id"], json!(pool.client_id));
    assert_eq!(claims["username"], json!(person.username));
    assert_eq!(claims["token_use"], json!("access"));
    assert_eq!(claims["scope"], json!("aws.cognito.signin.user.admin"));
    let issued = claims["iat"].as_i64().unwrap();
    assert!((before..=after).contains(&issued));
    assert_eq!(claims["auth_time"], claims["iat"]);
    assert_eq!(claims["exp"], json!(issued + 3600));

    let claims = &id.claims;
    let expected = [
        "address",
        "aud",
        "auth_time",
        "cognito:username",
        "custom:age",
        "email",
        "email_verified",
        "event_id",
        "exp",
        "given_name",
        "iat",
        "iss",
        "jti",
        "origin_jti",
        "sub",
        "token_use",
        "updated_at",
    ];
    assert_eq!(names(claims), expected.into());
    assert_eq!(claims["aud"], json!(pool.client_id));
    assert_eq!(claims["token_use"], json!("id"));
    assert_eq!(claims["cognito:username"], json!(person.username));
    assert_eq!((&claims["email"], &claims["email_verified"]), (&json!(person.email), &json!(true)));
    assert_eq!(claims["given_name"], json!("Jane"));
    // Custom attributes are strings whatever their type; standard attributes have the types of OpenID Connect.
    assert_eq!(claims["custom:age"], json!("42"));
    assert_eq!(claims["updated_at"], json!(1_700_000_000));
    assert_eq!(claims["address"], json!({ "formatted": "Main St 1" }));
    for name in ["sub", "event_id", "origin_jti", "auth_time", "iss"] {
        assert_eq!(access.claims[name], id.claims[name], "{name}");
    }
    assert_ne!(access.claims["jti"], id.claims["jti"]);

    let refreshed = pool.refresh(tokens.refresh_token()).await.unwrap();
    let next = checked(refreshed.access_token(), &keys, &issuer, None);
    for name in ["sub", "event_id", "origin_jti", "auth_time", "client_id"] {
        assert_eq!(access.claims[name], next.claims[name], "{name}");
    }
    assert_ne!(access.claims["jti"], next.claims["jti"]);
    let again = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let again = checked(again.access_token(), &keys, &issuer, None);
    assert_ne!(access.claims["origin_jti"], again.claims["origin_jti"]);
    assert_ne!(access.claims["event_id"], again.claims["event_id"]);
    pool.verify().await;
}

#[tokio::test]
async fn the_id_token_shows_what_its_client_may_read() {
    let client = CreateUserPoolClientRequest { read_attributes: texts(&["given_name"]), ..password_client() };
    let pool = Pool::create_with(email_pool(), client).await;
    let person = pool.person_with("limited", &[("given_name", "Jane"), ("family_name", "Doe")]).await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let issuer = format!("{}/{}", pool.api.environment().public_url, pool.id);
    let id = checked(tokens.id_token(), &key_set(&issuer).await, &issuer, Some(&pool.client_id));
    assert_eq!(id.claims["given_name"], json!("Jane"));
    for hidden in ["email", "email_verified", "family_name"] {
        assert_eq!(id.claims.get(hidden), None);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_client_without_revocation_has_no_origin_in_its_tokens() {
    let client = CreateUserPoolClientRequest { enable_token_revocation: Some(false), ..password_client() };
    let pool = Pool::create_with(email_pool(), client).await;
    let person = pool.person("no-origin").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let issuer = format!("{}/{}", pool.api.environment().public_url, pool.id);
    let keys = key_set(&issuer).await;
    let access = checked(tokens.access_token(), &keys, &issuer, None);
    let id = checked(tokens.id_token(), &keys, &issuer, Some(&pool.client_id));
    assert!(access.claims.get("origin_jti").is_none() && id.claims.get("origin_jti").is_none());
    pool.verify().await;
}

#[tokio::test]
async fn tokens_live_as_long_as_the_client_says() {
    let client = CreateUserPoolClientRequest {
        access_token_validity: Some(10),
        id_token_validity: Some(700),
        refresh_token_validity: Some(2),
        token_validity_units: Some(TokenValidityUnitsType {
            access_token: Some("minutes".into()),
            id_token: Some("seconds".into()),
            refresh_token: Some("hours".into()),
        }),
        ..password_client()
    };
    let pool = Pool::create_with(email_pool(), client).await;
    let person = pool.person("lives").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    assert_eq!(tokens.expires_in, Some(600));
    let issuer = format!("{}/{}", pool.api.environment().public_url, pool.id);
    let keys = key_set(&issuer).await;
    for (token, seconds) in [
        (checked(tokens.access_token(), &keys, &issuer, None), 600),
        (checked(tokens.id_token(), &keys, &issuer, Some(&pool.client_id)), 700),
    ] {
        let life = token.claims["exp"].as_i64().unwrap() - token.claims["iat"].as_i64().unwrap();
        assert_eq!(life, seconds);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_publishes_its_configuration_at_both_processes() {
    let pool = Pool::create().await;
    let issuer = format!("{}/{}", pool.api.environment().public_url, pool.id);
    for process in &pool.api.environment().processes {
        let path = format!("/{}/.well-known/openid-configuration", pool.id);
        let answer = http::get(process.http, &path).await;
        assert_eq!(answer.status, 200);
        let configuration = answer.json();
        assert_eq!(configuration["issuer"], json!(issuer));
        assert_eq!(configuration["jwks_uri"], json!(format!("{issuer}/.well-known/jwks.json")));
        assert_eq!(configuration["id_token_signing_alg_values_supported"], json!(["RS256"]));
        for unknown in ["/us-east-1_000000000/.well-known/jwks.json", "/x/.well-known/openid-configuration"] {
            assert_eq!(http::get(process.http, unknown).await.status, 404);
        }
        assert_eq!(http::get(process.http, "/healthz").await.status, 200);
        assert_eq!(http::get(process.http, "/readyz").await.status, 200);
    }
    pool.verify().await;
}

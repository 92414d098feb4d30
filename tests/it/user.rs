//! What a user does with an access token.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::pool::{PASSWORD, Pool, by_name, email_pool, password_client, text_attribute, texts};

const INVALID: (&str, &str) = ("NotAuthorizedException", "Invalid Access Token");
const REVOKED: (&str, &str) = ("NotAuthorizedException", "Access Token has been revoked");

#[tokio::test]
async fn a_user_sees_what_their_client_may_read() {
    let schema = vec![
        text_attribute("plan"),
        SchemaAttributeType { developer_only_attribute: Some(true), ..text_attribute("secret") },
    ];
    let pool = Pool::create_with(CreateUserPoolRequest { schema, ..email_pool() }, password_client()).await;
    let person = pool.person_with("reader", &[("given_name", "Jane"), ("custom:plan", "gold")]).await;
    let names = async |read: &[&str]| {
        let client = pool.add_client(CreateUserPoolClientRequest { read_attributes: texts(read), ..password_client() });
        let mut request = pool.sign_in_request(&person.username, PASSWORD);
        request.client_id = client.await.client_id;
        let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();
        let user = pool.get_user(tokens.access_token()).await.unwrap();
        by_name(&user.user_attributes).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(&[]).await, ["custom:plan", "email", "email_verified", "given_name", "sub"]);
    assert_eq!(names(&["given_name"]).await, ["given_name", "sub"]);
    assert_eq!(names(&["email"]).await, ["email", "email_verified", "sub"]);
    assert_eq!(names(&["email_verified", "custom:plan"]).await, ["custom:plan", "email_verified", "sub"]);
    pool.verify().await;
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Signs a token with a forger's key.
fn forged(header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", encoded(header), encoded(claims));
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn only_an_access_token_of_ours_counts() {
    let pool = Pool::create().await;
    let other = Pool::create().await;
    let person = pool.person("bearer").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let token = tokens.access_token();
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
    let claims_with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let payload = |claims: &Value| format!("{}.{}.{}", parts[0], encoded(claims), parts[2]);
    let id_header = decoded(tokens.id_token().split('.').next().unwrap());
    let symmetric = {
        // The public key, used as the secret of a symmetric algorithm.
        let key = EncodingKey::from_secret(header["kid"].as_str().unwrap().as_bytes());
        let header = Header { kid: header["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    };
    let later = claims["exp"].as_i64().unwrap() + 3600;
    let unknown_pool = format!("{}/us-east-1_000000000", pool.api.environment().public_url);
    let wrong = [
        ("no token", "garbage".to_owned()),
        ("an empty signature", format!("{}.{}.", parts[0], parts[1])),
        ("no algorithm", format!("{}.{}.", encoded(&json!({ "alg": "none", "kid": header["kid"] })), parts[1])),
        ("a symmetric algorithm", symmetric),
        ("the ID token", tokens.id_token().to_owned()),
        ("the refresh token", tokens.refresh_token().to_owned()),
        ("a longer life", payload(&claims_with("exp", json!(later)))),
        ("a past end", payload(&claims_with("exp", json!(1)))),
        ("another subject", payload(&claims_with("sub", json!("6f1c7d3e-0000-4000-8000-000000000001")))),
        (
            "another pool's name",
            payload(&claims_with("iss", json!(format!("{}/{}", pool.api.environment().public_url, other.id)))),
        ),
        ("an unknown pool's name", payload(&claims_with("iss", json!(unknown_pool)))),
        ("another host's name", payload(&claims_with("iss", json!(format!("https://evil.example.com/{}", pool.id))))),
        ("a forger's key", forged(&header, &claims)),
        ("a forger's key with the ID token's name", forged(&id_header, &claims)),
        ("a forger's key without a name", forged(&json!({ "alg": "RS256" }), &claims)),
        ("missing claims", forged(&header, &json!({ "iss": claims["iss"] }))),
        ("claims that are no object", forged(&header, &json!([1, 2]))),
        ("another token's signature", {
            let again = pool.refresh(tokens.refresh_token()).await.unwrap();
            format!("{}.{}.{}", parts[0], parts[1], again.access_token().rsplit('.').next().unwrap())
        }),
    ];
    for (what, token) in wrong {
        let refusal = pool.get_user(&token).await.expect_err(what);
        assert_eq!(refusal.pair(), INVALID, "{what}");
        assert_eq!(pool.sign_out(&token).await.expect_err(what).pair(), INVALID, "{what}");
        assert_eq!(pool.delete_user(&token).await.expect_err(what).pair(), INVALID, "{what}");
    }
    let malformed = pool.get_user("é€ not a token").await.unwrap_err();
    assert_eq!(malformed.exception, "InvalidParameterException");
    pool.get_user(token).await.unwrap();
    other.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn a_user_who_deletes_themselves_is_gone() {
    let pool = Pool::create().await;
    let person = pool.person("leaver").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    pool.delete_user(tokens.access_token()).await.unwrap();
    // At both processes.
    for _ in 0..2 {
        let unknown = ("UserNotFoundException", "User does not exist.");
        assert_refused(pool.get_user(tokens.access_token()).await, unknown.0, unknown.1);
        assert_refused(pool.delete_user(tokens.access_token()).await, unknown.0, unknown.1);
        // GlobalSignOut does not list UserNotFoundException.
        assert_refused(pool.sign_out(tokens.access_token()).await, REVOKED.0, REVOKED.1);
        assert_refused(pool.refresh(tokens.refresh_token()).await, unknown.0, unknown.1);
        assert_refused(pool.sign_in(&person.username, PASSWORD).await, unknown.0, unknown.1);
        for name in [&person.username, &person.sub] {
            assert_refused(pool.admin_get_user(name).await, unknown.0, unknown.1);
        }
        assert_refused(pool.confirm(&person.username, "123456").await, unknown.0, unknown.1);
    }
    assert!(pool.api.mailbox(&person.email).await.is_empty(), "its messages go as well");

    // The name is free for another user.
    let again = pool.sign_up(&person.username, &[("email", &person.email)]).await.unwrap();
    assert_ne!(again.user_sub(), person.sub);
    let gone = pool.get_user(tokens.access_token()).await;
    assert_refused(gone, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn an_absent_token_is_named() {
    let pool = Pool::create().await;
    let person = pool.person("absent").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let empty = pool.get_user("").await.unwrap_err();
    assert_eq!(empty.exception, "InvalidParameterException");
    let absent = pool.api.call(GetUserRequest::default()).await.unwrap_err();
    assert_eq!(absent.exception, "InvalidParameterException");
    assert_eq!(absent.fields, ["accessToken"]);
    pool.get_user(tokens.access_token()).await.unwrap();
    pool.verify().await;
}

//! Refresh tokens that rotate, and tokens that are revoked.

use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, password_client, secret_hash, texts};

const REVOKED: (&str, &str) = ("NotAuthorizedException", "Refresh Token has been revoked");

fn rotating_client(grace_seconds: i32) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH"]),
        refresh_token_rotation: Some(RefreshTokenRotationType {
            feature: Some("ENABLED".into()),
            retry_grace_period_seconds: Some(grace_seconds),
        }),
        ..Default::default()
    }
}

async fn renew(pool: &Pool, refresh_token: &str) -> Result<AuthenticationResultType, Refusal> {
    let request = GetTokensFromRefreshTokenRequest {
        client_id: Some(pool.client_id.clone()),
        refresh_token: Some(refresh_token.to_owned()),
        ..Default::default()
    };
    Ok(pool.api.call(request).await?.authentication_result.expect("tokens"))
}

async fn revoke(
    pool: &Pool,
    client_id: &str,
    token: &str,
    secret: Option<&str>,
) -> Result<RevokeTokenResponse, Refusal> {
    let request = RevokeTokenRequest {
        client_id: Some(client_id.to_owned()),
        token: Some(token.to_owned()),
        client_secret: secret.map(str::to_owned),
        ..Default::default()
    };
    pool.api.call(request).await
}

#[tokio::test]
async fn each_refresh_gives_the_next_token_and_an_old_one_ends_the_family() {
    let pool = Pool::create_with(email_pool(), rotating_client(0)).await;
    let person = pool.person("rotation").await;
    let first = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let second = renew(&pool, first.refresh_token()).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    pool.get_user(second.access_token()).await.unwrap();
    let third = renew(&pool, second.refresh_token()).await.unwrap();

    let reused = renew(&pool, first.refresh_token()).await;
    assert_refused(reused, "RefreshTokenReuseException", "Refresh token has been invalidated because of reuse");
    // The thief's copy and the owner's are both void, and so is every access token of the session.
    assert_refused(renew(&pool, third.refresh_token()).await, REVOKED.0, REVOKED.1);
    assert_refused(
        pool.get_user(third.access_token()).await,
        "NotAuthorizedException",
        "Access Token has been revoked",
    );
    let another = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    renew(&pool, another.refresh_token()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn within_the_grace_period_a_repeated_refresh_gives_the_same_next_token_a_life() {
    let pool = Pool::create_with(email_pool(), rotating_client(60)).await;
    let person = pool.person("grace").await;
    let first = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let second = renew(&pool, first.refresh_token()).await.unwrap();
    // As if the answer had been lost: the app sends its old token again.
    let repeated = renew(&pool, first.refresh_token()).await.unwrap();
    pool.get_user(repeated.access_token()).await.unwrap();
    renew(&pool, repeated.refresh_token()).await.unwrap();
    pool.get_user(second.access_token()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn many_refreshes_at_one_moment_rotate_once() {
    let pool = Pool::create_with(email_pool(), rotating_client(60)).await;
    let person = pool.person("burst").await;
    let first = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let burst = (0..8).map(|_| renew(&pool, first.refresh_token()));
    let answers = futures::future::join_all(burst).await;
    assert!(answers.iter().all(Result::is_ok), "all are the first use or a repetition within the grace period");
    for answer in answers.into_iter().flatten() {
        pool.get_user(answer.access_token()).await.unwrap();
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_client_that_rotates_refreshes_in_one_way_only() {
    let pool = Pool::create_with(email_pool(), rotating_client(10)).await;
    let person = pool.person("one-way").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    assert_refused(
        pool.refresh(tokens.refresh_token()).await,
        "InvalidParameterException",
        "This client rotates refresh tokens: use GetTokensFromRefreshToken.",
    );
    pool.verify().await;
}

#[tokio::test]
async fn a_client_with_a_secret_refreshes_with_it_alone() {
    let pool = Pool::create().await;
    let person = pool.person("secretive").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let client = pool.add_client(client).await;
    let renewed_with = |secret: Option<String>| {
        let request = GetTokensFromRefreshTokenRequest {
            client_id: client.client_id.clone(),
            refresh_token: tokens.refresh_token.clone(),
            client_secret: secret,
            ..Default::default()
        };
        pool.api.call(request)
    };
    for wrong in [None, Some("a".repeat(51))] {
        assert_refused(renewed_with(wrong).await, "NotAuthorizedException", "Invalid client secret.");
    }
    // The secret is right, but the token belongs to another client.
    let right = renewed_with(client.client_secret.clone()).await;
    assert_refused(right, "NotAuthorizedException", "Invalid Refresh Token");
    pool.verify().await;
}

#[tokio::test]
async fn a_refresh_by_a_client_with_a_secret_needs_the_hash_of_the_tokens_user() {
    let pool = Pool::create().await;
    let person = pool.person("hashed").await;
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let client = pool.add_client(client).await;
    let (id, secret) = (client.client_id(), client.client_secret.as_deref().unwrap());
    let hash = |name: &str| secret_hash(secret, name, id);
    let mut sign_in = pool.sign_in_request(&person.username, PASSWORD);
    sign_in.client_id = client.client_id.clone();
    sign_in.auth_parameters.insert("SECRET_HASH".to_owned(), hash(&person.username));
    let tokens = pool.api.call(sign_in).await.unwrap().authentication_result.unwrap();
    let with = |token: &str, hash: Option<String>| {
        let values = [("REFRESH_TOKEN", token.to_owned())].into_iter().chain(hash.map(|hash| ("SECRET_HASH", hash)));
        values.map(|(name, value)| (name.to_owned(), value)).collect::<std::collections::BTreeMap<_, _>>()
    };
    let refresh = async |token: &str, hash: Option<String>| {
        let app = InitiateAuthRequest { auth_parameters: with(token, hash.clone()), ..pool.refresh_request(token) };
        let app = InitiateAuthRequest { client_id: client.client_id.clone(), ..app };
        let server = AdminInitiateAuthRequest {
            user_pool_id: Some(pool.id.clone()),
            client_id: client.client_id.clone(),
            auth_flow: Some("REFRESH_TOKEN_AUTH".into()),
            auth_parameters: with(token, hash),
            ..Default::default()
        };
        let (app, server) = (pool.api.call(app).await.map(drop), pool.api.call(server).await.map(drop));
        assert_eq!(app, server);
        app
    };
    let token = tokens.refresh_token();
    let missing = format!("Client {id} is configured with secret but SECRET_HASH was not received");
    assert_refused(refresh(token, None).await, "NotAuthorizedException", &missing);
    let wrong = format!("SecretHash does not match for the client: {id}");
    for hash in ["wrong".to_owned(), hash("somebody")] {
        assert_refused(refresh(token, Some(hash)).await, "NotAuthorizedException", &wrong);
    }
    for name in [&person.username, &person.sub] {
        refresh(token, Some(hash(name))).await.unwrap();
    }
    // A malformed token is refused as such; the hash is not checked, since there is no user.
    assert_refused(refresh("x", Some(hash(&person.username))).await, "NotAuthorizedException", "Invalid Refresh Token");
    pool.sign_out(tokens.access_token()).await.unwrap();
    assert_refused(refresh(token, Some(hash(&person.username))).await, REVOKED.0, REVOKED.1);
    assert_refused(refresh(token, Some(hash("somebody"))).await, "NotAuthorizedException", &wrong);
    pool.delete_user(pool.sign_in(&person.username, PASSWORD).await.unwrap().access_token()).await.unwrap();
    let gone = refresh(token, Some(hash(&person.username))).await;
    assert_refused(gone, "UserNotFoundException", "User does not exist.");
    assert_refused(refresh(token, None).await, "NotAuthorizedException", &missing);
    pool.verify().await;
}

#[tokio::test]
async fn a_client_that_stops_rotating_knows_the_tokens_that_were_replaced() {
    let pool = Pool::create_with(email_pool(), rotating_client(0)).await;
    let person = pool.person("stopped").await;
    let sign_in = || async { pool.sign_in(&person.username, PASSWORD).await.unwrap() };
    let (one, other) = (sign_in().await, sign_in().await);
    for tokens in [&one, &other] {
        renew(&pool, tokens.refresh_token()).await.unwrap();
    }
    let stopped = UpdateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        ..Default::default()
    };
    pool.api.call(stopped).await.unwrap();
    assert_refused(pool.refresh(one.refresh_token()).await, REVOKED.0, REVOKED.1);
    let by_server = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        auth_flow: Some("REFRESH_TOKEN_AUTH".into()),
        auth_parameters: parameters(&[("REFRESH_TOKEN", other.refresh_token())]),
        ..Default::default()
    };
    assert_refused(pool.api.call(by_server).await, REVOKED.0, REVOKED.1);
    pool.verify().await;
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let pool = Pool::create().await;
    let person = pool.person("kept").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let renewed = renew(&pool, tokens.refresh_token()).await.unwrap();
    assert_eq!(renewed.refresh_token, None);
    pool.get_user(renewed.access_token()).await.unwrap();
    pool.refresh(tokens.refresh_token()).await.unwrap();
    assert_refused(renew(&pool, "not.a.token").await, "NotAuthorizedException", "Invalid Refresh Token");
    pool.verify().await;
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_session_and_no_other() {
    let pool = Pool::create().await;
    let person = pool.person("revoked").await;
    let (one, other) = (
        pool.sign_in(&person.username, PASSWORD).await.unwrap(),
        pool.sign_in(&person.username, PASSWORD).await.unwrap(),
    );
    revoke(&pool, &pool.client_id, one.refresh_token(), None).await.unwrap();
    assert_refused(pool.refresh(one.refresh_token()).await, REVOKED.0, REVOKED.1);
    assert_refused(pool.get_user(one.access_token()).await, "NotAuthorizedException", "Access Token has been revoked");
    pool.get_user(other.access_token()).await.unwrap();
    pool.refresh(other.refresh_token()).await.unwrap();
    // Revoking a revoked token is no error (RFC 7009).
    revoke(&pool, &pool.client_id, one.refresh_token(), None).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_refresh_token_of_a_deleted_user_says_that_they_are_gone() {
    let pool = Pool::create().await;
    let person = pool.person("deleted").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let signed_out = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    revoke(&pool, &pool.client_id, signed_out.refresh_token(), None).await.unwrap();
    pool.delete_user(tokens.access_token()).await.unwrap();

    let gone = ("UserNotFoundException", "User does not exist.");
    for token in [tokens.refresh_token(), signed_out.refresh_token()] {
        assert_refused(pool.refresh(token).await, gone.0, gone.1);
        assert_refused(renew(&pool, token).await, gone.0, gone.1);
        let by_server = AdminInitiateAuthRequest {
            user_pool_id: Some(pool.id.clone()),
            client_id: Some(pool.client_id.clone()),
            auth_flow: Some("REFRESH_TOKEN_AUTH".into()),
            auth_parameters: parameters(&[("REFRESH_TOKEN", token)]),
            ..Default::default()
        };
        assert_refused(pool.api.call(by_server).await, gone.0, gone.1);
        // No session is left to revoke, which is no error (RFC 7009).
        revoke(&pool, &pool.client_id, token, None).await.unwrap();
    }
    pool.verify().await;
}

#[tokio::test]
async fn only_its_own_client_revokes_a_token_and_only_where_that_is_enabled() {
    let pool = Pool::create().await;
    let person = pool.person("owner").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();

    let stranger = pool.add_client(password_client()).await;
    let refused = revoke(&pool, stranger.client_id(), tokens.refresh_token(), None).await;
    assert_refused(refused, "UnauthorizedException", "The token was issued to another client.");
    let refused = revoke(&pool, "nosuchclient", tokens.refresh_token(), None).await;
    assert_refused(refused, "UnauthorizedException", "Invalid client or client secret.");
    let refused = revoke(&pool, &pool.client_id, tokens.access_token(), None).await;
    let message = "Only refresh tokens of this user pool can be revoked.";
    assert_refused(refused, "UnsupportedTokenTypeException", message);

    let secretive = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let secretive = pool.add_client(secretive).await;
    let refused = revoke(&pool, secretive.client_id(), tokens.refresh_token(), None).await;
    assert_refused(refused, "UnauthorizedException", "Invalid client or client secret.");
    let proved = revoke(&pool, secretive.client_id(), tokens.refresh_token(), secretive.client_secret.as_deref()).await;
    assert_refused(proved, "UnauthorizedException", "The token was issued to another client.");

    let fixed = CreateUserPoolClientRequest { enable_token_revocation: Some(false), ..password_client() };
    let fixed = pool.add_client(fixed).await;
    let refused = revoke(&pool, fixed.client_id(), tokens.refresh_token(), None).await;
    let message = "Token revocation is not enabled for this client.";
    assert_refused(refused, "UnsupportedOperationException", message);

    let linked = RevokeTokenRequest {
        client_id: Some(pool.client_id.clone()),
        token: tokens.refresh_token.clone(),
        revoke_associated_sessions: Some("LINKED".into()),
        ..Default::default()
    };
    let message = "RevokeAssociatedSessions LINKED is not supported by this server yet.";
    assert_refused(pool.api.call(linked).await, "InvalidParameterException", message);
    pool.get_user(tokens.access_token()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_client_that_allows_no_refresh_gives_none_by_any_operation() {
    let flows =
        CreateUserPoolClientRequest { explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH"]), ..Default::default() };
    let pool = Pool::create_with(email_pool(), flows.clone()).await;
    let person = pool.person("no-refresh").await;
    let token = pool.sign_in(&person.username, PASSWORD).await.unwrap().refresh_token.unwrap();
    let message = "REFRESH_TOKEN_AUTH flow not enabled for this client";
    assert_refused(renew(&pool, &token).await, "NotAuthorizedException", message);
    assert_refused(renew(&pool, "not.a.token").await, "NotAuthorizedException", message);
    assert_refused(pool.refresh(&token).await, "InvalidParameterException", message);

    // A client that rotates tokens can refresh, and must not list the flow.
    let update = |explicit_auth_flows: &[&str], refresh_token_rotation| UpdateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        explicit_auth_flows: texts(explicit_auth_flows),
        refresh_token_rotation,
        ..Default::default()
    };
    let rotation = rotating_client(0).refresh_token_rotation;
    pool.api.call(update(&["ALLOW_USER_PASSWORD_AUTH"], rotation)).await.unwrap();
    let next = renew(&pool, &token).await.unwrap().refresh_token.unwrap();
    pool.api.call(update(&["ALLOW_USER_PASSWORD_AUTH"], None)).await.unwrap();
    assert_refused(renew(&pool, &next).await, "NotAuthorizedException", message);
    pool.api.call(update(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"], None)).await.unwrap();
    renew(&pool, &next).await.unwrap();
    pool.verify().await;
}

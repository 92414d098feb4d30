//! Users who are disabled, and enabled again.

use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, unique};

async fn disable(pool: &Pool, username: &str) -> Result<AdminDisableUserResponse, Refusal> {
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(username.to_owned()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await
}

async fn enable(pool: &Pool, username: &str) -> Result<AdminEnableUserResponse, Refusal> {
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(username.to_owned()));
    pool.api.call(AdminEnableUserRequest { user_pool_id, username }).await
}

const DISABLED: (&str, &str) = ("NotAuthorizedException", "User is disabled.");

#[tokio::test]
async fn a_disabled_user_is_kept_out_and_its_tokens_are_of_no_use() {
    let pool = Pool::create().await;
    let person = pool.person("disabled").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    for _ in 0..2 {
        disable(&pool, &person.email).await.unwrap_err();
        disable(&pool, &person.username).await.unwrap();
        assert_eq!(pool.admin_get_user(&person.username).await.unwrap().enabled, Some(false));
    }
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, DISABLED.0, DISABLED.1);
    assert_refused(pool.get_user(tokens.access_token()).await, DISABLED.0, DISABLED.1);
    assert_refused(pool.refresh(tokens.refresh_token()).await, DISABLED.0, DISABLED.1);
    assert_refused(pool.sign_out(tokens.access_token()).await, DISABLED.0, DISABLED.1);
    assert_refused(pool.delete_user(tokens.access_token()).await, DISABLED.0, DISABLED.1);
    let (client_id, username) = (Some(pool.client_id.clone()), Some(person.username.clone()));
    let forgot =
        ForgotPasswordRequest { client_id: client_id.clone(), username: username.clone(), ..Default::default() };
    assert_refused(pool.api.call(forgot).await, DISABLED.0, DISABLED.1);
    let recover = ConfirmForgotPasswordRequest {
        client_id: client_id.clone(),
        username,
        confirmation_code: Some("000000".into()),
        password: Some(PASSWORD.into()),
        ..Default::default()
    };
    assert_refused(pool.api.call(recover).await, DISABLED.0, DISABLED.1);
    let refresh_token = tokens.refresh_token.clone();
    let renew = GetTokensFromRefreshTokenRequest { client_id, refresh_token, ..Default::default() };
    assert_refused(pool.api.call(renew).await, DISABLED.0, DISABLED.1);
    let wrong = pool.sign_in(&person.username, "Wrong-horse-7").await;
    assert_refused(wrong, "NotAuthorizedException", "Incorrect username or password.");

    for _ in 0..2 {
        enable(&pool, &person.sub).await.unwrap();
        assert_eq!(pool.admin_get_user(&person.username).await.unwrap().enabled, Some(true));
    }
    // Enabling a user again brings back no ended session.
    let revoked = ("NotAuthorizedException", "Access Token has been revoked");
    assert_refused(pool.get_user(tokens.access_token()).await, revoked.0, revoked.1);
    let revoked = ("NotAuthorizedException", "Refresh Token has been revoked");
    assert_refused(pool.refresh(tokens.refresh_token()).await, revoked.0, revoked.1);
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    pool.get_user(tokens.access_token()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_disabled_user_does_not_confirm_and_is_sent_no_code() {
    let pool = Pool::create().await;
    let name = unique("unconfirmed");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let code = pool.api.code_for(&email).await;
    disable(&pool, &name).await.unwrap();
    assert_refused(pool.confirm(&name, &code).await, DISABLED.0, DISABLED.1);
    let resend = ResendConfirmationCodeRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(name.clone()),
        ..Default::default()
    };
    assert_refused(pool.api.call(resend).await, DISABLED.0, DISABLED.1);
    enable(&pool, &name).await.unwrap();
    pool.confirm(&name, &code).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn only_a_user_who_is_there_is_disabled_and_enabled() {
    let pool = Pool::create().await;
    let missing = ("UserNotFoundException", "User does not exist.");
    assert_refused(disable(&pool, "nobody").await, missing.0, missing.1);
    assert_refused(enable(&pool, "nobody").await, missing.0, missing.1);
    let person = pool.person("sdk").await;
    let aws = pool.api.aws();
    aws.admin_disable_user().user_pool_id(&pool.id).username(&person.username).send().await.unwrap();
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, DISABLED.0, DISABLED.1);
    aws.admin_enable_user().user_pool_id(&pool.id).username(&person.username).send().await.unwrap();
    let elsewhere = aws.admin_enable_user().user_pool_id("us-east-1_000000000").username("nobody").send().await;
    assert!(elsewhere.unwrap_err().into_service_error().is_resource_not_found_exception());
    pool.sign_in(&person.username, PASSWORD).await.unwrap();
    pool.verify().await;
}

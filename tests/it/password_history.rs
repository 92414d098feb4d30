//! A pool whose users may not choose their last passwords again.

use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, email_pool, password_client, unique};
use crate::support::requests::same_fields;

const USED_BEFORE: (&str, &str) =
    ("PasswordHistoryPolicyViolationException", "Password has previously been used: please choose another one.");

fn with_history(size: i32) -> UserPoolPolicyType {
    let password_policy = Some(PasswordPolicyType { password_history_size: Some(size), ..Default::default() });
    UserPoolPolicyType { password_policy, ..Default::default() }
}

async fn pool_with_history(size: i32) -> Pool {
    let request = CreateUserPoolRequest { policies: Some(with_history(size)), ..email_pool() };
    Pool::create_with(request, password_client()).await
}

fn numbered(number: usize) -> String {
    format!("Correct-horse-{number}0")
}

async fn change(pool: &Pool, name: &str, previous: &str, proposed: &str) -> Result<ChangePasswordResponse, Refusal> {
    let access_token = pool.sign_in(name, previous).await.unwrap().access_token;
    let (previous_password, proposed_password) = (Some(previous.to_owned()), Some(proposed.to_owned()));
    pool.api.call(ChangePasswordRequest { access_token, previous_password, proposed_password }).await
}

async fn set(
    pool: &Pool,
    name: &str,
    password: &str,
    permanent: bool,
) -> Result<AdminSetUserPasswordResponse, Refusal> {
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(name.to_owned()));
    let password = Some(password.to_owned());
    pool.api.call(AdminSetUserPasswordRequest { user_pool_id, username, password, permanent: Some(permanent) }).await
}

#[tokio::test]
async fn the_last_passwords_are_refused_and_older_ones_are_not() {
    let pool = pool_with_history(3).await;
    let name = pool.person("history").await.username;
    change(&pool, &name, PASSWORD, &numbered(1)).await.unwrap();
    change(&pool, &name, &numbered(1), &numbered(2)).await.unwrap();
    for used in [PASSWORD, &numbered(1), &numbered(2)] {
        assert_refused(change(&pool, &name, &numbered(2), used).await, USED_BEFORE.0, USED_BEFORE.1);
    }
    change(&pool, &name, &numbered(2), &numbered(3)).await.unwrap();
    change(&pool, &name, &numbered(3), PASSWORD).await.unwrap();
    pool.sign_in(&name, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn every_way_to_set_a_password_keeps_to_the_history() {
    let pool = pool_with_history(2).await;
    let person = pool.person("ways").await;
    let name = person.username;
    for permanent in [true, false] {
        assert_refused(set(&pool, &name, PASSWORD, permanent).await, USED_BEFORE.0, USED_BEFORE.1);
    }
    let client_id = Some(pool.client_id.clone());
    let forgot =
        ForgotPasswordRequest { client_id: client_id.clone(), username: Some(name.clone()), ..Default::default() };
    pool.api.call(forgot).await.unwrap();
    let confirmation_code = pool.api.messages_for(&person.email, 2).await[0]["code"].as_str().map(str::to_owned);
    let recover = |password: &str| ConfirmForgotPasswordRequest {
        client_id: client_id.clone(),
        username: Some(name.clone()),
        confirmation_code: confirmation_code.clone(),
        password: Some(password.to_owned()),
        ..Default::default()
    };
    assert_refused(pool.api.call(recover(PASSWORD)).await, USED_BEFORE.0, USED_BEFORE.1);
    // The refusal is about the password: the code still counts.
    pool.api.call(recover(&numbered(1))).await.unwrap();

    set(&pool, &name, &numbered(2), false).await.unwrap();
    let challenge = pool.challenge(&name, &numbered(2)).await;
    for used in [numbered(1), numbered(2)] {
        let request = pool.new_password_request(challenge.session(), &name, &used);
        let user_pool_id = Some(pool.id.clone());
        let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
        assert_refused(pool.api.call(by_server).await, USED_BEFORE.0, USED_BEFORE.1);
        assert_refused(pool.api.call(request).await, USED_BEFORE.0, USED_BEFORE.1);
    }
    pool.api.call(pool.new_password_request(challenge.session(), &name, PASSWORD)).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_policy_that_comes_later_begins_with_the_present_password() {
    let pool = Pool::create().await;
    let name = pool.person("later").await.username;
    change(&pool, &name, PASSWORD, &numbered(1)).await.unwrap();
    let (user_pool_id, policies) = (Some(pool.id.clone()), Some(with_history(24)));
    pool.api.call(UpdateUserPoolRequest { user_pool_id, policies, ..Default::default() }).await.unwrap();
    assert_refused(change(&pool, &name, &numbered(1), &numbered(1)).await, USED_BEFORE.0, USED_BEFORE.1);
    change(&pool, &name, &numbered(1), PASSWORD).await.unwrap();
    assert_refused(change(&pool, &name, PASSWORD, &numbered(1)).await, USED_BEFORE.0, USED_BEFORE.1);
    let fresh = unique("fresh");
    pool.create_user(&fresh, &[], &numbered(5)).await;
    assert_refused(set(&pool, &fresh, &numbered(5), true).await, USED_BEFORE.0, USED_BEFORE.1);
    pool.verify().await;
}

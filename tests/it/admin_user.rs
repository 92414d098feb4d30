//! What an administrator sees of users.

use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::pool::{PASSWORD, Pool, by_name, email_pool, password_client, texts, unique};

#[tokio::test]
async fn a_user_is_found_by_name_alias_and_sub() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let name = unique("found");
    let email = format!("{name}@example.com");
    let sub = pool.sign_up(&name, &[("email", &email), ("nickname", "F")]).await.unwrap().user_sub.unwrap();
    let before = pool.admin_get_user(&name).await.unwrap();
    assert_eq!(before.user_status.as_deref(), Some("UNCONFIRMED"));
    assert_eq!(before.enabled, Some(true));
    assert_eq!(before.user_create_date, before.user_last_modified_date);
    // An unverified address finds no user.
    let unknown = ("UserNotFoundException", "User does not exist.");
    assert_refused(pool.admin_get_user(&email).await, unknown.0, unknown.1);

    pool.confirm(&name, &pool.api.code_for(&email).await).await.unwrap();
    for key in [&name, &email, &sub] {
        let user = pool.admin_get_user(key).await.unwrap();
        assert_eq!(user.username.as_deref(), Some(name.as_str()));
        assert_eq!(user.user_status.as_deref(), Some("CONFIRMED"));
        assert_eq!(user.user_create_date, before.user_create_date);
        assert!(user.user_last_modified_date.unwrap().seconds >= before.user_create_date.unwrap().seconds);
        let shown = by_name(&user.user_attributes);
        let expected =
            [("email", email.as_str()), ("email_verified", "true"), ("nickname", "F"), ("sub", sub.as_str())];
        assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
    assert_refused(pool.admin_get_user(&name.to_uppercase()).await, unknown.0, unknown.1);
    let found = pool.api.aws().admin_get_user().user_pool_id(&pool.id).username(&email).send().await.unwrap();
    assert_eq!(found.username(), name);
    assert_eq!(found.user_status().map(|status| status.as_str()), Some("CONFIRMED"));
    assert_eq!(found.user_create_date().unwrap().secs(), before.user_create_date.unwrap().seconds);
    pool.verify().await;
}

#[tokio::test]
async fn a_user_of_another_pool_is_not_found() {
    let (pool, other) = (Pool::create().await, Pool::create().await);
    let person = pool.person("elsewhere").await;
    for key in [&person.username, &person.sub] {
        assert_refused(other.admin_get_user(key).await, "UserNotFoundException", "User does not exist.");
    }
    let request = AdminGetUserRequest {
        user_pool_id: Some("us-east-1_000000000".into()),
        username: Some(person.username.clone()),
    };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(request).await, "ResourceNotFoundException", message);
    pool.sign_in(&person.username, PASSWORD).await.unwrap();
    other.verify().await;
    pool.verify().await;
}

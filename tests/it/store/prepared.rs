//! Work that was prepared for an attempt is checked by the rules as they are when the attempt decides.

use std::sync::Arc;

use userpool::app::App;
use userpool::app::admin_user::admin_create_user::{admin_create_user, prepare};
use userpool::domain::error::Exception;
use userpool::proto::v1::{AdminCreateUserRequest, PasswordPolicyType, UpdateUserPoolRequest, UserPoolPolicyType};
use userpool::store::error::{Failure, StoreError};

use super::Database;
use super::commands::{PASSWORD, admin_create, app, call, caller, create_pool, pool_request};

/// A pool with an invited user.
async fn pool_with_jane(database: &Database) -> (Arc<App>, String) {
    let app = app(database.store.clone());
    let pool = create_pool(&app, pool_request()).await.unwrap();
    admin_create(&app, &pool, "jane", "jane@example.com", false).await.unwrap();
    (app, pool)
}

async fn ask_for_long_passwords(app: &App, pool: &str) {
    let policy = PasswordPolicyType { minimum_length: Some(40), ..Default::default() };
    let request = UpdateUserPoolRequest {
        user_pool_id: Some(pool.to_owned()),
        policies: Some(UserPoolPolicyType { password_policy: Some(policy), ..Default::default() }),
        ..Default::default()
    };
    call(app, request).await.unwrap();
}

fn invitation(pool: &str, password: Option<&str>, resent: bool) -> AdminCreateUserRequest {
    AdminCreateUserRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(if resent { "jane" } else { "joan" }.to_owned()),
        temporary_password: password.map(str::to_owned),
        message_action: Some(if resent { "RESEND" } else { "SUPPRESS" }.to_owned()),
        desired_delivery_mediums: vec!["EMAIL".to_owned()],
        ..Default::default()
    }
}

/// The outcomes of the first attempt and of the next one, if the policy becomes stricter after the password was hashed.
async fn attempts(app: &App, request: AdminCreateUserRequest) -> [Failure; 2] {
    let caller = caller("AdminCreateUser");
    let prepared = prepare(app, &caller, &request).await.unwrap();
    ask_for_long_passwords(app, request.user_pool_id()).await;
    let first = admin_create_user(app, &caller, &request, &prepared).await.unwrap_err();
    let second = admin_create_user(app, &caller, &request, &prepared).await.unwrap_err();
    [first, second]
}

#[tokio::test]
async fn a_temporary_password_that_does_not_conform_any_more_is_refused() {
    for resent in [false, true] {
        let database = Database::create().await;
        let (app, pool) = pool_with_jane(&database).await;
        let [first, second] = attempts(&app, invitation(&pool, Some(PASSWORD), resent)).await;
        assert!(matches!(first, Failure::Store(StoreError::Stale)), "{first:?}");
        let Failure::Refused(refused) = second else { panic!("{second:?}") };
        assert_eq!(refused.exception, Exception::InvalidPasswordException);
    }
}

#[tokio::test]
async fn a_generated_password_that_does_not_conform_any_more_is_made_anew() {
    for resent in [false, true] {
        let database = Database::create().await;
        let (app, pool) = pool_with_jane(&database).await;
        let request = invitation(&pool, None, resent);
        let [first, second] = attempts(&app, request.clone()).await;
        assert!(matches!(first, Failure::Store(StoreError::Stale)), "{first:?}");
        assert!(matches!(second, Failure::Outdated), "{second:?}");
        call(&app, request).await.unwrap();
    }
}

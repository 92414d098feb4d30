//! Everything about a user is deleted with the user, including what other commands were writing at that moment.

use std::sync::Arc;

use userpool::app::App;
use userpool::domain::error::Exception;
use userpool::domain::message::Medium;
use userpool::store::outbox::Turn;

use super::proxy::Proxy;
use super::{Database, begin, commands};
use crate::support::tables::about_user;

/// Tables whose rows stay: facts. The log stays as well.
const STAYS: [&str; 1] = ["activity"];

struct Scenario {
    database: Database,
    app: Arc<App>,
    pool: String,
    client: String,
    sub: String,
}

impl Scenario {
    /// A user who has signed up.
    async fn create() -> Self {
        let database = Database::create().await;
        let app = commands::app(database.store.clone());
        let pool = commands::create_pool(&app, commands::pool_request()).await.unwrap();
        let client = commands::create_client(&app, &pool).await.unwrap();
        let sub = commands::sign_up(&app, &client, "jane", "jane@example.com").await.unwrap();
        Self { database, app, pool, client, sub }
    }

    /// A user who has confirmed, of a pool that tracks devices.
    async fn with_device() -> Self {
        let database = Database::create().await;
        let app = commands::app(database.store.clone());
        let pool = commands::create_pool(&app, commands::tracking_pool_request()).await.unwrap();
        let client = commands::create_client(&app, &pool).await.unwrap();
        let sub = commands::sign_up(&app, &client, "jane", "jane@example.com").await.unwrap();
        let code = commands::sent_codes(&app).await.pop().expect("a code").1;
        commands::confirm(&app, &client, "jane", &code, false).await.unwrap();
        Self { database, app, pool, client, sub }
    }

    async fn about_jane(&self) -> Vec<String> {
        about_user(self.database.sql(), &self.pool, &self.sub).await
    }

    /// Deletes the user while a command is under way, which may hold the deletion up; then lets the command go on.
    async fn delete_meanwhile(&self, held_up_by: i64, goes_on: impl AsyncFnOnce()) {
        let (app, pool) = (self.app.clone(), self.pool.clone());
        let deletion = tokio::spawn(async move { commands::admin_delete(&app, &pool, "jane").await });
        self.database.locked(held_up_by, || deletion.is_finished()).await;
        goes_on().await;
        deletion.await.unwrap().unwrap();
        self.database.settled().await;
    }

    async fn assert_gone(&self) {
        assert_eq!(self.about_jane().await, STAYS);
        self.database.assert_verified().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_on_its_way_when_its_user_is_deleted_goes_with_the_user() {
    let scenario = Scenario::create().await;
    let proxy = Proxy::start(scenario.database.address()).await;
    let other = commands::app(scenario.database.another_store(Some(proxy.address)).await);
    // Two days later the first code has expired.
    scenario.app.store.sweep(scenario.app.clock.now().plus_seconds(2 * 24 * 60 * 60)).await.unwrap();
    let release = proxy.hold_commit();
    // The commit of a command that only asserts the user is under way, and its answer is lost.
    let resent = commands::resend(&other, &scenario.client, "jane").await;
    assert_eq!(resent, Err(Exception::ServiceUnavailableException));
    scenario.delete_meanwhile(1, async || release.send(()).expect("the proxy waits")).await;
    scenario.assert_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_begins_when_its_user_is_deleted_goes_with_the_user_or_does_not_begin() {
    let scenario = Scenario::create().await;
    let code = commands::sent_codes(&scenario.app).await.pop().expect("a code").1;
    commands::confirm(&scenario.app, &scenario.client, "jane", &code, false).await.unwrap();
    let wrong = commands::sign_in(&scenario.app, &scenario.client, "jane", commands::WRONG_PASSWORD).await;
    assert_eq!(wrong.map(drop), Err(Exception::NotAuthorizedException));
    // A sign-in forgets earlier failures: it is held there, in the middle of its statement.
    let mut held = begin(scenario.database.sql()).await;
    sqlx::query("select from sign_in_failures for update").execute(&mut *held).await.unwrap();
    let (app, client) = (scenario.app.clone(), scenario.client.clone());
    let sign_in = tokio::spawn(async move { commands::sign_in(&app, &client, "jane", commands::PASSWORD).await });
    assert!(scenario.database.locked(1, || sign_in.is_finished()).await, "the sign-in is held");
    scenario.delete_meanwhile(2, async || held.rollback().await.unwrap()).await;
    if let Err(exception) = sign_in.await.unwrap() {
        assert_eq!(exception, Exception::UserNotFoundException);
    }
    scenario.assert_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_begins_when_its_device_is_forgotten_ends_with_it_or_does_not_begin() {
    let scenario = Scenario::with_device().await;
    let Scenario { database, app, client, .. } = &scenario;
    let tokens = commands::sign_in(app, client, "jane", commands::PASSWORD).await.unwrap();
    commands::confirm_device(app, &tokens).await.unwrap();
    let wrong = commands::sign_in(app, client, "jane", commands::WRONG_PASSWORD).await;
    assert_eq!(wrong.map(drop), Err(Exception::NotAuthorizedException));
    // As above, the sign-in is held in the middle of its statement.
    let mut held = begin(database.sql()).await;
    sqlx::query("select from sign_in_failures for update").execute(&mut *held).await.unwrap();
    let (other, of_client, key) = (app.clone(), client.clone(), tokens.device.clone().unwrap());
    let sign_in = tokio::spawn(async move { commands::sign_in_with(&other, &of_client, "jane", &key).await });
    assert!(database.locked(1, || sign_in.is_finished()).await, "the sign-in is held");
    let (other, of_device) = (app.clone(), tokens.clone());
    let forgetting = tokio::spawn(async move { commands::forget_device(&other, &of_device).await });
    database.locked(2, || forgetting.is_finished()).await;
    held.rollback().await.unwrap();
    forgetting.await.unwrap().unwrap();
    if let Ok(late) = sign_in.await.unwrap() {
        let is_over = commands::refresh(app, client, &late).await;
        assert!(is_over.is_err() || late.device != tokens.device, "a session of a device that is gone");
    }
    let left: i64 = sqlx::query_scalar("select count(*) from sessions where device_id::text = split_part($1, '_', 2)")
        .bind(&tokens.device)
        .fetch_one(database.sql())
        .await
        .unwrap();
    assert_eq!(left, 0);
    database.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_confirmed_when_its_user_is_deleted_goes_with_the_user() {
    let scenario = Scenario::with_device().await;
    let tokens = commands::sign_in(&scenario.app, &scenario.client, "jane", commands::PASSWORD).await.unwrap();
    let proxy = Proxy::start(scenario.database.address()).await;
    let other = commands::app(scenario.database.another_store(Some(proxy.address)).await);
    let release = proxy.hold_commit();
    // The commit of the confirmation is under way, and its answer is lost.
    let confirmed = commands::confirm_device(&other, &tokens).await;
    assert_eq!(confirmed, Err(Exception::ServiceUnavailableException));
    scenario.delete_meanwhile(1, async || release.send(()).expect("the proxy waits")).await;
    scenario.assert_gone().await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from devices").fetch_one(scenario.database.sql()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_open_any_more_is_not_tried_for_ever() {
    let scenario = Scenario::create().await;
    // As an earlier release could leave it.
    sqlx::query("delete from keys where owner = $1")
        .bind(&scenario.sub)
        .execute(scenario.database.sql())
        .await
        .unwrap();
    assert!(scenario.about_jane().await.contains(&"outbox".to_owned()));
    let claimed = scenario
        .app
        .store
        .claim_messages(Medium::Email, &mut Turn::default(), scenario.app.clock.now(), 10)
        .await
        .unwrap();
    assert!(claimed.is_empty());
    assert!(!scenario.about_jane().await.contains(&"outbox".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_deleted_while_its_keys_are_read_is_one_that_does_not_exist() {
    let scenario = Scenario::create().await;
    let other = commands::app(scenario.database.another_store(None).await);
    let mut deletion = begin(scenario.database.sql()).await;
    sqlx::query("lock table keys in access exclusive mode").execute(&mut *deletion).await.unwrap();
    let pool = scenario.pool.clone();
    let creation = tokio::spawn(async move { commands::create_group(&other, &pool, "readers").await });
    assert!(scenario.database.locked(1, || creation.is_finished()).await, "the pool is read, and its keys are not");
    for statement in ["delete from pools where user_pool_id = $1", "delete from keys where user_pool_id = $1"] {
        sqlx::query(statement).bind(&scenario.pool).execute(&mut *deletion).await.unwrap();
    }
    deletion.commit().await.unwrap();
    assert_eq!(creation.await.unwrap(), Err(Exception::ResourceNotFoundException));
}

//! A command with an `idempotency-key` whose connection breaks between any two statements: tried again, it is done
//! once.

use std::sync::Arc;

use prost::Message;
use userpool::api::context::Context;
use userpool::api::operation::Operation;
use userpool::api::pipeline;
use userpool::app::caller::{Caller, Credential, Developer};
use userpool::app::hashing::Cost;
use userpool::app::{App, Settings};
use userpool::domain::error::Error;
use userpool::domain::ids::AccessKeyId;
use userpool::environment::Clock;
use userpool::proto::v1::{
    AdminInitiateAuthRequest, AdminInitiateAuthResponse, CreateUserPoolClientRequest, CreateUserPoolClientResponse,
};
use userpool::store::service_accounts::{Role, ServiceAccount};

use super::Database;
use super::commands::{self, app, app_of_cost};
use super::proxy::Proxy;

/// More statements than any command has.
const MOST_STATEMENTS: usize = 60;

fn developer(operation: &'static str, key: &str) -> Caller {
    let account = ServiceAccount {
        access_key_id: AccessKeyId::new("UPAAAAAAAAAAAAAAAAAA"),
        name: "test".to_owned(),
        role: Role::Admin,
        user_pool_ids: Vec::new(),
        created_at: Clock.now(),
        revoked_at: None,
    };
    let developer = Some(Developer { account, credential: Credential::Secret });
    Caller { developer, idempotency_key: Some(key.to_owned()), ..commands::caller(operation) }
}

/// Calls an operation under a key, through the same code as every call.
async fn call_named<Answer: Message + Default>(
    app: &Arc<App>,
    operation: Operation,
    key: &str,
    request: &impl Message,
) -> Result<Answer, Error> {
    let context = Context { operation, app: app.clone(), caller: developer(operation.info().name, key) };
    let answer = pipeline::call(context, request.encode_to_vec().into()).await?;
    Ok(Answer::decode(answer).expect("the answer is of its type"))
}

async fn create_client(app: &Arc<App>, pool: &str, key: &str) -> Result<CreateUserPoolClientResponse, Error> {
    let request = CreateUserPoolClientRequest {
        user_pool_id: Some(pool.to_owned()),
        client_name: Some("app".to_owned()),
        generate_secret: Some(true),
        ..Default::default()
    };
    call_named(app, Operation::CreateUserPoolClient, key, &request).await
}

/// Runs a command under one new key after another. Each time the connection breaks one statement later, until it does
/// not break. Each run adds one row to a table.
async fn is_done_once_wherever_it_breaks<Answer: PartialEq + std::fmt::Debug>(
    database: &Database,
    table: &'static str,
    run: impl AsyncFn(&Arc<App>, &str) -> Result<Answer, Error>,
) {
    let proxy = Proxy::start(database.address()).await;
    let direct = app(database.store.clone());
    let proxied = app(database.another_store(Some(proxy.address)).await);
    let count = async || -> i64 {
        let statement = format!("select count(*) from {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(database.sql()).await.expect("a count")
    };
    for statement in 1..MOST_STATEMENTS {
        let (key, before) = (format!("cut-{statement}"), count().await);
        proxy.cut_after(statement);
        let first = run(&proxied, &key).await;
        let cut = proxy.has_cut();
        let again = run(&direct, &key).await.expect("another try is answered");
        assert_eq!(count().await, before + 1, "after statement {statement}");
        if let Ok(first) = first {
            assert_eq!(first, again, "after statement {statement}");
        }
        if !cut {
            assert!(statement > 3, "the command has at least two reads and a write");
            database.assert_verified().await;
            return;
        }
    }
    panic!("the command has no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_command_that_breaks_anywhere_is_done_once_and_answered_in_the_end() {
    let database = Database::create().await;
    let app = app(database.store.clone());
    let pool = commands::create_pool(&app, commands::pool_request()).await.expect("a pool");
    let create = async |app: &Arc<App>, key: &str| create_client(app, &pool, key).await;
    is_done_once_wherever_it_breaks(&database, "clients", create).await;
}

/// The request with which a trusted server signs a user in.
async fn trusted_sign_in(app: &App) -> AdminInitiateAuthRequest {
    let pool = commands::create_pool(app, commands::pool_request()).await.expect("a pool");
    let client = commands::create_client(app, &pool).await.expect("a client");
    commands::sign_up(app, &client, "jane", "jane@example.com").await.expect("a user");
    commands::admin_confirm(app, &pool, "jane").await.expect("the user is confirmed");
    commands::admin_sign_in_request(&pool, &client, "jane")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_sign_in_that_breaks_anywhere_begins_one_session_and_is_answered_with_its_tokens() {
    let database = Database::create().await;
    let request = trusted_sign_in(&app(database.store.clone())).await;
    let sign_in = async |app: &Arc<App>, key: &str| {
        call_named::<AdminInitiateAuthResponse>(app, Operation::AdminInitiateAuth, key, &request).await
    };
    is_done_once_wherever_it_breaks(&database, "sessions", sign_in).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_sign_in_hashes_a_password_again_whose_cost_is_not_todays() {
    let database = Database::create().await;
    let request = trusted_sign_in(&app(database.store.clone())).await;
    let costly = app_of_cost(database.store.clone(), Cost { memory: 64, passes: 2, lanes: 1 }, Settings::default());
    let answer: AdminInitiateAuthResponse =
        call_named(&costly, Operation::AdminInitiateAuth, "one", &request).await.expect("a sign-in");
    let again = call_named(&costly, Operation::AdminInitiateAuth, "one", &request).await.expect("the same answer");
    assert_eq!(answer, again);
    let rehashed: i64 = sqlx::query_scalar("select count(*) from log where type = 'user.password_rehashed'")
        .fetch_one(database.sql())
        .await
        .expect("a count");
    assert_eq!(rehashed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_of_one_key_that_meet_at_the_database_are_done_once() {
    let database = Database::create().await;
    let app = app(database.store.clone());
    let pool = commands::create_pool(&app, commands::pool_request()).await.expect("a pool");
    // The first one's transaction waits for its COMMIT, as in a slow network, while the second one comes.
    let proxy = Proxy::start(database.address()).await;
    let slow = commands::app(database.another_store(Some(proxy.address)).await);
    create_client(&slow, &pool, "warm").await.expect("the connections are there");
    let release = proxy.hold_commit();
    let first = create_client(&slow, &pool, "one");
    let second = async {
        // The second one waits for the row of the first one.
        let waits = async || -> bool {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where wait_event_type = 'Lock' and datname = current_database() and query like 'insert into stored_answers%'",
            )
            .fetch_one(database.sql())
            .await
            .expect("a count");
            waiting > 0
        };
        // Everything but the COMMIT is done: the answer was written first, and the clients were counted last.
        let held = async || -> bool {
            let held: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where state = 'idle in transaction' and datname = current_database() and query like 'select assert_within(''clients''%'",
            )
            .fetch_one(database.sql())
            .await
            .expect("a count");
            held > 0
        };
        until(held).await;
        let call = create_client(&app, &pool, "one");
        let watched = async {
            until(waits).await;
            release.send(()).expect("the proxy holds the COMMIT");
        };
        futures::future::join(call, watched).await.0
    };
    let (first, second) = futures::future::join(first, second).await;
    assert_eq!(first.expect("the first is answered"), second.expect("the second is answered"));
    let clients: i64 =
        sqlx::query_scalar("select count(*) from clients").fetch_one(database.sql()).await.expect("a count");
    assert_eq!(clients, 2, "the one that warmed up and the one that both asked for");
}

async fn until(condition: impl AsyncFn() -> bool) {
    let waited = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waited).await.expect("it comes to that");
}

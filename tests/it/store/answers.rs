//! A command under a name whose connection breaks between any two of its statements: tried again, it is done once.

use std::sync::Arc;

use prost::Message;
use userpool::api::operation::Operation;
use userpool::api::pipeline::{self, Context};
use userpool::app::App;
use userpool::app::caller::Caller;
use userpool::domain::error::Error;
use userpool::domain::ids::AccessKeyId;
use userpool::environment::Clock;
use userpool::proto::v1::{CreateUserPoolClientRequest, CreateUserPoolClientResponse};
use userpool::store::service_accounts::{Role, ServiceAccount};

use super::Database;
use super::commands::{self, app};
use super::proxy::Proxy;

/// No command has so many statements.
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
    Caller { account: Some(account), idempotency_key: Some(key.to_owned()), ..commands::caller(operation) }
}

async fn create_client(app: &Arc<App>, pool: &str, key: &str) -> Result<CreateUserPoolClientResponse, Error> {
    let request = CreateUserPoolClientRequest {
        user_pool_id: Some(pool.to_owned()),
        client_name: Some("app".to_owned()),
        generate_secret: Some(true),
        ..Default::default()
    };
    let operation = Operation::CreateUserPoolClient;
    let context = Context { operation, app: app.clone(), caller: developer(operation.info().name, key) };
    let answer = pipeline::call(context, request.encode_to_vec().into()).await?;
    Ok(CreateUserPoolClientResponse::decode(answer).expect("the answer is of its type"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_command_that_breaks_anywhere_is_done_once_and_answered_in_the_end() {
    let database = Database::create().await;
    let proxy = Proxy::start(database.address()).await;
    let direct = app(database.store.clone());
    let proxied = app(database.another_store(Some(proxy.address)).await);
    let pool = commands::create_pool(&direct, commands::pool_request()).await.expect("a pool");
    let count = async || -> i64 {
        sqlx::query_scalar("select count(*) from clients").fetch_one(database.sql()).await.expect("a count")
    };
    for statement in 1..MOST_STATEMENTS {
        let (key, before) = (format!("cut-{statement}"), count().await);
        proxy.cut_after(statement);
        let first = create_client(&proxied, &pool, &key).await;
        let cut = proxy.has_cut();
        let again = create_client(&direct, &pool, &key).await.expect("another try is answered");
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
async fn two_that_meet_on_their_way_to_the_database_are_one() {
    let database = Database::create().await;
    let app = app(database.store.clone());
    let pool = commands::create_pool(&app, commands::pool_request()).await.expect("a pool");
    // The first one's transaction waits for its COMMIT in a slow network while the second one comes.
    let proxy = Proxy::start(database.address()).await;
    let slow = commands::app(database.another_store(Some(proxy.address)).await);
    create_client(&slow, &pool, "warm").await.expect("the connections are there");
    let release = proxy.hold_commit();
    let first = create_client(&slow, &pool, "one");
    let second = async {
        // It has met the row of the first one when it waits for it.
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
        // All but the COMMIT is written, the answer before everything else.
        let held = async || -> bool {
            let held: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where state = 'idle in transaction' and datname = current_database() and query like 'insert into clients%'",
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

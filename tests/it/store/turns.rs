//! Pools take turns: one pool's waiting messages hold up no messages of other pools.

use std::sync::Arc;

use sqlx::Row;
use userpool::app::App;
use userpool::domain::message::Medium;
use userpool::proto::v1;
use userpool::store::Store;
use userpool::store::outbox::{Selection, Turn};

use super::{Database, begin, commands, master_keys};

const FLOOD: i64 = 10_000;

/// A pool and its client.
async fn pool(app: &Arc<App>) -> (String, String) {
    let pool = commands::create_pool(app, commands::pool_request()).await.unwrap();
    let client = commands::create_client(app, &pool).await.unwrap();
    (pool, client)
}

/// Messages of a pool that waited before all others, of users who no longer exist, so that they are dropped when
/// claimed.
async fn flood(database: &Database, pool: &str, medium: &str, messages: i64, next_at: &str) {
    let mut transaction = begin(database.sql()).await;
    // On a busy machine this takes longer than a request may.
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await.unwrap();
    sqlx::query(
        "insert into outbox (user_pool_id, id, owner, kind, sealed, next_at, medium)
         select $1, gen_random_uuid(), gen_random_uuid()::text, 'message', '\\x00', $4::timestamptz + i * interval '1 microsecond', $2
         from generate_series(1, $3) as i",
    )
    .bind(pool)
    .bind(medium)
    .bind(messages)
    .bind(next_at)
    .execute(&mut *transaction)
    .await
    .unwrap();
    sqlx::query("analyze outbox").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn sign_up(app: &Arc<App>, client: &str, name: &str) {
    commands::sign_up(app, client, name, &format!("{name}@example.com")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_ten_thousand_messages_holds_up_no_code_of_another_pool() {
    let database = Database::create().await;
    let app = commands::app(database.store.clone());
    let ((loud, _), (quiet, client), (third, third_client)) = (pool(&app).await, pool(&app).await, pool(&app).await);
    flood(&database, &loud, "EMAIL", FLOOD, "2020-01-01").await;
    sign_up(&app, &client, "jane").await;
    sign_up(&app, &third_client, "joan").await;
    // One at a time, like a worker with one free connection: after three claims each pool has had its turn.
    let mut turn = Turn::default();
    let mut claimed = Vec::new();
    for _ in 0..3 {
        claimed.extend(database.store.claim_messages(Medium::Email, &mut turn, app.clock.now(), 1).await.unwrap());
    }
    let mut pools: Vec<_> = claimed.iter().map(|message| message.user_pool_id.as_str()).collect();
    pools.sort_unstable();
    let mut expected = [quiet.as_str(), third.as_str()];
    expected.sort_unstable();
    assert_eq!(pools, expected);
    for message in &claimed {
        database.store.message_delivered(message).await.unwrap();
    }
    // Several at once: the first batch contains the other pool's message, wherever the turn is, and the rest is the
    // loud pool's.
    let selection = Selection { user_pool_id: Some(&loud), ..Selection::default() };
    let before = database.store.list_messages(selection, 2 * FLOOD).await.unwrap().len();
    sign_up(&app, &client, "john").await;
    let claimed = database.store.claim_messages(Medium::Email, &mut turn, app.clock.now(), 8).await.unwrap();
    assert_eq!(claimed.iter().map(|message| message.user_pool_id.as_str()).collect::<Vec<_>>(), [quiet.as_str()]);
    let after = database.store.list_messages(selection, 2 * FLOOD).await.unwrap().len();
    assert_eq!(before - after, 4, "half of what could be sent");
    // If no other pool waits, a pool gets the whole batch.
    let claimed = database.store.claim_messages(Medium::Email, &mut turn, app.clock.now(), 8).await.unwrap();
    assert!(claimed.is_empty());
    assert!(turn.goes_on(), "they were not to be sent, and what comes after them may be");
    assert_eq!(after - database.store.list_messages(selection, 2 * FLOOD).await.unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_claimed_than_is_asked_for_however_many_pools_there_are() {
    let database = Database::create().await;
    let app = commands::app(database.store.clone());
    for _ in 0..3 {
        flood(&database, &pool(&app).await.0, "EMAIL", 10, "2020-01-01").await;
    }
    let left = async || database.store.list_messages(Selection::default(), 100).await.unwrap().len();
    let mut turn = Turn::default();
    for (asked, taken) in [(8, 6), (2, 2), (1, 1), (4, 3)] {
        let before = left().await;
        database.store.claim_messages(Medium::Email, &mut turn, app.clock.now(), asked).await.unwrap();
        assert_eq!(before - left().await, taken, "of {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_pool_keep_their_order_and_processes_share_them() {
    let database = Database::create().await;
    let app = commands::app(database.store.clone());
    let (pool, client) = pool(&app).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        sign_up(&app, &client, name).await;
    }
    let other = database.another_store(None).await;
    let claim = async |store: &Store| {
        store.claim_messages(Medium::Email, &mut Turn::default(), app.clock.now(), 4).await.unwrap()
    };
    let (first, second) = (claim(&database.store).await, claim(&other).await);
    assert_eq!((first.len(), second.len()), (4, 2));
    let ids: Vec<_> = first.iter().chain(&second).map(|message| message.id).collect();
    assert!(ids.is_sorted(), "the oldest first: {ids:?}");
    assert!(claim(&other).await.is_empty());
    // Messages that an earlier release wrote have no medium: they count as e-mails.
    sqlx::query("update outbox set medium = null, sending = false, next_at = now() - interval '1 second'")
        .execute(database.sql())
        .await
        .unwrap();
    assert_eq!(claim(&other).await.len(), 4);
    assert!(first.iter().all(|message| message.user_pool_id.as_str() == pool));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_costs_the_same_however_many_messages_wait() {
    let database = Database::create().await;
    let app = commands::app(database.store.clone());
    let phone = v1::CreateUserPoolRequest {
        auto_verified_attributes: vec!["phone_number".to_owned()],
        ..commands::pool_request()
    };
    let (loud, other) = (pool(&app).await.0, commands::create_pool(&app, phone).await.unwrap());
    // Messages that are due, that wait for another attempt, and of the other medium, which nobody claims.
    flood(&database, &loud, "EMAIL", 50_000, "2020-01-01").await;
    flood(&database, &other, "EMAIL", 30_000, "2100-01-01").await;
    flood(&database, &other, "SMS", 20_000, "2020-01-01").await;
    // One connection, so that its statistics show everything that it read.
    let url = &database.url;
    let single = userpool::store::connect(url, 1, userpool::store::ConnectionRole::Api).await.unwrap();
    let store = Store::new(single, Arc::new(master_keys()));
    let mut turn = Turn::default();
    // After a few runs, Postgres uses a generic plan.
    for round in 0..8 {
        let before = touched(&store).await;
        store.claim_messages(Medium::Email, &mut turn, app.clock.now(), 8).await.unwrap();
        let cost = touched(&store).await - before;
        assert!(cost < 200, "round {round}: {cost} rows of the outbox were looked at");
    }
}

/// How many rows of the outbox were read, by any access path.
async fn touched(store: &Store) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()").execute(store.database()).await.unwrap();
    sqlx::query("select pg_stat_clear_snapshot()").execute(store.database()).await.unwrap();
    let row = sqlx::query(
        "select (select seq_tup_read from pg_stat_user_tables where relname = 'outbox')::bigint
            + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'outbox')::bigint as touched",
    );
    row.fetch_one(store.database()).await.unwrap().get("touched")
}

//! Connections that are kept for the next statement: what becomes of them when the server ends them, and who waits for one.

use std::sync::Arc;
use std::time::Duration;

use userpool::store::read::{Snapshot, Wanted};
use userpool::store::{self, Store};

use super::{Database, Pool, master_keys, signed_out};

const SOON: Duration = Duration::from_secs(3);

/// A store of so many connections.
async fn small_store(database: &Database, connections: u32) -> Store {
    let pool = store::connect(&database.url, connections, store::ConnectionRole::Api).await.expect("a connection");
    Store::new(pool, Arc::new(master_keys()))
}

async fn read(pool: &Pool) -> Snapshot {
    let wanted = Wanted { name: Some("jane"), groups: true, ..Wanted::default() };
    pool.store.read(&pool.id, None, wanted).await.expect("a read")
}

async fn read_at_once(pool: &Pool, many: usize) {
    let reads = futures::future::join_all((0..many).map(|_| read(pool)));
    let found = tokio::time::timeout(SOON, reads).await.expect("all reads come to their end");
    assert!(found.iter().all(|found| found.user.is_some()));
}

/// Ends all connections to the database but one, as a server does that restarts.
async fn end_all(database: &Database) {
    let another = database.another_store(None).await;
    let ended: i64 = sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .fetch_one(another.database())
    .await
    .unwrap();
    assert!(ended > 0, "there was a connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_when_the_server_has_ended_all_connections() {
    let database = Database::create().await;
    let pool = Pool::create(&small_store(&database, 8).await).await;
    let user = pool.user("jane").await.unwrap();
    for many in [1, 16, 16, 3] {
        read_at_once(&pool, 16).await;
        end_all(&database).await;
        read_at_once(&pool, many).await;
    }
    // What the reads found dead is not there for a commit any more.
    pool.store.commit(pool.commit().user(&user, vec![signed_out(2)])).await.expect("a commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_reads_than_connections_all_have_their_turn() {
    let database = Database::create().await;
    for connections in [1, 2, 3] {
        let pool = Pool::create(&small_store(&database, connections).await).await;
        pool.user("jane").await.unwrap();
        let readers = (0..12).map(|_| async {
            for _ in 0..20 {
                tokio::time::timeout(SOON, read(&pool)).await.expect("a turn");
            }
        });
        futures::future::join_all(readers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_has_the_connection_that_was_kept() {
    let database = Database::create().await;
    let pool = Pool::create(&small_store(&database, 2).await).await;
    let user = pool.user("jane").await.unwrap();
    read_at_once(&pool, 2).await;
    let long = pool.store.database().begin().await.unwrap();
    read(&pool).await;
    let commit = pool.store.commit(pool.commit().user(&user, vec![signed_out(2)]));
    tokio::time::timeout(SOON, commit).await.expect("there is a connection").expect("a commit");
    drop(long);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_closed_ends_the_connections_that_it_kept() {
    let database = Database::create().await;
    let pool = Pool::create(&small_store(&database, 4).await).await;
    pool.user("jane").await.unwrap();
    read_at_once(&pool, 4).await;
    tokio::time::timeout(SOON, pool.store.close()).await.expect("it closes");
    assert_eq!(pool.store.database().size(), 0);
    pool.store.read(&pool.id, None, Wanted::default()).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_failed_leaves_a_connection_that_works() {
    let database = Database::create().await;
    let pool = Pool::create(&small_store(&database, 2).await).await;
    pool.user("jane").await.unwrap();
    read(&pool).await;
    let mut writer = database.sql().begin().await.unwrap();
    sqlx::query("lock table users in access exclusive mode").execute(&mut *writer).await.unwrap();
    let wanted = || Wanted { name: Some("jane"), ..Wanted::default() };
    pool.store.read(&pool.id, None, wanted()).await.expect_err("the lock is not to be had in time");
    // One whose caller goes away in the middle of it.
    tokio::time::timeout(Duration::from_millis(50), pool.store.read(&pool.id, None, wanted())).await.unwrap_err();
    writer.rollback().await.unwrap();
    read_at_once(&pool, 4).await;
}

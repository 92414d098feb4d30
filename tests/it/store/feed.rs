//! The feed under writers: nothing is missed, nothing comes twice, every stream is in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use userpool::domain::ids::UserPoolId;
use userpool::store::Store;
use userpool::store::feed::{Cursor, FeedRow, Log};
use userpool::store::writers::OldestWriter;

use super::{Commits, Database, Happens, Pool, begin, cluster, signed_out};
use crate::support::client::eventually;

const WRITERS: usize = 16;
const COMMITS_EACH: i64 = 40;
const LONGEST: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_sixteen_writers_with_rollbacks_misses_nothing_and_keeps_the_order_of_streams() {
    let database = Database::create().await;
    let pool = Arc::new(Pool::create(&database.store).await);
    let reader = tokio::spawn(read_all(database.store.clone(), WRITERS * (COMMITS_EACH as usize + 1) + 1));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(pool.clone(), database.url.clone(), writer));
    }
    while let Some(finished) = writers.join_next().await {
        finished.expect("a writer finishes");
    }
    let seen = tokio::time::timeout(LONGEST, reader).await.expect("no event is missed").expect("the reader reads");

    let written: i64 = sqlx::query_scalar("select count(*) from log").fetch_one(database.sql()).await.unwrap();
    let ids: BTreeSet<_> = seen.iter().map(|row| row.event_id).collect();
    assert_eq!(ids.len(), seen.len(), "no event comes twice");
    assert_eq!(seen.len() as i64, written, "no event is missed");
    assert_eq!(written, WRITERS as i64 * (COMMITS_EACH + 1) + 1, "the pool, and each user's stream");
    let mut last: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for row in &seen {
        let before = last.insert(row.stream_id.clone(), row.stream_version);
        assert_eq!(row.stream_version, Some(before.flatten().unwrap_or(0) + 1), "{} is in order", row.stream_id);
    }
}

/// Appends to a stream of its own; between commits it rolls something back, or begins a transaction that it ends later.
async fn write(pool: Arc<Pool>, url: String, writer: usize) {
    let mut user = pool.user(&format!("writer-{writer}")).await.expect("a user");
    let mut rolled_back = PgConnection::connect(&url).await.expect("a connection");
    for generation in 0..COMMITS_EACH {
        let mut abandoned = begin(&mut rolled_back).await;
        sqlx::query("insert into names (user_pool_id, name, sub) values ('nowhere', $1, gen_random_uuid())")
            .bind(format!("{writer}-{generation}"))
            .execute(&mut *abandoned)
            .await
            .expect("a write that is given up");
        pool.store.commit(pool.commit().happened(&user, vec![signed_out(generation + 2)])).await.expect("a commit");
        user.version += 1;
        abandoned.rollback().await.expect("a rollback");
    }
}

/// Reads beside the writers in small batches until it has this many events. A skipped event would never come.
async fn read_all(store: Store, count: usize) -> Vec<FeedRow> {
    let (mut seen, mut cursor) = (Vec::new(), Cursor::start());
    while seen.len() < count {
        let rows = store.feed(Log::Directory, &cursor, 7).await.expect("the feed");
        match rows.last() {
            Some(last) => cursor = last.cursor.clone(),
            None => tokio::task::yield_now().await,
        }
        seen.extend(rows);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writing_transaction_elsewhere_holds_the_feed_up_and_is_named() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let seen = async || database.store.feed(Log::Directory, &Cursor::start(), 10).await.unwrap().len();
    // Transactions of other tests in this cluster also hold up the pool for a moment.
    assert!(eventually(async || seen().await == 1).await, "the pool is seen");
    let mut foreign = PgConnection::connect(&cluster().url("postgres")).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut foreign).await.unwrap();
    let mut transaction = begin(&mut foreign).await;
    sqlx::query("select pg_current_xact_id()").execute(&mut *transaction).await.unwrap();
    pool.user("late").await.unwrap();
    assert_eq!(seen().await, 1);
    // Other tests write in this cluster too, but none for as long as this transaction stays open.
    let named = async |store: &Store| {
        let is_it = async || {
            let oldest = store.oldest_writer().await.unwrap();
            matches!(oldest, OldestWriter::Known { whose, .. } if whose == format!("process {pid}"))
        };
        assert!(eventually(is_it).await, "the transaction is named");
    };
    named(&database.store).await;

    // An account that may not see other sessions says so, instead of saying that there is none.
    for statement in ["create role blind login password 'blind'", "alter role blind noinherit"] {
        sqlx::query(statement).execute(database.sql()).await.unwrap();
    }
    let blind = database.store_of("blind").await;
    assert!(!blind.sees_all_writers().await.unwrap());
    assert_eq!(blind.oldest_writer().await.unwrap(), OldestWriter::Unknown);
    for statement in ["alter role blind inherit", "grant pg_read_all_stats to blind"] {
        sqlx::query(statement).execute(database.sql()).await.unwrap();
    }
    named(&database.store_of("blind").await).await;
    transaction.rollback().await.unwrap();
    assert!(eventually(async || seen().await == 2).await, "the feed goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_the_server_asks_for_a_new_epoch_and_then_everything_is_read() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    pool.user("before").await.unwrap();
    // Rows from another cluster have transaction ids without meaning here: far ahead of this one's.
    sqlx::query("alter table log disable trigger all").execute(database.sql()).await.unwrap();
    sqlx::query("update log set tx = (900000000000 + length(stream_id))::text::xid8")
        .execute(database.sql())
        .await
        .unwrap();
    sqlx::query("alter table log enable trigger all").execute(database.sql()).await.unwrap();
    sqlx::query("update meta set system_identifier = 'another'").execute(database.sql()).await.unwrap();

    let refusal = database.store.check_fitness().await.unwrap_err();
    assert!(refusal.to_string().contains("userpool log new-epoch"), "{refusal}");
    assert_eq!(database.store.new_epoch().await.unwrap(), 2);
    database.store.check_fitness().await.unwrap();
    pool.user("after").await.unwrap();
    let both = async {
        loop {
            let rows = database.store.feed(Log::Directory, &Cursor::start(), 10).await.unwrap();
            if rows.len() == 3 {
                return rows.iter().map(|row| row.cursor.epoch).collect::<Vec<_>>();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::time::timeout(LONGEST, both).await.expect("all are read"), [1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_move_only_under_the_lease_that_is_held() {
    let database = Database::create().await;
    let store = &database.store;
    let long = Duration::from_secs(60);
    let first = store.lease("relay", "one", long).await.unwrap().expect("nobody has it");
    assert!(store.lease("relay", "two", long).await.unwrap().is_none());
    assert_eq!(store.lease("relay", "one", long).await.unwrap().expect("renewed"), first);
    let cursor = Cursor { epoch: 1, tx: "5".to_owned(), ord: 0, at: pool_time() };
    assert!(store.move_checkpoints(&first, &[("reader".to_owned(), cursor.clone())], &[]).await.unwrap());
    assert_eq!(store.checkpoint("reader").await.unwrap(), cursor);

    store.release_lease(&first).await.unwrap();
    let second = store.lease("relay", "two", long).await.unwrap().expect("given up");
    assert!(second.token > first.token);
    let further = Cursor { tx: "9".to_owned(), ..cursor.clone() };
    assert!(
        !store.move_checkpoints(&first, &[("reader".to_owned(), further.clone())], &[]).await.unwrap(),
        "a predecessor is fenced"
    );
    assert_eq!(store.checkpoint("reader").await.unwrap(), cursor);
    assert!(store.move_checkpoints(&second, &[("reader".to_owned(), further.clone())], &[]).await.unwrap());
    assert_eq!(store.checkpoint("reader").await.unwrap(), further);
}

fn pool_time() -> userpool::domain::time::Timestamp {
    userpool::domain::time::Timestamp(1_700_000_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_months_partition_is_made_ahead_and_an_old_one_dropped() {
    let database = Database::create().await;
    let store = &database.store;
    let january = userpool::domain::time::Timestamp(1_768_435_200_000);
    store.make_partitions(january).await.unwrap();
    let partitions = || async {
        sqlx::query_scalar::<_, String>(
            "select relname::text from pg_class where relname like 'activity_20%' and relkind = 'r' order by 1",
        )
        .fetch_all(database.sql())
        .await
        .unwrap()
    };
    let made = partitions().await;
    assert!(made.contains(&"activity_2026_01".to_owned()) && made.contains(&"activity_2026_02".to_owned()), "{made:?}");
    let two_years_later = january.plus_seconds(2 * 365 * 24 * 60 * 60 + 31 * 24 * 60 * 60);
    let dropped = store.drop_old_partitions(two_years_later, 24).await.unwrap();
    assert_eq!(dropped, ["activity_2026_01"]);
    assert!(!partitions().await.contains(&"activity_2026_01".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn backwards_the_feed_has_the_same_rows_the_newest_first_a_page_at_a_time() {
    let database = Database::create().await;
    let (one, other) = (Pool::create(&database.store).await, Pool::create(&database.store).await);
    for index in 0..5 {
        one.user(&format!("user-{index}")).await.unwrap();
        other.user(&format!("user-{index}")).await.unwrap();
    }
    let mut forwards = read_all(database.store.clone(), 12).await;
    forwards.reverse();
    for pool in [None, Some(&one.id), Some(&other.id)] {
        let is_wanted = |row: &&FeedRow| pool.is_none_or(|pool| pool.as_str() == row.user_pool_id);
        let expected: Vec<_> = forwards.iter().filter(is_wanted).map(|row| row.event_id).collect();
        let (mut seen, mut before) = (Vec::new(), Cursor::end());
        loop {
            let page = database.store.feed_backwards(Log::Directory, &before, pool, 4).await.unwrap();
            assert!(page.len() <= 4);
            let Some(last) = page.last() else { break };
            before = last.cursor.clone();
            seen.extend(page.iter().map(|row| row.event_id));
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_told_apart() {
    let database = Database::create().await;
    let (one, other) = (Pool::create(&database.store).await, Pool::create(&database.store).await);
    one.user("same").await.unwrap();
    other.user("same").await.unwrap();
    let names: Vec<String> = sqlx::query_scalar("select user_pool_id from names where name = 'same'")
        .fetch_all(database.sql())
        .await
        .unwrap();
    let found: BTreeSet<_> = names.into_iter().map(UserPoolId::new).collect();
    assert_eq!(found, [one.id.clone(), other.id.clone()].into());
}

//! The five orders in which a transaction can load, claim and append, and what the feed makes of each.
//!
//! Raw SQL shows why the first three are forbidden; the commit is shown to keep out of them.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use userpool::store::feed::{Cursor, Log};

use super::{Commits, Database, Happens, Pool, signed_out};

const APPEND: &str = "insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
    select 'pool', $1, $2, gen_random_uuid(), 'test', 1, '{}', '{}', now(), 1, count(*) from log where tx = pg_current_xact_id()";
const LOAD: &str = "select coalesce(max(stream_version), 0) from log where user_pool_id = 'pool' and stream_id = $1";
const CLAIM: &str = "insert into names (user_pool_id, name, sub) values ('pool', $1, gen_random_uuid())";

struct Writer(PgConnection);

impl Writer {
    async fn begin(database: &Database) -> Self {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        sqlx::query("begin").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    async fn load(&mut self, stream: &str) -> i64 {
        sqlx::query_scalar(LOAD).bind(stream).fetch_one(&mut self.0).await.unwrap()
    }

    async fn claim(&mut self, name: &str) {
        sqlx::query(CLAIM).bind(name).execute(&mut self.0).await.unwrap();
    }

    async fn append(&mut self, stream: &str, version: i64) -> Result<(), sqlx::Error> {
        sqlx::query(APPEND).bind(stream).bind(version).execute(&mut self.0).await.map(drop)
    }

    async fn run(&mut self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.0).await.unwrap();
    }
}

/// The versions in the order of the feed, once it shows this many: writers of other tests hold it up for a moment.
async fn feed_versions<const COUNT: usize>(database: &Database) -> [i64; COUNT] {
    let complete = async {
        loop {
            let rows = database.store.feed(Log::Directory, &Cursor::start(), 100).await.unwrap();
            let versions: Vec<_> = rows.iter().filter_map(|row| row.stream_version).collect();
            match <[i64; COUNT]>::try_from(versions) {
                Ok(versions) => return versions,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), complete).await.expect("the feed shows what was committed")
}

fn sqlstate(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn claiming_before_loading_turns_a_stream_round_in_the_feed() {
    let database = Database::create().await;
    let mut first = Writer::begin(&database).await;
    first.append("s", 1).await.unwrap();
    first.run("commit").await;
    let mut early = Writer::begin(&database).await;
    early.claim("name").await;
    let mut late = Writer::begin(&database).await;
    assert_eq!(late.load("s").await, 1);
    late.append("s", 2).await.unwrap();
    late.run("commit").await;
    assert_eq!(early.load("s").await, 2);
    early.append("s", 3).await.unwrap();
    early.run("commit").await;
    assert_eq!(feed_versions(&database).await, [1, 3, 2], "the reason why nothing is loaded after the first write");
}

#[tokio::test(flavor = "multi_thread")]
async fn trying_again_within_a_savepoint_turns_a_stream_round_in_the_feed() {
    let database = Database::create().await;
    let mut early = Writer::begin(&database).await;
    assert_eq!(early.load("s").await, 0);
    early.run("savepoint before_append").await;
    early.claim("name").await;
    let mut late = Writer::begin(&database).await;
    late.append("s", 1).await.unwrap();
    late.run("commit").await;
    let collision = early.append("s", 1).await.unwrap_err();
    assert_eq!(sqlstate(&collision), "23505");
    early.run("rollback to savepoint before_append").await;
    let next = early.load("s").await + 1;
    early.append("s", next).await.unwrap();
    early.run("commit").await;
    assert_eq!(feed_versions(&database).await, [2, 1], "the reason why a try again is a new transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_streams_in_opposite_order_deadlock_in_sql() {
    let database = Database::create().await;
    let (mut one, mut other) = (Writer::begin(&database).await, Writer::begin(&database).await);
    one.append("a", 1).await.unwrap();
    other.append("b", 1).await.unwrap();
    let (first, second) = tokio::join!(one.append("b", 1), other.append("a", 1));
    let failed: Vec<_> =
        [&first, &second].into_iter().filter_map(|result| result.as_ref().err()).map(sqlstate).collect();
    assert_eq!(failed, ["40P01"], "the reason why a commit sorts its streams");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_over_two_streams_in_any_order_never_deadlock() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let (one, other) = (pool.user("one").await.unwrap(), pool.user("other").await.unwrap());
    let deadlocks_before = deadlocks(&database).await;
    let commits = (0..60).map(|index| {
        let commit = if index % 2 == 0 {
            pool.commit().other_user(&one, vec![signed_out(2)]).happened(&other, vec![signed_out(2)])
        } else {
            pool.commit().other_user(&other, vec![signed_out(2)]).happened(&one, vec![signed_out(2)])
        };
        database.store.commit(commit)
    });
    let results = futures::future::join_all(commits).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "all were decided from the same versions");
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|error| error.is_collision()));
    assert_eq!(deadlocks(&database).await, deadlocks_before);
}

async fn deadlocks(database: &Database) -> i64 {
    sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
        .fetch_one(database.sql())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_before_the_first_write_collides_on_the_key_and_is_safe() {
    let database = Database::create().await;
    let mut early = Writer::begin(&database).await;
    let loaded = early.load("s").await;
    early.claim("name").await;
    let mut late = Writer::begin(&database).await;
    late.append("s", 1).await.unwrap();
    late.run("commit").await;
    let collision = early.append("s", loaded + 1).await.unwrap_err();
    assert_eq!(sqlstate(&collision), "23505");
    early.run("rollback").await;
    assert_eq!(feed_versions(&database).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_stream_may_be_appended_at_any_point() {
    let database = Database::create().await;
    let mut early = Writer::begin(&database).await;
    early.claim("name").await;
    let mut late = Writer::begin(&database).await;
    late.append("other", 1).await.unwrap();
    late.run("commit").await;
    early.append("new", 1).await.unwrap();
    early.run("commit").await;
    assert_eq!(feed_versions(&database).await, [1, 1]);
}

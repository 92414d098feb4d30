//! `log rebuild`: broken read models are restored, and commands that run meanwhile are not lost.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use sqlx::{Connection, PgConnection};
use userpool::store::models::Model;
use userpool::store::models::tables::{Owner, owners};
use userpool::store::rebuild::RebuildError;

use super::crash::{Content, content};
use super::{Commits, Database, Happens, Pool, begin, deleted, master_keys_text, signed_out};

/// The content of the tables that a rebuild writes anew.
async fn read_models(database: &Database) -> Content {
    content(database, &Model::in_reading_order()).await
}

/// The content of all other tables.
async fn others(database: &Database) -> Content {
    let others = owners().filter(|(_, owner)| !matches!(owner, Owner::Aggregate(_)));
    content(database, &others.map(|(table, _)| table).collect::<Vec<_>>()).await
}

async fn run(database: &Database, statements: &[&'static str]) {
    for statement in statements {
        sqlx::query(*statement).execute(database.sql()).await.unwrap();
    }
}

/// The catalogue's description of the tables: columns, indexes, constraints, owners and privileges.
async fn catalogue(database: &Database) -> Vec<String> {
    let of_each = "
        select 'index ' || indexdef from pg_indexes where schemaname = 'public' and tablename = any($1)
        union all
        select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint
        where conrelid::regclass::text = any($1)
        union all
        select format('table %s of %s: %s', oid::regclass, relowner::regrole, relacl) from pg_class where oid::regclass::text = any($1)
        union all
        select format('column %s.%s %s %s %s', attrelid::regclass, attname, atttypid::regtype, attnotnull, attcollation)
        from pg_attribute where attrelid::regclass::text = any($1) and attnum > 0
        order by 1";
    sqlx::query_scalar(of_each).bind(Model::in_reading_order()).fetch_all(database.sql()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_read_models_come_back_and_nothing_else_changes() {
    let database = Database::create().await;
    run(
        &database,
        &[
            "drop role if exists reader_of_read_models",
            "create role reader_of_read_models",
            "grant select on users to reader_of_read_models with grant option",
            "grant insert on names to public",
        ],
    )
    .await;
    let (pool, gone) = (Pool::create(&database.store).await, Pool::create(&database.store).await);
    let jane = pool.user("jane").await.unwrap();
    let erased = pool.user("erased").await.unwrap();
    pool.user("john").await.unwrap();
    gone.user("somebody").await.unwrap();
    database.store.commit(pool.commit().happened(&jane, vec![signed_out(2)])).await.unwrap();
    database.store.commit(pool.commit().happened(&erased, vec![deleted()])).await.unwrap();
    let good = read_models(&database).await;
    gone.delete().await;
    let (operational, tables) = (others(&database).await, catalogue(&database).await);

    run(&database, &[
        "update users set state = jsonb_set(state, '{enabled}', 'false'), version = 7",
        "delete from users where ctid = (select max(ctid) from users)",
        "delete from names where name in ('jane', 'john')",
        "insert into names (user_pool_id, name, sub) select user_pool_id, 'nobody', gen_random_uuid() from names limit 1",
        "delete from pools",
        "insert into client_directory values ('client', 'nowhere')",
    ]).await;
    assert!(!database.store.verify(None).await.unwrap().differences.is_empty());

    let rebuilt = database.another_store(None).await.rebuild().await.unwrap();
    assert_eq!(rebuilt.streams, 4, "a pool and three users");
    database.assert_verified().await;
    assert_eq!(others(&database).await, operational, "operational tables stay");
    assert_eq!(catalogue(&database).await, tables, "the tables have the same names, indexes and privileges");
    let rebuilt = read_models(&database).await;
    assert_eq!(rebuilt["client_directory"], good["client_directory"]);
    assert_eq!((rebuilt["users"].0, rebuilt["pools"].0), (2, 1), "the deleted pool has nothing any more");
    // Statements that were prepared on the old tables find the new ones.
    assert!(pool.user("john").await.is_err(), "the name is claimed");
    pool.user("joan").await.unwrap();
    database.assert_verified().await;
    run(&database, &["drop owned by reader_of_read_models", "drop role reader_of_read_models"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_run_meanwhile_are_neither_lost_nor_refused() {
    let database = Database::create().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (pool, doomed) = (Pool::create(&database.store).await, Pool::create(&database.store).await);
    for index in 0..300 {
        pool.user(&format!("early-{index}")).await.unwrap();
    }
    doomed.user("doomed").await.unwrap();
    let pool = Arc::new(pool);
    let writers: Vec<_> = (0..6).map(|writer| tokio::spawn(write(pool.clone(), writer, stop.clone()))).collect();
    let store = database.another_store(None).await;
    let first = store.rebuild().await.unwrap();
    assert!(first.streams > 300);
    doomed.delete().await;
    let mut caught_up = first.caught_up;
    for _ in 0..4 {
        caught_up += store.rebuild().await.unwrap().caught_up;
    }
    stop.store(true, Ordering::Relaxed);
    let mut commits = 0;
    for writer in writers {
        commits += writer.await.expect("no commit is refused");
    }
    assert!(caught_up > 0, "something went on meanwhile");
    let written: i64 = sqlx::query_scalar("select count(*) from log where stream_id like 'users/%'")
        .fetch_one(database.sql())
        .await
        .unwrap();
    assert_eq!(written, 300 + 1 + commits);
    database.assert_verified().await;
}

/// Signs users up, signs them out and deletes every other one, until it is stopped. Returns the number of events.
async fn write(pool: Arc<Pool>, writer: usize, stop: Arc<AtomicBool>) -> i64 {
    let mut commits = 0;
    while !stop.load(Ordering::Relaxed) {
        // Reuses the name of a deleted user.
        let mut user = pool.user(&format!("writer-{writer}-{}", commits / 6)).await.expect("a user");
        pool.store.commit(pool.commit().happened(&user, vec![signed_out(2)])).await.expect("a commit");
        user.version += 1;
        commits += 2;
        if commits % 6 != 0 {
            pool.store.commit(pool.commit().happened(&user, vec![deleted()])).await.expect("a commit");
            commits += 1;
        } else {
            pool.store.commit(pool.commit().happened(&user, vec![signed_out(3)])).await.expect("a commit");
            commits += 1;
        }
    }
    commits
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_delays_the_swap_and_a_second_rebuild_is_refused() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    let mut reader = PgConnection::connect(&database.url).await.unwrap();
    let mut long = begin(&mut reader).await;
    sqlx::query("select from users").execute(&mut *long).await.unwrap();
    let store = database.another_store(None).await;
    let rebuild = tokio::spawn(async move { store.rebuild().await });
    let waits = async {
        loop {
            let waits: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
            )
            .fetch_one(database.sql())
            .await
            .unwrap();
            if waits {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waits).await.expect("the swap waits");
    let second = database.another_store(None).await.rebuild().await;
    assert!(matches!(second, Err(RebuildError::Running)), "{second:?}");
    database.store.commit(pool.commit().happened(&user, vec![signed_out(2)])).await.expect("commands go on");
    long.rollback().await.unwrap();
    assert!(rebuild.await.unwrap().unwrap().caught_up >= 1);
    database.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_rebuilds() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    pool.user("jane").await.unwrap();
    run(&database, &["delete from users", "delete from names"]).await;
    let mut keys = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut keys, master_keys_text().as_bytes()).unwrap();
    let arguments = ["userpool", "log", "--database-url", &database.url, "--master-keys-file"].map(OsString::from);
    let arguments = arguments.into_iter().chain([keys.path().into(), "rebuild".into()]);
    let command = userpool::cli::Cli::try_parse_from(arguments).unwrap();
    userpool::cli::run(command).await.unwrap();
    database.assert_verified().await;
}

//! Connections that are kept for the next statement: what becomes of them when the server ends them or when callers go
//! away in the middle of their work, and how callers wait for one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use userpool::domain::error::Exception;
use userpool::store::read::{Snapshot, Wanted};
use userpool::store::{self, Store};

use super::commands::{self, app};
use super::proxy::Proxy;
use super::{Commits, Database, Happens, Pool, begin, master_keys, signed_out};

const SOON: Duration = Duration::from_secs(3);

/// A store with this many connections.
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

/// Ends all connections to the database but one, like a server that restarts.
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
    // Connections that the reads found dead are not used for a commit.
    pool.store.commit(pool.commit().happened(&user, vec![signed_out(2)])).await.expect("a commit");
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
    let long = begin(pool.store.database()).await;
    read(&pool).await;
    let commit = pool.store.commit(pool.commit().happened(&user, vec![signed_out(2)]));
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
    let mut writer = begin(database.sql()).await;
    sqlx::query("lock table users in access exclusive mode").execute(&mut *writer).await.unwrap();
    let wanted = || Wanted { name: Some("jane"), ..Wanted::default() };
    pool.store.read(&pool.id, None, wanted()).await.expect_err("the lock is not to be had in time");
    // A connection whose caller goes away in the middle of a statement.
    tokio::time::timeout(Duration::from_millis(50), pool.store.read(&pool.id, None, wanted())).await.unwrap_err();
    writer.rollback().await.unwrap();
    read_at_once(&pool, 4).await;
}

/// How many callers call at the same time.
const CALLERS: usize = 12;
/// How many times the connections are cut for a while.
const ROUNDS: u64 = 10;
/// How many times all connections are cut in one such phase, also those that are still being made.
const CUTS: u64 = 12;

/// What callers were answered since the last look.
#[derive(Default)]
struct Told {
    refusals: Mutex<BTreeMap<&'static str, usize>>,
    right: AtomicUsize,
    /// When a call last failed, or got another call's answer.
    last_wrong: Mutex<Option<Instant>>,
    done: AtomicBool,
}

impl Told {
    fn count(&self, answer: Result<bool, Exception>) {
        let wrong = match answer {
            Ok(true) => {
                self.right.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Ok(false) => "an answer to another question",
            Err(exception) => exception.name(),
        };
        *self.refusals.lock().unwrap().entry(wrong).or_default() += 1;
        *self.last_wrong.lock().unwrap() = Some(Instant::now());
    }

    fn last_wrong_after(&self, moment: Instant) -> Duration {
        self.last_wrong.lock().unwrap().map_or(Duration::ZERO, |last| last.saturating_duration_since(moment))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_a_moment_after_all_connections_were_cut_again_and_again() {
    let database = Database::create().await;
    let proxy = Proxy::start(database.address()).await;
    let (direct, proxied) = (app(database.store.clone()), app(database.another_store(Some(proxy.address)).await));
    let client = {
        let pool = commands::create_pool(&direct, commands::pool_request()).await.unwrap();
        commands::create_client(&direct, &pool).await.unwrap()
    };
    let (stop, told) = (CancellationToken::new(), Arc::new(Told::default()));
    // Both replicas listen to each other, as servers do.
    let wakes =
        [&direct, &proxied].map(|app| tokio::spawn(app.store.wake().clone().run(app.store.clone(), stop.clone())));
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let name = format!("jane-{number}");
        let email = format!("{name}@example.com");
        let sub = commands::sign_up(&direct, &client, &name, &email).await.unwrap();
        let code = commands::sent_codes(&direct).await.pop().expect("a code").1;
        commands::confirm(&direct, &client, &name, &code, false).await.unwrap();
        let (direct, proxied, client, told) = (direct.clone(), proxied.clone(), client.clone(), told.clone());
        callers.push(tokio::spawn(async move {
            let token = commands::sign_in(&direct, &client, &name, commands::PASSWORD).await.unwrap().access;
            while !told.done.load(Ordering::SeqCst) {
                told.count(commands::sub_of(&proxied, &token).await.map(|found| found == sub));
                told.count(commands::sign_in(&proxied, &client, &name, commands::PASSWORD).await.map(|_| true));
                // The listening connection hears of the other replica's commits.
                commands::sign_in(&direct, &client, &name, commands::PASSWORD).await.unwrap();
            }
        }));
    }
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let before = told.right.load(Ordering::SeqCst);
        crate::support::client::eventually(async || told.right.load(Ordering::SeqCst) >= before + 4 * CALLERS).await;
        for cut in 0..CUTS {
            proxy.cut_all();
            tokio::time::sleep(Duration::from_millis((round * 5 + cut * 7) % 40)).await;
        }
        let cut = Instant::now();
        tokio::time::sleep(Duration::from_millis(700)).await;
        longest = longest.max(told.last_wrong_after(cut));
    }
    let last = told.right.load(Ordering::SeqCst);
    assert!(crate::support::client::eventually(async || told.right.load(Ordering::SeqCst) > last + CALLERS).await);
    told.done.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    stop.cancel();
    futures::future::join_all(wakes).await;
    let refusals = told.refusals.lock().unwrap().clone();
    println!("{refusals:?}, the last of them {longest:?} after its cut, {} right", told.right.load(Ordering::SeqCst));
    let only: Vec<_> = refusals.keys().filter(|name| **name != "ServiceUnavailableException").collect();
    assert!(only.is_empty(), "{refusals:?}");
    assert!(longest < Duration::from_millis(600), "{longest:?}: {refusals:?}");
    database.assert_verified().await;
}

/// A listening connection receives notifications, which a call would not understand.
#[tokio::test(flavor = "multi_thread")]
async fn the_listener_has_a_connection_that_no_call_ever_gets() {
    let database = Database::create().await;
    let pool = Pool::create(&small_store(&database, 1).await).await;
    pool.user("jane").await.unwrap();
    let stop = CancellationToken::new();
    let waking = tokio::spawn(pool.store.wake().clone().run(pool.store.clone(), stop.clone()));
    let listens = async || {
        let listening: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'",
        )
        .fetch_one(database.sql())
        .await
        .unwrap();
        listening == 1
    };
    assert!(crate::support::client::eventually(listens).await, "somebody listens");
    for _ in 0..3 {
        // Calls get the only connection of the pool.
        read_at_once(&pool, 4).await;
        let channels: i64 = sqlx::query_scalar("select count(*) from pg_listening_channels()")
            .fetch_one(pool.store.database())
            .await
            .expect("the pool has its connection");
        assert_eq!(channels, 0);
    }
    stop.cancel();
    tokio::time::timeout(SOON, waking).await.expect("it ends").unwrap();
}

/// How many leases other processes see: whether a write that was answered is really there.
async fn leases(database: &Database) -> i64 {
    sqlx::query_scalar("select count(*) from leases where name like 'test-%'").fetch_one(database.sql()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_while_a_transaction_begins_leaves_none_behind() {
    let database = Database::create().await;
    let store = small_store(&database, 1).await;
    let held = store.lease("held", "test", Duration::from_secs(60)).await.unwrap().expect("a lease");
    for number in 1..=20 {
        let mut moving = Box::pin(store.move_checkpoints(&held, &[], &[]));
        // As far as the network and no further.
        for _ in 0..number % 4 + 1 {
            if futures::poll!(&mut moving).is_ready() {
                break;
            }
        }
        drop(moving);
        let name = format!("test-{number}");
        let lease = store.lease(&name, "test", Duration::from_secs(60));
        tokio::time::timeout(SOON, lease).await.expect("a connection").unwrap().expect("a lease");
        assert_eq!(leases(&database).await, number, "what was answered is there for all");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_hang_up_at_any_moment_leave_connections_that_answer_the_next_one() {
    let database = Database::create().await;
    let app = app(small_store(&database, 4).await);
    let client = {
        let pool = commands::create_pool(&app, commands::pool_request()).await.unwrap();
        commands::create_client(&app, &pool).await.unwrap()
    };
    let mut users = Vec::new();
    for number in 0..4 {
        let name = format!("jane-{number}");
        let sub = commands::sign_up(&app, &client, &name, &format!("{name}@example.com")).await.unwrap();
        let code = commands::sent_codes(&app).await.pop().expect("a code").1;
        commands::confirm(&app, &client, &name, &code, false).await.unwrap();
        let token = commands::sign_in(&app, &client, &name, commands::PASSWORD).await.unwrap().access;
        users.push((name, sub, token));
    }
    let calls = users.iter().enumerate().map(|(index, (name, sub, token))| {
        let (app, client) = (&app, &client);
        async move {
            for round in 0..150_u64 {
                // From no time at all to longer than the answer takes.
                let patience = Duration::from_micros((round * 97 + index as u64 * 31) % 6_000);
                let _ = tokio::time::timeout(patience, commands::sub_of(app, token)).await;
                let _ = tokio::time::timeout(patience, commands::sign_in(app, client, name, commands::PASSWORD)).await;
                let _ = tokio::time::timeout(patience, commands::resend(app, client, name)).await;
                if round % 10 == 0 {
                    assert_eq!(commands::sub_of(app, token).await.as_ref(), Ok(sub));
                    commands::sign_in(app, client, name, commands::PASSWORD).await.unwrap();
                }
            }
        }
    });
    futures::future::join_all(calls).await;
    database.settled().await;
    database.assert_verified().await;
}

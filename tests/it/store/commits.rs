//! Commits: all or nothing, collisions told apart, erasure, and the outcome of a commit whose answer is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use userpool::domain::auth::session::Nonce;
use userpool::domain::decision::Decision;
use userpool::domain::error::Error;
use userpool::domain::ids::Sub;
use userpool::proto::events::user_event::Event;
use userpool::proto::events::{UserSignInRefused, UserSignedUp, user_activity};
use userpool::store::commit::{NewUser, OperationalRow, Settlement};
use userpool::store::error::{Failure, StoreError};
use userpool::store::event_size::LARGEST_EVENT;
use userpool::store::loaded::LoadedUser;
use userpool::store::{self, Store};

use super::{Commits, Database, Happens, Pool, deleted, master_keys, signed_out, signed_up};

#[tokio::test(flavor = "multi_thread")]
async fn two_decisions_from_one_version_do_not_both_become_history() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    let commits = (0..12).map(|_| database.store.commit(pool.commit().happened(&user, vec![signed_out(2)])));
    let results = futures::future::join_all(commits).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|error| matches!(error, StoreError::Stale)));
    assert_eq!(history(&database, &user).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_is_told_apart_from_a_stale_version_and_leaves_nothing() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    pool.user("jane").await.unwrap();
    let error = pool.user("jane").await.unwrap_err();
    assert!(matches!(&error, StoreError::Claimed { constraint } if constraint == "names_pkey"), "{error}");
    for (table, rows) in [("log", 2), ("users", 1), ("names", 2)] {
        assert_eq!(count(&database, table).await, rows, "{table}");
    }
    let keys: i64 =
        sqlx::query_scalar("select count(*) from keys where kind = 'user'").fetch_one(database.sql()).await.unwrap();
    assert_eq!(keys, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_above_the_bound_is_refused_with_all_that_goes_with_it() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let sign_up = async |name: &str, password_hash: Vec<u8>| {
        let sub = Sub(pool.random.uuid());
        let (key, wrapped) = pool.keys.generate_user_key(sub.to_string(), &pool.random);
        let event = Event::SignedUp(UserSignedUp { password_hash, ..signed_up(name) });
        database
            .store
            .commit(
                pool.commit()
                    .operational([OperationalRow::Key(wrapped)])
                    .happened(&NewUser { sub, key: &key }, vec![event]),
            )
            .await
    };
    // Base64 makes it a third longer.
    sign_up("small", vec![1; LARGEST_EVENT / 4 * 3 - 3_000]).await.unwrap();
    let error = sign_up("large", vec![1; LARGEST_EVENT / 4 * 3]).await.unwrap_err();
    assert!(matches!(&error, StoreError::EventTooLarge { kind: "user.signed_up", .. }), "{error}");
    for (table, rows) in [("log", 2), ("users", 1), ("names", 2)] {
        assert_eq!(count(&database, table).await, rows, "{table}");
    }
    let user = pool.user("jane").await.unwrap();
    let fact = user_activity::Activity::SignInRefused(UserSignInRefused {
        client_id: "x".repeat(LARGEST_EVENT),
        ..Default::default()
    });
    let commit = pool.commit().decided(&user, Decision::events(vec![signed_out(2)], ()).with_activity([fact]));
    let error = database.store.commit(commit).await.unwrap_err();
    assert!(matches!(&error, StoreError::EventTooLarge { kind: "user.sign_in_refused", .. }), "{error}");
    assert_eq!((history(&database, &user).await, count(&database, "activity").await), (1, 0));
    let answered = userpool::domain::error::Error::from(error);
    assert_eq!(answered.exception.name(), "InvalidParameterException");
    database.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_read_is_asserted_even_where_nothing_is_appended() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    database.store.commit(pool.commit().happened(&user, vec![signed_out(2)])).await.unwrap();
    let other = pool.user("other").await.unwrap();
    let stale = pool.commit().other_user(&user, Vec::new()).happened(&other, vec![signed_out(2)]);
    assert!(matches!(database.store.commit(stale).await, Err(StoreError::Stale)));
    assert_eq!(history(&database, &other).await, 1);
}

/// How many facts and used nonces there are.
async fn written(database: &Database) -> (i64, i64) {
    (count(database, "activity").await, count(database, "used_nonces").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_written_with_its_facts_and_without_what_accepting_means() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    let fact = || user_activity::Activity::SignInRefused(UserSignInRefused::default());
    let refuse = || Decision::<Event, _, ()>::refuse(Error::no_such_group());
    let spent = || {
        let (id, sub, expires_at) = (pool.random.uuid(), user.state.sub, pool.now().plus_seconds(180));
        OperationalRow::NonceSpent(Nonce { id, sub, expires_at })
    };
    let settle = async |settlement: Settlement<()>| {
        let failure = database.store.settle(settlement).await.unwrap_err();
        assert!(matches!(failure, Failure::Refused(error) if error.exception.name() == "ResourceNotFoundException"));
    };
    settle(pool.commit().operational([spent()]).decided(&user, refuse().with_activity([fact()]))).await;
    assert_eq!(written(&database).await, (1, 0));
    settle(pool.commit().operational([spent()]).decided(&user, refuse())).await;
    assert_eq!(written(&database).await, (1, 0));
    settle(pool.commit().decided(&user, refuse()).always([spent()])).await;
    assert_eq!(written(&database).await, (1, 1));
    // If no answer can be made of an accepted command, nothing is written.
    let accepted = Decision::events(vec![signed_out(2)], ()).with_activity([fact()]);
    let unanswered = pool.commit().operational([spent()]).decided(&user, accepted);
    settle(unanswered.and_then(|()| Err(Error::no_such_group()))).await;
    assert_eq!((written(&database).await, history(&database, &user).await), ((1, 1), 1));
    database.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_refused_the_second_time_and_swept_long_after_its_end() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    let (id, sub, expires_at) = (pool.random.uuid(), user.state.sub, pool.now().plus_seconds(180));
    let spend = || {
        let spent = OperationalRow::NonceSpent(Nonce { id, sub, expires_at });
        database.store.commit(pool.commit().operational([spent]).happened(&user, Vec::new()))
    };
    let results = futures::future::join_all((0..8).map(|_| spend())).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|error| matches!(error, StoreError::Spent)));
    // By the clock of a late replica the token could still be valid.
    database.store.sweep(expires_at.plus_seconds(60)).await.unwrap();
    assert!(matches!(spend().await, Err(StoreError::Spent)));
    database.store.sweep(expires_at.plus_seconds(2 * 60 * 60)).await.unwrap();
    assert_eq!(count(&database, "used_nonces").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_leaves_its_shape_in_the_log_and_nothing_that_tells_who_it_was() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane-doe-unmistakable").await.unwrap();
    database.store.commit(pool.commit().happened(&user, vec![deleted()])).await.unwrap();
    for table in ["users", "names", "sessions", "codes", "used_nonces", "outbox", "mailbox"] {
        assert_eq!(count(&database, table).await, 0, "{table}");
    }
    let text: String =
        sqlx::query_scalar("select string_agg(log::text, ' ') from log").fetch_one(database.sql()).await.unwrap();
    assert!(!text.contains("jane-doe-unmistakable"));
    assert_eq!(history(&database, &user).await, 2);
    let keys: i64 =
        sqlx::query_scalar("select count(*) from keys where kind = 'user'").fetch_one(database.sql()).await.unwrap();
    assert_eq!(keys, 0);
    let report = database.store.verify(Some(&pool.id)).await.unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!((report.streams, report.events), (2, 3));
}

/// Passes bytes on between the store and Postgres. Once, it hangs up instead of passing on the answer to COMMIT.
async fn proxy(target: SocketAddr, armed: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, armed) = (TcpStream::connect(target).await.unwrap(), armed.clone());
            tokio::spawn(relay(client, server, armed));
        }
    });
    address
}

async fn relay(mut client: TcpStream, mut server: TcpStream, armed: Arc<AtomicBool>) {
    let (mut from_client, mut from_server) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let length = read.unwrap_or(0);
                if length == 0 {
                    return;
                }
                server.write_all(&from_client[..length]).await.unwrap();
                let commits = from_client[..length].windows(6).any(|window| window.eq_ignore_ascii_case(b"commit"));
                if commits && armed.swap(false, Ordering::SeqCst) {
                    // The answer is awaited, so that the transaction is certainly committed, and then withheld.
                    assert!(server.read(&mut from_server).await.unwrap() > 0, "Postgres answers");
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let length = read.unwrap_or(0);
                if length == 0 || client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_by_its_event() {
    let database = Database::create().await;
    let armed = Arc::new(AtomicBool::new(false));
    let port = database.url.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    let address = proxy(format!("127.0.0.1:{port}").parse().unwrap(), armed.clone()).await;
    let url = database.url.replace(&format!(":{port}/"), &format!(":{}/", address.port()));
    let store = Store::new(store::connect(&url, 4, store::ConnectionRole::Api).await.unwrap(), Arc::new(master_keys()));
    let pool = Pool::create(&store).await;
    let user = pool.user("jane").await.unwrap();
    armed.store(true, Ordering::SeqCst);
    store.commit(pool.commit().happened(&user, vec![signed_out(2)])).await.expect("the commit is found");
    assert!(!armed.load(Ordering::SeqCst), "the answer was lost");
    assert_eq!(history(&database, &user).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_runs_to_its_end_when_its_caller_goes_away() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let user = pool.user("jane").await.unwrap();
    let commit = database.store.commit(pool.commit().happened(&user, vec![signed_out(2)]));
    // One poll starts the commit; then the caller goes away. On a busy machine the commit may be done by then.
    let mut commit = Box::pin(commit);
    let _ = futures::poll!(&mut commit);
    drop(commit);
    let ended = async {
        while history(&database, &user).await != 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("the commit ends");
}

async fn count(database: &Database, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
        .fetch_one(database.sql())
        .await
        .unwrap()
}

/// How many events the user's stream has.
async fn history(database: &Database, user: &LoadedUser) -> i64 {
    sqlx::query_scalar("select count(*) from log where stream_id = $1")
        .bind(format!("users/{}", user.state.sub))
        .fetch_one(database.sql())
        .await
        .unwrap()
}

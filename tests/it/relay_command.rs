//! The relay for an operator: parked events are counted, listed and tried again at the command line; and an account of
//! the database that may not see other sessions.

use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::client::eventually;
use crate::support::environment::environment;
use crate::support::http::get;
use crate::support::serve::{Installation, Serve};

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// An installation whose account owns its database and has no other rights.
async fn installation(name: &'static str) -> (Installation, PgConnection) {
    let postgres = &blocking(environment).await.postgres;
    let mut owner = PgConnection::connect(&postgres.url("postgres")).await.expect("the database is there");
    for statement in
        [format!("create role {name} login password 'limited'"), format!("create database {name} owner {name}")]
    {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut owner).await.expect("the owner may");
    }
    let url = postgres.url(name);
    let (_, place) = url.split_once('@').expect("a URL with an account");
    let url = format!("postgres://{name}:limited@{place}");
    let installation = blocking(move || Installation::on(&url)).await;
    let database = PgConnection::connect(&postgres.url(name)).await.expect("the database is there");
    (installation, database)
}

async fn start(installation: Installation, prefix: &'static str) -> (Installation, Serve) {
    blocking(move || {
        let brokers = &environment().kafka.bootstrap;
        let server = installation.start(&["--kafka-brokers", brokers, "--kafka-prefix", prefix]);
        (installation, server)
    })
    .await
}

async fn metric(server: &Serve, name: &str) -> Option<String> {
    let metrics = get(server.http, "/metrics").await.text();
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

const WARNING: &str = "the account of the database is no member of pg_read_all_stats";
const OLDEST_WRITER: &str = "userpool_feed_oldest_writer_seconds";

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_counted_listed_and_tried_again_by_an_operator() {
    let (installation, mut database) = installation("relay_command").await;
    let (installation, mut server) = start(installation, "command.").await;
    // An event as a later release would write it, with a private value.
    sqlx::query(
        "insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
         values ('us-east-1_parked', 'users/jane', 1, gen_random_uuid(), 'user.signed_out', 1, $1, $2, now(), (select epoch from meta), 0)",
    )
    .bind(json!({ "sealed": "c2VjcmV0", "of_tomorrow": "hunter2" }))
    .bind(json!({ "actor": { "kind": "operator", "id": "" }, "operation": "test", "request_id": "r" }))
    .execute(&mut database)
    .await
    .unwrap();
    let parked = async |events: &str| {
        let events = events.to_owned();
        let server = &server;
        let is_it =
            async || metric(server, r#"userpool_relay_parked{log="directory"}"#).await.as_ref() == Some(&events);
        assert!(eventually(is_it).await, "not {events}: {:?}", get(server.http, "/metrics").await.text());
    };
    parked("1").await;
    let listed = installation.run(&["relay", "parked"]);
    let expected = "us-east-1_parked/jane  user.signed_out";
    assert!(listed.contains(expected), "{listed}");
    assert!(listed.trim_end().ends_with(r#": its field "of_tomorrow" is unknown to this release"#), "{listed}");
    assert!(!listed.contains("hunter2") && !listed.contains("c2VjcmV0"), "{listed}");
    assert_eq!(installation.run(&["relay", "parked", "--key", "us-east-1_parked/john"]), "");

    let refused = installation.output(&["relay", "retry", "--key", "us-east-1_parked/john"]);
    assert!(!refused.status.success());
    assert!(!installation.output(&["relay", "retry"]).status.success(), "which has to be said");
    let refused = installation.output(&["relay", "forget"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("a server relays"), "{said}");

    for statement in [
        "alter table log disable trigger all",
        "update log set payload = payload - 'of_tomorrow' where user_pool_id = 'us-east-1_parked'",
        "alter table log enable trigger all",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    let marked = installation.run(&["relay", "retry", "--key", "us-east-1_parked/jane"]);
    assert_eq!(marked, "1 to be tried again.\n");
    parked("0").await;
    assert_eq!(installation.run(&["relay", "parked"]), "");

    assert!(server.end(nix::sys::signal::Signal::SIGTERM).success());
    installation.run(&["relay", "forget"]);
    let readers: i64 = sqlx::query_scalar("select count(*) from checkpoints").fetch_one(&mut database).await.unwrap();
    assert_eq!(readers, 0, "nothing waits for a relay any more");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "nobody drops it while it begins")]
async fn a_server_that_can_not_see_who_holds_events_up_says_so() {
    let (installation, mut database) = installation("relay_blind").await;
    let (installation, server) = start(installation, "blind.").await;
    assert!(eventually(async || server.log().contains(WARNING)).await, "{}", server.log());
    let relays = async || server.log().contains("relaying");
    assert!(eventually(relays).await, "{}", server.log());
    assert_eq!(metric(&server, OLDEST_WRITER).await, None, "an unknown age is not 0");
    drop(server);

    sqlx::query("grant pg_read_all_stats to relay_blind").execute(&mut database).await.unwrap();
    let mut foreign = PgConnection::connect(&environment().postgres.url("postgres")).await.unwrap();
    let mut transaction = foreign.begin().await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid() from pg_current_xact_id()")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    let (_installation, server) = start(installation, "blind.").await;
    let aged = async || {
        let age = metric(&server, OLDEST_WRITER).await;
        age.and_then(|age| age.parse::<f64>().ok()).is_some_and(|age| age > 0.0)
    };
    assert!(eventually(aged).await, "{:?}", metric(&server, OLDEST_WRITER).await);
    let named = async || {
        server
            .log()
            .lines()
            .any(|line| line.contains("holds all events up") && line.contains(&format!("process {pid}")))
    };
    assert!(eventually(named).await, "{}", server.log());
    assert!(!server.log().contains(WARNING), "{}", server.log());
    transaction.rollback().await.unwrap();
}

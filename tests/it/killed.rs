//! A server that is killed while it works: each command that it answered is done, and each that it did not answer is
//! done completely or not at all.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::PgPool;

use crate::support::environment::environment;
use crate::support::events::read_until;
use crate::support::http::{Answer, send_if_there};
use crate::support::process::PATIENCE;
use crate::support::serve::{Installation, Serve};

const PREFIX: &str = "killed.";
const DIRECTORY: &str = "killed.userpool.directory";
/// How many callers sign users up at the same time.
const CALLERS: usize = 12;
/// How many answers there are when the server is killed.
const ANSWERS: usize = 40;

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// A server with the relay at work, which any number of hashes keeps busy.
fn start(installation: &Installation) -> Serve {
    let brokers = &environment().kafka.bootstrap;
    installation.start(
        &[
            &["--kafka-brokers", brokers, "--kafka-prefix", PREFIX][..],
            &["--password-hash-memory", "7168", "--password-hash-passes", "5"],
        ]
        .concat(),
    )
}

/// The client of a pool whose users get a code by e-mail.
fn prepare(installation: &Installation, server: &Serve) -> String {
    let call = |operation: &str, request: &serde_json::Value| {
        let (grpc, request) = (server.grpc.to_string(), request.to_string());
        let printed =
            installation.run(&["call", operation, &request, "--grpc-addr", &grpc, "--token", &installation.token]);
        serde_json::from_str::<serde_json::Value>(&printed).expect("it prints JSON")
    };
    let pool = call("CreateUserPool", &json!({ "PoolName": "killed", "AutoVerifiedAttributes": ["email"] }));
    let client = json!({ "UserPoolId": pool["UserPool"]["Id"], "ClientName": "app" });
    let client = call("CreateUserPoolClient", &client);
    client["UserPoolClient"]["ClientId"].as_str().expect("an id").to_owned()
}

async fn sign_up(address: SocketAddr, client: &str, name: &str) -> Option<Answer> {
    let attributes = [json!({ "Name": "email", "Value": format!("{name}@example.com") })];
    let password = "Correct-horse-1";
    let body = json!({ "ClientId": client, "Username": name, "Password": password, "UserAttributes": attributes });
    let target = [("x-amz-target", "AWSCognitoIdentityProviderService.SignUp")];
    send_if_there(address, "POST", "/", &target, body.to_string().as_bytes()).await
}

/// Signs users up until the server is gone. Returns the `sub`s of the users whose sign-up was answered.
async fn keep_signing_up(
    address: SocketAddr,
    client: String,
    caller: usize,
    answered: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut subs = Vec::new();
    for number in 0.. {
        let Some(answer) = sign_up(address, &client, &format!("user-{caller}-{number}")).await else { break };
        if answer.status == 200 {
            subs.push(answer.json()["UserSub"].as_str().expect("a sub").to_owned());
            answered.fetch_add(1, Ordering::SeqCst);
        } else {
            assert_eq!(answer.exception().0, "TooManyRequestsException", "of a busy server");
        }
    }
    subs
}

/// The `sub`s of the rows that a statement finds.
async fn subs(database: &PgPool, statement: &'static str) -> BTreeSet<String> {
    sqlx::query_scalar::<_, String>(statement).fetch_all(database).await.unwrap().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ups_answered_before_a_kill_are_done_and_others_completely_or_not_at_all() {
    let (installation, mut server, client) = blocking(|| {
        let postgres = &environment().postgres;
        postgres.create_database("killed");
        let installation = Installation::on(&postgres.url("killed"));
        let server = start(&installation);
        let client = prepare(&installation, &server);
        (installation, server, client)
    })
    .await;
    let answered = Arc::new(AtomicUsize::new(0));
    let callers =
        (0..CALLERS).map(|caller| tokio::spawn(keep_signing_up(server.http, client.clone(), caller, answered.clone())));
    let callers: Vec<_> = callers.collect();
    let began = Instant::now();
    while answered.load(Ordering::SeqCst) < ANSWERS {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let killed = blocking(move || server.end(Signal::SIGKILL)).await;
    assert!(!killed.success());
    let mut acknowledged = BTreeSet::new();
    for caller in callers {
        acknowledged.extend(caller.await.unwrap());
    }
    assert!(acknowledged.len() >= ANSWERS);

    let (installation, server) = blocking(move || {
        let server = start(&installation);
        (installation, server)
    })
    .await;
    let database = PgPool::connect(&installation.database_url).await.unwrap();
    let signed_up =
        subs(&database, "select split_part(stream_id, '/', 2) from log where type = 'user.signed_up'").await;
    let missing: Vec<_> = acknowledged.difference(&signed_up).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for part in [
        "select sub::text from users",
        "select sub::text from names where name = sub::text",
        "select sub::text from names where name like 'user-%'",
        "select sub::text from user_search where attribute = 'username'",
        "select owner from keys where kind = 'user'",
        "select sub::text from codes",
        "select owner from activity where type = 'user.code_sent'",
        "select owner from outbox",
    ] {
        assert_eq!(subs(&database, part).await, signed_up, "{part}");
    }
    // The service goes on where it was: a caller without an answer tries again and learns the outcome.
    let again = sign_up(server.http, &client, "user-0-0").await.expect("the server is there again");
    assert_eq!(again.exception().0, "UsernameExistsException");
    let new = sign_up(server.http, &client, "newcomer").await.expect("the server is there again");
    assert_eq!(new.status, 200, "{}", new.text());
    let expected = {
        let mut expected = signed_up;
        expected.insert(new.json()["UserSub"].as_str().expect("a sub").to_owned());
        expected
    };
    read_until(&environment().kafka.bootstrap, DIRECTORY, move |records| {
        let published = records.iter().filter(|record| record.kind() == "user.signed_up");
        let published: BTreeSet<_> = published.filter_map(|record| Some(record.key.split_once('/')?.1)).collect();
        expected.iter().all(|sub| published.contains(sub.as_str()))
    })
    .await;
    let verified = blocking(move || {
        let verified = installation.run(&["log", "verify"]);
        drop(server);
        verified
    })
    .await;
    assert!(verified.starts_with("Log and read models agree"), "{verified}");
}

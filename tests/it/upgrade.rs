//! An upgrade and a rollback under load: `scripts/test-upgrade` builds an earlier release and names its program in
//! `UPGRADE_FROM`. Clients keep their connections as gRPC clients and the SDKs of AWS do, and repeat a call once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::PgPool;
use userpool::api::operation::Operation;

use crate::support::balancer::{Balancer, Member};
use crate::support::postgres::Postgres;
use crate::support::process::program;
use crate::support::serve::{Installation, Serve};
use crate::upgrade_clients::{Client, Door, Tally};

/// How many clients keep calling at each door.
const CLIENTS: usize = 3;
/// How many calls each door has to answer in a phase before the next one begins.
const CALLS: usize = 60;
/// The longest that a phase waits for them.
const PATIENCE: Duration = Duration::from_secs(180);
/// Arguments of every server: cheap hashes, so that many calls are made, and a pause in which the balancer notices.
const SERVE: [&str; 6] = ["--password-hash-memory", "7168", "--password-hash-passes", "5", "--shutdown-pause", "2"];

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// The servers of both releases on one database, and the clients in front of them.
struct Upgrade {
    old: OsString,
    new: OsString,
    installation: Arc<Installation>,
    balancer: Balancer,
    tally: Arc<Tally>,
    rows: Vec<String>,
    /// What servers logged as errors, and how they ended if not well.
    faults: Vec<String>,
    began: Instant,
}

impl Upgrade {
    async fn server(&self, name: &str, program: &OsString) -> Member {
        let (installation, program) = (self.installation.clone(), program.clone());
        // A variable of the helper sets no pause; the flag overrides it.
        let serve = blocking(move || Serve::ready(installation.spawn_by(&program, &SERVE, |_| {}))).await;
        self.balancer.add(name, serve)
    }

    /// Stops a server as a cluster does, and waits until it has ended.
    async fn stop(&mut self, name: &str, mut member: Member) {
        member.is_told_to_stop();
        let (member, status) = blocking(move || {
            let status = member.serve.end(Signal::SIGTERM);
            (member, status)
        })
        .await;
        if !status.success() {
            self.faults.push(format!("{name} ended with {status}"));
        }
        self.look_at(name, &member);
        self.balancer.remove(member);
    }

    fn look_at(&mut self, name: &str, member: &Member) {
        let log = member.serve.log();
        self.faults.extend(log.lines().filter(|line| line.contains("ERROR")).map(|line| format!("{name}: {line}")));
    }

    /// Runs a command of a release, and returns what it prints.
    async fn command(&self, program: &OsString, arguments: &'static [&'static str]) -> String {
        let mut command = self.installation.command_by(program, arguments);
        let output = blocking(move || command.output().expect("the program is there")).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until each door has answered more calls, and notes the phase that ends with them.
    async fn phase(&mut self, name: &str) {
        let (began, answered) = (Instant::now(), self.tally.answered());
        while self.tally.answered().iter().zip(answered).any(|(now, before)| *now < before + CALLS) {
            assert!(began.elapsed() < PATIENCE, "{name}: too few calls are answered: {:?}", self.tally.errors());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let elapsed = self.began.elapsed().as_secs_f64();
        self.began = Instant::now();
        self.rows.push(format!("| {name:<28} | {elapsed:>5.1} {} |", self.tally.row()));
    }

    /// Puts a server of one release in the place of another one: the new one is ready first.
    async fn replace(&mut self, (name, member): (&str, Member), by: (&str, &OsString)) -> Member {
        let next = self.server(by.0, by.1).await;
        self.stop(name, member).await;
        self.phase(&format!("{name} replaced by {}", by.0)).await;
        next
    }

    fn print(&self) {
        println!("| phase                        |  time {} |", Tally::HEAD);
        println!("|------------------------------|------{}-|", Tally::HEAD.replace(|letter| letter != '|', "-"));
        self.rows.iter().for_each(|row| println!("{row}"));
    }
}

/// A pool and a client for it, by the first server.
async fn pool_and_client(balancer: &Balancer, token: &str) -> (String, String) {
    let client = Client::connect(Door::Grpc, balancer, token, Arc::default());
    let pool = client.must(Operation::CreateUserPool, &json!({ "PoolName": "upgrade" })).await;
    let pool = pool["UserPool"]["Id"].as_str().expect("an id").to_owned();
    let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
    let app = json!({ "UserPoolId": pool, "ClientName": "upgrade", "ExplicitAuthFlows": flows });
    let app = client.must(Operation::CreateUserPoolClient, &app).await;
    (pool, app["UserPoolClient"]["ClientId"].as_str().expect("an id").to_owned())
}

async fn subs(database: &PgPool, statement: &'static str) -> BTreeSet<String> {
    sqlx::query_scalar::<_, String>(statement).fetch_all(database).await.expect(statement).into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the program of an earlier release: run scripts/test-upgrade"]
async fn no_client_notices_an_upgrade_a_rollback_and_the_upgrade_again() {
    let old = std::env::var_os("UPGRADE_FROM").expect("UPGRADE_FROM names the program of an earlier release");
    let (from, balancer) = (old.clone(), Balancer::start().await);
    let (postgres, installation) = blocking(move || {
        let postgres = Postgres::start();
        postgres.create_database("upgrade");
        let installation = Installation::by(from, &postgres.url("upgrade"));
        (postgres, Arc::new(installation))
    })
    .await;
    let mut upgrade = Upgrade {
        old,
        new: program(),
        installation: installation.clone(),
        balancer: balancer.clone(),
        tally: Arc::default(),
        rows: Vec::new(),
        faults: Vec::new(),
        began: Instant::now(),
    };
    let (old, new) = (upgrade.old.clone(), upgrade.new.clone());
    let first = upgrade.server("old 1", &old).await;
    let second = upgrade.server("old 2", &old).await;
    let (pool, app) = pool_and_client(&balancer, &installation.token).await;
    let doors = [Door::Grpc, Door::Aws].into_iter().flat_map(|door| (0..CLIENTS).map(move |number| (door, number)));
    let clients: Vec<_> = doors
        .map(|(door, number)| {
            let client = Client::connect(door, &balancer, &installation.token, upgrade.tally.clone());
            tokio::spawn(client.keep_calling(pool.clone(), app.clone(), format!("{door:?}-{number}").to_lowercase()))
        })
        .collect();
    upgrade.began = Instant::now();
    upgrade.phase("two old servers").await;

    upgrade.command(&new, &["migrate"]).await;
    upgrade.phase("migrated by the new release").await;
    let first = upgrade.replace(("old 1", first), ("new 1", &new)).await;
    let second = upgrade.replace(("old 2", second), ("new 2", &new)).await;
    let first = upgrade.replace(("new 1", first), ("old 3", &old)).await;
    let first = upgrade.replace(("old 3", first), ("new 3", &new)).await;
    let finished = upgrade.command(&new, &["finish-upgrade"]).await;
    upgrade.phase("upgrade finished").await;

    upgrade.tally.stop();
    let mut acknowledged = BTreeSet::new();
    for client in clients {
        acknowledged.extend(client.await.expect("a client does not panic"));
    }
    upgrade.look_at("new 3", &first);
    upgrade.look_at("new 2", &second);
    upgrade.print();
    upgrade.tally.reasons().iter().for_each(|reason| println!("repeated: {reason}"));
    println!("finish-upgrade: {finished}");

    assert_eq!(upgrade.tally.errors(), Vec::<String>::new(), "what clients noticed");
    assert_eq!(balancer.unready(), Vec::<String>::new(), "what servers said before they were told to stop");
    assert_eq!(upgrade.faults, Vec::<String>::new(), "what servers logged");
    let database = PgPool::connect(&installation.database_url).await.expect("a database");
    for table in [
        "select split_part(stream_id, '/', 2) from log where type = 'user.signed_up'",
        "select sub::text from users",
        "select sub::text from names where name = sub::text",
    ] {
        let found = subs(&database, table).await;
        let missing: Vec<_> = acknowledged.difference(&found).collect();
        assert!(missing.is_empty(), "{table}: {missing:?}");
    }
    let verified = upgrade.command(&new, &["log", "verify"]).await;
    assert!(verified.starts_with("Log and read models agree"), "{verified}");
    println!("{} acknowledged sign-ups are all there. {verified}", acknowledged.len());
    assert!(acknowledged.len() > CLIENTS);
    database.close().await;
    blocking(move || drop((first, second, postgres))).await;
}

//! Two releases on one database: which schemas and which events a server accepts that another release made, and what is
//! not written before an upgrade is finished.

use std::process::Output;

use serde_json::{Value, json};
use sqlx::PgPool;
use tonic::transport::Channel;
use userpool::api::operation::Operation;
use userpool::store::MIGRATIONS;

use crate::support::client::eventually;
use crate::support::dev::{Address, Dev, data_directory, shared};
use crate::support::http::get;
use crate::support::poll_until;
use crate::support::process::PATIENCE;
use crate::support::serve::{Installation, Serve};
use crate::support::wire::{self, Refusal};

const READY: (u16, &str) = (200, "ready");
const ANOTHER_RELEASE: (u16, &str) = (503, "the database is of another release");
const UNFINISHED: (&str, &str) = (
    "ServiceUnavailableException",
    "The upgrade of the service is not finished: this can be done after `userpool finish-upgrade`. Please try again later.",
);

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// A database with two servers on it.
struct Pair {
    installation: Installation,
    servers: [Serve; 2],
    database: PgPool,
}

impl Pair {
    async fn start(name: &'static str) -> Self {
        let (installation, servers) = blocking(move || {
            let postgres = &shared().postgres;
            postgres.create_database(name);
            let installation = Installation::on(&postgres.url(name));
            let servers = [installation.start(&[]), installation.start(&[])];
            (installation, servers)
        })
        .await;
        let database = PgPool::connect(&installation.database_url).await.expect("a database");
        Self { installation, servers, database }
    }

    async fn sql(&self, statement: &'static str, value: i64) {
        sqlx::query(statement).bind(value).execute(&self.database).await.expect(statement);
    }

    /// Does what the migration of a later release does.
    async fn migrate_further(&self, version: i64, readable_since: i64) {
        let applied = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                       values ($1, 'of tomorrow', true, '', 0)";
        self.sql(applied, version).await;
        self.sql("update meta set readable_since = $1", readable_since).await;
    }

    async fn event_level(&self) -> i32 {
        sqlx::query_scalar("select event_level from meta").fetch_one(&self.database).await.expect("a level")
    }

    /// How much is recorded: rows of the log, of facts, and of users.
    async fn recorded(&self) -> (i64, i64, i64) {
        let counts = "select (select count(*) from log), (select count(*) from activity), (select count(*) from users)";
        sqlx::query_as(counts).fetch_one(&self.database).await.expect("counts")
    }

    fn address(&self, server: usize) -> Address {
        let Installation { token, database_url, .. } = &self.installation;
        let (id, secret) = token.split_once('.').expect("an id and a secret");
        Address {
            grpc: self.servers[server].grpc,
            http: self.servers[server].http,
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            token: token.clone(),
            database_url: database_url.clone(),
        }
    }

    /// A confirmed user, by the first server.
    async fn confirmed(&self, channel: &Channel, (pool, client): (&str, &str), name: &str) {
        let (address, user) = (self.address(0), json!({ "ClientId": client, "Username": name, "Password": PASSWORD }));
        wire::must(channel, &address, "SignUp", user).await;
        wire::must(channel, &address, "AdminConfirmSignUp", json!({ "UserPoolId": pool, "Username": name })).await;
    }

    /// Waits until both servers say this: they ask the database once a second.
    async fn say(&self, (status, text): (u16, &str)) {
        for server in &self.servers {
            let said = eventually(async || {
                let answer = get(server.http, "/readyz").await;
                (answer.status, answer.text().as_str()) == (status, text)
            });
            assert!(said.await, "{}", get(server.http, "/readyz").await.text());
        }
    }

    /// Waits until both servers have read the database anew: between two states in which they are ready is one in which
    /// they are not.
    async fn change(&self, statement: &'static str, value: i64) {
        self.sql("update meta set readable_since = $1", i64::MAX).await;
        self.say(ANOTHER_RELEASE).await;
        self.sql(statement, value).await;
        self.sql("update meta set readable_since = $1", newest()).await;
        self.say(READY).await;
    }

    async fn output(&self, arguments: &[&'static str]) -> Output {
        let mut command = self.installation.command(arguments);
        blocking(move || command.output().expect("the binary is there")).await
    }

    async fn prints(&self, arguments: &[&'static str]) -> String {
        let output = self.output(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn refuses(&self, arguments: &[&'static str]) -> String {
        let output = self.output(arguments).await;
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Starts a third server; what it says if it does not serve.
    async fn third(&self) -> Result<Serve, String> {
        let mut process = self.installation.spawn(&[], |_| {});
        blocking(move || {
            let ready = process.says("userpool is ready");
            if ready { Ok(Serve::ready(process)) } else { Err(process.log()) }
        })
        .await
    }

    /// Signs a user up over gRPC and in at the AWS door, at each server.
    async fn serves(&self, client: &str, prefix: &str) {
        for server in [0, 1] {
            let address = self.address(server);
            let channel = wire::channel(&address).await;
            let name = format!("{prefix}-{server}");
            let user = json!({ "ClientId": client, "Username": name, "Password": PASSWORD });
            wire::must(&channel, &address, "SignUp", user).await;
            let answer = wire::aws(&address, Operation::InitiateAuth.info(), &sign_in(client, &name, PASSWORD)).await;
            assert_eq!(answer.exception().0, "UserNotConfirmedException");
        }
    }
}

const PASSWORD: &str = "Correct-horse-1";

fn sign_in(client: &str, name: &str, password: &str) -> Vec<u8> {
    let parameters = json!({ "USERNAME": name, "PASSWORD": password });
    let request = json!({ "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters });
    request.to_string().into_bytes()
}

fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().expect("there are migrations")
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_stay_ready_on_a_later_schema_that_they_can_serve_and_new_ones_start() {
    let pair = Pair::start("rolling_readable").await;
    let channel = wire::channel(&pair.address(0)).await;
    let (_, client) = wire::pool_and_client(&channel, &pair.address(0), "rolling").await;
    pair.migrate_further(newest() + 2, newest() + 1).await;
    pair.say(ANOTHER_RELEASE).await;
    pair.sql("update meta set readable_since = $1", newest()).await;
    pair.say(READY).await;
    pair.serves(&client, "later").await;
    let third = pair.third().await.expect("it serves");
    assert_eq!(get(third.http, "/readyz").await.status, 200);
    blocking(move || drop(third)).await;

    let printed = pair.prints(&["migrate"]).await;
    assert!(
        printed.starts_with("The database has the schema of a later release, on which this one can serve."),
        "{printed}"
    );
    let expected = format!("the database is at schema version {}, this release knows {}", newest() + 2, newest());
    let refusal = pair.refuses(&["finish-upgrade"]).await;
    assert!(refusal.contains(&expected), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_schema_that_servers_cannot_serve_ends_their_readiness_and_their_start() {
    let pair = Pair::start("rolling_unreadable").await;
    pair.say(READY).await;
    pair.migrate_further(newest() + 1, newest() + 1).await;
    pair.say(ANOTHER_RELEASE).await;
    let refusal = pair.third().await.map(drop).expect_err("it can't serve");
    let expected = format!(
        "the database is at schema version {}, this release knows {}: run the release that migrated it",
        newest() + 1,
        newest()
    );
    assert!(refusal.contains(&expected), "{refusal}");
    for command in ["migrate", "finish-upgrade"] {
        let refusal = pair.refuses(&[command]).await;
        assert!(refusal.contains(&expected), "{command}: {refusal}");
    }
    for server in &pair.servers {
        assert!(server.log().contains(&expected), "{}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_hold_events_of_a_later_release_is_not_served() {
    let pair = Pair::start("rolling_later_events").await;
    pair.say(READY).await;
    pair.sql("update meta set event_level = $1", 1_000).await;
    pair.say(ANOTHER_RELEASE).await;
    let refusal = pair.third().await.map(drop).expect_err("it can't serve");
    assert!(refusal.contains("the database may hold events up to level 1000"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_older_is_migrated_before_an_upgrade_is_finished() {
    let pair = Pair::start("rolling_older").await;
    pair.sql("delete from _sqlx_migrations where version = $1", newest()).await;
    let refusal = pair.refuses(&["finish-upgrade"]).await;
    assert!(refusal.contains("run `userpool migrate`"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_has_the_newest_level_and_an_existing_one_keeps_its_level_until_the_upgrade_is_finished() {
    let pair = Pair::start("rolling_levels").await;
    assert_eq!(pair.event_level().await, userpool::proto::NEWEST_LEVEL);
    let printed = pair.prints(&["finish-upgrade"]).await;
    assert!(printed.starts_with("There is nothing to finish"), "{printed}");

    pair.sql("update meta set event_level = $1", 0).await;
    pair.prints(&["migrate"]).await;
    assert_eq!(pair.event_level().await, 0);
    let printed = pair.prints(&["finish-upgrade"]).await;
    assert!(printed.starts_with("The upgrade is finished."), "{printed}");
    assert!(printed.contains("\n  user.signed_up\n"), "{printed}");
    assert_eq!(pair.event_level().await, userpool::proto::NEWEST_LEVEL);

    // Under development, the start of the one server finishes it.
    pair.sql("update meta set event_level = $1", 0).await;
    let url = pair.installation.database_url.clone();
    let keys = pair.installation.keys.clone();
    let dev = blocking(move || {
        Dev::start(&data_directory("rolling"), |command| {
            command.env("USERPOOL_DATABASE_URL", &url).env("USERPOOL_MASTER_KEYS_FILE", &keys);
        })
    });
    let dev = dev.await;
    assert_eq!(pair.event_level().await, userpool::proto::NEWEST_LEVEL);
    blocking(move || drop(dev)).await;
}

/// A call that ends in a commit, one in a statement of its own, and one in a refusal that is recorded.
fn writing_calls(client: &str, pool: &str, token: &str) -> Vec<(Operation, Value)> {
    let password = |password: &str| serde_json::from_slice(&sign_in(client, "jane", password)).expect("JSON");
    vec![
        (Operation::SignUp, json!({ "ClientId": client, "Username": "joe", "Password": PASSWORD })),
        (Operation::CreateGroup, json!({ "UserPoolId": pool, "GroupName": "editors" })),
        (Operation::InitiateAuth, password(PASSWORD)),
        (Operation::InitiateAuth, password("Wrong-horse-1")),
        (Operation::RevokeToken, json!({ "ClientId": client, "Token": token })),
    ]
}

async fn refusal_over_grpc(address: &Address, operation: Operation, request: &Value) -> Refusal {
    let info = operation.info();
    let channel = wire::channel(address).await;
    let answer = wire::grpc(&channel, address, info, wire::message_of(info.request, request)).await;
    Refusal::of_status(&answer.expect_err("it is refused"))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_above_the_databases_level_are_refused_at_both_doors_until_the_upgrade_is_finished() {
    let pair = Pair::start("rolling_events").await;
    let address = pair.address(0);
    let channel = wire::channel(&address).await;
    let (pool, client) = wire::pool_and_client(&channel, &address, "rolling").await;
    pair.confirmed(&channel, (&pool, &client), "jane").await;
    let jane = serde_json::from_slice(&sign_in(&client, "jane", PASSWORD)).expect("JSON");
    let tokens = wire::must(&channel, &address, "InitiateAuth", jane).await["AuthenticationResult"].clone();
    let token = tokens["RefreshToken"].as_str().expect("a token").to_owned();

    // As if every event of today were of a later release than all servers but these two.
    pair.change("update meta set event_level = $1", 0).await;
    let before = pair.recorded().await;
    for (operation, request) in writing_calls(&client, &pool, &token) {
        for server in [0, 1] {
            let address = pair.address(server);
            let refusal = refusal_over_grpc(&address, operation, &request).await;
            assert_eq!((refusal.exception.as_str(), refusal.message.as_str()), UNFINISHED, "{operation:?}");
            let answer = wire::aws(&address, operation.info(), request.to_string().as_bytes()).await;
            let (exception, message) = answer.exception();
            assert_eq!((exception.as_str(), message.as_str()), UNFINISHED, "{operation:?}");
            assert_eq!(answer.status, 503);
        }
    }
    assert_eq!(pair.recorded().await, before, "nothing is written");
    // What writes no event goes on.
    let access = json!({ "AccessToken": tokens["AccessToken"] });
    wire::must(&channel, &address, "GetUser", access).await;
    pair.say(READY).await;
    for server in &pair.servers {
        let (log, metrics) = (server.log(), get(server.http, "/metrics").await.text());
        assert_eq!(log.matches("an event is refused").count(), 1, "{log}");
        assert_eq!(log.matches("a call failed").count(), 0, "{log}");
        for refused in
            ["user.signed_up", "group.created", "user.signed_in", "user.sign_in_refused", "user.tokens_revoked"]
        {
            let counted = format!("userpool_events_refused_total{{type=\"{refused}\"}} 2\n");
            assert!(metrics.contains(&counted), "{counted}{metrics}");
        }
    }

    pair.prints(&["finish-upgrade"]).await;
    for (number, (operation, request)) in writing_calls(&client, &pool, &token).into_iter().enumerate() {
        let address = pair.address(number % 2);
        let answer = wire::aws(&address, operation.info(), request.to_string().as_bytes()).await;
        let is_wrong = request.to_string().contains("Wrong");
        assert_eq!(answer.status, if is_wrong { 400 } else { 200 }, "{operation:?}: {}", answer.text());
    }
    let after = pair.recorded().await;
    assert!(after.0 > before.0 && after.1 > before.1 && after.2 > before.2, "{before:?}, {after:?}");
    let verified = pair.prints(&["log", "verify"]).await;
    assert!(verified.starts_with("Log and read models agree"), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_factors_are_required_only_when_every_server_asks_for_them() {
    let pair = Pair::start("rolling_factors").await;
    let address = pair.address(0);
    let channel = wire::channel(&address).await;
    let (pool, _) = wire::pool_and_client(&channel, &address, "rolling").await;
    // The level of the release before, whose servers would give tokens for a password alone.
    pair.change("update meta set event_level = $1", 1).await;
    let sms = json!({ "ExternalId": "x", "SnsCallerArn": "arn:aws:iam::123456789012:role/sms" });
    let by_sms = json!({ "PoolName": "on", "MfaConfiguration": "ON", "SmsConfiguration": sms });
    let of_pool = json!({ "UserPoolId": pool, "MfaConfiguration": "ON", "SmsConfiguration": sms });
    let factors = json!({
        "UserPoolId": pool, "MfaConfiguration": "ON", "SoftwareTokenMfaConfiguration": { "Enabled": true },
    });
    let requests = [
        (Operation::CreateUserPool, by_sms),
        (Operation::UpdateUserPool, of_pool),
        (Operation::SetUserPoolMfaConfig, factors),
    ];
    for (operation, request) in &requests {
        let refusal = refusal_over_grpc(&address, *operation, request).await;
        assert_eq!((refusal.exception.as_str(), refusal.message.as_str()), UNFINISHED, "{operation:?}");
    }
    pair.prints(&["finish-upgrade"]).await;
    for (operation, request) in &requests {
        let answer = wire::aws(&address, operation.info(), request.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{operation:?}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_an_event_of_a_later_release_is_neither_read_nor_changed() {
    let pair = Pair::start("rolling_unknown").await;
    let address = pair.address(0);
    let channel = wire::channel(&address).await;
    let (pool, client) = wire::pool_and_client(&channel, &address, "rolling").await;
    for name in ["jane", "joe"] {
        pair.confirmed(&channel, (&pool, &client), name).await;
    }
    // What a server of a later release writes: an event, and the row of another revision, as it keeps more about a user.
    let later = [
        "insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
         select user_pool_id, stream_id, stream_version + 1, gen_random_uuid(), 'user.device_remembered', 1, '{}', metadata, now(), epoch, 0
         from log where type = 'user.confirmed' and stream_id = (select 'users/' || sub from names where name = 'jane')",
        "update users set version = version + 1, revision = revision + 1 where sub = (select sub from names where name = 'jane')",
    ];
    for statement in later {
        let changed = sqlx::query(statement).execute(&pair.database).await.expect(statement);
        assert_eq!(changed.rows_affected(), 1, "{statement}");
    }
    let before = pair.recorded().await;
    let named = |name: &str| json!({ "UserPoolId": pool, "Username": name });
    let calls = [
        (Operation::AdminGetUser, named("jane")),
        (Operation::AdminDisableUser, named("jane")),
        (Operation::InitiateAuth, serde_json::from_slice(&sign_in(&client, "jane", PASSWORD)).expect("JSON")),
    ];
    for (operation, request) in calls {
        let refusal = refusal_over_grpc(&address, operation, &request).await;
        assert_eq!(refusal.exception, "InternalErrorException", "{operation:?}");
    }
    assert_eq!(pair.recorded().await, before, "nothing is written");
    assert!(pair.servers[0].log().contains("unknown event type user.device_remembered"), "{}", pair.servers[0].log());
    let refusal = pair.refuses(&["log", "verify"]).await;
    assert!(refusal.contains("unknown event type user.device_remembered"), "{refusal}");
    // Others are served as before.
    wire::must(&channel, &address, "AdminDisableUser", named("joe")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_before_the_end_of_an_upgrade_says_so_and_hears_of_it() {
    let pair = Pair::start("rolling_hears").await;
    pair.sql("update meta set event_level = $1", 0).await;
    let third = pair.third().await.expect("it serves");
    assert!(third.log().contains("are refused until `userpool finish-upgrade`"), "{}", third.log());
    pair.prints(&["finish-upgrade"]).await;
    // Nobody asks this server for anything.
    let heard = blocking(move || poll_until(PATIENCE, || third.log().contains("the upgrade is finished")));
    assert!(heard.await);
}

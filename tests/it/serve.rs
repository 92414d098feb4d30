//! `userpool serve`: what it refuses, TLS at both doors, how it starts and how it stops.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::sys::signal::Signal;
use prost::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use userpool::api::operation::Operation;
use userpool::domain::ids::{StreamId, UserPoolId};
use userpool::domain::personal::Sealed;
use userpool::proto::v1::SignUpRequest;
use userpool::store::Store;
use userpool::store::keys::MasterKeys;
use userpool::store::seal::{FieldClass, Place};

use crate::support::dev::shared;
use crate::support::http::{get, send};
use crate::support::poll_until;
use crate::support::postgres::Postgres;
use crate::support::process::{PATIENCE, Process};
use crate::support::serve::{Installation, Serve, argument, https};
use crate::support::smtp::{Protection, Relay, ca_file, until};
use crate::support::wire;

fn installation(database: &str) -> Installation {
    let postgres = &shared().postgres;
    postgres.create_database(database);
    Installation::on(&postgres.url(database))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// Calls an operation by the program itself.
fn call(installation: &Installation, server: &Serve, operation: &str, request: &Value, more: &[&str]) -> Value {
    let grpc = server.grpc.to_string();
    let request = request.to_string();
    let arguments = [&["call", operation, &request, "--grpc-addr", &grpc, "--token", &installation.token], more];
    serde_json::from_str(&installation.run(&arguments.concat())).expect("it prints JSON")
}

fn sentences(output: &std::process::Output) -> Vec<String> {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

#[test]
fn a_server_without_its_settings_says_all_that_is_missing_and_does_not_start() {
    for command in [&["serve"][..], &["config", "check"]] {
        let output = crate::support::process::userpool().args(command).output().expect("the binary is there");
        let said = sentences(&output);
        for missing in
            ["userpool: ", "0.0.0.0:8080 can be reached", "public-url is missing", "database-url", "master-keys-file"]
        {
            assert!(said.iter().any(|line| line.starts_with(missing)), "{missing} is not in {said:?}");
        }
    }
}

#[test]
fn a_configuration_is_checked_without_being_used() {
    let installation = installation("config_check");
    let file = |text: &str| installation.write("userpool.toml", text);
    let right =
        "public-url = 'https://users.example'\ntls-terminated-elsewhere = true\n[kafka]\nbrokers = '127.0.0.1:1'\n";
    let path = file(right);
    let check =
        |more: &[&str]| installation.output(&[&["config", "check", "--config", argument(&path)], more].concat());
    let output = check(&[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "The configuration is complete and safe.\n");

    // A flag overrides the file, and its value is checked as well.
    let said = sentences(&check(&["--public-url", "users.example"]));
    assert!(said.len() == 1 && said[0].starts_with("userpool: public-url is an address"), "{said:?}");

    file(&format!("{right}[kafak]\nsecret = 'hunter2'\n"));
    let said = sentences(&check(&[]));
    let expected = format!("userpool: {}, line 5: unknown field `kafak`", path.display());
    assert!(said.len() == 1 && said[0].starts_with(&expected) && !said[0].contains("hunter2"), "{said:?}");

    file(right);
    let mut command = installation.command(&["config", "check", "--config", argument(&path)]);
    let output = command.env("USERPOOL_KAFKA_BORKERS", "one:1").output().expect("the binary is there");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.starts_with("USERPOOL_KAFKA_BORKERS is set, but no setting has that name\n"), "{printed}");

    // A file or a Secret in a variable usually ends with a line break. What is wrong in one is not shown.
    for (properties, expected) in [("sasl.password=hunter2\n", 0), ("\nssl.key.pem:hunter2\n", 2)] {
        let mut command = installation.command(&["config", "check", "--config", argument(&path)]);
        let output = command.env("USERPOOL_KAFKA_PROPERTIES", properties).output().expect("the binary is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(expected) && !said.contains("hunter2"), "{properties:?}: {said}");
    }
}

#[test]
fn a_database_without_our_schema_is_refused() {
    let postgres = &shared().postgres;
    postgres.create_database("serve_empty");
    let prepared = installation("serve_prepared");
    let empty = Installation { database_url: postgres.url("serve_empty"), ..prepared };
    let mut process = empty.spawn(&[], |_| {});
    assert_eq!(process.wait().code(), Some(1));
    assert!(process.log().contains("run `userpool migrate`"), "{}", process.log());
    assert_eq!(process.output(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_doors_have_tls_and_a_certificate_that_is_replaced_is_used() {
    let (installation, server) = blocking(|| {
        let installation = installation("serve_tls");
        let (certificate, key) = installation.write_certificate();
        let server = installation.start(&["--tls-certificate", argument(&certificate), "--tls-key", argument(&key)]);
        (installation, server)
    })
    .await;
    let certificate = installation.directory.join("tls.crt");
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    let answer = https(server.http, &certificate, None, &request("/readyz")).await.expect("a TLS connection");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ready"), "{answer}");
    assert!(plain(server.http).await.is_none(), "HTTP without TLS is answered");
    assert!(plain(server.grpc).await.is_none(), "gRPC without TLS is answered");

    let (installation, server) = blocking(move || {
        let tls = ["--tls-ca", argument(&certificate)];
        let pool = call(&installation, &server, "CreateUserPool", &json!({ "PoolName": "tls" }), &tls);
        let id = pool["UserPool"]["Id"].as_str().expect("an id").to_owned();
        let described = call(&installation, &server, "DescribeUserPool", &json!({ "UserPoolId": id }), &tls);
        assert_eq!(described["UserPool"]["Name"], "tls");
        (installation, server)
    })
    .await;

    // The second certificate differs, and after a while a client that trusts only that one is served.
    let (certificate, _) = installation.write_certificate();
    let file = fs::File::options().write(true).open(&certificate).expect("it was written");
    let written = file.metadata().and_then(|metadata| metadata.modified()).expect("files have times");
    file.set_modified(written + Duration::from_secs(10)).expect("the file is ours");
    let began = Instant::now();
    while https(server.http, &certificate, None, &request("/healthz")).await.is_none() {
        assert!(began.elapsed() < PATIENCE, "the new certificate is not used:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The bytes with which a server answers a request without TLS, if any.
async fn plain(address: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer.starts_with(b"HTTP/").then_some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_says_so_and_still_answers_then_ends_well() {
    let mut server = blocking(|| installation("serve_stop").start(&["--shutdown-pause", "3"])).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.grpc)).expect("an address");
    let mut health = HealthClient::new(channel.connect().await.expect("the server listens"));
    let mut status = async || {
        let answer = health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("it answers");
        answer.into_inner().status()
    };
    assert_eq!(status().await, ServingStatus::Serving);
    assert_eq!(get(server.http, "/readyz").await.status, 200);

    server.signal(Signal::SIGTERM);
    let began = Instant::now();
    while status().await != ServingStatus::NotServing {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
    }
    assert_eq!(get(server.http, "/readyz").await.status, 503);
    assert_eq!(get(server.http, "/healthz").await.status, 200);
    let ended = blocking(move || (server.wait(), server.log())).await;
    assert!(ended.0.success(), "{}", ended.1);
    assert!(health.check(tonic_health::pb::HealthCheckRequest::default()).await.is_err());
}

/// The head of the answer to a request over a connection that stays open, in small letters.
async fn head_over(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.expect("it is open");
    let mut answer = Vec::new();
    let text = |answer: &[u8]| String::from_utf8_lossy(answer).to_ascii_lowercase();
    // Both answers that are asked for here have a body of one line, which comes last.
    while !["ok", "the server is stopping"].iter().any(|body| text(&answer).ends_with(&format!("\r\n\r\n{body}"))) {
        assert_ne!(stream.read_buf(&mut answer).await.expect("it is open"), 0, "{}", text(&answer));
    }
    text(&answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_http_1_that_is_in_use_ends_with_an_answer_of_the_pause() {
    let mut server = blocking(|| installation("serve_leave").start(&["--shutdown-pause", "5"])).await;
    let mut stream = TcpStream::connect(server.http).await.expect("the server listens");
    for _ in 0..2 {
        let answer = head_over(&mut stream, "/healthz").await;
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    server.signal(Signal::SIGTERM);
    let began = Instant::now();
    while get(server.http, "/readyz").await.status != 503 {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
    }
    let answer = head_over(&mut stream, "/healthz").await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(stream.read(&mut [0; 1]).await.expect("an orderly end"), 0);
    // The server still accepts, and a caller who comes back is answered.
    let mut again = TcpStream::connect(server.http).await.expect("the server listens");
    assert!(head_over(&mut again, "/readyz").await.starts_with("http/1.1 503"));
    assert!(blocking(move || server.wait()).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_is_answered_before_the_server_ends() {
    let (installation, server) = blocking(|| {
        let installation = installation("serve_drain");
        // Expensive hashes, so that a sign-up takes long enough to be under way.
        let server = installation.start(&["--password-hash-passes", "40", "--hashing-threads", "1"]);
        (installation, server)
    })
    .await;
    let server = blocking(move || {
        let create = |operation: &str, request: &Value| call(&installation, &server, operation, request, &[]);
        let pool = create("CreateUserPool", &json!({ "PoolName": "drain" }))["UserPool"]["Id"].clone();
        let client = create("CreateUserPoolClient", &json!({ "UserPoolId": pool, "ClientName": "app" }));
        let client = client["UserPoolClient"]["ClientId"].clone();
        let (id, grpc) = (server.id(), server.grpc);
        let sign_up = std::thread::spawn(move || {
            let user = json!({ "ClientId": client, "Username": "jane", "Password": "Correct-horse-1" });
            let arguments = ["call", "SignUp", &user.to_string(), "--grpc-addr", &grpc.to_string()].map(str::to_owned);
            installation.output(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        });
        // The hash has begun once the process uses the processor.
        let busy = || cpu_ticks(id);
        let idle = busy();
        assert!(poll_until(PATIENCE, || busy() > idle + 20), "no hash is made");
        server.signal(Signal::SIGTERM);
        let output = sign_up.join().expect("it does not panic");
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), server.log());
        server
    })
    .await;
    let mut server = server;
    assert!(blocking(move || server.wait()).await.success());
}

/// Processor time that a process has used, in the kernel's ticks.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(11..13).unwrap_or_default().iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_a_database_that_is_not_there_yet_and_answers_for_its_health() {
    let (mut process, database, [address, http]) = blocking(|| {
        let postgres = Postgres::start();
        postgres.create_database("late");
        let prepared = Installation::on(&postgres.url("late"));
        let nobody = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let addresses = nobody.map(|listener| listener.local_addr().expect("an address"));
        let (_, port_and_rest) = prepared.database_url.rsplit_once(':').expect("a port");
        let port: u16 = port_and_rest.split('/').next().and_then(|port| port.parse().ok()).expect("a port");
        let url = prepared.database_url.replace(&format!(":{port}/"), &format!(":{}/", addresses[0].port()));
        let late = Installation { database_url: url, ..prepared };
        // Before it is ready, the server does not say where it listens.
        let http = addresses[1].to_string();
        let mut command = late.command(&["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", &http]);
        command.args(["--public-url", "https://users.example"]).env("USERPOOL_SHUTDOWN_PAUSE", "0");
        (Process::spawn(command), (postgres, port), addresses)
    })
    .await;
    while !process.log().contains("the database is not there yet") {
        assert!(!process.has_ended(), "{}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(process.output(), "");
    let answer = async |path: &str| {
        let answer = tokio::time::timeout(PATIENCE, get(http, path)).await.expect("it answers while it waits");
        (answer.status, answer.text())
    };
    assert_eq!(answer("/healthz").await, (200, "ok".to_owned()));
    for path in ["/readyz", "/metrics", "/"] {
        assert_eq!(answer(path).await, (503, "the server waits for its database".to_owned()), "{path}");
    }
    // Callers who say nothing, or not all, hold nothing up.
    let _silent = TcpStream::connect(http).await.expect("it accepts");
    let mut half = TcpStream::connect(http).await.expect("it accepts");
    half.write_all(b"GET /healthz HTTP/1.1\r\n").await.expect("it is read");
    let listener = TcpListener::bind(address).await.expect("the port is still free");
    tokio::spawn(forward(listener, database.1));
    let server = blocking(move || Serve::ready(process)).await;
    assert_eq!((server.http, answer("/readyz").await), (http, (200, "ready".to_owned())));
    blocking(move || drop((server, database))).await;
}

async fn forward(listener: TcpListener, port: u16) {
    while let Ok((mut from, _)) = listener.accept().await {
        let mut to = TcpStream::connect(("127.0.0.1", port)).await.expect("Postgres listens");
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
    }
}

#[test]
fn a_password_is_hashed_again_at_sign_in_once_the_setting_has_changed() {
    let installation = installation("serve_rehash");
    let (user, sign_in);
    {
        let server = installation.start(&[]);
        let create = |operation: &str, request: &Value| call(&installation, &server, operation, request, &[]);
        let pool = create("CreateUserPool", &json!({ "PoolName": "rehash" }))["UserPool"]["Id"].clone();
        let flows = ["ALLOW_USER_PASSWORD_AUTH"];
        let client = json!({ "UserPoolId": pool, "ClientName": "app", "ExplicitAuthFlows": flows });
        let client = create("CreateUserPoolClient", &client)["UserPoolClient"]["ClientId"].clone();
        let password = "Correct-horse-1";
        create("SignUp", &json!({ "ClientId": client, "Username": "jane", "Password": password }));
        user = json!({ "UserPoolId": pool, "Username": "jane" });
        create("AdminConfirmSignUp", &user);
        let parameters = json!({ "USERNAME": "jane", "PASSWORD": password });
        sign_in = json!({ "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters });
        create("InitiateAuth", &sign_in);
    }
    let rehashes = || installation.run(&["log", "tail"]).matches("user.password_rehashed").count();
    assert_eq!(rehashes(), 0);
    // The second sign-in finds the new hash.
    for _ in 0..2 {
        let server = installation.start(&["--password-hash-passes", "3"]);
        let tokens = call(&installation, &server, "InitiateAuth", &sign_in, &[]);
        assert!(tokens["AuthenticationResult"]["AccessToken"].is_string(), "{tokens}");
        assert_eq!(rehashes(), 1);
    }
    let verified = installation.run(&["log", "verify"]);
    assert!(verified.starts_with("Log and read models agree"), "{verified}");
}

#[test]
fn where_groups_may_be_deleted_with_members_their_membership_ends_with_them() {
    let installation = installation("serve_groups");
    let server = installation.start(&["--delete-groups-with-members"]);
    let call = |operation: &str, request: &Value| call(&installation, &server, operation, request, &[]);
    let pool = call("CreateUserPool", &json!({ "PoolName": "groups" }))["UserPool"]["Id"].clone();
    let flows = ["ALLOW_USER_PASSWORD_AUTH"];
    let client = json!({ "UserPoolId": pool, "ClientName": "app", "ExplicitAuthFlows": flows });
    let client = call("CreateUserPoolClient", &client)["UserPoolClient"]["ClientId"].clone();
    let password = "Correct-horse-1";
    call("SignUp", &json!({ "ClientId": client, "Username": "jane", "Password": password }));
    let jane = json!({ "UserPoolId": pool, "Username": "jane" });
    call("AdminConfirmSignUp", &jane);
    for group in ["editors", "readers"] {
        call("CreateGroup", &json!({ "UserPoolId": pool, "GroupName": group }));
        call("AdminAddUserToGroup", &json!({ "UserPoolId": pool, "Username": "jane", "GroupName": group }));
    }
    let groups_of_tokens = || {
        let parameters = json!({ "USERNAME": "jane", "PASSWORD": password });
        let request = json!({ "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters });
        let tokens = call("InitiateAuth", &request)["AuthenticationResult"].clone();
        ["IdToken", "AccessToken"].map(|name| {
            let payload = tokens[name].as_str().and_then(|token| token.split('.').nth(1)).expect("a payload");
            let claims = URL_SAFE_NO_PAD.decode(payload).expect("base64");
            serde_json::from_slice::<Value>(&claims).expect("JSON")["cognito:groups"].clone()
        })
    };
    assert_eq!(groups_of_tokens(), [json!(["editors", "readers"]), json!(["editors", "readers"])]);

    let editors = json!({ "UserPoolId": pool, "GroupName": "editors" });
    call("DeleteGroup", &editors);
    assert_eq!(groups_of_tokens(), [json!(["readers"]), json!(["readers"])]);
    let groups = call("AdminListGroupsForUser", &jane)["Groups"].clone();
    assert_eq!(groups.as_array().map(Vec::len), Some(1), "{groups}");
    // A new group of the same name has its own members.
    call("CreateGroup", &editors);
    assert_eq!(call("ListUsersInGroup", &editors)["Users"], json!([]));
    assert_eq!(groups_of_tokens(), [json!(["readers"]), json!(["readers"])]);
    let verified = installation.run(&["log", "verify"]);
    assert!(verified.starts_with("Log and read models agree"), "{verified}");
}

/// Where and through which client users sign in.
struct Doorway {
    name: &'static str,
    grpc: SocketAddr,
    http: SocketAddr,
    client: String,
}

impl Doorway {
    /// Signs in over a new connection; returns the exception if it is refused.
    async fn sign_in(&self, username: &str, password: &str) -> Option<String> {
        let parameters = json!({ "USERNAME": username, "PASSWORD": password });
        let request =
            json!({ "ClientId": self.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters });
        let info = Operation::InitiateAuth.info();
        if self.name == "http" {
            let target = wire::target(info.name);
            let headers = [("x-amz-target", target.as_str())];
            let answer = send(self.http, "POST", "/", &headers, request.to_string().as_bytes()).await;
            return (answer.status != 200).then(|| answer.exception().0);
        }
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.grpc)).expect("an address");
        let channel = endpoint.connect().await.expect("the server listens");
        let answer = wire::grpc_as(&channel, info.path, None, wire::message_of(info.request, &request)).await;
        answer.err().map(|status| wire::Refusal::of_status(&status).exception)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_during_a_sign_in_leaves_their_place_to_others() {
    const BUSY: Option<&str> = Some("TooManyRequestsException");
    let (installation, server) = blocking(|| {
        let installation = installation("serve_hang_up");
        // Expensive hashes, so that the queue lasts long enough.
        let server = installation.start(&["--password-hash-passes", "40", "--hashing-threads", "1"]);
        (installation, server)
    })
    .await;
    let (installation, server, pool, client) = blocking(move || {
        let call = |operation: &str, request: &Value| call(&installation, &server, operation, request, &[]);
        let pool = call("CreateUserPool", &json!({ "PoolName": "hang-up" }))["UserPool"]["Id"].clone();
        let client = json!({
            "UserPoolId": pool,
            "ClientName": "app",
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
            "PreventUserExistenceErrors": "ENABLED",
        });
        let client = call("CreateUserPoolClient", &client)["UserPoolClient"]["ClientId"].clone();
        call("SignUp", &json!({ "ClientId": client, "Username": "jane", "Password": "Correct-horse-1" }));
        call("AdminConfirmSignUp", &json!({ "UserPoolId": pool, "Username": "jane" }));
        let text = |json: &Value| json.as_str().expect("an id").to_owned();
        let (pool, client) = (text(&pool), text(&client));
        (installation, server, pool, client)
    })
    .await;
    let database = sqlx::PgPool::connect(&installation.database_url).await.expect("the database is there");
    // How many sign-ins were recorded: one at an unknown name costs the same hash and is recorded after it.
    let recorded = async || -> i64 {
        let count = "select count(*) from activity where user_pool_id = $1 and type = 'user.sign_in_refused'";
        sqlx::query_scalar(count).bind(&pool).fetch_one(&database).await.expect("the table is there")
    };
    for name in ["http", "grpc"] {
        let doorway = Arc::new(Doorway { name, grpc: server.grpc, http: server.http, client: client.clone() });
        let before = recorded().await;
        let mut callers = tokio::task::JoinSet::new();
        for number in 0..50 {
            let doorway = doorway.clone();
            callers.spawn(async move { doorway.sign_in(&format!("nobody-{number}"), "Wrong-horse-1").await });
        }
        // The first refusal shows that the queue is full: one caller's hash is under way, and others wait.
        let mut answered = 0;
        while callers.join_next().await.expect("the queue has an end").expect("it does not panic").as_deref() != BUSY {
            answered += 1;
        }
        callers.shutdown().await;
        let mut outcome = doorway.sign_in("jane", "Correct-horse-1").await;
        let began = Instant::now();
        while outcome.as_deref() == BUSY && began.elapsed() < PATIENCE {
            outcome = doorway.sign_in("jane", "Correct-horse-1").await;
        }
        assert_eq!(outcome, None, "{name}");
        // The hash that was under way may have been completed.
        let done = recorded().await - before - answered;
        assert!(done <= 1, "{name}: {done} were served who had hung up");
    }
}

#[test]
fn logs_can_be_objects_for_collectors() {
    let installation = installation("serve_json");
    let mut server = installation.start(&["--log-format", "json"]);
    assert!(server.end(Signal::SIGTERM).success());
    let log = server.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_behind_a_trusted_proxy_is_known_by_the_address_that_the_proxy_tells() {
    let (installation, server) = blocking(|| {
        let installation = installation("serve_proxies");
        let server = installation.start(&["--trusted-proxies", "127.0.0.0/8,10.0.0.7"]);
        (installation, server)
    })
    .await;
    let (installation, server, pool, client) = blocking(move || {
        let pool = call(&installation, &server, "CreateUserPool", &json!({ "PoolName": "proxies" }), &[]);
        let pool = pool["UserPool"]["Id"].as_str().expect("an id").to_owned();
        let client = json!({ "UserPoolId": pool, "ClientName": "app" });
        let client = call(&installation, &server, "CreateUserPoolClient", &client, &[]);
        (installation, server, pool, client["UserPoolClient"]["ClientId"].clone())
    })
    .await;
    let body = json!({ "ClientId": client, "Username": "jane", "Password": "Correct-horse-1" }).to_string();
    let headers = [
        ("x-amz-target", "AWSCognitoIdentityProviderService.SignUp"),
        ("x-forwarded-for", "203.0.113.9, 198.51.100.4, 10.0.0.7"),
    ];
    let answer = send(server.http, "POST", "/", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    // Addresses that 198.51.100.4 names don't count. The address is sealed under the user's key, because the user is
    // the actor.
    let database = sqlx::PgPool::connect(&installation.database_url).await.expect("the database is there");
    let (stream, sealed, owner): (String, String, String) = sqlx::query_as(
        "select stream_id, metadata->>'address', split_part(stream_id, '/', 2) from log where type = 'user.signed_up'",
    )
    .fetch_one(&database)
    .await
    .expect("a user signed up");
    let (id, wrapped): (uuid::Uuid, Vec<u8>) =
        sqlx::query_as("select key_id, wrapped from keys where kind = 'user' and owner = $1")
            .bind(owner)
            .fetch_one(&database)
            .await
            .expect("the user has a key");
    let keys = MasterKeys::read(&installation.keys).expect("they were written");
    let pool = UserPoolId::new(pool);
    let view = Store::new(database, Arc::new(keys)).pool_hint(&pool).await.expect("the pool is there");
    let key = view.keys.unwrap_user_key(id, &Sealed(wrapped)).expect("its own key");
    let sealed: Sealed = serde_json::from_value(Value::String(sealed)).expect("a blob");
    let place = Place { pool: &pool, stream: &StreamId::new(stream), class: FieldClass::CallerAddress };
    assert_eq!(key.open(place, &sealed).expect("it is sealed there"), b"198.51.100.4");
    blocking(move || drop(server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_longer_than_its_caller_waits_is_ended() {
    let (server, client) = blocking(|| {
        let installation = installation("serve_deadline");
        let server = installation.start(&["--password-hash-passes", "60"]);
        let pool = call(&installation, &server, "CreateUserPool", &json!({ "PoolName": "deadline" }), &[]);
        let client = json!({ "UserPoolId": pool["UserPool"]["Id"], "ClientName": "app" });
        let client = call(&installation, &server, "CreateUserPoolClient", &client, &[]);
        (server, client["UserPoolClient"]["ClientId"].as_str().expect("an id").to_owned())
    })
    .await;
    let request = SignUpRequest {
        client_id: Some(client),
        username: Some("jane".to_owned()),
        password: Some("Correct-horse-1".to_owned()),
        ..Default::default()
    };
    let message = request.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let headers = [("content-type", "application/grpc-web+proto"), ("grpc-timeout", "50m")];
    let answer = wire::send(server.grpc, "POST", "/userpool.v1.SignUpService/SignUp", &headers, &body).await;
    // 4 is DEADLINE_EXCEEDED.
    assert_eq!(answer.header("grpc-status"), Some("4"), "{answer:?}");
    blocking(move || drop(server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_a_sign_up_arrives_by_the_mail_relay_that_is_configured() {
    let relay = Relay::start(Protection::Starttls, Some(("userpool", "relay-password"))).await;
    let port = relay.address.port();
    let (installation, server, pool) = blocking(move || {
        let installation = installation("serve_mail");
        let password = installation.write("smtp-password", "relay-password\n");
        let email = format!(
            "[email]\nhost = '127.0.0.1'\nport = {port}\nsecurity = 'starttls'\nusername = 'userpool'\n\
             password-file = '{}'\nca-file = '{}'\nfrom = 'Users <users@example.com>'\n",
            password.display(),
            ca_file().display()
        );
        let config = installation.write("userpool.toml", &email);
        let server = installation.start(&["--config", argument(&config)]);
        let pool = json!({ "PoolName": "mail", "AutoVerifiedAttributes": ["email"] });
        let pool = call(&installation, &server, "CreateUserPool", &pool, &[])["UserPool"]["Id"].clone();
        (installation, server, pool)
    })
    .await;
    let (server, client) = blocking(move || {
        let client = json!({ "UserPoolId": pool, "ClientName": "app" });
        let client = call(&installation, &server, "CreateUserPoolClient", &client, &[]);
        let client = client["UserPoolClient"]["ClientId"].clone();
        let attributes = [json!({ "Name": "email", "Value": "jane@example.com" })];
        let password = "Correct-horse-1";
        let user =
            json!({ "ClientId": client, "Username": "jane", "Password": password, "UserAttributes": attributes });
        let answer = call(&installation, &server, "SignUp", &user, &[]);
        assert_eq!(answer["CodeDeliveryDetails"]["Destination"], "j***@e***");
        ((installation, server), client)
    })
    .await;
    until("the e-mail arrives", async || !relay.mails_for("jane@example.com").is_empty()).await;
    let mail = relay.mails_for("jane@example.com").remove(0);
    assert!(mail.header("From").is_some_and(|from| from.contains("users@example.com")), "{mail:?}");
    let code: String = mail.body().chars().filter(char::is_ascii_digit).collect();
    blocking(move || {
        let (installation, server) = server;
        let confirmation = json!({ "ClientId": client, "Username": "jane", "ConfirmationCode": code });
        call(&installation, &server, "ConfirmSignUp", &confirmation, &[]);
        assert!(!server.log().contains("jane@example.com"), "{}", server.log());
        drop(server);
    })
    .await;
    assert_eq!(relay.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_does_not_show_what_the_database_said() {
    let (installation, server) = blocking(|| {
        let installation = installation("serve_ready");
        let server = installation.start(&[]);
        (installation, server)
    })
    .await;
    let database = sqlx::PgPool::connect(&installation.database_url).await.expect("a connection");
    sqlx::query("alter table meta rename to hidden").execute(&database).await.expect("it is renamed");
    // An answer is kept for a moment.
    let says = async |status: u16, text: &str| {
        let answer = get(server.http, "/readyz").await;
        (answer.status, answer.text().as_str()) == (status, text)
    };
    for _ in 0..2 {
        until("it is not ready", async || says(503, "the database does not answer").await).await;
    }
    sqlx::query("alter table hidden rename to meta").execute(&database).await.expect("it is renamed back");
    until("it is ready again", async || says(200, "ready").await).await;
    let log = server.log();
    assert_eq!(log.matches("the server is not ready").count(), 1, "{log}");
    assert!(log.contains("meta") && log.contains("the server is ready again"), "{log}");
    blocking(move || drop(server)).await;
}

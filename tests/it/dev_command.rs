//! The command line as a person uses it: `userpool dev` from its first start to its last, `call`, and `log`.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::dev::{Dev, data_directory, is_alive, shared};
use crate::support::poll_until;
use crate::support::process::userpool;
use crate::support::reaper::{End, reaper};

pub type Variables = BTreeMap<String, String>;

/// Runs the program to its end.
pub fn run(arguments: &[&str], variables: &Variables) -> Output {
    userpool().args(arguments).envs(variables).output().expect("the binary was built with this test")
}

pub fn call(operation: &str, request: &Value, variables: &Variables) -> Value {
    let output = run(&["call", operation, &request.to_string()], variables);
    assert!(output.status.success(), "{operation}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{operation}: {error}: {}", text(&output.stdout)))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The single sentence on standard error of a process that ended at once.
pub fn sentence_of(mut dev: Dev) -> String {
    assert!(!dev.is_ready(), "it started: {}", dev.output());
    assert_eq!(dev.wait().code(), Some(1));
    assert_eq!(dev.output(), "");
    let log = dev.log();
    let said: Vec<_> = log.lines().collect();
    assert_eq!(said.len(), 1, "one sentence, not:\n{log}");
    said[0].strip_prefix("userpool: ").unwrap_or_else(|| panic!("not a sentence of ours: {log}")).to_owned()
}

/// Waits until the database server of a data directory has ended.
fn assert_gone(postmaster: u32) {
    assert!(poll_until(Duration::from_secs(20), || !is_alive(postmaster)), "process {postmaster} is left behind");
    reaper().forget_pid(postmaster);
}

/// Starts on a data directory with its own database. If the test fails, the database server ends too.
fn start(data: &Path, adjust: impl FnOnce(&mut Command)) -> (Dev, u32) {
    let dev = Dev::start(data, adjust);
    let postmaster = dev.postmaster().expect("it has a database of its own");
    reaper().watch(postmaster, End::Quit);
    assert!(is_alive(postmaster));
    (dev, postmaster)
}

#[test]
fn a_second_start_finds_the_data_whatever_ended_the_first() {
    let data = data_directory("lives");
    let (mut dev, postmaster) = start(&data, |_| {});
    assert_ready_line(&dev);
    let variables = dev.variables();
    assert_variables(&data, &variables);
    let pool = call("CreateUserPool", &json!({ "PoolName": "kept" }), &variables);
    let id = pool["UserPool"]["Id"].as_str().expect("an id").to_owned();
    let wanted = json!({ "UserPoolId": id });

    assert!(dev.end(Signal::SIGTERM).success(), "{}", dev.log());
    assert_gone(postmaster);

    // The same credential works at the second run's addresses.
    let (mut dev, postmaster) = start(&data, |_| {});
    let second = dev.variables();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "USERPOOL_TOKEN", "USERPOOL_DATABASE_URL"] {
        assert_eq!(second[name], variables[name], "{name}");
    }
    assert_eq!(call("DescribeUserPool", &wanted, &second)["UserPool"], pool["UserPool"]);

    // A second run on the same directory names the first one.
    let sentence = sentence_of(Dev::spawn(&data, |_| {}));
    assert!(sentence.contains(&format!("another `userpool dev` (process {}) is running on", dev.id())), "{sentence}");

    dev.end(Signal::SIGKILL);
    // Variables from dev.env, as a shell has them after reading it, lead to this database and this broker only.
    let (mut dev, next) = start(&data, |command| {
        command.envs(&second);
    });
    assert_gone(postmaster);
    assert_eq!(call("DescribeUserPool", &wanted, &dev.variables())["UserPool"], pool["UserPool"]);
    assert_eq!(dev.variables()["USERPOOL_TOKEN"], variables["USERPOOL_TOKEN"]);

    assert!(dev.end(Signal::SIGINT).success(), "{}", dev.log());
    assert_gone(next);
    let output = run(&["call", "DescribeUserPool", "{}"], &dev.variables());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("userpool: no server answers at "), "{}", text(&output.stderr));
}

#[test]
fn a_start_that_is_broken_off_leaves_nothing_behind() {
    let data = data_directory("broken-off");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut dev = Dev::spawn(&data, |_| {});
        // As soon as its database server runs, long before it is ready.
        assert!(poll_until(Duration::from_secs(60), || dev.postmaster().is_some_and(is_alive)), "{}", dev.log());
        let postmaster = dev.postmaster().expect("it was there");
        reaper().watch(postmaster, End::Quit);
        assert!(dev.end(signal).success(), "{}", dev.log());
        assert_gone(postmaster);
    }
}

fn assert_ready_line(dev: &Dev) {
    let (output, variables) = (dev.output(), dev.variables());
    assert_eq!(output.lines().count(), 1, "{output}");
    assert!(output.starts_with("userpool dev is ready: "), "{output}");
    for name in ["USERPOOL_GRPC_ADDR", "USERPOOL_HTTP_ADDR", "USERPOOL_KAFKA_BROKERS"] {
        assert!(output.contains(&variables[name]), "{name} is not in: {output}");
    }
    for name in ["AWS_SECRET_ACCESS_KEY", "USERPOOL_DATABASE_URL"] {
        assert!(!output.contains(&variables[name]), "{name} is in: {output}");
    }
}

fn assert_variables(data: &Path, variables: &Variables) {
    let file = data.join("dev.env");
    assert_eq!(fs::metadata(&file).expect("it is written").permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(data.join("master.keys")).expect("it is written").permissions().mode() & 0o7777, 0o600);
    let value = |name: &str| variables.get(name).unwrap_or_else(|| panic!("{name} is not in dev.env")).as_str();
    assert_eq!(value("AWS_ACCESS_KEY_ID").len(), 20);
    assert_eq!(value("AWS_SECRET_ACCESS_KEY").len(), 40);
    assert_eq!(value("AWS_REGION"), "us-east-1");
    let http = value("USERPOOL_HTTP_ADDR");
    assert_eq!(value("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"), format!("http://{http}"));
    assert_eq!(value("USERPOOL_TOKEN"), format!("{}.{}", value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY")));
    for name in ["USERPOOL_GRPC_ADDR", "USERPOOL_HTTP_ADDR", "USERPOOL_KAFKA_BROKERS"] {
        let address: Result<std::net::SocketAddr, _> = value(name).parse();
        assert!(address.is_ok_and(|address| address.ip().is_loopback()), "{name} is {}", value(name));
    }
    assert!(value("USERPOOL_DATABASE_URL").starts_with("postgres://"));
    // A shell can read the file.
    let script = ". \"$1\" && printf %s \"$USERPOOL_TOKEN\"";
    let shell = Command::new("/bin/sh").args(["-c", script, "sh"]).arg(&file).output().expect("a shell starts");
    assert_eq!(text(&shell.stdout), value("USERPOOL_TOKEN"));
}

#[test]
fn a_port_in_use_is_told_and_nothing_is_left_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for flag in ["--grpc-addr", "--http-addr"] {
        let data = data_directory("port").join("data");
        let dev = Dev::spawn(&data, |command| {
            command.args([flag, &address]);
        });
        let expected = format!("{address} is in use by another process: choose another address with {flag}");
        assert_eq!(sentence_of(dev), expected);
        assert!(!data.exists(), "nothing is made before the ports are had");
    }
}

#[test]
fn an_obstacle_to_the_database_is_told_in_one_sentence() {
    let data = data_directory("version");
    fs::create_dir(data.join("postgres")).expect("the directory is ours");
    fs::write(data.join("postgres/PG_VERSION"), "9\n").expect("the directory is ours");
    let sentence = sentence_of(Dev::spawn(&data, |_| {}));
    assert!(sentence.contains("was made by PostgreSQL 9, but here is PostgreSQL 1"), "{sentence}");
    assert!(sentence.contains("install version 9, or move that directory away to start afresh"), "{sentence}");

    let data = data_directory("stranger");
    fs::create_dir(data.join("postgres")).expect("the directory is ours");
    fs::write(data.join("postgres/diary.txt"), "dear diary").expect("the directory is ours");
    let sentence = sentence_of(Dev::spawn(&data, |_| {}));
    assert!(sentence.contains("is not a PostgreSQL data directory: move it away"), "{sentence}");
    assert_eq!(fs::read_to_string(data.join("postgres/diary.txt")).expect("it is kept"), "dear diary");

    let data = data_directory("file").join("data");
    fs::write(&data, "").expect("the directory is ours");
    let sentence = sentence_of(Dev::spawn(&data, |_| {}));
    assert!(sentence.starts_with("the data directory ") && sentence.contains(" can't be made: "), "{sentence}");
}

#[test]
fn a_database_that_is_not_there_is_told_in_one_sentence() {
    let data = data_directory("nowhere");
    let dev = Dev::spawn(&data, |command| {
        command.env("USERPOOL_DATABASE_URL", "postgres://somebody:hidden@127.0.0.1:1/none");
    });
    let sentence = sentence_of(dev);
    assert!(sentence.starts_with("the database can't be reached: "), "{sentence}");
    assert!(!sentence.contains("hidden"), "{sentence}");
}

#[test]
fn call_prints_json_and_tells_a_refusal_by_its_exception() {
    let variables = shared().dev.variables();
    let made = call("CreateUserPool", &json!({ "PoolName": "called" }), &variables);
    let id = made["UserPool"]["Id"].as_str().expect("an id");
    let described = call("DescribeUserPool", &json!({ "UserPoolId": id }), &variables);
    assert_eq!(described["UserPool"]["Name"], "called");
    for (arguments, told) in [
        (["call", "NoSuchOperation", "{}"], "userpool: there is no operation NoSuchOperation\n"),
        (
            ["call", "DescribeUserPool", r#"{"UserPoolId":"us-east-1_nothing00"}"#],
            "userpool: ResourceNotFoundException: User pool us-east-1_nothing00 does not exist.\n",
        ),
        (["call", "DescribeUserPool", "{"], "userpool: The request is not valid JSON in UTF-8.\n"),
        (["call", "DescribeUserPool", r#"{"UserPoolId":1}"#], "userpool: UserPoolId must be a string.\n"),
        (
            ["call", "DescribeUserPool", "{}"],
            "userpool: InvalidParameterException: 1 validation error detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null\n",
        ),
        (
            ["call", "ListIdentityProviders", r#"{"UserPoolId":"us-east-1_nowhere00"}"#],
            "userpool: NotImplementedException: ListIdentityProviders is not implemented yet.\n",
        ),
    ] {
        let output = run(&arguments, &variables);
        assert_eq!(
            (output.status.code(), text(&output.stderr).as_str(), text(&output.stdout).as_str()),
            (Some(1), told, ""),
            "{arguments:?}"
        );
    }
    let mut strangers = variables.clone();
    strangers.insert("USERPOOL_TOKEN".to_owned(), "AKIAAAAAAAAAAAAAAAAA.wrong".to_owned());
    let output = run(&["call", "DescribeUserPool", "{}"], &strangers);
    assert!(text(&output.stderr).starts_with("userpool: UnrecognizedClientException: "), "{}", text(&output.stderr));
}

#[test]
fn the_log_is_readable_and_verify_names_what_differs() {
    let server = shared();
    let variables = server.dev.variables();
    let pool = call("CreateUserPool", &json!({ "PoolName": "verified" }), &variables);
    let id = pool["UserPool"]["Id"].as_str().expect("an id").to_owned();
    let client = json!({ "UserPoolId": id, "ClientName": "verified" });
    let client = call("CreateUserPoolClient", &client, &variables)["UserPoolClient"]["ClientId"].clone();
    let client = client.as_str().expect("an id").to_owned();
    let sign_up = json!({
        "ClientId": client, "Username": "reader", "Password": "Correct-horse-1",
        "UserAttributes": [{ "Name": "email", "Value": "reader@example.com" }],
    });
    let sub = call("SignUp", &sign_up, &variables)["UserSub"].as_str().expect("an id").to_owned();

    let output = run(&["log", "tail", "--pool", &id], &variables);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    let lines: Vec<_> = told.lines().collect();
    for (at, kind, stream, operation) in [
        (0, "user_pool.created", "pool v1", "CreateUserPool"),
        (3, "app_client.created", "clients/", "CreateUserPoolClient"),
        (4, "user.signed_up", "users/", "SignUp"),
    ] {
        let line = lines.get(at).unwrap_or_else(|| panic!("no line {at} in:\n{told}"));
        for part in [kind, stream, operation, id.as_str()] {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
    }
    assert!(!told.contains("reader@example.com") && !told.contains("Correct-horse-1"), "{told}");

    let verify = || run(&["log", "verify", "--pool", &id], &variables);
    let output = verify();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).starts_with("Log and read models agree: "), "{}", text(&output.stdout));

    let user = format!("users/{sub}");
    let kept = "where user_pool_id = '{pool}'";
    for (breaking, mending, told) in [
        (
            "update users set state = state || '{\"enabled\": false}' {kept}",
            "update users set state = state || '{\"enabled\": true}' {kept}",
            format!("{id}: {user}: the read model differs from the log in `enabled`"),
        ),
        (
            "update users set version = version + 1 {kept}",
            "update users set version = version - 1 {kept}",
            format!("{id}: {user} is at version"),
        ),
        (
            "create table aside as select * from users {kept}; delete from users {kept}",
            "insert into users select * from aside; drop table aside",
            format!("{id}: {user} has no row in its read model"),
        ),
        (
            "update names set name = name || 'x' {kept}",
            "update names set name = left(name, -1) {kept}",
            format!("{id}: {user} lacks a name that it has claimed"),
        ),
        (
            "update clients set state = jsonb_set(state, '{settings,client_name}', '\"other\"') {kept}",
            "update clients set state = jsonb_set(state, '{settings,client_name}', '\"verified\"') {kept}",
            format!("{id}: clients/{client}: the read model differs from the log in `settings`"),
        ),
    ] {
        let filled = |statement: &str| statement.replace("{kept}", kept).replace("{pool}", &id);
        server.postgres.execute("shared", &filled(breaking));
        let output = verify();
        assert_eq!(output.status.code(), Some(1), "{breaking}");
        assert!(text(&output.stdout).contains(&told), "{breaking}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(" between log and read models in "), "{}", text(&output.stderr));
        assert!(!text(&output.stdout).contains("reader@example.com"), "{}", text(&output.stdout));
        server.postgres.execute("shared", &filled(mending));
        let output = verify();
        assert!(output.status.success(), "{mending}: {}", text(&output.stdout));
    }
}

#[test]
fn malformed_arguments_are_refused_with_the_right_form() {
    for arguments in [&[][..], &["nothing"], &["dev", "--grpc-addr", "here"], &["log", "verify", "--pol", "a"]] {
        let output = userpool().args(arguments).output().expect("the binary was built with this test");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains("Usage") || text(&output.stderr).contains("--help"),
            "{}",
            text(&output.stderr)
        );
    }
    let output = userpool().arg("--version").output().expect("the binary was built with this test");
    assert!(text(&output.stdout).starts_with("userpool "));
}

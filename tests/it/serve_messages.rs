//! Messages of a production server: sent by its configuration, and managed by an operator at the command line.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::client::eventually as poll;
use crate::support::dev::shared;
use crate::support::http::get;
use crate::support::serve::{Installation, Serve, argument};
use crate::support::smtp::{Answer, Protection, Relay, ca_file, until};

const PASSWORD: &str = "Correct-horse-7";

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// An installation with a server that has a mail relay and no SMS gateway.
fn start(relay: SocketAddr) -> (Installation, Serve) {
    let postgres = &shared().postgres;
    postgres.create_database("serve_messages");
    let installation = Installation::on(&postgres.url("serve_messages"));
    let password = installation.write("smtp-password", "hunter2\n");
    let config = format!(
        "[email]\nhost = 'localhost'\nport = {}\nca-file = {:?}\nfrom = 'Codes <codes@example.org>'\n\
         username = 'userpool'\npassword-file = {password:?}\n",
        relay.port(),
        ca_file(),
    );
    let config = installation.write("userpool.toml", &config);
    let server = installation.start(&["--config", argument(&config)]);
    (installation, server)
}

fn call(installation: &Installation, server: &Serve, operation: &str, request: &Value) -> Value {
    let (grpc, request) = (server.grpc.to_string(), request.to_string());
    let arguments = ["call", operation, &request, "--grpc-addr", &grpc, "--token", &installation.token];
    serde_json::from_str(&installation.run(&arguments)).expect("it prints JSON")
}

/// A pool that verifies addresses of one kind. Returns its id and the id of its client.
fn pool(installation: &Installation, server: &Serve, attribute: &str) -> (String, String) {
    let request = json!({ "PoolName": attribute, "AutoVerifiedAttributes": [attribute] });
    let created = call(installation, server, "CreateUserPool", &request);
    let pool = created["UserPool"]["Id"].as_str().expect("an id").to_owned();
    let request = json!({ "UserPoolId": pool, "ClientName": "app" });
    let created = call(installation, server, "CreateUserPoolClient", &request);
    (pool, created["UserPoolClient"]["ClientId"].as_str().expect("an id").to_owned())
}

fn sign_up(installation: &Installation, server: &Serve, client: &str, name: &str, attribute: (&str, &str)) -> Value {
    let attributes = json!([{ "Name": attribute.0, "Value": attribute.1 }]);
    let request = json!({ "ClientId": client, "Username": name, "Password": PASSWORD, "UserAttributes": attributes });
    call(installation, server, "SignUp", &request)
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_leave_by_the_relay_and_an_operator_sees_and_revives_those_that_did_not() {
    let relay = Relay::start(Protection::Tls, Some(("userpool", "hunter2"))).await;
    relay.answers(|verb, to| match (verb, to) {
        ("RCPT", "joan@example.com") => Answer::Line("550 5.1.1 <joan@example.com> is not here".to_owned()),
        _ => Answer::Usual,
    });
    let address = relay.address;
    let (installation, server, email_pool) = blocking(move || {
        let (installation, server) = start(address);
        let (email_pool, client) = pool(&installation, &server, "email");
        let (_, phone_client) = pool(&installation, &server, "phone_number");
        let answer = sign_up(&installation, &server, &client, "jane", ("email", "jane@example.com"));
        assert_eq!(answer["CodeDeliveryDetails"]["Destination"], "j***@e***");
        sign_up(&installation, &server, &client, "joan", ("email", "joan@example.com"));
        sign_up(&installation, &server, &phone_client, "june", ("phone_number", "+12025550123"));
        (installation, server, (email_pool, client))
    })
    .await;
    let arrived = poll(async || relay.mails_for("jane@example.com").len() == 1).await;
    assert!(arrived, "jane's e-mail did not arrive; the server says:\n{}", server.log());
    let mail = relay.mails().remove(0);
    assert!(mail.encrypted && mail.user.as_deref() == Some("userpool"));
    let code = mail.body().rsplit(' ').next().expect("a code").to_owned();
    assert_eq!(get(server.http, "/dev/messages").await.status, 404, "there is no mailbox in production");
    until("both others are given up, and counted", async || {
        let metrics = get(server.http, "/metrics").await.text();
        let counted = |line: &str| metrics.lines().any(|found| found == line);
        counted("userpool_messages_dead_total{medium=\"EMAIL\"} 1")
            && counted("userpool_messages_dead_total{medium=\"SMS\"} 1")
            && counted("userpool_messages_delivered_total{medium=\"EMAIL\"} 1")
    })
    .await;

    relay.answers(|_, _| Answer::Usual);
    let (pool_id, client) = email_pool;
    let (installation, server) = blocking(move || {
        let request = json!({ "ClientId": client, "Username": "jane", "ConfirmationCode": code });
        call(&installation, &server, "ConfirmSignUp", &request);
        let listed = installation.run(&["messages", "list", "--dead"]);
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines.len(), 2, "{listed}");
        assert!(lines[0].ends_with("given up  after 1 attempts: the mail relay refuses the recipient (550 5.1.1)"));
        assert!(lines[1].ends_with("given up  after 1 attempts: no SMS gateway is configured"), "{listed}");
        assert!(!listed.contains("example.com") && !listed.contains("+1202"), "{listed}");
        assert!(!server.log().contains("joan@") && server.log().contains("a message is given up"), "{}", server.log());
        let of_pool = installation.run(&["messages", "list", "--pool", &pool_id]);
        assert_eq!(of_pool.lines().collect::<Vec<_>>(), &lines[..1]);

        let unknown = installation.output(&["messages", "retry", "00000000-0000-0000-0000-000000000000"]);
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no message"), "{unknown:?}");
        let (id, _) = lines[0].split_once(' ').expect("an id");
        assert_eq!(installation.run(&["messages", "retry", id]), "1 to be tried again.\n");
        (installation, server)
    })
    .await;
    until("joan's e-mail arrived", async || relay.mails_for("joan@example.com").len() == 1).await;
    let installation = blocking(move || {
        assert_eq!(installation.run(&["messages", "retry"]), "1 to be tried again.\n");
        installation
    })
    .await;
    until("the one without a way is given up again", async || {
        get(server.http, "/metrics").await.text().contains("userpool_messages_dead_total{medium=\"SMS\"} 2")
    })
    .await;
    let left = blocking(move || installation.run(&["messages", "list"])).await;
    assert_eq!(left.lines().count(), 1, "{left}");
}

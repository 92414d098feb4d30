//! The development console as a browser requests it. `tests/clients` runs it in a browser.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tonic::transport::Channel;
use userpool::proto::v1::*;

use crate::support::client::eventually;
use crate::support::dev::{Address, Dev, data_directory, shared, shared_server};
use crate::support::events::{self, DIRECTORY};
use crate::support::http::{Answer, send};
use crate::support::pool::{Pool, email_pool, password_client, unique, unique_phone};
use crate::support::stream::Following;
use crate::support::wire;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
/// A user name with markup, which Cognito's rules allow.
const HOSTILE: &str = "\"><script>alert(1)</script>";

async fn look(http: SocketAddr, path: &str) -> Answer {
    send(http, "GET", path, &[BROWSER], b"").await
}

/// Gets a page, and asserts what all pages have.
async fn page(http: SocketAddr, path: &str) -> String {
    let answer = look(http, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let header = |name: &str| answer.headers.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!(header("content-type"), "text/html; charset=utf-8", "{path}");
    assert_eq!((header("referrer-policy"), header("cache-control")), ("no-referrer", "no-store"), "{path}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
    let policy = header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    let text = answer.text();
    assert!(
        text.contains("<html lang=\"en\">") && text.contains("<main id=\"main\"") && text.contains("Skip to"),
        "{path}"
    );
    assert!(!text.contains(" style=") && !text.contains("<script>") && !text.contains(" onclick="), "{path}");
    text
}

/// A text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;").replace('\'', "&#39;")
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_message_is_shown_as_its_reader_sees_it_and_nothing_in_it_runs() {
    let template = VerificationMessageTemplateType {
        email_message: Some("<h1>Welcome</h1><script>alert(2)</script><p>Your code: <b>{####}</b></p>".to_owned()),
        email_subject: Some("For {username}".to_owned()),
        ..Default::default()
    };
    let request = CreateUserPoolRequest { verification_message_template: Some(template), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let (username, email) = (format!("{HOSTILE}{}", unique("")), format!("{}@example.com", unique("console")));
    pool.sign_up(&username, &[("email", &email)]).await.unwrap();
    let code = pool.api.code_for(&email).await;
    let http = pool.api.next().http;
    // A part of the address is enough, in any case.
    let part = encoded(&email.to_uppercase()[..20]);
    for query in [
        format!("to={}", encoded(&email)),
        format!("to={part}"),
        format!("pool={}&to={}", pool.id, encoded(&email)),
        format!("pool={}&kind=CODE_PURPOSE_SIGN_UP", pool.id),
        format!("pool={}&kind=EMAIL", pool.id),
    ] {
        let text = page(http, &format!("/dev/messages?{query}")).await;
        assert!(text.contains(&escaped(&format!("For {username}"))), "{query}: {text}");
        assert!(text.contains(&format!("data-copy=\"{code}\"")), "{text}");
        assert!(text.contains(&format!("<pre class=\"text\">Welcome\n\nYour code: {code}</pre>")), "{text}");
    }
    for query in
        [format!("pool={}&kind=SMS", pool.id), format!("pool={}&kind=invitation", pool.id), "to=%00".to_owned()]
    {
        assert!(page(http, &format!("/dev/messages?{query}")).await.contains("No such message yet"), "{query}");
    }
    let text = page(http, &format!("/dev/messages?to={}", encoded(&email))).await;
    let (_, frame) = text.split_once("<iframe ").expect("a frame");
    let (frame, _) = frame.split_once('>').expect("it ends");
    assert!(frame.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""), "{frame}");
    let source = frame.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an address");
    let body = look(http, source).await;
    assert_eq!(body.status, 200);
    assert!(body.text().contains(&format!("<p>Your code: <b>{code}</b></p>")), "{}", body.text());
    let policy = &body.headers["content-security-policy"];
    assert!(policy.contains("default-src 'none'") && policy.contains("; sandbox allow-popups"), "{policy}");
    assert!(
        !policy.contains("script-src") && !policy.contains("allow-same-origin") && !policy.contains("allow-scripts")
    );
    let (_, row) = source.split_once(&pool.id).expect("the pool is in the address");
    for other in [format!("/dev/messages/us-east-1_000000000{row}"), "/dev/messages/a/b/body".to_owned()] {
        assert!([400, 404].contains(&look(http, &other).await.status), "{other}");
    }
    pool.verify().await;
}

#[tokio::test]
async fn messages_are_found_by_what_they_are_for() {
    let pool = Pool::create_with(
        CreateUserPoolRequest {
            auto_verified_attributes: vec!["email".into(), "phone_number".into()],
            ..Default::default()
        },
        password_client(),
    )
    .await;
    let (invited, phone) = (unique("invited"), unique_phone());
    pool.create_user(&invited, &[("email", &format!("{invited}@example.com"))], "Temporary-horse-7").await;
    let person = pool.person("forgetful").await;
    let forgot = ForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(person.username.clone()),
        ..Default::default()
    };
    pool.api.call(forgot).await.unwrap();
    pool.api.messages_for(&person.email, 2).await;
    pool.sign_up(&unique("texted"), &[("phone_number", &phone)]).await.unwrap();
    pool.api.messages_for(&phone, 1).await;
    let http = pool.api.next().http;
    for (kind, to, count) in [
        ("CODE_PURPOSE_FORGOT_PASSWORD", person.email.clone(), 1),
        ("CODE_PURPOSE_SIGN_UP", person.email.clone(), 1),
        ("SMS", phone.clone(), 1),
        ("CODE_PURPOSE_VERIFY_EMAIL", String::new(), 0),
    ] {
        let text = page(http, &format!("/dev/messages?pool={}&kind={kind}&to={}", pool.id, encoded(&to))).await;
        assert_eq!(text.matches("<article").count(), count, "{kind}: {text}");
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_message_arrives_without_reloading_once_and_only_where_it_is_asked_for() {
    let pool = Pool::create().await;
    let http = pool.api.processes()[0].http;
    let (name, other) = (unique("live"), unique("other"));
    let stream = format!("/dev/messages/stream?pool={}", pool.id);
    let mut all = Following::open(http, &stream, &[("sec-fetch-site", "same-origin")]).await.begun().await;
    assert_eq!(all.status(), 200);
    let mut some = Following::open(http, &format!("{stream}&to={other}"), &[]).await.begun().await;
    // Whichever of the two processes delivers it.
    for username in [&name, &other] {
        pool.sign_up(username, &[("email", &format!("{username}@example.com"))]).await.unwrap();
        pool.api.code_for(&format!("{username}@example.com")).await;
    }
    let code = pool.api.code_for(&format!("{name}@example.com")).await;
    let items = all.items(2).await;
    assert!(items[0].html.contains(&format!("data-copy=\"{code}\"")), "{items:?}");
    assert!(items[1].html.contains(&format!("{other}@example.com")), "{items:?}");
    assert_eq!(items.len(), 2, "each comes once: {items:?}");
    assert!(some.items(1).await[0].html.contains(&format!("{other}@example.com")));
    // A client that was away names the last event that it saw, and gets the rest.
    let third = unique("third");
    pool.sign_up(&third, &[("email", &format!("{third}@example.com"))]).await.unwrap();
    pool.api.code_for(&format!("{third}@example.com")).await;
    let mut again = Following::open(http, &format!("{stream}&to={third}"), &[("last-event-id", &items[1].id)]).await;
    assert!(again.items(1).await[0].html.contains(&third));
    pool.verify().await;
}

#[tokio::test]
async fn pages_of_other_origins_get_no_streams_and_streams_are_limited() {
    let http = shared_server().await.address.http;
    for site in ["cross-site", "same-site"] {
        for path in ["/dev/messages/stream", "/dev/events/stream"] {
            assert_eq!(Following::open(http, path, &[("sec-fetch-site", site)]).await.status(), 403);
        }
    }
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Following::open(http, "/dev/events/stream", &[]).await.begun().await);
    }
    assert_eq!(Following::open(http, "/dev/messages/stream", &[]).await.status(), 503);
    drop(open);
    // The server notices that a client has gone.
    let is_free = async || Following::open(http, "/dev/messages/stream", &[]).await.status() == 200;
    assert!(eventually(is_free).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_do_not_hold_up_the_end_of_the_server() {
    let start = || {
        let postgres = &shared().postgres;
        postgres.create_database("console_end");
        let url = postgres.url("console_end");
        Dev::start(&data_directory("console_end"), |command| {
            command.env("USERPOOL_DATABASE_URL", url);
        })
    };
    let mut dev = tokio::task::spawn_blocking(start).await.expect("it starts");
    let http = dev.address().http;
    let following = Following::open(http, "/dev/messages/stream", &[]).await.begun().await;
    dev.signal(Signal::SIGTERM);
    let began = std::time::Instant::now();
    following.end().await;
    let status = tokio::task::spawn_blocking(move || dev.wait()).await.expect("it ends");
    assert!(status.success());
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "calls are given up after 25 seconds");
}

#[tokio::test]
async fn events_are_shown_as_they_are_published_and_arrive_without_reloading() {
    let pool = Pool::create().await;
    let http = pool.api.processes()[0].http;
    let mut live =
        Following::open(http, &format!("/dev/events/stream?log=activity&pool={}", pool.id), &[]).await.begun().await;
    let person = pool.person("published").await;
    let key = format!("{}/{}", pool.id, person.sub);
    let wanted = key.clone();
    let brokers = pool.api.environment().kafka.bootstrap.clone();
    let records = events::read_until(&brokers, DIRECTORY, move |records| {
        records.iter().filter(|record| record.key == wanted).count() >= 2
    })
    .await;
    let text = page(http, &format!("/dev/events?pool={}", pool.id)).await;
    for record in records.iter().filter(|record| record.key == key) {
        let (_, shown) = text.split_once(&format!("id=\"e-{}\"", record.header("ce_id"))).expect("the event is shown");
        let (shown, _) = shown.split_once("</article>").expect("it ends");
        assert!(shown.contains(&escaped(&format!("{:#}", record.json()))), "{shown}");
        assert!(shown.contains(&key), "{shown}");
        for (name, value) in &record.headers {
            let header = format!("<code>{name}</code></dt><dd><code>{}</code>", escaped(value));
            assert!(shown.contains(&header), "{header} is not in {shown}");
        }
        assert_eq!(shown.matches("<dt>").count(), record.headers.len());
    }
    assert!(!text.contains(&person.email), "nothing personal is published");
    let items = live.items(1).await;
    assert!(items[0].html.contains("userpool.user.code_sent.v1"), "{items:?}");
    // Facts are in the other topic.
    assert!(!text.contains("userpool.user.code_sent"), "{text}");
    let facts = page(http, &format!("/dev/events?log=activity&pool={}", pool.id)).await;
    assert!(facts.contains("userpool.user.code_sent.v1"));
    pool.verify().await;
}

/// The link to the next page of a list.
fn next(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("rel=\"next\" href=\"")?;
    Some(rest.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
}

#[tokio::test]
async fn lists_are_bounded_and_go_on() {
    let pool = Pool::create().await;
    let http = pool.api.next().http;
    for index in 0..27 {
        let group = CreateGroupRequest {
            user_pool_id: Some(pool.id.clone()),
            group_name: Some(format!("../{HOSTILE}{index}")),
            ..Default::default()
        };
        pool.api.call(group).await.unwrap();
        let username = format!("{HOSTILE}{index:02}");
        let request = AdminCreateUserRequest {
            message_action: Some("SUPPRESS".to_owned()),
            ..pool.create_user_request(&username, &[("name", HOSTILE)])
        };
        pool.api.call(request).await.unwrap();
    }
    for list in ["users", "groups"] {
        let first = page(http, &format!("/dev/pools/{}/{list}", pool.id)).await;
        let rows = |text: &str| text.matches("<tr role=\"row\"><td").count();
        assert_eq!(rows(&first), 25, "{list}");
        let second = page(http, &next(&first).expect("it goes on")).await;
        assert_eq!((rows(&second), next(&second)), (2, None), "{list}");
        assert!(second.contains("First page"), "{list}");
    }
    // Links in lists work for any name.
    let users = page(http, &format!("/dev/pools/{}/users?find={}", pool.id, encoded(&format!("{HOSTILE}03")))).await;
    assert_eq!(users.matches("<tr role=\"row\"><td").count(), 1, "{users}");
    let user = users.split("data-column=\"Name\"><a href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(page(http, user).await.contains(&escaped(&format!("{HOSTILE}03"))));
    let group = format!("/dev/pools/{}/group?name={}", pool.id, encoded(&format!("../{HOSTILE}3")));
    assert!(page(http, &group).await.contains(&escaped(&format!("../{HOSTILE}3"))));
    let refused = look(http, &format!("/dev/pools/{}/users?find={}", pool.id, encoded("nothing = 1"))).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    for missing in ["/dev/pools/us-east-1_000000000", "/dev/pools/us-east-1_000000000/users"] {
        assert_eq!(look(http, missing).await.status, 404, "{missing}");
    }
    pool.verify().await;
}

/// The request in a command on a page, as the shell and the program would parse it.
fn request_of(text: &str, command: &str) -> Value {
    let (_, rest) =
        text.split_once(&format!("aws cognito-idp {command} --cli-input-json ")).expect("the command is there");
    let (word, _) = rest.split_once("</pre>").expect("it ends");
    let word = word
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&");
    let json =
        word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')).expect("one word").replace("'\\''", "'");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// A server with a pool that has one of everything.
struct Furnished {
    address: &'static Address,
    channel: Channel,
    pool: String,
    client: String,
    secret: String,
    sub: String,
}

impl Furnished {
    async fn create() -> Self {
        let address = &shared_server().await.address;
        let channel = wire::channel(address).await;
        let must = async |operation: &str, request: Value| wire::must(&channel, address, operation, request).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let create = json!({
            "PoolName": "a tour", "AutoVerifiedAttributes": ["email"], "AliasAttributes": ["email"],
            "Schema": [{ "Name": "team", "AttributeDataType": "String", "Mutable": true }],
            "Policies": { "PasswordPolicy": { "MinimumLength": 12, "RequireNumbers": true } },
            "UserPoolTags": { "stage": "dev" }, "DeletionProtection": "INACTIVE",
        });
        let pool = text(&must("CreateUserPool", create).await["UserPool"]["Id"]);
        let client = json!({
            "UserPoolId": pool, "ClientName": "front end", "GenerateSecret": true, "AccessTokenValidity": 10,
            "TokenValidityUnits": { "AccessToken": "minutes" }, "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
            "ReadAttributes": ["email", "custom:team"],
        });
        let client = must("CreateUserPoolClient", client).await["UserPoolClient"].clone();
        must("CreateGroup", json!({ "UserPoolId": pool, "GroupName": "readers", "Precedence": 3 })).await;
        let attributes = json!([
            { "Name": "email", "Value": "jane@example.com" }, { "Name": "custom:team", "Value": "a'b" },
        ]);
        let user = json!({
            "UserPoolId": pool, "Username": "o'jane", "MessageAction": "SUPPRESS", "UserAttributes": attributes,
        });
        let user = must("AdminCreateUser", user).await;
        let attributes = user["User"]["Attributes"].as_array().expect("attributes");
        let sub = text(&attributes.iter().find(|it| it["Name"] == "sub").expect("a sub")["Value"]);
        let (id, secret) = (text(&client["ClientId"]), text(&client["ClientSecret"]));
        Self { address, channel: channel.clone(), pool, client: id, secret, sub }
    }

    async fn must(&self, operation: &str, request: Value) -> Value {
        wire::must(&self.channel, self.address, operation, request).await
    }

    async fn page(&self, place: &str) -> String {
        page(self.address.http, &format!("/dev/pools/{}{place}", self.pool)).await
    }

    /// Runs the commands of these operations, as a page shows them.
    async fn follow(&self, text: &str, operations: &[(&str, &str)]) {
        for (operation, command) in operations {
            self.must(operation, request_of(text, command)).await;
        }
    }

    /// All settings of the pool.
    async fn settings(&self) -> Value {
        let mut described = self.must("DescribeUserPool", json!({ "UserPoolId": self.pool })).await;
        let pool = described["UserPool"].as_object_mut().expect("a pool");
        pool.remove("LastModifiedDate");
        Value::Object(pool.clone())
    }
}

#[tokio::test]
async fn the_commands_of_a_pool_change_nothing_and_can_create_a_copy() {
    let furnished = Furnished::create().await;
    let (before, text) = (furnished.settings().await, furnished.page("").await);
    furnished.follow(&text, &[("UpdateUserPool", "update-user-pool")]).await;
    assert_eq!(furnished.settings().await, before);
    let twin = furnished.must("CreateUserPool", request_of(&text, "create-user-pool")).await;
    for part in ["SchemaAttributes", "Policies", "AliasAttributes", "UserPoolTags"] {
        assert_eq!(twin["UserPool"][part], before[part], "{part}");
    }
}

#[tokio::test]
async fn the_commands_of_clients_users_and_groups_work() {
    let furnished = Furnished::create().await;
    let text = furnished.page(&format!("/clients/{}", furnished.client)).await;
    assert!(!text.contains(&furnished.secret), "the secret is not shown");
    furnished.follow(&text, &[("UpdateUserPoolClient", "update-user-pool-client")]).await;
    let made = furnished.must("CreateUserPoolClient", request_of(&text, "create-user-pool-client")).await;
    assert!(made["UserPoolClient"]["ClientSecret"].is_string());
    let shown = furnished.must("DescribeUserPoolClient", request_of(&text, "describe-user-pool-client")).await;
    assert_eq!(shown["UserPoolClient"]["ClientSecret"], furnished.secret);

    let text = furnished.page(&format!("/users/{}", furnished.sub)).await;
    let of_user = [
        ("AdminUpdateUserAttributes", "admin-update-user-attributes"),
        ("AdminSetUserPassword", "admin-set-user-password"),
        ("AdminAddUserToGroup", "admin-add-user-to-group"),
        ("AdminDisableUser", "admin-disable-user"),
        ("AdminDeleteUser", "admin-delete-user"),
        ("AdminCreateUser", "admin-create-user"),
    ];
    furnished.follow(&text, &of_user).await;
    let text = furnished.page("/group?name=readers").await;
    let of_group = [("UpdateGroup", "update-group"), ("DeleteGroup", "delete-group"), ("CreateGroup", "create-group")];
    furnished.follow(&text, &of_group).await;
    for (list, operation, command) in [
        ("/clients", "CreateUserPoolClient", "create-user-pool-client"),
        ("/users", "AdminCreateUser", "admin-create-user"),
    ] {
        furnished.follow(&furnished.page(list).await, &[(operation, command)]).await;
    }
    let text = page(furnished.address.http, "/dev/pools").await;
    furnished.follow(&text, &[("CreateUserPool", "create-user-pool")]).await;
}

#[tokio::test]
async fn the_console_begins_with_the_messages_and_brings_its_own_style_and_script() {
    let http = shared_server().await.address.http;
    for path in ["/dev", "/dev/"] {
        let answer = look(http, path).await;
        assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/dev/messages"));
    }
    for (path, kind) in [
        ("/dev/assets/console.css", "text/css; charset=utf-8"),
        ("/dev/assets/console.js", "text/javascript; charset=utf-8"),
        ("/dev/assets/icon.svg", "image/svg+xml"),
    ] {
        let answer = look(http, path).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, kind));
    }
}

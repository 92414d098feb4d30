//! Messages on their way out of the outbox: a real database, the real worker, and a mail relay or SMS gateway that a
//! test controls.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use userpool::app::App;
use userpool::delivery::settings::{EmailSettings, SmsSettings};
use userpool::delivery::{Way, worker};
use userpool::proto::v1;
use userpool::store::outbox::{Selection, Waiting};

use super::{Database, commands};
use crate::support::smtp::{Answer, Protection, Relay, ca_file, other_ca_file, until};

/// A pool with a client on a database of its own, and workers that a test starts.
struct Scenario {
    database: Database,
    app: Arc<App>,
    pool: String,
    client: String,
    stop: CancellationToken,
    workers: Vec<JoinHandle<()>>,
}

impl Scenario {
    async fn create() -> Self {
        Self::create_with(commands::pool_request()).await
    }

    async fn create_with(request: v1::CreateUserPoolRequest) -> Self {
        let database = Database::create().await;
        let app = commands::app(database.store.clone());
        let pool = commands::create_pool(&app, request).await.unwrap();
        let client = commands::create_client(&app, &pool).await.unwrap();
        Self { database, app, pool, client, stop: CancellationToken::new(), workers: Vec::new() }
    }

    /// Starts a worker, as another process would.
    async fn work(&mut self, way: &Way) {
        let store = self.database.another_store(None).await;
        self.workers.push(tokio::spawn(worker::run(store, way.clone(), self.stop.clone())));
    }

    async fn sign_up(&self, name: &str) -> String {
        let email = format!("{name}@example.com");
        commands::sign_up(&self.app, &self.client, name, &email).await.unwrap();
        email
    }

    async fn outbox(&self) -> Vec<Waiting> {
        self.database.store.list_messages(Selection::default(), 100).await.unwrap()
    }

    /// The state of the only message after its first attempt: whether it was given up, and the reason.
    async fn reason(&self) -> (bool, String) {
        let mut found = None;
        until("the message was tried", async || {
            let [message] = &self.outbox().await[..] else { return false };
            found = message.reason.clone().map(|reason| (message.dead, reason));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Makes all messages that wait for another attempt due now.
    async fn due_now(&self) {
        sqlx::query("update outbox set next_at = now() where not dead and not sending")
            .execute(self.database.sql())
            .await
            .unwrap();
    }

    async fn run(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.database.sql()).await.unwrap();
    }

    /// Stops the workers, which must end.
    async fn end(mut self) {
        self.stop.cancel();
        for worker in self.workers.drain(..) {
            worker.await.unwrap();
        }
        self.database.assert_verified().await;
    }
}

fn settings(relay: SocketAddr, changes: Value) -> EmailSettings {
    let mut settings = json!({
        "host": "localhost", "port": relay.port(), "ca-file": ca_file(), "from": "Codes <codes@example.org>",
        "hello-name": "tests.example.org",
    });
    let changes = changes.as_object().cloned().unwrap_or_default();
    let base = settings.as_object_mut().unwrap();
    base.extend(changes);
    base.retain(|_, value| !value.is_null());
    serde_json::from_value(settings).unwrap()
}

fn by_relay(relay: &Relay, changes: Value) -> Way {
    Way::network(Some(&settings(relay.address, changes)), None).unwrap()
}

fn email_pool(email: v1::EmailConfigurationType) -> v1::CreateUserPoolRequest {
    v1::CreateUserPoolRequest { email_configuration: Some(email), ..commands::pool_request() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_arrives_over_tls_by_a_relay_that_wants_a_password() {
    let relay = Relay::start(Protection::Tls, Some(("userpool", "correct horse"))).await;
    let mut scenario = Scenario::create().await;
    let way = by_relay(&relay, json!({ "username": "userpool", "password": "correct horse" }));
    scenario.work(&way).await;
    for name in ["jane", "john"] {
        let email = scenario.sign_up(name).await;
        until("the e-mail arrived", async || relay.mails_for(&email).len() == 1).await;
        until("the outbox is empty", async || scenario.outbox().await.is_empty()).await;
    }
    let [mail, _] = &relay.mails()[..] else { panic!("two e-mails") };
    assert!(mail.encrypted);
    assert_eq!((mail.user.as_deref(), mail.from.as_str()), (Some("userpool"), "codes@example.org"));
    assert_eq!(mail.header("from").as_deref(), Some("Codes <codes@example.org>"));
    assert_eq!(mail.header("to").as_deref(), Some("jane@example.com"));
    assert_eq!(mail.header("subject").as_deref(), Some("Your verification code"));
    assert_eq!(mail.plain_text(), mail.body(), "a text without markup is both");
    assert_eq!(mail.header("reply-to"), None);
    assert!(mail.header("message-id").unwrap().ends_with("@example.org>"));
    let code = mail.body().rsplit(' ').next().unwrap().to_owned();
    commands::confirm(&scenario.app, &scenario.client, "jane", &code, false).await.unwrap();
    assert_eq!(relay.sessions(), 1, "the second e-mail went over the first's connection");
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_upgraded_before_anything_is_said_or_nothing_is() {
    let relay = Relay::start(Protection::Starttls, Some(("userpool", "secret"))).await;
    let mut scenario = Scenario::create().await;
    let account = json!({ "security": "starttls", "username": "userpool", "password": "secret" });
    scenario.work(&by_relay(&relay, account.clone())).await;
    let email = scenario.sign_up("jane").await;
    until("the e-mail arrived", async || relay.mails_for(&email).len() == 1).await;
    assert!(relay.mails()[0].encrypted);
    scenario.end().await;

    let plain = Relay::start(Protection::None, None).await;
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&plain, account)).await;
    scenario.sign_up("jane").await;
    let (dead, reason) = scenario.reason().await;
    assert!(!dead && reason.contains("STARTTLS is not supported"), "{reason}");
    assert_eq!(plain.mails().len(), 0);
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_on_the_loopback_address_needs_no_tls_if_that_is_said() {
    let relay = Relay::start(Protection::None, None).await;
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&relay, json!({ "security": "none", "ca-file": null }))).await;
    let email = scenario.sign_up("jane").await;
    until("the e-mail arrived", async || relay.mails_for(&email).len() == 1).await;
    assert!(!relay.mails()[0].encrypted);
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_an_untrusted_certificate_gets_nothing() {
    let relay = Relay::start(Protection::Tls, None).await;
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&relay, json!({ "ca-file": other_ca_file() }))).await;
    scenario.sign_up("jane").await;
    let (dead, reason) = scenario.reason().await;
    assert!(!dead && reason.starts_with("the mail relay can't be used") && reason.contains("certificate"), "{reason}");
    assert_eq!(relay.mails().len(), 0);
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_gives_no_message_up() {
    let relay = Relay::start(Protection::Tls, Some(("userpool", "secret"))).await;
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&relay, json!({ "username": "userpool", "password": "other" }))).await;
    let email = scenario.sign_up("jane").await;
    assert_eq!(scenario.reason().await, (false, "the mail relay refuses this server (535 5.7.8)".to_owned()));
    // An operator corrects the password and restarts the server.
    scenario.work(&by_relay(&relay, json!({ "username": "userpool", "password": "secret" }))).await;
    until("the e-mail arrived", async || {
        scenario.due_now().await;
        relay.mails_for(&email).len() == 1
    })
    .await;
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_is_the_pools_and_the_name_of_a_user_is_no_html() {
    let email = v1::EmailConfigurationType {
        from: Some("Jürgen, \"App\" <app@example.net>".to_owned()),
        ..Default::default()
    };
    let refused = commands::create_pool(
        &commands::app(Database::create().await.store),
        email_pool(v1::EmailConfigurationType {
            from: Some("App\r\nBcc: <b@example.net>".to_owned()),
            ..email.clone()
        }),
    )
    .await;
    assert_eq!(refused, Err(userpool::domain::error::Exception::InvalidParameterException));

    let relay = Relay::start(Protection::Tls, None).await;
    let email = v1::EmailConfigurationType {
        from: Some("Jürgen, App <app@example.net>".to_owned()),
        reply_to_email_address: Some("help@example.net".to_owned()),
        ..email
    };
    let template = v1::VerificationMessageTemplateType {
        email_subject: Some("Grüße an {username}".to_owned()),
        email_message: Some("<p>{username}: {####}</p>".to_owned()),
        ..Default::default()
    };
    let request = v1::CreateUserPoolRequest { verification_message_template: Some(template), ..email_pool(email) };
    let mut scenario = Scenario::create_with(request).await;
    scenario
        .work(&by_relay(&relay, json!({ "sender-domains": ["EXAMPLE.net"], "reply-to": "codes@example.org" })))
        .await;
    commands::sign_up(&scenario.app, &scenario.client, "<b>ünal", "jane@münchen.example").await.unwrap();
    until("the e-mail arrived", async || !relay.mails().is_empty()).await;
    let mail = relay.mails().remove(0);
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("app@example.net", "jane@xn--mnchen-3ya.example"));
    assert_eq!(mail.header("reply-to").as_deref(), Some("help@example.net"));
    assert!(mail.header("from").unwrap().ends_with("<app@example.net>"));
    assert!(mail.content.is_ascii(), "a relay that takes only ASCII takes it");
    assert!(mail.header("subject").unwrap().contains("=?utf-8?"), "{:?}", mail.header("subject"));
    assert!(mail.body().starts_with("<p>&lt;b&gt;ünal: "), "{}", mail.body());
    let plain = mail.plain_text();
    assert!(plain.starts_with("<b>ünal: ") && !plain.contains("</p>"), "{plain}");
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_another_domain_is_not_taken_for_ours() {
    let email = v1::EmailConfigurationType { from: Some("ceo@example.com".to_owned()), ..Default::default() };
    let relay = Relay::start(Protection::Tls, None).await;
    let mut scenario = Scenario::create_with(email_pool(email)).await;
    scenario.work(&by_relay(&relay, json!({ "sender-domains": ["example.net"] }))).await;
    scenario.sign_up("jane").await;
    let reason = "the pool's From is of a domain that this server does not send for".to_owned();
    assert_eq!(scenario.reason().await, (true, reason));
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recipient_gets_no_more_attempts_until_an_operator_asks_for_one() {
    let relay = Relay::start(Protection::Tls, None).await;
    relay.answers(|verb, to| match (verb, to) {
        ("RCPT", "jane@example.com") => Answer::Line("550 5.1.1 <jane@example.com>: nobody of this name".to_owned()),
        (".", "joan@example.com") => Answer::Line("554 spam for joan@example.com".to_owned()),
        _ => Answer::Usual,
    });
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&relay, json!({}))).await;
    for name in ["jane", "joan", "john"] {
        scenario.sign_up(name).await;
    }
    until("john's e-mail arrived", async || relay.mails_for("john@example.com").len() == 1).await;
    let mut outbox = Vec::new();
    until("the others are dead", async || {
        outbox = scenario.outbox().await;
        outbox.len() == 2 && outbox.iter().all(|message| message.dead)
    })
    .await;
    let reasons: Vec<_> = outbox.iter().map(|message| message.reason.clone().unwrap()).collect();
    let expected = ["the mail relay refuses the recipient (550 5.1.1)", "the mail relay refuses the message (554)"];
    assert_eq!(reasons, expected, "numbers only: the relay's words name the recipient");
    assert!(outbox.iter().all(|message| message.attempts == 1));

    relay.answers(|_, _| Answer::Usual);
    scenario.due_now().await;
    let which = Selection { id: Some(outbox[0].id), ..Selection::default() };
    assert_eq!(scenario.database.store.retry_messages(which, scenario.app.clock.now()).await.unwrap(), 1);
    until("jane's e-mail arrived", async || relay.mails_for("jane@example.com").len() == 1).await;
    until("only joan's message is left", async || scenario.outbox().await.len() == 1).await;
    assert!(relay.mails_for("joan@example.com").is_empty());
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_now_is_tried_again_later() {
    let relay = Relay::start(Protection::Tls, None).await;
    relay.answers(|verb, _| match verb {
        "RCPT" => Answer::Line("451 4.7.1 come back later".to_owned()),
        _ => Answer::Usual,
    });
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&relay, json!({}))).await;
    let email = scenario.sign_up("jane").await;
    let reason = "the mail relay does not take the recipient at the moment (451 4.7.1)".to_owned();
    assert_eq!(scenario.reason().await, (false, reason));
    // A refused sender can be corrected as well.
    relay.answers(|verb, _| match verb {
        "MAIL" => Answer::Line("553 5.7.1 not your address".to_owned()),
        _ => Answer::Usual,
    });
    scenario.due_now().await;
    until("the sender was refused", async || {
        scenario.outbox().await[0].reason.as_deref()
            == Some("the mail relay does not take the sender at the moment (553 5.7.1)")
    })
    .await;
    relay.answers(|_, _| Answer::Usual);
    // The next attempt comes without further action.
    until("the e-mail arrived", async || relay.mails_for(&email).len() == 1).await;
    until("the outbox is empty", async || scenario.outbox().await.is_empty()).await;
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_wait_for_a_relay_that_is_away() {
    let gone = Relay::start(Protection::Tls, None).await;
    let address = gone.address;
    drop(gone);
    let mut scenario = Scenario::create().await;
    scenario.work(&Way::network(Some(&settings(address, json!({}))), None).unwrap()).await;
    let email = scenario.sign_up("jane").await;
    let (dead, reason) = scenario.reason().await;
    assert!(!dead && reason.starts_with("the mail relay can't be used"), "{reason}");
    let relay = Relay::start_at(address, Protection::Tls, None).await;
    until("the e-mail arrived", async || relay.mails_for(&email).len() == 1).await;
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_recipient_holds_up_nobody_else_and_its_own_messages_keep_their_order() {
    let relay = Relay::start(Protection::Tls, None).await;
    relay.answers(|verb, to| match (verb, to) {
        (".", "jane@example.com") => Answer::Wait,
        _ => Answer::Usual,
    });
    let mut scenario = Scenario::create().await;
    // Two processes: order and claims depend on the database.
    for _ in 0..2 {
        let way = by_relay(&relay, json!({ "concurrency": 3 }));
        scenario.work(&way).await;
    }
    scenario.sign_up("jane").await;
    until("jane's e-mail is under way", async || relay.sending() == 1).await;
    commands::resend(&scenario.app, &scenario.client, "jane").await.unwrap();
    for name in ["john", "joan", "jean", "june"] {
        let email = scenario.sign_up(name).await;
        until("another's e-mail arrived", async || relay.mails_for(&email).len() == 1).await;
    }
    assert_eq!(relay.sending(), 1, "jane's second waits for her first, in both processes");
    assert!(relay.mails_for("jane@example.com").is_empty());
    relay.go_on();
    until("jane's second is under way", async || {
        relay.mails_for("jane@example.com").len() == 1 && relay.sending() == 1
    })
    .await;
    relay.go_on();
    until("both arrived", async || relay.mails_for("jane@example.com").len() == 2).await;
    until("the outbox is empty", async || scenario.outbox().await.is_empty()).await;
    let mails = relay.mails_for("jane@example.com");
    let code = mails[1].body().rsplit(' ').next().unwrap().to_owned();
    commands::confirm(&scenario.app, &scenario.client, "jane", &code, false).await.unwrap();
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_is_not_taken_for_the_next_messages() {
    let relay = Relay::start(Protection::Tls, None).await;
    relay.answers(|verb, to| match (verb, to) {
        (".", "jane@example.com") => Answer::Wait,
        ("RCPT", "john@example.com") => Answer::Line("550 5.1.1 nobody".to_owned()),
        _ => Answer::Usual,
    });
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&relay, json!({ "timeout-seconds": 1, "concurrency": 1 }))).await;
    scenario.sign_up("jane").await;
    assert_eq!(scenario.reason().await, (false, "the mail relay did not answer in time".to_owned()));
    scenario.run("update outbox set next_at = now() + interval '1 hour'").await;
    relay.go_on();
    scenario.sign_up("john").await;
    until("john's message is refused", async || {
        let outbox = scenario.outbox().await;
        outbox.iter().any(|message| message.dead && message.reason.as_deref().unwrap().contains("550 5.1.1"))
    })
    .await;
    // The relay had taken jane's e-mail: it is sent again, with the same id, so that a mail server can recognise it.
    relay.answers(|_, _| Answer::Usual);
    scenario.due_now().await;
    until("jane's e-mail came again", async || {
        let mails = relay.mails_for("jane@example.com");
        let ids: std::collections::BTreeSet<_> = mails.iter().map(|mail| mail.header("message-id")).collect();
        !mails.is_empty() && ids.len() == 1 && scenario.outbox().await.len() == 1
    })
    .await;
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_sent_once_by_however_many_processes_and_a_few_at_a_time() {
    let relay = Relay::start(Protection::Tls, None).await;
    let mut scenario = Scenario::create().await;
    for index in 0..40 {
        scenario.sign_up(&format!("user{index}")).await;
    }
    for _ in 0..3 {
        let way = by_relay(&relay, json!({ "concurrency": 2 }));
        scenario.work(&way).await;
    }
    until("all arrived", async || scenario.outbox().await.is_empty()).await;
    let mut recipients: Vec<_> = relay.mails().into_iter().map(|mail| mail.to).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!((recipients.len(), relay.mails().len()), (40, 40));
    assert!(relay.most_sending() <= 6, "{}", relay.most_sending());
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_process_that_died_is_sent_by_another() {
    let relay = Relay::start(Protection::Tls, None).await;
    relay.answers(|verb, _| if verb == "DATA" { Answer::Wait } else { Answer::Usual });
    let mut scenario = Scenario::create().await;
    scenario.work(&by_relay(&relay, json!({}))).await;
    let email = scenario.sign_up("jane").await;
    until("the message is claimed and under way", async || {
        relay.sessions() == 1 && scenario.outbox().await.iter().all(|message| message.attempts == 1)
    })
    .await;
    let dead = scenario.workers.pop().unwrap();
    dead.abort();
    assert!(dead.await.unwrap_err().is_cancelled());
    relay.answers(|_, _| Answer::Usual);
    scenario.work(&by_relay(&relay, json!({}))).await;
    // It waits while the dead process's claim holds, and so does a later message.
    commands::resend(&scenario.app, &scenario.client, "jane").await.unwrap();
    let other = scenario.sign_up("john").await;
    until("another's e-mail arrived", async || relay.mails_for(&other).len() == 1).await;
    assert!(relay.mails_for(&email).is_empty());
    scenario.run("update outbox set next_at = now() where attempts > 0").await;
    until("the newer code arrived", async || relay.mails_for(&email).len() == 1).await;
    until("the outbox is empty: the older code was of no use", async || scenario.outbox().await.is_empty()).await;
    let code = relay.mails_for(&email)[0].body().rsplit(' ').next().unwrap().to_owned();
    commands::confirm(&scenario.app, &scenario.client, "jane", &code, false).await.unwrap();
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_came_too_late_or_was_replaced_is_not_sent() {
    let relay = Relay::start(Protection::Tls, None).await;
    let mut scenario = Scenario::create().await;
    let replaced = scenario.sign_up("jane").await;
    commands::resend(&scenario.app, &scenario.client, "jane").await.unwrap();
    scenario.sign_up("john").await;
    // As after a day without a relay: the code has expired.
    for statement in [
        "update codes set expires_at = now() where sub::text in (select owner from outbox group by owner having count(*) = 1)",
        "update outbox o set expires_at = c.expires_at from codes c where c.sub::text = o.owner and c.expires_at <= now()",
    ] {
        scenario.run(statement).await;
    }
    // A user whom an administrator confirmed needs no code.
    let needless = scenario.sign_up("joan").await;
    commands::admin_confirm(&scenario.app, &scenario.pool, "joan").await.unwrap();
    scenario.work(&by_relay(&relay, json!({}))).await;
    until("jane's second arrived", async || relay.mails_for(&replaced).len() == 1).await;
    assert_eq!(scenario.reason().await, (true, "not delivered in time (there was no attempt)".to_owned()));
    let code = relay.mails()[0].body().rsplit(' ').next().unwrap().to_owned();
    commands::confirm(&scenario.app, &scenario.client, "jane", &code, false).await.unwrap();
    assert!(relay.mails_for(&needless).is_empty());
    assert_eq!(relay.mails().len(), 1);
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_whose_password_was_replaced_is_not_sent() {
    let relay = Relay::start(Protection::Tls, None).await;
    let mut scenario = Scenario::create().await;
    let (app, pool) = (scenario.app.clone(), scenario.pool.clone());
    let invite = async |name: &str| {
        let email = format!("{name}@example.com");
        commands::admin_create(&app, &pool, name, &email, false).await.unwrap();
        email
    };
    // As while no relay can be reached.
    let again = invite("jane").await;
    commands::invite_again(&app, &pool, "jane").await.unwrap();
    let set = invite("john").await;
    commands::admin_set_password(&app, &pool, "john", true).await.unwrap();
    let temporary = invite("joan").await;
    commands::admin_set_password(&app, &pool, "joan", false).await.unwrap();
    let signed_in = invite("june").await;
    commands::sign_in(&app, &scenario.client, "june", commands::PASSWORD).await.unwrap();
    // A change of neither password nor status leaves the message, and so does a change of another user.
    let waiting = invite("jean").await;
    commands::admin_disable(&app, &pool, "jean").await.unwrap();
    commands::admin_enable(&app, &pool, "jean").await.unwrap();
    assert_eq!(scenario.outbox().await.len(), 2);
    scenario.work(&by_relay(&relay, json!({}))).await;
    until("the others arrived", async || scenario.outbox().await.is_empty()).await;
    assert_eq!((relay.mails_for(&again).len(), relay.mails_for(&waiting).len()), (1, 1));
    for email in [set, temporary, signed_in] {
        assert!(relay.mails_for(&email).is_empty(), "{email}");
    }
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_was_given_up_is_not_revived_once_its_password_was_replaced() {
    let mut scenario = Scenario::create().await;
    scenario.work(&Way::network(None, None).unwrap()).await;
    commands::admin_create(&scenario.app, &scenario.pool, "jane", "jane@example.com", false).await.unwrap();
    assert_eq!(scenario.reason().await, (true, "no mail relay is configured".to_owned()));
    let retried = scenario.database.store.retry_messages(Selection::default(), scenario.app.clock.now()).await.unwrap();
    assert_eq!(retried, 1);
    commands::admin_set_password(&scenario.app, &scenario.pool, "jane", true).await.unwrap();
    assert_eq!(scenario.outbox().await, []);
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_relay_or_gateway_is_given_up_visibly() {
    let mut scenario = Scenario::create().await;
    scenario.sign_up("jane").await;
    scenario.work(&Way::network(None, None).unwrap()).await;
    assert_eq!(scenario.reason().await, (true, "no mail relay is configured".to_owned()));
    let store = &scenario.database.store;
    let dead = Selection { user_pool_id: Some(&scenario.pool), dead: true, ..Selection::default() };
    assert_eq!(store.list_messages(dead, 10).await.unwrap().len(), 1);
    let elsewhere = Selection { user_pool_id: Some("us-east-1_elsewhere"), ..dead };
    assert_eq!(store.list_messages(elsewhere, 10).await.unwrap(), []);
    assert_eq!(store.retry_messages(elsewhere, scenario.app.clock.now()).await.unwrap(), 0);
    // It is kept for a month after its end, then deleted.
    let swept = async |days: i64| {
        let now = scenario.app.clock.now().plus_seconds(days * 24 * 60 * 60);
        store.sweep(now).await.unwrap();
        scenario.outbox().await.len()
    };
    assert_eq!((swept(30).await, swept(32).await), (1, 0));
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/clients/smtp_scenario.py runs it, with a mail relay that is not ours"]
async fn a_relay_of_others_takes_what_is_sent() {
    let settings = std::env::var("USERPOOL_TEST_EMAIL").expect("the settings of the relay");
    let settings: EmailSettings = serde_json::from_str(&settings).unwrap();
    let email = v1::EmailConfigurationType {
        from: Some("Grüße von App <app@example.net>".to_owned()),
        reply_to_email_address: Some("help@example.net".to_owned()),
        ..Default::default()
    };
    let template = v1::VerificationMessageTemplateType {
        email_subject: Some("Grüße an {username}, der Code ist da".to_owned()),
        email_message: Some(format!("<p>Für <b>{{username}}</b>: {{####}}</p>\n.\n..{}", "…".repeat(2_000))),
        ..Default::default()
    };
    let request = v1::CreateUserPoolRequest { verification_message_template: Some(template), ..email_pool(email) };
    let mut scenario = Scenario::create_with(request).await;
    scenario.work(&Way::network(Some(&settings), None).unwrap()).await;
    commands::sign_up(&scenario.app, &scenario.client, "jüne", "jane@example.com").await.unwrap();
    until("the e-mail was taken", async || scenario.outbox().await.is_empty()).await;
    scenario.sign_up("refused").await;
    assert_eq!(scenario.reason().await, (true, "the mail relay refuses the recipient (550 5.1.1)".to_owned()));
    scenario.end().await;
}

/// What a gateway received, and how it answers.
#[derive(Clone, Default)]
struct Gateway {
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    status: Arc<Mutex<StatusCode>>,
}

impl Gateway {
    async fn start() -> (Self, SocketAddr) {
        let gateway = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/send", post(Self::take)).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gateway, address)
    }

    async fn take(State(gateway): State<Self>, headers: HeaderMap, body: String) -> Response {
        gateway.received.lock().unwrap().push((headers, body));
        let status = *gateway.status.lock().unwrap();
        (status, [("location", "/send")]).into_response()
    }

    fn answers(&self, status: u16) {
        *self.status.lock().unwrap() = StatusCode::from_u16(status).unwrap();
    }

    fn received(&self) -> Vec<(HeaderMap, String)> {
        self.received.lock().unwrap().clone()
    }
}

fn phone_pool() -> v1::CreateUserPoolRequest {
    v1::CreateUserPoolRequest {
        pool_name: Some("pool".to_owned()),
        auto_verified_attributes: vec!["phone_number".to_owned()],
        sms_verification_message: Some("\"{####}\" & more".to_owned()),
        ..Default::default()
    }
}

async fn sign_up_by_phone(scenario: &Scenario, name: &str, phone: &str) {
    let phone = v1::AttributeType { name: Some("phone_number".to_owned()), value: Some(phone.to_owned()) };
    let request = v1::SignUpRequest {
        client_id: Some(scenario.client.clone()),
        username: Some(name.to_owned()),
        password: Some(commands::PASSWORD.to_owned()),
        user_attributes: vec![phone],
        ..Default::default()
    };
    commands::call(&scenario.app, request).await.unwrap();
}

fn by_gateway(address: SocketAddr, changes: Value) -> Way {
    let mut settings = json!({
        "url": format!("http://{address}/send"),
        "body": r#"{"recipients": ["{to}"], "from": "{sender}", "text": "{message}"}"#,
        "sender": "userpool",
        "authorization": "Bearer hunter2",
        "headers": { "x-account": "7" },
    });
    settings.as_object_mut().unwrap().extend(changes.as_object().cloned().unwrap_or_default());
    let settings: SmsSettings = serde_json::from_value(settings).unwrap();
    Way::network(None, Some(&settings)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sms_goes_to_the_gateway_in_its_own_words() {
    let (gateway, address) = Gateway::start().await;
    let mut scenario = Scenario::create_with(phone_pool()).await;
    scenario.work(&by_gateway(address, json!({}))).await;
    sign_up_by_phone(&scenario, "jane", "+12025550123").await;
    until("the outbox is empty", async || scenario.outbox().await.is_empty()).await;
    let [(headers, body)] = &gateway.received()[..] else { panic!("one request") };
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["recipients"], &body["from"]), (&json!(["+12025550123"]), &json!("userpool")));
    let text = body["text"].as_str().unwrap();
    let code = text.strip_prefix('"').and_then(|text| text.strip_suffix("\" & more")).unwrap();
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("authorization")), ("application/json", "Bearer hunter2"));
    assert_eq!(header("x-account"), "7");
    commands::confirm(&scenario.app, &scenario.client, "jane", code, false).await.unwrap();
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_refuses_for_good_or_for_now() {
    let (gateway, address) = Gateway::start().await;
    let mut scenario = Scenario::create_with(phone_pool()).await;
    let form = json!({ "format": "form", "body": "To={to}&Body={message}", "success-statuses": [201] });
    scenario.work(&by_gateway(address, form)).await;
    gateway.answers(400);
    sign_up_by_phone(&scenario, "jane", "+12025550123").await;
    assert_eq!(scenario.reason().await, (true, "the SMS gateway refuses the message (400)".to_owned()));
    scenario.run("delete from outbox").await;
    // This gateway's success status is not 200; and redirects are not followed.
    for status in [503, 401, 200, 307] {
        gateway.answers(status);
        sign_up_by_phone(&scenario, &format!("user{status}"), "+12025550124").await;
        let requests = gateway.received().len();
        assert_eq!(scenario.reason().await, (false, format!("the SMS gateway answers {status}")));
        assert!(gateway.received().len() <= requests + 1);
        scenario.run("delete from outbox").await;
    }
    gateway.answers(503);
    sign_up_by_phone(&scenario, "june", "+12025550125").await;
    scenario.reason().await;
    gateway.answers(201);
    until("the outbox is empty", async || scenario.outbox().await.is_empty()).await;
    let (headers, body) = gateway.received().pop().unwrap();
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert!(body.starts_with("To=%2B12025550125&Body=%22") && body.ends_with("%22+%26+more"), "{body}");
    scenario.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_relay_that_hangs_holds_up_no_sms() {
    let relay = Relay::start(Protection::Tls, None).await;
    relay.answers(|_, _| Answer::Wait);
    let (gateway, address) = Gateway::start().await;
    let email = settings(relay.address, json!({ "concurrency": 1, "timeout-seconds": 2 }));
    let sms: SmsSettings = serde_json::from_value(json!({
        "url": format!("http://{address}/send"), "body": "to={to}&text={message}", "format": "form",
    }))
    .unwrap();
    let both = v1::CreateUserPoolRequest {
        auto_verified_attributes: vec!["phone_number".to_owned(), "email".to_owned()],
        ..phone_pool()
    };
    let mut scenario = Scenario::create_with(both).await;
    scenario.work(&Way::network(Some(&email), Some(&sms)).unwrap()).await;
    for name in ["jane", "john"] {
        scenario.sign_up(name).await;
    }
    until("an e-mail hangs", async || relay.sessions() == 1).await;
    sign_up_by_phone(&scenario, "june", "+12025550125").await;
    until("the SMS arrived", async || gateway.received().len() == 1).await;
    assert_eq!(relay.mails().len(), 0);
    scenario.end().await;
}

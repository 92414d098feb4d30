//! The development mailbox: a page for people, JSON for tests.

use std::collections::VecDeque;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::http::dev::address::address;
use crate::api::http::dev::stream::{Item, POLL, Source};
use crate::api::http::dev::{Console, Failed, MAIL_POLICY, page, pools, rendered, with_policy};
use crate::app::App;
use crate::delivery::plain_text;
use crate::domain::ids::UserPoolId;
use crate::domain::message::Medium;
use crate::domain::time::Timestamp;
use crate::pages::Moment;
use crate::pages::console::{self, Choice, Flow, Paper, Section};
use crate::proto::events::CodePurpose;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::mailbox::{Delivered, MailboxPlace, MessageKind, Sought};
use crate::store::wake::Wake;

/// Most messages in a JSON answer.
const MOST_TOLD: i64 = 100;
/// Most messages on a page.
const MOST_SHOWN: usize = 20;
/// Most messages read at a time for an open stream.
const MOST_NEWS: i64 = 50;
/// A message bears the time of its delivery but is visible only after its commit: messages of the last seconds may
/// still appear.
const LATE_SECONDS: i64 = 5;

#[derive(Deserialize)]
pub(super) struct Recipient {
    to: Option<String>,
}

/// The parameters of the page.
#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    to: String,
    #[serde(default)]
    pool: String,
    #[serde(default)]
    kind: String,
    before: Option<String>,
    after: Option<String>,
}

/// `GET /dev/messages?to=<address>`: the newest first. Browsers get a page, other clients JSON.
pub(super) async fn messages(
    State(console): State<Console>,
    headers: HeaderMap,
    uri: Uri,
    recipient: Result<Query<Recipient>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        return shown(&console, &uri).await.into_response();
    }
    match recipient {
        Ok(Query(recipient)) => told(&console.app, recipient.to.as_deref()).await,
        Err(rejection) => rejection.into_response(),
    }
}

async fn told(app: &App, to: Option<&str>) -> Response {
    match app.store.mailbox(to, MOST_TOLD).await {
        Ok(messages) => Json(messages.iter().map(as_json).collect::<Vec<_>>()).into_response(),
        Err(error) => {
            tracing::error!(%error, "the mailbox can't be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn as_json(delivered: &Delivered) -> Value {
    let message = &delivered.message;
    json!({
        "to": message.to,
        "medium": message.medium.name(),
        "subject": message.subject,
        "body": message.body,
        "code": message.code,
        "link": message.link,
        "at": Moment::from(delivered.at).machine,
    })
}

async fn shown(console: &Console, uri: &Uri) -> Result<Response, Failed> {
    let Query(filter) = Query::<Filter>::try_from_uri(uri)?;
    let before = filter.before.as_deref().and_then(place);
    // Messages that arrive while the list is read come by the stream.
    let now = console.app.clock.now();
    let mut found = console.app.store.mailbox_before(&filter.sought(), before, MOST_SHOWN as i64 + 1).await?;
    let goes_on = found.len() > MOST_SHOWN;
    found.truncate(MOST_SHOWN);
    let older = found.last().filter(|_| goes_on).map(|last| format!("{}.{}", last.at.0, last.id));
    let flow = Flow {
        stream: before.is_none().then(|| filter.address("/dev/messages/stream", ("after", &now.0.to_string()))),
        newest: before.map(|_| filter.address("/dev/messages", ("", ""))),
        older: older.map(|older| filter.address("/dev/messages", ("before", &older))),
    };
    let shown = console::Messages {
        title: "Messages".to_owned(),
        section: Section::Messages,
        pools: pools::choices(&console.app, &filter.pool).await?,
        kinds: kinds(&filter.kind),
        filtered: !(filter.to.is_empty() && filter.pool.is_empty() && filter.kind.is_empty()),
        to: filter.to,
        messages: found.into_iter().map(view).collect(),
        flow,
    };
    page(StatusCode::OK, &shown)
}

impl Filter {
    fn sought(&self) -> Sought {
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        Sought {
            to: given(&self.to),
            user_pool_id: given(&self.pool),
            kind: MessageKind::by_name(&self.kind),
            medium: MEDIA.into_iter().find(|medium| medium.name() == self.kind),
        }
    }

    /// The address with the same filter and one parameter more.
    fn address(&self, path: &str, more: (&str, &str)) -> String {
        address(path, &[("to", &self.to), ("pool", &self.pool), ("kind", &self.kind), more])
    }
}

const MEDIA: [Medium; 2] = [Medium::Email, Medium::Sms];

/// The choices of the filter: first the media, then the kinds of message.
fn kinds(chosen: &str) -> Vec<Choice> {
    let media = MEDIA.map(|medium| (medium.name(), medium_name(medium)));
    let kinds = MessageKind::ALL.map(|kind| (kind.name(), kind_name(kind)));
    let choice = |(value, text): (&str, &str)| Choice {
        value: value.to_owned(),
        text: text.to_owned(),
        chosen: value == chosen,
    };
    media.into_iter().chain(kinds).map(choice).collect()
}

fn medium_name(medium: Medium) -> &'static str {
    match medium {
        Medium::Email => "E-mail",
        Medium::Sms => "SMS",
    }
}

fn kind_name(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Code(CodePurpose::SignUp) => "Sign-up",
        MessageKind::Code(CodePurpose::ForgotPassword) => "Forgotten password",
        MessageKind::Code(CodePurpose::VerifyEmail) => "E-mail verification",
        MessageKind::Code(CodePurpose::VerifyPhoneNumber) => "Phone verification",
        MessageKind::Code(CodePurpose::SignInByEmail) => "Sign-in by e-mail",
        MessageKind::Code(CodePurpose::SignInBySms) => "Sign-in by SMS",
        MessageKind::Code(CodePurpose::Unspecified) => "Code",
        MessageKind::Invitation => "Invitation",
    }
}

/// The place at which a page of older messages begins.
fn place(text: &str) -> Option<MailboxPlace> {
    let (at, id) = text.split_once('.')?;
    Some(MailboxPlace { at: Timestamp(at.parse().ok()?), id: id.parse().ok()? })
}

fn view(delivered: Delivered) -> console::Message {
    let Delivered { user_pool_id, id, kind, message, at } = delivered;
    let (html, text) = match message.medium {
        Medium::Email => (Some(format!("/dev/messages/{user_pool_id}/{id}/body")), plain_text(&message.body)),
        Medium::Sms => (None, message.body),
    };
    console::Message {
        id: id.to_string(),
        pool: user_pool_id.to_string(),
        medium: medium_name(message.medium),
        kind: kind.map(kind_name),
        to: message.to,
        from: message.from,
        reply_to: message.reply_to,
        subject: message.subject,
        text,
        html,
        code: message.code,
        link: message.link,
        at: at.into(),
    }
}

/// `GET /dev/messages/<pool>/<id>/body`: the HTML of an e-mail, for a sandboxed frame.
pub(super) async fn body(
    State(console): State<Console>,
    Path((pool, id)): Path<(String, Uuid)>,
) -> Result<Response, Failed> {
    let pool = UserPoolId::parse(&pool).ok_or(Failed::missing("There is no such message."))?;
    let found = console.app.store.mailbox_message(&pool, id).await?;
    let found = found.filter(|found| found.message.medium == Medium::Email);
    let html = found.ok_or(Failed::missing("There is no such message."))?.message.body;
    Ok(with_policy(StatusCode::OK, MAIL_POLICY, rendered(&Paper { html })?))
}

/// `GET /dev/messages/stream`: messages from now on, or after the last one that the browser saw.
pub(super) async fn stream(State(console): State<Console>, headers: HeaderMap, uri: Uri) -> Result<Response, Failed> {
    let Query(filter) = Query::<Filter>::try_from_uri(&uri)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(filter.after.as_deref());
    let since = last.and_then(|last| last.parse().ok()).map_or_else(|| console.app.clock.now(), Timestamp);
    let news = Arrivals { sought: filter.sought(), since, known: VecDeque::new() };
    Ok(console.streams.open(&headers, console.app.store.clone(), news))
}

/// The messages that arrive, each once.
struct Arrivals {
    sought: Sought,
    since: Timestamp,
    /// Messages already sent, of the period in which others may still appear.
    known: VecDeque<(Timestamp, Uuid)>,
}

impl Source for Arrivals {
    async fn look(&mut self, store: &Store) -> Result<Vec<Item>, Failed> {
        let known: Vec<Uuid> = self.known.iter().map(|(_, id)| *id).collect();
        let begin = |since: Timestamp| since.plus_seconds(-LATE_SECONDS);
        let found: Result<_, StoreError> =
            store.mailbox_since(&self.sought, begin(self.since), &known, MOST_NEWS).await;
        let mut items = Vec::new();
        for delivered in found? {
            self.since = self.since.max(delivered.at);
            self.known.push_back((delivered.at, delivered.id));
            items.push(Item { id: self.since.0.to_string(), html: rendered(&view(delivered))? });
        }
        let since = begin(self.since);
        self.known.retain(|(at, _)| *at >= since);
        Ok(items)
    }

    fn news(wake: &Wake) -> BoxFuture<'_, ()> {
        wake.wait_for_deliveries(POLL).boxed()
    }
}

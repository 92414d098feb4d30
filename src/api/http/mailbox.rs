//! The development mailbox: as a page for a person, as JSON for a test.

use std::fmt::Write;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::App;
use crate::domain::message::escape_html;
use crate::store::mailbox::Delivered;

const MOST_SHOWN: i64 = 100;

#[derive(Deserialize)]
pub(super) struct Filter {
    to: Option<String>,
}

/// `GET /dev/messages?to=<address>`: the newest first. A browser gets a page, everybody else JSON.
pub(super) async fn messages(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Response {
    let messages = match app.store.mailbox(filter.to.as_deref(), MOST_SHOWN).await {
        Ok(messages) => messages,
        Err(error) => {
            tracing::error!(%error, "the mailbox can't be read");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        return Html(page(&messages)).into_response();
    }
    Json(messages.iter().map(as_json).collect::<Vec<_>>()).into_response()
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
        "at": time_of(delivered),
    })
}

fn time_of(delivered: &Delivered) -> String {
    let at = OffsetDateTime::from_unix_timestamp(delivered.at.seconds()).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

fn page(messages: &[Delivered]) -> String {
    let mut rows = String::new();
    for delivered in messages {
        let message = &delivered.message;
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td><b>{}</b><br>{}</td><td><code>{}</code>{}</td></tr>",
            time_of(delivered),
            message.medium.name(),
            escape_html(&message.to),
            escape_html(message.subject.as_deref().unwrap_or_default()),
            escape_html(&message.body),
            escape_html(message.code.as_deref().unwrap_or_default()),
            message.link.as_deref().map(link).unwrap_or_default(),
        );
    }
    if messages.is_empty() {
        rows.push_str("<tr><td colspan=5>No message yet. Sign a user up and its code arrives here.</td></tr>");
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5><title>Messages</title>\
         <style>body{{font:16px system-ui;margin:2rem}}table{{border-collapse:collapse}}td,th{{border-bottom:1px solid #ddd;padding:.5rem 1rem;text-align:left;vertical-align:top}}code{{font-size:1.2em}}</style>\
         <h1>Messages</h1><table><tr><th>At<th>By<th>To<th>Message<th>Code</tr>{rows}</table></html>"
    )
}

fn link(address: &str) -> String {
    format!("<br><a href=\"{}\">link</a>", escape_html(address))
}

//! The last events as the relay sends them to Kafka: its own code makes the records from the same rows.

use axum::extract::{Query, State};
use axum::response::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::api::http::dev::address::address;
use crate::api::http::dev::pools;
use crate::api::http::dev::stream::{Item, POLL, Source};
use crate::api::http::dev::{Console, Failed, page, rendered};
use crate::domain::ids::UserPoolId;
use crate::domain::time::Timestamp;
use crate::kafka::cloud_event::{self, Record};
use crate::kafka::topics::topic;
use crate::pages::Moment;
use crate::pages::console::{self, Flow, Link, Section, Tab};
use crate::store::Store;
use crate::store::feed::{Cursor, FeedRow, Log};
use crate::store::wake::Wake;

/// Most events on a page.
const MOST_SHOWN: usize = 25;
/// Most rows read at a time for an open stream.
const MOST_NEWS: i64 = 50;

/// The parameters of the page.
#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    log: String,
    #[serde(default)]
    pool: String,
    before: Option<String>,
    after: Option<String>,
}

impl Filter {
    fn log(&self) -> Log {
        Log::ALL.into_iter().find(|log| log.name() == self.log).unwrap_or(Log::Directory)
    }

    /// The pool of the filter, if there is one. A malformed id is replaced by one that matches no pool.
    fn pool(&self) -> Option<UserPoolId> {
        (!self.pool.is_empty()).then(|| UserPoolId::parse(&self.pool).unwrap_or_else(|| UserPoolId::new("?")))
    }

    /// The address with the same filter and one parameter more.
    fn address(&self, path: &str, more: (&str, &str)) -> String {
        address(path, &[("log", self.log().name()), ("pool", &self.pool), more])
    }
}

/// `GET /dev/events`: the newest first.
pub(super) async fn events(State(console): State<Console>, Query(filter): Query<Filter>) -> Result<Response, Failed> {
    let (log, pool, store) = (filter.log(), filter.pool(), &console.app.store);
    let before = filter.before.as_deref().and_then(place);
    let end = Cursor::end();
    // Events that are written while the list is read come by the stream.
    let last = store.feed_backwards(log, &end, None, 1).await?.pop().map_or_else(Cursor::start, |row| row.cursor);
    let limit = MOST_SHOWN as i64 + 1;
    let mut rows = store.feed_backwards(log, before.as_ref().unwrap_or(&end), pool.as_ref(), limit).await?;
    let goes_on = rows.len() > MOST_SHOWN;
    rows.truncate(MOST_SHOWN);
    let older = rows.last().filter(|_| goes_on).map(|row| written(&row.cursor));
    let flow = Flow {
        stream: before.is_none().then(|| filter.address("/dev/events/stream", ("after", &written(&last)))),
        newest: before.as_ref().map(|_| filter.address("/dev/events", ("", ""))),
        older: older.map(|older| filter.address("/dev/events", ("before", &older))),
    };
    let tab = |other: Log| Tab {
        link: Link::new(
            address("/dev/events", &[("log", other.name()), ("pool", &filter.pool)]),
            topic(&console.kafka, other),
        ),
        current: other == log,
    };
    let largest = console.kafka.largest_record();
    let shown = console::Events {
        title: "Events".to_owned(),
        section: Section::Events,
        topics: Log::ALL.map(tab).into(),
        topic: topic(&console.kafka, log),
        log: log.name(),
        pools: pools::choices(&console.app, &filter.pool).await?,
        filtered: !filter.pool.is_empty(),
        events: rows.iter().map(|row| view(log, row, largest)).collect(),
        flow,
    };
    page(StatusCode::OK, &shown)
}

/// `GET /dev/events/stream`: events from now on, or after the last one that the browser saw.
pub(super) async fn stream(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Response, Failed> {
    let store = console.app.store.clone();
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(filter.after.as_deref());
    let after = match seen.and_then(place) {
        Some(after) => after,
        None => {
            let newest = store.feed_backwards(filter.log(), &Cursor::end(), None, 1).await?.pop();
            newest.map_or_else(Cursor::start, |row| row.cursor)
        }
    };
    let feed = Feed { log: filter.log(), pool: filter.pool(), after, largest: console.kafka.largest_record() };
    Ok(console.streams.open(&headers, store, feed))
}

/// The rows of a log after a place, each once.
struct Feed {
    log: Log,
    pool: Option<UserPoolId>,
    after: Cursor,
    largest: usize,
}

impl Source for Feed {
    async fn look(&mut self, store: &Store) -> Result<Vec<Item>, Failed> {
        loop {
            let rows = store.feed(self.log, &self.after, MOST_NEWS).await?;
            let Some(last) = rows.last() else { return Ok(Vec::new()) };
            self.after = last.cursor.clone();
            let wanted =
                rows.iter().filter(|row| self.pool.as_ref().is_none_or(|pool| pool.as_str() == row.user_pool_id));
            let items = wanted.map(|row| {
                let html = rendered(&view(self.log, row, self.largest))?;
                Ok(Item { id: written(&row.cursor), html })
            });
            let items: Vec<_> = items.collect::<Result<_, Failed>>()?;
            if !items.is_empty() {
                return Ok(items);
            }
        }
    }

    fn news(wake: &Wake) -> BoxFuture<'_, ()> {
        wake.wait_for_events(POLL).boxed()
    }
}

fn view(log: Log, row: &FeedRow, largest: usize) -> console::Event {
    let (kind, key) = (row.kind.clone(), cloud_event::key(row));
    let (id, at) = (row.event_id.to_string(), Moment::from(row.at));
    match cloud_event::record(log, row, largest) {
        Ok(Record { key, headers, body }) => {
            let kind = headers.iter().find(|(name, _)| *name == "ce_type").map_or(kind, |(_, kind)| kind.clone());
            let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            console::Event { id, kind, key, at, headers, body: Ok(readable(&body)) }
        }
        Err(poison) => console::Event { id, kind, key, at, headers: Vec::new(), body: Err(poison.to_string()) },
    }
}

/// The body as indented JSON, or unchanged if it is not JSON.
fn readable(body: &[u8]) -> String {
    let json = serde_json::from_slice::<Value>(body);
    json.map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |json| format!("{json:#}"))
}

/// A place in the feed, in the form that addresses use.
fn written(cursor: &Cursor) -> String {
    format!("{}.{}.{}.{}", cursor.epoch, cursor.tx, cursor.ord, cursor.at.0)
}

fn place(text: &str) -> Option<Cursor> {
    let parts: Vec<&str> = text.split('.').collect();
    let [epoch, tx, ord, at] = parts.as_slice() else { return None };
    let tx: u64 = tx.parse().ok()?;
    Some(Cursor {
        epoch: epoch.parse().ok()?,
        tx: tx.to_string(),
        ord: ord.parse().ok()?,
        at: Timestamp(at.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back_and_other_texts_are_refused() {
        let cursor = Cursor { epoch: 2, tx: u64::MAX.to_string(), ord: 7, at: Timestamp(1_700_000_000_123) };
        assert_eq!(place(&written(&cursor)), Some(cursor));
        for other in ["", "1.2.3", "1.2.3.4.5", "1.-2.3.4", "1.18446744073709551616.3.4", "a.2.3.4", "1.2.3.4\0"] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}

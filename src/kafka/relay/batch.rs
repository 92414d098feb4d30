//! What is published next from a log, and what is parked.

use std::collections::HashSet;
use std::sync::Arc;

use tracing::Span;
use tracing::field::Empty;

use crate::domain::time::Timestamp;
use crate::kafka::cloud_event::{self, Poison, Record};
use crate::kafka::relay::publish::Fate;
use crate::store::feed::{Cursor, FeedRow, Log};
use crate::store::parked::{Parking, Retried, Settled};
use crate::telemetry::trace::{self, TraceContext};

/// Rows of one log in the order of its feed. Each is published or parked.
#[derive(Debug)]
pub(super) struct Batch {
    /// The log that the rows come from.
    pub log: Log,
    /// The number of rows.
    rows: usize,
    /// The records to be published.
    pub entries: Vec<Entry>,
    /// The events to be parked.
    pub parked: Vec<Parking>,
    /// The position of the checkpoint once the batch is done.
    pub reached: Option<Cursor>,
    /// When the oldest event of the batch happened.
    pub oldest: Option<Timestamp>,
}

/// A record with its event, which is parked if the brokers refuse the record.
#[derive(Debug)]
pub(super) struct Entry {
    /// The CloudEvent of the event.
    pub record: Arc<Record>,
    event: Parking,
    /// Ends when it is known what became of the record.
    span: Span,
}

impl Entry {
    /// If the event belongs to a trace, consumers join it behind the span of this entry.
    fn new(mut record: Record, event: Parking, topic: &str) -> Self {
        let span = trace::continued(record.trace_context(), || span(topic, &event));
        if let Some(context) = TraceContext::of(&span) {
            record.continue_from(&context);
        }
        Self { record: Arc::new(record), event, span }
    }
}

/// The span from the read of an event to its end on Kafka.
fn span(topic: &str, event: &Parking) -> Span {
    tracing::info_span!(
        target: trace::ROOT,
        "send",
        otel.name = format!("send {topic}"),
        otel.kind = "producer",
        otel.status_code = Empty,
        messaging.system = "kafka",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = topic,
        messaging.message.id = %event.event_id,
        userpool.event.type = event.kind,
    )
}

impl Batch {
    /// Whether as many rows were read as one read returns, so that more may wait.
    pub(super) fn is_full(&self, most: i64) -> bool {
        i64::try_from(self.rows).is_ok_and(|rows| rows >= most)
    }

    /// Makes records of at most `largest` bytes from rows. A row that can't be a record is parked, and so are all later
    /// rows of its key and rows of a key that is already parked.
    pub(super) fn new(
        log: Log,
        topic: &str,
        rows: Vec<FeedRow>,
        mut parked_keys: HashSet<String>,
        largest: usize,
    ) -> Self {
        let oldest = rows.first().map(|row| row.at);
        let reached = rows.last().map(|row| row.cursor.clone());
        let mut batch = Self { log, rows: rows.len(), entries: Vec::new(), parked: Vec::new(), reached, oldest };
        for row in rows {
            let event = event(log, &row, cloud_event::key(&row));
            if parked_keys.contains(&event.key) {
                batch.parked.push(event);
                continue;
            }
            match cloud_event::record(log, &row, largest) {
                Ok(record) => batch.entries.push(Entry::new(record, event, topic)),
                Err(why) => {
                    parked_keys.insert(event.key.clone());
                    batch.parked.push(refused(event, &why));
                }
            }
        }
        batch
    }

    /// Parks the events whose records were not published.
    pub(super) fn settle(&mut self, fates: impl Iterator<Item = Fate>) {
        let mut published = Vec::with_capacity(self.entries.len());
        for (entry, fate) in self.entries.drain(..).zip(fates) {
            match fate {
                Fate::Published => published.push(entry),
                Fate::Refused => {
                    entry.span.record("otel.status_code", "ERROR");
                    let why = Poison::Refused(entry.record.size());
                    self.parked.push(refused(entry.event, &why));
                }
                Fate::Follows => self.parked.push(entry.event),
            }
        }
        self.entries = published;
    }
}

fn event(log: Log, row: &FeedRow, key: String) -> Parking {
    Parking {
        log,
        user_pool_id: row.user_pool_id.clone(),
        event_id: row.event_id,
        key,
        kind: row.kind.clone(),
        cursor: row.cursor.clone(),
        why: None,
    }
}

fn refused(event: Parking, why: &Poison) -> Parking {
    tracing::error!(
        log = event.log.name(), kind = event.kind, id = %event.event_id, key = event.key,
        "an event is parked, with all later events of its key: {why}"
    );
    Parking { why: Some(why.to_string()), ..event }
}

/// Parked events that are tried again, each key in its order.
#[derive(Debug)]
pub(super) struct Retrial {
    /// The number of events.
    rows: usize,
    /// The records to be published.
    pub entries: Vec<Entry>,
    settled: Settled,
}

impl Retrial {
    /// Makes records from parked events. An event that can't be a record stays parked, and so does the rest of its key.
    pub(super) fn new(log: Log, topic: &str, retried: Vec<Retried>, largest: usize) -> Self {
        let mut trial = Self { rows: retried.len(), entries: Vec::new(), settled: Settled::default() };
        let mut failed = HashSet::new();
        for Retried { user_pool_id, event_id, key, row } in retried {
            if failed.contains(&key) {
                continue;
            }
            let Some(row) = row else {
                tracing::error!(log = log.name(), id = %event_id, key, "a parked event is no longer in its log and is skipped");
                trial.settled.published.push((user_pool_id, event_id, key));
                continue;
            };
            match cloud_event::record(log, &row, largest) {
                Ok(record) => {
                    trial.entries.push(Entry::new(record, event(log, &row, key), topic));
                }
                Err(why) => {
                    failed.insert(key.clone());
                    trial.settled.failed.push((user_pool_id, event_id, key, why.to_string()));
                }
            }
        }
        trial
    }

    /// Whether as many events were read as one read returns, so that more may wait.
    pub(super) fn is_full(&self, most: i64) -> bool {
        i64::try_from(self.rows).is_ok_and(|rows| rows >= most)
    }

    /// The outcome for every event.
    pub(super) fn settled(mut self, fates: impl Iterator<Item = Fate>) -> Settled {
        for (Entry { record, event, span }, fate) in self.entries.into_iter().zip(fates) {
            let Parking { user_pool_id, event_id, key, .. } = event;
            match fate {
                Fate::Published => self.settled.published.push((user_pool_id, event_id, key)),
                Fate::Refused => {
                    span.record("otel.status_code", "ERROR");
                    let why = Poison::Refused(record.size()).to_string();
                    self.settled.failed.push((user_pool_id, event_id, key, why));
                }
                Fate::Follows => {}
            }
        }
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::kafka::config::DEFAULT_LARGEST;

    fn row(user: &str, version: i64, payload: Value) -> FeedRow {
        FeedRow {
            cursor: Cursor { tx: version.to_string(), ..Cursor::start() },
            user_pool_id: "pool".to_owned(),
            stream_id: format!("users/{user}"),
            stream_version: Some(version),
            event_id: Uuid::from_u128(version.unsigned_abs().into()),
            kind: "user.signed_up".to_owned(),
            schema_version: 1,
            payload,
            metadata: json!({ "actor": { "kind": "operator", "id": "" }, "operation": "test", "request_id": "r" }),
            at: Timestamp(version),
        }
    }

    fn ids<'a>(events: impl Iterator<Item = &'a Parking>) -> Vec<u128> {
        events.map(|event| event.event_id.as_u128()).collect()
    }

    fn batch(parked: &[&str]) -> Batch {
        let rows = vec![
            row("jane", 1, json!({})),
            row("john", 2, json!({ "of_tomorrow": 1 })),
            row("jane", 3, json!({})),
            row("john", 4, json!({})),
            row("joan", 5, json!({})),
        ];
        let parked = parked.iter().map(|key| (*key).to_owned()).collect();
        Batch::new(Log::Directory, "directory", rows, parked, DEFAULT_LARGEST)
    }

    #[test]
    fn an_unpublishable_event_is_parked_with_later_ones_of_its_key() {
        let batch = batch(&["pool/joan"]);
        assert_eq!(ids(batch.entries.iter().map(|entry| &entry.event)), [1, 3]);
        assert_eq!(ids(batch.parked.iter()), [2, 4, 5]);
        let why: Vec<bool> = batch.parked.iter().map(|event| event.why.is_some()).collect();
        assert_eq!(why, [true, false, false], "the first of a key says why");
        assert_eq!(batch.reached.unwrap().tx, "5", "behind all of it");
    }

    #[test]
    fn a_record_that_brokers_refuse_is_parked_with_later_ones_of_its_key() {
        let mut batch = batch(&[]);
        batch.settle([Fate::Refused, Fate::Follows, Fate::Published].into_iter());
        assert_eq!(ids(batch.entries.iter().map(|entry| &entry.event)), [5]);
        assert_eq!(ids(batch.parked.iter()), [2, 4, 1, 3]);
        assert!(batch.parked[2].why.as_deref().unwrap().starts_with("the brokers refuse its record of "));
    }

    #[test]
    fn a_key_that_fails_again_stays_behind_its_first_failure() {
        let retried = [
            row("jane", 1, json!({})),
            row("jane", 2, json!({ "of_tomorrow": 1 })),
            row("jane", 3, json!({})),
            row("john", 4, json!({})),
        ];
        let mut retried: Vec<Retried> = retried
            .into_iter()
            .map(|row| Retried {
                user_pool_id: "pool".to_owned(),
                event_id: row.event_id,
                key: cloud_event::key(&row),
                row: Some(row),
            })
            .collect();
        retried.push(Retried { row: None, event_id: Uuid::from_u128(5), ..retried[3].clone() });
        let trial = Retrial::new(Log::Directory, "directory", retried, DEFAULT_LARGEST);
        let settled = trial.settled([Fate::Published, Fate::Refused].into_iter());
        let published: Vec<u128> = settled.published.iter().map(|(_, id, _)| id.as_u128()).collect();
        let failed: Vec<u128> = settled.failed.iter().map(|(_, id, ..)| id.as_u128()).collect();
        assert_eq!((published, failed), (vec![5, 1], vec![2, 4]));
    }
}

//! The content of log rows: events, and the state that they yield.

use std::sync::Arc;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::decision::Aggregate;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::proto::{EventPayload, UnreadableEvent};
use crate::store::from_database;
use crate::store::seal::{DataKey, FieldClass, Place, Unsealable};

/// The version of the event schema that this release writes, and the latest that it can read.
pub const SCHEMA_VERSION: i32 = 1;

/// The member of a payload that holds the sealed `personal` part of an event.
const SEALED: &str = "sealed";
const PERSONAL: &str = "personal";

/// Rows of the log can't be decoded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum HistoryError {
    /// The personal part of an event can't be opened.
    #[error(transparent)]
    Unsealable(#[from] Unsealable),
    /// The event was written by a later release.
    #[error(transparent)]
    Event(#[from] UnreadableEvent),
    /// The payload does not contain what this release writes.
    #[error("a payload can't be read: {0}")]
    Payload(serde_json::Error),
    #[error("a state can't be written: {0}")]
    State(serde_json::Error),
}

/// An event with its place in the log.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Clone, Debug)]
pub struct Recorded<Event> {
    /// The place in the stream, from 1.
    pub version: i64,
    pub event_id: Uuid,
    pub at: Timestamp,
    pub event: Event,
}

/// Replaces the `personal` part of a payload by its sealed form.
pub(super) fn seal_personal(payload: &mut Value, key: &DataKey, pool: &UserPoolId, stream: &StreamId, blob_id: Uuid) {
    let Some(members) = payload.as_object_mut() else { return };
    let Some(personal) = members.remove(PERSONAL) else { return };
    let place = Place { pool, stream, class: FieldClass::Personal };
    let sealed = key.seal(place, blob_id, personal.to_string().as_bytes());
    members.insert(SEALED.to_owned(), serde_json::json!(sealed));
}

/// Puts the `personal` part back if its key still exists; otherwise the event has no personal values.
fn open_personal(
    payload: &mut Value,
    key: Option<&DataKey>,
    pool: &UserPoolId,
    stream: &StreamId,
) -> Result<(), HistoryError> {
    let Some(members) = payload.as_object_mut() else { return Ok(()) };
    let (Some(sealed), Some(key)) = (members.remove(SEALED), key) else { return Ok(()) };
    let sealed: Sealed = serde_json::from_value(sealed).map_err(HistoryError::Payload)?;
    let personal = key.open(Place { pool, stream, class: FieldClass::Personal }, &sealed)?;
    members.insert(PERSONAL.to_owned(), serde_json::from_slice(&personal).map_err(HistoryError::Payload)?);
    Ok(())
}

/// A row of the log, before it is known which aggregate its stream belongs to.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub stream_id: String,
    stream_version: i64,
    event_id: Uuid,
    #[sqlx(rename = "type")]
    kind: String,
    schema_version: i32,
    payload: Value,
    at: OffsetDateTime,
}

/// The events in the rows of one stream.
pub(super) fn events<Event: EventPayload>(
    rows: Vec<Row>,
    pool: &UserPoolId,
    stream: &StreamId,
    key: Option<&Arc<DataKey>>,
) -> Result<Vec<Recorded<Event>>, HistoryError> {
    rows.into_iter()
        .map(|Row { stream_version: version, event_id, kind, schema_version, mut payload, at, .. }| {
            if schema_version > SCHEMA_VERSION {
                return Err(UnreadableEvent::LaterVersion { kind, version: schema_version }.into());
            }
            open_personal(&mut payload, key.map(Arc::as_ref), pool, stream)?;
            Ok(Recorded { version, event_id, at: from_database(at), event: Event::from_json(&kind, payload)? })
        })
        .collect()
}

/// The state that a stream's events yield, and the version of the last event.
pub fn replay<A: Aggregate>(stream: &StreamId, events: &[Recorded<A::Event>]) -> (Option<A>, i64) {
    let state =
        crate::domain::decision::replay(None, stream, events.iter().map(|recorded| (&recorded.event, recorded.at)));
    (state, events.last().map_or(0, |last| last.version))
}

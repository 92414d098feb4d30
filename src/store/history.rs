//! Streams of the log, read back.

use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::decision::Aggregate;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::proto::{EventPayload, UnreadableEvent};
use crate::store::error::StoreError;
use crate::store::from_database;
use crate::store::seal::{DataKey, FieldClass, Place};

/// The version of the events' schema that this release writes, and the latest that it reads.
pub const SCHEMA_VERSION: i32 = 1;

/// The member of a payload under which the `personal` part of an event stands once it is sealed.
const SEALED: &str = "sealed";
const PERSONAL: &str = "personal";

/// An event that happened.
#[derive(Clone, Debug)]
pub struct Recorded<Event> {
    /// Its place in the stream, from 1.
    pub version: i64,
    /// Its id.
    pub event_id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
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

/// Puts the `personal` part back, if its key is still there; else the event says nothing of the person.
fn open_personal(
    payload: &mut Value,
    key: Option<&DataKey>,
    pool: &UserPoolId,
    stream: &StreamId,
) -> Result<(), StoreError> {
    let Some(members) = payload.as_object_mut() else { return Ok(()) };
    let (Some(sealed), Some(key)) = (members.remove(SEALED), key) else { return Ok(()) };
    let unreadable = |source| StoreError::Row { table: "log", source };
    let sealed: Sealed = serde_json::from_value(sealed).map_err(unreadable)?;
    let personal = key.open(Place { pool, stream, class: FieldClass::Personal }, &sealed)?;
    members.insert(PERSONAL.to_owned(), serde_json::from_slice(&personal).map_err(unreadable)?);
    Ok(())
}

/// A row of the log, before it is known of what kind its stream is.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    /// The stream.
    pub stream_id: String,
    stream_version: i64,
    event_id: Uuid,
    #[sqlx(rename = "type")]
    kind: String,
    schema_version: i32,
    payload: Value,
    at: OffsetDateTime,
}

/// The rows of streams from their beginning, stream by stream.
pub(super) async fn rows(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    streams: &[String],
) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_as(
        "select stream_id, stream_version, event_id, type, schema_version, payload, at from log
         where user_pool_id = $1 and stream_id = any($2) order by stream_id, stream_version",
    );
    Ok(rows.bind(pool.as_str()).bind(streams).fetch_all(connection).await?)
}

/// The events of one stream's rows.
pub(super) fn events<Event: EventPayload>(
    rows: Vec<Row>,
    pool: &UserPoolId,
    stream: &StreamId,
    key: Option<&Arc<DataKey>>,
) -> Result<Vec<Recorded<Event>>, StoreError> {
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

/// Reads a stream from its beginning.
pub async fn load<Event: EventPayload>(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    stream: &StreamId,
    key: Option<&Arc<DataKey>>,
) -> Result<Vec<Recorded<Event>>, StoreError> {
    events(rows(connection, pool, &[stream.to_string()]).await?, pool, stream, key)
}

/// The state that a stream's events yield, and the version of the last one.
pub fn replay<A: Aggregate>(stream: &StreamId, events: &[Recorded<A::Event>]) -> (Option<A>, i64) {
    let state =
        crate::domain::decision::replay(None, stream, events.iter().map(|recorded| (&recorded.event, recorded.at)));
    (state, events.last().map_or(0, |last| last.version))
}

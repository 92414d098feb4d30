//! Reads streams of the log.

use std::sync::Arc;

use sqlx::PgConnection;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::proto::EventPayload;
use crate::store::error::StoreError;
use crate::store::history::{Recorded, Row, events};
use crate::store::seal::DataKey;

/// The rows of streams from their beginning, grouped by stream.
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

/// Reads a stream from its beginning.
pub async fn load<Event: EventPayload>(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    stream: &StreamId,
    key: Option<&Arc<DataKey>>,
) -> Result<Vec<Recorded<Event>>, StoreError> {
    Ok(events(rows(connection, pool, &[stream.to_string()]).await?, pool, stream, key)?)
}

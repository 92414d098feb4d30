//! The transaction itself: only writes, in a fixed order. Nothing is read after the first of them.

use sqlx::{AssertSqlSafe, PgConnection};

use super::rows::{LogRow, OutboxRow, Rows};
use super::{ActivityRow, Counted, Marker, operational, read_models};
use crate::domain::app_client::AppClient;
use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::user_pool::UserPool;
use crate::store::answers;
use crate::store::connections::{Connections, Database, Lent};
use crate::store::error::StoreError;
use crate::store::history::SCHEMA_VERSION;
use crate::store::models::{Model, Modelled};
use crate::store::outbox::INVITATION;

/// A commit that failed.
pub(super) struct Failed {
    pub error: StoreError,
    /// How far the commit had come.
    pub stage: Stage,
}

/// How far a commit had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No statement was sent that could leave a trace.
    Begins,
    /// Its transaction was open. It ended with its connection, and nothing of it remains.
    Writes,
    /// `COMMIT` was sent: the outcome is unknown.
    Commits,
}

/// Writes everything in one transaction.
pub(super) async fn write(connections: &Connections, rows: &Rows) -> Result<(), Failed> {
    let mut stage = Stage::Begins;
    match connections.lend().await {
        Ok(mut lent) => {
            let written = write_over(&mut lent, rows, &mut stage).await;
            lent.settled(written)
        }
        Err(error) => Err(error),
    }
    .map_err(|error| Failed { error, stage })
}

async fn write_over(lent: &mut Lent<'_>, rows: &Rows, stage: &mut Stage) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    *stage = Stage::Writes;
    write_rows(&mut transaction, rows).await?;
    *stage = Stage::Commits;
    transaction.commit().await?;
    Ok(())
}

async fn write_rows(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    if let Some(answer) = &rows.answer {
        answers::write(connection, answer).await?;
    }
    let asserted = Asserted::of(rows);
    for (stream, version) in &asserted.alone {
        assert_version(connection, &rows.pool_id, stream, *version).await?;
    }
    append(connection, rows, &asserted).await?;
    if !rows.counted.is_empty() {
        hold_pool(connection, &rows.pool_id).await?;
    }
    read_models::claim(connection, rows).await?;
    read_models::write(connection, rows).await?;
    for (counted, most) in &rows.counted {
        assert_within(connection, &rows.pool_id, *counted, *most).await?;
    }
    read_models::write_children(connection, rows).await?;
    read_models::write_search(connection, rows).await?;
    for row in &rows.operational {
        operational::write(connection, &rows.pool_id, row, rows.at).await?;
    }
    if !rows.activity.is_empty() {
        append_activity(connection, &rows.pool_id, &rows.activity).await?;
    }
    drop_invitations(connection, rows).await?;
    for row in &rows.outbox {
        write_outbox(connection, rows, row).await?;
    }
    Ok(())
}

/// Whether the event of a marker is in the log, which means that the transaction whose answer was lost was committed.
///
/// That transaction may still be running. Inserting a row with the same key waits for it: if the insert succeeds, the
/// transaction was rolled back, and the insert is rolled back too.
pub(super) async fn is_committed(database: &Database, marker: &Marker) -> Result<bool, StoreError> {
    let mut lent = database.lend().await?;
    let committed = is_in_log(&mut lent, marker).await;
    lent.settled(committed)
}

async fn is_in_log(lent: &mut Lent<'_>, marker: &Marker) -> Result<bool, StoreError> {
    let mut transaction = lent.begin().await?;
    let written = sqlx::query(
        "insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
         values ($1, $2, $3, $4, 'probe', $5, '{}', '{}', now(), 0, 0) on conflict do nothing",
    )
    .bind(marker.pool_id.as_str())
    .bind(marker.stream.as_str())
    .bind(marker.version)
    .bind(marker.event_id)
    .bind(SCHEMA_VERSION)
    .execute(&mut *transaction)
    .await?;
    let found: Option<bool> = sqlx::query_scalar(
        "select event_id = $4 from log where user_pool_id = $1 and stream_id = $2 and stream_version = $3",
    )
    .bind(marker.pool_id.as_str())
    .bind(marker.stream.as_str())
    .bind(marker.version)
    .bind(marker.event_id)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(written.rows_affected() == 0 && found.unwrap_or(false))
}

/// The streams whose version is asserted, by the statement that asserts it.
#[derive(Default)]
struct Asserted<'a> {
    /// The pool's version, asserted together with appending events.
    pool: Option<i64>,
    /// A client's version, asserted in the same way.
    client: Option<(&'a str, i64)>,
    /// Each is asserted by a statement of its own: those whose rows are locked, and all of them if no events are
    /// appended.
    alone: Vec<&'a (StreamId, i64)>,
}

impl<'a> Asserted<'a> {
    fn of(rows: &'a Rows) -> Self {
        let mut found = Self::default();
        for asserted in &rows.asserted {
            let goes_with_events = |aggregate| !rows.log.is_empty() && Model::of_stream(&asserted.0) == Some(aggregate);
            if found.pool.is_none() && goes_with_events(UserPool::MODEL) {
                found.pool = Some(asserted.1);
            } else if found.client.is_none() && goes_with_events(AppClient::MODEL) {
                found.client = Some((asserted.0.owner(), asserted.1));
            } else {
                found.alone.push(asserted);
            }
        }
        found
    }
}

async fn assert_version(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    stream: &StreamId,
    version: i64,
) -> Result<(), StoreError> {
    // A stream of an unknown kind can't have been read, so its version is out of date.
    let model = Model::of_stream(stream).ok_or(StoreError::Stale)?;
    let statement = AssertSqlSafe(model.assert_version());
    sqlx::query(statement)
        .bind(stream.as_str())
        .bind(version)
        .bind(pool.as_str())
        .bind(stream.owner())
        .execute(connection)
        .await?;
    Ok(())
}

/// Appends events, if pool and client still have the version that was read: that saves every command a round trip or
/// two. The versions are scalars, because Postgres would plan a statement with three more arrays anew at each run.
const APPEND: &str = "
with asserted as materialized (
    select case when $10 is not null then
               assert_version('pool', $10, (select version from pools where user_pool_id = $1)) end,
           case when $11 is not null then
               assert_version('clients/' || $11, $12,
                   (select version from clients where user_pool_id = $1 and client_id = $11)) end
)
insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
select $1, stream_id, stream_version, event_id, type, $2, payload, metadata, $3, (select epoch from meta), ord - 1
from unnest($4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::jsonb[], $9::jsonb[])
     with ordinality as e (stream_id, stream_version, event_id, type, payload, metadata, ord)
where (select count(*) from asserted) = 1";

async fn append(connection: &mut PgConnection, rows: &Rows, asserted: &Asserted<'_>) -> Result<(), StoreError> {
    if rows.log.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&LogRow) -> String| rows.log.iter().map(value).collect::<Vec<_>>();
    sqlx::query(APPEND)
        .bind(rows.pool_id.as_str())
        .bind(SCHEMA_VERSION)
        .bind(rows.at)
        .bind(column(|row| row.stream.to_string()))
        .bind(rows.log.iter().map(|row| row.version).collect::<Vec<_>>())
        .bind(rows.log.iter().map(|row| row.event_id).collect::<Vec<_>>())
        .bind(column(|row| row.kind.to_owned()))
        .bind(rows.log.iter().map(|row| row.payload.clone()).collect::<Vec<_>>())
        .bind(rows.log.iter().map(|row| row.metadata.clone()).collect::<Vec<_>>())
        .bind(asserted.pool)
        .bind(asserted.client.map(|(id, _)| id))
        .bind(asserted.client.map(|(_, version)| version))
        .execute(connection)
        .await?;
    Ok(())
}

/// Locks the pool's row until the commit is done, so that commits that add limited objects count one after the other.
/// Only changes of the pool itself wait for the lock; all others just read the row.
async fn hold_pool(connection: &mut PgConnection, pool: &UserPoolId) -> Result<(), StoreError> {
    let held = sqlx::query("select from pools where user_pool_id = $1 for no key update")
        .bind(pool.as_str())
        .fetch_optional(connection)
        .await?;
    // The pool was deleted while this commit waited.
    held.map(drop).ok_or(StoreError::Stale)
}

/// Asserts that there are not too many, including those of this commit. It is a statement after the one that waited for
/// the pool, so that it sees everything that was added before.
async fn assert_within(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    counted: Counted,
    most: u32,
) -> Result<(), StoreError> {
    let assert = sqlx::query(AssertSqlSafe(counted.bound().assert_within()));
    assert.bind(pool.as_str()).bind(i64::from(most)).execute(connection).await?;
    Ok(())
}

/// Appends facts. Also used for facts that are written outside a commit.
pub(crate) async fn append_activity(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    rows: &[ActivityRow],
) -> Result<(), StoreError> {
    for (ord, row) in (0_i32..).zip(rows) {
        sqlx::query(
            "insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
             values ($1, $2, $3, $4, $5, $6, $7, $8, (select epoch from meta), $9)",
        )
        .bind(pool.as_str())
        .bind(row.event_id)
        .bind(&row.owner)
        .bind(row.kind)
        .bind(row.schema_version)
        .bind(&row.payload)
        .bind(&row.metadata)
        .bind(row.at)
        .bind(ord)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Deletes waiting invitations that have become invalid, before new ones are written.
async fn drop_invitations(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    if rows.outdated_invitations.is_empty() {
        return Ok(());
    }
    sqlx::query("delete from outbox where user_pool_id = $1 and owner = any($2) and kind = $3")
        .bind(rows.pool_id.as_str())
        .bind(rows.outdated_invitations.iter().map(Sub::to_string).collect::<Vec<_>>())
        .bind(INVITATION)
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_outbox(connection: &mut PgConnection, rows: &Rows, row: &OutboxRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into outbox (user_pool_id, id, owner, kind, sealed, next_at, medium, purpose, expires_at, traceparent)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(rows.pool_id.as_str())
    .bind(row.id)
    .bind(&row.owner)
    .bind(row.kind)
    .bind(&row.sealed.0)
    .bind(rows.at)
    .bind(row.medium)
    .bind(row.purpose)
    .bind(row.expires_at)
    .bind(&row.traceparent)
    .execute(connection)
    .await?;
    Ok(())
}

//! Events that the relay could not publish, and later events of their keys. They wait here in their order and don't
//! delay others.
//!
//! A row names an event by its position in the feed; the event itself stays in its log. Only the relay adds and removes
//! rows, under its lease. A command only marks rows to be tried again.

use std::collections::HashSet;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::feed::{Cursor, FeedRow, Log, feed_row};
use crate::store::leases::{Lease, is_held};
use crate::store::{Store, from_database, to_database};

/// An event to be parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// The log that the event is in.
    pub log: Log,
    /// The id of the event's pool.
    pub user_pool_id: String,
    /// The event's id, as in its log.
    pub event_id: Uuid,
    /// The key of its record: later events of the key are parked too.
    pub key: String,
    /// The event's type, such as `user.signed_up`.
    pub kind: String,
    /// The event's position in the feed.
    pub cursor: Cursor,
    /// Why it can't be published; `None` if it only follows another event of its key.
    pub why: Option<String>,
}

/// A parked event for an operator, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The name of the log that the event is in.
    pub log: String,
    /// The event's id, as in its log.
    pub event_id: Uuid,
    /// The key of its record.
    pub key: String,
    /// The event's type, such as `user.signed_up`.
    pub kind: String,
    /// When the event happened.
    pub at: Timestamp,
    /// When the event was parked.
    pub parked_at: Timestamp,
    /// Why it can't be published; `None` if it only follows another event of its key.
    pub why: Option<String>,
    /// Whether it is marked to be tried again.
    pub retry: bool,
}

/// An event to be tried again.
#[derive(Clone, Debug)]
pub struct Retried {
    /// The id of the event's pool.
    pub user_pool_id: String,
    /// The event's id, as in its log.
    pub event_id: Uuid,
    /// The key of its record.
    pub key: String,
    /// The event's row; `None` if it is no longer in its log.
    pub row: Option<FeedRow>,
}

/// The outcome of trying events again.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// The published events: pool, id and key. The rest of such a key is tried next.
    pub published: Vec<(String, Uuid, String)>,
    /// The first event of each key that failed again: pool, id, key and reason. The rest of the key stays parked.
    pub failed: Vec<(String, Uuid, String, String)>,
}

const RETRIED_DIRECTORY: &str = "
select p.user_pool_id as parked_pool, p.event_id as parked_id, p.record_key, l.user_pool_id, l.stream_id, l.stream_version, l.event_id,
       l.type, l.schema_version, l.payload, l.metadata, l.at, l.epoch, l.tx::text as tx, l.ord
from relay_parked p
left join log l on l.epoch = p.epoch and l.tx = p.tx and l.ord = p.ord and l.event_id = p.event_id
where p.log = 'directory' and p.retry
order by p.record_key, p.epoch, p.tx, p.ord limit $1";

/// The time is that of a reader, which only knows milliseconds.
const RETRIED_ACTIVITY: &str = "
select p.user_pool_id as parked_pool, p.event_id as parked_id, p.record_key, a.user_pool_id, 'activity/' || a.owner as stream_id,
       null::bigint as stream_version, a.event_id, a.type, a.schema_version, a.payload, a.metadata, a.at,
       a.epoch, a.tx::text as tx, a.ord
from relay_parked p
left join activity a on a.user_pool_id = p.user_pool_id and a.event_id = p.event_id
    and a.at between p.at - interval '1 second' and p.at + interval '1 second'
where p.log = 'activity' and p.retry
order by p.record_key, p.epoch, p.tx, p.ord limit $1";

impl Store {
    /// The number of parked events of a log.
    pub async fn count_parked(&self, log: Log) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("select count(*) from relay_parked where log = $1")
            .bind(log.name())
            .fetch_one(&self.database)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Which of these keys have parked events.
    pub async fn parked_keys(&self, log: Log, keys: &[String]) -> Result<HashSet<String>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(
            "select k.key from unnest($2::text[]) as k (key)
             where exists (select from relay_parked p where p.log = $1 and p.record_key = k.key)",
        )
        .bind(log.name())
        .bind(keys)
        .fetch_all(&self.database)
        .await?;
        Ok(found.into_iter().collect())
    }

    /// The events to be tried again, each key in its order.
    pub async fn parked_to_retry(&self, log: Log, limit: i64) -> Result<Vec<Retried>, StoreError> {
        let statement = match log {
            Log::Directory => RETRIED_DIRECTORY,
            Log::Activity => RETRIED_ACTIVITY,
        };
        let rows = sqlx::query(statement).bind(limit).fetch_all(&self.database).await?;
        rows.iter().map(retried).collect()
    }

    /// Records the outcome of trying events again, if the lease is still held. Returns whether it was.
    pub async fn settle_retried(&self, lease: &Lease, log: Log, settled: &Settled) -> Result<bool, StoreError> {
        let mut lent = self.database.lend().await?;
        let is_settled = settle_retried(&mut lent, lease, log, settled).await;
        lent.settled(is_settled)
    }

    /// The parked events in the order of the feed, of one key or of all.
    pub async fn list_parked(&self, key: Option<&str>, limit: i64) -> Result<Vec<Parked>, StoreError> {
        let rows = sqlx::query(
            "select log, event_id, record_key, type, at, parked_at, why, retry from relay_parked
             where $1::text is null or record_key = $1
             order by log, epoch, tx, ord limit $2",
        )
        .bind(key)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(parked).collect()
    }

    /// Marks parked events to be tried again, of one key or of all. Returns how many.
    pub async fn retry_parked(&self, key: Option<&str>) -> Result<u64, StoreError> {
        let marked = sqlx::query("update relay_parked set retry = true where $1::text is null or record_key = $1")
            .bind(key)
            .execute(&self.database)
            .await?;
        Ok(marked.rows_affected())
    }
}

async fn settle_retried(lent: &mut Lent<'_>, lease: &Lease, log: Log, settled: &Settled) -> Result<bool, StoreError> {
    let mut transaction = lent.begin().await?;
    if !is_held(&mut transaction, lease).await? {
        return Ok(false);
    }
    take_out(&mut transaction, log, &settled.published).await?;
    let failed =
        |column: fn(&(String, Uuid, String, String)) -> String| settled.failed.iter().map(column).collect::<Vec<_>>();
    sqlx::query("update relay_parked set retry = false where log = $1 and record_key = any($2) and retry")
        .bind(log.name())
        .bind(failed(|(_, _, key, _)| key.clone()))
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "update relay_parked p set why = f.why
         from unnest($2::text[], $3::uuid[], $4::text[]) as f (user_pool_id, event_id, why)
         where p.user_pool_id = f.user_pool_id and p.log = $1 and p.event_id = f.event_id",
    )
    .bind(log.name())
    .bind(failed(|(pool, ..)| pool.clone()))
    .bind(settled.failed.iter().map(|(_, id, ..)| *id).collect::<Vec<_>>())
    .bind(failed(|(_, _, _, why)| why.clone()))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

/// Parks events. An event that is parked already stays as it is.
pub(super) async fn park(connection: &mut PgConnection, parked: &[Parking]) -> Result<(), StoreError> {
    if parked.is_empty() {
        return Ok(());
    }
    let text = |column: fn(&Parking) -> &str| parked.iter().map(column).collect::<Vec<_>>();
    sqlx::query(
        "insert into relay_parked (user_pool_id, log, event_id, record_key, type, at, epoch, tx, ord, why)
         select user_pool_id, log, event_id, record_key, type, at, epoch, tx::xid8, ord, why
         from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[], $8::text[], $9::integer[],
                     $10::text[]) as p (user_pool_id, log, event_id, record_key, type, at, epoch, tx, ord, why)
         on conflict (user_pool_id, log, event_id) do nothing",
    )
    .bind(text(|event| &event.user_pool_id))
    .bind(text(|event| event.log.name()))
    .bind(parked.iter().map(|event| event.event_id).collect::<Vec<_>>())
    .bind(text(|event| &event.key))
    .bind(text(|event| &event.kind))
    .bind(parked.iter().map(|event| to_database(event.cursor.at)).collect::<Vec<_>>())
    .bind(parked.iter().map(|event| event.cursor.epoch).collect::<Vec<_>>())
    .bind(text(|event| &event.cursor.tx))
    .bind(parked.iter().map(|event| event.cursor.ord).collect::<Vec<_>>())
    .bind(parked.iter().map(|event| event.why.as_deref()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes published events. The rest of their keys is marked to be tried next.
async fn take_out(
    connection: &mut PgConnection,
    log: Log,
    published: &[(String, Uuid, String)],
) -> Result<(), StoreError> {
    sqlx::query(
        "delete from relay_parked p using unnest($2::text[], $3::uuid[]) as d (user_pool_id, event_id)
         where p.user_pool_id = d.user_pool_id and p.log = $1 and p.event_id = d.event_id",
    )
    .bind(log.name())
    .bind(published.iter().map(|(pool, ..)| pool.as_str()).collect::<Vec<_>>())
    .bind(published.iter().map(|(_, id, _)| *id).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query("update relay_parked set retry = true where log = $1 and record_key = any($2) and not retry")
        .bind(log.name())
        .bind(published.iter().map(|(.., key)| key.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

fn retried(row: &PgRow) -> Result<Retried, StoreError> {
    let found: Option<Uuid> = row.try_get("event_id")?;
    Ok(Retried {
        user_pool_id: row.try_get("parked_pool")?,
        event_id: row.try_get("parked_id")?,
        key: row.try_get("record_key")?,
        row: found.map(|_| feed_row(row)).transpose()?,
    })
}

fn parked(row: &PgRow) -> Result<Parked, StoreError> {
    Ok(Parked {
        log: row.try_get("log")?,
        event_id: row.try_get("event_id")?,
        key: row.try_get("record_key")?,
        kind: row.try_get("type")?,
        at: from_database(row.try_get::<OffsetDateTime, _>("at")?),
        parked_at: from_database(row.try_get::<OffsetDateTime, _>("parked_at")?),
        why: row.try_get("why")?,
        retry: row.try_get("retry")?,
    })
}

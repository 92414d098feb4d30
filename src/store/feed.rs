//! All events of a log in one order, without gaps.
//!
//! A reader's position is `(epoch, tx, ord)`. A reader takes rows after its position whose transaction is older than
//! the oldest running one: no row can appear before them any more. A position is only valid in its own database
//! cluster, so a restored cluster begins a new epoch.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::{Store, from_database, to_database};

/// One of the two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Log {
    /// Events: the table `log`.
    Directory,
    /// Facts with a limited lifetime: the table `activity`.
    Activity,
}

impl Log {
    /// Both logs, in a fixed order.
    pub const ALL: [Self; 2] = [Self::Directory, Self::Activity];

    /// The name in checkpoints and topics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Activity => "activity",
        }
    }
}

/// A position in the feed. Only the database compares positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The epoch of the cluster, raised by `userpool log new-epoch`.
    pub epoch: i64,
    /// The transaction's `xid8`, as text.
    pub tx: String,
    /// The place within the commit, from 0.
    pub ord: i32,
    /// The time of the event at this position: partitions of older months are skipped.
    pub at: Timestamp,
}

impl Cursor {
    /// The position before all events.
    pub fn start() -> Self {
        Self { epoch: 0, tx: "0".to_owned(), ord: -1, at: Timestamp(0) }
    }

    /// The position after all events.
    pub fn end() -> Self {
        Self { epoch: i64::MAX, tx: u64::MAX.to_string(), ord: i32::MAX, at: Timestamp(0) }
    }
}

/// A row of a log, for a reader of the feed.
#[derive(Clone, Debug)]
pub struct FeedRow {
    /// The position of the row in the feed.
    pub cursor: Cursor,
    /// The id of the pool; `-` for facts about service accounts.
    pub user_pool_id: String,
    /// The stream; for a fact, `activity/<owner>`.
    pub stream_id: String,
    /// The place in the stream; `None` for facts.
    pub stream_version: Option<i64>,
    /// The event's id, a UUID of version 7.
    pub event_id: Uuid,
    /// The type with its prefix, such as `user.signed_up`.
    pub kind: String,
    /// The version of the event's schema.
    pub schema_version: i32,
    /// The payload as it is stored, with the sealed part.
    pub payload: Value,
    /// The actor, operation and request that the event comes from.
    pub metadata: Value,
    /// When the event happened.
    pub at: Timestamp,
}

/// The order is by the table's columns: a bare `tx` would mean the selected text, in which 1000 comes before 999.
const DIRECTORY: &str = "
select user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, tx::text as tx, ord
from log
where (epoch, tx, ord) > ($1, $2::xid8, $3)
  and (epoch < (select epoch from meta) or tx < pg_snapshot_xmin(pg_current_snapshot()))
order by log.epoch, log.tx, log.ord limit $4";

/// A commit's time is set by its server, so the search begins a day before the time of the position.
const ACTIVITY: &str = "
select user_pool_id, 'activity/' || owner as stream_id, null::bigint as stream_version, event_id, type, schema_version, payload, metadata, at,
       epoch, tx::text as tx, ord
from activity
where (epoch, tx, ord) > ($1, $2::xid8, $3) and at >= $5::timestamptz - interval '1 day'
  and (epoch < (select epoch from meta) or tx < pg_snapshot_xmin(pg_current_snapshot()))
order by activity.epoch, activity.tx, activity.ord limit $4";

const DIRECTORY_BACKWARDS: &str = "
select user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, tx::text as tx, ord
from log
where (epoch, tx, ord) < ($1, $2::xid8, $3) and ($5::text is null or user_pool_id = $5)
  and (epoch < (select epoch from meta) or tx < pg_snapshot_xmin(pg_current_snapshot()))
order by log.epoch desc, log.tx desc, log.ord desc limit $4";

const ACTIVITY_BACKWARDS: &str = "
select user_pool_id, 'activity/' || owner as stream_id, null::bigint as stream_version, event_id, type, schema_version, payload, metadata, at,
       epoch, tx::text as tx, ord
from activity
where (epoch, tx, ord) < ($1, $2::xid8, $3) and ($5::text is null or user_pool_id = $5)
  and (epoch < (select epoch from meta) or tx < pg_snapshot_xmin(pg_current_snapshot()))
order by activity.epoch desc, activity.tx desc, activity.ord desc limit $4";

impl Store {
    /// The rows before a position, newest first, of one pool or of all. Rows that the feed does not return yet are left
    /// out.
    pub async fn feed_backwards(
        &self,
        log: Log,
        before: &Cursor,
        pool: Option<&UserPoolId>,
        limit: i64,
    ) -> Result<Vec<FeedRow>, StoreError> {
        let statement = match log {
            Log::Directory => DIRECTORY_BACKWARDS,
            Log::Activity => ACTIVITY_BACKWARDS,
        };
        let query = sqlx::query(statement).bind(before.epoch).bind(&before.tx).bind(before.ord).bind(limit);
        let rows = query.bind(pool.map(UserPoolId::as_str)).fetch_all(&self.database).await?;
        rows.iter().map(feed_row).collect()
    }

    /// The next rows after a position: at most `limit`, without gaps.
    pub async fn feed(&self, log: Log, after: &Cursor, limit: i64) -> Result<Vec<FeedRow>, StoreError> {
        let statement = match log {
            Log::Directory => DIRECTORY,
            Log::Activity => ACTIVITY,
        };
        let query = sqlx::query(statement).bind(after.epoch).bind(&after.tx).bind(after.ord).bind(limit);
        let query = match log {
            Log::Directory => query,
            Log::Activity => query.bind(to_database(after.at)),
        };
        let rows = query.fetch_all(&self.database).await?;
        rows.iter().map(feed_row).collect()
    }
}

pub(super) fn feed_row(row: &PgRow) -> Result<FeedRow, StoreError> {
    let at = from_database(row.try_get("at")?);
    Ok(FeedRow {
        cursor: Cursor { epoch: row.try_get("epoch")?, tx: row.try_get("tx")?, ord: row.try_get("ord")?, at },
        user_pool_id: row.try_get("user_pool_id")?,
        stream_id: row.try_get("stream_id")?,
        stream_version: row.try_get("stream_version")?,
        event_id: row.try_get("event_id")?,
        kind: row.try_get("type")?,
        schema_version: row.try_get("schema_version")?,
        payload: row.try_get("payload")?,
        metadata: row.try_get("metadata")?,
        at,
    })
}

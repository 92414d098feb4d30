//! All events of a log in one order, without skipping any.
//!
//! A reader's position is `(epoch, tx, ord)`. It takes rows after that position whose transaction is below the oldest one
//! still running: those can get no neighbour before them any more. The position means nothing outside the cluster that gave
//! it, so a restored one begins a new epoch.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::domain::time::Timestamp;
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::leases::{Lease, is_held};
use crate::store::parked::{Parking, park};
use crate::store::{Store, from_database, to_database};

/// Which log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Log {
    /// What happened: table `log`.
    Directory,
    /// Facts with a lifetime: table `activity`.
    Activity,
}

impl Log {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Directory, Self::Activity];

    /// The name in checkpoints and topics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Activity => "activity",
        }
    }
}

/// A position in the feed. It is only ever compared by the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The epoch of the cluster.
    pub epoch: i64,
    /// The transaction, as text of an `xid8`.
    pub tx: String,
    /// The place within the commit.
    pub ord: i32,
    /// The time of the event there: partitions of older months are not looked at.
    pub at: Timestamp,
}

impl Cursor {
    /// Before everything.
    pub fn start() -> Self {
        Self { epoch: 0, tx: "0".to_owned(), ord: -1, at: Timestamp(0) }
    }

    /// Behind everything.
    pub fn end() -> Self {
        Self { epoch: i64::MAX, tx: u64::MAX.to_string(), ord: i32::MAX, at: Timestamp(0) }
    }
}

/// A row of a log as a reader of the feed gets it.
#[derive(Clone, Debug)]
pub struct FeedRow {
    /// Where it stands.
    pub cursor: Cursor,
    /// The pool.
    pub user_pool_id: String,
    /// The stream, or for a fact `activity/<owner>`.
    pub stream_id: String,
    /// The place in the stream; facts have none.
    pub stream_version: Option<i64>,
    /// The event's id.
    pub event_id: Uuid,
    /// The dotted type.
    pub kind: String,
    /// The version of its schema.
    pub schema_version: i32,
    /// The payload as it is stored, with what is sealed.
    pub payload: Value,
    /// Where it comes from.
    pub metadata: Value,
    /// When.
    pub at: Timestamp,
}

/// The order is that of the table's columns: a bare `tx` would be the text that is selected, where 1000 comes before 999.
const DIRECTORY: &str = "
select user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, tx::text as tx, ord
from log
where (epoch, tx, ord) > ($1, $2::xid8, $3)
  and (epoch < (select epoch from meta) or tx < pg_snapshot_xmin(pg_current_snapshot()))
order by log.epoch, log.tx, log.ord limit $4";

/// A commit's time is that of the server that made it, so a day more is looked at than the position asks for.
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
    /// The rows before a position, the newest first, of all pools or of one. What the feed does not give yet is not among them.
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

    /// The next rows after a position: at most so many, complete up to the last of them.
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

    /// Where a reader stands.
    pub async fn checkpoint(&self, reader: &str) -> Result<Cursor, StoreError> {
        let row: Option<(i64, String, i32, OffsetDateTime)> =
            sqlx::query_as("select epoch, tx::text, ord, at from checkpoints where reader = $1")
                .bind(reader)
                .fetch_optional(&self.database)
                .await?;
        Ok(row.map_or_else(Cursor::start, |(epoch, tx, ord, at)| Cursor { epoch, tx, ord, at: from_database(at) }))
    }

    /// Makes a reader known that has read nothing yet. From now on no fact is deleted that it has not read.
    pub async fn enter_reader(&self, reader: &str) -> Result<(), StoreError> {
        let start = Cursor::start();
        sqlx::query(
            "insert into checkpoints (reader, epoch, tx, ord, at) values ($1, $2, $3::xid8, $4, $5)
             on conflict (reader) do nothing",
        )
        .bind(reader)
        .bind(start.epoch)
        .bind(&start.tx)
        .bind(start.ord)
        .bind(to_database(start.at))
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Moves readers on in one transaction, and parks in it what they leave behind, if the lease that they read under is still
    /// held. Answers whether it was.
    pub async fn move_checkpoints(
        &self,
        lease: &Lease,
        moves: &[(String, Cursor)],
        parked: &[Parking],
    ) -> Result<bool, StoreError> {
        let mut lent = self.database.lend().await?;
        let moved = move_checkpoints(&mut lent, lease, moves, parked).await;
        lent.settled(moved)
    }

    /// Forgets where a reader of a log stands, and what was parked of that log: whoever reads next begins at the start, and
    /// until then nobody waits for it.
    pub async fn forget_reader(&self, reader: &str, log: Log) -> Result<(), StoreError> {
        let mut lent = self.database.lend().await?;
        let forgotten = forget_reader(&mut lent, reader, log).await;
        lent.settled(forgotten)
    }
}

async fn move_checkpoints(
    lent: &mut Lent<'_>,
    lease: &Lease,
    moves: &[(String, Cursor)],
    parked: &[Parking],
) -> Result<bool, StoreError> {
    let mut transaction = lent.begin().await?;
    if !is_held(&mut transaction, lease).await? {
        return Ok(false);
    }
    for (reader, cursor) in moves {
        let moved = sqlx::query(
            "insert into checkpoints (reader, epoch, tx, ord, at, token) values ($1, $2, $3::xid8, $4, $5, $6)
             on conflict (reader) do update set epoch = $2, tx = $3::xid8, ord = $4, at = $5, token = $6
             where checkpoints.token <= $6",
        )
        .bind(reader)
        .bind(cursor.epoch)
        .bind(&cursor.tx)
        .bind(cursor.ord)
        .bind(to_database(cursor.at))
        .bind(lease.token)
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
    }
    park(&mut transaction, parked).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn forget_reader(lent: &mut Lent<'_>, reader: &str, log: Log) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    sqlx::query("delete from checkpoints where reader = $1").bind(reader).execute(&mut *transaction).await?;
    sqlx::query("delete from relay_parked where log = $1").bind(log.name()).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
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

//! The purge of deleted pools: everything except the log is deleted, in batches, until two sweeps find nothing.
//!
//! A command that began before the pool was deleted may still write after the first sweep, but not after the second.
//!
//! Facts that a reader of the feed has not read yet stay until it has (`store/activity.rs`). The pool's keys are
//! destroyed, so what is sealed in them can't be opened. Parked events of the pool are removed when they are published,
//! because its log stays.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::UserPoolId;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::models::MODELS;
use crate::store::models::tables::{OPERATIONAL, OperationalTable};
use crate::store::{Store, to_database};

const BATCH: i64 = 1_000;
/// The seconds between two sweeps: longer than any command lives.
const BETWEEN_SWEEPS_SECONDS: i64 = 30;
const POLL: Duration = Duration::from_secs(5);
const SWEEPS: i32 = 2;

/// Deletes facts, except those that a reader has not read yet. Oldest first, because they are read first.
const ACTIVITY: &str = "
delete from activity where (user_pool_id, event_id, at) in (
    select a.user_pool_id, a.event_id, a.at from (
        select user_pool_id, event_id, at, epoch, tx, ord from activity f
        where user_pool_id = $1 and not exists (
            select from relay_parked p where p.user_pool_id = f.user_pool_id and p.log = 'activity' and p.event_id = f.event_id
        )
        order by event_id limit $2
    ) as a
    where not exists (
        select from checkpoints c
        where c.reader like '%/activity' and (a.epoch, a.tx, a.ord) > (c.epoch, c.tx, c.ord) and a.at >= c.at - interval '1 day'
    )
)";

impl Store {
    /// Purges one batch of each table of the next deleted pool that is due. Returns whether there was one.
    pub async fn purge_step(&self, now: Timestamp) -> Result<bool, StoreError> {
        let due: Option<String> =
            sqlx::query_scalar("select user_pool_id from purges where next_at <= $1 order by next_at limit 1")
                .bind(to_database(now))
                .fetch_optional(&self.database)
                .await?;
        let Some(pool) = due.map(UserPoolId::new) else { return Ok(false) };
        let mut found = 0;
        let models = MODELS.iter().flat_map(|model| model.purge());
        let operational = OPERATIONAL.iter().map(OperationalTable::purge);
        for statement in models.chain(operational).chain([ACTIVITY.to_owned()]) {
            let done =
                sqlx::query(AssertSqlSafe(statement)).bind(pool.as_str()).bind(BATCH).execute(&self.database).await?;
            found += done.rows_affected();
        }
        if found == 0 && !self.has_facts(&pool).await? {
            self.swept_empty(&pool, now).await?;
        } else {
            // If nothing can be deleted now, the rest waits for a reader.
            let next_at = if found == 0 { now.plus_seconds(BETWEEN_SWEEPS_SECONDS) } else { now };
            sqlx::query("update purges set empty_sweeps = 0, next_at = $2 where user_pool_id = $1")
                .bind(pool.as_str())
                .bind(to_database(next_at))
                .execute(&self.database)
                .await?;
        }
        Ok(true)
    }

    async fn has_facts(&self, pool: &UserPoolId) -> Result<bool, StoreError> {
        let has = sqlx::query_scalar("select exists (select from activity where user_pool_id = $1)")
            .bind(pool.as_str())
            .fetch_one(&self.database)
            .await?;
        Ok(has)
    }

    /// Counts a sweep that found nothing, unless another replica has just counted one; then the next sweep has its own
    /// time.
    async fn swept_empty(&self, pool: &UserPoolId, now: Timestamp) -> Result<(), StoreError> {
        let counted = sqlx::query(
            "update purges set empty_sweeps = empty_sweeps + 1, next_at = $3 where user_pool_id = $1 and next_at <= $2",
        )
        .bind(pool.as_str())
        .bind(to_database(now))
        .bind(to_database(now.plus_seconds(BETWEEN_SWEEPS_SECONDS)))
        .execute(&self.database)
        .await?;
        if counted.rows_affected() == 0 {
            return Ok(());
        }
        sqlx::query("delete from purges where user_pool_id = $1 and empty_sweeps >= $2")
            .bind(pool.as_str())
            .bind(SWEEPS)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// Purges until told to stop.
    pub async fn keep_purging(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.purge_step(self.clock.now()).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "a deleted pool can't be purged"),
            }
            let _ = tokio::time::timeout(POLL, stop.cancelled()).await;
        }
    }
}

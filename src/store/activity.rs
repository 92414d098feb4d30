//! The partitions of `activity`, and facts that are written outside a commit.
//!
//! A fact is deleted with its pool or its month, but not before all readers have read it: those with a row in
//! `checkpoints` for this log (the reader's name ends with `/activity`). Parked facts stay too. Where no relay ever
//! ran, there is no such row, and nothing waits.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::UserPoolId;
use crate::domain::time::Timestamp;
use crate::proto::EventPayload;
use crate::store::commit::{ActivityRow, NewFact, append_activity};
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::metadata::Origin;
use crate::store::wake::News;
use crate::store::{Store, to_database};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How many months facts are kept, by default.
pub const DEFAULT_RETENTION_MONTHS: u32 = 24;

/// Uses the index from each reader's checkpoint on, so it is fast if everything is read. Readers never look at facts
/// more than a day older than their checkpoint.
const AWAITED: &str = "
with ends (at) as (
    select ((to_date(right($1, 7), 'YYYY_MM') + interval '1 month')::date::text || ' 00:00+00')::timestamptz
)
select exists (
    select from ends, checkpoints c, lateral (
        select from activity a
        where a.at < ends.at and a.at >= c.at - interval '1 day' and (a.epoch, a.tx, a.ord) > (c.epoch, c.tx, c.ord) limit 1
    ) as unread
    where c.reader like '%/activity'
) or exists (select from ends, relay_parked p where p.log = 'activity' and p.at < ends.at)";

impl Store {
    /// Creates the partitions of this month and the next.
    pub async fn make_partitions(&self, now: Timestamp) -> Result<(), StoreError> {
        let this_month = to_database(now);
        let next_month = this_month.replace_day(1).unwrap_or(this_month) + time::Duration::days(32);
        for month in [this_month, next_month] {
            sqlx::query("select make_activity_partition($1)").bind(month).execute(&self.database).await?;
        }
        Ok(())
    }

    /// Drops the partitions whose facts are all older than the retention. Returns their names.
    pub async fn drop_old_partitions(&self, now: Timestamp, retention_months: u32) -> Result<Vec<String>, StoreError> {
        let oldest = months_before(to_database(now), retention_months);
        let limit = format!("activity_{:04}_{:02}", oldest.year(), u8::from(oldest.month()));
        let names: Vec<String> = sqlx::query_scalar(
            "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
             where i.inhparent = 'activity'::regclass and c.relname < $1 and c.relname like 'activity\\_%' order by 1",
        )
        .bind(&limit)
        .fetch_all(&self.database)
        .await?;
        let mut dropped = Vec::new();
        for name in names {
            if self.is_awaited(&name).await? {
                tracing::warn!(name, "facts past their retention are kept: they are not published yet, or parked");
                break;
            }
            // The name comes from the catalogue, in the form that this program gives it.
            let statement = format!("drop table if exists \"{}\"", name.replace('"', "\"\""));
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&self.database).await?;
            dropped.push(name);
        }
        Ok(dropped)
    }

    /// Whether a reader still needs a fact of a partition, or an older one.
    async fn is_awaited(&self, name: &str) -> Result<bool, StoreError> {
        let awaited = sqlx::query_scalar(AWAITED).bind(name).fetch_one(&self.database).await?;
        Ok(awaited)
    }

    /// Keeps the partitions up to date: creates the next one and drops old ones.
    pub async fn keep_partitions(self, retention_months: u32, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let kept = async {
                self.make_partitions(now).await?;
                self.drop_old_partitions(now, retention_months).await
            };
            match kept.await {
                Ok(dropped) if dropped.is_empty() => {}
                Ok(dropped) => tracing::info!(?dropped, "dropped old activity"),
                Err(error) => tracing::error!(%error, "the partitions of activity can't be updated"),
            }
            let _ = tokio::time::timeout(DAY, stop.cancelled()).await;
        }
    }

    /// Appends facts outside a commit.
    pub(crate) async fn append_facts(&self, pool: &UserPoolId, rows: Vec<ActivityRow>) -> Result<(), StoreError> {
        let (store, pool) = (self.clone(), pool.clone());
        self.to_its_end(News::Events, async move {
            let mut lent = store.connections.lend().await?;
            let appended = append_alone(&mut lent, &pool, &rows).await;
            match (lent.settled(appended), rows.first().map(ActivityRow::recorded)) {
                (Err(error), Some(fact)) if error.is_connection_lost() => {
                    store.unless_done(None, error, || store.is_recorded(&pool, &fact)).await
                }
                (appended, _) => appended,
            }
        })
        .await
    }

    /// Records a fact that belongs to no pool: about service accounts, and about callers without one. The caller's
    /// address is not stored.
    pub async fn record<Activity: EventPayload + Sync>(
        &self,
        owner: &str,
        origin: &Origin,
        fact: &Activity,
    ) -> Result<(), StoreError> {
        let (pool, at) = (&UserPoolId::none(), self.clock.now());
        let row = self.fact_row(NewFact { pool, owner, origin, key: None, fact, at }).await?;
        self.append_facts(pool, vec![row]).await
    }
}

async fn append_alone(lent: &mut Lent<'_>, pool: &UserPoolId, rows: &[ActivityRow]) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    append_activity(&mut transaction, pool, rows).await?;
    transaction.commit().await?;
    Ok(())
}

fn months_before(at: OffsetDateTime, months: u32) -> OffsetDateTime {
    let first = at.replace_day(1).unwrap_or(at);
    (0..months).fold(first, |first, _| {
        let last_of_previous = first - time::Duration::days(1);
        last_of_previous.replace_day(1).unwrap_or(last_of_previous)
    })
}

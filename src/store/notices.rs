//! What triggers are told, in the outbox. A worker claims notices by moving `next_at`, publishes them, and deletes them.
//!
//! A user's notices go out one after the other, in the order in which they were written: one that waits for another
//! attempt holds up the later ones. One that can't be published within a day is given up, and does not hold up any more.

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::trigger::notice::Notice;
use crate::store::error::StoreError;
use crate::store::outbox::{NOTICE, Unreadable};
use crate::store::seal::{FieldClass, Place};
use crate::store::{Store, from_database, to_database};
use crate::telemetry::trace::TraceContext;

/// How long no other worker takes a claimed notice. Publishing it ends well before, or has failed.
pub const CLAIM_SECONDS: i64 = 15;

/// A notice that this worker may publish now.
#[derive(Clone, Debug)]
pub struct ClaimedNotice {
    /// The pool that it is about.
    pub user_pool_id: UserPoolId,
    /// The id of the row, which sorts by time.
    pub id: Uuid,
    /// The user whom it is about.
    pub owner: Sub,
    /// How often it was tried, including this time.
    pub attempts: i32,
    /// What the trigger is told.
    pub notice: Notice,
    /// The trace of the call that caused it, if it belongs to one.
    pub trace_context: Option<TraceContext>,
}

const CLAIM: &str = "
with due as (
    select o.user_pool_id, o.id from outbox o
    where not o.dead and coalesce(o.medium, 'EMAIL') = $4 and o.next_at <= $1
        and not exists (
            select from outbox earlier
            where earlier.user_pool_id = o.user_pool_id and earlier.owner = o.owner and earlier.id < o.id
                and earlier.medium = $4 and not earlier.dead
        )
    order by o.next_at limit $2 for update of o skip locked
), claimed as (
    update outbox o set attempts = attempts + 1, sending = true, next_at = $1 + $3 * interval '1 second'
    from due where o.user_pool_id = due.user_pool_id and o.id = due.id
    returning o.user_pool_id, o.id, o.owner, o.sealed, o.attempts, o.expires_at, o.reason, o.traceparent
)
select c.*, k.key_id, k.wrapped
from claimed c left join keys k on k.user_pool_id = c.user_pool_id and k.kind = 'user' and k.owner = c.owner
order by c.id";

impl Store {
    /// Claims notices that are due: at most one of each user. Those that need not be published any more are removed.
    pub async fn claim_notices(&self, now: Timestamp, limit: i64) -> Result<Vec<ClaimedNotice>, StoreError> {
        let rows = sqlx::query(CLAIM)
            .bind(to_database(now))
            .bind(limit)
            .bind(CLAIM_SECONDS as f64)
            .bind(NOTICE)
            .fetch_all(&self.database)
            .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            claimed.extend(self.sort_notice_out(&row, now).await?);
        }
        Ok(claimed)
    }

    async fn sort_notice_out(&self, row: &PgRow, now: Timestamp) -> Result<Option<ClaimedNotice>, StoreError> {
        let user_pool_id = UserPoolId::new(row.try_get::<String, _>("user_pool_id")?);
        let id: Uuid = row.try_get("id")?;
        if row.try_get::<Option<Uuid>, _>("key_id")?.is_none() {
            tracing::debug!(%id, pool = %user_pool_id, "a notice is dropped: the key that opens it was destroyed");
            self.drop_message(&user_pool_id, id).await?;
            return Ok(None);
        }
        if from_database(row.try_get("expires_at")?) <= now {
            let last: Option<String> = row.try_get("reason")?;
            let last = last.as_deref().unwrap_or("there was no attempt");
            let reason = format!("not published in time ({last})");
            self.bury_message(&user_pool_id, id, Some(NOTICE), &reason).await?;
            return Ok(None);
        }
        match self.open_notice(&user_pool_id, id, row).await {
            Ok(notice) => Ok(Some(notice)),
            // Trying again would fail too. The notice is left for an operator, and does not delay others.
            Err(error) => {
                tracing::error!(%error, %id, pool = %user_pool_id, "a notice in the outbox can't be read");
                self.bury_message(&user_pool_id, id, Some(NOTICE), "it can't be read").await?;
                Ok(None)
            }
        }
    }

    async fn open_notice(&self, pool_id: &UserPoolId, id: Uuid, row: &PgRow) -> Result<ClaimedNotice, Unreadable> {
        let owner = Sub(row.try_get::<String, _>("owner")?.parse()?);
        let pool = self.pool_hint(pool_id).await?;
        let key = pool.keys.unwrap_user_key(row.try_get("key_id")?, &Sealed(row.try_get("wrapped")?))?;
        let place = Place { pool: pool_id, stream: &StreamId::user(owner), class: FieldClass::Notice };
        let notice = serde_json::from_slice(&key.open(place, &Sealed(row.try_get("sealed")?))?)?;
        let traceparent: Option<&str> = row.try_get("traceparent")?;
        let trace_context = traceparent.and_then(|text| text.parse().ok());
        let attempts = row.try_get("attempts")?;
        Ok(ClaimedNotice { user_pool_id: pool_id.clone(), id, owner, attempts, notice, trace_context })
    }

    /// Deletes a notice that a broker has.
    pub async fn notice_published(&self, claimed: &ClaimedNotice) -> Result<(), StoreError> {
        self.drop_message(&claimed.user_pool_id, claimed.id).await
    }

    /// Records a failed attempt; the notice is tried again at `next_at`.
    pub async fn notice_failed(
        &self,
        claimed: &ClaimedNotice,
        next_at: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.postpone_message(&claimed.user_pool_id, claimed.id, next_at, reason).await
    }

    /// Gives up a notice that no attempt can publish.
    pub async fn notice_refused(&self, claimed: &ClaimedNotice, reason: &str) -> Result<(), StoreError> {
        self.bury_message(&claimed.user_pool_id, claimed.id, Some(NOTICE), reason).await
    }
}

//! The outbox: messages that wait for delivery.
//!
//! A worker claims a row by moving `next_at` and commits; then it sends; then it deletes the row. Nothing is locked
//! meanwhile.
//!
//! A message is tried until its code expires, or for a day. An abandoned message stays in the table as dead, with the
//! reason, until an operator retries it or its time in the table is over. Reasons are plain text and don't reveal the
//! recipient.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::message::{Medium, Message};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::seal::{FieldClass, Place};
use crate::store::{Store, from_database, to_database};
use crate::telemetry::metrics;
use crate::telemetry::trace::TraceContext;

/// How long no other worker takes a claimed message. An attempt ends well before.
pub const CLAIM: Duration = Duration::from_secs(60);
/// The value of `kind` for most messages.
pub(super) const MESSAGE: &str = "message";
/// The value of `kind` for messages with a temporary password. They become useless when the password is replaced; the
/// commit that replaces it deletes waiting ones. Releases that don't know this kind leave such messages alone.
pub(super) const INVITATION: &str = "invitation";
/// The values of `kind` and `medium` for what triggers are told. The workers of messages look at neither.
pub(super) const NOTICE_KIND: &str = "trigger";
/// The column `medium` of a notice, which is also the attribute of metrics.
pub const NOTICE: &str = "TRIGGER";
/// How many seconds a message without a code is tried.
pub const LONGEST_LIFE_SECONDS: i64 = 24 * 60 * 60;

/// Why a message can't be read; trying again would not help.
pub(super) type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// A message that this worker may deliver now.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The pool that sends the message.
    pub user_pool_id: UserPoolId,
    /// The id of the row, which sorts by time.
    pub id: Uuid,
    /// The user whom the message is for.
    pub owner: Sub,
    /// How often delivery was tried, including this time.
    pub attempts: i32,
    /// The message, unsealed and ready to be sent.
    pub message: Message,
    /// The trace of the call that caused the message, if it belongs to one.
    pub trace_context: Option<TraceContext>,
}

/// Whose turn it is: pools take turns in the order of their ids, and then start again.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// The pool that had the last turn.
    last: String,
    /// How many rounds have ended since a message was claimed.
    rounds: u8,
    goes_on: bool,
}

impl Turn {
    /// Whether there may be more to claim at once: either something was claimed, even if it need not be sent any more,
    /// or only messages that other workers have locked were found, and not all pools have had a turn since.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Records the turns of a claim, if any pool had one.
    fn had(&mut self, had: Option<Had>) {
        let Some(Had { last, is_around, is_claimed }) = had else {
            (self.rounds, self.goes_on) = (0, false);
            return;
        };
        self.last = last;
        let rounds = if is_claimed { 0 } else { self.rounds + u8::from(is_around) };
        // The first round may not have started at the first pool.
        self.goes_on = rounds < 2;
        self.rounds = if self.goes_on { rounds } else { 0 };
    }
}

/// The turns in one claim.
struct Had {
    /// The pool that had the last turn.
    last: String,
    /// Whether a round ended before that.
    is_around: bool,
    /// Whether a message was claimed.
    is_claimed: bool,
}

/// First it finds the pools with due messages, starting from the turn, and at most as many pools as messages are
/// wanted: one step in the index `outbox_turn` for each pool, to its first message. Then it takes the first messages of
/// each pool, the same number from each, and at most as many as are wanted. So the cost depends on what is claimed, and
/// on how many pools have messages that wait for a retry, but not on how much waits.
const CLAIM_MESSAGES: &str = "
with recursive turns (user_pool_id, is_due, around, found) as (
    select $5::text, false, false, 0::bigint
    union all
    select coalesce(next.user_pool_id, ''), coalesce(next.is_due, false), t.around or next.user_pool_id is null,
        t.found + coalesce(next.is_due, false)::int
    from turns t left join lateral (
        select o.user_pool_id, o.next_at <= $1 as is_due from outbox o
        where not o.dead and coalesce(o.medium, 'EMAIL') = $4 and o.user_pool_id > t.user_pool_id
        order by coalesce(o.medium, 'EMAIL'), o.user_pool_id, o.next_at limit 1
    ) as next on true
    where t.found < $2 and not (t.around and (next.user_pool_id is null or next.user_pool_id > $5))
), pools as (
    select user_pool_id, found, around from turns where is_due
), due as (
    select o.user_pool_id, o.id from pools p cross join lateral (
        select o.user_pool_id, o.id from outbox o
        where not o.dead and coalesce(o.medium, 'EMAIL') = $4 and o.user_pool_id = p.user_pool_id and o.next_at <= $1
            and o.kind in ('message', 'invitation')
            and not exists (
                select from outbox earlier
                where earlier.user_pool_id = o.user_pool_id and earlier.owner = o.owner and earlier.id < o.id
                    and earlier.kind in ('message', 'invitation') and earlier.medium is not distinct from o.medium
                    and not earlier.dead and (earlier.sending or earlier.next_at <= $1)
            )
        order by o.next_at limit $2 / (select nullif(count(*), 0) from pools)
        for update of o skip locked
    ) as o
), claimed as (
    update outbox o set attempts = attempts + 1, sending = true, next_at = $1 + $3 * interval '1 second'
    from due where o.user_pool_id = due.user_pool_id and o.id = due.id
    returning o.user_pool_id, o.id, o.owner, o.sealed, o.attempts, o.medium, o.purpose, o.expires_at, o.reason, o.traceparent
)
select c.*, k.key_id, k.wrapped, last.user_pool_id as last, last.around,
    c.purpose is not null and not exists (
        select from codes where codes.user_pool_id = c.user_pool_id and codes.sub = c.owner::uuid
            and codes.purpose = c.purpose and codes.expires_at = c.expires_at
    ) as replaced
from (select user_pool_id, around from pools order by found desc limit 1) as last
left join claimed c on true
left join keys k on k.user_pool_id = c.user_pool_id and k.kind = 'user' and k.owner = c.owner
order by c.id";

/// A message in the outbox for an operator, without sealed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The id of the pool that sends the message.
    pub user_pool_id: String,
    /// The id of the row, which sorts by time.
    pub id: Uuid,
    /// The `sub` of the user whom the message is for.
    pub owner: String,
    /// `EMAIL`, `SMS`, or `TRIGGER` for what a trigger is told; `None` if an earlier release wrote the row.
    pub medium: Option<String>,
    /// How often delivery was tried.
    pub attempts: i32,
    /// Whether delivery was abandoned.
    pub dead: bool,
    /// When the next attempt is due.
    pub next_at: Timestamp,
    /// Why the last attempt failed.
    pub reason: Option<String>,
}

/// How much is in the outbox, for one medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that are to be sent.
    pub waiting: i64,
    /// Messages that were given up.
    pub dead: i64,
    /// When the oldest waiting message was written.
    pub oldest: Option<Timestamp>,
}

/// A filter for messages in the outbox.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Only messages of this pool.
    pub user_pool_id: Option<&'a str>,
    /// Only the message in this row.
    pub id: Option<Uuid>,
    /// Whether to find only abandoned messages.
    pub dead: bool,
}

impl Store {
    /// Claims the next due messages of a medium, from pools in turn. Messages that need not be sent any more are
    /// removed.
    ///
    /// The turn continues where it ended, and each pool gives the same number of messages, so a pool with many messages
    /// delays others by one round at most. Of a user's messages by one medium, a later one waits while an earlier one
    /// is being sent or due; one that waits for a retry does not delay it.
    pub async fn claim_messages(
        &self,
        medium: Medium,
        turn: &mut Turn,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let rows = sqlx::query(CLAIM_MESSAGES)
            .bind(to_database(now))
            .bind(limit)
            .bind(CLAIM.as_secs_f64())
            .bind(medium.name())
            .bind(&turn.last)
            .fetch_all(&self.database)
            .await?;
        let had = rows.first().map(had).transpose()?;
        // If pools had turns but nothing was claimed, there is still one row.
        let is_claimed = had.as_ref().is_some_and(|had| had.is_claimed);
        turn.had(had);
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows.into_iter().filter(|_| is_claimed) {
            claimed.extend(self.sort_out(row, now).await?);
        }
        Ok(claimed)
    }

    /// The message of a claimed row, if it is still to be sent.
    async fn sort_out(&self, row: PgRow, now: Timestamp) -> Result<Option<Claimed>, StoreError> {
        let user_pool_id = UserPoolId::new(row.try_get::<String, _>("user_pool_id")?);
        let (id, medium): (Uuid, Option<String>) = (row.try_get("id")?, row.try_get("medium")?);
        if row.try_get::<Option<Uuid>, _>("key_id")?.is_none() {
            tracing::debug!(%id, pool = %user_pool_id, "a message is dropped: the key that opens it was destroyed");
            self.drop_message(&user_pool_id, id).await?;
            return Ok(None);
        }
        if from_database(row.try_get("expires_at")?) <= now {
            let last: Option<String> = row.try_get("reason")?;
            let last = last.as_deref().unwrap_or("there was no attempt");
            let reason = format!("not delivered in time ({last})");
            self.bury_message(&user_pool_id, id, medium.as_deref(), &reason).await?;
            return Ok(None);
        }
        if row.try_get("replaced")? {
            tracing::debug!(%id, pool = %user_pool_id, "a message is dropped: its code is no longer valid");
            self.drop_message(&user_pool_id, id).await?;
            return Ok(None);
        }
        match self.open_message(user_pool_id.clone(), id, &row).await {
            Ok(message) => Ok(Some(message)),
            // Trying again would fail too. The message is left for an operator, and does not delay others.
            Err(error) => {
                tracing::error!(%error, %id, pool = %user_pool_id, "a message in the outbox can't be read");
                self.bury_message(&user_pool_id, id, medium.as_deref(), "it can't be read").await?;
                Ok(None)
            }
        }
    }

    async fn open_message(&self, user_pool_id: UserPoolId, id: Uuid, row: &PgRow) -> Result<Claimed, Unreadable> {
        let owner = Sub(row.try_get::<String, _>("owner")?.parse()?);
        let pool = self.pool_hint(&user_pool_id).await?;
        let key = pool.keys.unwrap_user_key(row.try_get("key_id")?, &Sealed(row.try_get("wrapped")?))?;
        let place = Place { pool: &user_pool_id, stream: &StreamId::user(owner), class: FieldClass::Message };
        let opened = key.open(place, &Sealed(row.try_get("sealed")?))?;
        let message = serde_json::from_slice(&opened)?;
        let traceparent: Option<&str> = row.try_get("traceparent")?;
        let trace_context = traceparent.and_then(|text| text.parse().ok());
        Ok(Claimed { id, attempts: row.try_get("attempts")?, owner, message, user_pool_id, trace_context })
    }

    /// Abandons a message: it stays with the reason, and is not tried again unless an operator asks for it.
    pub(super) async fn bury_message(
        &self,
        pool: &UserPoolId,
        id: Uuid,
        medium: Option<&str>,
        reason: &str,
    ) -> Result<(), StoreError> {
        tracing::error!(%id, %pool, medium, reason, "a message is given up");
        let known = Medium::ALL.into_iter().map(Medium::name).chain([NOTICE]).find(|name| Some(*name) == medium);
        metrics::MESSAGES_DEAD.add(1, [known.unwrap_or("unknown")]);
        sqlx::query("update outbox set dead = true, sending = false, reason = $3 where user_pool_id = $1 and id = $2")
            .bind(pool.as_str())
            .bind(id)
            .bind(reason)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    pub(super) async fn drop_message(&self, pool: &UserPoolId, id: Uuid) -> Result<(), StoreError> {
        sqlx::query("delete from outbox where user_pool_id = $1 and id = $2")
            .bind(pool.as_str())
            .bind(id)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// Deletes a message that was delivered.
    pub async fn message_delivered(&self, claimed: &Claimed) -> Result<(), StoreError> {
        self.drop_message(&claimed.user_pool_id, claimed.id).await
    }

    /// Records a failed attempt; the message is tried again at `next_at`.
    pub async fn message_failed(&self, claimed: &Claimed, next_at: Timestamp, reason: &str) -> Result<(), StoreError> {
        self.postpone_message(&claimed.user_pool_id, claimed.id, next_at, reason).await
    }

    pub(super) async fn postpone_message(
        &self,
        pool: &UserPoolId,
        id: Uuid,
        next_at: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("update outbox set next_at = $3, sending = false, reason = $4 where user_pool_id = $1 and id = $2")
            .bind(pool.as_str())
            .bind(id)
            .bind(to_database(next_at))
            .bind(reason)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// Abandons a message that was refused permanently.
    pub async fn message_refused(&self, claimed: &Claimed, reason: &str) -> Result<(), StoreError> {
        let medium = claimed.message.medium.name();
        self.bury_message(&claimed.user_pool_id, claimed.id, Some(medium), reason).await
    }

    /// How much is in the outbox, by medium. A medium without messages is absent.
    pub async fn outbox_depths(&self) -> Result<HashMap<Medium, Depth>, StoreError> {
        let rows = sqlx::query(
            "select coalesce(medium, 'EMAIL') as medium, count(*) filter (where not dead) as waiting,
                 count(*) filter (where dead) as dead, min(id::text) filter (where not dead) as oldest
             from outbox where kind in ('message', 'invitation') group by 1",
        )
        .fetch_all(&self.database)
        .await?;
        let mut depths = HashMap::new();
        for row in &rows {
            let name: &str = row.try_get("medium")?;
            let oldest: Option<Uuid> = row.try_get::<Option<&str>, _>("oldest")?.and_then(|id| id.parse().ok());
            // The id begins with the time in milliseconds.
            let oldest = oldest.map(|id| Timestamp((id.as_u128() >> 80) as i64));
            let depth = Depth { waiting: row.try_get("waiting")?, dead: row.try_get("dead")?, oldest };
            depths.extend(Medium::ALL.into_iter().find(|medium| medium.name() == name).map(|medium| (medium, depth)));
        }
        Ok(depths)
    }

    /// The waiting and abandoned messages, oldest first.
    pub async fn list_messages(&self, which: Selection<'_>, limit: i64) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query(
            "select user_pool_id, id, owner, medium, attempts, dead, next_at, reason from outbox
             where kind in ('message', 'invitation', 'trigger') and ($1::text is null or user_pool_id = $1)
                 and ($2::uuid is null or id = $2) and (dead or not $3)
             order by id limit $4",
        )
        .bind(which.user_pool_id)
        .bind(which.id)
        .bind(which.dead)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Waiting {
                    user_pool_id: row.try_get("user_pool_id")?,
                    id: row.try_get("id")?,
                    owner: row.try_get("owner")?,
                    medium: row.try_get("medium")?,
                    attempts: row.try_get("attempts")?,
                    dead: row.try_get("dead")?,
                    next_at: from_database(row.try_get::<OffsetDateTime, _>("next_at")?),
                    reason: row.try_get("reason")?,
                })
            })
            .collect()
    }

    /// Retries abandoned messages now. A message without a code gets another day; one whose code has expired is
    /// abandoned again. Returns how many there were.
    pub async fn retry_messages(&self, which: Selection<'_>, now: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "update outbox set dead = false, sending = false, next_at = $3,
                 expires_at = case when purpose is null then greatest(expires_at, $4) else expires_at end
             where kind in ('message', 'invitation', 'trigger') and dead and ($1::text is null or user_pool_id = $1) and ($2::uuid is null or id = $2)",
        )
        .bind(which.user_pool_id)
        .bind(which.id)
        .bind(to_database(now))
        .bind(to_database(now.plus_seconds(LONGEST_LIFE_SECONDS)))
        .execute(&self.database)
        .await?;
        Ok(done.rows_affected())
    }
}

fn had(row: &PgRow) -> Result<Had, StoreError> {
    let is_claimed = row.try_get::<Option<Uuid>, _>("id")?.is_some();
    Ok(Had { last: row.try_get("last")?, is_around: row.try_get("around")?, is_claimed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRUITLESS: Option<(bool, bool)> = Some((false, false));
    const AROUND: Option<(bool, bool)> = Some((true, false));
    const CLAIMED: Option<(bool, bool)> = Some((true, true));

    /// Whether a worker goes on after each of these claims. Each says whether a round ended and whether something was
    /// claimed.
    fn goes_on(claims: &[Option<(bool, bool)>]) -> Vec<bool> {
        let mut turn = Turn::default();
        let go_on = |claim: &Option<(bool, bool)>| {
            turn.had(claim.map(|(is_around, is_claimed)| Had { last: "a".to_owned(), is_around, is_claimed }));
            turn.goes_on()
        };
        claims.iter().map(go_on).collect()
    }

    #[test]
    fn a_worker_goes_on_until_no_pool_has_anything_for_it() {
        assert_eq!(goes_on(&[None, CLAIMED, CLAIMED, CLAIMED, None]), [false, true, true, true, false]);
        // Other workers have locked what waits in these pools: each pool gets its turn, and then there is a pause.
        let claims = [FRUITLESS, FRUITLESS, AROUND, FRUITLESS, AROUND, FRUITLESS, AROUND, AROUND];
        assert_eq!(goes_on(&claims), [true, true, true, true, false, true, true, false]);
        // A pool with something to claim starts the rounds again.
        assert_eq!(goes_on(&[AROUND, CLAIMED, AROUND, AROUND]), [true, true, true, false]);
        assert_eq!(goes_on(&[AROUND, None, AROUND, AROUND]), [true, false, true, false]);
    }
}

//! The outbox: messages that wait to be delivered.
//!
//! A worker claims a row by moving `next_at` and commits; then sends; then deletes. Nothing is locked while it sends.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::message::Message;
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::seal::{FieldClass, Place};
use crate::store::{Store, to_database};

/// For so long nobody else takes a message that was claimed.
const CLAIM: Duration = Duration::from_secs(60);
/// After so many attempts a message is left where it is, visibly dead.
pub const MOST_ATTEMPTS: i32 = 10;

/// Why a message can't be read: whatever it is, it stays so.
type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// A message that this worker may deliver now.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The pool.
    pub user_pool_id: UserPoolId,
    /// The row.
    pub id: Uuid,
    /// Whose.
    pub owner: Sub,
    /// How often it was tried, this time included.
    pub attempts: i32,
    /// What to deliver.
    pub message: Message,
}

impl Store {
    /// Claims the next messages that are due.
    pub async fn claim_messages(&self, now: Timestamp, limit: i64) -> Result<Vec<Claimed>, StoreError> {
        let rows = sqlx::query(
            "with due as (
                 select user_pool_id, id from outbox where not dead and kind = 'message' and next_at <= $1
                 order by next_at limit $2 for update skip locked
             ), claimed as (
                 update outbox o set attempts = attempts + 1, next_at = $1 + $3 * interval '1 second'
                 from due where o.user_pool_id = due.user_pool_id and o.id = due.id
                 returning o.user_pool_id, o.id, o.owner, o.sealed, o.attempts
             )
             select c.*, k.key_id, k.wrapped from claimed c
             join keys k on k.user_pool_id = c.user_pool_id and k.kind = 'user' and k.owner = c.owner order by c.id",
        )
        .bind(to_database(now))
        .bind(limit)
        .bind(CLAIM.as_secs_f64())
        .fetch_all(&self.database)
        .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let (user_pool_id, id) = (UserPoolId::new(row.try_get::<String, _>("user_pool_id")?), row.try_get("id")?);
            match self.open_message(user_pool_id.clone(), id, &row).await {
                Ok(message) => claimed.push(message),
                // Trying again would find the same: it is left for a person to see, and holds nobody else up.
                Err(error) => {
                    tracing::error!(%error, %id, pool = %user_pool_id, "a message in the outbox can't be read");
                    self.bury_message(&user_pool_id, id).await?;
                }
            }
        }
        Ok(claimed)
    }

    async fn open_message(&self, user_pool_id: UserPoolId, id: Uuid, row: &PgRow) -> Result<Claimed, Unreadable> {
        let owner = Sub(row.try_get::<String, _>("owner")?.parse()?);
        let pool = self.pool_hint(&user_pool_id).await?;
        let key = pool.keys.unwrap_user_key(row.try_get("key_id")?, &Sealed(row.try_get("wrapped")?))?;
        let place = Place { pool: &user_pool_id, stream: &StreamId::user(owner), class: FieldClass::Message };
        let opened = key.open(place, &Sealed(row.try_get("sealed")?))?;
        let message = serde_json::from_slice(&opened)?;
        Ok(Claimed { id, attempts: row.try_get("attempts")?, owner, message, user_pool_id })
    }

    async fn bury_message(&self, pool: &UserPoolId, id: Uuid) -> Result<(), StoreError> {
        sqlx::query("update outbox set dead = true where user_pool_id = $1 and id = $2")
            .bind(pool.as_str())
            .bind(id)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// A message is delivered.
    pub async fn message_delivered(&self, claimed: &Claimed) -> Result<(), StoreError> {
        sqlx::query("delete from outbox where user_pool_id = $1 and id = $2")
            .bind(claimed.user_pool_id.as_str())
            .bind(claimed.id)
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// A message could not be delivered: it is tried again at a time, or is dead after too many attempts.
    pub async fn message_failed(&self, claimed: &Claimed, next_at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update outbox set next_at = $3, dead = attempts >= $4 where user_pool_id = $1 and id = $2")
            .bind(claimed.user_pool_id.as_str())
            .bind(claimed.id)
            .bind(to_database(next_at))
            .bind(MOST_ATTEMPTS)
            .execute(&self.database)
            .await?;
        Ok(())
    }
}

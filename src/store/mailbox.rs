//! The development mailbox: a table that takes the place of mail servers and SMS gateways.

use serde_json::Value;
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::outbox::Claimed;
use crate::store::{Store, from_database, to_database};

/// A message in the mailbox.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What arrived.
    pub message: Message,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Moves a message from the outbox to the mailbox. One whose user was deleted in the meantime vanishes.
    pub async fn deliver_to_mailbox(&self, claimed: &Claimed, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "with taken as (delete from outbox where user_pool_id = $1 and id = $2 returning owner)
             insert into mailbox (user_pool_id, id, owner, message, at) select $1, $2, owner, $3, $4 from taken",
        )
        .bind(claimed.user_pool_id.as_str())
        .bind(claimed.id)
        .bind(Json(&claimed.message))
        .bind(to_database(at))
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// The newest messages, of one address or of all.
    pub async fn mailbox(&self, to: Option<&str>, limit: i64) -> Result<Vec<Delivered>, StoreError> {
        if to.is_some_and(|to| to.contains('\0')) {
            // No text in the database holds it, and it refuses to be asked.
            return Ok(Vec::new());
        }
        let rows: Vec<(Value, OffsetDateTime)> = sqlx::query_as(
            "select message, at from mailbox where $1::text is null or message ->> 'to' = $1 order by at desc, id desc limit $2",
        )
        .bind(to)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        rows.into_iter()
            .map(|(message, at)| {
                let message =
                    serde_json::from_value(message).map_err(|source| StoreError::Row { table: "mailbox", source })?;
                Ok(Delivered { message, at: from_database(at) })
            })
            .collect()
    }
}

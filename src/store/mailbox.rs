//! The development mailbox: a table that replaces mail servers and SMS gateways.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::domain::message::{Medium, Message};
use crate::domain::time::Timestamp;
use crate::proto::events::CodePurpose;
use crate::store::error::StoreError;
use crate::store::outbox::{Claimed, INVITATION};
use crate::store::{Store, from_database, to_database};

/// A message in the mailbox.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The pool that sent the message.
    pub user_pool_id: UserPoolId,
    /// The random id of the row.
    pub id: Uuid,
    /// The purpose of the message, if it is known.
    pub kind: Option<MessageKind>,
    /// The delivered message, in plain text.
    pub message: Message,
    /// When the message was delivered.
    pub at: Timestamp,
}

/// The purpose of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The message contains a code for this purpose.
    Code(CodePurpose),
    /// The message contains a temporary password.
    Invitation,
}

impl MessageKind {
    /// Every kind, for filters.
    pub const ALL: [Self; 7] = [
        Self::Code(CodePurpose::SignUp),
        Self::Invitation,
        Self::Code(CodePurpose::ForgotPassword),
        Self::Code(CodePurpose::VerifyEmail),
        Self::Code(CodePurpose::VerifyPhoneNumber),
        Self::Code(CodePurpose::SignInByEmail),
        Self::Code(CodePurpose::SignInBySms),
    ];

    /// The value of the column `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Code(purpose) => purpose.as_str_name(),
            Self::Invitation => INVITATION,
        }
    }

    /// The kind with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A filter for messages. Absent fields filter nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// A part of the recipient's address, in any case.
    pub to: Option<String>,
    /// The id of the pool that sent the message.
    pub user_pool_id: Option<String>,
    /// The purpose of the message.
    pub kind: Option<MessageKind>,
    /// Only e-mails, or only SMS.
    pub medium: Option<Medium>,
}

impl Sought {
    /// Whether the filter has a character that no text in the database can contain, and that Postgres refuses.
    fn is_impossible(&self) -> bool {
        [&self.to, &self.user_pool_id].into_iter().flatten().any(|text| text.contains('\0'))
    }
}

/// A position in the list, which is ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxPlace {
    /// When the message at this position was delivered.
    pub at: Timestamp,
    /// The id of its row, to order messages of the same time.
    pub id: Uuid,
}

const OF_ADDRESS: &str = "
select user_pool_id, id, kind, message, at from mailbox
where $1::text is null or message ->> 'to' = $1 order by at desc, id desc limit $2";

const BEFORE: &str = "
select user_pool_id, id, kind, message, at from mailbox
where ($1::text is null or strpos(lower(message ->> 'to'), lower($1)) > 0)
    and ($2::text is null or user_pool_id = $2)
    and ($3::text is null or kind = $3)
    and ($4::text is null or message ->> 'medium' = $4)
    and (at, id) < (coalesce($5::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
order by at desc, id desc limit $7";

const SINCE: &str = "
select user_pool_id, id, kind, message, at from mailbox
where ($1::text is null or strpos(lower(message ->> 'to'), lower($1)) > 0)
    and ($2::text is null or user_pool_id = $2)
    and ($3::text is null or kind = $3)
    and ($4::text is null or message ->> 'medium' = $4)
    and at >= $5 and id <> all($6)
order by at, id limit $7";

impl Store {
    /// Moves a message from the outbox to the mailbox. If its user was deleted meanwhile, the message is dropped.
    pub async fn deliver_to_mailbox(&self, claimed: &Claimed, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "with taken as (delete from outbox where user_pool_id = $1 and id = $2 returning owner, coalesce(purpose, kind) as kind)
             insert into mailbox (user_pool_id, id, owner, message, at, kind) select $1, $2, owner, $3, $4, kind from taken",
        )
        .bind(claimed.user_pool_id.as_str())
        .bind(claimed.id)
        .bind(sqlx::types::Json(&claimed.message))
        .bind(to_database(at))
        .execute(&self.database)
        .await?;
        self.wake.delivered();
        Ok(())
    }

    /// The newest messages, to one address or to all.
    pub async fn mailbox(&self, to: Option<&str>, limit: i64) -> Result<Vec<Delivered>, StoreError> {
        if to.is_some_and(|to| to.contains('\0')) {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(OF_ADDRESS).bind(to).bind(limit).fetch_all(&self.database).await?;
        rows.iter().map(delivered).collect()
    }

    /// The newest messages that match the filter, before a position if one is given.
    pub async fn mailbox_before(
        &self,
        sought: &Sought,
        before: Option<MailboxPlace>,
        limit: i64,
    ) -> Result<Vec<Delivered>, StoreError> {
        if sought.is_impossible() {
            return Ok(Vec::new());
        }
        let rows = asked(BEFORE, sought)
            .bind(before.map(|place| to_database(place.at)))
            .bind(before.map(|place| place.id))
            .bind(limit)
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(delivered).collect()
    }

    /// The oldest messages that match the filter and were delivered at or after a time, without the known ones.
    pub async fn mailbox_since(
        &self,
        sought: &Sought,
        since: Timestamp,
        known: &[Uuid],
        limit: i64,
    ) -> Result<Vec<Delivered>, StoreError> {
        if sought.is_impossible() {
            return Ok(Vec::new());
        }
        let rows =
            asked(SINCE, sought).bind(to_database(since)).bind(known).bind(limit).fetch_all(&self.database).await?;
        rows.iter().map(delivered).collect()
    }

    /// The message in this row, if the pool sent it.
    pub async fn mailbox_message(&self, user_pool_id: &UserPoolId, id: Uuid) -> Result<Option<Delivered>, StoreError> {
        let row =
            sqlx::query("select user_pool_id, id, kind, message, at from mailbox where user_pool_id = $1 and id = $2")
                .bind(user_pool_id.as_str())
                .bind(id)
                .fetch_optional(&self.database)
                .await?;
        row.as_ref().map(delivered).transpose()
    }
}

/// A statement with the filter as its first parameters.
fn asked<'a>(statement: &'static str, sought: &'a Sought) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(statement)
        .bind(&sought.to)
        .bind(&sought.user_pool_id)
        .bind(sought.kind.map(MessageKind::name))
        .bind(sought.medium.map(Medium::name))
}

fn delivered(row: &PgRow) -> Result<Delivered, StoreError> {
    let kind: Option<String> = row.try_get("kind")?;
    let message = serde_json::from_value(row.try_get("message")?);
    Ok(Delivered {
        user_pool_id: UserPoolId::new(row.try_get::<String, _>("user_pool_id")?),
        id: row.try_get("id")?,
        kind: kind.as_deref().and_then(MessageKind::by_name),
        message: message.map_err(|source| StoreError::Row { table: "mailbox", source })?,
        at: from_database(row.try_get("at")?),
    })
}

//! The development mailbox: a table that takes the place of mail servers and SMS gateways.

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
    /// The pool that sent it.
    pub user_pool_id: UserPoolId,
    /// The row.
    pub id: Uuid,
    /// What it is for, if that is known.
    pub kind: Option<MessageKind>,
    /// What arrived.
    pub message: Message,
    /// When.
    pub at: Timestamp,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// It has a code for this.
    Code(CodePurpose),
    /// It has a temporary password.
    Invitation,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Code(CodePurpose::SignUp),
        Self::Invitation,
        Self::Code(CodePurpose::ForgotPassword),
        Self::Code(CodePurpose::VerifyEmail),
        Self::Code(CodePurpose::VerifyPhoneNumber),
    ];

    /// How the mailbox writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Code(purpose) => purpose.as_str_name(),
            Self::Invitation => INVITATION,
        }
    }

    /// The kind of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Which messages are looked for. What is absent is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// A part of the address, in small or capital letters.
    pub to: Option<String>,
    /// The pool.
    pub user_pool_id: Option<String>,
    /// What they are for.
    pub kind: Option<MessageKind>,
    /// By which way they came.
    pub medium: Option<Medium>,
}

impl Sought {
    /// No text in the database holds this character, and it refuses to be asked.
    fn is_impossible(&self) -> bool {
        [&self.to, &self.user_pool_id].into_iter().flatten().any(|text| text.contains('\0'))
    }
}

/// A place in the list, which is in the order of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxPlace {
    /// When the message there arrived.
    pub at: Timestamp,
    /// Its row.
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
    /// Moves a message from the outbox to the mailbox. One whose user was deleted in the meantime vanishes.
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

    /// The newest messages, of one address or of all.
    pub async fn mailbox(&self, to: Option<&str>, limit: i64) -> Result<Vec<Delivered>, StoreError> {
        if to.is_some_and(|to| to.contains('\0')) {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(OF_ADDRESS).bind(to).bind(limit).fetch_all(&self.database).await?;
        rows.iter().map(delivered).collect()
    }

    /// Messages that are sought, the newest first: those before a place, or from the newest on.
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

    /// Messages that are sought, the oldest first: those that arrived at a time or later, without those that are known.
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

    /// One message.
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

/// A statement whose first parameters are what is sought.
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

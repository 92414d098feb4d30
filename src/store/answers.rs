//! Stored answers of commands with an idempotency key. Each is written in the transaction of its command, and returned
//! again instead of running the command twice.
//!
//! The answer's row is the first write of such a transaction. Of two simultaneous commands with the same key, the
//! second waits there for the first one's end and then fails; its caller gets the stored answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::error::{Error, Exception};
use crate::domain::hash::{Sha256, sha256};
use crate::domain::ids::{AccessKeyId, StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::environment::Random;
use crate::store::error::StoreError;
use crate::store::keys::{KeyKind, MasterKeys};
use crate::store::seal::{self, DataKey, FieldClass, Place};
use crate::store::{Store, to_database};

/// How long an answer is stored, in seconds.
pub const LIFE_SECONDS: i64 = 24 * 60 * 60;
const LONGEST_KEY: usize = 128;

/// The key that a caller gives a command so that it runs only once: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key in this text, if the text has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let formed = (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        formed.then(|| Self(text.to_owned()))
    }
}

/// A command with an idempotency key.
#[derive(Clone, Debug)]
pub struct NamedCommand {
    account: AccessKeyId,
    operation: &'static str,
    key: IdempotencyKey,
    /// The pool that the request names.
    user_pool_id: Option<UserPoolId>,
    request: Sha256,
    stored: Arc<AtomicBool>,
    /// The key of the user whom the answer is about, once the user is known.
    about: Arc<Mutex<Option<Arc<DataKey>>>>,
}

impl NamedCommand {
    /// A command with its request, encoded so that equal requests have equal bytes.
    pub fn new(
        account: AccessKeyId,
        operation: &'static str,
        key: IdempotencyKey,
        user_pool_id: Option<UserPoolId>,
        request: &[u8],
    ) -> Self {
        let (request, stored, about) = (sha256(request), Arc::default(), Arc::default());
        Self { account, operation, key, user_pool_id, request, stored, about }
    }

    /// Whether the answer was committed together with the command's changes.
    pub fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }

    /// Names the user whom the answer is about, if no commit does: the answer is to be erased with that user.
    pub fn concerns(&self, user: &Arc<DataKey>) {
        *self.about() = Some(user.clone());
    }

    fn about(&self) -> MutexGuard<'_, Option<Arc<DataKey>>> {
        // A panic while the lock is held leaves a key or none.
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committed(&self) {
        self.stored.store(true, Ordering::Release);
    }

    fn stream(&self) -> StreamId {
        StreamId::new(format!("answers/{}/{}/{}", self.account, self.operation, self.key.0))
    }

    /// The answer as a row, sealed under a key that exists for as long as the row is useful.
    pub(super) fn row(
        &self,
        pool: &UserPoolId,
        sealer: Sealer<'_>,
        answer: &[u8],
        at: Timestamp,
        random: &Random,
    ) -> Result<AnswerRow, StoreError> {
        let stream = self.stream();
        let place = Place { pool, stream: &stream, class: FieldClass::StoredAnswer };
        let content = [self.request.as_slice(), answer].concat();
        let sealed = match sealer {
            Sealer::Data(key) => key.seal(place, random.uuid(), &content),
            Sealer::Master(keys) => keys.seal(place, random.uuid(), &content),
        };
        Ok(AnswerRow {
            command: self.clone(),
            user_pool_id: pool.clone(),
            key_id: seal::key_id(&sealed)?,
            sealed,
            at: to_database(at),
            expires_at: to_database(at.plus_seconds(LIFE_SECONDS)),
        })
    }

    fn opened(&self, content: &[u8]) -> StoredAnswer {
        match content.split_at_checked(SHA256_OUTPUT_LEN) {
            Some((request, answer)) if request == self.request => StoredAnswer::Answer(answer.to_vec()),
            _ => StoredAnswer::OtherRequest,
        }
    }
}

/// The key under which an answer is sealed: that of the user whom it is about, so that it is erased with the user;
/// otherwise the pool's; and if the pool ends, the master key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sealer<'a> {
    Data(&'a DataKey),
    Master(&'a MasterKeys),
}

/// A row of `stored_answers`.
#[derive(Debug)]
pub(super) struct AnswerRow {
    pub command: NamedCommand,
    user_pool_id: UserPoolId,
    key_id: Uuid,
    sealed: Sealed,
    at: OffsetDateTime,
    expires_at: OffsetDateTime,
}

/// What is stored under an idempotency key.
#[derive(Debug)]
pub enum StoredAnswer {
    /// The encoded answer to the same request.
    Answer(Vec<u8>),
    /// The key was used with another request.
    OtherRequest,
    /// The answer was about a user who was deleted since.
    Erased,
}

impl StoredAnswer {
    /// The answer for the caller, or the refusal.
    pub fn given_again(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::OtherRequest => Err(Error::new(
                Exception::InvalidParameterException,
                "The idempotency-key was used for another request of this operation.",
            )),
            Self::Erased => Err(Error::new(
                Exception::InvalidParameterException,
                "The idempotency-key was used for a request whose answer was erased.",
            )),
        }
    }
}

/// Writes an answer, in place of one that has expired. Fails if there is a valid one, once the transaction that wrote
/// it has ended.
pub(super) async fn write(connection: &mut PgConnection, row: &AnswerRow) -> Result<(), StoreError> {
    let written = sqlx::query(
        "insert into stored_answers (access_key_id, operation, idempotency_key, user_pool_id, key_id, sealed, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (access_key_id, operation, idempotency_key)
         do update set user_pool_id = $4, key_id = $5, sealed = $6, expires_at = $7
         where stored_answers.expires_at <= $8",
    )
    .bind(row.command.account.as_str())
    .bind(row.command.operation)
    .bind(&row.command.key.0)
    .bind(row.user_pool_id.as_str())
    .bind(row.key_id)
    .bind(&row.sealed.0)
    .bind(row.expires_at)
    .bind(row.at)
    .execute(connection)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Answered) }
}

impl Store {
    /// What is stored under the idempotency key of a command.
    pub async fn stored_answer(&self, command: &NamedCommand) -> Result<Option<StoredAnswer>, Error> {
        let row = sqlx::query(
            "select a.user_pool_id, a.sealed, a.key_id, k.kind, k.wrapped
             from stored_answers a left join keys k on k.user_pool_id = a.user_pool_id and k.key_id = a.key_id
             where a.access_key_id = $1 and a.operation = $2 and a.idempotency_key = $3 and a.expires_at > $4",
        )
        .bind(command.account.as_str())
        .bind(command.operation)
        .bind(&command.key.0)
        .bind(to_database(self.clock.now()))
        .fetch_optional(&self.database)
        .await
        .map_err(StoreError::from)?;
        let Some(row) = row else { return Ok(None) };
        let pool = UserPoolId::new(row.try_get::<String, _>("user_pool_id").map_err(StoreError::from)?);
        let sealed = Sealed(row.try_get("sealed").map_err(StoreError::from)?);
        let kind: Option<String> = row.try_get("kind").map_err(StoreError::from)?;
        let stream = command.stream();
        let place = Place { pool: &pool, stream: &stream, class: FieldClass::StoredAnswer };
        let Some(kind) = kind else {
            // The key is not among the pool's: it is a master key, or one that was destroyed together with what it
            // sealed.
            let opened = self.master.open(place, &sealed);
            return Ok(Some(opened.map_or(StoredAnswer::Erased, |content| command.opened(&content))));
        };
        let keys = match self.pool_hint(&pool).await {
            Ok(pool) => pool.keys.clone(),
            Err(StoreError::NotFound(_)) => return Ok(Some(StoredAnswer::Erased)),
            Err(error) => return Err(error.into()),
        };
        let opened = if kind == KeyKind::User.name() {
            let wrapped = Sealed(row.try_get("wrapped").map_err(StoreError::from)?);
            let key_id = row.try_get("key_id").map_err(StoreError::from)?;
            keys.unwrap_user_key(key_id, &wrapped).and_then(|key| key.open(place, &sealed))
        } else {
            keys.pool.open(place, &sealed)
        };
        Ok(Some(command.opened(&opened.map_err(Error::internal)?)))
    }

    /// Stores the answer of a command that committed nothing. Returns the stored one if another call was first.
    pub async fn store_answer(&self, command: &NamedCommand, answer: Vec<u8>) -> Result<Vec<u8>, Error> {
        let pool = match &command.user_pool_id {
            Some(id) => match self.pool_hint(id).await {
                Ok(pool) => Some(pool),
                // The command named a pool that does not exist, or deleted it.
                Err(StoreError::NotFound(_)) => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        let about = command.about().clone();
        let (id, sealer) = match (&command.user_pool_id, &about, &pool) {
            (Some(id), Some(user), _) => (id.clone(), Sealer::Data(user)),
            (_, None, Some(pool)) => (pool.id.clone(), Sealer::Data(&pool.keys.pool)),
            (None, Some(_), _) | (_, None, None) => (UserPoolId::none(), Sealer::Master(&self.master)),
        };
        let row = command.row(&id, sealer, &answer, self.clock.now(), &self.random)?;
        let mut lent = self.database.lend().await?;
        let written = write(lent.connection(), &row).await;
        match lent.settled(written) {
            Ok(()) => Ok(answer),
            Err(StoreError::Answered) => match self.stored_answer(command).await? {
                Some(stored) => stored.given_again(),
                None => Ok(answer),
            },
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_1_to_128_visible_characters_of_ascii() {
        for good in ["a", "!", "~", "4b1c8f6e-0d0f-4b5e-9a53-6f3a2c1d0e9b", &"k".repeat(128)] {
            assert!(IdempotencyKey::parse(good).is_some(), "{good}");
        }
        for wrong in ["", " ", "a b", "a\n", "\t", "é", "\u{7f}", "a\0", &"k".repeat(129)] {
            assert_eq!(IdempotencyKey::parse(wrong), None, "{wrong:?}");
        }
    }

    fn command(request: &[u8]) -> NamedCommand {
        let key = IdempotencyKey("key".to_owned());
        NamedCommand::new(AccessKeyId::new("A"), "CreateUserPool", key, None, request)
    }

    #[test]
    fn an_answer_belongs_to_its_request() {
        let content = [command(b"request").request.as_slice(), b"answer"].concat();
        assert_eq!(command(b"request").opened(&content).given_again().unwrap(), b"answer");
        for other in [command(b"").opened(&content), command(b"Request").opened(&content)] {
            let error = other.given_again().unwrap_err();
            assert_eq!(error.exception, Exception::InvalidParameterException);
        }
        assert!(StoredAnswer::Erased.given_again().unwrap_err().message.contains("erased"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_or_not(text in "(?s).{0,140}") {
            let visible = text.chars().all(|character| ('!'..='~').contains(&character));
            prop_assert_eq!(
                IdempotencyKey::parse(&text).is_some(),
                visible && (1..=128).contains(&text.chars().count())
            );
        }
    }
}

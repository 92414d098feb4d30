//! What a sign-in by password writes: one statement, in one round trip, that fails if its decision is out of date.
//!
//! The parts of the statement run in no promised order, and an update that matches no row would stop nothing: so the
//! version is asserted by a function that raises.

use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::auth::lockout::Attempts;
use crate::domain::ids::UserPoolId;
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::store::Store;
use crate::store::answers::{self, AnswerRow, NamedCommand, Sealer};
use crate::store::cache::PoolView;
use crate::store::commit::{ActivityRow, LoadedUser, activity_row, append_activity};
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::keys::PoolKeys;
use crate::store::metadata::Origin;
use crate::store::outcome::{Recorded, find_out};
use crate::store::read::{Session, VersionedAttempts};
use crate::store::to_database;
use crate::store::wake::News;

/// Where the facts of a sign-in go.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The pool.
    pub pool_id: &'a UserPoolId,
    /// The pool's keys.
    pub keys: &'a Arc<PoolKeys>,
    /// Where the call comes from.
    pub origin: &'a Origin,
    /// The keyed hash of the name.
    pub name_hash: &'a [u8],
    /// The time.
    pub at: Timestamp,
}

/// A sign-in that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// Whose.
    pub user: &'a LoadedUser,
    /// The session that begins with it.
    pub session: &'a Session,
    /// The attempts that the decision saw.
    pub attempts: Option<VersionedAttempts>,
    /// What is recorded.
    pub fact: &'a Activity,
}

/// All that the statement of an accepted sign-in writes.
struct Acceptance {
    pool: UserPoolId,
    name_hash: Vec<u8>,
    version: i64,
    attempts: i64,
    session: Session,
    row: ActivityRow,
}

impl Acceptance {
    async fn write(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let Self { pool, name_hash, version, attempts, session, row } = self;
        sqlx::query(ACCEPT)
            .bind(pool.as_str())
            .bind(format!("users/{}", session.sub))
            .bind(version)
            .bind(session.sub.0)
            .bind(session.event_id)
            .bind(session.client_id.as_str())
            .bind(session.token_generation)
            .bind(to_database(session.auth_time))
            .bind(to_database(session.expires_at))
            .bind(name_hash)
            .bind(attempts)
            .bind(row.event_id)
            .bind(row.kind)
            .bind(row.schema_version)
            .bind(&row.payload)
            .bind(&row.metadata)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// A session that begins. The user's row is held until the statement is done: whoever deletes the user waits, and finds the
/// session.
const ACCEPT: &str = "
with asserted as (
    select assert_version($2, $3, (select version from users where user_pool_id = $1 and sub = $4 for key share)),
           assert_version('attempts', $11, coalesce((select version from attempts where user_pool_id = $1 and name_hash = $10), 0))
), began as (
    insert into sessions (user_pool_id, event_id, sub, client_id, token_generation, auth_time, expires_at)
    select $1, $5, $4, $6, $7, $8, $9 from asserted
), forgotten as (
    delete from attempts where user_pool_id = $1 and name_hash = $10 and $11 > 0
)
insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
select $1, $12, $4::text, $13, $14, $15, $16, $8, meta.epoch, 0 from meta";

/// A refusal, with the attempts from now on. Asserts the attempts' version: two guesses at one moment count as two.
const REFUSE_AND_COUNT: &str = "
with asserted as (
    select assert_version('attempts', $3, coalesce((select version from attempts where user_pool_id = $1 and name_hash = $2), 0))
), counted as (
    insert into attempts (user_pool_id, name_hash, failures, last_at, locked_until, version)
    select $1, $2, $4, $5, $6, $3 + 1 from asserted
    on conflict (user_pool_id, name_hash) do update
        set failures = $4, last_at = $5, locked_until = $6, version = attempts.version + 1
        where attempts.version = $3
    returning version
), raced as (
    select assert_version('attempts', 1, (select count(*) from counted))
)
insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
select $1, $7, $8, $9, $10, $11, $12, $5, meta.epoch, 0 from meta, raced";

/// The next refresh token of a session in the place of the last one; or, once more, of what the same statement may have done.
const ROTATE: &str = "
update sessions set refresh_counter = $3 + 1, replaced_at = $4
where user_pool_id = $1 and event_id = $2
    and (refresh_counter = $3 or $5 and refresh_counter = $3 + 1 and replaced_at = $4)";

/// Whether a statement is sent a second time, because the first one's answer was lost.
#[derive(Clone, Copy)]
struct Again(bool);

impl Store {
    /// Begins a session and records the sign-in. Forgets earlier failures, of which none may have come in the meantime.
    ///
    /// If the caller named the command, its answer is stored in the same transaction.
    pub async fn accept_sign_in(
        &self,
        place: Place<'_>,
        accepted: Accepted<'_>,
        answer: &impl prost::Message,
    ) -> Result<(), StoreError> {
        let Accepted { user, session, attempts, fact } = accepted;
        let row = activity_row(
            place.pool_id,
            &session.sub.to_string(),
            place.origin,
            Some(&user.key),
            fact,
            place.at,
            &self.random,
        )?;
        let (command, patience) = (place.origin.command.clone(), place.origin.patience);
        let sealer = Sealer::Data(&user.key);
        let answer = command
            .as_ref()
            .map(|command| command.row(place.pool_id, sealer, &answer.encode_to_vec(), place.at, &self.random))
            .transpose()?;
        let acceptance = Acceptance {
            pool: place.pool_id.clone(),
            name_hash: place.name_hash.to_vec(),
            version: user.version,
            attempts: attempts.map_or(0, |attempts| attempts.version),
            session: session.clone(),
            row,
        };
        let store = self.clone();
        self.to_its_end(async move {
            let written = match &answer {
                None => store.accept(&acceptance).await,
                Some(answer) => store.accept_and_answer(&acceptance, answer).await,
            };
            match written {
                // The answer was lost on the way: the session tells whether the statement was done.
                Err(error) if error.is_connection_lost() => {
                    let began = || store.session_began(&acceptance.pool, &acceptance.session);
                    store.unless_done(patience, error, began).await?;
                }
                written => written?,
            }
            command.iter().for_each(NamedCommand::committed);
            Ok(())
        })
        .await
    }

    async fn accept(&self, acceptance: &Acceptance) -> Result<(), StoreError> {
        let mut lent = self.connections.lend().await?;
        let accepted = acceptance.write(lent.connection()).await;
        lent.settled(accepted)
    }

    /// The answer is written first: of two commands of one name the second waits there.
    async fn accept_and_answer(&self, acceptance: &Acceptance, answer: &AnswerRow) -> Result<(), StoreError> {
        let mut lent = self.connections.lend().await?;
        let accepted = accept_and_answer(&mut lent, acceptance, answer).await;
        lent.settled(accepted)
    }

    /// Whether a session is there. What began it may still be on its way: a row of the same key, never kept, waits for it.
    async fn session_began(&self, pool: &UserPoolId, session: &Session) -> Result<bool, StoreError> {
        let mut lent = self.database.lend().await?;
        let began = has_begun(&mut lent, pool, session).await;
        lent.settled(began)
    }

    /// Records a refusal, and the attempts from now on where they changed. An unknown user's is recorded under the name's hash.
    pub async fn refuse_sign_in(
        &self,
        place: Place<'_>,
        user: Option<&LoadedUser>,
        before: Option<VersionedAttempts>,
        attempts: Option<Attempts>,
        fact: &Activity,
    ) -> Result<(), StoreError> {
        let owner = match user {
            Some(user) => user.state.sub.to_string(),
            None => hex::encode(place.name_hash),
        };
        let key = user.map_or(&place.keys.audit, |user| &user.key).as_ref();
        let row = activity_row(place.pool_id, &owner, place.origin, Some(key), fact, place.at, &self.random)?;
        match attempts {
            Some(attempts) => self.count_attempt(place, before, attempts, row).await,
            None => self.append_facts(place.pool_id, vec![row]).await,
        }
    }

    async fn count_attempt(
        &self,
        place: Place<'_>,
        before: Option<VersionedAttempts>,
        attempts: Attempts,
        row: ActivityRow,
    ) -> Result<(), StoreError> {
        let (pool, name_hash) = (place.pool_id.clone(), place.name_hash.to_vec());
        let (fact, patience) = (Recorded::of(&row), place.origin.patience);
        let version = before.map_or(0, |before| before.version);
        let store = self.clone();
        self.to_its_end(async move {
            let mut lent = store.connections.lend().await?;
            let counted = sqlx::query(REFUSE_AND_COUNT)
                .bind(pool.as_str())
                .bind(name_hash)
                .bind(version)
                .bind(i32::try_from(attempts.failures).unwrap_or(i32::MAX))
                .bind(to_database(attempts.last_at))
                .bind(attempts.locked_until.map(to_database))
                .bind(row.event_id)
                .bind(row.owner)
                .bind(row.kind)
                .bind(row.schema_version)
                .bind(row.payload)
                .bind(row.metadata)
                .execute(lent.connection())
                .await;
            match lent.settled(counted.map(drop).map_err(StoreError::from)) {
                Err(error) if error.is_connection_lost() => {
                    store.unless_done(patience, error, || store.is_recorded(&pool, &fact)).await
                }
                counted => counted,
            }
        })
        .await
    }

    /// Replaces the refresh token of a session by the next one. Collides if it was replaced in the meantime.
    ///
    /// Where the answer is lost on the way, the same is done once more: it finds what the first one did, or does it, and
    /// leaves nothing to do for a first one that is late. A caller who was told of a failure would come again with the old
    /// token, and lose the session for it.
    pub async fn rotate_refresh_token(
        &self,
        pool: &UserPoolId,
        session: &Session,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (pool, session) = (pool.clone(), session.clone());
        let store = self.clone();
        self.to_its_end(async move {
            let rotated = match store.rotate(&pool, &session, at, Again(false)).await {
                Err(error) if error.is_connection_lost() => {
                    store.connections.look_at_all();
                    find_out(None, || store.rotate(&pool, &session, at, Again(true))).await?
                }
                rotated => rotated?,
            };
            if rotated { Ok(()) } else { Err(StoreError::Stale) }
        })
        .await
    }

    async fn rotate(
        &self,
        pool: &UserPoolId,
        session: &Session,
        at: Timestamp,
        Again(again): Again,
    ) -> Result<bool, StoreError> {
        let mut lent = self.connections.lend().await?;
        let rotated = sqlx::query(ROTATE)
            .bind(pool.as_str())
            .bind(session.event_id)
            .bind(session.refresh_counter)
            .bind(to_database(at))
            .bind(again)
            .execute(lent.connection())
            .await;
        lent.settled(rotated.map(|rotated| rotated.rows_affected() == 1).map_err(StoreError::from))
    }

    /// Ends a session and records why.
    pub async fn end_session(
        &self,
        pool: &PoolView,
        origin: &Origin,
        user: &LoadedUser,
        session: Uuid,
        fact: &Activity,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let owner = user.state.sub.to_string();
        let row = activity_row(&pool.id, &owner, origin, Some(&user.key), fact, at, &self.random)?;
        let (store, pool, patience) = (self.clone(), pool.id.clone(), origin.patience);
        self.to_its_end(async move {
            let mut lent = store.connections.lend().await?;
            let ended = end(&mut lent, &pool, session, &row).await;
            match lent.settled(ended) {
                // The answer was lost on the way. The same once more finds nothing to end where the first one did.
                Err(error) if error.is_connection_lost() => {
                    store.connections.look_at_all();
                    find_out(patience, || store.end_once_more(&pool, session, &row)).await
                }
                ended => ended,
            }
        })
        .await
    }

    async fn end_once_more(&self, pool: &UserPoolId, session: Uuid, row: &ActivityRow) -> Result<(), StoreError> {
        let mut lent = self.connections.lend().await?;
        let ended = end(&mut lent, pool, session, row).await;
        lent.settled(ended)
    }

    /// Runs a write in its own task to its end, whatever becomes of the caller.
    pub(crate) async fn to_its_end<F>(&self, write: F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let wake = self.wake.clone();
        tokio::spawn(async move {
            let result = write.await;
            if result.is_ok() {
                wake.committed(News::Events);
            }
            result
        })
        .await?
    }
}

async fn accept_and_answer(lent: &mut Lent<'_>, acceptance: &Acceptance, answer: &AnswerRow) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    answers::write(&mut transaction, answer).await?;
    acceptance.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn has_begun(lent: &mut Lent<'_>, pool: &UserPoolId, session: &Session) -> Result<bool, StoreError> {
    let mut transaction = lent.begin().await?;
    let written = sqlx::query(
        "insert into sessions (user_pool_id, event_id, sub, client_id, token_generation, auth_time, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(pool.as_str())
    .bind(session.event_id)
    .bind(session.sub.0)
    .bind(session.client_id.as_str())
    .bind(session.token_generation)
    .bind(to_database(session.auth_time))
    .bind(to_database(session.expires_at))
    .execute(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(written.rows_affected() == 0)
}

/// Ends a session and records why, if it is there.
async fn end(lent: &mut Lent<'_>, pool: &UserPoolId, session: Uuid, row: &ActivityRow) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    let ended = sqlx::query("delete from sessions where user_pool_id = $1 and event_id = $2")
        .bind(pool.as_str())
        .bind(session)
        .execute(&mut *transaction)
        .await?;
    if ended.rows_affected() == 1 {
        append_activity(&mut transaction, pool, std::slice::from_ref(row)).await?;
    }
    transaction.commit().await?;
    Ok(())
}

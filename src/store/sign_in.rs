//! What a sign-in by password writes: one statement, in one round trip, that fails if its decision is out of date.
//!
//! The parts of the statement run in no promised order, and an update that matches no row would stop nothing: so the
//! version is asserted by a function that raises.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use time::OffsetDateTime;

use crate::domain::auth::session::Session;
use crate::domain::ids::{Sub, UserPoolId};
use crate::domain::lockout::{Attempts, Hearing};
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::store::Store;
use crate::store::answers::{self, AnswerRow, NamedCommand, Sealer};
use crate::store::commit::{ActivityRow, activity_row};
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::keys::PoolKeys;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::read::{Failures, VersionedAttempts};
use crate::store::{sessions, to_database};

/// Where the facts of a sign-in go.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The pool.
    pub pool_id: &'a UserPoolId,
    /// The pool's keys.
    pub keys: &'a Arc<PoolKeys>,
    /// Where the call comes from.
    pub origin: &'a Origin,
    /// Who stands for the name as this network calls it, where guesses are counted by name.
    pub told: Option<Sub>,
    /// Which wrong passwords count.
    pub failures: Failures,
    /// Where it comes from.
    pub source: Source,
    /// What is limited by where it comes from, if anything.
    pub limited: Option<&'a Limited>,
    /// The time.
    pub at: Timestamp,
}

/// A source as it stands in the table, and beside it what is counted by the name.
fn counted(attempt: &Attempt<'_>) -> &'static str {
    attempt.failures.counted(attempt.source)
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
    /// Whether there are attempts at the name to forget.
    pub is_counted_by_name: bool,
    /// The network to remember, by its keyed hash, unless it is known well enough.
    pub network: Option<&'a [u8]>,
    /// What is recorded.
    pub fact: &'a Activity,
}

/// Whose name a guess was made at.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// A user's.
    User(&'a LoadedUser),
    /// Nobody's: this id stands for the name.
    Nobody(Sub),
}

/// A sign-in that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Who was not let in.
    pub who: Who<'a>,
    /// The attempts that the decision saw.
    pub before: Option<VersionedAttempts>,
    /// What counts.
    pub hearing: Hearing,
    /// Whether it is recorded: not where so much was recorded already.
    pub is_recorded: bool,
}

/// All that the statement of an accepted sign-in writes.
struct Acceptance {
    pool: UserPoolId,
    source: &'static str,
    version: i64,
    attempts: i64,
    told: Option<Sub>,
    forgets: bool,
    network: Option<Vec<u8>>,
    limited: Option<Limited>,
    session: Session,
    row: ActivityRow,
}

impl Acceptance {
    async fn write(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let Self { pool, source, version, attempts, told, forgets, network, limited, session, row } = self;
        let query = sqlx::query(ACCEPT)
            .bind(pool.as_str())
            .bind(format!("users/{}", session.sub))
            .bind(version)
            .bind(session.sub.0)
            .bind(session.event_id)
            .bind(session.client_id.as_str())
            .bind(session.token_generation)
            .bind(to_database(session.auth_time))
            .bind(to_database(session.expires_at))
            .bind(source)
            .bind(attempts)
            .bind(row.event_id)
            .bind(row.kind)
            .bind(row.schema_version)
            .bind(&row.payload)
            .bind(&row.metadata)
            .bind(told.map(|told| told.0))
            .bind(forgets)
            .bind(network);
        limit(query, limited.as_ref()).execute(connection).await?;
        Ok(())
    }
}

/// The last four parameters of both statements: what is limited, if anything.
fn limit<'q>(
    query: Query<'q, Postgres, PgArguments>,
    limited: Option<&'q Limited>,
) -> Query<'q, Postgres, PgArguments> {
    query
        .bind(limited.map(|limited| limited.kind.name()))
        .bind(limited.map(|limited| &*limited.key))
        .bind(limited.map(|limited| limited.rate.share_millis()))
        .bind(limited.map(|limited| limited.rate.period_millis()))
}

/// A session that begins. The user's row is held until the statement is done: whoever deletes the user waits, and finds the
/// session. Of the networks of a user the last twenty are remembered.
const ACCEPT: &str = "
with asserted as (
    select assert_version($2, $3, (select version from users where user_pool_id = $1 and sub = $4 for key share)),
           assert_version('attempts', $11, coalesce(
               (select version from sign_in_failures where user_pool_id = $1 and sub = $4 and source = $10), 0)),
           case when $21::bytea is not null then assert_rate($1, $20, $21, $8, $22, $23) end
), began as (
    insert into sessions (user_pool_id, event_id, sub, client_id, token_generation, auth_time, expires_at)
    select $1, $5, $4, $6, $7, $8, $9 from asserted
), forgotten as (
    delete from sign_in_failures
    where $18 and user_pool_id = $1 and (sub = $4 and source = $10 or sub = $17 and source = 'by_name')
), familiar as (
    insert into familiar_networks (user_pool_id, sub, network, last_at)
    select $1, $4, $19, $8 from asserted where $19::bytea is not null
    on conflict (user_pool_id, sub, network) do update set last_at = $8
), strange as (
    delete from familiar_networks where $19::bytea is not null and user_pool_id = $1 and sub = $4 and network in (
        select network from familiar_networks where user_pool_id = $1 and sub = $4 order by last_at desc offset 19)
)
insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
select $1, $12, $4::text, $13, $14, $15, $16, $8, meta.epoch, 0 from meta";

/// A refusal, with the attempts from now on. Asserts the attempts' version: two guesses at one moment count as two. That
/// nobody came between is what the statement answers, so that it is looked at whatever else there is to write.
const REFUSE_AND_COUNT: &str = "
with asserted as (
    select assert_version('attempts', $3, coalesce(
               (select version from sign_in_failures where user_pool_id = $1 and sub = $2 and source = $4), 0)),
           case when $19::bytea is not null then spend_rate($1, $18, $19, $12, $20, $21) end
), counted as (
    insert into sign_in_failures (user_pool_id, sub, source, failures, last_at, locked_until, version)
    select $1, $2, $4, $13, $14, $15, $3 + 1 from asserted
    on conflict (user_pool_id, sub, source) do update
        set failures = $13, last_at = $14, locked_until = $15, version = sign_in_failures.version + 1
        where sign_in_failures.version = $3
    returning version
), named as (
    insert into sign_in_failures (user_pool_id, sub, source, failures, last_at, locked_until, version)
    select $1, $5, 'by_name', $16, $12, $17, 1 where $16::int is not null
    on conflict (user_pool_id, sub, source) do update
        set failures = $16, last_at = $12, locked_until = $17, version = sign_in_failures.version + 1
), recorded as (
    insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
    select $1, $7, $2::text, $8, $9, $10, $11, $12, meta.epoch, 0 from meta where $6
)
select assert_version('attempts', 1, (select count(*) from counted))";

/// That a right password was heard while the user was not locked, and what is recorded of it, if anything.
const HEAR: &str = "
with recorded as (
    insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
    select $1, $6, $2::text, $7, $8, $9, $10, $11, meta.epoch, 0 from meta where $5
)
select assert_version('attempts', $3, coalesce(
           (select version from sign_in_failures where user_pool_id = $1 and sub = $2 and source = $4), 0)),
       case when $13::bytea is not null then assert_rate($1, $12, $13, $11, $14, $15) end";

/// A password that was heard: at whom, and what the decision saw of wrong ones.
struct Heard {
    pool: UserPoolId,
    owner: Sub,
    version: i64,
    source: &'static str,
    at: OffsetDateTime,
    limited: Option<Limited>,
    /// How long the caller waits.
    patience: Option<Duration>,
}

fn number(failures: u32) -> i32 {
    i32::try_from(failures).unwrap_or(i32::MAX)
}

impl Store {
    /// Begins a session and records the sign-in. Forgets earlier failures, of which none may have come in the meantime.
    ///
    /// If the caller named the command, its answer is stored in the same transaction.
    pub async fn accept_sign_in(
        &self,
        attempt: Attempt<'_>,
        accepted: Accepted<'_>,
        answer: &impl prost::Message,
    ) -> Result<(), StoreError> {
        let Accepted { user, session, attempts, is_counted_by_name, network, fact } = accepted;
        let row = activity_row(
            attempt.pool_id,
            &session.sub.to_string(),
            attempt.origin,
            Some(&user.key),
            fact,
            attempt.at,
            &self.random,
        )?;
        let (command, patience) = (attempt.origin.command.clone(), attempt.origin.patience);
        let sealer = Sealer::Data(&user.key);
        let answer = command
            .as_ref()
            .map(|command| command.row(attempt.pool_id, sealer, &answer.encode_to_vec(), attempt.at, &self.random))
            .transpose()?;
        let acceptance = Acceptance {
            pool: attempt.pool_id.clone(),
            source: counted(&attempt),
            version: user.version,
            attempts: attempts.map_or(0, |attempts| attempts.version),
            told: attempt.told,
            forgets: attempts.is_some() || is_counted_by_name,
            network: network.map(<[u8]>::to_vec),
            limited: attempt.limited.cloned(),
            session: session.clone(),
            row,
        };
        let (store, limited) = (self.clone(), attempt.limited);
        let written = self.to_its_end(async move {
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
        });
        written.await.map_err(|error| error.with_wait(limited))
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

    /// Records a refusal, and counts it if the password was wrong.
    pub async fn refuse_sign_in(
        &self,
        attempt: Attempt<'_>,
        refused: Refused<'_>,
        fact: &Activity,
    ) -> Result<(), StoreError> {
        let (owner, key) = match refused.who {
            Who::User(user) => (user.state.sub, user.key.as_ref()),
            Who::Nobody(stands_for_name) => (stands_for_name, attempt.keys.audit.as_ref()),
        };
        let row = activity_row(
            attempt.pool_id,
            &owner.to_string(),
            attempt.origin,
            Some(key),
            fact,
            attempt.at,
            &self.random,
        )?;
        let heard = Heard {
            pool: attempt.pool_id.clone(),
            owner,
            version: refused.before.map_or(0, |before| before.version),
            source: counted(&attempt),
            at: to_database(attempt.at),
            limited: attempt.limited.cloned(),
            patience: attempt.origin.patience,
        };
        match refused.hearing {
            Hearing::Unheard if refused.is_recorded => self.append_facts(attempt.pool_id, vec![row]).await,
            Hearing::Unheard => Ok(()),
            Hearing::Right => self.hear(heard, Some(row).filter(|_| refused.is_recorded)).await,
            Hearing::Wrong { attempts, by_name } => {
                self.count_attempt(heard, attempt.told, (attempts, by_name), row, refused.is_recorded).await
            }
        }
    }

    /// Asserts that a user was not locked while its right password was heard, where the sign-in goes on without a session.
    pub async fn assert_heard(
        &self,
        attempt: Attempt<'_>,
        user: &LoadedUser,
        before: Option<VersionedAttempts>,
    ) -> Result<(), StoreError> {
        let heard = Heard {
            pool: attempt.pool_id.clone(),
            owner: user.state.sub,
            version: before.map_or(0, |before| before.version),
            source: counted(&attempt),
            at: to_database(attempt.at),
            limited: attempt.limited.cloned(),
            patience: attempt.origin.patience,
        };
        self.hear(heard, None).await
    }

    async fn hear(&self, heard: Heard, fact: Option<ActivityRow>) -> Result<(), StoreError> {
        let (store, limited) = (self.clone(), heard.limited.clone());
        let written = self.to_its_end(async move {
            let query = sqlx::query(HEAR)
                .bind(heard.pool.as_str())
                .bind(heard.owner.0)
                .bind(heard.version)
                .bind(heard.source)
                .bind(fact.is_some())
                .bind(fact.as_ref().map(|row| row.event_id))
                .bind(fact.as_ref().map(|row| row.kind))
                .bind(fact.as_ref().map(|row| row.schema_version))
                .bind(fact.as_ref().map(|row| &row.payload))
                .bind(fact.as_ref().map(|row| &row.metadata))
                .bind(heard.at);
            limit(query, heard.limited.as_ref()).execute(&store.database).await?;
            Ok(())
        });
        written.await.map_err(|error| error.with_wait(&limited))
    }

    async fn count_attempt(
        &self,
        heard: Heard,
        told: Option<Sub>,
        (attempts, by_name): (Attempts, Option<Attempts>),
        row: ActivityRow,
        is_recorded: bool,
    ) -> Result<(), StoreError> {
        let (store, limited, patience) = (self.clone(), heard.limited.clone(), heard.patience);
        let (pool, fact) = (heard.pool.clone(), is_recorded.then(|| row.recorded()));
        let written = self.to_its_end(async move {
            let mut lent = store.connections.lend().await?;
            let query = sqlx::query(REFUSE_AND_COUNT)
                .bind(heard.pool.as_str())
                .bind(heard.owner.0)
                .bind(heard.version)
                .bind(heard.source)
                .bind(told.map(|told| told.0))
                .bind(is_recorded)
                .bind(row.event_id)
                .bind(row.kind)
                .bind(row.schema_version)
                .bind(row.payload)
                .bind(row.metadata)
                .bind(heard.at)
                .bind(number(attempts.failures))
                .bind(to_database(attempts.last_at))
                .bind(attempts.locked_until.map(to_database))
                .bind(by_name.map(|by_name| number(by_name.failures)))
                .bind(by_name.and_then(|by_name| by_name.locked_until).map(to_database));
            let counted = limit(query, heard.limited.as_ref()).execute(lent.connection()).await;
            match (lent.settled(counted.map(drop).map_err(StoreError::from)), fact) {
                // What left no fact can't be found: the caller is told that it is not known.
                (Err(error), Some(fact)) if error.is_connection_lost() => {
                    store.unless_done(patience, error, || store.is_recorded(&pool, &fact)).await
                }
                (counted, _) => counted,
            }
        });
        written.await.map_err(|error| error.with_wait(&limited))
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
    let is_new = sessions::insert(&mut transaction, pool, session).await?;
    transaction.rollback().await?;
    Ok(!is_new)
}

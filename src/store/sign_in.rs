//! The writes of a sign-in that changes no user: one statement in one round trip, which fails if its decision is out of date.
//!
//! The parts of the statement run in no guaranteed order, and an update that matches no row stops nothing. So the
//! version is asserted by a function that raises an error.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use time::OffsetDateTime;

use crate::domain::auth::session::{Nonce, Session};
use crate::domain::ids::{DeviceId, Sub, UserPoolId};
use crate::domain::lockout::{Attempts, Hearing};
use crate::domain::personal::Sealed;
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::store::Store;
use crate::store::answers::{self, AnswerRow, NamedCommand, Sealer};
use crate::store::commit::{ActivityRow, NewFact};
use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::keys::PoolKeys;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::read::{Failures, VersionedAttempts};
use crate::store::seal::DataKey;
use crate::store::wake::News;
use crate::store::{sessions, to_database};

/// Where a sign-in comes from, and where its facts go.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The id of the user's pool.
    pub pool_id: &'a UserPoolId,
    /// The data keys of the pool.
    pub keys: &'a Arc<PoolKeys>,
    /// The actor, the request and the address of the call.
    pub origin: &'a Origin,
    /// The stand-in for the name as seen from the caller's network, if guesses are counted by name.
    pub told: Option<Sub>,
    /// The kind of wrong passwords that count.
    pub failures: Failures,
    /// Whether the call comes from a familiar network.
    pub source: Source,
    /// The limit of guesses from the caller's network, if there is one.
    pub limited: Option<&'a Limited>,
    /// The nonce of the challenge that the attempt answers. Fails with [`StoreError::Spent`] if it is already spent.
    pub spends: Option<Nonce>,
    /// When the attempt is decided.
    pub at: Timestamp,
}

impl<'a> Attempt<'a> {
    /// What a fact about the attempt is made of.
    fn fact<'b>(self, owner: &'b str, key: &'b DataKey, fact: &'b Activity) -> NewFact<'b, Activity>
    where
        'a: 'b,
    {
        NewFact { pool: self.pool_id, owner, origin: self.origin, key: Some(key), fact, at: self.at }
    }
}

/// The value of the column `source`; the count by name has its own.
fn counted(attempt: &Attempt<'_>) -> &'static str {
    attempt.failures.counted(attempt.source)
}

/// A sign-in that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted<'a> {
    /// The user who signed in.
    pub user: &'a LoadedUser,
    /// The session that begins with it.
    pub session: &'a Session,
    /// The attempts that the decision saw.
    pub attempts: Option<VersionedAttempts>,
    /// Whether wrong passwords at the name are to be forgotten too.
    pub is_counted_by_name: bool,
    /// The keyed hash of the network to remember; `None` if it was remembered lately.
    pub network: Option<&'a [u8]>,
    /// The device that the user had before, if they sign in with one.
    pub device: Option<UsedBy>,
    /// The limits of guesses that the sign-in asserts.
    pub limits: [Option<Limited>; 2],
    /// What can be given once: a challenge, and then a code. Fails with [`StoreError::Spent`] if the challenge is already
    /// answered, and with [`StoreError::CodeUsed`] if the code was given before.
    pub spends: [Option<Nonce>; 2],
    /// The fact that records the sign-in.
    pub fact: &'a Activity,
}

/// The device that a user signs in with.
#[derive(Clone, Debug)]
pub struct UsedBy {
    /// The id of the device.
    pub id: DeviceId,
    /// The device's version that the decision saw.
    pub version: i64,
    /// The address that the call came from, sealed under the user's key.
    pub address: Option<Sealed>,
}

/// Whose name a password was guessed at.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// The name of a user.
    User(&'a LoadedUser),
    /// A name that no user has, with its stand-in.
    Nobody(Sub),
}

/// A sign-in that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The user or stand-in at whom the password was guessed.
    pub who: Who<'a>,
    /// The attempts that the decision saw.
    pub before: Option<VersionedAttempts>,
    /// How the guess counts towards the lock-out.
    pub hearing: Hearing,
    /// Whether a fact is written; not if too many were written lately.
    pub is_recorded: bool,
}

/// All values that the statement of an accepted sign-in writes.
struct Acceptance {
    pool: UserPoolId,
    source: &'static str,
    version: i64,
    attempts: i64,
    told: Option<Sub>,
    forgets: bool,
    network: Option<Vec<u8>>,
    limits: [Option<Limited>; 2],
    spends: [Option<Nonce>; 2],
    session: Session,
    device: Option<UsedBy>,
    row: ActivityRow,
}

impl Acceptance {
    async fn write(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let Self { pool, source, version, attempts, told, forgets, network, limits, spends, .. } = self;
        let Self { session, device, row, .. } = self;
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
        let ([limited, in_session], [challenge, code]) = (limits, spends);
        let query = spend(limit(query, limited.as_ref()), *challenge)
            .bind(session.device.map(|device| device.0))
            .bind(session.is_refreshable)
            .bind(device.as_ref().map(|device| device.version))
            .bind(device.as_ref().and_then(|device| device.address.as_ref()).map(|address| &address.0));
        spend(limit(query, in_session.as_ref()), *code).execute(connection).await?;
        Ok(())
    }
}

/// Four parameters of every statement: the limit, if there is one.
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

/// Three parameters of every statement: the nonce, if there is one.
fn spend(query: Query<'_, Postgres, PgArguments>, nonce: Option<Nonce>) -> Query<'_, Postgres, PgArguments> {
    query
        .bind(nonce.map(|nonce| nonce.id))
        .bind(nonce.map(|nonce| nonce.sub.0))
        .bind(nonce.map(|nonce| to_database(nonce.expires_at)))
}

/// Begins a session. The user's row is locked until the statement is done: a deletion of the user waits, and then finds
/// the session. Only a user's last twenty networks are remembered.
const ACCEPT: &str = "
with asserted as (
    select assert_version($2, $3, (select version from users where user_pool_id = $1 and sub = $4 for key share)),
           assert_version('attempts', $11, coalesce(
               (select version from sign_in_failures where user_pool_id = $1 and sub = $4 and source = $10), 0)),
           case when $21::bytea is not null then assert_rate($1, $20, $21, $8, $22, $23) end,
           case when $32::bytea is not null then assert_rate($1, $31, $32, $8, $33, $34) end,
           case when $29::bigint is not null then assert_version('devices', $29,
               (select version from devices where user_pool_id = $1 and device_id = $27 for key share)) end
), began as (
    insert into sessions (user_pool_id, event_id, sub, client_id, token_generation, auth_time, expires_at,
        device_id, refreshable)
    select $1, $5, $4, $6, $7, $8, $9, $27, $28 from asserted
), used as (
    insert into device_uses (user_pool_id, device_id, sub, last_at, address)
    select $1, $27, $4, $8, $30 from asserted where $29::bigint is not null
    on conflict (user_pool_id, device_id) do update set last_at = $8, address = $30, awaited = null
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
), spent as (
    insert into used_nonces (user_pool_id, nonce, sub, expires_at)
    select $1, nonce, sub, expires_at
    from (values ($24::uuid, $25::uuid, $26::timestamptz), ($35, $36, $37)) as once (nonce, sub, expires_at)
    where nonce is not null
)
insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
select $1, $12, $4::text, $13, $14, $15, $16, $8, meta.epoch, 0 from meta";

/// Writes a refusal and the new attempts. Asserts the version of the attempts, so that two simultaneous guesses count
/// as two. The assertion is in the statement's result, so that it runs whatever else is written.
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
), spent as (
    insert into used_nonces (user_pool_id, nonce, sub, expires_at)
    select $1, $22, $23::uuid, $24::timestamptz where $22::uuid is not null
)
select assert_version('attempts', 1, (select count(*) from counted))";

/// Asserts that the user was not locked when a right password was given, and records a fact if there is one.
const HEAR: &str = "
with recorded as (
    insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
    select $1, $6, $2::text, $7, $8, $9, $10, $11, meta.epoch, 0 from meta where $5
), spent as (
    insert into used_nonces (user_pool_id, nonce, sub, expires_at)
    select $1, $16, $17::uuid, $18::timestamptz where $16::uuid is not null
)
select assert_version('attempts', $3, coalesce(
           (select version from sign_in_failures where user_pool_id = $1 and sub = $2 and source = $4), 0)),
       case when $13::bytea is not null then assert_rate($1, $12, $13, $11, $14, $15) end";

/// A checked password: whose it was, and the attempts that the decision saw.
struct Heard {
    pool: UserPoolId,
    owner: Sub,
    version: i64,
    source: &'static str,
    at: OffsetDateTime,
    limited: Option<Limited>,
    spends: Option<Nonce>,
    /// How long the caller waits, if they said so.
    patience: Option<Duration>,
}

fn number(failures: u32) -> i32 {
    i32::try_from(failures).unwrap_or(i32::MAX)
}

impl Store {
    /// Begins a session and records the sign-in. Forgets earlier failures; collides if another one came meanwhile.
    ///
    /// If the command has an idempotency key, its answer is stored in the same transaction.
    pub async fn accept_sign_in(
        &self,
        attempt: Attempt<'_>,
        accepted: Accepted<'_>,
        answer: &impl prost::Message,
    ) -> Result<(), StoreError> {
        let Accepted { user, session, attempts, is_counted_by_name, network, device, limits, spends, fact } = accepted;
        let row = self.fact_row(attempt.fact(&session.sub.to_string(), &user.key, fact)).await?;
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
            limits: limits.clone(),
            spends,
            session: session.clone(),
            device,
            row,
        };
        let store = self.clone();
        let written = self.to_its_end(News::Events, async move {
            let written = match &answer {
                None => store.accept(&acceptance).await,
                Some(answer) => store.accept_and_answer(&acceptance, answer).await,
            };
            match written {
                // The answer was lost on the way: the session tells whether the statement was executed.
                Err(error) if error.is_connection_lost() => {
                    let began = || store.session_began(&acceptance.pool, &acceptance.session);
                    store.unless_done(patience, error, began).await?;
                }
                Err(StoreError::Spent) => return Err(store.spent_before(&acceptance).await?),
                written => written?,
            }
            command.iter().for_each(NamedCommand::committed);
            Ok(())
        });
        written.await.map_err(|error| error.with_wait(limits.iter().flatten()))
    }

    /// Which of the things that can be given once was given before.
    async fn spent_before(&self, acceptance: &Acceptance) -> Result<StoreError, StoreError> {
        Ok(match acceptance.spends {
            [Some(challenge), Some(_)] if !self.is_nonce_spent(&acceptance.pool, challenge.id).await? => {
                StoreError::CodeUsed
            }
            _ => StoreError::Spent,
        })
    }

    async fn accept(&self, acceptance: &Acceptance) -> Result<(), StoreError> {
        let mut lent = self.connections.lend().await?;
        let accepted = acceptance.write(lent.connection()).await;
        lent.settled(accepted)
    }

    /// The answer is written first, so that the second of two commands with the same key waits there.
    async fn accept_and_answer(&self, acceptance: &Acceptance, answer: &AnswerRow) -> Result<(), StoreError> {
        let mut lent = self.connections.lend().await?;
        let accepted = accept_and_answer(&mut lent, acceptance, answer).await;
        lent.settled(accepted)
    }

    /// Whether a session exists. Its transaction may still be running: inserting a row with the same key, which is
    /// rolled back, waits for it.
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
        let row = self.fact_row(attempt.fact(&owner.to_string(), key, fact)).await?;
        let heard = Heard {
            pool: attempt.pool_id.clone(),
            owner,
            version: refused.before.map_or(0, |before| before.version),
            source: counted(&attempt),
            at: to_database(attempt.at),
            limited: attempt.limited.cloned(),
            spends: attempt.spends,
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

    /// Asserts that a user was not locked when their right password was checked, where the sign-in continues without a
    /// session.
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
            spends: attempt.spends,
            patience: attempt.origin.patience,
        };
        self.hear(heard, None).await
    }

    async fn hear(&self, heard: Heard, fact: Option<ActivityRow>) -> Result<(), StoreError> {
        let (store, limited) = (self.clone(), heard.limited.clone());
        let written = self.to_its_end(News::Events, async move {
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
            spend(limit(query, heard.limited.as_ref()), heard.spends).execute(&store.database).await?;
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
        let written = self.to_its_end(News::Events, async move {
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
            let query = spend(limit(query, heard.limited.as_ref()), heard.spends);
            let counted = query.execute(lent.connection()).await;
            match (lent.settled(counted.map(drop).map_err(StoreError::from)), fact) {
                // Without a fact the outcome can't be found out, so the caller is told that it is unknown.
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

//! The one read that every operation about a user makes.
//!
//! It finds the user by name, by `sub` or by session, and returns the current versions of pool and client with their rows
//! where these differ from what is cached: so nothing that is cached can be stale, on any replica.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::auth::lockout::Attempts;
use crate::domain::decision::Aggregate;
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::ids::{ClientId, GroupId, StreamId, Sub, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::rate::{Arrival, Limited};
use crate::domain::source::{Source, Tally};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user::codes::SentCode;
use crate::domain::user_pool::UserPool;
use crate::proto::events::CodePurpose;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::{LoadedGroup, LoadedUser};
use crate::store::error::StoreError;
use crate::store::keys::{KeyKind, PoolKeys, WrappedKey};
use crate::store::seal::DataKey;
use crate::store::{Store, from_database, history};

/// What to find beside pool and client.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// The user of this name or alias, in the form that is compared.
    pub name: Option<&'a str>,
    /// The user of this id.
    pub sub: Option<Sub>,
    /// The session of this id, and its user.
    pub session: Option<Uuid>,
    /// Wrong passwords so far.
    pub failures: Option<Failures>,
    /// Whether the user has signed in lately from the network with this keyed hash.
    pub network: Option<&'a [u8]>,
    /// The user's code for this purpose.
    pub code: Option<CodePurpose>,
    /// Who stands for the name: what is counted is its where there is no such user.
    pub nobody: Option<Sub>,
    /// Who stands for the name as this network calls it: what is told to callers who may not learn who exists is its, whoever
    /// has the name.
    pub told: Option<Sub>,
    /// How often something limited happened lately.
    pub rate: Option<&'a Limited>,
    /// Which of these names are taken.
    pub taken: &'a [String],
    /// The group of this name.
    pub group: Option<&'a str>,
    /// The groups that the user is in.
    pub groups: bool,
}

/// A session: one sign-in and its refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id: the `event_id` of its tokens.
    pub event_id: Uuid,
    /// Whose.
    pub sub: Sub,
    /// Through which client.
    pub client_id: ClientId,
    /// The user's generation when it began.
    pub token_generation: i64,
    /// When it began.
    pub auth_time: Timestamp,
    /// When its refresh token ends.
    pub expires_at: Timestamp,
    /// Which of its refresh tokens counts.
    pub refresh_counter: i32,
    /// Since when the one before does not.
    pub replaced_at: Option<Timestamp>,
}

/// Which wrong passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// At a sign-in; from familiar networks apart from those of strangers.
    SignIn,
    /// The password before, at a change of the password.
    PreviousPassword,
}

impl Failures {
    /// Under which name those from a source are counted.
    pub fn counted(self, source: Source) -> &'static str {
        match self {
            Self::SignIn => source.name(),
            Self::PreviousPassword => "previous_password",
        }
    }
}

/// Attempts with the version that a change of them asserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionedAttempts {
    /// The attempts.
    pub attempts: Attempts,
    /// The row's version.
    pub version: i64,
}

/// What a read found, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The pool.
    pub pool: Arc<PoolView>,
    /// The client that was asked for.
    pub client: Option<Arc<ClientView>>,
    /// The user.
    pub user: Option<LoadedUser>,
    /// The session.
    pub session: Option<Session>,
    /// When the user last signed in from the caller's network, if lately.
    pub familiar_since: Option<Timestamp>,
    /// Whether the user has signed in lately from anywhere, where that was asked.
    pub is_known: bool,
    /// Wrong passwords that came from such a source.
    pub attempts: Option<VersionedAttempts>,
    /// Those at the name, whoever has it.
    pub attempts_by_name: Option<Attempts>,
    /// The code.
    pub code: Option<SentCode>,
    /// What is kept of codes that were asked for by the name, whoever has it.
    pub code_by_name: Option<SentCode>,
    /// What is remembered of the rate.
    pub arrival: Option<Arrival>,
    /// The names that are taken.
    pub taken: Vec<String>,
    /// The group that was asked for.
    pub group: Option<LoadedGroup>,
    /// The groups that the user is in, if they were asked for.
    pub groups: Vec<Group>,
}

impl Snapshot {
    /// Whether the user is known to be where the call comes from.
    pub fn source(&self) -> Source {
        if self.familiar_since.is_some() { Source::Familiar } else { Source::Strange }
    }
}

/// What a read selects and joins for one of the things that can be wanted.
struct Part {
    columns: &'static str,
    joins: &'static str,
}

const POOL: &str = "p.version as pool_version,
       case when p.version is distinct from $2 or p.revision <> $3 then p.state end as pool_state,
       p.revision as pool_revision";
const CLIENT: Part = Part {
    columns: "c.version as client_version,
       case when c.version is distinct from $5 or c.revision <> $6 then c.state end as client_state,
       c.revision as client_revision",
    joins: "left join clients c on c.user_pool_id = p.user_pool_id and c.client_id = $4",
};
const SESSION: Part = Part {
    columns: "s.event_id as session_id, s.sub as session_sub, s.client_id as session_client,
       s.token_generation as session_generation, s.auth_time as session_auth_time, s.expires_at as session_expires_at,
       s.refresh_counter as session_refresh_counter, s.replaced_at as session_replaced_at",
    joins: "left join sessions s on s.user_pool_id = p.user_pool_id and s.event_id = $9",
};
const NAME: &str = "left join names n on n.user_pool_id = p.user_pool_id and n.name = $7";
const USER: Part = Part {
    columns: "u.sub as user_sub, u.version as user_version, u.revision as user_revision, u.state as user_state,
       k.key_id as key_id, k.wrapped as key_wrapped",
    joins: "left join keys k on k.user_pool_id = p.user_pool_id and k.kind = 'user' and k.owner = u.sub::text",
};
const NETWORK: Part = Part {
    columns: "w.last_at as familiar_since,
       exists (select from familiar_networks f where f.user_pool_id = u.user_pool_id and f.sub = u.sub) as is_known",
    joins: "left join familiar_networks w on w.user_pool_id = p.user_pool_id and w.sub = u.sub and w.network = $10",
};
const ATTEMPTS: Part = Part {
    columns: "a.failures as failures, a.last_at as last_at, a.locked_until as locked_until, a.version as attempts_version",
    joins: "left join sign_in_failures a on a.user_pool_id = p.user_pool_id and a.sub = coalesce(u.sub, $13)
    and a.source = coalesce($15, case when w.network is null then 'strange' else 'familiar' end)",
};
const ATTEMPTS_BY_NAME: Part = Part {
    columns: "an.failures as named_failures, an.last_at as named_last_at, an.locked_until as named_locked_until,
       an.version as named_attempts_version",
    joins: "left join sign_in_failures an on an.user_pool_id = p.user_pool_id and an.sub = $18
    and an.source = 'by_name'",
};
const CODE: Part = Part {
    columns: "o.hash as code_hash, o.attribute as code_attribute, o.asked_from as code_asked_from, o.attempts as code_attempts,
       o.strange_attempts as code_strange_attempts, o.expires_at as code_expires_at, o.sent as code_sent,
       o.strange_sent as code_strange_sent, o.window_began as code_window_began",
    joins: "left join codes o on o.user_pool_id = p.user_pool_id and o.sub = coalesce(u.sub, $13) and o.purpose = $11",
};
const CODE_BY_NAME: Part = Part {
    columns: "cn.hash as named_hash, cn.attribute as named_attribute, cn.asked_from as named_asked_from, cn.attempts as named_attempts,
       cn.strange_attempts as named_strange_attempts, cn.expires_at as named_expires_at, cn.sent as named_sent,
       cn.strange_sent as named_strange_sent, cn.window_began as named_window_began",
    joins: "left join codes cn on cn.user_pool_id = p.user_pool_id and cn.sub = $18 and cn.purpose = $11 || '_BY_NAME'",
};
const RATE: Part = Part {
    columns: "r.arrival as arrival",
    joins: "left join rates r on r.user_pool_id = p.user_pool_id and r.kind = $16 and r.key = $17",
};
const TAKEN: Part = Part {
    columns: "array(select t.name from names t where t.user_pool_id = p.user_pool_id and t.name = any($12)) as taken",
    joins: "",
};
const GROUP: Part = Part {
    columns: "g.group_id as group_id, g.version as group_version, g.revision as group_revision, g.state as group_state",
    joins: "left join group_names gn on gn.user_pool_id = p.user_pool_id and gn.name = $14
left join groups g on g.user_pool_id = p.user_pool_id and g.group_id = gn.group_id",
};
const GROUPS: Part = Part {
    columns: "array(select jsonb_build_array(i.group_id, i.revision, i.state) from memberships m
             join groups i on i.user_pool_id = m.user_pool_id and i.group_id = m.group_id
             where m.user_pool_id = u.user_pool_id and m.sub = u.sub) as groups",
    joins: "",
};

/// Which tables a read joins: those of what is wanted, because each costs, also where nothing is looked for in it.
#[derive(Clone, Copy)]
struct Shape {
    client: bool,
    session: bool,
    name: bool,
    /// By whatever means the user is found.
    user: bool,
    /// Where the caller is, as far as the user knows.
    network: bool,
    attempts: bool,
    code: bool,
    /// What is counted by the name beside what is counted for the user.
    by_name: bool,
    rate: bool,
    taken: bool,
    group: bool,
    groups: bool,
}

/// So many things can be wanted.
const BITS: usize = 12;

impl Shape {
    fn of(client: Option<&ClientId>, wanted: &Wanted<'_>) -> Self {
        let (session, name) = (wanted.session.is_some(), wanted.name.is_some());
        let (code, attempts) = (wanted.code.is_some(), wanted.failures.is_some());
        let network = wanted.network.is_some() || attempts;
        Self {
            client: client.is_some(),
            session,
            name,
            user: session || name || wanted.sub.is_some() || code || network || wanted.groups,
            network,
            attempts,
            code,
            by_name: wanted.told.is_some() && (code || attempts),
            rate: wanted.rate.is_some(),
            taken: !wanted.taken.is_empty(),
            group: wanted.group.is_some(),
            groups: wanted.groups,
        }
    }

    /// One statement, so that everything is of one moment. A shape has always the same text, so that each connection
    /// prepares it once, and all shapes have the same parameters.
    fn statement(self) -> &'static str {
        static STATEMENTS: [OnceLock<String>; 1 << BITS] = [const { OnceLock::new() }; 1 << BITS];
        let index = self.bits().into_iter().fold(0, |index, bit| index << 1 | usize::from(bit));
        STATEMENTS[index].get_or_init(|| self.text())
    }

    fn bits(self) -> [bool; BITS] {
        let Self { client, session, name, user, network, attempts, code, by_name, rate, taken, group, groups } = self;
        [client, session, name, user, network, attempts, code, by_name, rate, taken, group, groups]
    }

    fn text(self) -> String {
        let user = match (self.session, self.name) {
            (false, false) => "$8",
            (true, false) => "coalesce($8, s.sub)",
            (false, true) => "coalesce($8, n.sub)",
            (true, true) => "coalesce($8, s.sub, n.sub)",
        };
        let user = format!("left join users u on u.user_pool_id = p.user_pool_id and u.sub = {user}");
        let parts = [
            (self.client, CLIENT.columns, CLIENT.joins),
            (self.session, SESSION.columns, SESSION.joins),
            (self.name, "", NAME),
            (self.user, USER.columns, &user),
            (self.user, "", USER.joins),
            (self.network, NETWORK.columns, NETWORK.joins),
            (self.attempts, ATTEMPTS.columns, ATTEMPTS.joins),
            (self.attempts && self.by_name, ATTEMPTS_BY_NAME.columns, ATTEMPTS_BY_NAME.joins),
            (self.code, CODE.columns, CODE.joins),
            (self.code && self.by_name, CODE_BY_NAME.columns, CODE_BY_NAME.joins),
            (self.rate, RATE.columns, RATE.joins),
            (self.taken, TAKEN.columns, TAKEN.joins),
            (self.group, GROUP.columns, GROUP.joins),
            (self.groups, GROUPS.columns, GROUPS.joins),
        ];
        let wanted = || parts.iter().filter(|(is_wanted, ..)| *is_wanted);
        let columns = wanted().map(|(_, columns, _)| *columns).filter(|columns| !columns.is_empty());
        let columns: Vec<_> = std::iter::once(POOL).chain(columns).collect();
        let joins: String = wanted().map(|(.., joins)| format!("{joins}\n")).collect();
        format!("select {}\nfrom pools p\n{joins}where p.user_pool_id = $1", columns.join(",\n       "))
    }
}

impl Store {
    /// The pool of a client: from memory, or by the directory the first time.
    pub async fn pool_of_client(&self, client: &ClientId) -> Result<UserPoolId, Error> {
        if let Some(pool) = self.cache.directory.get(client) {
            return Ok(pool);
        }
        let found: Option<String> =
            sqlx::query_scalar("select user_pool_id from client_directory where client_id = $1")
                .bind(client.as_str())
                .fetch_optional(&self.database)
                .await
                .map_err(StoreError::from)?;
        let pool = UserPoolId::new(found.ok_or_else(|| Error::no_such_client(client))?);
        self.cache.directory.insert(client.clone(), pool.clone());
        Ok(pool)
    }

    /// What is cached of a pool, loaded if nothing is. Only for what never changes of a pool: its keys and its name rules.
    pub async fn pool_hint(&self, id: &UserPoolId) -> Result<Arc<PoolView>, Error> {
        match self.cache.pools.get(id) {
            Some(pool) => Ok(pool),
            None => Ok(self.read(id, None, Wanted::default()).await?.pool),
        }
    }

    /// Reads what is wanted of a pool, at one moment. Fails if there is no such pool, or no such client in it.
    pub async fn read(
        &self,
        pool_id: &UserPoolId,
        client_id: Option<&ClientId>,
        wanted: Wanted<'_>,
    ) -> Result<Snapshot, Error> {
        let cached_pool = self.cache.pools.get(pool_id);
        let cached_client = client_id.and_then(|id| self.cache.clients.get(id));
        let shape = Shape::of(client_id, &wanted);
        let query = || {
            sqlx::query(shape.statement())
                .bind(pool_id.as_str())
                .bind(cached_pool.as_ref().map(|pool| pool.version))
                .bind(UserPool::REVISION)
                .bind(client_id.map(ClientId::as_str))
                .bind(cached_client.as_ref().map(|client| client.version))
                .bind(AppClient::REVISION)
                .bind(wanted.name)
                .bind(wanted.sub.map(|sub| sub.0))
                .bind(wanted.session)
                .bind(wanted.network)
                .bind(wanted.code.map(|purpose| purpose.as_str_name()))
                .bind(wanted.taken)
                .bind(wanted.nobody.map(|sub| sub.0))
                .bind(wanted.group)
                .bind(wanted.failures.filter(|it| *it != Failures::SignIn).map(|it| it.counted(Source::Familiar)))
                .bind(wanted.rate.map(|limited| limited.kind.name()))
                .bind(wanted.rate.map(|limited| &*limited.key))
                .bind(wanted.told.map(|sub| sub.0))
        };
        let row = self.connections.fetch_optional(query).await?;
        let row = row.ok_or_else(|| Error::no_such_pool(pool_id))?;
        let pool = self.pool_view(pool_id, cached_pool, &row).await?;
        let client = match client_id {
            Some(id) => Some(self.client_view(&pool, id, cached_client, &row).await?),
            None => None,
        };
        Ok(Snapshot {
            user: if shape.user { self.loaded_user(&pool, &row).await? } else { None },
            client,
            session: if shape.session { session(&row)? } else { None },
            familiar_since: if shape.network { time(&row, "familiar_since")? } else { None },
            is_known: shape.network && row.try_get("is_known").map_err(StoreError::from)?,
            attempts: if shape.attempts { attempts(&row, &ATTEMPTS_COLUMNS)? } else { None },
            attempts_by_name: if shape.attempts && shape.by_name {
                attempts(&row, &ATTEMPTS_BY_NAME_COLUMNS)?.map(|versioned| versioned.attempts)
            } else {
                None
            },
            code: if shape.code { code(&row, "code")? } else { None },
            code_by_name: if shape.code && shape.by_name { code(&row, "named")? } else { None },
            arrival: if shape.rate { time(&row, "arrival")? } else { None },
            taken: if shape.taken { row.try_get("taken").map_err(StoreError::from)? } else { Vec::new() },
            group: if shape.group { self.loaded_group(pool_id, &row).await? } else { None },
            groups: if shape.groups { self.groups_of_user(pool_id, &row).await? } else { Vec::new() },
            pool,
        })
    }

    async fn pool_view(
        &self,
        id: &UserPoolId,
        cached: Option<Arc<PoolView>>,
        row: &PgRow,
    ) -> Result<Arc<PoolView>, Error> {
        let state: Option<Json<&RawValue>> = row.try_get("pool_state").map_err(StoreError::from)?;
        let (state, cached) = match (state, cached) {
            (None, Some(cached)) => return Ok(cached),
            (state, cached) => (state.map_or(RawValue::NULL, |Json(state)| state), cached),
        };
        let version = row.try_get("pool_version").map_err(StoreError::from)?;
        let revision: i32 = row.try_get("pool_revision").map_err(StoreError::from)?;
        let state = self.current::<UserPool>(id, &StreamId::pool(), revision, state, None, "pools").await?;
        let keys = match cached {
            Some(cached) => cached.keys.clone(),
            // A pool without keys is one that somebody deleted a moment ago.
            None => {
                let keys = self.pool_keys(&self.database, id).await?;
                Arc::new(keys.ok_or_else(|| Error::no_such_pool(id))?)
            }
        };
        let view = Arc::new(PoolView { id: id.clone(), version, name_rules: state.name_rules(), state, keys });
        self.cache.pools.insert(id.clone(), view.clone());
        Ok(view)
    }

    async fn client_view(
        &self,
        pool: &PoolView,
        id: &ClientId,
        cached: Option<Arc<ClientView>>,
        row: &PgRow,
    ) -> Result<Arc<ClientView>, Error> {
        let Some(version) = row.try_get::<Option<i64>, _>("client_version").map_err(StoreError::from)? else {
            self.cache.clients.invalidate(id);
            return Err(Error::no_such_client(id));
        };
        let state: Option<Json<&RawValue>> = row.try_get("client_state").map_err(StoreError::from)?;
        let state = match (state, cached) {
            (None, Some(cached)) => return Ok(cached),
            (state, _) => state.map_or(RawValue::NULL, |Json(state)| state),
        };
        let revision: i32 = row.try_get("client_revision").map_err(StoreError::from)?;
        let state =
            self.current::<AppClient>(&pool.id, &StreamId::client(id), revision, state, None, "clients").await?;
        let view = Arc::new(ClientView { version, state });
        self.cache.clients.insert(id.clone(), view.clone());
        Ok(view)
    }

    async fn loaded_user(&self, pool: &PoolView, row: &PgRow) -> Result<Option<LoadedUser>, StoreError> {
        let Some(sub) = row.try_get::<Option<Uuid>, _>("user_sub")? else { return Ok(None) };
        let wrapped = Sealed(row.try_get("key_wrapped")?);
        let key = pool.keys.unwrap_user_key(row.try_get("key_id")?, &wrapped)?;
        let (revision, Json(state)) = (row.try_get("user_revision")?, row.try_get("user_state")?);
        let stream = StreamId::user(Sub(sub));
        let state = self.current::<User>(&pool.id, &stream, revision, state, Some(&key), "users").await?;
        Ok(Some(LoadedUser { state, version: row.try_get("user_version")?, key }))
    }

    async fn loaded_group(&self, pool: &UserPoolId, row: &PgRow) -> Result<Option<LoadedGroup>, StoreError> {
        let Some(id) = row.try_get::<Option<Uuid>, _>("group_id")? else { return Ok(None) };
        let (revision, Json(state)) = (row.try_get("group_revision")?, row.try_get("group_state")?);
        let state = self.current_group(pool, GroupId(id), revision, state).await?;
        Ok(Some(LoadedGroup { state, version: row.try_get("group_version")? }))
    }

    async fn groups_of_user(&self, pool: &UserPoolId, row: &PgRow) -> Result<Vec<Group>, StoreError> {
        let mut groups = Vec::new();
        for Json((id, revision, state)) in row.try_get::<Vec<Json<(GroupId, i32, Box<RawValue>)>>, _>("groups")? {
            groups.push(self.current_group(pool, id, revision, &state).await?);
        }
        Ok(groups)
    }

    /// The state of a group's row.
    pub(super) async fn current_group(
        &self,
        pool: &UserPoolId,
        id: GroupId,
        revision: i32,
        state: &RawValue,
    ) -> Result<Group, StoreError> {
        self.current::<Group>(pool, &StreamId::group(id), revision, state, None, "groups").await
    }

    /// The state of a row; one that another revision of `apply` wrote is computed again from its stream.
    pub(super) async fn current<A: Aggregate + serde::de::DeserializeOwned>(
        &self,
        pool: &UserPoolId,
        stream: &StreamId,
        revision: i32,
        state: &RawValue,
        key: Option<&Arc<DataKey>>,
        table: &'static str,
    ) -> Result<A, StoreError> {
        if revision == A::REVISION {
            return serde_json::from_str(state.get()).map_err(|source| StoreError::Row { table, source });
        }
        let mut lent = self.database.lend().await?;
        let events = history::load(lent.connection(), pool, stream, key).await;
        let events = lent.settled(events)?;
        // A row without a living state in its stream is one that somebody deleted a moment ago.
        history::replay(stream, &events).0.ok_or(StoreError::Stale)
    }

    /// A pool's keys, as long as there is such a pool.
    pub(super) async fn pool_keys(
        &self,
        database: impl sqlx::PgExecutor<'_>,
        id: &UserPoolId,
    ) -> Result<Option<PoolKeys>, StoreError> {
        let rows: Vec<(Uuid, String, Vec<u8>)> =
            sqlx::query_as("select key_id, kind, wrapped from keys where user_pool_id = $1 and owner = ''")
                .bind(id.as_str())
                .fetch_all(database)
                .await?;
        let kinds = [KeyKind::Pool, KeyKind::Lookup, KeyKind::Audit, KeyKind::Token];
        let stored: Vec<_> = rows
            .into_iter()
            .filter_map(|(key_id, name, wrapped)| {
                let kind = kinds.into_iter().find(|kind| kind.name() == name)?;
                Some(WrappedKey { key_id, kind, owner: String::new(), wrapped: Sealed(wrapped) })
            })
            .collect();
        Ok(if stored.is_empty() { None } else { Some(PoolKeys::unwrap(id, &self.master, &stored)?) })
    }
}

fn session(row: &PgRow) -> Result<Option<Session>, StoreError> {
    let Some(event_id) = row.try_get::<Option<Uuid>, _>("session_id")? else { return Ok(None) };
    let time = |column| row.try_get::<OffsetDateTime, _>(column).map(from_database);
    Ok(Some(Session {
        event_id,
        sub: Sub(row.try_get("session_sub")?),
        client_id: ClientId::new(row.try_get::<String, _>("session_client")?),
        token_generation: row.try_get("session_generation")?,
        auth_time: time("session_auth_time")?,
        expires_at: time("session_expires_at")?,
        refresh_counter: row.try_get("session_refresh_counter")?,
        replaced_at: row.try_get::<Option<OffsetDateTime>, _>("session_replaced_at")?.map(from_database),
    }))
}

/// Failures, the last of them, the end of the lock, the version.
type AttemptsColumns = [&'static str; 4];
const ATTEMPTS_COLUMNS: AttemptsColumns = ["failures", "last_at", "locked_until", "attempts_version"];
const ATTEMPTS_BY_NAME_COLUMNS: AttemptsColumns =
    ["named_failures", "named_last_at", "named_locked_until", "named_attempts_version"];

fn attempts(row: &PgRow, columns: &AttemptsColumns) -> Result<Option<VersionedAttempts>, StoreError> {
    let [failures, last_at, locked_until, version] = *columns;
    let Some(version) = row.try_get::<Option<i64>, _>(version)? else { return Ok(None) };
    let attempts = Attempts {
        failures: row.try_get::<i32, _>(failures)?.unsigned_abs(),
        last_at: from_database(row.try_get(last_at)?),
        locked_until: time(row, locked_until)?,
    };
    Ok(Some(VersionedAttempts { attempts, version }))
}

fn time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<OffsetDateTime>, _>(column)?.map(from_database))
}

fn code(row: &PgRow, of: &str) -> Result<Option<SentCode>, StoreError> {
    let column = |name: &str| format!("{of}_{name}");
    let Some(hash) = row.try_get::<Option<Vec<u8>>, _>(&*column("hash"))? else { return Ok(None) };
    let tally = |familiar: &str, strange: &str| {
        let (familiar, strange) = (row.try_get(&*column(familiar))?, row.try_get(&*column(strange))?);
        Ok::<_, StoreError>(Tally { familiar, strange })
    };
    Ok(Some(SentCode {
        hash,
        attribute: row.try_get(&*column("attribute"))?,
        asked_from: row.try_get(&*column("asked_from"))?,
        attempts: tally("attempts", "strange_attempts")?,
        expires_at: from_database(row.try_get(&*column("expires_at"))?),
        sent: tally("sent", "strange_sent")?,
        window_began: from_database(row.try_get(&*column("window_began"))?),
    }))
}

impl Store {
    /// What is remembered of something that is limited.
    pub async fn arrival(&self, pool: &UserPoolId, limited: &Limited) -> Result<Option<Arrival>, StoreError> {
        let query = || {
            sqlx::query("select arrival from rates where user_pool_id = $1 and kind = $2 and key = $3")
                .bind(pool.as_str())
                .bind(limited.kind.name())
                .bind(&limited.key)
        };
        match self.connections.fetch_optional(query).await? {
            Some(row) => time(&row, "arrival"),
            None => Ok(None),
        }
    }

    /// About how many users a pool has: from the planner's statistics, exact while they are few. Never counts a large pool.
    pub async fn estimated_users(&self, pool: &UserPoolId) -> Result<i32, StoreError> {
        const COUNTED: i64 = 1_000;
        let few: i64 =
            sqlx::query_scalar("select count(*) from (select 1 from users where user_pool_id = $1 limit $2) as few")
                .bind(pool.as_str())
                .bind(COUNTED)
                .fetch_one(&self.database)
                .await?;
        if few < COUNTED {
            return Ok(i32::try_from(few).unwrap_or(i32::MAX));
        }
        let plan: serde_json::Value =
            sqlx::query_scalar("explain (format json) select 1 from users where user_pool_id = $1")
                .bind(pool.as_str())
                .fetch_one(&self.database)
                .await?;
        let rows = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_i64).unwrap_or(few);
        Ok(i32::try_from(rows.max(few)).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::rate::{Rate, RateKind};

    fn statement(client: Option<&ClientId>, wanted: &Wanted<'_>) -> &'static str {
        Shape::of(client, wanted).statement()
    }

    #[test]
    fn a_read_joins_what_is_wanted_and_nothing_else() {
        let (id, name) = (ClientId::new("client"), "name".to_owned());
        let by_token = Wanted { session: Some(Uuid::nil()), sub: Some(Sub(Uuid::nil())), ..Wanted::default() };
        let by_token = statement(Some(&id), &by_token);
        for joined in ["clients c", "sessions s", "users u", "keys k", "coalesce($8, s.sub)"] {
            assert!(by_token.contains(joined), "{joined}: {by_token}");
        }
        for absent in ["names", "failures", "codes", "groups", "memberships", "networks", "rates"] {
            assert!(!by_token.contains(absent), "{absent}: {by_token}");
        }
        let taken = Wanted { taken: std::slice::from_ref(&name), ..Wanted::default() };
        let sign_up = statement(Some(&id), &taken);
        assert!(sign_up.contains("names t") && !sign_up.contains("users u"), "{sign_up}");
        let group = statement(None, &Wanted { group: Some("readers"), ..Wanted::default() });
        assert!(group.contains("group_names gn") && !group.contains("memberships"), "{group}");
        let groups = statement(None, &Wanted { groups: true, ..Wanted::default() });
        assert!(groups.contains("memberships m") && groups.contains("users u"), "{groups}");
        let pool = statement(None, &Wanted::default());
        assert!(!pool.contains("join"), "{pool}");
    }

    #[test]
    fn each_shape_has_a_statement_of_its_own_that_stays() {
        let (id, taken) = (ClientId::new("client"), ["name".to_owned()]);
        let limited = Limited { kind: RateKind::GuessesByCaller, key: vec![0], rate: Rate::an_hour(1).unwrap() };
        let (mut texts, mut shapes) = (BTreeSet::new(), BTreeSet::new());
        for bits in 0..1 << 11 {
            let is = |bit: u32| bits & 1 << bit != 0;
            let wanted = Wanted {
                name: is(0).then_some("name"),
                session: is(1).then_some(Uuid::nil()),
                failures: is(2).then_some(Failures::SignIn),
                told: is(8).then_some(Sub(Uuid::nil())),
                network: is(9).then_some(&[0][..]),
                rate: is(10).then_some(&limited),
                code: is(3).then_some(CodePurpose::SignUp),
                taken: if is(4) { &taken } else { &[] },
                group: is(5).then_some("readers"),
                groups: is(6),
                ..Wanted::default()
            };
            let client = is(7).then_some(&id);
            let shape = Shape::of(client, &wanted);
            assert_eq!(shape.statement(), shape.text());
            assert!(std::ptr::eq(shape.statement(), statement(client, &wanted)));
            texts.insert(shape.statement());
            shapes.insert(shape.bits());
        }
        assert_eq!(texts.len(), shapes.len());
    }
}

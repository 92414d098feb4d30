//! The one read that every operation about a user makes.
//!
//! It finds the user by name, by `sub` or by session. It returns the current versions of pool and client, with their
//! rows if these differ from the cached ones; so cached rows are never stale, on any replica.

pub(in crate::store) mod parts;

use std::sync::Arc;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::auth::session::Session;
use crate::domain::decision::Aggregate;
use crate::domain::device::Device;
use crate::domain::group::Group;
use crate::domain::ids::{ClientId, DeviceId, GroupId, StreamId, Sub, UserPoolId};
use crate::domain::lockout::Attempts;
use crate::domain::personal::Sealed;
use crate::domain::rate::{Arrival, Limited};
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user::codes::SentCode;
use crate::domain::user_pool::UserPool;
use crate::proto::events::CodePurpose;
use crate::store::cache::{ClientView, PoolView};
use crate::store::error::{NotFound, StoreError};
use crate::store::keys::{KeyKind, PoolKeys, WrappedKey};
use crate::store::loaded::{LoadedDevice, LoadedGroup, LoadedUser, UsedDevice};
use crate::store::read::parts::{Asked, DeviceRow, Shape, UserRow, Versioned, time};
use crate::store::seal::DataKey;
use crate::store::{Store, history, streams};

/// What a read looks for, beside pool and client.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// The user with this name or alias, in the form that is compared.
    pub name: Option<&'a str>,
    /// The user with this id.
    pub sub: Option<Sub>,
    /// The session with this id, and its user.
    pub session: Option<Uuid>,
    /// The wrong passwords of this kind so far.
    pub failures: Option<Failures>,
    /// Whether the user has signed in lately from this network, given by its keyed hash.
    pub network: Option<&'a [u8]>,
    /// The user's code for this purpose.
    pub code: Option<CodePurpose>,
    /// The stand-in for the name: guesses are counted under it if no user has the name.
    pub nobody: Option<Sub>,
    /// The stand-in for the name as seen from the caller's network: where users are hidden, answers follow from the
    /// guesses under it, whether or not a user has the name.
    pub told: Option<Sub>,
    /// The state of this limit.
    pub rate: Option<&'a Limited>,
    /// Which of these names are taken.
    pub taken: &'a [String],
    /// The group with this name.
    pub group: Option<&'a str>,
    /// The device with this id, whoever it belongs to.
    pub device: Option<DeviceId>,
    /// Whether to read the user's groups.
    pub groups: bool,
}

/// The kind of wrong passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// At a sign-in, counted separately for familiar and strange networks.
    SignIn,
    /// The previous password, at a change of the password.
    PreviousPassword,
}

impl Failures {
    /// The value of the column `source` for guesses from this source.
    pub fn counted(self, source: Source) -> &'static str {
        match self {
            Self::SignIn => source.name(),
            Self::PreviousPassword => "previous_password",
        }
    }
}

/// The attempts, with the version that a change of them asserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionedAttempts {
    /// The wrong passwords in the row.
    pub attempts: Attempts,
    /// The version of the row.
    pub version: i64,
}

/// The result of a read, all of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The pool, always current.
    pub pool: Arc<PoolView>,
    /// The client, if one was named.
    pub client: Option<Arc<ClientView>>,
    /// The user, if one was found.
    pub user: Option<LoadedUser>,
    /// The session, if it was wanted and exists.
    pub session: Option<Session>,
    /// When the user last signed in from the caller's network, if that was lately.
    pub familiar_since: Option<Timestamp>,
    /// Whether the user has signed in lately from any network, if that was wanted.
    pub is_known: bool,
    /// The wrong passwords from the caller's kind of source.
    pub attempts: Option<VersionedAttempts>,
    /// The wrong passwords at the name, whether or not a user has it.
    pub attempts_by_name: Option<Attempts>,
    /// The wanted code of the user, or of the name's stand-in.
    pub code: Option<SentCode>,
    /// The code that is stored for the name, whether or not a user has it.
    pub code_by_name: Option<SentCode>,
    /// The state of the wanted limit.
    pub arrival: Option<Arrival>,
    /// Which of the asked names are taken.
    pub taken: Vec<String>,
    /// The group with the wanted name.
    pub group: Option<LoadedGroup>,
    /// The wanted device, whoever it belongs to.
    pub device: Option<UsedDevice>,
    /// The user's groups, if they were wanted.
    pub groups: Vec<Group>,
}

impl Snapshot {
    /// Whether the call comes from a network where the user is known.
    pub fn source(&self) -> Source {
        if self.familiar_since.is_some() { Source::Familiar } else { Source::Strange }
    }
}

impl Store {
    /// The pool of a client: cached, or from the directory the first time.
    pub async fn pool_of_client(&self, client: &ClientId) -> Result<UserPoolId, StoreError> {
        if let Some(pool) = self.cache.directory.get(client) {
            return Ok(pool);
        }
        let found: Option<String> =
            sqlx::query_scalar("select user_pool_id from client_directory where client_id = $1")
                .bind(client.as_str())
                .fetch_optional(&self.database)
                .await?;
        let pool = UserPoolId::new(found.ok_or_else(|| NotFound::Client(client.clone()))?);
        self.cache.directory.insert(client.clone(), pool.clone());
        Ok(pool)
    }

    /// The cached pool, loaded if needed. Only for values that never change: its keys and its rules for names.
    pub async fn pool_hint(&self, id: &UserPoolId) -> Result<Arc<PoolView>, StoreError> {
        match self.cache.pools.get(id) {
            Some(pool) => Ok(pool),
            None => Ok(self.read(id, None, Wanted::default()).await?.pool),
        }
    }

    /// Reads what is wanted of a pool, all at one moment. Fails if the pool, or the client in it, does not exist.
    pub async fn read(
        &self,
        pool_id: &UserPoolId,
        client_id: Option<&ClientId>,
        wanted: Wanted<'_>,
    ) -> Result<Snapshot, StoreError> {
        let cached_pool = self.cache.pools.get(pool_id);
        let cached_client = client_id.and_then(|id| self.cache.clients.get(id));
        let asked = Asked {
            pool_id,
            pool_version: cached_pool.as_ref().map(|pool| pool.version),
            client_id,
            client_version: cached_client.as_ref().map(|client| client.version),
            wanted,
        };
        let shape = Shape::of(&asked);
        let row = self.connections.fetch_optional(|| shape.statement(&asked)).await?;
        let row = row.ok_or_else(|| NotFound::Pool(pool_id.clone()))?;
        let found = shape.decode(&row)?;
        let pool = self.pool_view(pool_id, cached_pool, found.pool).await?;
        let client = match client_id {
            Some(id) => Some(self.client_view(&pool, id, cached_client, found.client).await?),
            None => None,
        };
        let user = match found.user {
            Some(row) => Some(self.loaded_user(&pool, row).await?),
            None => None,
        };
        let group = match found.group {
            Some((id, row)) => Some(self.loaded_group(pool_id, id, row).await?),
            None => None,
        };
        let device = match found.device {
            Some(DeviceRow { id, row, last_use, awaited }) => {
                let device = self.loaded_device(pool_id, id, row).await?;
                Some(UsedDevice { device, last_use, awaited })
            }
            None => None,
        };
        let mut groups = Vec::with_capacity(found.groups.len());
        for (id, revision, state) in &found.groups {
            groups.push(self.current_group(pool_id, *id, *revision, state).await?);
        }
        Ok(Snapshot {
            pool,
            client,
            user,
            session: found.session,
            familiar_since: found.familiar_since,
            is_known: found.is_known,
            attempts: found.attempts,
            attempts_by_name: found.attempts_by_name,
            code: found.code,
            code_by_name: found.code_by_name,
            arrival: found.arrival,
            taken: found.taken,
            group,
            device,
            groups,
        })
    }

    async fn pool_view(
        &self,
        id: &UserPoolId,
        cached: Option<Arc<PoolView>>,
        row: Versioned<'_>,
    ) -> Result<Arc<PoolView>, StoreError> {
        let (state, cached) = match (row.state, cached) {
            (None, Some(cached)) => return Ok(cached),
            (state, cached) => (state.unwrap_or(RawValue::NULL), cached),
        };
        let state = self.current::<UserPool>(id, &StreamId::pool(), row.revision, state, None, "pools").await?;
        let keys = match cached {
            Some(cached) => cached.keys.clone(),
            // A pool without keys was deleted a moment ago.
            None => {
                let keys = self.pool_keys(&self.database, id).await?;
                Arc::new(keys.ok_or_else(|| NotFound::Pool(id.clone()))?)
            }
        };
        let name_rules = state.name_rules();
        let view = Arc::new(PoolView { id: id.clone(), version: row.version, name_rules, state, keys });
        self.cache.pools.insert(id.clone(), view.clone());
        Ok(view)
    }

    async fn client_view(
        &self,
        pool: &PoolView,
        id: &ClientId,
        cached: Option<Arc<ClientView>>,
        row: Option<Versioned<'_>>,
    ) -> Result<Arc<ClientView>, StoreError> {
        let Some(row) = row else {
            self.cache.clients.invalidate(id);
            return Err(NotFound::Client(id.clone()).into());
        };
        let state = match (row.state, cached) {
            (None, Some(cached)) => return Ok(cached),
            (state, _) => state.unwrap_or(RawValue::NULL),
        };
        let stream = StreamId::client(id);
        let state = self.current::<AppClient>(&pool.id, &stream, row.revision, state, None, "clients").await?;
        let view = Arc::new(ClientView { version: row.version, state });
        self.cache.clients.insert(id.clone(), view.clone());
        Ok(view)
    }

    async fn loaded_user(&self, pool: &PoolView, user: UserRow<'_>) -> Result<LoadedUser, StoreError> {
        let key = pool.keys.unwrap_user_key(user.key_id, &Sealed(user.key))?;
        let (stream, row) = (StreamId::user(user.sub), user.row);
        let state = row.state.unwrap_or(RawValue::NULL);
        let state = self.current::<User>(&pool.id, &stream, row.revision, state, Some(&key), "users").await?;
        Ok(LoadedUser { state, version: row.version, key })
    }

    async fn loaded_group(
        &self,
        pool: &UserPoolId,
        id: GroupId,
        row: Versioned<'_>,
    ) -> Result<LoadedGroup, StoreError> {
        let state = self.current_group(pool, id, row.revision, row.state.unwrap_or(RawValue::NULL)).await?;
        Ok(LoadedGroup { state, version: row.version })
    }

    async fn loaded_device(
        &self,
        pool: &UserPoolId,
        id: DeviceId,
        row: Versioned<'_>,
    ) -> Result<LoadedDevice, StoreError> {
        let state = row.state.unwrap_or(RawValue::NULL);
        let state = self.current_device(pool, id, row.revision, state).await?;
        Ok(LoadedDevice { state, version: row.version })
    }

    /// The state in a device's row.
    pub(super) async fn current_device(
        &self,
        pool: &UserPoolId,
        id: DeviceId,
        revision: i32,
        state: &RawValue,
    ) -> Result<Device, StoreError> {
        self.current::<Device>(pool, &StreamId::device(id), revision, state, None, "devices").await
    }

    /// The state in a group's row.
    pub(super) async fn current_group(
        &self,
        pool: &UserPoolId,
        id: GroupId,
        revision: i32,
        state: &RawValue,
    ) -> Result<Group, StoreError> {
        self.current::<Group>(pool, &StreamId::group(id), revision, state, None, "groups").await
    }

    /// The state in a row. If another revision of `apply` wrote it, it is computed again from its stream.
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
        let events = streams::load(lent.connection(), pool, stream, key).await;
        let events = lent.settled(events)?;
        // A row whose stream yields no state was deleted a moment ago.
        history::replay(stream, &events).0.ok_or(StoreError::Stale)
    }

    /// The keys of a pool that exists.
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

impl Store {
    /// The stored state of a limit.
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

    /// The approximate number of users of a pool: from the planner's statistics, exact if there are few. Never counts a
    /// large pool.
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

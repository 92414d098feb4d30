//! What the log of a pool yields, stream by stream: `verify` compares it with the read models, `rebuild` fills them with it.
//!
//! Nothing here asks a read model, so that a broken one can't hide what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::decision::Aggregate;
use crate::domain::group::Group;
use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::user::User;
use crate::domain::user::search::SearchEntry;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::history::{self, Row};
use crate::store::keys::PoolKeys;
use crate::store::seal::{DataKey, Unsealable};

/// So many streams are in memory at once.
const PAGE: i64 = 200;

/// One pool, read from the log.
pub(super) struct PoolReplay {
    id: UserPoolId,
    /// Of a pool that lives: how names are compared, and the keys that open what is personal.
    living: Option<(NameRules, PoolKeys)>,
}

/// What a stream is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The pool itself.
    Pool,
    /// A client, by its id.
    Client(String),
    /// A group, by its id.
    Group(Uuid),
    /// A user, by its `sub`.
    User(Uuid),
    /// Nothing that this release knows.
    Unknown,
}

impl Subject {
    fn of(stream: &StreamId) -> Self {
        match stream.as_str().split_once('/') {
            None if *stream == StreamId::pool() => Self::Pool,
            Some(("clients", id)) => Self::Client(id.to_owned()),
            Some(("groups", id)) => id.parse().map_or(Self::Unknown, Self::Group),
            Some(("users", sub)) => sub.parse().map_or(Self::Unknown, Self::User),
            _ => Self::Unknown,
        }
    }
}

/// What one stream yields.
pub(super) struct Yield {
    pub stream: StreamId,
    pub subject: Subject,
    /// The version of its last event.
    pub version: i64,
    /// The revision of `apply` that it comes from.
    pub revision: i32,
    /// What its read model holds; nothing once it has ended.
    pub state: Option<Value>,
    /// What follows from its state besides.
    pub derived: Derived,
    /// How many events it has.
    pub events: usize,
    /// The first version that is missing.
    pub gap: Option<i64>,
}

/// What follows from a state besides its own row.
#[derive(Default)]
pub(super) struct Derived {
    /// The names that a user claims.
    pub names: BTreeSet<String>,
    /// The groups that a user is in.
    pub groups: BTreeSet<Uuid>,
    /// What a user is found by.
    pub search: Vec<(SearchEntry, Sub)>,
    /// The name that a group claims.
    pub group_name: Option<String>,
}

impl Derived {
    fn of_user(user: &User, rules: &NameRules) -> Self {
        Self {
            names: user.names(rules),
            groups: user.groups.iter().map(|group| group.0).collect(),
            search: search_rows(user, rules),
            group_name: None,
        }
    }
}

/// The rows by which a user is found.
pub(super) fn search_rows(user: &User, rules: &NameRules) -> Vec<(SearchEntry, Sub)> {
    user.search_entries(rules).into_iter().map(|entry| (entry, user.sub)).collect()
}

impl Store {
    /// A transaction that sees everything as it is now, however long it takes, and holds up neither writers nor the feed.
    #[expect(clippy::disallowed_methods, reason = "an operator's command, which ends with its process")]
    pub(super) async fn moment(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        let mut moment = self.database.pool().begin().await?;
        sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *moment).await?;
        Ok(moment)
    }
}

impl PoolReplay {
    /// Reads the pool's own stream.
    pub async fn read(store: &Store, connection: &mut PgConnection, id: &UserPoolId) -> Result<Self, StoreError> {
        let stream = StreamId::pool();
        let events = history::load(connection, id, &stream, None).await?;
        let living = match history::replay::<UserPool>(&stream, &events).0 {
            Some(pool) => Some((pool.name_rules(), store.pool_keys(connection, id).await?.ok_or(Unsealable)?)),
            None => None,
        };
        Ok(Self { id: id.clone(), living })
    }

    /// Whether the pool exists. One that does not has no rows in read models, claims and directories.
    pub fn lives(&self) -> bool {
        self.living.is_some()
    }

    /// How names of users are compared, in a pool that lives.
    pub fn name_rules(&self) -> NameRules {
        self.living.as_ref().map(|(rules, _)| rules.clone()).unwrap_or_default()
    }

    /// What the next streams after one yield; nothing after the last.
    pub async fn next(
        &self,
        connection: &mut PgConnection,
        after: Option<&StreamId>,
    ) -> Result<Vec<Yield>, StoreError> {
        let streams: Vec<String> = sqlx::query_scalar(
            "select distinct stream_id from log where user_pool_id = $1 and stream_id > coalesce($2, '')
             order by stream_id limit $3",
        )
        .bind(self.id.as_str())
        .bind(after.map(StreamId::as_str))
        .bind(PAGE)
        .fetch_all(&mut *connection)
        .await?;
        self.streams(connection, &streams).await
    }

    /// What these streams yield, in the order of the log's key.
    pub async fn streams(&self, connection: &mut PgConnection, streams: &[String]) -> Result<Vec<Yield>, StoreError> {
        let keys = self.user_keys(connection, streams).await?;
        let mut grouped: Vec<(StreamId, Vec<Row>)> = Vec::with_capacity(streams.len());
        for row in history::rows(connection, &self.id, streams).await? {
            match grouped.last_mut().filter(|(stream, _)| stream.as_str() == row.stream_id) {
                Some((_, rows)) => rows.push(row),
                None => grouped.push((StreamId::new(row.stream_id.clone()), vec![row])),
            }
        }
        grouped.into_iter().map(|(stream, rows)| self.yielded(stream, rows, &keys)).collect()
    }

    fn yielded(
        &self,
        stream: StreamId,
        rows: Vec<Row>,
        keys: &BTreeMap<String, Arc<DataKey>>,
    ) -> Result<Yield, StoreError> {
        let key = keys.get(stream.owner());
        match Subject::of(&stream) {
            Subject::Pool => self.replayed(stream, rows, None, |_: &UserPool| Derived::default()),
            Subject::Client(_) => self.replayed(stream, rows, None, |_: &AppClient| Derived::default()),
            Subject::Group(_) => self.replayed(stream, rows, None, |group: &Group| Derived {
                group_name: Some(group.name.clone()),
                ..Derived::default()
            }),
            Subject::User(_) => self.replayed(stream, rows, key, |user: &User| {
                self.living.as_ref().map_or_else(Derived::default, |(rules, _)| Derived::of_user(user, rules))
            }),
            Subject::Unknown => Ok(Yield {
                subject: Subject::Unknown,
                version: 0,
                revision: 0,
                state: None,
                derived: Derived::default(),
                events: rows.len(),
                gap: None,
                stream,
            }),
        }
    }

    fn replayed<A: Aggregate + serde::Serialize>(
        &self,
        stream: StreamId,
        rows: Vec<Row>,
        key: Option<&Arc<DataKey>>,
        derived: impl FnOnce(&A) -> Derived,
    ) -> Result<Yield, StoreError> {
        let events = history::events::<A::Event>(rows, &self.id, &stream, key)?;
        let gap = (1_i64..).zip(&events).find(|(expected, recorded)| recorded.version != *expected);
        let (state, version) = history::replay::<A>(&stream, &events);
        Ok(Yield {
            subject: Subject::of(&stream),
            version,
            revision: A::REVISION,
            derived: state.as_ref().map(derived).unwrap_or_default(),
            state: state.map(|state| serde_json::to_value(state)).transpose().map_err(StoreError::Unwritable)?,
            events: events.len(),
            gap: gap.map(|(expected, _)| expected),
            stream,
        })
    }

    /// The keys of the users among these streams. An erased user has none.
    async fn user_keys(
        &self,
        connection: &mut PgConnection,
        streams: &[String],
    ) -> Result<BTreeMap<String, Arc<DataKey>>, StoreError> {
        let Some((_, pool)) = &self.living else { return Ok(BTreeMap::new()) };
        let owners: Vec<&str> = streams.iter().filter_map(|stream| stream.strip_prefix("users/")).collect();
        let rows: Vec<(String, Uuid, Vec<u8>)> = sqlx::query_as(
            "select owner, key_id, wrapped from keys where user_pool_id = $1 and kind = 'user' and owner = any($2)",
        )
        .bind(self.id.as_str())
        .bind(owners)
        .fetch_all(connection)
        .await?;
        let unwrapped = rows.into_iter().map(|(owner, id, wrapped)| {
            let key = pool.unwrap_user_key(id, &Sealed(wrapped))?;
            Ok((owner, key))
        });
        unwrapped.collect()
    }
}

//! Replays the log of a pool, stream by stream: `verify` compares the results with the read models, `rebuild` fills
//! them.
//!
//! Nothing here reads a read model, so that a broken one can't hide its own errors.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::user::search::SearchEntry;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::error::StoreError;
use crate::store::history::{self, Row};
use crate::store::keys::PoolKeys;
use crate::store::models::Model;
use crate::store::models::replayed::{Replayed, StreamRows};
use crate::store::seal::{DataKey, Unsealable};
use crate::store::{Store, streams};

/// How many streams are held in memory at once.
const PAGE: i64 = 200;

/// A pool, read from its log.
pub(super) struct PoolReplay {
    id: UserPoolId,
    /// For a pool that exists: the rules for comparing names, and the keys that open personal values.
    living: Option<(NameRules, PoolKeys)>,
}

/// The result of one stream.
pub(super) struct Yield {
    pub stream: StreamId,
    /// The stream's kind of aggregate; `None` if this release does not know it.
    pub model: Option<&'static Model>,
    /// The result of replaying its events.
    pub replayed: Replayed,
}

impl Yield {
    /// The id of the stream's aggregate.
    pub fn id(&self) -> &str {
        self.stream.owner()
    }

    /// The search values with the aggregate's id.
    pub fn search_entries(&self) -> impl Iterator<Item = (SearchEntry, String)> {
        self.replayed.derived.search.iter().map(|entry| (entry.clone(), self.id().to_owned()))
    }
}

impl Store {
    /// A transaction that sees the database as of now, however long it takes, and that blocks neither writers nor the
    /// feed.
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
        let events = streams::load(connection, id, &stream, None).await?;
        let living = match history::replay::<UserPool>(&stream, &events).0 {
            Some(pool) => Some((pool.name_rules(), store.pool_keys(connection, id).await?.ok_or(Unsealable)?)),
            None => None,
        };
        Ok(Self { id: id.clone(), living })
    }

    /// Whether the pool exists. A deleted pool has no rows in read models, claims and directories.
    pub fn lives(&self) -> bool {
        self.living.is_some()
    }

    /// The rules for comparing user names, for a pool that exists; defaults otherwise.
    pub fn name_rules(&self) -> NameRules {
        self.living.as_ref().map(|(rules, _)| rules.clone()).unwrap_or_default()
    }

    /// The results of the next streams after one; empty after the last.
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

    /// The results of these streams, in the order of the log's key.
    pub async fn streams(&self, connection: &mut PgConnection, streams: &[String]) -> Result<Vec<Yield>, StoreError> {
        let keys = self.user_keys(connection, streams).await?;
        let mut grouped: Vec<(StreamId, Vec<Row>)> = Vec::with_capacity(streams.len());
        for row in streams::rows(connection, &self.id, streams).await? {
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
        let model = Model::of_stream(&stream);
        let replayed = match model {
            None => Replayed { events: rows.len(), ..Replayed::default() },
            Some(model) => {
                let key = keys.get(stream.owner()).filter(|_| model.has_key);
                let rules = self.living.as_ref().map(|(rules, _)| rules);
                (model.replay)(StreamRows { pool: &self.id, stream: &stream, rows, key, rules })?
            }
        };
        Ok(Yield { stream, model, replayed })
    }

    /// The keys of those of these streams that have one of their own. An erased user has none.
    async fn user_keys(
        &self,
        connection: &mut PgConnection,
        streams: &[String],
    ) -> Result<BTreeMap<String, Arc<DataKey>>, StoreError> {
        let Some((_, pool)) = &self.living else { return Ok(BTreeMap::new()) };
        let streams = streams.iter().map(StreamId::new);
        let owners = streams.filter(|stream| Model::of_stream(stream).is_some_and(|model| model.has_key));
        let owners: Vec<String> = owners.map(|stream| stream.owner().to_owned()).collect();
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

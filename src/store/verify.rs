//! Proof that the read models are what the log yields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::decision::Aggregate;
use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::user::User;
use crate::domain::user_pool::UserPool;
use crate::store::Store;
use crate::store::cache::PoolView;
use crate::store::error::StoreError;
use crate::store::history;
use crate::store::seal::DataKey;

/// What was compared, and what differs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many streams were replayed.
    pub streams: usize,
    /// How many events they hold.
    pub events: usize,
    /// Each difference in a sentence that names the row and no personal value.
    pub differences: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    version: i64,
    state: Json<Value>,
}

impl Store {
    /// Replays every stream of a pool, or of all pools, and compares what it yields with the tables. Each pool is read as it
    /// was at one moment, so commands may go on meanwhile.
    pub async fn verify(&self, only: Option<&UserPoolId>) -> Result<Report, StoreError> {
        let pools: Vec<String> = match only {
            Some(pool) => vec![pool.to_string()],
            None => {
                sqlx::query_scalar("select distinct user_pool_id from log order by 1").fetch_all(&self.database).await?
            }
        };
        let mut report = Report::default();
        for pool in pools {
            let pool = UserPoolId::new(pool);
            let hint = self.pool_hint(&pool).await.ok();
            let mut moment = self.database.begin().await?;
            sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *moment).await?;
            let mut verification = Verification { pool: &pool, hint, moment: &mut moment, report: &mut report };
            verification.run().await?;
            moment.rollback().await?;
        }
        Ok(report)
    }
}

/// One pool on its way through [`Store::verify`].
struct Verification<'a> {
    pool: &'a UserPoolId,
    hint: Option<Arc<PoolView>>,
    moment: &'a mut PgConnection,
    report: &'a mut Report,
}

impl Verification<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        let streams: Vec<String> =
            sqlx::query_scalar("select distinct stream_id from log where user_pool_id = $1 order by 1")
                .bind(self.pool.as_str())
                .fetch_all(&mut *self.moment)
                .await?;
        let (own, streams): (Vec<_>, Vec<_>) = streams.into_iter().partition(|stream| !stream.contains('/'));
        let mut deleted = false;
        for stream in own {
            self.report.streams += 1;
            deleted |= self.stream::<UserPool>(&StreamId::new(stream), None).await?.is_none();
        }
        if deleted {
            return self.purged().await;
        }
        let rules = self.hint.as_ref().map(|hint| hint.name_rules.clone()).unwrap_or_default();
        let mut names = BTreeMap::new();
        let (mut users, mut clients) = (BTreeSet::new(), BTreeSet::new());
        for stream in streams {
            let stream = StreamId::new(stream);
            self.report.streams += 1;
            match stream.as_str().split_once('/') {
                Some(("clients", id)) => {
                    if self.stream::<AppClient>(&stream, None).await?.is_some() {
                        clients.insert(id.to_owned());
                    }
                }
                Some(("users", id)) => {
                    let key = self.user_key(id).await?;
                    if let Some(user) = self.stream::<User>(&stream, key).await? {
                        users.insert(id.to_owned());
                        names.extend(user.names(&rules).into_iter().map(|name| (name, user.sub)));
                    }
                }
                _ => self.differs(format!("the stream {stream} is of no known kind")),
            }
        }
        self.rows(&names, &users, &clients).await
    }

    /// A deleted pool keeps its log alone, in which what it had does not end one by one: when its purge is over, there are
    /// no rows.
    async fn purged(&mut self) -> Result<(), StoreError> {
        let under_way = sqlx::query_scalar("select exists (select from purges where user_pool_id = $1)")
            .bind(self.pool.as_str())
            .fetch_one(&mut *self.moment)
            .await?;
        if under_way {
            return Ok(());
        }
        self.rows(&BTreeMap::new(), &BTreeSet::new(), &BTreeSet::new()).await
    }

    /// That there are the rows of these and no others.
    async fn rows(
        &mut self,
        names: &BTreeMap<String, Sub>,
        users: &BTreeSet<String>,
        clients: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        self.names(names).await?;
        self.directory(clients).await?;
        self.orphans("users", "select sub::text from users where user_pool_id = $1", users).await?;
        self.orphans("clients", "select client_id from clients where user_pool_id = $1", clients).await
    }

    fn differs(&mut self, what: String) {
        self.report.differences.push(format!("{}: {what}", self.pool));
    }

    async fn stream<A: Aggregate + serde::Serialize>(
        &mut self,
        stream: &StreamId,
        key: Option<Arc<DataKey>>,
    ) -> Result<Option<A>, StoreError> {
        let events = history::load::<A::Event>(self.moment, self.pool, stream, key.as_ref()).await?;
        let row = self.model_row(stream).await?;
        self.report.events += events.len();
        let gap = (1_i64..).zip(&events).find(|(expected, recorded)| recorded.version != *expected);
        if let Some((expected, _)) = gap {
            self.differs(format!("{stream} has no event {expected}"));
        }
        let (state, version) = history::replay::<A>(stream, &events);
        let yields = state.as_ref().map(serde_json::to_value).transpose().map_err(StoreError::Unwritable)?;
        match (&yields, row) {
            (None, None) => {}
            (Some(_), None) => self.differs(format!("{stream} has no row in its read model")),
            (None, Some(_)) => self.differs(format!("{stream} has ended and still has a row in its read model")),
            (Some(yields), Some(row)) => {
                if row.version != version {
                    self.differs(format!("{stream} is at version {version}, its read model at {}", row.version));
                }
                for member in differing_members(yields, &row.state.0) {
                    self.differs(format!("{stream}: the read model differs from the log in `{member}`"));
                }
            }
        }
        Ok(state)
    }

    async fn model_row(&mut self, stream: &StreamId) -> Result<Option<ModelRow>, StoreError> {
        let statement = match stream.as_str().split_once('/') {
            None => "select version, state from pools where user_pool_id = $1 and $2 = 'pool'",
            Some(("clients", _)) => "select version, state from clients where user_pool_id = $1 and client_id = $2",
            Some(_) => "select version, state from users where user_pool_id = $1 and sub = $2::uuid",
        };
        let row = sqlx::query_as(statement).bind(self.pool.as_str()).bind(stream.owner());
        Ok(row.fetch_optional(&mut *self.moment).await?)
    }

    async fn user_key(&mut self, sub: &str) -> Result<Option<Arc<DataKey>>, StoreError> {
        let row: Option<(Uuid, Vec<u8>)> =
            sqlx::query_as("select key_id, wrapped from keys where user_pool_id = $1 and kind = 'user' and owner = $2")
                .bind(self.pool.as_str())
                .bind(sub)
                .fetch_optional(&mut *self.moment)
                .await?;
        match (row, &self.hint) {
            (Some((id, wrapped)), Some(hint)) => Ok(Some(hint.keys.unwrap_user_key(id, &Sealed(wrapped))?)),
            _ => Ok(None),
        }
    }

    async fn names(&mut self, expected: &BTreeMap<String, Sub>) -> Result<(), StoreError> {
        let rows: Vec<(String, Uuid)> = sqlx::query_as("select name, sub from names where user_pool_id = $1")
            .bind(self.pool.as_str())
            .fetch_all(&mut *self.moment)
            .await?;
        let found: BTreeMap<String, Sub> = rows.into_iter().map(|(name, sub)| (name, Sub(sub))).collect();
        for (_, sub) in expected.iter().filter(|(name, sub)| found.get(*name) != Some(*sub)) {
            self.differs(format!("users/{sub} lacks a name that it has claimed"));
        }
        for (_, sub) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
            self.differs(format!("users/{sub} holds a name that it has not claimed"));
        }
        Ok(())
    }

    async fn directory(&mut self, clients: &BTreeSet<String>) -> Result<(), StoreError> {
        let rows: Vec<String> = sqlx::query_scalar("select client_id from client_directory where user_pool_id = $1")
            .bind(self.pool.as_str())
            .fetch_all(&mut *self.moment)
            .await?;
        let found: BTreeSet<String> = rows.into_iter().collect();
        for id in clients.difference(&found) {
            self.differs(format!("clients/{id} is missing in the directory of clients"));
        }
        for id in found.difference(clients) {
            self.differs(format!("clients/{id} is in the directory of clients and does not exist"));
        }
        Ok(())
    }

    async fn orphans(&mut self, table: &str, ids: &'static str, living: &BTreeSet<String>) -> Result<(), StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(ids).bind(self.pool.as_str()).fetch_all(&mut *self.moment).await?;
        for id in ids.into_iter().filter(|id| !living.contains(id)) {
            let ended = self.report.differences.iter().any(|it| it.contains(&id));
            if !ended {
                self.differs(format!("{table}/{id} has a row and no stream"));
            }
        }
        Ok(())
    }
}

/// The top-level members in which two objects differ, without their values: those may be personal.
fn differing_members(one: &Value, other: &Value) -> Vec<String> {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return vec!["state".to_owned()] };
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

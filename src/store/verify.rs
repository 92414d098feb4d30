//! Proof that the read models are what the log yields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::decision::Aggregate;
use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::user::User;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::history;
use crate::store::keys::PoolKeys;
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
    /// Replays every stream of a pool, or of all pools, and compares what it yields with the tables.
    pub async fn verify(&self, only: Option<&UserPoolId>) -> Result<Report, StoreError> {
        let pools: Vec<String> = match only {
            Some(pool) => vec![pool.to_string()],
            None => {
                sqlx::query_scalar("select distinct user_pool_id from log order by 1").fetch_all(&self.database).await?
            }
        };
        let mut report = Report::default();
        for pool in pools {
            self.verify_pool(&UserPoolId::new(pool), &mut report).await?;
        }
        Ok(report)
    }

    async fn verify_pool(&self, pool: &UserPoolId, report: &mut Report) -> Result<(), StoreError> {
        let streams: Vec<String> =
            sqlx::query_scalar("select distinct stream_id from log where user_pool_id = $1 order by 1")
                .bind(pool.as_str())
                .fetch_all(&self.database)
                .await?;
        let hint = self.pool_hint(pool).await.ok();
        let rules = hint.as_ref().map(|hint| hint.name_rules.clone()).unwrap_or_default();
        let mut expected_names = BTreeMap::new();
        let (mut users, mut clients) = (BTreeSet::new(), BTreeSet::new());
        for stream in streams {
            let stream = StreamId::new(stream);
            report.streams += 1;
            match stream.as_str().split_once('/') {
                None => self.verify_stream::<UserPool>(pool, &stream, None, report).await.map(drop)?,
                Some(("clients", id)) => {
                    clients.insert(id.to_owned());
                    self.verify_stream::<AppClient>(pool, &stream, None, report).await.map(drop)?;
                }
                Some(("users", id)) => {
                    users.insert(id.to_owned());
                    let keys = hint.as_ref().map(|hint| &hint.keys);
                    let key = self.user_key(pool, id, keys).await?;
                    let user = self.verify_stream::<User>(pool, &stream, key, report).await?;
                    expect_names(&mut expected_names, user.as_ref(), &rules);
                }
                Some(_) => report.differences.push(format!("{pool}: the stream {stream} is of no known kind")),
            }
        }
        self.verify_names(pool, &expected_names, report).await?;
        self.verify_no_orphans(pool, "users", "sub::text", &users, report).await?;
        self.verify_no_orphans(pool, "clients", "client_id", &clients, report).await
    }

    async fn verify_stream<A: Aggregate + serde::Serialize>(
        &self,
        pool: &UserPoolId,
        stream: &StreamId,
        key: Option<Arc<DataKey>>,
        report: &mut Report,
    ) -> Result<Option<A>, StoreError> {
        // Log and table are read at one moment.
        let mut transaction = self.database.begin().await?;
        sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *transaction).await?;
        let events = history::load::<A::Event>(&mut transaction, pool, stream, key.as_ref()).await?;
        let row = model_row(&mut transaction, pool, stream).await?;
        transaction.rollback().await?;
        report.events += events.len();
        for (expected, recorded) in (1_i64..).zip(&events) {
            if recorded.version != expected {
                report.differences.push(format!("{pool}: {stream} has no event {expected}"));
                break;
            }
        }
        let (state, version) = history::replay::<A>(stream, &events);
        let yields = state.as_ref().map(serde_json::to_value).transpose().map_err(StoreError::Unwritable)?;
        match (&yields, row) {
            (None, None) => {}
            (Some(_), None) => report.differences.push(format!("{pool}: {stream} has no row in its read model")),
            (None, Some(_)) => {
                report.differences.push(format!("{pool}: {stream} has ended and still has a row in its read model"))
            }
            (Some(yields), Some(row)) => {
                if row.version != version {
                    report
                        .differences
                        .push(format!("{pool}: {stream} is at version {version}, its read model at {}", row.version));
                }
                for member in differing_members(yields, &row.state.0) {
                    report
                        .differences
                        .push(format!("{pool}: {stream}: the read model differs from the log in `{member}`"));
                }
            }
        }
        Ok(state)
    }

    async fn user_key(
        &self,
        pool: &UserPoolId,
        sub: &str,
        keys: Option<&Arc<PoolKeys>>,
    ) -> Result<Option<Arc<DataKey>>, StoreError> {
        let row: Option<(Uuid, Vec<u8>)> =
            sqlx::query_as("select key_id, wrapped from keys where user_pool_id = $1 and kind = 'user' and owner = $2")
                .bind(pool.as_str())
                .bind(sub)
                .fetch_optional(&self.database)
                .await?;
        match (row, keys) {
            (Some((id, wrapped)), Some(keys)) => Ok(Some(keys.unwrap_user_key(id, &Sealed(wrapped))?)),
            _ => Ok(None),
        }
    }

    async fn verify_names(
        &self,
        pool: &UserPoolId,
        expected: &BTreeMap<String, Sub>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let rows: Vec<(String, Uuid)> = sqlx::query_as("select name, sub from names where user_pool_id = $1")
            .bind(pool.as_str())
            .fetch_all(&self.database)
            .await?;
        let found: BTreeMap<String, Sub> = rows.into_iter().map(|(name, sub)| (name, Sub(sub))).collect();
        for (name, sub) in expected {
            if found.get(name) != Some(sub) {
                report.differences.push(format!("{pool}: users/{sub} lacks a name that it has claimed"));
            }
        }
        for (name, sub) in &found {
            if !expected.contains_key(name) {
                report.differences.push(format!("{pool}: users/{sub} holds a name that it has not claimed"));
            }
        }
        Ok(())
    }

    async fn verify_no_orphans(
        &self,
        pool: &UserPoolId,
        table: &'static str,
        column: &'static str,
        known: &BTreeSet<String>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let statement = format!("select {column} from {table} where user_pool_id = $1");
        let ids: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(pool.as_str()).fetch_all(&self.database).await?;
        let orphans = ids.into_iter().filter(|id| !known.contains(id));
        report.differences.extend(orphans.map(|id| format!("{pool}: {table}/{id} has a row and no stream")));
        Ok(())
    }
}

async fn model_row(
    connection: &mut sqlx::PgConnection,
    pool: &UserPoolId,
    stream: &StreamId,
) -> Result<Option<ModelRow>, StoreError> {
    let statement = match stream.as_str().split_once('/') {
        None => "select version, state from pools where user_pool_id = $1 and $2 = 'pool'",
        Some(("clients", _)) => "select version, state from clients where user_pool_id = $1 and client_id = $2",
        Some(_) => "select version, state from users where user_pool_id = $1 and sub = $2::uuid",
    };
    Ok(sqlx::query_as(statement).bind(pool.as_str()).bind(stream.owner()).fetch_optional(connection).await?)
}

fn expect_names(expected: &mut BTreeMap<String, Sub>, user: Option<&User>, rules: &NameRules) {
    if let Some(user) = user {
        expected.extend(user.names(rules).into_iter().map(|name| (name, user.sub)));
    }
}

/// The top-level members in which two objects differ, without their values: those may be personal.
fn differing_members(one: &Value, other: &Value) -> Vec<String> {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return vec!["state".to_owned()] };
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

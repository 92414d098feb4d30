//! Checks that the read models match the log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::UserPool;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::models::{Children, Claims, Directory, MODELS, Model, Modelled, Search, search};
use crate::store::replay::{PoolReplay, Yield};

/// The result of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many streams were replayed.
    pub streams: usize,
    /// How many events the streams have.
    pub events: usize,
    /// A sentence for each difference, which names the row but no personal value.
    pub differences: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    id: String,
    version: i64,
    revision: i32,
    state: Json<Value>,
}

/// Every pool that any table names: a row without a history is a difference too.
fn pools() -> String {
    let tables = std::iter::once("log").chain(Model::in_reading_order());
    let tables: Vec<_> = tables.map(|table| format!("select user_pool_id from {table}")).collect();
    format!("{} order by 1", tables.join(" union "))
}

impl Store {
    /// Replays every stream of a pool, or of all pools, and compares the results with the tables. Each pool is read as
    /// of one moment, so commands may run meanwhile.
    pub async fn verify(&self, only: Option<&UserPoolId>) -> Result<Report, StoreError> {
        let pools: Vec<String> = match only {
            Some(pool) => vec![pool.to_string()],
            None => sqlx::query_scalar(AssertSqlSafe(pools())).fetch_all(&self.database).await?,
        };
        let mut report = Report::default();
        for pool in pools {
            let pool = UserPoolId::new(pool);
            let mut moment = self.moment().await?;
            let replay = PoolReplay::read(self, &mut moment, &pool).await?;
            let mut verification =
                Verification { pool: &pool, replay, moment: &mut moment, report: &mut report, searchable: [0; _] };
            verification.run().await?;
            moment.rollback().await?;
        }
        Ok(report)
    }
}

/// The verification of one pool.
struct Verification<'a> {
    pool: &'a UserPoolId,
    replay: PoolReplay,
    moment: &'a mut PgConnection,
    report: &'a mut Report,
    /// How many search rows each model should have.
    searchable: [i64; MODELS.len()],
}

impl Verification<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.replay.next(self.moment, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.stream.clone());
            self.page(&page).await?;
        }
        if !self.replay.lives() {
            return self.ended().await;
        }
        self.search_rows().await?;
        self.without_stream().await
    }

    fn differs(&mut self, what: String) {
        self.report.differences.push(format!("{}: {what}", self.pool));
    }

    async fn page(&mut self, page: &[Yield]) -> Result<(), StoreError> {
        for yielded in page {
            self.report.streams += 1;
            self.report.events += yielded.replayed.events;
            let stream = &yielded.stream;
            if yielded.model.is_none() {
                self.differs(format!("the stream {stream} is of no known kind"));
            }
            if let Some(expected) = yielded.replayed.gap {
                self.differs(format!("{stream} has no event {expected}"));
            }
        }
        if !self.replay.lives() {
            return Ok(());
        }
        for (index, model) in MODELS.into_iter().enumerate() {
            let page: Vec<&Yield> = page.iter().filter(|yielded| yielded.model == Some(model)).collect();
            if page.is_empty() {
                continue;
            }
            self.rows(model, &page).await?;
            if let Some(claims) = &model.claims {
                self.names(claims, &page).await?;
            }
            if let Some(children) = &model.children {
                self.children(children, &page).await?;
            }
            if let Some(search) = &model.search {
                self.searchable[index] += self.search(search, &page).await?;
            }
            if let Some(directory) = &model.directory {
                self.directory(directory, &page).await?;
            }
        }
        Ok(())
    }

    async fn rows(&mut self, model: &Model, page: &[&Yield]) -> Result<(), StoreError> {
        let rows: Vec<ModelRow> = sqlx::query_as(AssertSqlSafe(model.select()))
            .bind(self.pool.as_str())
            .bind(ids(page))
            .fetch_all(&mut *self.moment)
            .await?;
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        for yielded in page {
            let row = rows.remove(yielded.id());
            self.row(yielded, row);
        }
        Ok(())
    }

    fn row(&mut self, yielded: &Yield, row: Option<ModelRow>) {
        let (stream, version) = (&yielded.stream, yielded.replayed.version);
        match (&yielded.replayed.state, row) {
            (None, None) => {}
            (Some(_), None) => self.differs(format!("{stream} has no row in its read model")),
            (None, Some(_)) => self.differs(format!("{stream} has ended and still has a row in its read model")),
            (Some(state), Some(row)) => {
                if row.version != version {
                    self.differs(format!("{stream} is at version {version}, its read model at {}", row.version));
                }
                // A row of another revision of `apply` is computed again when it is loaded.
                let current = row.revision == yielded.replayed.revision;
                for member in differing_members(state, &row.state.0).into_iter().filter(|_| current) {
                    self.differs(format!("{stream}: the read model differs from the log in `{member}`"));
                }
            }
        }
    }

    /// The rows of a table for each id of a page.
    async fn held<T>(&mut self, statement: String, page: &[&Yield]) -> Result<BTreeMap<String, BTreeSet<T>>, StoreError>
    where
        T: Ord + Send + Unpin + sqlx::Type<Postgres> + for<'r> sqlx::Decode<'r, Postgres>,
    {
        let rows: Vec<(String, T)> = sqlx::query_as(AssertSqlSafe(statement))
            .bind(self.pool.as_str())
            .bind(ids(page))
            .fetch_all(&mut *self.moment)
            .await?;
        let mut held: BTreeMap<String, BTreeSet<T>> = BTreeMap::new();
        for (id, value) in rows {
            held.entry(id).or_default().insert(value);
        }
        Ok(held)
    }

    async fn names(&mut self, claims: &Claims, page: &[&Yield]) -> Result<(), StoreError> {
        let mut held = self.held::<String>(claims.select(), page).await?;
        for yielded in page {
            let (stream, claimed) = (&yielded.stream, &yielded.replayed.derived.names);
            let held = held.remove(yielded.id()).unwrap_or_default();
            for _ in claimed.difference(&held) {
                self.differs(format!("{stream} lacks a name that it has claimed"));
            }
            for _ in held.difference(claimed) {
                self.differs(format!("{stream} holds a name that it has not claimed"));
            }
        }
        Ok(())
    }

    async fn children(&mut self, children: &Children, page: &[&Yield]) -> Result<(), StoreError> {
        let mut held = self.held::<Uuid>(children.select(), page).await?;
        for yielded in page {
            let (stream, named) = (&yielded.stream, &yielded.replayed.derived.children);
            let held = held.remove(yielded.id()).unwrap_or_default();
            for other in named.difference(&held) {
                self.differs(format!("{stream} {}", (children.missing)(*other)));
            }
            for other in held.difference(named) {
                self.differs(format!("{stream} {}", (children.superfluous)(*other)));
            }
        }
        Ok(())
    }

    /// Looks up each row that should exist, and returns their number. The total number of rows shows in the end whether
    /// there are others, because the table has no index by id.
    async fn search(&mut self, search: &Search, page: &[&Yield]) -> Result<i64, StoreError> {
        let expected: Vec<_> = page.iter().flat_map(|yielded| yielded.search_entries()).collect();
        let (attributes, values, owners) = search::columns(&expected);
        let missing: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(search.missing()))
            .bind(self.pool.as_str())
            .bind(attributes)
            .bind(values)
            .bind(owners)
            .fetch_all(&mut *self.moment)
            .await?;
        for (id, attribute) in missing {
            let stream = page.iter().find(|yielded| yielded.id() == id).map_or(id.as_str(), |it| it.stream.as_str());
            self.differs(format!("{stream} can't be found by its {attribute}"));
        }
        Ok(expected.len() as i64)
    }

    async fn search_rows(&mut self) -> Result<(), StoreError> {
        for (model, expected) in MODELS.into_iter().zip(self.searchable) {
            let Some(Search { table, .. }) = model.search else { continue };
            let statement = format!("select count(*) from {table} where user_pool_id = $1");
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
                .bind(self.pool.as_str())
                .fetch_one(&mut *self.moment)
                .await?;
            if rows != expected {
                self.differs(format!("{table} has {rows} rows and should have {expected}"));
            }
        }
        Ok(())
    }

    async fn directory(&mut self, directory: &Directory, page: &[&Yield]) -> Result<(), StoreError> {
        let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(directory.select()))
            .bind(self.pool.as_str())
            .bind(ids(page))
            .fetch_all(&mut *self.moment)
            .await?;
        let name = directory.name;
        for yielded in page {
            let (stream, is_found) = (&yielded.stream, found.iter().any(|id| id == yielded.id()));
            match (yielded.replayed.state.is_some(), is_found) {
                (true, false) => self.differs(format!("{stream} is missing in {name}")),
                (false, true) => self.differs(format!("{stream} is in {name} and does not exist")),
                _ => {}
            }
        }
        Ok(())
    }

    async fn without_stream(&mut self) -> Result<(), StoreError> {
        for (table, statement) in MODELS.iter().flat_map(|model| model.without_stream()) {
            let streams: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement))
                .bind(self.pool.as_str())
                .fetch_all(&mut *self.moment)
                .await?;
            for stream in streams {
                self.differs(format!("{stream} has a row in {table} and no event"));
            }
        }
        Ok(())
    }

    /// A deleted pool has no rows; those of a pool that is being purged disappear gradually, except its own.
    async fn ended(&mut self) -> Result<(), StoreError> {
        let purging: bool = sqlx::query_scalar("select exists (select from purges where user_pool_id = $1)")
            .bind(self.pool.as_str())
            .fetch_one(&mut *self.moment)
            .await?;
        let pools = UserPool::MODEL.table;
        for table in Model::in_reading_order().into_iter().filter(|table| *table == pools || !purging) {
            let statement = format!("select exists (select from {table} where user_pool_id = $1)");
            let left: bool = sqlx::query_scalar(AssertSqlSafe(statement))
                .bind(self.pool.as_str())
                .fetch_one(&mut *self.moment)
                .await?;
            if left {
                self.differs(format!("the pool does not exist and still has rows in {table}"));
            }
        }
        Ok(())
    }
}

fn ids<'a>(page: &[&'a Yield]) -> Vec<&'a str> {
    page.iter().map(|yielded| yielded.id()).collect()
}

/// The top-level members in which two objects differ, without their values, which may be personal.
fn differing_members(one: &Value, other: &Value) -> Vec<String> {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return vec!["state".to_owned()] };
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

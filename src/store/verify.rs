//! Proof that the read models are what the log yields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::replay::{PoolReplay, Subject, Yield};

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
    stream: String,
    version: i64,
    revision: i32,
    state: Json<Value>,
}

/// Every pool that is named anywhere: a row without a history is a difference too.
const POOLS: &str = "
select user_pool_id from log union select user_pool_id from pools union select user_pool_id from clients
union select user_pool_id from users union select user_pool_id from names union select user_pool_id from groups
union select user_pool_id from group_names union select user_pool_id from memberships union select user_pool_id from user_search
union select user_pool_id from client_directory
order by 1";

/// The rows of the read models that belong to streams.
const MODEL_ROWS: &str = "
select 'pool' as stream, version, revision, state from pools where user_pool_id = $1 and $2
union all select 'clients/' || client_id, version, revision, state from clients where user_pool_id = $1 and client_id = any($3)
union all select 'groups/' || group_id, version, revision, state from groups where user_pool_id = $1 and group_id = any($5)
union all select 'users/' || sub, version, revision, state from users where user_pool_id = $1 and sub = any($4)";

/// Rows that no stream accounts for, by their table.
const WITHOUT_STREAM: [(&str, &str); 7] = [
    (
        "clients",
        "select distinct 'clients/' || client_id from clients t where user_pool_id = $1 and not exists
         (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = 'clients/' || t.client_id)",
    ),
    (
        "users",
        "select distinct 'users/' || sub from users t where user_pool_id = $1 and not exists
         (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = 'users/' || t.sub)",
    ),
    (
        "names",
        "select distinct 'users/' || sub from names t where user_pool_id = $1 and not exists
         (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = 'users/' || t.sub)",
    ),
    (
        "groups",
        "select distinct 'groups/' || group_id from groups t where user_pool_id = $1 and not exists
         (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = 'groups/' || t.group_id)",
    ),
    (
        "group_names",
        "select distinct 'groups/' || group_id from group_names t where user_pool_id = $1 and not exists
         (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = 'groups/' || t.group_id)",
    ),
    (
        "memberships",
        "select distinct 'users/' || sub from memberships t where user_pool_id = $1 and not exists
         (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = 'users/' || t.sub)",
    ),
    (
        "client_directory",
        "select distinct 'clients/' || client_id from client_directory t where user_pool_id = $1 and not exists
         (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = 'clients/' || t.client_id)",
    ),
];

/// Whether a table has rows of a pool.
const ROWS_OF_POOL: [(&str, &str); 9] = [
    ("pools", "select exists (select from pools where user_pool_id = $1)"),
    ("clients", "select exists (select from clients where user_pool_id = $1)"),
    ("users", "select exists (select from users where user_pool_id = $1)"),
    ("names", "select exists (select from names where user_pool_id = $1)"),
    ("groups", "select exists (select from groups where user_pool_id = $1)"),
    ("group_names", "select exists (select from group_names where user_pool_id = $1)"),
    ("memberships", "select exists (select from memberships where user_pool_id = $1)"),
    ("user_search", "select exists (select from user_search where user_pool_id = $1)"),
    ("client_directory", "select exists (select from client_directory where user_pool_id = $1)"),
];

impl Store {
    /// Replays every stream of a pool, or of all pools, and compares what it yields with the tables. Each pool is read as it
    /// was at one moment, so commands may go on meanwhile.
    pub async fn verify(&self, only: Option<&UserPoolId>) -> Result<Report, StoreError> {
        let pools: Vec<String> = match only {
            Some(pool) => vec![pool.to_string()],
            None => sqlx::query_scalar(POOLS).fetch_all(&self.database).await?,
        };
        let mut report = Report::default();
        for pool in pools {
            let pool = UserPoolId::new(pool);
            let mut moment = self.moment().await?;
            let replay = PoolReplay::read(self, &mut moment, &pool).await?;
            let mut verification =
                Verification { pool: &pool, replay, moment: &mut moment, report: &mut report, searchable: 0 };
            verification.run().await?;
            moment.rollback().await?;
        }
        Ok(report)
    }
}

/// One pool on its way through [`Store::verify`].
struct Verification<'a> {
    pool: &'a UserPoolId,
    replay: PoolReplay,
    moment: &'a mut PgConnection,
    report: &'a mut Report,
    /// How many rows users are found by.
    searchable: i64,
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
            self.report.events += yielded.events;
            let stream = &yielded.stream;
            if yielded.subject == Subject::Unknown {
                self.differs(format!("the stream {stream} is of no known kind"));
            }
            if let Some(expected) = yielded.gap {
                self.differs(format!("{stream} has no event {expected}"));
            }
        }
        if self.replay.lives() {
            self.models(page).await?;
            self.names(page).await?;
            self.memberships(page).await?;
            self.search(page).await?;
            self.group_names(page).await?;
            self.directory(page).await?;
        }
        Ok(())
    }

    async fn models(&mut self, page: &[Yield]) -> Result<(), StoreError> {
        let rows: Vec<ModelRow> = sqlx::query_as(MODEL_ROWS)
            .bind(self.pool.as_str())
            .bind(page.iter().any(|yielded| yielded.subject == Subject::Pool))
            .bind(clients(page))
            .bind(users(page))
            .bind(groups(page))
            .fetch_all(&mut *self.moment)
            .await?;
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.stream.clone(), row)).collect();
        for yielded in page {
            let row = rows.remove(yielded.stream.as_str());
            self.model(yielded, row);
        }
        Ok(())
    }

    fn model(&mut self, yielded: &Yield, row: Option<ModelRow>) {
        let (stream, version) = (&yielded.stream, yielded.version);
        match (&yielded.state, row) {
            (None, None) => {}
            (Some(_), None) => self.differs(format!("{stream} has no row in its read model")),
            (None, Some(_)) => self.differs(format!("{stream} has ended and still has a row in its read model")),
            (Some(state), Some(row)) => {
                if row.version != version {
                    self.differs(format!("{stream} is at version {version}, its read model at {}", row.version));
                }
                // What another revision of `apply` wrote is computed again when it is loaded.
                let current = row.revision == yielded.revision;
                for member in differing_members(state, &row.state.0).into_iter().filter(|_| current) {
                    self.differs(format!("{stream}: the read model differs from the log in `{member}`"));
                }
            }
        }
    }

    async fn names(&mut self, page: &[Yield]) -> Result<(), StoreError> {
        let rows: Vec<(Uuid, String)> =
            sqlx::query_as("select sub, name from names where user_pool_id = $1 and sub = any($2)")
                .bind(self.pool.as_str())
                .bind(users(page))
                .fetch_all(&mut *self.moment)
                .await?;
        let mut held: BTreeMap<Uuid, BTreeSet<String>> = BTreeMap::new();
        for (sub, name) in rows {
            held.entry(sub).or_default().insert(name);
        }
        for yielded in page {
            let Subject::User(sub) = yielded.subject else { continue };
            let held = held.remove(&sub).unwrap_or_default();
            for _ in yielded.derived.names.difference(&held) {
                self.differs(format!("users/{sub} lacks a name that it has claimed"));
            }
            for _ in held.difference(&yielded.derived.names) {
                self.differs(format!("users/{sub} holds a name that it has not claimed"));
            }
        }
        Ok(())
    }

    async fn memberships(&mut self, page: &[Yield]) -> Result<(), StoreError> {
        let rows: Vec<(Uuid, Uuid)> =
            sqlx::query_as("select sub, group_id from memberships where user_pool_id = $1 and sub = any($2)")
                .bind(self.pool.as_str())
                .bind(users(page))
                .fetch_all(&mut *self.moment)
                .await?;
        let mut held: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
        for (sub, group) in rows {
            held.entry(sub).or_default().insert(group);
        }
        for yielded in page {
            let Subject::User(sub) = yielded.subject else { continue };
            let held = held.remove(&sub).unwrap_or_default();
            for group in yielded.derived.groups.difference(&held) {
                self.differs(format!("users/{sub} is in groups/{group} and not among its members"));
            }
            for group in held.difference(&yielded.derived.groups) {
                self.differs(format!("users/{sub} is among the members of groups/{group} and not in it"));
            }
        }
        Ok(())
    }

    /// Looks for each row that there should be. That there is none besides, their number tells in the end: by the user, the
    /// table has no index.
    async fn search(&mut self, page: &[Yield]) -> Result<(), StoreError> {
        let expected = || page.iter().flat_map(|yielded| &yielded.derived.search);
        self.searchable += expected().count() as i64;
        let missing: Vec<(Uuid, String)> = sqlx::query_as(
            "select sub, attribute from unnest($2::text[], $3::text[], $4::uuid[]) as e (attribute, value, sub)
             where not exists (select from user_search s where s.user_pool_id = $1
                               and s.attribute = e.attribute and s.value = e.value and s.sub = e.sub)",
        )
        .bind(self.pool.as_str())
        .bind(expected().map(|((attribute, _), _)| attribute.name()).collect::<Vec<_>>())
        .bind(expected().map(|((_, value), _)| value.as_str()).collect::<Vec<_>>())
        .bind(expected().map(|(_, sub)| sub.0).collect::<Vec<_>>())
        .fetch_all(&mut *self.moment)
        .await?;
        for (sub, attribute) in missing {
            self.differs(format!("users/{sub} can't be found by its {attribute}"));
        }
        Ok(())
    }

    async fn search_rows(&mut self) -> Result<(), StoreError> {
        let rows: i64 = sqlx::query_scalar("select count(*) from user_search where user_pool_id = $1")
            .bind(self.pool.as_str())
            .fetch_one(&mut *self.moment)
            .await?;
        if rows != self.searchable {
            self.differs(format!("user_search has {rows} rows and should have {}", self.searchable));
        }
        Ok(())
    }

    async fn group_names(&mut self, page: &[Yield]) -> Result<(), StoreError> {
        let rows: Vec<(Uuid, String)> =
            sqlx::query_as("select group_id, name from group_names where user_pool_id = $1 and group_id = any($2)")
                .bind(self.pool.as_str())
                .bind(groups(page))
                .fetch_all(&mut *self.moment)
                .await?;
        let mut held: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
        for (group, name) in rows {
            held.entry(group).or_default().push(name);
        }
        for yielded in page {
            let Subject::Group(group) = yielded.subject else { continue };
            let held = held.remove(&group).unwrap_or_default();
            if !held.iter().eq(&yielded.derived.group_name) {
                self.differs(format!("groups/{group} does not hold the name that it has claimed, and only that"));
            }
        }
        Ok(())
    }

    async fn directory(&mut self, page: &[Yield]) -> Result<(), StoreError> {
        let found: Vec<String> = sqlx::query_scalar(
            "select client_id from client_directory where user_pool_id = $1 and client_id = any($2)",
        )
        .bind(self.pool.as_str())
        .bind(clients(page))
        .fetch_all(&mut *self.moment)
        .await?;
        for yielded in page {
            let Subject::Client(id) = &yielded.subject else { continue };
            match (yielded.state.is_some(), found.contains(id)) {
                (true, false) => self.differs(format!("clients/{id} is missing in the directory of clients")),
                (false, true) => {
                    self.differs(format!("clients/{id} is in the directory of clients and does not exist"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn without_stream(&mut self) -> Result<(), StoreError> {
        for (table, statement) in WITHOUT_STREAM {
            let streams: Vec<String> =
                sqlx::query_scalar(statement).bind(self.pool.as_str()).fetch_all(&mut *self.moment).await?;
            for stream in streams {
                self.differs(format!("{stream} has a row in {table} and no event"));
            }
        }
        Ok(())
    }

    /// A pool that does not exist has no rows; those of one that was deleted go by and by, except its own.
    async fn ended(&mut self) -> Result<(), StoreError> {
        let purging: bool = sqlx::query_scalar("select exists (select from purges where user_pool_id = $1)")
            .bind(self.pool.as_str())
            .fetch_one(&mut *self.moment)
            .await?;
        for (table, statement) in ROWS_OF_POOL.into_iter().filter(|(table, _)| *table == "pools" || !purging) {
            let left: bool =
                sqlx::query_scalar(statement).bind(self.pool.as_str()).fetch_one(&mut *self.moment).await?;
            if left {
                self.differs(format!("the pool does not exist and still has rows in {table}"));
            }
        }
        Ok(())
    }
}

fn clients(page: &[Yield]) -> Vec<&str> {
    let ids = page.iter().filter_map(|yielded| match &yielded.subject {
        Subject::Client(id) => Some(id.as_str()),
        _ => None,
    });
    ids.collect()
}

fn groups(page: &[Yield]) -> Vec<Uuid> {
    let ids = page.iter().filter_map(|yielded| match yielded.subject {
        Subject::Group(id) => Some(id),
        _ => None,
    });
    ids.collect()
}

fn users(page: &[Yield]) -> Vec<Uuid> {
    let subs = page.iter().filter_map(|yielded| match yielded.subject {
        Subject::User(sub) => Some(sub),
        _ => None,
    });
    subs.collect()
}

/// The top-level members in which two objects differ, without their values: those may be personal.
fn differing_members(one: &Value, other: &Value) -> Vec<String> {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return vec!["state".to_owned()] };
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

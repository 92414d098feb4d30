//! Computes read models and claims again from the log, into new tables that then replace the old ones.
//!
//! Commands go on while the new tables are filled and catch up with later commits. Only the swap locks the tables:
//! under that lock no commit can change a read model, so the few remaining changes are applied, and then the tables are
//! renamed. Operational tables stay as they are, and nothing is sent or published, because events are only read.
//!
//! Servers cache pools and clients by version, which a rebuild does not change. If such a row was wrong, servers that
//! have read it must be restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::user_pool::NameRules;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::models::statements::Place;
use crate::store::models::{Claims, MODELS, Model, Search, search};
use crate::store::replay::{PoolReplay, Yield};

/// How long the swap waits for its locks. It is shorter than the time after which Postgres looks for deadlocks, so that
/// no command fails because of it.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '200ms'";
const PAUSE: Duration = Duration::from_millis(100);
const MOST_TRIES: usize = 100;
/// How many streams are held in memory at once while catching up.
const PAGE: usize = 200;
/// The swap may begin once this few streams are behind; a busy log always has some.
const FEW: usize = 200;
const MOST_PASSES: usize = 10;

/// What a rebuild did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many streams were replayed.
    pub streams: usize,
    /// How often a stream was replayed again, because it may have changed meanwhile.
    pub caught_up: usize,
}

/// Why a rebuild failed; the read models are unchanged.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RebuildError {
    #[error("another rebuild is running on this database")]
    Running,
    #[error("the tables could not be locked for the swap: a long transaction holds them; nothing was changed")]
    Busy,
    /// The log contradicts itself.
    #[error("{pool}: two aggregates of a kind claim the same name; nothing was changed")]
    Contradiction { pool: UserPoolId },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A point in the log: every later read sees all events before it.
struct Point {
    epoch: i64,
    tx: String,
}

impl Store {
    /// Computes read models and claims again, and replaces the old ones.
    pub async fn rebuild(&self) -> Result<Rebuilt, RebuildError> {
        // The connection is not given back, so that the lock against a second rebuild ends with it in any case.
        let mut connection = self.database.pool().acquire().await?.detach();
        sqlx::query("set statement_timeout = 0").execute(&mut connection).await?;
        let alone: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtext('userpool log rebuild'))")
            .fetch_one(&mut connection)
            .await?;
        if !alone {
            return Err(RebuildError::Running);
        }
        let result = self.rebuild_alone(&mut connection).await;
        sqlx::query("select pg_advisory_unlock(hashtext('userpool log rebuild'))").execute(&mut connection).await?;
        connection.close().await?;
        result
    }

    async fn rebuild_alone(&self, connection: &mut PgConnection) -> Result<Rebuilt, RebuildError> {
        let indexes = make_tables(connection).await?;
        let mut behind = now(connection).await?;
        let streams = self.fill(connection).await?;
        let mut caught_up = 0;
        for _ in 0..MOST_PASSES {
            let next = now(connection).await?;
            let pass = self.catch_up(connection, &behind).await?;
            (behind, caught_up) = (next, caught_up + pass);
            if pass <= FEW {
                break;
            }
        }
        for _ in 0..MOST_TRIES {
            match self.swap(connection, &behind, &indexes).await {
                Ok(last) => return Ok(Rebuilt { streams, caught_up: caught_up + last }),
                Err(error) if is_locked(&error) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
        drop_tables(connection).await?;
        Err(RebuildError::Busy)
    }

    /// Fills the new tables, each pool as of one moment. Returns the number of streams.
    async fn fill(&self, connection: &mut PgConnection) -> Result<usize, RebuildError> {
        let pools: Vec<String> =
            sqlx::query_scalar("select distinct user_pool_id from log order by 1").fetch_all(&mut *connection).await?;
        let mut streams = 0;
        for pool in pools.into_iter().map(UserPoolId::new) {
            let mut moment = self.moment().await?;
            let replay = PoolReplay::read(self, &mut moment, &pool).await?;
            let mut after = None;
            while replay.lives() {
                let page = replay.next(&mut moment, after.as_ref()).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.stream.clone());
                streams += page.len();
                // Short transactions on a connection of its own, because a long one would block the feed.
                write(connection, &pool, &page).await?;
            }
            moment.rollback().await?;
        }
        for table in Model::in_lock_order() {
            execute(connection, format!("analyze rebuilt_{table}")).await?;
        }
        Ok(streams)
    }

    /// Replaces the old tables by the new ones. Returns how many streams were still behind.
    #[expect(
        clippy::disallowed_methods,
        reason = "an operator's command on a connection of its own, which ends with it"
    )]
    async fn swap(
        &self,
        connection: &mut PgConnection,
        behind: &Point,
        indexes: &[(String, String)],
    ) -> Result<usize, RebuildError> {
        let mut transaction = connection.begin().await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
        execute(&mut transaction, format!("lock table {} in access exclusive mode", Model::in_lock_order().join(", ")))
            .await?;
        let caught_up = self.catch_up(&mut transaction, behind).await?;
        for table in Model::in_lock_order() {
            execute(&mut transaction, format!("drop table {table}")).await?;
            execute(&mut transaction, format!("alter table rebuilt_{table} rename to {table}")).await?;
        }
        for (current, wanted) in indexes {
            execute(&mut transaction, format!("alter index {current} rename to {wanted}")).await?;
        }
        transaction.commit().await?;
        Ok(caught_up)
    }

    /// Replays again all streams that changed since a point, all as of one moment: so no name is seen with two users
    /// when one has just given it up. Returns the number of these streams.
    async fn catch_up(&self, connection: &mut PgConnection, since: &Point) -> Result<usize, RebuildError> {
        let mut moment = self.moment().await?;
        let changed: Vec<(String, String)> = sqlx::query_as(
            "select distinct user_pool_id, stream_id from log where (epoch, tx) >= ($1, $2::text::xid8) order by 1, 2",
        )
        .bind(since.epoch)
        .bind(&since.tx)
        .fetch_all(&mut *moment)
        .await?;
        let count = changed.len();
        let mut pools: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (pool, stream) in changed {
            pools.entry(pool).or_default().push(stream);
        }
        for (pool, streams) in pools {
            let pool = UserPoolId::new(pool);
            let replay = PoolReplay::read(self, &mut moment, &pool).await?;
            if !replay.lives() {
                forget_pool(connection, &pool).await?;
                continue;
            }
            // A name may have moved from one user to another, so all are released before any is claimed.
            forget(connection, &pool, &replay.name_rules(), &streams).await?;
            for page in streams.chunks(PAGE) {
                let page = replay.streams(&mut moment, page).await?;
                write(connection, &pool, &page).await?;
            }
        }
        moment.rollback().await?;
        Ok(count)
    }
}

async fn now(connection: &mut PgConnection) -> Result<Point, sqlx::Error> {
    let (epoch, tx) = sqlx::query_as("select epoch, pg_snapshot_xmin(pg_current_snapshot())::text from meta")
        .fetch_one(connection)
        .await?;
    Ok(Point { epoch, tx })
}

fn is_locked(error: &RebuildError) -> bool {
    let RebuildError::Store(error) = error else { return false };
    let code = match error {
        StoreError::Database(sqlx::Error::Database(error)) => error.code(),
        _ => None,
    };
    matches!(error, StoreError::Stale) || code.as_deref() == Some("55P03")
}

/// Runs a statement that is built from names in descriptions and in the catalogue, which quotes its own.
async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

async fn drop_tables(connection: &mut PgConnection) -> Result<(), RebuildError> {
    for table in Model::in_lock_order() {
        execute(connection, format!("drop table if exists rebuilt_{table}")).await?;
    }
    Ok(())
}

/// Creates empty tables like the old ones, with their owner and privileges. Returns the name of each new index and that
/// of the old one that it replaces, because constraints are identified by name.
async fn make_tables(connection: &mut PgConnection) -> Result<Vec<(String, String)>, RebuildError> {
    drop_tables(connection).await?;
    let mut indexes = Vec::new();
    for table in Model::in_lock_order() {
        execute(connection, format!("create table rebuilt_{table} (like {table} including all)")).await?;
        let access: Vec<String> = sqlx::query_scalar(
            "select format('alter table %I owner to %I', 'rebuilt_' || $1, pg_get_userbyid(relowner))
             from pg_class where oid = $1::regclass
             union all
             select format('grant %s on %I to %s%s', g.privilege_type, 'rebuilt_' || $1,
                           case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
                           case when g.is_grantable then ' with grant option' else '' end)
             from pg_class c, aclexplode(c.relacl) g where c.oid = $1::regclass",
        )
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
        for statement in access {
            execute(connection, statement).await?;
        }
        let pairs: Vec<(String, String)> = sqlx::query_as(
            "select new_index.indexrelid::regclass::text, quote_ident(old_name.relname)
             from pg_index old_index
             join pg_class old_name on old_name.oid = old_index.indexrelid
             join pg_index new_index on new_index.indrelid = ('rebuilt_' || $1)::regclass
              and new_index.indisprimary = old_index.indisprimary and new_index.indisunique = old_index.indisunique
              and substring(pg_get_indexdef(new_index.indexrelid) from ' USING .*')
                = substring(pg_get_indexdef(old_index.indexrelid) from ' USING .*')
             where old_index.indrelid = $1::regclass",
        )
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
        indexes.extend(pairs);
    }
    Ok(indexes)
}

/// Writes the results of streams into the new tables.
async fn write(connection: &mut PgConnection, pool: &UserPoolId, page: &[Yield]) -> Result<(), RebuildError> {
    for model in MODELS {
        let of_model = |yielded: &&Yield| yielded.model == Some(model) && yielded.replayed.state.is_some();
        let page: Vec<&Yield> = page.iter().filter(of_model).collect();
        if !page.is_empty() {
            write_model(connection, pool, model, &page).await?;
        }
    }
    Ok(())
}

/// Writes the results of streams of one kind that have not ended.
async fn write_model(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    model: &Model,
    page: &[&Yield],
) -> Result<(), RebuildError> {
    let ids: Vec<&str> = page.iter().map(|yielded| yielded.id()).collect();
    sqlx::query(AssertSqlSafe(model.insert_rebuilt()))
        .bind(pool.as_str())
        .bind(&ids)
        .bind(page.iter().map(|yielded| yielded.replayed.version).collect::<Vec<_>>())
        .bind(page.iter().map(|yielded| yielded.replayed.revision).collect::<Vec<_>>())
        .bind(page.iter().filter_map(|yielded| yielded.replayed.state.as_ref()).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    if let Some(claims) = &model.claims {
        claim(connection, pool, claims, page).await?;
    }
    if let Some(children) = &model.children {
        let named =
            page.iter().flat_map(|yielded| yielded.replayed.derived.children.iter().map(|it| (*it, yielded.id())));
        let (others, owners): (Vec<Uuid>, Vec<&str>) = named.unzip();
        let enter = sqlx::query(AssertSqlSafe(children.enter(Place::Rebuilt))).bind(pool.as_str());
        enter.bind(others).bind(owners).execute(&mut *connection).await?;
    }
    if let Some(search) = &model.search {
        let entries: Vec<_> = page.iter().flat_map(|yielded| yielded.search_entries()).collect();
        search::run(connection, search.enter(Place::Rebuilt), pool, &entries).await?;
    }
    if let Some(directory) = &model.directory {
        let enter = sqlx::query(AssertSqlSafe(directory.enter(Place::Rebuilt))).bind(pool.as_str());
        enter.bind(&ids).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn claim(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    claims: &Claims,
    page: &[&Yield],
) -> Result<(), RebuildError> {
    let names =
        page.iter().flat_map(|yielded| yielded.replayed.derived.names.iter().map(|name| (name.as_str(), yielded.id())));
    let (names, owners): (Vec<&str>, Vec<&str>) = names.unzip();
    let count = names.len() as u64;
    let claim = sqlx::query(AssertSqlSafe(claims.claim(Place::Rebuilt))).bind(pool.as_str()).bind(names).bind(owners);
    if claim.execute(connection).await?.rows_affected() == count {
        Ok(())
    } else {
        Err(RebuildError::Contradiction { pool: pool.clone() })
    }
}

/// Deletes the results of streams from the new tables.
async fn forget(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    rules: &NameRules,
    streams: &[String],
) -> Result<(), StoreError> {
    let streams: Vec<StreamId> = streams.iter().map(StreamId::new).collect();
    for model in MODELS {
        let of_model = |stream: &&StreamId| Model::of_stream(stream) == Some(model);
        let ids: Vec<&str> = streams.iter().filter(of_model).map(StreamId::owner).collect();
        if ids.is_empty() {
            continue;
        }
        if let Some(search) = &model.search {
            forget_search(connection, pool, rules, (model, search), &ids).await?;
        }
        for statement in model.forget_rebuilt() {
            sqlx::query(AssertSqlSafe(statement)).bind(pool.as_str()).bind(&ids).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Deletes search values from the new table. It has no index by id, so the values are derived from the aggregates'
/// rows.
async fn forget_search(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    rules: &NameRules,
    (model, search): (&Model, &Search),
    ids: &[&str],
) -> Result<(), StoreError> {
    let states: Vec<(String, Value)> = sqlx::query_as(AssertSqlSafe(model.rebuilt_states()))
        .bind(pool.as_str())
        .bind(ids)
        .fetch_all(&mut *connection)
        .await?;
    let mut entries = Vec::new();
    for (id, state) in states {
        let derived = (model.derive)(state, rules).map_err(|source| StoreError::Row { table: model.table, source })?;
        entries.extend(derived.search.into_iter().map(|entry| (entry, id.clone())));
    }
    search::run(connection, search.leave(Place::Rebuilt), pool, &entries).await?;
    Ok(())
}

/// Deletes all rows of a pool that was deleted meanwhile from the new tables.
async fn forget_pool(connection: &mut PgConnection, pool: &UserPoolId) -> Result<(), sqlx::Error> {
    for table in Model::in_lock_order() {
        let statement = format!("delete from {} where user_pool_id = $1", Place::Rebuilt.of(table));
        sqlx::query(AssertSqlSafe(statement)).bind(pool.as_str()).execute(&mut *connection).await?;
    }
    Ok(())
}

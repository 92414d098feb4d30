//! Read models and claims, computed anew from the log: into new tables, which then take the place of the old ones.
//!
//! Commands go on while the new tables are filled and catch up with what was committed meanwhile. Only the swap locks the
//! tables: under that lock nothing can be committed that a read model follows, so the little that is left is applied, and
//! then the names change hands.
//! Operational tables stay as they are, and nothing is sent or published: events are read and none is written.
//!
//! A server keeps pools and clients in memory by their version, which a rebuild does not change. If a row of theirs was
//! wrong, servers that have read it have to be started again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::NameRules;
use crate::store::Store;
use crate::store::commit::search_statement;
use crate::store::error::StoreError;
use crate::store::replay::{PoolReplay, Subject, Yield, search_rows};

/// What follows from the log, in the order in which the one read of a user takes its locks.
const TABLES: [&str; 9] =
    ["pools", "clients", "names", "users", "group_names", "groups", "memberships", "user_search", "client_directory"];
/// The swap gives up after so long without its locks, before Postgres looks for deadlocks: so no command ever fails by it.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '200ms'";
const PAUSE: Duration = Duration::from_millis(100);
const MOST_TRIES: usize = 100;
/// So many streams of the tail are in memory at once.
const PAGE: usize = 200;
/// Once so few streams are behind, the rest is left to the swap; a busy log never has none.
const FEW: usize = 200;
const MOST_PASSES: usize = 10;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many streams were replayed.
    pub streams: usize,
    /// How often one was replayed again, because it may have gone on meanwhile.
    pub caught_up: usize,
}

/// Why the read models are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody else does it.
    #[error("another rebuild is running on this database")]
    Running,
    /// The tables were never free.
    #[error("the tables could not be locked for the swap: a long transaction holds them; nothing was changed")]
    Busy,
    /// The log itself is wrong.
    #[error("{pool}: two users, or two groups, claim one name; nothing was changed")]
    Contradiction {
        /// Where.
        pool: UserPoolId,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A point of the log: what is before it was there for everybody who read later.
struct Point {
    epoch: i64,
    tx: String,
}

impl Store {
    /// Computes read models and claims anew and puts them in the place of the old ones.
    pub async fn rebuild(&self) -> Result<Rebuilt, RebuildError> {
        // The connection is not given back: whatever happens, the lock that keeps others from doing the same ends with it.
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

    /// Fills the new tables, each pool as it was at one moment. Answers how many streams there are.
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
                // Short transactions on a connection of their own: a long one would hold the feed up.
                write(connection, &pool, &page).await?;
            }
            moment.rollback().await?;
        }
        for table in TABLES {
            execute(connection, format!("analyze rebuilt_{table}")).await?;
        }
        Ok(streams)
    }

    /// Puts the new tables in the place of the old ones. Answers how many streams were still behind.
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
        execute(&mut transaction, format!("lock table {} in access exclusive mode", TABLES.join(", "))).await?;
        let caught_up = self.catch_up(&mut transaction, behind).await?;
        for table in TABLES {
            execute(&mut transaction, format!("drop table {table}")).await?;
            execute(&mut transaction, format!("alter table rebuilt_{table} rename to {table}")).await?;
        }
        for (current, wanted) in indexes {
            execute(&mut transaction, format!("alter index {current} rename to {wanted}")).await?;
        }
        transaction.commit().await?;
        Ok(caught_up)
    }

    /// Replays again whatever was committed since a point, all of it as it was at one moment: so no name is seen with two
    /// users, one of whom has just given it up. Answers how many streams those were.
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
            // A name can have gone from one user to another: all are released before any is claimed.
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

/// Runs a statement that is made of names in this file and in the catalogue, which quotes its own.
async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

async fn drop_tables(connection: &mut PgConnection) -> Result<(), RebuildError> {
    for table in TABLES {
        execute(connection, format!("drop table if exists rebuilt_{table}")).await?;
    }
    Ok(())
}

/// Makes empty tables like the old ones, with their owner and privileges. Answers the name of each new index, and that of
/// the old one whose place it takes: constraints are told apart by name.
async fn make_tables(connection: &mut PgConnection) -> Result<Vec<(String, String)>, RebuildError> {
    drop_tables(connection).await?;
    let mut indexes = Vec::new();
    for table in TABLES {
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

/// Writes what streams yield into the new tables.
async fn write(connection: &mut PgConnection, pool: &UserPoolId, page: &[Yield]) -> Result<(), RebuildError> {
    let (mut users, mut clients, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let (mut names, mut memberships, mut search) = (Vec::new(), Vec::new(), Vec::new());
    for yielded in page {
        let Some(state) = &yielded.state else { continue };
        match &yielded.subject {
            Subject::Pool => {
                sqlx::query(
                    "insert into rebuilt_pools (user_pool_id, version, revision, state) values ($1, $2, $3, $4)",
                )
                .bind(pool.as_str())
                .bind(yielded.version)
                .bind(yielded.revision)
                .bind(state)
                .execute(&mut *connection)
                .await?;
            }
            Subject::Client(id) => clients.push((id.as_str(), yielded, state)),
            Subject::User(sub) => {
                users.push((*sub, yielded, state));
                names.extend(yielded.derived.names.iter().map(|name| (*sub, name.as_str())));
                memberships.extend(yielded.derived.groups.iter().map(|group| (*group, *sub)));
                search.extend(yielded.derived.search.iter().cloned());
            }
            Subject::Group(id) => groups.push((*id, yielded, state)),
            Subject::Unknown => {}
        }
    }
    write_groups(connection, pool, &groups).await?;
    sqlx::query(
        "insert into rebuilt_memberships (user_pool_id, group_id, sub)
         select $1, m.* from unnest($2::uuid[], $3::uuid[]) as m",
    )
    .bind(pool.as_str())
    .bind(memberships.iter().map(|(group, _)| *group).collect::<Vec<Uuid>>())
    .bind(memberships.iter().map(|(_, sub)| *sub).collect::<Vec<Uuid>>())
    .execute(&mut *connection)
    .await?;
    search_statement(connection, REBUILD_SEARCH, pool, &search).await?;
    sqlx::query(
        "insert into rebuilt_clients (user_pool_id, client_id, version, revision, state)
         select $1, c.* from unnest($2::text[], $3::bigint[], $4::integer[], $5::jsonb[]) as c",
    )
    .bind(pool.as_str())
    .bind(clients.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
    .bind(clients.iter().map(|(_, yielded, _)| yielded.version).collect::<Vec<_>>())
    .bind(clients.iter().map(|(_, yielded, _)| yielded.revision).collect::<Vec<_>>())
    .bind(clients.iter().map(|(.., state)| *state).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query("insert into rebuilt_client_directory (client_id, user_pool_id) select unnest($2::text[]), $1")
        .bind(pool.as_str())
        .bind(clients.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "insert into rebuilt_users (user_pool_id, sub, version, revision, state)
         select $1, u.* from unnest($2::uuid[], $3::bigint[], $4::integer[], $5::jsonb[]) as u",
    )
    .bind(pool.as_str())
    .bind(users.iter().map(|(sub, ..)| *sub).collect::<Vec<Uuid>>())
    .bind(users.iter().map(|(_, yielded, _)| yielded.version).collect::<Vec<_>>())
    .bind(users.iter().map(|(_, yielded, _)| yielded.revision).collect::<Vec<_>>())
    .bind(users.iter().map(|(.., state)| *state).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    // A violated constraint would write the name into the database's own log; a name that is left out does not.
    let claimed = sqlx::query(
        "insert into rebuilt_names (user_pool_id, sub, name)
         select $1, n.* from unnest($2::uuid[], $3::text[]) as n on conflict do nothing",
    )
    .bind(pool.as_str())
    .bind(names.iter().map(|(sub, _)| *sub).collect::<Vec<Uuid>>())
    .bind(names.iter().map(|(_, name)| *name).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    if claimed.rows_affected() != names.len() as u64 {
        return Err(RebuildError::Contradiction { pool: pool.clone() });
    }
    Ok(())
}

/// What users are found by, into the new table.
const REBUILD_SEARCH: &str = "
insert into rebuilt_user_search (user_pool_id, attribute, value, sub)
select $1, attribute, value, sub from unnest($2::text[], $3::text[], $4::uuid[]) as s (attribute, value, sub)";

/// The same, out of it.
const FORGET_SEARCH: &str = "
delete from rebuilt_user_search s using unnest($2::text[], $3::text[], $4::uuid[]) as f (attribute, value, sub)
where s.user_pool_id = $1 and s.attribute = f.attribute and s.value = f.value and s.sub = f.sub";

async fn write_groups(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    groups: &[(Uuid, &Yield, &Value)],
) -> Result<(), RebuildError> {
    sqlx::query(
        "insert into rebuilt_groups (user_pool_id, group_id, version, revision, state)
         select $1, g.* from unnest($2::uuid[], $3::bigint[], $4::integer[], $5::jsonb[]) as g",
    )
    .bind(pool.as_str())
    .bind(groups.iter().map(|(id, ..)| *id).collect::<Vec<Uuid>>())
    .bind(groups.iter().map(|(_, yielded, _)| yielded.version).collect::<Vec<_>>())
    .bind(groups.iter().map(|(_, yielded, _)| yielded.revision).collect::<Vec<_>>())
    .bind(groups.iter().map(|(.., state)| *state).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let names: Vec<(Uuid, &str)> = groups
        .iter()
        .filter_map(|(id, yielded, _)| yielded.derived.group_name.as_deref().map(|name| (*id, name)))
        .collect();
    let claimed = sqlx::query(
        "insert into rebuilt_group_names (user_pool_id, group_id, name)
         select $1, n.* from unnest($2::uuid[], $3::text[]) as n on conflict do nothing",
    )
    .bind(pool.as_str())
    .bind(names.iter().map(|(id, _)| *id).collect::<Vec<Uuid>>())
    .bind(names.iter().map(|(_, name)| *name).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    if claimed.rows_affected() != names.len() as u64 {
        return Err(RebuildError::Contradiction { pool: pool.clone() });
    }
    Ok(())
}

/// Takes what users are found by out of the new table. It has no index by the user: what is in it follows from their rows.
async fn forget_search(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    rules: &NameRules,
    users: &[Uuid],
) -> Result<(), StoreError> {
    let states: Vec<Value> =
        sqlx::query_scalar("select state from rebuilt_users where user_pool_id = $1 and sub = any($2)")
            .bind(pool.as_str())
            .bind(users)
            .fetch_all(&mut *connection)
            .await?;
    let mut entries = Vec::new();
    for state in states {
        let user = serde_json::from_value(state).map_err(|source| StoreError::Row { table: "users", source })?;
        entries.extend(search_rows(&user, rules));
    }
    search_statement(connection, FORGET_SEARCH, pool, &entries).await?;
    Ok(())
}

/// Takes what streams yielded out of the new tables.
async fn forget(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    rules: &NameRules,
    streams: &[String],
) -> Result<(), StoreError> {
    let owners = |kind: &str| streams.iter().filter_map(|stream| stream.strip_prefix(kind)).collect::<Vec<_>>();
    let ids = |kind: &str| owners(kind).into_iter().filter_map(|id| id.parse().ok()).collect::<Vec<Uuid>>();
    let (clients, groups, users) = (owners("clients/"), ids("groups/"), ids("users/"));
    forget_search(connection, pool, rules, &users).await?;
    for statement in [
        "delete from rebuilt_groups where user_pool_id = $1 and group_id = any($2)",
        "delete from rebuilt_group_names where user_pool_id = $1 and group_id = any($2)",
    ] {
        sqlx::query(statement).bind(pool.as_str()).bind(&groups).execute(&mut *connection).await?;
    }
    for statement in [
        "delete from rebuilt_clients where user_pool_id = $1 and client_id = any($2)",
        "delete from rebuilt_client_directory where user_pool_id = $1 and client_id = any($2)",
    ] {
        sqlx::query(statement).bind(pool.as_str()).bind(&clients).execute(&mut *connection).await?;
    }
    for statement in [
        "delete from rebuilt_users where user_pool_id = $1 and sub = any($2)",
        "delete from rebuilt_names where user_pool_id = $1 and sub = any($2)",
        "delete from rebuilt_memberships where user_pool_id = $1 and sub = any($2)",
    ] {
        sqlx::query(statement).bind(pool.as_str()).bind(&users).execute(&mut *connection).await?;
    }
    if streams.iter().any(|stream| stream == "pool") {
        sqlx::query("delete from rebuilt_pools where user_pool_id = $1")
            .bind(pool.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Takes everything of a pool out of the new tables: it was deleted meanwhile.
async fn forget_pool(connection: &mut PgConnection, pool: &UserPoolId) -> Result<(), sqlx::Error> {
    for statement in [
        "delete from rebuilt_pools where user_pool_id = $1",
        "delete from rebuilt_clients where user_pool_id = $1",
        "delete from rebuilt_names where user_pool_id = $1",
        "delete from rebuilt_groups where user_pool_id = $1",
        "delete from rebuilt_group_names where user_pool_id = $1",
        "delete from rebuilt_memberships where user_pool_id = $1",
        "delete from rebuilt_user_search where user_pool_id = $1",
        "delete from rebuilt_users where user_pool_id = $1",
        "delete from rebuilt_client_directory where user_pool_id = $1",
    ] {
        sqlx::query(statement).bind(pool.as_str()).execute(&mut *connection).await?;
    }
    Ok(())
}

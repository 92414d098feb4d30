//! The database as a whole: its schema, its identity, its health, and which servers may run on it.
//!
//! A server of schema N may serve on a database of schema F if the database has everything that the server needs (N <= F)
//! and the later schema left it usable for the server (`readable_since` <= N, which every migration states). So the servers
//! of two releases can run on one database while the newer ones take the place of the older ones.

use sqlx::PgConnection;
use sqlx::migrate::MigrateError;

use crate::proto::NEWEST_LEVEL;
use crate::store::error::StoreError;
use crate::store::{MIGRATIONS, Store, fill};

/// Why the server can't start on a database.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum UnfitDatabase {
    /// The schema is older than this release needs.
    #[error("the database is at schema version {found}, this release needs {needed}: run `userpool migrate`")]
    Schema { found: i64, needed: i64 },
    /// The schema is that of a later release.
    #[error("the database is at schema version {found}, this release knows {known}: run the release that migrated it")]
    LaterSchema { found: i64, known: i64 },
    /// The database may hold events that this release can't read.
    #[error(
        "the database may hold events up to level {found}, this release reads them up to {known}: run the release that finished the upgrade"
    )]
    LaterEvents { found: i32, known: i32 },
    /// The data comes from another cluster, so its transaction ids mean nothing here.
    #[error("the database was restored into another cluster: run `userpool log new-epoch`")]
    Restored,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for UnfitDatabase {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The schema after a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrated {
    /// It is that of this release.
    Ours,
    /// It was already that of a later release, on which this one can serve.
    Later,
}

/// The levels before and after the end of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The level up to which events could be written before.
    pub before: i32,
    /// The level up to which they can be written now.
    pub level: i32,
}

/// What a database says about the servers that may run on it, read at one moment.
#[derive(sqlx::FromRow)]
struct Standing {
    schema: i64,
    readable_since: i64,
    event_level: i32,
    same_cluster: bool,
}

const STANDING: &str = "
select (select max(version) from _sqlx_migrations where success) as schema, m.readable_since, m.event_level,
       m.system_identifier = c.system_identifier::text as same_cluster
from meta m, pg_control_system() c";

/// The schema version of this release.
fn own_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

impl Store {
    /// Migrates the schema to this release's version, unless it is a later one already. Replicas that start together wait
    /// for each other. A new database gets this release's level of events; an existing one keeps its own.
    pub async fn migrate(&self) -> Result<Migrated, UnfitDatabase> {
        let mut connection = self.database.pool().acquire().await?;
        let result = migrate(&mut connection).await;
        // The connection no longer has the settings of the API role, and it holds a lock.
        connection.close().await?;
        match result {
            Ok(()) => Ok(Migrated::Ours),
            Err(StoreError::Migration(MigrateError::VersionMissing(version))) if version > own_schema() => {
                self.check_fitness().await?;
                Ok(Migrated::Later)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that this release can run on the database, and learns up to which level events may be written.
    pub async fn check_fitness(&self) -> Result<(), UnfitDatabase> {
        let standing = self.standing().await?;
        if standing.readable_since > own_schema() {
            return Err(UnfitDatabase::LaterSchema { found: standing.schema, known: own_schema() });
        }
        if standing.event_level > NEWEST_LEVEL {
            return Err(UnfitDatabase::LaterEvents { found: standing.event_level, known: NEWEST_LEVEL });
        }
        if !standing.same_cluster {
            return Err(UnfitDatabase::Restored);
        }
        self.event_level.learn(standing.event_level);
        Ok(())
    }

    /// Allows events of this release's level, which servers of the release before may not be able to read.
    pub async fn finish_upgrade(&self) -> Result<Finished, UnfitDatabase> {
        let Standing { schema, event_level: before, .. } = self.standing().await?;
        if schema > own_schema() {
            return Err(UnfitDatabase::LaterSchema { found: schema, known: own_schema() });
        }
        sqlx::query("update meta set event_level = $1 where event_level < $1")
            .bind(NEWEST_LEVEL)
            .execute(&self.database)
            .await?;
        Ok(Finished { before, level: before.max(NEWEST_LEVEL) })
    }

    async fn standing(&self) -> Result<Standing, UnfitDatabase> {
        let found = self.schema_version().await?;
        if found < own_schema() {
            return Err(UnfitDatabase::Schema { found, needed: own_schema() });
        }
        Ok(sqlx::query_as(STANDING).fetch_one(&self.database).await?)
    }

    async fn schema_version(&self) -> Result<i64, StoreError> {
        let there: bool =
            sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&self.database).await?;
        if !there {
            return Ok(0);
        }
        let version: Option<i64> = sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
            .fetch_one(&self.database)
            .await?;
        Ok(version.unwrap_or(0))
    }

    /// Begins a new epoch, for which everything in the logs is complete, whatever this cluster's transaction ids are.
    /// Returns it.
    pub async fn new_epoch(&self) -> Result<i64, StoreError> {
        let epoch = sqlx::query_scalar(
            "update meta set epoch = epoch + 1, system_identifier = (select system_identifier::text from pg_control_system()) returning epoch",
        )
        .fetch_one(&self.database)
        .await?;
        Ok(epoch)
    }
}

async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    // Migrations may take longer than a request.
    sqlx::query("set statement_timeout = 0").execute(&mut *connection).await?;
    sqlx::query("set lock_timeout = 0").execute(&mut *connection).await?;
    // Until the connection ends: of two that start together, one makes the database and the other finds it.
    sqlx::query("select pg_advisory_lock(hashtext('userpool migrate'))").execute(&mut *connection).await?;
    let is_new: bool = sqlx::query_scalar("select to_regclass('meta') is null").fetch_one(&mut *connection).await?;
    MIGRATIONS.run(&mut *connection).await?;
    if is_new {
        sqlx::query("update meta set event_level = $1").bind(NEWEST_LEVEL).execute(&mut *connection).await?;
    }
    fill::fill_read_models(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first migration that has to say since which schema it is readable.
    const FIRST: i64 = 17;

    /// The schema whose servers, and all later ones, can serve on the schema that this migration makes.
    fn readable_since(sql: &str) -> Result<i64, String> {
        let lines = sql.lines().filter_map(|line| line.strip_prefix("update meta set readable_since = "));
        let mut said = lines.map(|rest| rest.strip_suffix(';').and_then(|number| number.parse::<i64>().ok()));
        match (said.next(), said.next()) {
            (Some(Some(since)), None) => Ok(since),
            _ => Err("has to contain the line `update meta set readable_since = <version>;` once".to_owned()),
        }
    }

    /// What is wrong with what migrations say, by version and text in their order.
    fn faults<'a>(migrations: impl IntoIterator<Item = (i64, &'a str)>) -> Vec<String> {
        let mut lowest = FIRST - 1;
        let mut faults = Vec::new();
        for (version, sql) in migrations.into_iter().filter(|(version, _)| *version >= FIRST) {
            match readable_since(sql) {
                Ok(since) if (lowest..=version).contains(&since) => lowest = since,
                Ok(since) => faults.push(format!("{version}: {since} is not between {lowest} and {version}")),
                Err(fault) => faults.push(format!("{version}: {fault}")),
            }
        }
        faults
    }

    #[test]
    fn every_migration_says_since_which_schema_it_is_readable() {
        let migrations = MIGRATIONS.iter().map(|migration| (migration.version, migration.sql.as_str()));
        assert_eq!(faults(migrations), Vec::<String>::new());
    }

    #[test]
    fn a_migration_that_does_not_say_it_or_takes_it_back_is_found() {
        let said = |since: i64| format!("update meta set readable_since = {since};\n");
        let (old, same, own) = (said(16), said(18), said(19));
        for (fine, migrations) in [
            (true, vec![(16, ""), (17, &*old), (18, &*same), (19, &*same), (20, &*own)]),
            (false, vec![(17, "")]),
            (false, vec![(17, "update meta set readable_since = 16")]),
            (false, vec![(17, "-- update meta set readable_since = 16;")]),
            (false, vec![(17, "update meta set readable_since = 15;")]),
            (false, vec![(17, &*same)]),
            (false, vec![(17, "update meta set readable_since = 16;\nupdate meta set readable_since = 17;")]),
            (false, vec![(18, &*same), (19, &*old)]),
        ] {
            assert_eq!(faults(migrations.clone()).is_empty(), fine, "{migrations:?}");
        }
    }
}

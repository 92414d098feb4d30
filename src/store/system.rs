//! The database as a whole: its schema, its identity, its health.

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
    /// The data comes from another cluster, so its transaction ids mean nothing here.
    #[error("the database was restored into another cluster: run `userpool log new-epoch`")]
    Restored,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Migrates the schema to this release's version. Replicas that start together wait for each other.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.database.pool().acquire().await?;
        // Migrations may take longer than a request.
        sqlx::query("set statement_timeout = 0").execute(&mut *connection).await?;
        sqlx::query("set lock_timeout = 0").execute(&mut *connection).await?;
        let result = match MIGRATIONS.run(&mut *connection).await {
            Ok(()) => fill::fill_read_models(&mut connection).await,
            Err(error) => Err(error.into()),
        };
        // The connection no longer has the settings of the API role.
        connection.close().await?;
        result
    }

    /// Checks that this release can run on the database.
    pub async fn check_fitness(&self) -> Result<(), UnfitDatabase> {
        let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        let found = self.schema_version().await?;
        if found > needed {
            return Err(UnfitDatabase::LaterSchema { found, known: needed });
        }
        if found != needed {
            return Err(UnfitDatabase::Schema { found, needed });
        }
        let same: bool = sqlx::query_scalar(
            "select m.system_identifier = c.system_identifier::text from meta m, pg_control_system() c",
        )
        .fetch_one(&self.database)
        .await
        .map_err(StoreError::from)?;
        if same { Ok(()) } else { Err(UnfitDatabase::Restored) }
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

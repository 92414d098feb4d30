//! Postgres: the log, the claims and read models that follow from it, and the operational rows beside it.

pub mod account_certificates;
pub mod activity;
pub mod answers;
pub mod cache;
mod checkpoints;
pub mod commit;
mod connections;
pub mod devices;
pub mod error;
mod event_level;
pub mod event_size;
pub mod feed;
mod fill;
pub mod groups;
pub mod history;
pub mod keys;
pub mod leases;
pub mod lists;
pub mod loaded;
pub mod mailbox;
pub mod metadata;
pub mod models;
mod nonces;
pub mod notices;
pub mod outbox;
mod outcome;
pub mod pages;
pub mod parked;
pub mod purge;
pub mod read;
pub mod rebuild;
mod replay;
pub mod seal;
pub mod service_accounts;
mod session_changes;
mod sessions;
pub mod sign_in;
pub mod streams;
pub mod sweep;
pub mod system;
pub mod users;
pub mod verify;
pub mod wake;
pub mod writers;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use time::OffsetDateTime;

use crate::domain::time::Timestamp;
use crate::environment::{Clock, Random};
use crate::store::cache::Cache;
use crate::store::connections::{Connections, Database};
use crate::store::error::StoreError;
use crate::store::event_level::EventLevel;
use crate::store::keys::MasterKeys;
use crate::store::wake::Wake;

/// The migrations of this release.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The store, through which everything uses Postgres. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) database: Database,
    pub(crate) connections: Arc<Connections>,
    pub(crate) master: Arc<MasterKeys>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) cache: Arc<Cache>,
    pub(crate) event_level: Arc<EventLevel>,
    pub(crate) wake: Wake,
}

impl Store {
    /// A store on a pool of connections.
    pub fn new(database: PgPool, master: Arc<MasterKeys>) -> Self {
        let cache = Arc::new(Cache::default());
        let connections = Arc::new(Connections::new(database));
        let database = Database::new(connections.clone());
        Self {
            database,
            connections,
            master,
            clock: Clock,
            random: Random::default(),
            cache,
            event_level: Arc::default(),
            wake: Wake::default(),
        }
    }

    /// Closes all connections, and waits until none is in use.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// Shows from now on how the connections are used.
    pub fn observe(&self) {
        self.connections.observe();
    }

    /// Wakes the workers of this process when there is work.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    /// The pool of connections, for uses outside the store: migrations, health checks, tests.
    pub fn database(&self) -> &PgPool {
        self.database.pool()
    }
}

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRole {
    /// Requests: the times of statements, locks and idle transactions are bounded.
    Api,
    /// A command of an operator, without such bounds.
    Operator,
}

/// Checks whether the database accepts a connection; tries once.
pub async fn probe(url: &str) -> Result<(), StoreError> {
    let connection = PgConnection::connect_with(&url.parse()?).await?;
    connection.close().await?;
    Ok(())
}

/// Connects with the settings of this role.
pub async fn connect(url: &str, connections: u32, role: ConnectionRole) -> Result<PgPool, StoreError> {
    let statement_timeout = match role {
        ConnectionRole::Api => "5s",
        ConnectionRole::Operator => "0",
    };
    let options: PgConnectOptions = url.parse::<PgConnectOptions>()?.application_name("userpool").options([
        ("statement_timeout", statement_timeout),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "5s"),
    ]);
    let options = options.log_statements(tracing::log::LevelFilter::Trace);
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        // The ping would cost a round trip at every acquire; a dead connection shows as an error that is retried.
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// A time in the form of Postgres.
pub(crate) fn to_database(at: Timestamp) -> OffsetDateTime {
    let nanoseconds = i128::from(at.0) * 1_000_000;
    // Times come from our clock or from the database, far from the year 10,000, which ends the range.
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A time of Postgres in our form.
pub(crate) fn from_database(at: OffsetDateTime) -> Timestamp {
    // Fits: the year is below 10,000.
    Timestamp((at.unix_timestamp_nanos() / 1_000_000) as i64)
}

//! The private Postgres of `userpool dev`: found on the machine, initialised once, started and stopped with the command.
//!
//! In the data directory are
//!
//! - `postgres/`: the cluster itself. As root the server runs as user `postgres` (else `nobody`, or as the owner of a
//!   cluster that is already there), because Postgres refuses root. If that user can't reach the data directory, for
//!   example below a home directory of mode 0700, the cluster is `/var/lib/userpool-dev/<hash of the path>` instead;
//! - `postgres.location`: the path of that other place, if there is one;
//! - `postgres.password`, `postgres.port`: the password of the database user `userpool`, and the last port;
//! - `postgres.log`: the server's log, readable whichever account runs the server;
//! - `dev.lock`: locked while a `userpool dev` runs on this data directory.
//!
//! The holder of the lock may stop a server that it finds running: only a killed `userpool dev` can have left it.

mod account;
mod binaries;
mod cluster;
mod error;
mod leftover;
mod lock;
mod server;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::PostgresError;

use crate::environment::Random;
use binaries::Binaries;
use cluster::Cluster;
use lock::Lock;
use server::Server;

/// The oldest major version that the schema runs on.
const OLDEST: u32 = 15;

/// The folder for clusters whose server account could not enter the data directory.
const ELSEWHERE: &str = "/var/lib/userpool-dev";

/// A running Postgres that belongs to one data directory. When dropped, it tells the server to stop and does not wait
/// for it.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Fields are dropped in this order: the server is told to stop before the lock is released.
    server: Server,
    password: String,
    _lock: Lock,
}

impl PrivatePostgres {
    /// Starts the server of this data directory. First makes the cluster and the database if they are missing.
    ///
    /// A server that a killed run left behind is stopped first. When this returns, the database accepts connections.
    /// Dropping the future stops what it started.
    pub async fn start(data_dir: &Path) -> Result<Self, PostgresError> {
        Self::start_with(data_dir, Path::new(ELSEWHERE)).await
    }

    async fn start_with(data_dir: &Path, elsewhere: &Path) -> Result<Self, PostgresError> {
        std::fs::create_dir_all(data_dir).map_err(PostgresError::io("create", data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(PostgresError::io("open", data_dir))?;
        let lock = Lock::take(&data_dir)?;
        let random = Random::default();

        let cluster = Cluster::locate(&data_dir, elsewhere).await?;
        leftover::stop(&cluster.directory).await?;
        cluster.set_aside_if_orphaned()?;
        let installed = Binaries::of_this_machine(cluster.account).await;
        let (binaries, password) = match cluster.version()? {
            Some(version) => (installed.of_version(version, &cluster.directory)?, cluster.password()?),
            None => {
                let binaries = installed.newest()?;
                (binaries, cluster.initialise(binaries, &random).await?)
            }
        };
        let server = Server::start(&cluster, binaries, &password, &random).await?;
        Ok(Self { server, password, _lock: lock })
    }

    /// The address of the database, with user and password.
    pub fn url(&self) -> String {
        // The password is made of letters and digits, so nothing needs escaping.
        let (user, password, port) = (cluster::NAME, &self.password, self.server.port());
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{}", cluster::NAME)
    }

    /// Stops the server in order: open connections end, everything is written, and the process has ended when this returns.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        self.server.stop().await
    }
}

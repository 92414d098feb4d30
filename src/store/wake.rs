//! Waking the workers of this process, and through Postgres those of others, when there is something to do.
//!
//! No command notifies inside its transaction: that would cost it most of its speed. A coalescer notifies after commits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const CHANNEL: &str = "userpool";
const SHORTEST_GAP: Duration = Duration::from_millis(5);
const RECONNECT: Duration = Duration::from_secs(1);

/// Wakes whoever waits for new rows.
#[derive(Clone, Debug, Default)]
pub struct Wake {
    committed: Arc<Notify>,
    workers: Arc<Notify>,
}

impl Wake {
    /// Something was committed here.
    pub(crate) fn committed(&self) {
        self.committed.notify_one();
        self.workers.notify_waiters();
    }

    /// Waits until something was committed, here or in another process, or until the time is over.
    pub async fn wait(&self, longest: Duration) {
        let _ = tokio::time::timeout(longest, self.workers.notified()).await;
    }

    /// Tells other processes of commits here, at most once in five milliseconds, and wakes workers for theirs.
    pub async fn run(self, database: PgPool, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.exchange(&database, &stop).await {
                tracing::warn!(%error, "the connection that wakes other processes broke");
                let _ = tokio::time::timeout(RECONNECT, stop.cancelled()).await;
            }
        }
    }

    async fn exchange(&self, database: &PgPool, stop: &CancellationToken) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(database).await?;
        listener.listen(CHANNEL).await?;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                received = listener.recv() => {
                    received?;
                    self.workers.notify_waiters();
                }
                () = self.committed.notified() => {
                    sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(database).await?;
                    tokio::time::sleep(SHORTEST_GAP).await;
                }
            }
        }
    }
}

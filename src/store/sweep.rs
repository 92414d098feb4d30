//! Deletes expired operational rows: sessions, codes, attempts, spent challenge tokens, answers, abandoned messages.
//! They have no effect any more; deleting them keeps the tables small.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::models::tables::{OPERATIONAL, OperationalTable};
use crate::store::{Store, to_database};

/// How many rows are deleted at once; a longer transaction would block the feed.
const BATCH: i64 = 1_000;
const PAUSE: Duration = Duration::from_secs(60);

impl Store {
    /// Deletes one batch from each table. Returns the number of rows.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut swept = 0;
        for (statement, over) in OPERATIONAL.iter().filter_map(OperationalTable::sweep) {
            let before = to_database(now.plus_seconds(-over.seconds));
            let done = sqlx::query(AssertSqlSafe(statement)).bind(before).bind(BATCH).execute(&self.database).await?;
            swept += done.rows_affected();
        }
        Ok(swept)
    }

    /// Sweeps until told to stop.
    pub async fn keep_sweeping(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.sweep(self.clock.now()).await {
                Ok(swept) if swept >= BATCH.unsigned_abs() => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "expired rows can't be deleted"),
            }
            let _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
        }
    }
}

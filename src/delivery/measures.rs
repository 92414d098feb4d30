//! The metrics of the outbox as a whole.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::domain::message::Medium;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::outbox::Depth;
use crate::telemetry::metrics;

/// How often the outbox is counted.
const PAUSE: Duration = Duration::from_secs(5);
/// Counting takes at most one part in this many of a connection's time, however much waits.
const SHARE: u32 = 50;

/// Counts the messages in the outbox until it is told to stop.
pub(super) async fn run(store: Store, stop: CancellationToken) {
    let mut pause = Duration::ZERO;
    while tokio::time::timeout(pause, stop.cancelled()).await.is_err() {
        let began = Instant::now();
        if let Err(error) = observe(&store).await {
            tracing::debug!(%error, "the outbox can't be counted");
        }
        pause = PAUSE.max(began.elapsed() * SHARE);
    }
}

async fn observe(store: &Store) -> Result<(), StoreError> {
    let depths = store.outbox_depths().await?;
    for medium in Medium::ALL {
        let Depth { waiting, dead, oldest } = depths.get(&medium).copied().unwrap_or_default();
        metrics::OUTBOX_MESSAGES.set(waiting as f64, [medium.name(), "waiting"]);
        metrics::OUTBOX_MESSAGES.set(dead as f64, [medium.name(), "dead"]);
        let age = oldest.map_or(0, |oldest| (store.clock.now().0 - oldest.0).max(0));
        metrics::OUTBOX_AGE.set(age as f64 / 1_000.0, [medium.name()]);
    }
    Ok(())
}

//! The worker of the outbox: claims what is due, sends it, deletes it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::delivery::{DeliveryError, Way};
use crate::environment::Clock;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::outbox::{Claimed, MOST_ATTEMPTS};

/// So many are claimed at once.
const BATCH: i64 = 50;
/// The outbox is looked at so often even if nobody says that there is something.
const POLL: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF_SECONDS: i64 = 300;

/// Delivers until it is told to stop.
pub async fn run(store: Store, way: Way, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match deliver_batch(&store, &way).await {
            Ok(0) => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = store.wake().wait(POLL) => {}
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the outbox can't be read");
                let _ = tokio::time::timeout(POLL, stop.cancelled()).await;
            }
        }
    }
}

async fn deliver_batch(store: &Store, way: &Way) -> Result<usize, StoreError> {
    let claimed = store.claim_messages(Clock.now(), BATCH).await?;
    for message in &claimed {
        if let Err(error) = deliver(store, way, message).await {
            put_back(store, message, &error).await?;
        }
    }
    Ok(claimed.len())
}

async fn deliver(store: &Store, way: &Way, message: &Claimed) -> Result<(), DeliveryError> {
    way.deliver(store, message).await?;
    metrics::counter!("userpool_messages_delivered_total", "medium" => message.message.medium.name()).increment(1);
    Ok(())
}

async fn put_back(store: &Store, message: &Claimed, error: &DeliveryError) -> Result<(), StoreError> {
    let seconds = (1_i64 << message.attempts.clamp(0, 16)).min(LONGEST_BACK_OFF_SECONDS);
    if message.attempts >= MOST_ATTEMPTS {
        tracing::error!(%error, id = %message.id, pool = %message.user_pool_id, "a message is given up");
        metrics::counter!("userpool_messages_dead_total").increment(1);
    } else {
        tracing::warn!(%error, id = %message.id, attempts = message.attempts, "a message is tried again");
    }
    store.message_failed(message, Clock.now().plus_seconds(seconds)).await
}

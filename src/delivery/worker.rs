//! The workers of the outbox, one for each medium: claim what is due, send it, delete it.
//!
//! Each sends several messages at once and claims no more than it can send at once: a message that is claimed is under way,
//! and its attempt ends well before its claim does. So nobody else sends it meanwhile, and a server that is slow holds up only
//! what goes through it.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::delivery::{DeliveryError, Way};
use crate::domain::message::Medium;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::outbox::{CLAIM, Claimed, Turn};

/// The outbox is looked at so often even if nobody says that there is something.
const POLL: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF_SECONDS: i64 = 300;
/// Between two tries to record what became of a message while the database does not answer.
const RECORD_PAUSE: Duration = Duration::from_secs(1);

/// Delivers until it is told to stop; then what is under way comes to its end.
pub async fn run(store: Store, way: Way, stop: CancellationToken) {
    tokio::join!(
        deliver_all(store.clone(), way.clone(), Medium::Email, stop.clone()),
        deliver_all(store, way, Medium::Sms, stop)
    );
}

async fn deliver_all(store: Store, way: Way, medium: Medium, stop: CancellationToken) {
    let most = way.concurrency(medium);
    let (mut under_way, mut turn) = (JoinSet::new(), Turn::default());
    while !stop.is_cancelled() {
        while under_way.try_join_next().is_some() {}
        let free = most.saturating_sub(under_way.len());
        // What comes while the outbox is looked at is news as well.
        let news = store.wake().wait_for_messages(POLL);
        match claim(&store, medium, &mut turn, free).await {
            // Pools had the turn and had nothing to be sent: the next ones have it at once.
            Ok(claimed) if claimed.is_empty() && free > 0 && turn.goes_on() => {}
            Ok(claimed) if claimed.is_empty() => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    // A message that ends may let a later one of its owner go.
                    Some(_) = under_way.join_next() => {}
                    () = news, if free > 0 => {}
                }
            }
            Ok(claimed) => {
                for message in claimed {
                    under_way.spawn(deliver(store.clone(), way.clone(), message));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the outbox can't be read");
                let _ = tokio::time::timeout(POLL, stop.cancelled()).await;
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

async fn claim(store: &Store, medium: Medium, turn: &mut Turn, free: usize) -> Result<Vec<Claimed>, StoreError> {
    match i64::try_from(free).unwrap_or(i64::MAX) {
        0 => Ok(Vec::new()),
        free => store.claim_messages(medium, turn, store.clock.now(), free).await,
    }
}

/// One attempt at one message, and the record of what became of it.
async fn deliver(store: Store, way: Way, claimed: Claimed) {
    let until = Instant::now() + CLAIM / 2;
    let result = way.deliver(&store, &claimed).await;
    if result.is_ok() {
        let medium = claimed.message.medium.name();
        metrics::counter!("userpool_messages_delivered_total", "medium" => medium).increment(1);
    }
    // Until the claim ends nobody else looks at the message: time to record that it was delivered, which is lost otherwise.
    while let Err(error) = record(&store, &way, &claimed, &result).await {
        tracing::warn!(%error, id = %claimed.id, "what became of a message can't be recorded");
        if Instant::now() >= until {
            return;
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}

async fn record(
    store: &Store,
    way: &Way,
    claimed: &Claimed,
    result: &Result<(), DeliveryError>,
) -> Result<(), StoreError> {
    match result {
        // The mailbox took it out of the outbox in the same statement.
        Ok(()) if way.is_mailbox() => Ok(()),
        Ok(()) => store.message_delivered(claimed).await,
        Err(DeliveryError::Refused(reason)) => store.message_refused(claimed, reason).await,
        Err(error @ (DeliveryError::Failed(_) | DeliveryError::Store(_))) => {
            let (medium, attempts) = (claimed.message.medium.name(), claimed.attempts);
            tracing::warn!(%error, id = %claimed.id, pool = %claimed.user_pool_id, medium, attempts, "a message is tried again");
            metrics::counter!("userpool_messages_failed_total", "medium" => medium).increment(1);
            let next_at = store.clock.now().plus_seconds(back_off_seconds(attempts));
            store.message_failed(claimed, next_at, &error.to_string()).await
        }
    }
}

/// How long a message waits after so many attempts: 2, 4, 8 … seconds, five minutes at most.
fn back_off_seconds(attempts: i32) -> i64 {
    (1_i64 << attempts.clamp(0, 16)).min(LONGEST_BACK_OFF_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::settings::LONGEST_TIMEOUT_SECONDS;

    #[test]
    fn the_wait_grows_to_five_minutes() {
        let waits: Vec<_> = [1, 2, 3, 8, 9, 1_000].into_iter().map(back_off_seconds).collect();
        assert_eq!(waits, [2, 4, 8, 256, 300, 300]);
    }

    #[test]
    fn an_attempt_ends_well_before_its_claim() {
        assert!(Duration::from_secs(LONGEST_TIMEOUT_SECONDS) <= CLAIM / 2);
    }
}

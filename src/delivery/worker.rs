//! The workers of the outbox, one per medium: claim messages that are due, send and delete them.
//!
//! Each sends several messages at once and claims only as many as it can send at once: a claimed message is being sent,
//! and its attempt ends well before its claim does. So no other worker sends it meanwhile, and a slow mail or SMS
//! server delays only the messages that go through it.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::delivery::{DeliveryError, Way, measures};
use crate::domain::message::Medium;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::outbox::{CLAIM, Claimed, Turn};
use crate::telemetry::{metrics, trace};

/// How often the outbox is read without a notification.
const POLL: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF_SECONDS: i64 = 300;
/// Pause between two tries to record the result of a message while the database does not answer.
const RECORD_PAUSE: Duration = Duration::from_secs(1);

/// Delivers until it is told to stop; then waits for the messages under way.
pub async fn run(store: Store, way: Way, stop: CancellationToken) {
    tokio::join!(
        deliver_all(store.clone(), way.clone(), Medium::Email, stop.clone()),
        deliver_all(store.clone(), way, Medium::Sms, stop.clone()),
        measures::run(store, stop),
    );
}

async fn deliver_all(store: Store, way: Way, medium: Medium, stop: CancellationToken) {
    let most = way.concurrency(medium);
    let (mut under_way, mut turn) = (JoinSet::new(), Turn::default());
    while !stop.is_cancelled() {
        while under_way.try_join_next().is_some() {}
        let free = most.saturating_sub(under_way.len());
        // Messages that arrive while the outbox is read count as news, too.
        let news = store.wake().wait_for_messages(POLL);
        match claim(&store, medium, &mut turn, free).await {
            // The pools in turn had nothing to send: the next pools have their turn at once.
            Ok(claimed) if claimed.is_empty() && free > 0 && turn.goes_on() => {}
            Ok(claimed) if claimed.is_empty() => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    // When a message ends, a later one of the same owner may be due.
                    Some(_) = under_way.join_next() => {}
                    () = news, if free > 0 => {}
                }
            }
            Ok(claimed) => {
                for message in claimed {
                    let span = trace::continued(message.trace_context, || span(&message));
                    under_way.spawn(deliver(store.clone(), way.clone(), message).instrument(span));
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

/// The span of an attempt at a message, in the trace of the call that caused the message.
fn span(claimed: &Claimed) -> Span {
    tracing::info_span!(
        target: trace::ROOT,
        "deliver",
        otel.name = format!("deliver {}", claimed.message.medium.name()),
        otel.kind = "client",
        otel.status_code = Empty,
        userpool.message.id = %claimed.id,
        userpool.message.attempts = claimed.attempts,
    )
}

/// One attempt at one message, and the record of its result.
async fn deliver(store: Store, way: Way, claimed: Claimed) {
    let until = Instant::now() + CLAIM / 2;
    let result = way.deliver(&store, &claimed).await;
    match &result {
        Ok(()) => metrics::MESSAGES_DELIVERED.add(1, [claimed.message.medium.name()]),
        Err(_) => drop(Span::current().record("otel.status_code", "ERROR")),
    }
    // Until the claim ends, no other worker takes the message: time to record the delivery, which would be lost otherwise.
    while let Err(error) = record(&store, &way, &claimed, &result).await {
        tracing::warn!(%error, id = %claimed.id, "the result of a delivery can't be recorded");
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
        // The mailbox removed it from the outbox in the same statement.
        Ok(()) if way.is_mailbox() => Ok(()),
        Ok(()) => store.message_delivered(claimed).await,
        Err(DeliveryError::Refused(reason)) => store.message_refused(claimed, reason).await,
        Err(error @ (DeliveryError::Failed(_) | DeliveryError::Store(_))) => {
            let (medium, attempts) = (claimed.message.medium.name(), claimed.attempts);
            tracing::warn!(%error, id = %claimed.id, pool = %claimed.user_pool_id, medium, attempts, "a message is tried again");
            metrics::MESSAGES_FAILED.add(1, [medium]);
            let next_at = store.clock.now().plus_seconds(back_off_seconds(attempts));
            store.message_failed(claimed, next_at, &error.to_string()).await
        }
    }
}

/// How long a message waits after this number of attempts: 2, 4, 8 … seconds, five minutes at most.
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

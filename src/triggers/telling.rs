//! The worker that tells triggers: it takes notices from the outbox, and hands them over to the brokers.
//!
//! A notice is deleted after the brokers have acknowledged it, so it arrives at least once. Its id is in the header `id`, by
//! which a responder recognises one that it had before. Its key is the user, so a user's notices stay in order.

use std::time::Duration;

use futures::future::join_all;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio_util::sync::CancellationToken;

use crate::kafka::client::Listener;
use crate::kafka::config::KafkaConfig;
use crate::kafka::topics::{self, trigger_topic};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::notices::{CLAIM_SECONDS, ClaimedNotice};
use crate::store::outbox::NOTICE;
use crate::telemetry::metrics;

/// How often the outbox is read without a notification.
const POLL: Duration = Duration::from_millis(500);
/// How many notices are published at once.
const AT_ONCE: i64 = 200;
const LONGEST_BACK_OFF_SECONDS: i64 = 60;
/// Pause between two tries to record a result while the database does not answer.
const RECORD_PAUSE: Duration = Duration::from_secs(1);

type Publisher = FutureProducer<Listener>;

/// Tells triggers until it is told to stop.
pub(super) async fn run(config: &KafkaConfig, store: &Store, stop: &CancellationToken) {
    let mut publisher = None;
    while !stop.is_cancelled() {
        // Notices that arrive while the outbox is read count as news, too.
        let news = store.wake().wait_for_messages(POLL);
        match store.claim_notices(store.clock.now(), AT_ONCE).await {
            Ok(claimed) if claimed.is_empty() => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = news => {}
                }
            }
            Ok(claimed) => publish_all(config, store, &mut publisher, &claimed).await,
            Err(error) => {
                tracing::warn!(%error, "the outbox can't be read");
                let _ = tokio::time::timeout(POLL, stop.cancelled()).await;
            }
        }
    }
}

async fn publish_all(
    config: &KafkaConfig,
    store: &Store,
    publisher: &mut Option<Publisher>,
    claimed: &[ClaimedNotice],
) {
    let connected = match publisher.take() {
        Some(connected) => Ok(connected),
        None => connect(config).await,
    };
    let results = match &connected {
        Ok(connected) => join_all(claimed.iter().map(|notice| publish(config, connected, notice))).await,
        Err(error) => vec![Err(error.clone()); claimed.len()],
    };
    join_all(claimed.iter().zip(&results).map(|(notice, result)| record(store, notice, result))).await;
    // A producer that must not go on, because it can't tell what the brokers have, is replaced.
    *publisher = connected.ok().filter(|_| results.iter().all(Result::is_ok));
}

/// A producer whose records no failure doubles or reorders. Missing topics are created first.
async fn connect(config: &KafkaConfig) -> Result<Publisher, KafkaError> {
    let config = config.clone();
    let connected = tokio::task::spawn_blocking(move || {
        topics::create_missing(&config, &CancellationToken::new())?;
        config.telling_producer().create_with_context(Listener::default())
    });
    connected.await.unwrap_or(Err(KafkaError::Canceled))
}

async fn publish(config: &KafkaConfig, publisher: &Publisher, claimed: &ClaimedNotice) -> Result<(), KafkaError> {
    let (topic, id) = (trigger_topic(config, claimed.notice.trigger), claimed.id.to_string());
    let key = format!("{}/{}", claimed.user_pool_id, claimed.owner);
    let traceparent = claimed.trace_context.map(|trace| trace.to_string());
    let headers = [
        ("id", Some(id.as_str())),
        ("function", Some(claimed.notice.function.as_str())),
        ("traceparent", traceparent.as_deref()),
    ];
    let given = headers.into_iter().filter(|(_, value)| value.is_some());
    let headers = given.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }));
    let record = FutureRecord::to(&topic).key(&key).payload(&claimed.notice.event).headers(headers);
    publisher.send(record, Duration::ZERO).await.map(drop).map_err(|(error, _)| error)
}

/// Records a result. Until the claim ends, no other worker takes the notice.
async fn record(store: &Store, claimed: &ClaimedNotice, result: &Result<(), KafkaError>) {
    let until = tokio::time::Instant::now() + Duration::from_secs(CLAIM_SECONDS.unsigned_abs() / 3);
    match result {
        Ok(()) => metrics::MESSAGES_DELIVERED.add(1, [NOTICE]),
        Err(_) => metrics::MESSAGES_FAILED.add(1, [NOTICE]),
    }
    while let Err(error) = try_to_record(store, claimed, result).await {
        tracing::warn!(%error, id = %claimed.id, "what became of a notice can't be recorded");
        if tokio::time::Instant::now() >= until {
            return;
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}

async fn try_to_record(
    store: &Store,
    claimed: &ClaimedNotice,
    result: &Result<(), KafkaError>,
) -> Result<(), StoreError> {
    let Err(error) = result else { return store.notice_published(claimed).await };
    let (trigger, attempts) = (claimed.notice.trigger.name(), claimed.attempts);
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
        return store.notice_refused(claimed, "the brokers take no records of this size").await;
    }
    tracing::warn!(%error, id = %claimed.id, pool = %claimed.user_pool_id, trigger, attempts, "a notice is tried again");
    let next_at = store.clock.now().plus_seconds(back_off_seconds(attempts));
    store.notice_failed(claimed, next_at, &error.to_string()).await
}

/// How long a notice waits after this number of attempts: 1, 2, 4 … seconds, a minute at most.
fn back_off_seconds(attempts: i32) -> i64 {
    (1_i64 << (attempts - 1).clamp(0, 16)).min(LONGEST_BACK_OFF_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_a_minute() {
        let waits: Vec<_> = [1, 2, 3, 6, 7, 1_000].into_iter().map(back_off_seconds).collect();
        assert_eq!(waits, [1, 2, 4, 32, 60, 60]);
    }
}

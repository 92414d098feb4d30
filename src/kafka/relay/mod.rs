//! The relay: reads both logs in the order of their feeds and publishes every row, at least once and none skipped.
//!
//! One replica relays at a time. It holds the lease `relay-0` and a producer with the transactional id `relay-0`, and
//! repeats: read a batch after the checkpoints, publish it in one Kafka transaction, move the checkpoints in one SQL
//! transaction. What makes this safe whenever it stops:
//!
//! - Taking the lease changes its token, so from then on a predecessor can't move a checkpoint; then the checkpoints are
//!   read; then connecting fences the predecessor's producer and aborts what it has in flight. Whatever it did publish
//!   after the checkpoint is published again: twice, never not at all.
//! - Whoever connected late, with a lease that another one has taken since, renews it before it publishes, and so finds out.
//! - After any error the producer is thrown away and the lease given up: a replica that reaches Kafka takes over, or this
//!   one begins again from the checkpoint, after a pause that grows.
//!
//! An event that can't be published as a whole (see [`Poison`](crate::kafka::cloud_event::Poison)) is parked: named in
//! `relay_parked`, in the transaction that moves the checkpoint behind it, with an error in the log of the server. What follows
//! under its key joins it there, so that no consumer sees a key's events out of order; all other keys go on. An operator has
//! what is parked tried again; whoever relays does it, from the first of a key to the first that fails again.

mod batch;
mod measures;
mod pause;
mod publish;
mod tenure;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use crate::environment::Random;
use crate::kafka::config::KafkaConfig;
use crate::kafka::producer::ProducerError;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::feed::Log;
use crate::store::leases::Lease;
use pause::Pause;
use tenure::Tenure;

/// The lease, and with the prefix the transactional id. More relays, each with its share of the keys, would have more.
const SHARD: &str = "relay-0";
/// A relay that is killed is replaced after this time at most, one that stops at once.
const LEASE: Duration = Duration::from_secs(5);
/// How often a replica that does not relay asks for the lease.
const FOLLOW: Duration = Duration::from_secs(1);
const FAREWELL: Duration = Duration::from_secs(2);

/// Publishes both logs to Kafka while it holds the lease.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    config: Arc<KafkaConfig>,
    holder: String,
}

/// Why a tenure ended before it was told to.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("another replica holds the lease")]
    LeaseLost,
    #[error("the topics: {0}")]
    Topics(KafkaError),
    #[error("Kafka: {0}")]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a thread ended in an unexpected way: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// The name under which a log's checkpoint is kept.
pub fn reader(log: Log) -> String {
    format!("relay/{}", log.name())
}

/// Forgets the relay, unless some replica relays: nothing waits for it any more, and one that starts later begins at the start of
/// both logs. Answers whether it did.
///
/// It does so under the lease of the relay, so that no replica begins meanwhile, and one that relayed before moves no checkpoint
/// after it.
pub async fn forget(store: &Store) -> Result<bool, StoreError> {
    let holder = format!("relay forget/{}", Random::default().uuid());
    let Some(lease) = store.lease(SHARD, &holder, LEASE).await? else { return Ok(false) };
    let forgotten = forget_readers(store).await;
    store.release_lease(&lease).await?;
    forgotten.map(|()| true)
}

async fn forget_readers(store: &Store) -> Result<(), StoreError> {
    for log in Log::ALL {
        store.forget_reader(&reader(log), log).await?;
    }
    Ok(())
}

impl Relay {
    /// A relay of this store's logs. The holder names this process to whoever looks at the lease; relays of one holder are
    /// told apart.
    pub fn new(store: Store, config: KafkaConfig, holder: String) -> Self {
        // A process that comes back under its name must not take the lease of one that is still going.
        let holder = format!("{holder}/{}", Random::default().uuid());
        Self { store, config: Arc::new(config), holder }
    }

    /// Where it publishes.
    pub fn config(&self) -> Arc<KafkaConfig> {
        self.config.clone()
    }

    /// Forgets what was published and what was parked: the relay begins at the start of both logs. For brokers that keep
    /// nothing.
    pub async fn rewind(&self) -> Result<(), StoreError> {
        forget_readers(&self.store).await?;
        self.enter().await
    }

    /// Makes the relay known as a reader of both logs: from then on nothing is deleted that it has not published.
    pub async fn enter(&self) -> Result<(), StoreError> {
        for log in Log::ALL {
            self.store.enter_reader(&reader(log)).await?;
        }
        Ok(())
    }

    /// Relays until it is told to stop. It never fails: whatever is away, it waits for.
    pub async fn run(self, stop: CancellationToken) {
        measures::describe();
        let mut pause = Pause::default();
        let mut topics_are_settled = false;
        while !stop.is_cancelled() {
            let wait = match self.lead(&stop, &mut pause, &mut topics_are_settled).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => FOLLOW,
                Err(error) if stop.is_cancelled() => {
                    tracing::debug!(%error, "the relay stops");
                    break;
                }
                Err(error) => {
                    measures::count_error();
                    let wait = pause.next();
                    match &error {
                        RelayError::LeaseLost => tracing::warn!("the relay lost its lease to another replica"),
                        RelayError::Producer(cause) if cause.is_fenced() => {
                            tracing::warn!(%error, "the relay was replaced by another replica");
                        }
                        _ => tracing::warn!(%error, ?wait, "events wait: the relay begins again"),
                    }
                    wait
                }
            };
            let _ = tokio::time::timeout(wait, stop.cancelled()).await;
        }
    }

    /// Relays for as long as that is possible. Answers whether this replica had the lease.
    async fn lead(
        &self,
        stop: &CancellationToken,
        pause: &mut Pause,
        topics_are_settled: &mut bool,
    ) -> Result<bool, RelayError> {
        let Some(lease) = self.store.lease(SHARD, &self.holder, LEASE).await? else {
            measures::forget();
            return Ok(false);
        };
        tracing::info!(token = lease.token, "relaying");
        let ended = Tenure::new(&self.store, &self.config, lease.clone(), stop).relay(pause, topics_are_settled).await;
        if !matches!(ended, Err(RelayError::LeaseLost)) {
            self.release(&lease).await;
        }
        ended.map(|()| true)
    }

    async fn release(&self, lease: &Lease) {
        match tokio::time::timeout(FAREWELL, self.store.release_lease(lease)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the lease was not released; it expires"),
            Err(_) => tracing::debug!("the lease was not released in time; it expires"),
        }
    }
}

//! The relay: reads both logs in the order of their feeds and publishes every row, at least once and none skipped.
//!
//! One replica relays at a time. It holds the lease `relay-0` and a producer with the transactional id `relay-0`, and
//! repeats: read a batch after the checkpoints, publish it in one Kafka transaction, move the checkpoints in one SQL
//! transaction. It can stop at any point safely:
//!
//! - Taking the lease changes its token, so from then on a predecessor can't move a checkpoint. Only then are the
//!   checkpoints read. Then connecting fences the predecessor's producer and aborts its open transaction. Events that it
//!   published after the checkpoint are published again: twice, but never not at all.
//! - A replica that connects late, after another one has taken the lease, notices, because it renews the lease before
//!   it publishes.
//! - After any error the producer is dropped and the lease released: a replica that reaches Kafka takes over, or this
//!   one starts again from the checkpoint, after a pause that grows.
//!
//! An event that can't be published as a whole (see [`Poison`](crate::kafka::cloud_event::Poison)) is parked: it is
//! named in `relay_parked`, in the transaction that moves the checkpoint past it, and the server logs an error. Later
//! events of its key are parked too, so that no consumer sees a key's events out of order; all other keys go on. An
//! operator can have parked events tried again. The relaying replica does so, from the first event of a key to the next
//! one that fails.

mod batch;
mod measures;
mod publish;
mod tenure;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use crate::environment::Random;
use crate::kafka::config::KafkaConfig;
use crate::kafka::pause::Pause;
use crate::kafka::producer::ProducerError;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::feed::Log;
use crate::store::leases::Lease;
use tenure::Tenure;

/// The lease, and with the prefix the transactional id. With several relays, each would have a share of the keys and a
/// lease of its own.
const SHARD: &str = "relay-0";
/// A killed relay is replaced after this time at most; one that stops is replaced at once.
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

/// Why a tenure ended early.
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

/// The name of a log's checkpoint.
pub fn reader(log: Log) -> String {
    format!("relay/{}", log.name())
}

/// Forgets the relay's checkpoints, unless a replica relays: nothing waits for the relay any more, and one that starts
/// later begins at the start of both logs. Returns whether it did.
///
/// It holds the lease of the relay meanwhile, so that no replica starts, and a replica that relayed before can't move a
/// checkpoint afterwards.
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
    /// A relay of this store's logs. `holder` names this process to operators who look at the lease; relays with the
    /// same holder are still told apart.
    pub fn new(store: Store, config: KafkaConfig, holder: String) -> Self {
        // A process that restarts under its old name must not take over a lease that another one still uses.
        let holder = format!("{holder}/{}", Random::default().uuid());
        Self { store, config: Arc::new(config), holder }
    }

    /// The brokers, topics and settings that the relay publishes with.
    pub fn config(&self) -> Arc<KafkaConfig> {
        self.config.clone()
    }

    /// Forgets the checkpoints and the parked events, so that the relay begins at the start of both logs. For brokers
    /// that store nothing.
    pub async fn rewind(&self) -> Result<(), StoreError> {
        forget_readers(&self.store).await?;
        self.enter().await
    }

    /// Registers the relay as a reader of both logs: from then on no fact is deleted that it has not published.
    pub async fn enter(&self) -> Result<(), StoreError> {
        for log in Log::ALL {
            self.store.enter_reader(&reader(log)).await?;
        }
        Ok(())
    }

    /// Relays until it is told to stop. It never fails: it waits for anything that is unavailable.
    pub async fn run(self, stop: CancellationToken) {
        measures::begin();
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
                    let wait = pause.next_pause();
                    match &error {
                        RelayError::LeaseLost => tracing::warn!("the relay lost its lease to another replica"),
                        RelayError::Producer(cause) if cause.is_fenced() => {
                            tracing::warn!(%error, "the relay was replaced by another replica");
                        }
                        _ => tracing::warn!(%error, ?wait, "events wait: the relay failed and starts again"),
                    }
                    wait
                }
            };
            let _ = tokio::time::timeout(wait, stop.cancelled()).await;
        }
    }

    /// Relays for as long as that is possible. Returns whether this replica had the lease.
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

//! The time from taking the lease to giving it up.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Entry, Retrial};
use super::measures::{self, Writers};
use super::publish::{self, Fate, Outgoing};
use super::{LEASE, RelayError, SHARD, reader};
use crate::domain::time::Timestamp;
use crate::kafka::cloud_event;
use crate::kafka::config::KafkaConfig;
use crate::kafka::pause::Pause;
use crate::kafka::producer::TransactionalProducer;
use crate::kafka::topics;
use crate::store::Store;
use crate::store::feed::{Cursor, Log};
use crate::store::leases::Lease;
use crate::store::parked::Parking;

/// The most rows of a log that are read at once, which bounds the memory.
const BATCH: i64 = 500;
/// How long the relay waits for news of a commit before it reads the logs anyway.
const IDLE: Duration = Duration::from_millis(100);
/// The time from the start of one batch to the start of the next, unless the first was full: a single event is
/// published at once, and on a busy server events share transactions, in Postgres and on Kafka.
const PACE: Duration = Duration::from_millis(50);
/// How often the lease is renewed.
const RENEW: Duration = Duration::from_millis(1500);
/// How often the lease and the lag are checked during a call to Kafka.
const TICK: Duration = Duration::from_millis(500);
/// How long a batch may still take once the relay is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// How often the relay checks for parked events to be tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The time during which this replica holds the lease.
pub(super) struct Tenure<'a> {
    store: &'a Store,
    config: &'a Arc<KafkaConfig>,
    lease: Lease,
    renewed: Instant,
    stop: &'a CancellationToken,
    logs: Vec<Position>,
    /// When the relay last checked for parked events to be tried again.
    retried: Option<Instant>,
    writers: Writers,
}

/// The progress of a log.
struct Position {
    log: Log,
    topic: Arc<str>,
    cursor: Cursor,
    /// When the oldest unpublished event happened.
    oldest: Option<Timestamp>,
    /// The number of parked events. Only this tenure changes it.
    parked: u64,
}

impl Position {
    fn parked(&mut self, events: u64) {
        self.parked = events;
        measures::parked(self.log, events);
    }

    fn outgoing<'b>(&self, entries: &'b [Entry]) -> impl Iterator<Item = Outgoing> + use<'b> {
        let topic = Arc::clone(&self.topic);
        entries.iter().map(move |entry| Outgoing { topic: Arc::clone(&topic), record: Arc::clone(&entry.record) })
    }
}

impl<'a> Tenure<'a> {
    /// A tenure that starts now.
    pub(super) fn new(
        store: &'a Store,
        config: &'a Arc<KafkaConfig>,
        lease: Lease,
        stop: &'a CancellationToken,
    ) -> Self {
        let (renewed, writers) = (Instant::now(), Writers::default());
        Self { store, config, lease, renewed, stop, logs: Vec::new(), retried: None, writers }
    }

    /// Relays until it is told to stop or something fails.
    pub(super) async fn relay(mut self, pause: &mut Pause, topics_are_settled: &mut bool) -> Result<(), RelayError> {
        let mut producer = None;
        let ended = self.serve(&mut producer, pause, topics_are_settled).await;
        close(producer);
        ended
    }

    async fn serve(
        &mut self,
        producer: &mut Option<TransactionalProducer>,
        pause: &mut Pause,
        topics_are_settled: &mut bool,
    ) -> Result<(), RelayError> {
        self.begin(producer, topics_are_settled).await?;
        while !self.stop.is_cancelled() {
            if self.renewed.elapsed() >= RENEW {
                self.renew().await?;
            }
            self.writers.observe(self.store).await;
            self.retry(producer).await?;
            // Events that are committed during the read count as news too.
            let news = self.store.wake().wait_for_events(IDLE);
            let mut batches = self.read().await?;
            if batches.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = news => {}
                }
                continue;
            }
            let began = Instant::now();
            self.send(producer, &mut batches).await?;
            self.move_on(&batches).await?;
            pause.reset();
            if !batches.iter().any(|batch| batch.is_full(BATCH)) {
                let _ = tokio::time::timeout(PACE.saturating_sub(began.elapsed()), self.stop.cancelled()).await;
            }
        }
        Ok(())
    }

    /// Reads the checkpoints, creates missing topics, and connects.
    async fn begin(
        &mut self,
        producer: &mut Option<TransactionalProducer>,
        topics_are_settled: &mut bool,
    ) -> Result<(), RelayError> {
        for log in Log::ALL {
            self.store.enter_reader(&reader(log)).await?;
            let cursor = self.store.checkpoint(&reader(log)).await?;
            let topic = topics::topic(self.config, log).into();
            let mut position = Position { log, topic, cursor, oldest: None, parked: 0 };
            position.parked(self.store.count_parked(log).await?);
            self.logs.push(position);
        }
        if !*topics_are_settled {
            let config = Arc::clone(self.config);
            let create = move |give_up: &CancellationToken| topics::create_missing(&config, give_up);
            self.in_thread(Duration::ZERO, create).await?.map_err(RelayError::Topics)?;
            *topics_are_settled = true;
        }
        let config = Arc::clone(self.config);
        let connect = move |give_up: &CancellationToken| publish::connect(&config, give_up);
        *producer = Some(self.in_thread(Duration::ZERO, connect).await??);
        // If another relay took the lease meanwhile, its producer was just fenced by mistake.
        self.renew().await
    }

    /// Publishes batches, and records in each the outcome for its events.
    async fn send(
        &mut self,
        producer: &mut Option<TransactionalProducer>,
        batches: &mut [Batch],
    ) -> Result<(), RelayError> {
        let outgoing = self.logs.iter().flat_map(|position| {
            let batches = batches.iter().filter(|batch| batch.log == position.log);
            batches.flat_map(|batch| position.outgoing(&batch.entries))
        });
        let outgoing = outgoing.collect();
        let mut fates = self.publish(producer, outgoing).await?.into_iter();
        for batch in batches {
            let entries = batch.entries.len();
            batch.settle(fates.by_ref().take(entries));
        }
        Ok(())
    }

    /// The next batch of each log that has rows, in the order of the logs.
    async fn read(&mut self) -> Result<Vec<Batch>, RelayError> {
        let largest = self.config.largest_record();
        let mut batches = Vec::new();
        for position in &mut self.logs {
            let rows = self.store.feed(position.log, &position.cursor, BATCH).await?;
            let parked_keys = match position.parked {
                0 => HashSet::new(),
                _ => {
                    let keys: Vec<String> = rows.iter().map(cloud_event::key).collect();
                    self.store.parked_keys(position.log, &keys).await?
                }
            };
            let batch = Batch::new(position.log, &position.topic, rows, parked_keys, largest);
            position.oldest = batch.oldest;
            measures::lag(position.log, position.oldest);
            if batch.reached.is_some() {
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    /// Publishes records and returns the outcome for each: they are published, unless the brokers refuse one as too
    /// large.
    async fn publish(
        &mut self,
        producer: &mut Option<TransactionalProducer>,
        records: Vec<Outgoing>,
    ) -> Result<Vec<Fate>, RelayError> {
        let published = vec![Fate::Published; records.len()];
        // There is a producer: it was put back after the last batch.
        let Some(connected) = producer.take_if(|_| !records.is_empty()) else { return Ok(published) };
        let records: Arc<[Outgoing]> = records.into();
        let together = Arc::clone(&records);
        let publish = move |give_up: &CancellationToken| publish::together(connected, &together, give_up);
        match self.in_thread(GRACE, publish).await? {
            Ok(connected) => {
                *producer = Some(connected);
                Ok(published)
            }
            Err(error) if error.is_too_large() => {
                tracing::warn!(%error, "the brokers refuse a batch as too large: its records are sent one by one");
                let config = Arc::clone(self.config);
                let publish = move |give_up: &CancellationToken| publish::one_by_one(&config, &records, give_up);
                let (connected, fates) = self.in_thread(GRACE, publish).await??;
                *producer = Some(connected);
                Ok(fates)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Moves the checkpoints past the events that were published or parked.
    async fn move_on(&mut self, batches: &[Batch]) -> Result<(), RelayError> {
        let reached = || batches.iter().filter_map(|batch| batch.reached.clone().map(|cursor| (batch, cursor)));
        let moves: Vec<(String, Cursor)> = reached().map(|(batch, cursor)| (reader(batch.log), cursor)).collect();
        let parked: Vec<Parking> = batches.iter().flat_map(|batch| &batch.parked).cloned().collect();
        if !self.store.move_checkpoints(&self.lease, &moves, &parked).await? {
            return Err(RelayError::LeaseLost);
        }
        for (batch, cursor) in reached() {
            measures::count_published(batch.log, batch.entries.len());
            for position in self.logs.iter_mut().filter(|position| position.log == batch.log) {
                position.cursor = cursor.clone();
                position.parked(position.parked + batch.parked.len() as u64);
            }
        }
        Ok(())
    }

    /// Retries the parked events that an operator has marked.
    async fn retry(&mut self, producer: &mut Option<TransactionalProducer>) -> Result<(), RelayError> {
        if self.logs.iter().all(|position| position.parked == 0) || !measures::is_over(self.retried, RETRY) {
            return Ok(());
        }
        let mut is_done = true;
        for index in 0..self.logs.len() {
            is_done &= self.retry_log(index, producer).await?;
        }
        self.retried = is_done.then(Instant::now);
        Ok(())
    }

    /// Retries those of one log. Returns whether none is left.
    async fn retry_log(
        &mut self,
        index: usize,
        producer: &mut Option<TransactionalProducer>,
    ) -> Result<bool, RelayError> {
        let log = self.logs[index].log;
        let retried = self.store.parked_to_retry(log, BATCH).await?;
        if retried.is_empty() {
            return Ok(true);
        }
        let trial = Retrial::new(log, &self.logs[index].topic, retried, self.config.largest_record());
        let is_full = trial.is_full(BATCH);
        let outgoing = self.logs[index].outgoing(&trial.entries).collect();
        let fates = self.publish(producer, outgoing).await?;
        let published = fates.iter().filter(|fate| **fate == Fate::Published).count();
        let settled = trial.settled(fates.into_iter());
        if !self.store.settle_retried(&self.lease, log, &settled).await? {
            return Err(RelayError::LeaseLost);
        }
        for (_, id, key, why) in &settled.failed {
            tracing::error!(log = log.name(), %id, key, "a parked event was tried again and failed: {why}");
        }
        measures::count_published(log, published);
        let position = &mut self.logs[index];
        position.parked(position.parked.saturating_sub(settled.published.len() as u64));
        // Events that were parked under the key meanwhile are tried next.
        Ok(!is_full && settled.published.is_empty())
    }

    /// Runs blocking work in a thread, and keeps the lease meanwhile. The work is told to give up when the lease is
    /// lost, when no caller waits for it any more, or when the grace period after a request to stop is over.
    async fn in_thread<T: Send + 'static>(
        &mut self,
        grace: Duration,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> Result<T, RelayError> {
        let give_up = CancellationToken::new();
        let _gives_up = give_up.clone().drop_guard();
        let token = give_up.clone();
        let mut thread = tokio::task::spawn_blocking(move || work(&token));
        let stop = self.stop;
        let overdue = async move {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::pin!(overdue);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut lost = false;
        loop {
            tokio::select! {
                done = &mut thread => {
                    let done = done?;
                    if lost {
                        close(done);
                        return Err(RelayError::LeaseLost);
                    }
                    return Ok(done);
                }
                () = &mut overdue, if !give_up.is_cancelled() => give_up.cancel(),
                _ = ticks.tick(), if !lost => {
                    lost = self.is_lost().await;
                    if lost {
                        give_up.cancel();
                    }
                    self.measure().await;
                }
            }
        }
    }

    /// Renews the lease if that is due. An unavailable database does not end the work, because moving the checkpoints
    /// checks the lease again.
    async fn is_lost(&mut self) -> bool {
        if self.renewed.elapsed() < RENEW {
            return false;
        }
        match self.renew().await {
            Err(RelayError::LeaseLost) => true,
            Err(error) => {
                tracing::debug!(%error, "the lease could not be renewed");
                false
            }
            Ok(()) => false,
        }
    }

    async fn renew(&mut self) -> Result<(), RelayError> {
        match self.store.lease(SHARD, &self.lease.holder, LEASE).await? {
            // Another token means that the lease had expired, and that another replica may have held it since.
            Some(lease) if lease.token == self.lease.token => {
                self.renewed = Instant::now();
                Ok(())
            }
            _ => Err(RelayError::LeaseLost),
        }
    }

    /// Updates the lag while nothing is published.
    async fn measure(&mut self) {
        for position in &mut self.logs {
            if position.oldest.is_none()
                && let Ok(rows) = self.store.feed(position.log, &position.cursor, 1).await
            {
                position.oldest = rows.first().map(|row| row.at);
            }
            measures::lag(position.log, position.oldest);
        }
        self.writers.observe(self.store).await;
    }
}

/// Drops a value, such as a producer, whose destructor may block.
fn close<T: Send + 'static>(closing: T) {
    drop(tokio::task::spawn_blocking(move || drop(closing)));
}

//! The time between taking the lease and giving it up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::measures::{self, Writers};
use super::pause::Pause;
use super::{LEASE, RelayError, SHARD, reader};
use crate::domain::time::Timestamp;
use crate::kafka::config::KafkaConfig;
use crate::kafka::producer::TransactionalProducer;
use crate::kafka::topics;
use crate::store::Store;
use crate::store::feed::{Cursor, Log};
use crate::store::leases::Lease;

/// Rows of a log that are read at once: what bounds the memory.
const BATCH: i64 = 500;
/// How long the relay waits for the news of a commit before it looks for itself.
const IDLE: Duration = Duration::from_millis(100);
/// The time from the beginning of a batch to that of the next, unless the first was full: an event that comes alone is
/// published at once, and those of a busy server share transactions, here and on Kafka.
const PACE: Duration = Duration::from_millis(50);
/// How often the lease is renewed.
const RENEW: Duration = Duration::from_millis(1500);
/// How often the lease and the lag are looked at while a call to Kafka goes on.
const TICK: Duration = Duration::from_millis(500);
/// How long a batch that is under way may take once the relay is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// How long a log with an event that can't be published is left alone.
const STUCK: Duration = Duration::from_secs(10);

/// A tenure of the lease.
pub(super) struct Tenure<'a> {
    store: &'a Store,
    config: &'a Arc<KafkaConfig>,
    lease: Lease,
    renewed: Instant,
    stop: &'a CancellationToken,
    logs: Vec<Position>,
    writers: Writers,
}

/// Where a log stands.
struct Position {
    log: Log,
    topic: String,
    cursor: Cursor,
    /// When the first of what is not published happened.
    oldest: Option<Timestamp>,
    /// Since when the log has stood still.
    stuck: Option<Instant>,
}

impl<'a> Tenure<'a> {
    /// A tenure that begins now.
    pub(super) fn new(
        store: &'a Store,
        config: &'a Arc<KafkaConfig>,
        lease: Lease,
        stop: &'a CancellationToken,
    ) -> Self {
        Self { store, config, lease, renewed: Instant::now(), stop, logs: Vec::new(), writers: Writers::default() }
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
        for log in Log::ALL {
            let cursor = self.store.checkpoint(&reader(log)).await?;
            self.logs.push(Position { log, topic: topics::topic(self.config, log), cursor, oldest: None, stuck: None });
        }
        if !*topics_are_settled {
            let config = Arc::clone(self.config);
            let create = move |give_up: &CancellationToken| topics::create_missing(&config, give_up);
            self.in_thread(Duration::ZERO, create).await?.map_err(RelayError::Topics)?;
            *topics_are_settled = true;
        }
        let config = Arc::clone(self.config);
        let connect = move |give_up: &CancellationToken| {
            TransactionalProducer::connect(&config, &format!("{}{SHARD}", config.prefix), give_up)
        };
        *producer = Some(self.in_thread(Duration::ZERO, connect).await??);
        // If somebody took the lease in the meantime, it is his producer that was just fenced, and not by right.
        self.renew().await?;

        while !self.stop.is_cancelled() {
            if self.renewed.elapsed() >= RENEW {
                self.renew().await?;
            }
            self.writers.observe(self.store).await;
            let batches = self.read().await?;
            if batches.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = self.store.wake().wait_for_events(IDLE) => {}
                }
                continue;
            }
            let (began, batches) = (Instant::now(), Arc::new(batches));
            // It is there: it was put back after the last batch.
            if let Some(connected) = producer.take() {
                *producer = Some(self.publish(connected, Arc::clone(&batches)).await?);
            }
            self.move_on(&batches).await?;
            pause.reset();
            if !batches.iter().any(|batch| batch.is_full(BATCH)) {
                let _ = tokio::time::timeout(PACE.saturating_sub(began.elapsed()), self.stop.cancelled()).await;
            }
        }
        Ok(())
    }

    /// The next batch of each log that has one.
    async fn read(&mut self) -> Result<Vec<Batch>, RelayError> {
        let mut batches = Vec::new();
        for position in &mut self.logs {
            if !measures::is_over(position.stuck, STUCK) {
                measures::lag(position.log, position.oldest);
                continue;
            }
            let rows = self.store.feed(position.log, &position.cursor, BATCH).await?;
            let batch = Batch::new(position.log, rows);
            position.oldest = batch.oldest;
            measures::lag(position.log, position.oldest);
            position.stuck = batch.poison.as_ref().map(|poisoned| {
                let (log, kind, id, why) = (position.log.name(), &poisoned.kind, poisoned.event_id, &poisoned.why);
                tracing::error!(log, kind, %id, "nothing after this event is published: {why}");
                measures::count_error();
                Instant::now()
            });
            measures::stuck(position.log, position.stuck.is_some());
            if !batch.records.is_empty() {
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    async fn publish(
        &mut self,
        producer: TransactionalProducer,
        batches: Arc<Vec<Batch>>,
    ) -> Result<TransactionalProducer, RelayError> {
        let topics: Vec<(Log, String)> =
            self.logs.iter().map(|position| (position.log, position.topic.clone())).collect();
        let publish = move |give_up: &CancellationToken| {
            let records = topics.iter().flat_map(|(log, topic)| {
                let batches = batches.iter().filter(|batch| batch.log == *log);
                batches.flat_map(|batch| &batch.records).map(|record| (topic.as_str(), record))
            });
            producer.publish(records, give_up).map(|()| producer)
        };
        Ok(self.in_thread(GRACE, publish).await??)
    }

    /// Moves the checkpoints behind what was published.
    async fn move_on(&mut self, batches: &[Batch]) -> Result<(), RelayError> {
        let reached = || batches.iter().filter_map(|batch| batch.reached.clone().map(|cursor| (batch, cursor)));
        let moves: Vec<(String, Cursor)> = reached().map(|(batch, cursor)| (reader(batch.log), cursor)).collect();
        if !self.store.move_checkpoints(&self.lease, &moves).await? {
            return Err(RelayError::LeaseLost);
        }
        for (batch, cursor) in reached() {
            measures::count_published(batch.log, batch.records.len());
            for position in self.logs.iter_mut().filter(|position| position.log == batch.log) {
                position.cursor = cursor.clone();
            }
        }
        Ok(())
    }

    /// Runs what blocks in a thread and holds the lease meanwhile. The work is told to give up when the lease is lost, when
    /// nobody waits for it any more, and when the relay has been told to stop for so long.
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

    /// Renews the lease if that is due. A database that does not answer now does not end the work: whether the lease was
    /// held is asked again when the checkpoints move.
    async fn is_lost(&mut self) -> bool {
        if self.renewed.elapsed() < RENEW {
            return false;
        }
        match self.renew().await {
            Err(RelayError::LeaseLost) => true,
            Err(error) => {
                tracing::debug!(%error, "the lease is not renewed");
                false
            }
            Ok(()) => false,
        }
    }

    async fn renew(&mut self) -> Result<(), RelayError> {
        match self.store.lease(SHARD, &self.lease.holder, LEASE).await? {
            // Another token means that it had expired: somebody may have had it since.
            Some(lease) if lease.token == self.lease.token => {
                self.renewed = Instant::now();
                Ok(())
            }
            _ => Err(RelayError::LeaseLost),
        }
    }

    /// Keeps the lag right while nothing is published.
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

/// Drops what may block when it is dropped, as a producer does.
fn close<T: Send + 'static>(closing: T) {
    drop(tokio::task::spawn_blocking(move || drop(closing)));
}

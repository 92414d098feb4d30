//! A transactional producer: consumers of committed records see either a whole batch or nothing of it.
//!
//! Every call here blocks, as librdkafka's transaction calls do, and checks about every tenth of a second whether to
//! give up. So it runs in a thread for blocking work, and ends soon after its caller has gone.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tokio_util::sync::CancellationToken;

use crate::kafka::client::Listener;
use crate::kafka::cloud_event::Record;
use crate::kafka::config::KafkaConfig;

/// Brokers that do not answer for this long count as unavailable.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a call checks whether to give up.
const SLICE: Duration = Duration::from_millis(100);
/// How often the delivery of a batch is checked. librdkafka's own flush checks ten times a second, which would be most
/// of the time that a batch takes.
const DELIVERY_SLICE: Duration = Duration::from_millis(1);
/// How long aborting a transaction may take at the end.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

/// Why a producer can't be used any more.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// Kafka refused the call, or is unavailable.
    #[error("{step}: {error}{}", reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default())]
    Kafka {
        /// The call that failed, such as `beginning a transaction`.
        step: &'static str,
        /// The error that librdkafka returned.
        error: KafkaError,
        /// The reason that librdkafka logged, if any.
        reason: Option<String>,
    },
    /// The producer was told to give up.
    #[error("{0}: given up")]
    GivenUp(&'static str),
}

impl ProducerError {
    /// Whether a later producer has fenced this one.
    pub fn is_fenced(&self) -> bool {
        matches!(
            self.code(),
            Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
        )
    }

    /// Whether a published record, or the batch as a whole, is too large.
    pub fn is_too_large(&self) -> bool {
        matches!(self.code(), Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge))
    }

    fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::Kafka { error: KafkaError::Transaction(error), .. } => Some(error.code()),
            Self::Kafka { error, .. } => error.rdkafka_error_code(),
            Self::GivenUp(_) => None,
        }
    }
}

/// A producer whose transactional id is used by no other producer.
pub struct TransactionalProducer {
    producer: BaseProducer<Listener>,
}

impl TransactionalProducer {
    /// Connects. From then on no earlier producer of the same id can commit: its open transaction is aborted.
    pub fn connect(
        config: &KafkaConfig,
        transactional_id: &str,
        give_up: &CancellationToken,
    ) -> Result<Self, ProducerError> {
        let step = "connecting";
        let config = config.transactional_producer(transactional_id);
        let producer = BaseProducer::from_config_and_context(&config, Listener::default())
            .map_err(|error| ProducerError::Kafka { step, error, reason: None })?;
        let connected = Self { producer };
        connected.insist(step, PATIENCE, give_up, |producer| producer.init_transactions(SLICE))?;
        Ok(connected)
    }

    /// Publishes records, each to its topic, in one transaction. After an error, the producer can't be used any more.
    pub fn publish<'a>(
        &self,
        records: impl Iterator<Item = (&'a str, &'a Record)>,
        give_up: &CancellationToken,
    ) -> Result<(), ProducerError> {
        let published = self.transaction(records, give_up);
        if published.is_err() {
            self.abort();
        }
        published
    }

    fn transaction<'a>(
        &self,
        records: impl Iterator<Item = (&'a str, &'a Record)>,
        give_up: &CancellationToken,
    ) -> Result<(), ProducerError> {
        self.producer.begin_transaction().map_err(|error| self.failure("beginning a transaction", error))?;
        for (topic, record) in records {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (name, value) in &record.headers {
                headers = headers.insert(Header { key: name, value: Some(value) });
            }
            let message = BaseRecord::to(topic).key(&record.key).payload(&record.body).headers(headers);
            self.producer.send(message).map_err(|(error, _)| self.failure("sending", error))?;
        }
        self.wait_for_delivery(give_up)?;
        self.insist("committing", PATIENCE, give_up, |producer| producer.commit_transaction(SLICE))
    }

    #[expect(clippy::disallowed_methods, reason = "this is a thread for what blocks")]
    fn wait_for_delivery(&self, give_up: &CancellationToken) -> Result<(), ProducerError> {
        let step = "delivering";
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.producer.in_flight_count();
        while before > 0 {
            // The crate's poll counts the remaining time in whole milliseconds. With a time this short it would spin,
            // and keep a processor busy for as long as the brokers take.
            self.producer.poll(Duration::ZERO);
            let left = self.producer.in_flight_count();
            if left == before {
                std::thread::sleep(DELIVERY_SLICE);
            }
            before = left;
            if give_up.is_cancelled() {
                return Err(ProducerError::GivenUp(step));
            }
            if Instant::now() > deadline {
                return Err(self.failure(step, KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut)));
            }
        }
        match self.producer.context().take_undelivered() {
            Some(error) => Err(self.failure(step, error)),
            None => Ok(()),
        }
    }

    /// Repeats a call that librdkafka continues in the background, until the call ends, time is up, or it has to give
    /// up.
    fn insist(
        &self,
        step: &'static str,
        patience: Duration,
        give_up: &CancellationToken,
        call: impl Fn(&BaseProducer<Listener>) -> Result<(), KafkaError>,
    ) -> Result<(), ProducerError> {
        let deadline = Instant::now() + patience;
        loop {
            let error = match call(&self.producer) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let goes_on = match &error {
                KafkaError::Transaction(error) => error.is_retriable(),
                KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => true,
                _ => false,
            };
            if !goes_on || Instant::now() > deadline {
                return Err(self.failure(step, error));
            }
            if give_up.is_cancelled() {
                return Err(ProducerError::GivenUp(step));
            }
            // Serves errors and reports, and prevents spinning if the call returns at once.
            self.producer.poll(Duration::from_millis(10));
        }
    }

    /// Tries to tell the brokers that the open transaction is void. If that fails, the next producer of this id aborts
    /// it, or the brokers do after the transaction's timeout.
    fn abort(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + ABORT_PATIENCE;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(SLICE / 10);
        }
        if let Err(error) = self.producer.abort_transaction(ABORT_PATIENCE) {
            tracing::debug!(%error, "the transaction was not aborted");
        }
    }

    fn failure(&self, step: &'static str, error: KafkaError) -> ProducerError {
        // An error event may not have been served yet.
        self.producer.poll(Duration::ZERO);
        let listener = self.producer.context();
        // A fatal error, such as fencing, says more than its effect on messages.
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            return ProducerError::Kafka { step, error: KafkaError::Global(code), reason: Some(reason) };
        }
        // The cause of the failed transaction says more than its failure.
        let error = listener.take_undelivered().unwrap_or(error);
        ProducerError::Kafka { step, error, reason: listener.take_reason() }
    }
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TransactionalProducer")
    }
}

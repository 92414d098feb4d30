//! A transactional producer: a batch is on Kafka as a whole or, for whoever reads committed records, not at all.
//!
//! Every call here blocks, as librdkafka's transaction calls do, and looks about every tenth of a second whether it is to
//! give up. So it is run in a thread for blocking work, and ends soon after whoever waited for it has gone.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tokio_util::sync::CancellationToken;

use crate::kafka::client::Listener;
use crate::kafka::cloud_event::Record;
use crate::kafka::config::KafkaConfig;

/// Brokers that do not answer for so long are away.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether to give up.
const SLICE: Duration = Duration::from_millis(100);
/// How often it is looked whether a batch has arrived. librdkafka's own flush looks ten times a second, which would be most
/// of the time that a batch takes.
const DELIVERY_SLICE: Duration = Duration::from_millis(1);
/// How long a good-bye may take.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

/// Why a producer is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// Kafka refused, or is away.
    #[error("{step}: {error}{}", reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default())]
    Kafka {
        /// In which step.
        step: &'static str,
        /// What librdkafka answered.
        error: KafkaError,
        /// What it says of the cause.
        reason: Option<String>,
    },
    /// It was told to.
    #[error("{0}: given up")]
    GivenUp(&'static str),
}

impl ProducerError {
    /// Whether another producer has taken this one's place.
    pub fn is_fenced(&self) -> bool {
        matches!(
            self.code(),
            Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
        )
    }

    /// Whether something of what was published is too large: one of the records, or several that went together.
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

/// A producer whose transactions nobody else can have open.
pub struct TransactionalProducer {
    producer: BaseProducer<Listener>,
}

impl TransactionalProducer {
    /// Connects. From then on no earlier producer of the same id can commit: what it has in flight is aborted.
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

    /// Publishes records, each to its topic, in one transaction. After an error the producer is of no more use.
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
            // The crate's poll counts what is left of a time in whole milliseconds: with such a short one it would turn in
            // circles and keep a processor busy for as long as the brokers take.
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

    /// Repeats a call that librdkafka goes on with in the background, until it ends, the time is over or it is to give up.
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
            // Serves errors and reports, and keeps a call that answers at once from turning in circles.
            self.producer.poll(Duration::from_millis(10));
        }
    }

    /// Tries to tell the brokers that the open transaction is void. If that fails, the next producer of this id does it, or
    /// the brokers themselves after the transaction's time.
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
        // What ended the producer for good, as being fenced does, says more than what that did to messages.
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            return ProducerError::Kafka { step, error: KafkaError::Global(code), reason: Some(reason) };
        }
        // What failed the transaction says more than that it failed.
        let error = listener.take_undelivered().unwrap_or(error);
        ProducerError::Kafka { step, error, reason: listener.take_reason() }
    }
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TransactionalProducer")
    }
}

//! Publishes a batch in one transaction, or its records one by one if the brokers refuse the batch as too large.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::kafka::cloud_event::Record;
use crate::kafka::config::KafkaConfig;
use crate::kafka::producer::{ProducerError, TransactionalProducer};

/// A record on its way to a topic.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub topic: Arc<str>,
    pub record: Arc<Record>,
}

/// The outcome for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The record is on Kafka.
    Published,
    /// The brokers refuse the record as too large.
    Refused,
    /// The record was not sent, because an earlier one of its key was refused.
    Follows,
}

/// Connects the relay's producer.
pub(super) fn connect(
    config: &KafkaConfig,
    give_up: &CancellationToken,
) -> Result<TransactionalProducer, ProducerError> {
    TransactionalProducer::connect(config, &format!("{}{}", config.prefix, super::SHARD), give_up)
}

/// Publishes all records in one transaction.
pub(super) fn together(
    producer: TransactionalProducer,
    records: &[Outgoing],
    give_up: &CancellationToken,
) -> Result<TransactionalProducer, ProducerError> {
    let records = records.iter().map(|outgoing| (&*outgoing.topic, &*outgoing.record));
    producer.publish(records, give_up).map(|()| producer)
}

/// Publishes each record in a transaction of its own: brokers refuse a batch as a whole and don't say which record is
/// too large. If it stops halfway, the published records are published again, as can happen with any batch.
pub(super) fn one_by_one(
    config: &KafkaConfig,
    records: &[Outgoing],
    give_up: &CancellationToken,
) -> Result<(TransactionalProducer, Vec<Fate>), ProducerError> {
    let mut producer = connect(config, give_up)?;
    let mut refused = HashSet::new();
    let mut fates = Vec::with_capacity(records.len());
    for outgoing in records {
        let key = (&*outgoing.topic, outgoing.record.key.as_str());
        if refused.contains(&key) {
            fates.push(Fate::Follows);
            continue;
        }
        match producer.publish(std::iter::once((&*outgoing.topic, &*outgoing.record)), give_up) {
            Ok(()) => fates.push(Fate::Published),
            Err(error) if error.is_too_large() => {
                refused.insert(key);
                fates.push(Fate::Refused);
                producer = connect(config, give_up)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((producer, fates))
}

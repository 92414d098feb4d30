//! Publishing: all of a batch in one transaction, and where that is refused as too large, one by one.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::kafka::cloud_event::Record;
use crate::kafka::config::KafkaConfig;
use crate::kafka::producer::{ProducerError, TransactionalProducer};

/// A record on its way to a topic.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    /// Where to.
    pub topic: Arc<str>,
    /// What.
    pub record: Arc<Record>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is on Kafka.
    Published,
    /// The brokers refuse it for its size.
    Refused,
    /// It follows one of its key that was refused, and was not sent.
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

/// Publishes each record in a transaction of its own: brokers refuse what goes together together, and which of it is too large
/// they don't say. If it stops on the way, what is published comes again, as any batch can.
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

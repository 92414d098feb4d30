//! The consumer of the triggers' topics.

use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::domain::trigger::Trigger;
use crate::kafka::client::Listener;
use crate::kafka::config::KafkaConfig;
use crate::kafka::topics::{self, trigger_topic};
use crate::triggers::bridge::lane::{Lanes, Partition};

/// How long the brokers may take to say which partitions there are.
const ANSWER: Duration = Duration::from_secs(5);

/// How partitions come to a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The bridges of an installation share them.
    Group,
    /// The bridge has all of them. No group has to be joined, which takes three seconds on the broker for development.
    Alone,
}

/// What the consumer tells: its log, and which partitions it loses.
#[derive(Debug, Default)]
pub struct Context {
    listener: Listener,
    /// The open records.
    pub lanes: Lanes,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.listener.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.listener.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            for element in partitions.elements() {
                self.lanes.end(&Partition { topic: element.topic().to_owned(), number: element.partition() });
            }
        }
    }
}

/// Connects a consumer of these triggers. It blocks, but gives up when it is told to.
pub fn connect(
    config: &KafkaConfig,
    triggers: &[Trigger],
    membership: Membership,
    give_up: &CancellationToken,
) -> KafkaResult<StreamConsumer<Context>> {
    topics::create_missing(config, give_up)?;
    let names: Vec<_> = triggers.iter().map(|trigger| trigger_topic(config, *trigger)).collect();
    let mut settings = config.trigger_bridge();
    if membership == Membership::Alone {
        // The broker for development answers a fetch only after this time.
        settings.set("fetch.wait.max.ms", "50");
    }
    let consumer = StreamConsumer::from_config_and_context(&settings, Context::default())?;
    match membership {
        Membership::Group => consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?,
        Membership::Alone => consumer.assign(&all_partitions(&consumer, &names)?)?,
    }
    Ok(consumer)
}

/// Every partition of these topics, each from where its records are not done yet.
fn all_partitions(consumer: &StreamConsumer<Context>, names: &[String]) -> KafkaResult<TopicPartitionList> {
    let metadata = consumer.fetch_metadata(None, ANSWER)?;
    let mut list = TopicPartitionList::new();
    for topic in metadata.topics().iter().filter(|topic| names.iter().any(|name| name == topic.name())) {
        for partition in topic.partitions() {
            list.add_partition_offset(topic.name(), partition.id(), Offset::Stored)?;
        }
    }
    Ok(list)
}

/// Changes something about a single partition. It may be another process's meanwhile: then nothing is to be done.
pub fn adjust(partition: &Partition, offset: Offset, change: impl FnOnce(&TopicPartitionList) -> KafkaResult<()>) {
    let mut list = TopicPartitionList::new();
    let changed = list.add_partition_offset(&partition.topic, partition.number, offset).and_then(|()| change(&list));
    if let Err(error) = changed {
        tracing::debug!(%error, topic = partition.topic, partition = partition.number, "a partition has moved");
    }
}

/// Commits what is done. It blocks.
pub fn commit(consumer: &StreamConsumer<Context>) {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => tracing::warn!(%error, "what is done can't be committed, and will be done again"),
    }
}

//! The topics: their names, and their creation where they are missing.

use std::cmp::min;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use tokio_util::sync::CancellationToken;

use crate::domain::trigger::Trigger;
use crate::kafka::client::Listener;
use crate::kafka::config::KafkaConfig;
use crate::store::feed::Log;

/// The partitions of a topic. A later increase would break the order of events whose key moves.
pub const PARTITIONS: i32 = 12;
/// The partitions of the topic of replies: each replica reads one of its own. Further replicas share them.
pub const REPLY_PARTITIONS: i32 = 64;
const REPLICATION: i32 = 3;
const IN_SYNC_REPLICAS: i32 = 2;

/// Events are kept for ever, so that a new consumer can read all of them.
const DIRECTORY_RETENTION_MILLIS: &str = "-1";
/// Facts are kept for a week: longer than a consumer is down over a weekend, and `activity` in Postgres has all of
/// them.
const ACTIVITY_RETENTION_MILLIS: &str = "604800000";
/// Questions and replies are worth nothing after some seconds, and they contain personal data.
const ASKING_RETENTION_MILLIS: &str = "600000";
/// What triggers are told waits for a responder that is down for a night, and contains personal data.
const TELLING_RETENTION_MILLIS: &str = "86400000";

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a call checks whether to give up.
const SLICE: Duration = Duration::from_millis(250);

/// A topic, as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name, with the prefix.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    retention_millis: &'static str,
}

/// The name of a log's topic.
pub fn topic(config: &KafkaConfig, log: Log) -> String {
    format!("{}userpool.{}", config.prefix, log.name())
}

/// The name of a trigger's topic.
pub fn trigger_topic(config: &KafkaConfig, trigger: Trigger) -> String {
    format!("{}userpool.triggers.{}", config.prefix, trigger.topic())
}

/// The name of the topic to which triggers reply.
pub fn replies_topic(config: &KafkaConfig) -> String {
    format!("{}userpool.triggers.replies", config.prefix)
}

/// Every topic that a server uses.
pub fn all(config: &KafkaConfig) -> Vec<Topic> {
    let of_log = |log| Topic {
        name: topic(config, log),
        partitions: PARTITIONS,
        retention_millis: match log {
            Log::Directory => DIRECTORY_RETENTION_MILLIS,
            Log::Activity => ACTIVITY_RETENTION_MILLIS,
        },
    };
    let of_trigger = |trigger: Trigger| Topic {
        name: trigger_topic(config, trigger),
        partitions: PARTITIONS,
        retention_millis: if trigger.is_told() { TELLING_RETENTION_MILLIS } else { ASKING_RETENTION_MILLIS },
    };
    let name = replies_topic(config);
    let replies = Topic { name, partitions: REPLY_PARTITIONS, retention_millis: ASKING_RETENTION_MILLIS };
    Log::ALL.map(of_log).into_iter().chain(Trigger::ALL.map(of_trigger)).chain([replies]).collect()
}

/// Creates missing topics. It blocks, but gives up when it is told to.
///
/// Unreachable brokers are an error. A refusal is not, and is only logged: the operator may have reserved the creation
/// of topics, and librdkafka's broker in this process has no such request. Publishing will show whether the topics
/// exist.
pub fn create_missing(config: &KafkaConfig, give_up: &CancellationToken) -> Result<(), KafkaError> {
    let admin = AdminClient::from_config_and_context(&config.client(), Listener::default())?;
    let metadata = metadata(&admin, give_up)?;
    let mut missing = all(config);
    missing.retain(|topic| !metadata.topics().iter().any(|known| known.name() == topic.name));
    if missing.is_empty() || !config.create_topics {
        return Ok(());
    }
    // No cluster has that many brokers.
    let brokers = i32::try_from(metadata.brokers().len()).unwrap_or(REPLICATION);
    let replication = config.replication.map_or(min(REPLICATION, brokers), i32::from);
    let in_sync = min(IN_SYNC_REPLICAS, replication).to_string();
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|topic| {
            let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication))
                .set("cleanup.policy", "delete")
                .set("min.insync.replicas", &in_sync)
                .set("retention.ms", topic.retention_millis)
                .set("retention.bytes", "-1");
            match topic.retention_millis {
                // Brokers delete whole segments, and keep one for a week by default.
                ASKING_RETENTION_MILLIS => new.set("segment.ms", ASKING_RETENTION_MILLIS),
                TELLING_RETENTION_MILLIS => new.set("segment.ms", TELLING_RETENTION_MILLIS),
                _ => new,
            }
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT));
    match futures::executor::block_on(admin.create_topics(&topics, &options)) {
        Ok(results) => results.into_iter().for_each(report),
        Err(error) => tracing::warn!(%error, "the brokers create no topics; they must be there already"),
    }
    Ok(())
}

/// The brokers' metadata, once they answer.
fn metadata(admin: &AdminClient<Listener>, give_up: &CancellationToken) -> Result<Metadata, KafkaError> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    loop {
        // Asking for a missing topic by name could make brokers create it with settings of their own.
        match admin.inner().fetch_metadata(None, SLICE) {
            Err(_) if Instant::now() < deadline && !give_up.is_cancelled() => {}
            answer => return answer,
        }
    }
}

fn report(result: Result<String, (String, RDKafkaErrorCode)>) {
    match result {
        Ok(topic) => tracing::info!(topic, "created"),
        // Another replica created it first.
        Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
        Err((topic, error)) => tracing::warn!(topic, %error, "the topic can't be created; it must be there already"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_prefix() {
        let mut config = KafkaConfig::new("localhost:9092");
        assert_eq!(topic(&config, Log::Directory), "userpool.directory");
        config.prefix = "staging.".to_owned();
        assert_eq!(topic(&config, Log::Activity), "staging.userpool.activity");
        assert_eq!(trigger_topic(&config, Trigger::PreSignUp), "staging.userpool.triggers.pre-sign-up");
        assert_eq!(replies_topic(&config), "staging.userpool.triggers.replies");
        assert_eq!(all(&config).len(), 15);
    }
}

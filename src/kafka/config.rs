//! The connection to Kafka: the brokers, a prefix for all names on Kafka, and any setting of librdkafka.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

use crate::secret_file;

/// Settings that the order and the safety of events and the choice of partitions depend on: the operator can't set
/// them.
const RESERVED: [&str; 8] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "transactional.id",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "partitioner",
    "group.id",
];

/// The brokers abort a transaction that stays open this long, and an undelivered message fails its transaction after
/// this time. Longer than a broker takes to restart.
const TRANSACTION_TIMEOUT_MILLIS: &str = "60000";

/// The time of one attempt to ask a trigger.
const ASKING_TIMEOUT_MILLIS: &str = "5000";

/// The most bytes of a record, unless `message.max.bytes` is set: librdkafka's default, a little below that of brokers.
pub const DEFAULT_LARGEST: usize = 1_000_000;
const LARGEST_PROPERTY: &str = "message.max.bytes";

/// The connection to Kafka. Debug shows the names of properties but not their values, because some are passwords or
/// keys.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Some of the brokers: `host:port`, separated by commas.
    pub brokers: String,
    /// The prefix of every name on Kafka, so that installations can share a cluster. Often empty.
    pub prefix: String,
    /// Settings of librdkafka by name, such as `security.protocol`, `ssl.ca.location`, `sasl.username`.
    pub properties: BTreeMap<String, String>,
    /// Whether topics that are missing are created at start.
    pub create_topics: bool,
    /// The replicas of a created topic. By default three, or one for each broker if there are fewer.
    pub replication: Option<u16>,
}

/// Why a configuration can't work, whichever brokers it names.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ConfigError {
    #[error("no Kafka brokers are named")]
    NoBrokers,
    /// The prefix can't be part of a topic's name.
    #[error("a Kafka prefix is made of letters, digits, `.`, `_` and `-`, at most 100 of them")]
    Prefix,
    #[error("a Kafka topic has at least one replica")]
    Replication,
    #[error("the Kafka property {0} is set by the server itself")]
    Reserved(String),
    /// librdkafka doesn't have the setting, or doesn't accept the value.
    #[error("the Kafka property {name}: {reason}")]
    Property { name: String, reason: String },
}

impl KafkaConfig {
    /// A connection to these brokers with defaults: no prefix, plain text, topics are created.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: String::new(),
            properties: BTreeMap::new(),
            create_topics: true,
            replication: None,
        }
    }

    /// Finds the mistakes that can be found without a connection, so that a server with a typing error does not start.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.brokers.trim().is_empty() {
            return Err(ConfigError::NoBrokers);
        }
        let allowed = |character: char| character.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&character);
        if self.prefix.len() > 100 || !self.prefix.chars().all(allowed) {
            return Err(ConfigError::Prefix);
        }
        if self.replication == Some(0) {
            return Err(ConfigError::Replication);
        }
        if let Some(name) = self.properties.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(ConfigError::Reserved(name.clone()));
        }
        for (name, value) in self.properties.iter().filter(|(name, _)| SECRET_FILES.contains(&name.as_str())) {
            let exposed = |error| ConfigError::Property { name: name.clone(), reason: format!("{value}: {error}") };
            secret_file::look_at(Path::new(value)).map_err(exposed)?;
        }
        for (name, value) in &self.properties {
            // One at a time, because the error about a whole configuration would show a value.
            let mut single = ClientConfig::new();
            single.set(name, value);
            if let Err(error) = single.create_native_config() {
                let reason = match error {
                    KafkaError::ClientConfig(_, reason, _, _) if !is_secret(name) => reason,
                    _ => "librdkafka does not take it".to_owned(),
                };
                return Err(ConfigError::Property { name: name.clone(), reason });
            }
        }
        Ok(())
    }

    /// Whether nobody on the way to the brokers can read what is sent.
    pub fn is_encrypted(&self) -> bool {
        let protocol = self.properties.get("security.protocol").map(|protocol| protocol.to_lowercase());
        matches!(protocol.as_deref(), Some("ssl" | "sasl_ssl"))
    }

    /// The most bytes of a record that the producer sends.
    pub fn largest_record(&self) -> usize {
        let set = self.properties.get(LARGEST_PROPERTY).and_then(|bytes| bytes.trim().parse().ok());
        set.unwrap_or(DEFAULT_LARGEST)
    }

    /// The settings that all clients share. A property of the operator overrides a default.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "userpool");
        // By default, the return of a broker after a long outage is noticed seven seconds later.
        config.set("reconnect.backoff.ms", "20");
        config.set("reconnect.backoff.max.ms", "100");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// The producer of one relay. A later producer with the same id fences it.
    pub(crate) fn transactional_producer(&self, transactional_id: &str) -> ClientConfig {
        let defaults = [
            // A batch is sent at once and then awaited, so lingering is useless.
            ("linger.ms", "1"),
            ("transaction.timeout.ms", TRANSACTION_TIMEOUT_MILLIS),
            ("message.timeout.ms", TRANSACTION_TIMEOUT_MILLIS),
        ];
        let mut config = self.client();
        for (name, value) in defaults.into_iter().filter(|(name, _)| !self.properties.contains_key(*name)) {
            config.set(name, value);
        }
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        // Java's choice of partitions, so that Java producers and stream joins agree with it; librdkafka's default
        // differs.
        config.set("partitioner", "murmur2_random");
        config.set("transactional.id", transactional_id);
        config
    }
}

impl KafkaConfig {
    /// The producer of questions to triggers. A question that can't be delivered is given up with its attempt.
    pub(crate) fn asking_producer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("linger.ms", "0");
        config.set("message.timeout.ms", ASKING_TIMEOUT_MILLIS);
        // A question that a broker loses is asked again.
        config.set("acks", "1");
        config.set("partitioner", "murmur2_random");
        config
    }

    /// The producer of what triggers are told. Nothing is lost, doubled or reordered by a failure of a broker.
    pub(crate) fn telling_producer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("linger.ms", "1");
        config.set("message.timeout.ms", ASKING_TIMEOUT_MILLIS);
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        config.set("partitioner", "murmur2_random");
        config
    }

    /// The reader of replies from triggers. It belongs to no group, but librdkafka wants the name of one.
    pub(crate) fn reader_of_replies(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("group.id", format!("{}userpool-trigger-replies", self.prefix));
        config.set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "latest");
        // librdkafka's broker for development answers a fetch only after this time.
        config.set("fetch.wait.max.ms", "10");
        config.set("fetch.queue.backoff.ms", "10");
        config
    }
}

impl KafkaConfig {
    /// The consumer of the trigger bridge. What it has done is committed by itself.
    pub(crate) fn trigger_bridge(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("group.id", format!("{}userpool-trigger-bridge", self.prefix));
        // A replica that comes or goes interrupts the others only where partitions move.
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("enable.auto.offset.store", "false");
        config.set("enable.auto.commit", "true");
        config.set("auto.commit.interval.ms", "1000");
        // What was told before the first start counts; old questions are dropped by their deadline.
        config.set("auto.offset.reset", "earliest");
        config
    }

    /// The producer of replies to questions.
    pub(crate) fn replying_producer(&self) -> ClientConfig {
        // A reply is like a question: worth nothing later, and asked for again if a broker loses it.
        self.asking_producer()
    }
}

/// Properties that name a file with a secret, which librdkafka reads itself.
const SECRET_FILES: &[&str] = &[
    "ssl.key.location",
    "ssl.keystore.location",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.assertion.private.key.file",
];

/// Whether the value of a property must not appear in messages.
fn is_secret(name: &str) -> bool {
    ["password", "secret", "pem", "key", "oauthbearer"].iter().any(|part| name.contains(part))
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .field("create_topics", &self.create_topics)
            .field("replication", &self.replication)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> KafkaConfig {
        let mut config = KafkaConfig::new("localhost:9092");
        config.properties.insert(name.to_owned(), value.to_owned());
        config
    }

    #[test]
    fn a_connection_is_encrypted_if_the_operator_says_so() {
        assert!(!KafkaConfig::new("localhost:9092").is_encrypted());
        for (protocol, is_encrypted) in
            [("ssl", true), ("SASL_SSL", true), ("plaintext", false), ("sasl_plaintext", false)]
        {
            assert_eq!(with("security.protocol", protocol).is_encrypted(), is_encrypted, "{protocol}");
        }
    }

    #[test]
    fn mistakes_are_found_without_a_broker() {
        assert_eq!(KafkaConfig::new("localhost:9092").check(), Ok(()));
        assert_eq!(with("compression.type", "lz4").check(), Ok(()));
        assert_eq!(KafkaConfig::new(" ").check(), Err(ConfigError::NoBrokers));
        assert_eq!(KafkaConfig { prefix: "a b".to_owned(), ..KafkaConfig::new("b") }.check(), Err(ConfigError::Prefix));
        assert_eq!(
            KafkaConfig { replication: Some(0), ..KafkaConfig::new("b") }.check(),
            Err(ConfigError::Replication)
        );
        assert_eq!(with("acks", "1").check(), Err(ConfigError::Reserved("acks".to_owned())));
        for (name, value) in [("no.such.property", "x"), ("compression.type", "nonsense"), ("linger.ms", "soon")] {
            let error = with(name, value).check().unwrap_err();
            assert!(matches!(&error, ConfigError::Property { name: found, .. } if found == name), "{error}");
        }
    }

    #[test]
    fn a_file_with_a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("client.key");
        secret_file::create(&file, b"no key").unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        for name in SECRET_FILES {
            let told = with(name, file.to_str().unwrap()).check().unwrap_err().to_string();
            assert!(told.contains(name) && told.contains("mode 0644"), "{told}");
        }
    }

    #[test]
    fn the_largest_record_is_that_of_the_producer() {
        let default = KafkaConfig::new("localhost:9092");
        assert_eq!(default.largest_record(), DEFAULT_LARGEST);
        let known = default.transactional_producer("relay-0").create_native_config().unwrap();
        assert_eq!(known.get(LARGEST_PROPERTY).unwrap(), DEFAULT_LARGEST.to_string());
        assert_eq!(with(LARGEST_PROPERTY, "20000").largest_record(), 20_000);
    }

    #[test]
    fn debug_shows_no_value_of_a_property() {
        let shown = format!("{:?}", with("sasl.password", "hunter2"));
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn the_operator_may_set_properties_that_no_guarantee_depends_on() {
        let config = with("linger.ms", "7").transactional_producer("relay-0");
        assert_eq!(config.get("linger.ms"), Some("7"));
        assert_eq!(config.get("partitioner"), Some("murmur2_random"));
        assert_eq!(config.get("message.timeout.ms"), Some("60000"));
    }
}

//! A Kafka broker inside this process, for development: librdkafka's mock broker.

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, Producer};

use crate::kafka::client::Listener;
use crate::kafka::topics::Topic;

/// A broker on a free port of the loopback address. Other processes can connect to it. It stops when it is dropped.
///
/// Its limits: everything is kept in memory, of each partition the last 5 MiB or 100,000 records; it creates no topics
/// on request; the first join of a consumer group takes three seconds; and consumers see the records of aborted
/// transactions, even those that read committed records only. So a relay to it starts at the beginning of the log each
/// time ([`Relay::rewind`](crate::kafka::relay::Relay::rewind)).
pub struct EmbeddedBroker {
    /// librdkafka's broker belongs to a client. The client may move between threads, but the broker's own handle may
    /// not.
    owner: BaseProducer<Listener>,
    bootstrap: String,
}

impl EmbeddedBroker {
    /// Starts a broker with these topics.
    pub fn start(topics: &[Topic]) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        let owner = BaseProducer::from_config_and_context(&config, Listener::default())?;
        let broker = owner.client().mock_cluster().ok_or(KafkaError::MockCluster(RDKafkaErrorCode::Fail))?;
        for topic in topics {
            broker.create_topic(&topic.name, topic.partitions, 1)?;
        }
        let bootstrap = broker.bootstrap_servers();
        drop(broker);
        Ok(Self { owner, bootstrap })
    }

    /// The broker's address, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The broker's own handle, for tests that make it fail.
    pub fn faults(&self) -> Option<MockCluster<'_, Listener>> {
        self.owner.client().mock_cluster()
    }
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddedBroker({})", self.bootstrap)
    }
}

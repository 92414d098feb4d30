//! Records as a consumer of the topics reads them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use userpool::kafka::topics::PARTITIONS;

/// The topic of events.
pub const DIRECTORY: &str = "userpool.directory";
/// The topic of facts, which are kept for a time.
pub const ACTIVITY: &str = "userpool.activity";

const PATIENCE: Duration = Duration::from_secs(60);

/// A record as it was produced.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: i32,
    /// The key, in the form `<user pool id>/<owner>`.
    pub key: String,
    pub headers: BTreeMap<String, String>,
    /// The value: the event's body as JSON.
    pub body: Vec<u8>,
}

impl Record {
    /// A header's value; empty if the header is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// `ce_type` without its prefix `userpool.` and its version.
    pub fn kind(&self) -> &str {
        self.header("ce_type").trim_start_matches("userpool.").trim_end_matches(".v1")
    }

    /// The value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a value is JSON")
    }

    /// Key, headers and body as text, to search for what must not be there.
    pub fn text(&self) -> String {
        format!("{} {:?} {}", self.key, self.headers, String::from_utf8_lossy(&self.body))
    }
}

/// Reads a topic from its start until the condition holds. Panics after a time limit.
pub async fn read_until(
    bootstrap: &str,
    topic: &'static str,
    enough: impl Fn(&[Record]) -> bool + Send + 'static,
) -> Vec<Record> {
    let bootstrap = bootstrap.to_owned();
    tokio::task::spawn_blocking(move || read(&bootstrap, topic, enough)).await.expect("the topic is read")
}

fn read(bootstrap: &str, topic: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "scenarios")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&partitions).expect("partitions are assigned");
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while !enough(&records) {
        assert!(Instant::now() < deadline, "{topic} never held what was expected, but {} records", records.len());
        // Errors come from a broker that is still creating the topic.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("keys and headers are text");
            let headers = message.headers().expect("a record has headers").iter();
            records.push(Record {
                partition: message.partition(),
                key: text(message.key().expect("a record has a key")),
                headers: headers.map(|it| (it.key.to_owned(), text(it.value.unwrap_or_default()))).collect(),
                body: message.payload().unwrap_or_default().to_vec(),
            });
        }
    }
    records
}

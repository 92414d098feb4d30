//! A responder in a thread, which sends each event back at once.

use std::time::Duration;

use anyhow::Result;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use userpool::domain::trigger::Trigger;
use userpool::kafka::config::KafkaConfig;
use userpool::kafka::topics::{PARTITIONS, trigger_topic};

/// Answers every question about sign-ups from now on.
pub fn answer_everything(config: &KafkaConfig) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let topic = trigger_topic(config, Trigger::PreSignUp);
        partitions.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("linger.ms", "0")
        .set("acks", "1")
        .create()?;
    std::thread::spawn(move || {
        loop {
            if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) {
                answer(&message, &producer);
            }
            producer.poll(Duration::ZERO);
        }
    });
    Ok(())
}

fn answer(question: &BorrowedMessage<'_>, producer: &BaseProducer) {
    let header = |name: &str| {
        let headers = question.headers()?;
        let found = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(found.value?).ok()
    };
    let (Some(id), Some(topic), Some(partition)) =
        (header("correlation-id"), header("reply-to"), header("reply-partition").and_then(|it| it.parse().ok()))
    else {
        return;
    };
    let headers = OwnedHeaders::new().insert(Header { key: "correlation-id", value: Some(id) });
    let reply = BaseRecord::<(), [u8]>::to(topic).payload(question.payload().unwrap_or_default());
    let _ = producer.send(reply.partition(partition).headers(headers));
}

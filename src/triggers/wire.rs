//! The connection to the brokers: a producer of questions, and a reader of one partition of replies.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::environment::Random;
use crate::kafka::client::Listener;
use crate::kafka::config::KafkaConfig;
use crate::kafka::topics::{self, replies_topic};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::triggers::inbox::Inbox;
use crate::triggers::partition::{Partition, RENEWAL};
use crate::triggers::record::CORRELATION_ID;
use crate::triggers::route::Route;

/// How long the brokers may take to say where the partition ends.
const ANSWER: Duration = Duration::from_secs(5);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// What a connection is made of.
pub struct Wire<'a> {
    /// The brokers.
    pub config: &'a KafkaConfig,
    /// Who waits for replies.
    pub inbox: &'a Inbox,
    /// Where the route is told.
    pub route: &'a watch::Sender<Option<Route>>,
    /// The database with the leases.
    pub store: Store,
    /// The name of this process in leases.
    pub holder: String,
}

/// Why the connection can't be made.
#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a thread ended in an unexpected way: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl Wire<'_> {
    /// Connects, and reads replies until it is told to stop.
    pub async fn keep(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let served = self.serve(stop).await;
            self.route.send_replace(None);
            if let Err(error) = served {
                tracing::warn!(%error, "triggers can't be asked for the moment");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Takes a partition and reads it, until reading fails or has to stop.
    async fn serve(&self, stop: &CancellationToken) -> Result<(), WireError> {
        let [first] = Random::default().bytes();
        let partition = Partition::take(&self.store, &self.holder, first).await?;
        let served = tokio::select! {
            served = self.read(&partition) => served,
            () = stop.cancelled() => Ok(()),
        };
        partition.release(&self.store).await;
        served
    }

    async fn read(&self, partition: &Partition) -> Result<(), WireError> {
        let topic = Arc::new(replies_topic(self.config));
        let consumer = self.connect(topic.clone(), partition.number).await?;
        let producer = self.config.asking_producer().create_with_context(Listener::default())?;
        self.route.send_replace(Some(Route { producer, topic, partition: partition.number }));
        let mut renewal = tokio::time::interval(RENEWAL);
        loop {
            tokio::select! {
                message = consumer.recv() => self.receive(&message?),
                _ = renewal.tick() => partition.renew(&self.store, &self.holder).await,
            }
        }
    }

    /// A reader that begins where the partition ends now.
    async fn connect(&self, topic: Arc<String>, partition: i32) -> Result<StreamConsumer<Listener>, WireError> {
        let config = self.config.clone();
        let connected = tokio::task::spawn_blocking(move || {
            topics::create_missing(&config, &CancellationToken::new())?;
            let consumer: StreamConsumer<Listener> =
                config.reader_of_replies().create_with_context(Listener::default())?;
            let (_, end) = consumer.fetch_watermarks(&topic, partition, ANSWER)?;
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, partition, Offset::Offset(end))?;
            consumer.assign(&list)?;
            Ok::<_, KafkaError>(consumer)
        });
        Ok(connected.await??)
    }

    fn receive(&self, message: &BorrowedMessage<'_>) {
        let headers = message.headers();
        let id = headers.and_then(|headers| headers.iter().find(|header| header.key == CORRELATION_ID)?.value);
        self.inbox.deliver(id.and_then(|id| std::str::from_utf8(id).ok()), message.payload().unwrap_or_default());
    }
}

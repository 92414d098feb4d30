//! Where questions are sent from, and where their replies are read.

use std::sync::Arc;

use rdkafka::producer::FutureProducer;

use crate::kafka::client::Listener;

/// Where a question is sent from, and where its reply is read.
#[derive(Clone)]
pub struct Route {
    /// The producer of questions.
    pub producer: FutureProducer<Listener>,
    /// The topic of replies.
    pub topic: Arc<String>,
    /// The partition that this process reads.
    pub partition: i32,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({}, partition {})", self.topic, self.partition)
    }
}

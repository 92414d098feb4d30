//! The record of a question.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;

use crate::triggers::Call;
use crate::triggers::route::Route;

/// The name of the header that a question and its replies have in common.
pub const CORRELATION_ID: &str = "correlation-id";
/// The name of the header with the topic of the reply.
pub const REPLY_TO: &str = "reply-to";
/// The name of the header with the partition of the reply.
pub const REPLY_PARTITION: &str = "reply-partition";
/// The name of the header with the time after which a reply is worth nothing, in milliseconds since 1970.
pub const DEADLINE: &str = "deadline";
/// The name of the header with the pool's value for the trigger.
pub const FUNCTION: &str = "function";
/// The name of the header with the trace.
pub const TRACEPARENT: &str = "traceparent";

/// One attempt to ask.
pub struct Question<'a> {
    /// The topic of the trigger.
    pub topic: &'a str,
    /// The id of the question: 32 hexadecimal digits.
    pub correlation_id: &'a str,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When the attempt ends, in milliseconds since 1970.
    pub deadline: i64,
    /// Where the reply is read.
    pub route: &'a Route,
    /// What is asked.
    pub call: &'a Call<'a>,
}

impl Question<'_> {
    /// The record. Its key is the correlation id, so that attempts stay in order and questions spread.
    pub fn record(&self) -> FutureRecord<'_, str, [u8]> {
        let (attempt, deadline) = (self.attempt.to_string(), self.deadline.to_string());
        let partition = self.route.partition.to_string();
        let traceparent = self.call.trace_context.map(|trace| trace.to_string());
        let headers = [
            (CORRELATION_ID, Some(self.correlation_id)),
            (REPLY_TO, Some(self.route.topic.as_str())),
            (REPLY_PARTITION, Some(&partition)),
            ("attempt", Some(&attempt)),
            (DEADLINE, Some(&deadline)),
            (FUNCTION, Some(self.call.function)),
            (TRACEPARENT, traceparent.as_deref()),
        ];
        let given = headers.into_iter().filter(|(_, value)| value.is_some());
        let headers = given.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }));
        FutureRecord::to(self.topic).key(self.correlation_id).payload(self.call.event).headers(headers)
    }
}

//! What a record of a trigger's topic says.

use bytes::Bytes;
use rdkafka::message::{Headers, Message};

use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::telemetry::trace::TraceContext;
use crate::triggers::record::{CORRELATION_ID, DEADLINE, FUNCTION, REPLY_PARTITION, REPLY_TO, TRACEPARENT};

/// A call of a trigger. Debug shows nothing of the event.
pub struct Received {
    /// The trigger.
    pub trigger: Trigger,
    /// The pool's value for it in `LambdaConfig`.
    pub function: String,
    /// The event.
    pub event: Bytes,
    /// The trace that the call belongs to.
    pub trace_context: Option<TraceContext>,
    /// When the record was written, if it says.
    pub written: Option<Timestamp>,
    /// Where a reply is expected. What is only told has no such place.
    pub question: Option<Question>,
}

/// Where the reply to a question goes, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What question and reply have in common.
    pub correlation_id: String,
    /// After this time, nobody waits for the reply.
    pub deadline: Timestamp,
}

/// Why a record can't be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unreadable {
    /// It is on a topic of another kind.
    #[error("the topic is no trigger's")]
    Topic,
    /// A header is missing or has a wrong form.
    #[error("it has no usable header `{0}`")]
    Header(&'static str),
}

impl Received {
    /// Reads a record of a topic that begins with the prefix.
    pub fn read(prefix: &str, record: &impl Message) -> Result<Self, Unreadable> {
        let name = record.topic().strip_prefix(prefix).and_then(|name| name.strip_prefix("userpool.triggers."));
        let header = |name: &'static str| -> Option<String> {
            let header = record.headers()?.iter().find(|header| header.key == name)?;
            String::from_utf8(header.value?.to_vec()).ok()
        };
        let needed = |name| header(name).ok_or(Unreadable::Header(name));
        let number = |name| needed(name)?.parse::<i64>().map_err(|_| Unreadable::Header(name));
        let question = |topic| {
            let partition = i32::try_from(number(REPLY_PARTITION)?).map_err(|_| Unreadable::Header(REPLY_PARTITION))?;
            let (correlation_id, deadline) = (needed(CORRELATION_ID)?, Timestamp(number(DEADLINE)?));
            Ok(Question { topic, partition, correlation_id, deadline })
        };
        Ok(Self {
            trigger: name.and_then(Trigger::of_topic).ok_or(Unreadable::Topic)?,
            function: needed(FUNCTION)?,
            event: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
            trace_context: header(TRACEPARENT).and_then(|trace| trace.parse().ok()),
            written: record.timestamp().to_millis().map(Timestamp),
            question: header(REPLY_TO).map(question).transpose()?,
        })
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Received({:?} for {})", self.trigger, self.function)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp as Written;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;

    const QUESTION: [(&str, &str); 5] = [
        (FUNCTION, "gate"),
        (REPLY_TO, "replies"),
        (REPLY_PARTITION, "7"),
        (CORRELATION_ID, "c0ffee"),
        (DEADLINE, "1700000000123"),
    ];

    fn read(topic: &str, headers: &[(&str, &str)]) -> Result<Received, Unreadable> {
        let owned = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let written = Written::CreateTime(5);
        let record = OwnedMessage::new(Some(b"{}".to_vec()), None, topic.to_owned(), written, 0, 1, Some(owned));
        Received::read("p.", &record)
    }

    #[test]
    fn a_question_says_where_its_reply_goes() {
        let received = read("p.userpool.triggers.pre-sign-up", &QUESTION).unwrap();
        assert_eq!((received.trigger, received.function.as_str()), (Trigger::PreSignUp, "gate"));
        assert_eq!((received.event.as_ref(), received.written), (&b"{}"[..], Some(Timestamp(5))));
        let expected = Question {
            topic: "replies".to_owned(),
            partition: 7,
            correlation_id: "c0ffee".to_owned(),
            deadline: Timestamp(1_700_000_000_123),
        };
        assert_eq!(received.question, Some(expected));
        assert_eq!(read("p.userpool.triggers.post-confirmation", &QUESTION[..1]).unwrap().question, None);
    }

    #[test]
    fn what_can_t_be_understood_is_told() {
        for topic in ["p.userpool.triggers.replies", "userpool.triggers.pre-sign-up", "p.userpool.directory"] {
            assert_eq!(read(topic, &QUESTION).unwrap_err(), Unreadable::Topic, "{topic}");
        }
        for missing in [FUNCTION, REPLY_PARTITION, CORRELATION_ID, DEADLINE] {
            let rest: Vec<_> = QUESTION.into_iter().filter(|(name, _)| *name != missing).collect();
            assert_eq!(read("p.userpool.triggers.pre-sign-up", &rest).unwrap_err(), Unreadable::Header(missing));
        }
        let wrong = QUESTION.map(|(name, value)| (name, if name == DEADLINE { "soon" } else { value }));
        assert_eq!(read("p.userpool.triggers.pre-sign-up", &wrong).unwrap_err(), Unreadable::Header(DEADLINE));
    }
}

//! What a rule decides, and what an aggregate is.

use crate::domain::error::Error;
use crate::domain::ids::StreamId;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::proto::EventPayload;

/// The outcome of a rule. A refusal may carry facts (a wrong code counts), and they are committed.
#[derive(Debug)]
pub struct Decision<Event, Activity, Answer> {
    /// What happened: appended to the aggregate's stream.
    pub events: Vec<Event>,
    /// Facts that decide nothing: written beside the log.
    pub activity: Vec<Activity>,
    /// Messages to a person.
    pub messages: Vec<Message>,
    /// What the caller gets.
    pub answer: Result<Answer, Error>,
}

impl<Event, Activity, Answer> Decision<Event, Activity, Answer> {
    /// Something happened.
    pub fn events(events: Vec<Event>, answer: Answer) -> Self {
        Self { events, activity: Vec::new(), messages: Vec::new(), answer: Ok(answer) }
    }

    /// A refusal that leaves no trace.
    pub fn refuse(error: Error) -> Self {
        Self { events: Vec::new(), activity: Vec::new(), messages: Vec::new(), answer: Err(error) }
    }

    /// The same with another answer.
    pub fn map<Other>(self, answer: impl FnOnce(Answer) -> Other) -> Decision<Event, Activity, Other> {
        let Self { events, activity, messages, answer: before } = self;
        Decision { events, activity, messages, answer: before.map(answer) }
    }

    /// The same with facts.
    pub fn with_activity(mut self, activity: impl IntoIterator<Item = Activity>) -> Self {
        self.activity.extend(activity);
        self
    }

    /// The same with messages.
    pub fn with_messages(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.messages.extend(messages);
        self
    }
}

/// An aggregate: the only code that turns its events into state.
pub trait Aggregate: Sized + Clone + PartialEq + std::fmt::Debug {
    /// The oneof of its events.
    type Event: EventPayload + Clone + std::fmt::Debug + Send + Sync;
    /// Raised whenever `apply` yields another state from the same events: read models are then computed again.
    const REVISION: i32;

    /// The state after an event. `None` before the first event and after the last one.
    fn apply(state: Option<Self>, stream: &StreamId, event: &Self::Event, at: Timestamp) -> Option<Self>;
}

/// Applies events in their order.
pub fn replay<'a, A: Aggregate>(
    state: Option<A>,
    stream: &StreamId,
    events: impl IntoIterator<Item = (&'a A::Event, Timestamp)>,
) -> Option<A>
where
    A::Event: 'a,
{
    events.into_iter().fold(state, |state, (event, at)| A::apply(state, stream, event, at))
}

//! The outcome of a rule, and the trait of aggregates.

use crate::domain::error::Error;
use crate::domain::ids::StreamId;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::proto::EventPayload;

/// The outcome of a rule. A refusal may carry facts, such as a wrong code that counts; they are committed too.
///
/// Outside the rules, the whole decision goes into a commit, so that no part of it is lost.
#[must_use = "what was decided is lost unless a commit takes it"]
#[derive(Debug)]
pub struct Decision<Event, Activity, Answer> {
    /// What happened: appended to the aggregate's stream.
    pub(in crate::domain) events: Vec<Event>,
    /// Facts that decide nothing: written to `activity`, beside the log.
    pub(in crate::domain) activity: Vec<Activity>,
    /// Messages to be sent to a person.
    pub(in crate::domain) messages: Vec<Message>,
    /// The answer to the caller.
    pub(in crate::domain) answer: Result<Answer, Error>,
}

/// The part of a decision that is written.
#[derive(Debug)]
pub struct Happened<Event, Activity> {
    /// What happened: appended to the aggregate's stream.
    pub events: Vec<Event>,
    /// Facts that decide nothing: written to `activity`, beside the log.
    pub activity: Vec<Activity>,
    /// Messages to be sent to a person.
    pub messages: Vec<Message>,
}

/// The type of facts of aggregates that have none beside their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFacts {}

impl<Event, Activity, Answer> Decision<Event, Activity, Answer> {
    /// Accepts a command with these events and this answer.
    pub fn events(events: Vec<Event>, answer: Answer) -> Self {
        Self { events, activity: Vec::new(), messages: Vec::new(), answer: Ok(answer) }
    }

    /// Refuses a command and writes nothing.
    pub fn refuse(error: Error) -> Self {
        Self { events: Vec::new(), activity: Vec::new(), messages: Vec::new(), answer: Err(error) }
    }

    /// The same decision with another answer.
    pub fn map<Other>(self, answer: impl FnOnce(Answer) -> Other) -> Decision<Event, Activity, Other> {
        let Self { events, activity, messages, answer: before } = self;
        Decision { events, activity, messages, answer: before.map(answer) }
    }

    /// The events that the decision appends.
    pub fn happened(&self) -> &[Event] {
        &self.events
    }

    /// The answer, if the command is accepted.
    pub fn accepted(&self) -> Option<&Answer> {
        self.answer.as_ref().ok()
    }

    /// Whether the decision writes nothing.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.activity.is_empty() && self.messages.is_empty()
    }

    /// What is written, and the answer: the two parts that a commit takes.
    pub fn into_parts(self) -> (Happened<Event, Activity>, Result<Answer, Error>) {
        let Self { events, activity, messages, answer } = self;
        (Happened { events, activity, messages }, answer)
    }

    /// The same decision with only the facts that are kept, and the number of dropped ones.
    pub fn keeping(mut self, keep: impl FnMut(&Activity) -> bool) -> (Self, usize) {
        let count = self.activity.len();
        self.activity.retain(keep);
        let left_out = count - self.activity.len();
        (self, left_out)
    }

    /// The same answer, but only these facts are written. For callers who may not learn that something else was done
    /// instead.
    pub fn withheld(self, activity: Vec<Activity>) -> Self {
        Self { events: Vec::new(), activity, messages: Vec::new(), answer: self.answer }
    }

    /// The same decision followed by another one about the same subject.
    pub fn then<Other>(mut self, next: Decision<Event, Activity, Other>) -> Decision<Event, Activity, Other> {
        let answer = match self.answer {
            Err(refused) => Err(refused),
            Ok(_) => {
                self.events.extend(next.events);
                self.activity.extend(next.activity);
                self.messages.extend(next.messages);
                next.answer
            }
        };
        Decision { events: self.events, activity: self.activity, messages: self.messages, answer }
    }

    /// The same decision with more facts.
    pub fn with_activity(mut self, activity: impl IntoIterator<Item = Activity>) -> Self {
        self.activity.extend(activity);
        self
    }

    /// The messages to be sent.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The same decision with other messages, unless one of them can't be made.
    pub fn with_each_message(mut self, change: impl FnMut(Message) -> Result<Message, Error>) -> Result<Self, Error> {
        self.messages = self.messages.into_iter().map(change).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The same decision with more messages.
    pub fn with_messages(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.messages.extend(messages);
        self
    }
}

/// An aggregate. Only this code turns its events into state.
pub trait Aggregate: Sized + Clone + PartialEq + std::fmt::Debug {
    /// The oneof of its events.
    type Event: EventPayload + Clone + std::fmt::Debug + Send + Sync;
    /// Raised whenever `apply` yields another state from the same events; read models are then computed again.
    const REVISION: i32;

    /// The state after an event. `None` before the first event and after the last one.
    fn apply(state: Option<Self>, stream: &StreamId, event: &Self::Event, at: Timestamp) -> Option<Self>;
}

/// The state after these events, in their order.
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

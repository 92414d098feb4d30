//! What a rule decides, and what an aggregate is.

use crate::domain::error::Error;
use crate::domain::ids::StreamId;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::proto::EventPayload;

/// The outcome of a rule. A refusal may carry facts (a wrong code counts), and they are committed.
///
/// Outside the rules it goes into a commit whole, so that no part of it is lost.
#[must_use = "what was decided is lost unless a commit takes it"]
#[derive(Debug)]
pub struct Decision<Event, Activity, Answer> {
    /// What happened: appended to the aggregate's stream.
    pub(in crate::domain) events: Vec<Event>,
    /// Facts that decide nothing: written beside the log.
    pub(in crate::domain) activity: Vec<Activity>,
    /// Messages to a person.
    pub(in crate::domain) messages: Vec<Message>,
    /// What the caller gets.
    pub(in crate::domain) answer: Result<Answer, Error>,
}

/// What a decision writes.
#[derive(Debug)]
pub struct Happened<Event, Activity> {
    /// What happened: appended to the aggregate's stream.
    pub events: Vec<Event>,
    /// Facts that decide nothing: written beside the log.
    pub activity: Vec<Activity>,
    /// Messages to a person.
    pub messages: Vec<Message>,
}

/// Of aggregates about which there are no facts beside their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFacts {}

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

    /// What happened.
    pub fn happened(&self) -> &[Event] {
        &self.events
    }

    /// The answer, if the command is accepted.
    pub fn accepted(&self) -> Option<&Answer> {
        self.answer.as_ref().ok()
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.activity.is_empty() && self.messages.is_empty()
    }

    /// Both parts, for whoever commits.
    pub fn into_parts(self) -> (Happened<Event, Activity>, Result<Answer, Error>) {
        let Self { events, activity, messages, answer } = self;
        (Happened { events, activity, messages }, answer)
    }

    /// The same with the facts that are kept, and how many are not.
    pub fn keeping(mut self, keep: impl FnMut(&Activity) -> bool) -> (Self, usize) {
        let count = self.activity.len();
        self.activity.retain(keep);
        let left_out = count - self.activity.len();
        (self, left_out)
    }

    /// The same answer, though nothing happened but this: who may not learn what was done instead is told the same.
    pub fn withheld(self, activity: Vec<Activity>) -> Self {
        Self { events: Vec::new(), activity, messages: Vec::new(), answer: self.answer }
    }

    /// The same followed by another decision about the same subject.
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

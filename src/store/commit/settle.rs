//! From a decision to an answer: a commit takes a whole decision, and settling the commit returns the answer.

use std::sync::Arc;

use crate::domain::app_client::AppClient;
use crate::domain::decision::{Aggregate, Decision, Happened, NoFacts, replay};
use crate::domain::device::Device;
use crate::domain::error::Error;
use crate::domain::ids::{DeviceId, StreamId, Sub};
use crate::domain::trigger::notice::Notice;
use crate::domain::user::User;
use crate::domain::user_pool::UserPool;
use crate::proto::events::{device_event, user_activity, user_event};
use crate::store::Store;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::{Change, Commit, OperationalRow};
use crate::store::error::Failure;
use crate::store::loaded::{Loaded, LoadedDevice, LoadedUser};
use crate::store::models::{Identifies, Modelled};
use crate::store::seal::DataKey;

/// The subject of a decision: a stream, and its state as the rules saw it.
pub trait Subject {
    /// The aggregate that the stream belongs to.
    type State: Modelled;
    /// The type of facts about the subject.
    type Activity;

    /// The stream that the events are appended to.
    fn stream(&self) -> StreamId;

    /// The state before the decision; `None` if the subject did not exist.
    fn before(&self) -> Option<&Self::State>;

    /// Adds the outcome of a decision to a commit.
    fn enter(&self, commit: &mut Commit, happened: Happened<Event<Self>, Self::Activity>);
}

/// The events of a subject.
pub type Event<S> = <<S as Subject>::State as Aggregate>::Event;

/// A pool that does not exist yet.
pub struct NewPool;

/// An aggregate that does not exist yet, by its id.
pub struct New<Id>(pub Id);

/// A user that does not exist yet.
pub struct NewUser<'a> {
    /// The id that the new user gets.
    pub sub: Sub,
    /// The data key that was made for the new user.
    pub key: &'a Arc<DataKey>,
}

/// A device of a user, whose key seals the caller's address.
pub struct UserDevice<'a> {
    /// The id of the device.
    pub id: DeviceId,
    /// The device as it was read; `None` if it does not exist yet.
    pub known: Option<&'a LoadedDevice>,
    /// The data key of its user.
    pub key: &'a Arc<DataKey>,
}

impl<'a> UserDevice<'a> {
    /// An existing device of a user.
    pub fn known(device: &'a LoadedDevice, user: &'a LoadedUser) -> Self {
        Self { id: device.state.id, known: Some(device), key: &user.key }
    }
}

/// The stand-in for a name that no user has. It gets no events and no messages: a commit only stores the facts, with
/// the caller's address sealed under the pool's key.
pub struct Nobody(pub Sub);

impl Subject for NewPool {
    type State = UserPool;
    type Activity = NoFacts;

    fn stream(&self) -> StreamId {
        StreamId::pool()
    }

    fn before(&self) -> Option<&UserPool> {
        None
    }

    fn enter(&self, commit: &mut Commit, happened: Happened<Event<Self>, NoFacts>) {
        commit.change(Change::of(self, 0, happened.events));
    }
}

impl Subject for PoolView {
    type State = UserPool;
    type Activity = NoFacts;

    fn stream(&self) -> StreamId {
        StreamId::pool()
    }

    fn before(&self) -> Option<&UserPool> {
        Some(&self.state)
    }

    fn enter(&self, commit: &mut Commit, happened: Happened<Event<Self>, NoFacts>) {
        commit.change(Change::of(self, self.version, happened.events));
    }
}

impl<Id: Identifies> Subject for New<Id> {
    type State = Id::Aggregate;
    type Activity = NoFacts;

    fn stream(&self) -> StreamId {
        self.0.stream()
    }

    fn before(&self) -> Option<&Id::Aggregate> {
        None
    }

    fn enter(&self, commit: &mut Commit, happened: Happened<Event<Self>, NoFacts>) {
        // An aggregate with a key is entered together with it; otherwise its personal part would not be sealed.
        const { assert!(!Id::Aggregate::MODEL.has_key) };
        commit.change(Change::of(self, 0, happened.events));
    }
}

impl Subject for ClientView {
    type State = AppClient;
    type Activity = NoFacts;

    fn stream(&self) -> StreamId {
        StreamId::client(&self.state.client_id)
    }

    fn before(&self) -> Option<&AppClient> {
        Some(&self.state)
    }

    fn enter(&self, commit: &mut Commit, happened: Happened<Event<Self>, NoFacts>) {
        commit.change(Change::of(self, self.version, happened.events));
    }
}

impl<A: Modelled> Subject for Loaded<A> {
    type State = A;
    type Activity = NoFacts;

    fn stream(&self) -> StreamId {
        self.state.stream()
    }

    fn before(&self) -> Option<&A> {
        Some(&self.state)
    }

    fn enter(&self, commit: &mut Commit, happened: Happened<Event<Self>, NoFacts>) {
        // As above.
        const { assert!(!A::MODEL.has_key) };
        commit.change(Change::of(self, self.version, happened.events));
    }
}

impl<S: Subject> Subject for Arc<S> {
    type State = S::State;
    type Activity = S::Activity;

    fn stream(&self) -> StreamId {
        S::stream(self)
    }

    fn before(&self) -> Option<&S::State> {
        S::before(self)
    }

    fn enter(&self, commit: &mut Commit, happened: Happened<Event<S>, S::Activity>) {
        S::enter(self, commit, happened);
    }
}

impl Subject for UserDevice<'_> {
    type State = Device;
    type Activity = NoFacts;

    fn stream(&self) -> StreamId {
        StreamId::device(self.id)
    }

    fn before(&self) -> Option<&Device> {
        self.known.map(|device| &device.state)
    }

    fn enter(&self, commit: &mut Commit, happened: Happened<device_event::Event, NoFacts>) {
        let change = Change::of(self, self.known.map_or(0, |device| device.version), happened.events);
        commit.change(Change { key: Some(self.key.clone()), own: true, ..change });
    }
}

type UserHappened = Happened<user_event::Event, user_activity::Activity>;

impl Subject for NewUser<'_> {
    type State = User;
    type Activity = user_activity::Activity;

    fn stream(&self) -> StreamId {
        StreamId::user(self.sub)
    }

    fn before(&self) -> Option<&User> {
        None
    }

    fn enter(&self, commit: &mut Commit, happened: UserHappened) {
        commit.user_decided(self, (self.sub, self.key), 0, happened);
    }
}

impl Subject for LoadedUser {
    type State = User;
    type Activity = user_activity::Activity;

    fn stream(&self) -> StreamId {
        StreamId::user(self.state.sub)
    }

    fn before(&self) -> Option<&User> {
        Some(&self.state)
    }

    fn enter(&self, commit: &mut Commit, happened: UserHappened) {
        commit.user_decided(self, (self.state.sub, &self.key), self.version, happened);
    }
}

impl Subject for Nobody {
    type State = User;
    type Activity = user_activity::Activity;

    fn stream(&self) -> StreamId {
        StreamId::user(self.0)
    }

    fn before(&self) -> Option<&User> {
        None
    }

    fn enter(&self, commit: &mut Commit, happened: UserHappened) {
        commit.activity.extend(happened.activity.into_iter().map(|fact| (self.0, None, fact)));
    }
}

impl Commit {
    /// Adds events of another user than the subject, written if the command is accepted.
    pub fn other_user(mut self, other: &LoadedUser, events: Vec<user_event::Event>) -> Self {
        let change = Change::of(other, other.version, events);
        self.change(Change { key: Some(other.key.clone()), ..change });
        self
    }

    /// Adds what was decided about a device beside the subject, written if the command is accepted.
    pub fn device(mut self, device: &UserDevice<'_>, decision: Decision<device_event::Event, NoFacts, ()>) -> Self {
        device.enter(&mut self, decision.into_parts().0);
        self
    }

    /// Adds facts about a user beside those of the subject. They are written for any answer.
    pub fn facts(mut self, user: &LoadedUser, facts: impl IntoIterator<Item = user_activity::Activity>) -> Self {
        self.activity.extend(facts.into_iter().map(|fact| (user.state.sub, Some(user.key.clone()), fact)));
        self
    }

    /// Asserts that a user still is as a decision about something of theirs saw it. A deletion of the user waits, and then finds
    /// what the commit has written.
    pub fn decided_about(mut self, user: &LoadedUser) -> Self {
        self.asserted.push((StreamId::user(user.state.sub), user.version));
        self
    }

    fn change<A: Modelled>(&mut self, change: Change<A>) {
        self.changes.push(Box::new(change));
    }

    fn user_decided<S: Subject<State = User>>(
        &mut self,
        subject: &S,
        (sub, key): (Sub, &Arc<DataKey>),
        version: i64,
        happened: UserHappened,
    ) {
        let change = Change::of(subject, version, happened.events);
        self.change(Change { key: Some(key.clone()), own: true, ..change });
        self.activity.extend(happened.activity.into_iter().map(|fact| (sub, Some(key.clone()), fact)));
        self.messages.extend(happened.messages.into_iter().map(|message| (sub, key.clone(), message)));
    }

    /// Takes a whole decision. Everything added to the commit before is only written if the command is accepted; of a
    /// refusal, only the facts are written.
    pub fn decided<S: Subject, Answer>(
        mut self,
        subject: &S,
        decision: Decision<Event<S>, S::Activity, Answer>,
    ) -> Settlement<Answer> {
        let (happened, answer) = decision.into_parts();
        if answer.is_err() {
            self.forget_what_accepting_means();
        }
        subject.enter(&mut self, happened);
        Settlement { commit: self, answer }
    }

    /// The same, with an answer that shows the subject's new state.
    pub fn decided_showing<S: Subject, Answer, Shown>(
        self,
        subject: &S,
        decision: Decision<Event<S>, S::Activity, Answer>,
        show: impl FnOnce(&S::State) -> Result<Shown, Error>,
    ) -> Settlement<Shown> {
        let events = decision.happened().iter().map(|event| (event, self.at));
        let after: Option<S::State> = replay(subject.before().cloned(), &subject.stream(), events);
        let nothing = || Error::internal("an answer shows what does not exist");
        self.decided(subject, decision).and_then(|_| show(&after.ok_or_else(nothing)?))
    }

    fn forget_what_accepting_means(&mut self) {
        self.changes.clear();
        self.operational.clear();
        self.counted.clear();
        self.unnamed.clear();
    }

    fn forget_everything(&mut self) {
        self.forget_what_accepting_means();
        self.activity.clear();
        self.messages.clear();
        self.notices.clear();
    }
}

/// A commit with its decision, and the answer that the caller gets once it is written.
#[must_use = "what was decided is lost unless the store settles it"]
#[derive(Debug)]
pub struct Settlement<Answer> {
    commit: Commit,
    answer: Result<Answer, Error>,
}

impl<Answer> Settlement<Answer> {
    /// The same commit with another answer.
    pub fn map<Other>(self, answer: impl FnOnce(Answer) -> Other) -> Settlement<Other> {
        self.and_then(|given| Ok(answer(given)))
    }

    /// The same commit with another answer. If that fails, nothing is written.
    pub fn and_then<Other>(mut self, answer: impl FnOnce(Answer) -> Result<Other, Error>) -> Settlement<Other> {
        let answer = match self.answer.map(answer) {
            Ok(Err(failed)) => {
                self.commit.forget_everything();
                Err(failed)
            }
            made => made.and_then(|made| made),
        };
        Settlement { commit: self.commit, answer }
    }

    /// Adds what a trigger is told of a user, written if the command is accepted.
    pub fn telling(mut self, sub: Sub, key: &Arc<DataKey>, notice: Option<Notice>) -> Self {
        let notice = notice.filter(|_| self.answer.is_ok());
        self.commit.notices.extend(notice.map(|notice| (sub, key.clone(), notice)));
        self
    }

    /// Adds rows that are written for any answer, such as the count of a wrong guess.
    pub fn always(mut self, rows: impl IntoIterator<Item = OperationalRow>) -> Self {
        self.commit.operational.extend(rows);
        self
    }
}

impl Store {
    /// Writes the decision and returns the answer. The facts of a refusal are written too; an empty decision writes
    /// nothing. The answer to a command with an idempotency key is stored in the same transaction.
    ///
    /// Fails with [`StoreError::Stale`](crate::store::error::StoreError::Stale) or
    /// [`StoreError::Claimed`](crate::store::error::StoreError::Claimed) if another commit was first: then read again
    /// and decide anew.
    pub async fn settle<Answer: prost::Message>(&self, settlement: Settlement<Answer>) -> Result<Answer, Failure> {
        let Settlement { mut commit, answer } = settlement;
        if commit.is_empty() {
            return Ok(answer?);
        }
        if let Ok(answer) = &answer {
            commit.answer = commit.origin.command.is_some().then(|| answer.encode_to_vec());
        }
        self.run_to_its_end(commit).await?;
        Ok(answer?)
    }
}

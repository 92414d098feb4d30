//! The only way in which logs, claims, read models and the outbox are written.
//!
//! A [`Commit`] contains everything of a transaction: decisions, with the version of each stream that they were made
//! from, and operational rows. Sealing, applying and encoding happen before the transaction begins. Inside it there are
//! only writes, in a fixed order: streams by id, claims by kind and key, read models in the order of their streams,
//! then the rest.

mod operational;
mod read_models;
mod rows;
mod settle;
mod write;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::auth::session::{Nonce, Session};
use crate::domain::decision::Aggregate;
use crate::domain::device::Device;
use crate::domain::ids::{DeviceId, GroupId, PasskeyId, StreamId, Sub, UserPoolId};
use crate::domain::lockout::Attempts;
use crate::domain::message::Message;
use crate::domain::personal::Sealed;
use crate::domain::rate::Limited;
use crate::domain::source::Tally;
use crate::domain::time::Timestamp;
use crate::domain::trigger::notice::Notice;
use crate::domain::user::User;
use crate::domain::user::codes::SentCode;
use crate::domain::user_pool::NameRules;
use crate::proto::EventPayload;
use crate::proto::events::{CodePurpose, user_activity};
use crate::store::Store;
use crate::store::cache::{ClientView, PoolView};
use crate::store::error::StoreError;
use crate::store::keys::{PoolKeys, WrappedKey};
use crate::store::loaded::LoadedGroup;
use crate::store::metadata::Origin;
use crate::store::models::{Model, Modelled};
use crate::store::seal::DataKey;
use crate::store::wake::News;

pub use crate::store::models::Counted;
pub(crate) use rows::{ActivityRow, NewFact};
use rows::{Pending, Rows, activity_row};
pub use settle::{New, New as NewClient, New as NewGroup, NewPool, NewUser, Nobody, Settlement, Subject, UserDevice};
pub(crate) use write::append_activity;
use write::{Failed, Stage};

/// An operational row of a commit.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum OperationalRow {
    /// A new data key, wrapped.
    Key(WrappedKey),
    /// A code that was sent. It replaces an earlier one for the same purpose.
    Code {
        sub: Sub,
        purpose: CodePurpose,
        /// Whether the code counts for the user or for the name.
        kept: Kept,
        code: SentCode,
        /// The hash of the previous code that the decision saw. Collides if another code was sent or this one was spent
        /// since.
        before: Option<Vec<u8>>,
    },
    /// Deletes a code that can't be used any more, if there is one.
    CodeDropped { sub: Sub, purpose: CodePurpose },
    /// The effect of a guess on a code. Collides if another guess or another code came since the decision read it: so
    /// right guesses assert the limit of guesses just as wrong ones do.
    CodeTried {
        sub: Sub,
        purpose: CodePurpose,
        /// Whether the code counts for the user or for the name.
        kept: Kept,
        /// The hash of the code that the decision saw.
        hash: Vec<u8>,
        /// The wrong guesses that the decision saw.
        attempts: Tally,
        /// How the guess changes the code.
        outcome: Trial,
    },
    /// A password was replaced or removed: all wrong guesses at it are forgotten, and a code for a new password becomes
    /// invalid, unless the commit itself changes that code.
    PasswordReplaced {
        sub: Sub,
        /// Whether a code for a new password becomes invalid.
        voids_code: bool,
    },
    /// Counts one more of each of these. Fails with [`StoreError::Limited`] if a limit is reached.
    RatesSpent(Vec<Limited>),
    /// Asserts that a limit is not reached. Fails with [`StoreError::Limited`] otherwise.
    RateAsserted(Limited),
    /// Begins a session of a user.
    SessionBegun(Session),
    /// Spends a challenge token. Fails with [`StoreError::Spent`] if it is already spent.
    NonceSpent(Nonce),
    /// Uses up a code that an authenticator app shows. Fails with [`StoreError::CodeUsed`] if it is used up already.
    StepSpent(Nonce),
    /// Counts a wrong guess. Collides if another one came since the decision.
    FailureCounted {
        sub: Sub,
        /// The value of [`Failures::counted`](crate::store::read::Failures::counted).
        source: &'static str,
        /// The row's version that the decision saw; 0 if there was none.
        version: i64,
        /// The guesses from now on.
        attempts: Attempts,
        /// The stand-in for the name that the sign-in began with, and the guesses at it, where callers are told those.
        by_name: Option<(Sub, Attempts)>,
    },
    /// Asserts that no wrong guess came since the decision.
    FailuresAsserted {
        sub: Sub,
        /// The value of [`Failures::counted`](crate::store::read::Failures::counted).
        source: &'static str,
        /// The row's version that the decision saw; 0 if there was none.
        version: i64,
    },
    /// Forgets wrong passwords, those at the user and those at the name. Collides if another one came since the
    /// decision.
    FailuresForgotten {
        sub: Sub,
        /// The stand-in for the name, if the sign-in began with a name: wrong passwords that are told by name are
        /// forgotten too.
        told: Option<Sub>,
        /// The value of [`Failures::counted`](crate::store::read::Failures::counted): a source, or `previous_password`.
        source: &'static str,
        /// The row's version that the decision saw; 0 if there was none.
        version: i64,
    },
    /// A user has signed up or in from a network.
    NetworkFamiliar {
        sub: Sub,
        /// The network's keyed hash.
        network: Vec<u8>,
    },
    /// A user has signed in with a device, or has confirmed it. Collides if the device was changed since the decision; a
    /// forgetting waits, and then finds what the commit has written.
    DeviceUsed {
        sub: Sub,
        device: DeviceId,
        /// The device's version that the decision saw; `None` if the commit itself confirms it.
        version: Option<i64>,
        /// The address that the call came from, sealed under the user's key.
        address: Option<Sealed>,
    },
    /// Asserts that a user has at most `most` devices after the commit. Collides if there are more, because another one was
    /// confirmed since the decision. Confirmations of devices of one user wait for each other.
    DevicesBounded { sub: Sub, most: u32 },
    /// A sign-in waits for a device to prove itself: its challenge token is left with the device.
    DeviceAwaited { device: DeviceId, token: String },
    /// A passkey has signed a user in. Fails with [`StoreError::PasskeyCopied`] if its counter has not gone up since its last
    /// use, and is not 0 both times.
    PasskeyUsed(PasskeyUse),
    /// Forgets the uses of a passkey that is deleted.
    PasskeyForgotten(PasskeyId),
    /// Forgets all familiar networks of a user.
    NetworksForgotten(Sub),
    /// Writes nothing, but takes the time of asserting a user, so that an unknown name can't be distinguished by time.
    AsIfUser,
    /// Writes nothing, but takes the time of writing a message.
    AsIfSent,
}

/// The use of a passkey at a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasskeyUse {
    /// The user who signs in.
    pub sub: Sub,
    /// The passkey that has signed.
    pub passkey: PasskeyId,
    /// The counter of its signatures; 0 if it does not count.
    pub counter: u32,
}

/// Which of two codes a row is: the code of a user or of a name's stand-in, and beside it the one that answers follow
/// from where users are hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The code that decides.
    ForUser,
    /// The code that the caller's answer depends on.
    ByName,
}

impl Kept {
    /// The value of the column `purpose`.
    pub(crate) fn purpose(self, purpose: CodePurpose) -> String {
        let ending = if self == Self::ByName { "_BY_NAME" } else { "" };
        format!("{}{ending}", purpose.as_str_name())
    }
}

/// How a guess changes a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It was wrong: these are the guesses now.
    Wrong(Tally),
    /// The code stays as it is; the count of wrong guesses is asserted.
    Asserted,
    /// It was right, and the code is spent. The code still counts as sent.
    Spent,
}

/// One transaction, before it is written.
#[derive(Debug)]
pub struct Commit {
    pool_id: UserPoolId,
    keys: Arc<PoolKeys>,
    name_rules: NameRules,
    origin: Origin,
    at: Timestamp,
    asserted: Vec<(StreamId, i64)>,
    changes: Vec<Box<dyn Pending>>,
    unnamed: Vec<Unnamed>,
    counted: Vec<(Counted, u32)>,
    activity: Vec<(Sub, Option<Arc<DataKey>>, user_activity::Activity)>,
    messages: Vec<(Sub, Arc<DataKey>, Message)>,
    notices: Vec<(Sub, Arc<DataKey>, Notice)>,
    operational: Vec<OperationalRow>,
    answer: Option<Vec<u8>>,
}

/// Something that ends with a commit and that nothing else may name then.
#[derive(Debug)]
struct Unnamed {
    /// The kind of aggregate that must not name it any more.
    by: &'static Model,
    id: Uuid,
    /// The name of the assertion.
    what: String,
}

impl Unnamed {
    /// A user who is deleted: their devices end in the same commit.
    fn user(sub: Sub) -> Self {
        Self { by: Device::MODEL, id: sub.0, what: format!("devices of {}", StreamId::user(sub)) }
    }
}

#[derive(Debug)]
struct Change<A: Aggregate> {
    stream: StreamId,
    before: Option<A>,
    version: i64,
    events: Vec<A::Event>,
    key: Option<Arc<DataKey>>,
    /// Whether the actor is the user whom the stream is about.
    own: bool,
}

impl<A: Aggregate> Change<A> {
    fn of<S: Subject<State = A>>(subject: &S, version: i64, events: Vec<A::Event>) -> Self {
        Self { stream: subject.stream(), before: subject.before().cloned(), version, events, key: None, own: false }
    }
}

impl Commit {
    /// An empty commit about a pool.
    pub fn about(pool: &PoolView, origin: &Origin, at: Timestamp) -> Self {
        Self::about_new_pool(&pool.id, &pool.keys, pool.name_rules.clone(), origin, at)
    }

    /// An empty commit about a pool that does not exist yet.
    pub fn about_new_pool(
        pool_id: &UserPoolId,
        keys: &Arc<PoolKeys>,
        name_rules: NameRules,
        origin: &Origin,
        at: Timestamp,
    ) -> Self {
        Self {
            pool_id: pool_id.clone(),
            keys: keys.clone(),
            name_rules,
            origin: origin.clone(),
            at,
            asserted: Vec::new(),
            changes: Vec::new(),
            unnamed: Vec::new(),
            counted: Vec::new(),
            activity: Vec::new(),
            messages: Vec::new(),
            notices: Vec::new(),
            operational: Vec::new(),
            answer: None,
        }
    }

    /// Whether there is nothing to write. Versions alone need no transaction.
    fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.is_empty())
            && self.activity.is_empty()
            && self.messages.is_empty()
            && self.notices.is_empty()
            && self.operational.is_empty()
    }

    /// Asserts that the pool, and the client if there is one, still have the version that the decision was made from.
    pub fn decided_from(mut self, pool: &PoolView, client: Option<&ClientView>) -> Self {
        self.asserted.push((StreamId::pool(), pool.version));
        self.asserted.extend(client.map(|client| (StreamId::client(&client.state.client_id), client.version)));
        self
    }

    /// Asserts that a group still has the version that the decision was made from, and keeps it from being deleted
    /// until the commit is done.
    pub fn in_group(mut self, group: &LoadedGroup) -> Self {
        self.asserted.push((StreamId::group(group.state.id), group.version));
        self
    }

    /// Asserts that a group has no members when the commit deletes it.
    pub fn without_members(mut self, group: GroupId) -> Self {
        self.unnamed.push(Unnamed {
            by: User::MODEL,
            id: group.0,
            what: format!("members of {}", StreamId::group(group)),
        });
        self
    }

    /// Asserts that the pool has at most `most` objects of a kind after the commit. Commits that add to the same pool
    /// wait for each other.
    pub fn at_most(mut self, most: u32, counted: Counted) -> Self {
        self.counted.push((counted, most));
        self
    }

    /// The limits that this commit spends or asserts.
    fn rates(&self) -> Vec<Limited> {
        let limited = |row: &OperationalRow| match row {
            OperationalRow::RatesSpent(rates) => rates.clone(),
            OperationalRow::RateAsserted(limited) => vec![limited.clone()],
            _ => Vec::new(),
        };
        self.operational.iter().flat_map(limited).collect()
    }

    /// Adds operational rows that are written if the command is accepted.
    pub fn operational(mut self, rows: impl IntoIterator<Item = OperationalRow>) -> Self {
        self.operational.extend(rows);
        self
    }
}

impl Store {
    /// A fact as a row that may be written outside a commit.
    pub(in crate::store) async fn fact_row<Activity: EventPayload + Sync>(
        &self,
        new: NewFact<'_, Activity>,
    ) -> Result<ActivityRow, StoreError> {
        let row = activity_row(&new, &self.random)?;
        self.admit([row.needed()]).await?;
        Ok(row)
    }

    /// Writes a commit. Once begun it runs to its end, even if the caller goes away.
    async fn run_to_its_end(&self, commit: Commit) -> Result<(), StoreError> {
        let (patience, rates) = (commit.origin.patience, commit.rates());
        let rows = rows::prepare(commit, &self.master, &self.random)?;
        self.admit(rows.needed()).await?;
        let news = if rows.outbox.is_empty() { News::Events } else { News::Messages };
        let store = self.clone();
        let written = self.to_its_end(news, async move {
            let result = store.write(&rows, patience).await;
            if result.is_ok() {
                rows.answer.iter().for_each(|answer| answer.command.committed());
            }
            result
        });
        written.await.map_err(|error| error.with_wait(&rates))
    }

    async fn write(&self, rows: &Rows, patience: Option<Duration>) -> Result<(), StoreError> {
        let written = match write::write(&self.connections, rows).await {
            // The server had ended the connection while it was idle. The other idle ones have been checked since.
            Err(Failed { error, stage: Stage::Begins }) if error.is_connection_lost() => {
                tracing::debug!(%error, "a commit is started again");
                write::write(&self.connections, rows).await
            }
            written => written,
        };
        match written {
            // The answer was lost on the way: the first event tells whether the transaction was committed.
            Err(Failed { error, stage: Stage::Commits }) if error.is_connection_lost() => {
                match (rows.marker(), rows.activity.first().map(ActivityRow::recorded)) {
                    (Some(marker), _) => {
                        self.unless_done(patience, error, || write::is_committed(&self.database, &marker)).await
                    }
                    (None, Some(fact)) => {
                        self.unless_done(patience, error, || self.is_recorded(&rows.pool_id, &fact)).await
                    }
                    (None, None) => Err(error),
                }
            }
            written => written.map_err(|failed| failed.error),
        }
    }
}

/// The place of a commit's first event, to find out later whether it was written.
#[derive(Clone, Debug)]
struct Marker {
    pool_id: UserPoolId,
    stream: StreamId,
    version: i64,
    event_id: Uuid,
}

//! The one way that logs, claims, read models and the outbox are written.
//!
//! A [`Commit`] takes everything of a transaction at once: decisions with the version of each stream that they were made
//! from, and operational rows. Sealing, applying and encoding happen before the transaction begins; inside it there are
//! only writes, in one order: streams by id, claims by kind and key, read models in the order of
//! their streams, the rest.

mod operational;
mod read_models;
mod rows;
mod settle;
mod write;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::auth::session::Session;
use crate::domain::decision::Aggregate;
use crate::domain::ids::{GroupId, StreamId, Sub, UserPoolId};
use crate::domain::message::Message;
use crate::domain::rate::Limited;
use crate::domain::source::Tally;
use crate::domain::time::Timestamp;
use crate::domain::user::codes::SentCode;
use crate::domain::user_pool::NameRules;
use crate::proto::events::{CodePurpose, user_activity};
use crate::store::Store;
use crate::store::cache::{ClientView, PoolView};
use crate::store::error::StoreError;
use crate::store::keys::{PoolKeys, WrappedKey};
use crate::store::loaded::LoadedGroup;
use crate::store::metadata::Origin;
use crate::store::seal::DataKey;
use crate::store::wake::News;

pub use crate::store::models::Counted;
pub(crate) use rows::{ActivityRow, activity_row};
use rows::{Pending, Rows};
pub use settle::{New, New as NewClient, New as NewGroup, NewPool, NewUser, Nobody, Settlement, Subject};
pub(crate) use write::append_activity;
use write::{Failed, Stage};

/// An operational row of a commit.
#[derive(Clone, Debug)]
pub enum OperationalRow {
    /// A new data key.
    Key(WrappedKey),
    /// A code that was sent; it takes the place of an earlier one for the same purpose.
    Code {
        /// Whose.
        sub: Sub,
        /// What for.
        purpose: CodePurpose,
        /// Which of the two that are kept.
        kept: Kept,
        /// The code.
        code: SentCode,
        /// The hash of the code before, as the decision saw it. Collides if another was sent or that one spent meanwhile.
        before: Option<Vec<u8>>,
    },
    /// A code that is of no use any more, if there is one.
    CodeDropped {
        /// Whose.
        sub: Sub,
        /// What for.
        purpose: CodePurpose,
    },
    /// What a guess made of a code. Collides if another guess or another code came since the decision saw it: so a limit of
    /// guesses is asserted by the right one as well as by the wrong ones.
    CodeTried {
        /// Whose.
        sub: Sub,
        /// What for.
        purpose: CodePurpose,
        /// Which of the two that are kept.
        kept: Kept,
        /// The hash of the code, as the decision saw it.
        hash: Vec<u8>,
        /// Its wrong guesses, likewise.
        attempts: Tally,
        /// What becomes of it.
        outcome: Trial,
    },
    /// A password was replaced or taken away: wrong guesses at it are forgotten, wherever they came from, and a code to replace
    /// it is of no use any more, unless the commit says itself what becomes of that.
    PasswordReplaced {
        /// Whose.
        sub: Sub,
        /// Whether a code becomes useless by it.
        voids_code: bool,
    },
    /// One more of each of these. Fails with [`StoreError::Limited`] where a limit is reached.
    RatesSpent(Vec<Limited>),
    /// Something that is limited may still happen. Fails with [`StoreError::Limited`] otherwise.
    RateAsserted(Limited),
    /// A session that begins.
    SessionBegun(Session),
    /// A challenge token is used up. Fails with [`StoreError::Spent`] if it already is.
    NonceSpent {
        /// What is used once.
        nonce: Uuid,
        /// Whose.
        sub: Sub,
        /// Until when the token could be used otherwise.
        expires_at: Timestamp,
    },
    /// Wrong passwords are forgotten: a user's, and those at the name. Collides if another came in the meantime.
    FailuresForgotten {
        /// Whose.
        sub: Sub,
        /// Who stands for the name as this network calls it, if it began with one: what is told of it is forgotten as well.
        told: Option<Sub>,
        /// From where, or at what: see [`Failures::counted`](crate::store::read::Failures::counted).
        source: &'static str,
        /// The version that the decision saw; 0 if there were none.
        version: i64,
    },
    /// Somebody has signed up or in from a network, given by its keyed hash.
    NetworkFamiliar {
        /// Who.
        sub: Sub,
        /// From where.
        network: Vec<u8>,
    },
    /// All networks of a user are forgotten.
    NetworksForgotten(Sub),
    /// Nothing, in the time that it takes to assert a user: for nobody, who may not be told from a user by time.
    AsIfUser,
    /// Nothing, in the time that it takes to write a message.
    AsIfSent,
}

/// A code of a user is kept, or of whoever stands for a name; and beside it what callers are told who may not learn which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// What decides.
    ForUser,
    /// What is told.
    ByName,
}

impl Kept {
    /// A purpose, as it stands in the table.
    pub(crate) fn purpose(self, purpose: CodePurpose) -> String {
        let ending = if self == Self::ByName { "_BY_NAME" } else { "" };
        format!("{}{ending}", purpose.as_str_name())
    }
}

/// What becomes of a code by a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It was wrong: these are the guesses now.
    Wrong(Tally),
    /// Nothing: the wrong guesses that were seen are asserted.
    Asserted,
    /// It was right, and the code is used up. That it was sent still counts.
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
    empty_groups: Vec<GroupId>,
    counted: Vec<(Counted, u32)>,
    activity: Vec<(Sub, Option<Arc<DataKey>>, user_activity::Activity)>,
    messages: Vec<(Sub, Arc<DataKey>, Message)>,
    operational: Vec<OperationalRow>,
    answer: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Change<A: Aggregate> {
    stream: StreamId,
    before: Option<A>,
    version: i64,
    events: Vec<A::Event>,
    key: Option<Arc<DataKey>>,
    /// Whether whoever acts is the one whom the stream is about.
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
            empty_groups: Vec::new(),
            counted: Vec::new(),
            activity: Vec::new(),
            messages: Vec::new(),
            operational: Vec::new(),
            answer: None,
        }
    }

    /// Whether there is nothing to be written. A version that is asserted for nothing need not be.
    fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.is_empty())
            && self.activity.is_empty()
            && self.messages.is_empty()
            && self.operational.is_empty()
    }

    /// Asserts that the pool, and the client where there is one, are still what the decision was made from.
    pub fn decided_from(mut self, pool: &PoolView, client: Option<&ClientView>) -> Self {
        self.asserted.push((StreamId::pool(), pool.version));
        self.asserted.extend(client.map(|client| (StreamId::client(&client.state.client_id), client.version)));
        self
    }

    /// Asserts that a group is still what the decision was made from, and keeps it from ending until the commit is done.
    pub fn in_group(mut self, group: &LoadedGroup) -> Self {
        self.asserted.push((StreamId::group(group.state.id), group.version));
        self
    }

    /// Asserts that nobody is in a group at the end of the commit, which ends the group.
    pub fn without_members(mut self, group: GroupId) -> Self {
        self.empty_groups.push(group);
        self
    }

    /// Asserts that the pool has no more of this than so many once the commit is done. Whoever adds to the same pool waits.
    pub fn at_most(mut self, most: u32, counted: Counted) -> Self {
        self.counted.push((counted, most));
        self
    }

    /// The rates that this commit spends or asserts.
    fn rates(&self) -> Vec<Limited> {
        let limited = |row: &OperationalRow| match row {
            OperationalRow::RatesSpent(rates) => rates.clone(),
            OperationalRow::RateAsserted(limited) => vec![limited.clone()],
            _ => Vec::new(),
        };
        self.operational.iter().flat_map(limited).collect()
    }

    /// Operational rows that accepting the command means.
    pub fn operational(mut self, rows: impl IntoIterator<Item = OperationalRow>) -> Self {
        self.operational.extend(rows);
        self
    }
}

impl Store {
    /// Writes a commit. Once begun it runs to its end, whatever becomes of the caller.
    async fn run_to_its_end(&self, commit: Commit) -> Result<(), StoreError> {
        let (patience, rates) = (commit.origin.patience, commit.rates());
        let rows = rows::prepare(commit, &self.master, &self.random)?;
        let store = self.clone();
        let written = tokio::spawn(async move {
            let news = if rows.outbox.is_empty() { News::Events } else { News::Messages };
            let result = store.write(&rows, patience).await;
            if result.is_ok() {
                rows.answer.iter().for_each(|answer| answer.command.committed());
                store.wake.committed(news);
            }
            result
        });
        written.await?.map_err(|error| error.with_wait(&rates))
    }

    async fn write(&self, rows: &Rows, patience: Option<Duration>) -> Result<(), StoreError> {
        let written = match write::write(&self.connections, rows).await {
            // The server had ended the connection while nobody looked, and those that are left were looked at.
            Err(Failed { error, stage: Stage::Begins }) if error.is_connection_lost() => {
                tracing::debug!(%error, "a commit begins once more");
                write::write(&self.connections, rows).await
            }
            written => written,
        };
        match written {
            // The answer was lost on the way: the first event tells whether the transaction was.
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

/// Where the first event of a commit stands, to tell later whether it was written.
#[derive(Clone, Debug)]
struct Marker {
    pool_id: UserPoolId,
    stream: StreamId,
    version: i64,
    event_id: Uuid,
}

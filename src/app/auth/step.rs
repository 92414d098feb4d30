//! A step of a sign-in: the proofs after it, and what it writes.

use crate::app::afterwards::afterwards;
use crate::app::auth::sign_in::SignIn;
use crate::domain::auth::session::{ChallengeSession, Nonce, Proofs};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::commit::{Commit, OperationalRow};

/// The result of a step.
pub struct Step<'a> {
    /// All proofs of the sign-in so far.
    pub proofs: Proofs,
    /// What has to be written, whatever comes next. A flow that has only heard a guess writes nothing.
    pub answered: Option<Answered<'a>>,
}

/// The accepted answer to a challenge.
pub struct Answered<'a> {
    /// The challenge, which is used up.
    pub session: &'a ChallengeSession,
    /// The changes to the user.
    pub decision: Decision<Event, Activity, ()>,
    /// The limits of guesses that a right code asserts.
    pub limits: [Option<Limited>; 2],
    /// The code of an authenticator app that the answer uses up.
    pub step: Option<Nonce>,
    /// What else the answer uses up or asserts.
    pub rows: Vec<OperationalRow>,
}

impl<'a> Answered<'a> {
    /// An answer that was no guess: it uses up nothing but its challenge.
    pub fn by(session: &'a ChallengeSession, decision: Decision<Event, Activity, ()>) -> Self {
        Self { session, decision, limits: [None, None], step: None, rows: Vec::new() }
    }

    /// Whether the answer writes nothing but that it was given.
    pub fn is_plain(&self) -> bool {
        self.rows.is_empty() && self.decision.is_empty()
    }

    /// The commit of an answer, with operational rows besides the decision's.
    pub fn commit(&self, sign_in: &SignIn<'_>) -> Commit {
        Commit::about(sign_in.pool(), sign_in.origin, sign_in.at)
            .decided_from(sign_in.pool(), Some(sign_in.client))
            .operational([spent(self.session)])
            .operational(self.step.map(OperationalRow::StepSpent))
            .operational(self.limits.iter().flatten().cloned().map(OperationalRow::RateAsserted))
            .operational(self.rows.iter().cloned())
    }

    /// The user after the answer.
    pub fn user_afterwards(&self, user: &User, at: Timestamp) -> Result<User, Error> {
        afterwards((user.sub, Some(user)), &self.decision, at)
    }
}

/// The row that uses up a challenge.
pub fn spent(session: &ChallengeSession) -> OperationalRow {
    OperationalRow::NonceSpent(session.spent())
}

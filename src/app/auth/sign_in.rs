//! A sign-in at one attempt: who asks, through what, and what was read.

use crate::app::whence::Whence;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::account::Account;
use crate::domain::ids::Sub;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::store::cache::{ClientView, PoolView};
use crate::store::metadata::Origin;
use crate::store::read::{Failures, Snapshot};
use crate::store::sign_in::Attempt;

/// A sign-in at one attempt.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The flow that it began with.
    pub flow: AuthFlow,
    /// What was read: pool, user, groups and guesses so far.
    pub found: &'a Snapshot,
    /// The client that it goes through.
    pub client: &'a ClientView,
    /// Who asks.
    pub origin: &'a Origin,
    /// Where the person is.
    pub whence: &'a Whence,
    /// Who stands for the name, as the network of the beginning calls it. Not known of a challenge of an earlier release.
    pub told: Option<Sub>,
    /// The limit that a wrong guess spends, if there is one.
    pub limited: Option<&'a Limited>,
    /// The time.
    pub at: Timestamp,
}

impl<'a> SignIn<'a> {
    /// The user's pool.
    pub fn pool(&self) -> &'a PoolView {
        &self.found.pool
    }

    /// The account, with the user in this state.
    pub fn account(&self, user: &'a User) -> Account<'a> {
        Account { pool: &self.pool().state, client: &self.client.state, user }
    }

    /// Where what is written of it without a commit belongs.
    pub fn attempt(&self) -> Attempt<'a> {
        Attempt {
            pool_id: &self.pool().id,
            keys: &self.pool().keys,
            origin: self.origin,
            told: self.told,
            failures: Failures::SignIn,
            source: self.found.source(),
            limited: self.limited,
            at: self.at,
        }
    }
}

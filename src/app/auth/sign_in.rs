//! A sign-in in one attempt: the caller, the client, and what was read.

use crate::app::triggers::Subject;
use crate::app::whence::Whence;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::account::Account;
use crate::domain::auth::session::Nonce;
use crate::domain::ids::Sub;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Texts;
use crate::domain::user::User;
use crate::store::cache::{ClientView, PoolView};
use crate::store::loaded::LoadedDevice;
use crate::store::metadata::Origin;
use crate::store::read::{Failures, Snapshot};
use crate::store::sign_in::Attempt;

/// A sign-in in one attempt.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The flow that the sign-in began with.
    pub flow: AuthFlow,
    /// What was read: pool, user, groups and guesses so far.
    pub found: &'a Snapshot,
    /// The client of the sign-in.
    pub client: &'a ClientView,
    /// The metadata for triggers of the whole sign-in: that of the answer to a challenge. What comes with InitiateAuth is
    /// not for them.
    pub client_metadata: &'a Texts,
    /// The caller, for what the attempt writes.
    pub origin: &'a Origin,
    /// The network that the person calls from.
    pub whence: &'a Whence,
    /// The stand-in for the name as told to the network in which the sign-in began. Absent for challenges of an earlier
    /// release.
    pub told: Option<Sub>,
    /// The limit that a wrong guess spends, if there is one.
    pub limited: Option<&'a Limited>,
    /// The nonce that is spent by what is written about the attempt without a commit.
    pub spends: Option<Nonce>,
    /// The time of the attempt, the same for all that it writes.
    pub at: Timestamp,
}

impl<'a> SignIn<'a> {
    /// The user's pool, in the version that was read.
    pub fn pool(&self) -> &'a PoolView {
        &self.found.pool
    }

    /// The device that the caller names, if it is one of the user's. Any other is as if none were named.
    pub fn device(&self) -> Option<&'a LoadedDevice> {
        let user = self.found.user.as_ref()?;
        let device = self.found.device.as_ref().map(|used| &used.device)?;
        (device.state.sub == user.state.sub && self.flow.knows_devices()).then_some(device)
    }

    /// The account, with the user in the given state.
    pub fn account(&self, user: &'a User) -> Account<'a> {
        let device = self.device().map(|device| &device.state);
        Account { pool: &self.pool().state, client: &self.client.state, user, device }
    }

    /// Whom the pool's triggers are asked about. A name that nobody has is told as it was written.
    pub fn subject(&self, written: &'a str) -> Subject<'a> {
        let user_name = self.found.user.as_ref().map_or(written, |user| user.state.username());
        Subject { pool: self.pool(), user_name, client_id: Some(&self.client.state.client_id) }
    }

    /// The user's attributes as triggers receive them: none of a name that nobody has.
    pub fn trigger_attributes(&self) -> Texts {
        self.found.user.as_ref().map(|user| user.state.trigger_attributes()).unwrap_or_default()
    }

    /// Pool and keys for what is written about the attempt without a commit.
    pub fn attempt(&self) -> Attempt<'a> {
        Attempt {
            pool_id: &self.pool().id,
            keys: &self.pool().keys,
            origin: self.origin,
            told: self.told,
            failures: Failures::SignIn,
            source: self.found.source(),
            limited: self.limited,
            spends: self.spends,
            at: self.at,
        }
    }
}

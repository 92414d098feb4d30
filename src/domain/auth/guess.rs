//! A guess at a first factor: how it counts, and when it is not even heard.

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::refusal::Refusal;
use crate::domain::error::Error;
use crate::domain::lockout::{self, Attempts, Hearing};
use crate::domain::time::Timestamp;
use crate::domain::user_pool::UserPool;
use crate::proto::events::{SignInRefusal, UserSignInRefused};

/// A guess at the password of a user name, or at a code in its place.
pub struct Guess<'a> {
    /// The pool that the client belongs to.
    pub pool: &'a UserPool,
    /// The client that is used.
    pub client: &'a AppClient,
    /// The flow that carries the guess.
    pub flow: AuthFlow,
    /// Earlier wrong guesses at the user from the same kind of source. For a name without a user, those at its
    /// stand-in.
    pub attempts: Option<Attempts>,
    /// Earlier wrong guesses at the name, whether or not a user has it. They only decide what is told to a caller who
    /// may not learn which users exist.
    pub attempts_by_name: Option<Attempts>,
    /// When the guess is made.
    pub at: Timestamp,
}

impl Guess<'_> {
    /// Refuses a password without looking at it: the user is locked, and the caller may learn it. Called before a
    /// password is hashed.
    ///
    /// Where the caller may not learn which users exist, the lock is told only after as many guesses at this very name.
    /// For a user who is locked by guesses at their other names, the password is hashed as usual and never counts as
    /// right.
    pub fn refuse_unheard(&self) -> Option<Refusal> {
        let told = if self.client.hides_users() { self.attempts_by_name } else { self.attempts };
        lockout::is_locked(told.as_ref(), self.at).then(|| {
            let error = Error::not_authorized("Password attempts exceeded");
            self.refused(SignInRefusal::Locked, Hearing::Unheard, error)
        })
    }

    /// Refuses a guess at a user who is locked, where the caller may not learn that: it reads like a wrong one.
    pub fn refuse_locked(&self) -> Option<Refusal> {
        self.refuse_unheard().or_else(|| {
            let attempts = self.attempts.filter(|attempts| lockout::is_locked(Some(attempts), self.at))?;
            let unchanged = Hearing::Wrong { attempts, by_name: self.one_more_by_name() };
            Some(self.refused(SignInRefusal::Locked, unchanged, wrong()))
        })
    }

    /// How one more wrong guess counts.
    pub fn one_more(&self) -> Hearing {
        Hearing::Wrong {
            attempts: lockout::after_failure(self.attempts.as_ref(), self.at),
            by_name: self.one_more_by_name(),
        }
    }

    /// The guesses at the name after one more wrong password, where the client hides which users exist.
    fn one_more_by_name(&self) -> Option<Attempts> {
        let told = || lockout::after_failure(self.attempts_by_name.as_ref(), self.at);
        self.client.hides_users().then(told)
    }

    /// The refusal of the guess for this reason.
    pub fn refused(&self, reason: SignInRefusal, hearing: Hearing, error: Error) -> Refusal {
        let activity = UserSignInRefused {
            client_id: self.client.client_id.to_string(),
            auth_flow: self.flow.name().to_owned(),
            reason: reason.into(),
            second_factor: 0,
        };
        Refusal { activity, hearing, error }
    }
}

/// The refusal of a wrong password.
pub fn wrong() -> Error {
    Error::not_authorized("Incorrect username or password.")
}

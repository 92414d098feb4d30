//! ChangePassword: the rules.

use crate::domain::auth::lockout::{self, Attempts};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::password_policy;
use crate::domain::time::Timestamp;
use crate::domain::user::forgot_password::cannot_be_reset;
use crate::domain::user::{Password, User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{PasswordChangeRefusal, PasswordChosenBy, UserPasswordChangeRefused, UserPasswordChanged};

/// A refusal because of the password before. It is recorded.
#[derive(Debug)]
pub struct Refused {
    /// What is recorded.
    pub activity: Activity,
    /// The attempts from now on, where they changed.
    pub attempts: Option<Attempts>,
    /// What the caller reads.
    pub error: Error,
}

/// Checks everything that can be checked before a password is hashed.
pub fn check(pool: &UserPool, user: &User, previous: Option<&str>, proposed: &str) -> Result<(), Error> {
    if user.status == UserStatus::ForceChangePassword {
        return Err(cannot_be_reset());
    }
    if previous.is_none() && user.password.is_some() {
        return Err(Error::invalid_parameter("Missing required parameter PreviousPassword"));
    }
    password_policy::check(&pool.password_policy(), proposed)
}

/// Whether too many wrong passwords came before: asked before one is hashed.
pub fn refuse_locked(attempts: Option<&Attempts>, at: Timestamp) -> Option<Refused> {
    lockout::is_locked(attempts, at).then(|| refused(PasswordChangeRefusal::Locked, None, Error::limit_exceeded()))
}

/// A wrong password counts.
pub fn check_previous(matches: bool, attempts: Option<&Attempts>, at: Timestamp) -> Result<(), Refused> {
    if matches {
        return Ok(());
    }
    let failed = lockout::after_failure(attempts, at);
    let error = Error::not_authorized("Incorrect username or password.");
    Err(refused(PasswordChangeRefusal::WrongPassword, Some(failed), error))
}

fn refused(reason: PasswordChangeRefusal, attempts: Option<Attempts>, error: Error) -> Refused {
    let activity = Activity::PasswordChangeRefused(UserPasswordChangeRefused { reason: reason.into() });
    Refused { activity, attempts, error }
}

/// The user has another password. Its sessions go on, the one that changed it among them.
pub fn change_password(password: Password) -> Decision<Event, Activity, ()> {
    let changed = UserPasswordChanged {
        by: PasswordChosenBy::User.into(),
        password_hash: password.hash.0,
        srp_verifier: password.srp_verifier.0,
    };
    Decision::events(vec![Event::PasswordChanged(changed)], ())
}

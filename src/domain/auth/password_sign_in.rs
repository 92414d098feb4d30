//! USER_PASSWORD_AUTH: what follows once it is known whether the password is the user's.

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::lockout::{self, Attempts};
use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::{User, UserStatus};
use crate::proto::events::{SignInRefusal, UserSignInRefused, UserSignedIn};

/// What is known when the decision is made.
pub struct PasswordSignIn<'a> {
    /// The client that is used.
    pub client: &'a AppClient,
    /// The flow.
    pub flow: AuthFlow,
    /// The user of that name, if there is one.
    pub user: Option<&'a User>,
    /// Whether the password is the user's.
    pub password_matches: bool,
    /// Earlier attempts at the name.
    pub attempts: Option<Attempts>,
    /// The id of the session that begins if the sign-in succeeds.
    pub session_id: uuid::Uuid,
    /// The time.
    pub at: Timestamp,
}

/// The outcome of a sign-in.
#[derive(Debug)]
pub enum SignIn {
    /// The user is who it says; a session begins.
    Accepted(UserSignedIn),
    /// Refused. The attempts are those to keep, where they changed.
    Refused {
        /// What is recorded.
        activity: UserSignInRefused,
        /// The attempts from now on.
        attempts: Option<Attempts>,
        /// What the caller reads.
        error: Error,
    },
}

/// Whether the name is locked: asked before a password is hashed.
pub fn refuse_locked(sign_in: &PasswordSignIn<'_>) -> Option<SignIn> {
    lockout::is_locked(sign_in.attempts.as_ref(), sign_in.at)
        .then(|| sign_in.refused(SignInRefusal::Locked, None, Error::not_authorized("Password attempts exceeded")))
}

/// Decides a sign-in by password.
pub fn password_sign_in(sign_in: &PasswordSignIn<'_>) -> SignIn {
    if let Some(locked) = refuse_locked(sign_in) {
        return locked;
    }
    let failed = || Some(lockout::after_failure(sign_in.attempts.as_ref(), sign_in.at));
    let wrong = || Error::not_authorized("Incorrect username or password.");
    let Some(user) = sign_in.user else {
        let error = if sign_in.client.hides_users() { wrong() } else { Error::no_such_user() };
        return sign_in.refused(SignInRefusal::UnknownUser, failed(), error);
    };
    if !sign_in.password_matches {
        return sign_in.refused(SignInRefusal::WrongPassword, failed(), wrong());
    }
    if !user.enabled {
        return sign_in.refused(SignInRefusal::Disabled, None, Error::not_authorized("User is disabled."));
    }
    match user.status {
        UserStatus::Unconfirmed => {
            let error = Error::new(Exception::UserNotConfirmedException, "User is not confirmed.");
            sign_in.refused(SignInRefusal::NotConfirmed, None, error)
        }
        UserStatus::Confirmed => SignIn::Accepted(UserSignedIn {
            client_id: sign_in.client.client_id.to_string(),
            auth_flow: sign_in.flow.name().to_owned(),
            session_id: sign_in.session_id.to_string(),
        }),
    }
}

impl PasswordSignIn<'_> {
    fn refused(&self, reason: SignInRefusal, attempts: Option<Attempts>, error: Error) -> SignIn {
        let activity = UserSignInRefused {
            client_id: self.client.client_id.to_string(),
            auth_flow: self.flow.name().to_owned(),
            reason: reason.into(),
        };
        SignIn::Refused { activity, attempts, error }
    }
}

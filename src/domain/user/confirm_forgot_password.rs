//! ConfirmForgotPassword: the rules.

use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{self, Guess, SentCode};
use crate::domain::user::forgot_password::cannot_be_reset;
use crate::domain::user::{Password, User, UserStatus};
use crate::proto::events::CodePurpose;
use crate::proto::events::user_event::Event;
use crate::proto::events::{PasswordChosenBy, UserPasswordChanged};

/// What the command brings.
pub struct ConfirmForgotPassword<'a> {
    /// The code that is kept, if one is: of the user, or of nobody.
    pub sent: Option<&'a SentCode>,
    /// The guess, hashed likewise.
    pub guess: Vec<u8>,
    /// Whether the caller may not learn who exists.
    pub hides_users: bool,
    /// The time.
    pub at: Timestamp,
}

/// Whether a code proves that somebody may choose another password: asked before that is hashed.
///
/// Who may not learn who exists is told of the code alone, which is kept for a name that nobody has as for one of a user.
pub fn prove<'a>(user: Option<&'a User>, command: &ConfirmForgotPassword<'_>) -> Result<&'a User, Guess> {
    let standing = standing(user);
    if !command.hides_users
        && let Err(error) = standing
    {
        return Err(Guess::refuse(error));
    }
    codes::check(command.sent, &command.guess, command.at)
        .map_err(|fault| Guess::faulty(fault, CodePurpose::ForgotPassword, Exception::LimitExceededException))?;
    standing.map_err(|_| Guess::refuse(codes::mismatch()))
}

/// Whether the account is in a state in which another password can be chosen.
fn standing(user: Option<&User>) -> Result<&User, Error> {
    let user = user.ok_or_else(Error::no_such_user)?;
    if !user.enabled {
        return Err(Error::not_authorized("User is disabled."));
    }
    match user.status {
        UserStatus::Confirmed | UserStatus::ResetRequired => Ok(user),
        UserStatus::Unconfirmed => Err(Error::new(Exception::UserNotConfirmedException, "User is not confirmed.")),
        UserStatus::ForceChangePassword => Err(cannot_be_reset()),
    }
}

/// The password that was chosen instead of the forgotten one.
pub fn confirm_forgot_password(password: Password) -> Guess {
    Guess::right(vec![Event::PasswordChanged(UserPasswordChanged {
        by: PasswordChosenBy::Recovery.into(),
        password_hash: password.hash.0,
        srp_verifier: password.srp_verifier.0,
    })])
}

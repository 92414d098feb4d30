//! ConfirmSignUp: the rules.

use subtle::ConstantTimeEq;

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::{User, UserStatus};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, ConfirmedBy, UserAliasReleased, UserCodeRefused, UserConfirmed};

/// So many wrong guesses spend a code.
pub const MOST_GUESSES: i32 = 5;

/// A code that was sent, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCode {
    /// Keyed hash of the code.
    pub hash: Vec<u8>,
    /// The attribute that it proves.
    pub attribute: String,
    /// Wrong guesses so far.
    pub attempts: i32,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// How many codes were sent in this hour, this one included.
    pub sent: i32,
    /// When the hour began.
    pub window_began: Timestamp,
}

/// What the command brings.
pub struct ConfirmSignUp {
    /// The code that is kept, if one is.
    pub sent: Option<SentCode>,
    /// The guess, hashed likewise.
    pub guess: Vec<u8>,
    /// Another user that has the address as its alias.
    pub alias_owner: Option<Box<User>>,
    /// Whether the alias is taken from that user.
    pub force_alias_creation: bool,
    /// The time.
    pub at: Timestamp,
}

/// What becomes of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOutcome {
    /// It stays as it is.
    Kept,
    /// One more wrong guess.
    Guessed,
    /// It is used up.
    Spent,
}

/// The two users that a confirmation can change, and what becomes of the code.
pub struct Confirmation {
    /// About the user who confirms.
    pub decision: Decision<Event, Activity, ()>,
    /// What happens to the user who had the alias.
    pub alias_owner_events: Vec<Event>,
    /// What becomes of the code.
    pub code: CodeOutcome,
}

/// Decides a confirmation. `alias` tells whether the proved attribute becomes an alias in this pool.
pub fn confirm_sign_up(user: &User, command: ConfirmSignUp) -> Confirmation {
    let kept = |error| Confirmation {
        decision: Decision::refuse(error),
        alias_owner_events: Vec::new(),
        code: CodeOutcome::Kept,
    };
    if user.status != UserStatus::Unconfirmed {
        let message = format!("User cannot be confirmed. Current status is {}", user.status.name());
        return kept(Error::not_authorized(message));
    }
    if !user.enabled {
        return kept(Error::not_authorized("User is disabled."));
    }
    let Some(sent) = command.sent.filter(|sent| command.at < sent.expires_at) else {
        return kept(expired());
    };
    if sent.attempts >= MOST_GUESSES {
        let message = "Attempt limit exceeded, please try after some time.";
        return kept(Error::new(Exception::TooManyFailedAttemptsException, message));
    }
    if !bool::from(sent.hash.ct_eq(&command.guess)) {
        return wrong_guess(&sent);
    }
    if command.alias_owner.is_some() && !command.force_alias_creation {
        let name = if sent.attribute == "email" { "email" } else { "phone_number" };
        return kept(Error::new(
            Exception::AliasExistsException,
            format!("An account with the {name} already exists."),
        ));
    }
    let confirmed = UserConfirmed { by: ConfirmedBy::Code.into(), verified_attributes: vec![sent.attribute.clone()] };
    let released = command.alias_owner.map(|_| Event::AliasReleased(UserAliasReleased { attribute: sent.attribute }));
    Confirmation {
        decision: Decision::events(vec![Event::Confirmed(confirmed)], ()),
        alias_owner_events: released.into_iter().collect(),
        code: CodeOutcome::Spent,
    }
}

/// The refusal of a code that is old, used or was never sent.
pub fn expired() -> Error {
    Error::new(Exception::ExpiredCodeException, "Invalid code provided, please request a code again.")
}

/// The refusal of a wrong code.
pub fn mismatch() -> Error {
    Error::new(Exception::CodeMismatchException, "Invalid verification code provided, please try again.")
}

fn wrong_guess(sent: &SentCode) -> Confirmation {
    let refused = UserCodeRefused { purpose: CodePurpose::SignUp.into(), attempts: sent.attempts + 1 };
    Confirmation {
        decision: Decision::refuse(mismatch()).with_activity([Activity::CodeRefused(refused)]),
        alias_owner_events: Vec::new(),
        code: CodeOutcome::Guessed,
    }
}

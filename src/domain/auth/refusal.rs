//! The refusal of a guess, at whichever factor.

use crate::domain::error::Error;
use crate::domain::lockout::Hearing;
use crate::proto::events::UserSignInRefused;

/// The refusal of a guess at a factor of a sign-in.
#[derive(Debug)]
pub struct Refusal {
    /// The fact to be recorded in `activity`.
    pub activity: UserSignInRefused,
    /// How the guess counts towards the lock-out.
    pub hearing: Hearing,
    /// What the caller reads.
    pub error: Error,
}

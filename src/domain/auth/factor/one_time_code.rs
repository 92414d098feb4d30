//! The factor of a code in the place of a password: what follows from the code that the caller gives.

use crate::domain::auth::account::may_sign_in;
use crate::domain::auth::guess::Guess;
use crate::domain::auth::refusal::Refusal;
use crate::domain::lockout::Hearing;
use crate::domain::user::User;
use crate::domain::user::codes::{self, CodeFault, CodeOutcome, Fault};
use crate::proto::events::SignInRefusal;

/// The refusal of a code, and what becomes of the stored ones.
#[derive(Debug)]
pub struct Refused {
    /// What is answered, recorded and counted.
    pub refusal: Box<Refusal>,
    /// How the guess changes the code of the user, or of the stand-in.
    pub code: CodeOutcome,
    /// How it changes the code that is stored for the name.
    pub by_name: CodeOutcome,
}

/// Judges a code that the stored ones say this of. It counts like a password, also at a name that nobody has.
pub fn judge(guess: &Guess<'_>, user: Option<&User>, checked: Result<(), Fault>) -> Result<(), Refused> {
    let refused = |refusal: Refusal, code, by_name| Refused { refusal: Box::new(refusal), code, by_name };
    if let Some(locked) = guess.refuse_unheard() {
        return Err(refused(locked, CodeOutcome::Kept, CodeOutcome::Kept));
    }
    if let Some(locked) = guess.refuse_locked() {
        // Nothing but the count at the name shows that the user is locked.
        let locked = Refusal { error: codes::mismatch(), ..locked };
        return Err(refused(locked, CodeOutcome::Asserted, CodeOutcome::Guessed));
    }
    let wrong = |error| guess.refused(SignInRefusal::WrongCode, guess.one_more(), error);
    match (checked, user) {
        (Ok(()), Some(user)) => may_sign_in(guess.pool, user, guess.at).map_err(|(reason, error)| {
            refused(guess.refused(reason, Hearing::Right, error), CodeOutcome::Asserted, CodeOutcome::Kept)
        }),
        // No guess matches what is stored for a name that nobody has.
        (Ok(()), None) => Err(refused(wrong(codes::mismatch()), CodeOutcome::Kept, CodeOutcome::Kept)),
        (Err(fault), _) => {
            let refusal = match fault.shown {
                CodeFault::Wrong { .. } => wrong(fault.shown.error()),
                CodeFault::Expired | CodeFault::Exhausted => {
                    guess.refused(SignInRefusal::ExpiredCode, Hearing::Unheard, codes::expired())
                }
            };
            Err(refused(refusal, fault.code(), fault.by_name()))
        }
    }
}

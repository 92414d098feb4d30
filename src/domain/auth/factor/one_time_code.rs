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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::AuthFlow;
    use crate::domain::error::Exception;
    use crate::domain::lockout::Attempts;
    use crate::domain::source::Tally;
    use crate::domain::testing::{HERE, at, client, confirmed, pool, reset, sent_code, signed_up, user};
    use crate::domain::user::codes::{Guessed, SentCode};
    use crate::proto::v1::CreateUserPoolClientRequest;

    type Told = (SignInRefusal, Exception, CodeOutcome, CodeOutcome, bool);

    /// What follows from a guess: the reason, the exception, the two codes from now on, and whether it counts.
    fn judged(
        hides: bool,
        user: Option<&User>,
        sent: Option<&SentCode>,
        (hash, now): (&[u8], i64),
        attempts: Option<Attempts>,
    ) -> Result<(), Told> {
        let pool = pool(Default::default());
        let existence = if hides { "ENABLED" } else { "LEGACY" };
        let request = CreateUserPoolClientRequest {
            prevent_user_existence_errors: Some(existence.to_owned()),
            ..Default::default()
        };
        let client = client(&pool, request);
        let guess =
            Guess { pool: &pool, client: &client, flow: AuthFlow::User, attempts, attempts_by_name: None, at: at(now) };
        let guessed =
            Guessed { sent, by_name: sent, hides_users: hides, hash: hash.to_vec(), guesser: HERE, at: at(now) };
        judge(&guess, user, guessed.check().map(drop)).map_err(|refused| {
            let Refused { refusal, code, by_name } = refused;
            let counts = matches!(refusal.hearing, Hearing::Wrong { .. });
            (refusal.activity.reason(), refusal.error.exception, code, by_name, counts)
        })
    }

    #[test]
    fn a_right_code_of_a_user_who_may_sign_in_is_accepted() {
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        for hides in [true, false] {
            assert_eq!(judged(hides, Some(&jane), Some(&sent_code()), (b"right", 99), None), Ok(()));
        }
    }

    #[test]
    fn a_wrong_code_counts_like_a_wrong_password_also_at_a_name_that_nobody_has() {
        use CodeOutcome::{Guessed as Counted, Kept};
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let mismatch = Exception::CodeMismatchException;
        let (wrong, sent) = (SignInRefusal::WrongCode, sent_code());
        let openly = judged(false, Some(&jane), Some(&sent), (b"wrong", 99), None);
        assert_eq!(openly, Err((wrong, mismatch, Counted, Kept, true)));
        for user in [Some(&jane), None] {
            let hidden = judged(true, user, Some(&sent), (b"wrong", 99), None);
            assert_eq!(hidden, Err((wrong, mismatch, Counted, Counted, true)));
        }
    }

    #[test]
    fn a_code_that_is_of_no_use_is_expired() {
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let used_up = SentCode { attempts: Tally { familiar: 5, strange: 5 }, ..sent_code() };
        let expired =
            (SignInRefusal::ExpiredCode, Exception::ExpiredCodeException, CodeOutcome::Kept, CodeOutcome::Kept, false);
        for (sent, now) in [(Some(&sent_code()), 100), (Some(&used_up), 99), (None, 99)] {
            assert_eq!(judged(false, Some(&jane), sent, (b"right", now), None), Err(expired));
        }
    }

    #[test]
    fn a_locked_user_is_told_so_only_by_a_client_that_hides_nobody() {
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let locked = Some(Attempts { failures: 6, last_at: at(98), locked_until: Some(at(200)) });
        let told = judged(false, Some(&jane), Some(&sent_code()), (b"right", 99), locked);
        let reason = SignInRefusal::Locked;
        let openly = (reason, Exception::NotAuthorizedException, CodeOutcome::Kept, CodeOutcome::Kept, false);
        assert_eq!(told, Err(openly));
        let hidden = (reason, Exception::CodeMismatchException, CodeOutcome::Asserted, CodeOutcome::Guessed, true);
        assert_eq!(judged(true, Some(&jane), Some(&sent_code()), (b"right", 99), locked), Err(hidden));
    }

    #[test]
    fn a_right_code_is_refused_when_the_account_may_not_sign_in_any_more() {
        let was_reset = user(&[signed_up("jane", &[]), confirmed(&[]), reset()]);
        let refused = judged(true, Some(&was_reset), Some(&sent_code()), (b"right", 99), None);
        let exception = Exception::PasswordResetRequiredException;
        let expected = (SignInRefusal::ResetRequired, exception, CodeOutcome::Asserted, CodeOutcome::Kept, false);
        assert_eq!(refused, Err(expected));
    }
}

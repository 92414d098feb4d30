//! The factor of a code that was sent to an address: what follows from the code that the caller gives.

use crate::domain::auth::refusal::Refusal;
use crate::domain::auth::second_proof::SecondProof;
use crate::domain::user::codes::{CodeFault, CodeOutcome, Guessed};

/// The refusal of a code, and what becomes of the one that was sent.
#[derive(Debug)]
pub struct Refused {
    /// What is answered, recorded and counted.
    pub refusal: Box<Refusal>,
    /// How the guess changes the code that was sent.
    pub code: CodeOutcome,
}

/// Judges a code as a proof of the factor.
pub fn judge(proof: &SecondProof<'_>, guessed: &Guessed<'_>) -> Result<(), Refused> {
    let refused = |refusal, code| Refused { refusal, code };
    proof.hear().map_err(|refusal| refused(refusal, CodeOutcome::Kept))?;
    guessed.check().map(drop).map_err(|fault| match fault.shown {
        CodeFault::Wrong { .. } => refused(proof.wrong(), CodeOutcome::Guessed),
        // Another sign-in sends another code, so one that had all its guesses is as good as none.
        CodeFault::Expired | CodeFault::Exhausted => refused(proof.expired(), CodeOutcome::Kept),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::AuthFlow;
    use crate::domain::auth::account::Account;
    use crate::domain::error::Exception;
    use crate::domain::second_factor::SecondFactor;
    use crate::domain::source::Tally;
    use crate::domain::testing::{HERE, at, client, confirmed, pool, sent_code, signed_up, user};
    use crate::domain::user::codes::SentCode;
    use crate::proto::v1;

    #[test]
    fn the_code_that_was_sent_is_right_within_its_time_and_guesses() {
        let request = v1::CreateUserPoolRequest {
            mfa_configuration: Some("ON".to_owned()),
            sms_configuration: Some(Default::default()),
            ..Default::default()
        };
        let pool = pool(request);
        let client = client(&pool, Default::default());
        let jane = user(&[signed_up("jane", &[("phone_number", "+12025550123")]), confirmed(&[])]);
        let judged = |sent: Option<&SentCode>, hash: &[u8], now| {
            let proof = SecondProof {
                account: Account { pool: &pool, client: &client, user: &jane, device: None },
                flow: AuthFlow::UserPassword,
                factor: SecondFactor::Sms,
                attempts: None,
                attempts_by_name: None,
                is_used_up: false,
                at: at(now),
            };
            let guessed =
                Guessed { sent, by_name: None, hides_users: false, hash: hash.to_vec(), guesser: HERE, at: at(now) };
            judge(&proof, &guessed).map_err(|refused| (refused.refusal.error.exception, refused.code))
        };
        let (mismatch, expired) = (Exception::CodeMismatchException, Exception::ExpiredCodeException);
        let used_up = SentCode { attempts: Tally { familiar: 5, strange: 5 }, ..sent_code() };
        assert_eq!(judged(Some(&sent_code()), b"right", 99), Ok(()));
        assert_eq!(judged(Some(&sent_code()), b"wrong", 99), Err((mismatch, CodeOutcome::Guessed)));
        assert_eq!(judged(Some(&sent_code()), b"right", 100), Err((expired, CodeOutcome::Kept)));
        assert_eq!(judged(Some(&used_up), b"right", 99), Err((expired, CodeOutcome::Kept)));
        assert_eq!(judged(None, b"right", 99), Err((expired, CodeOutcome::Kept)));
    }
}

//! The factor of an authenticator app: what follows from the code that it shows.

use totp_rs::TotpError;

use crate::domain::auth::refusal::Refusal;
use crate::domain::auth::second_proof::SecondProof;
use crate::domain::error::Error;
use crate::domain::totp;

/// Judges a code of the app with this secret. A right one is of a time step, which it uses up.
pub fn judge(proof: &SecondProof<'_>, secret: &[u8], code: &str) -> Result<u64, Box<Refusal>> {
    proof.hear()?;
    let matching = totp::matching_step(secret, code, proof.at);
    matching.map_err(|error| broken(proof, error))?.ok_or_else(|| proof.wrong())
}

/// Only a secret that is no secret of ours can't be compared with: a fault of the server's.
fn broken(proof: &SecondProof<'_>, error: TotpError) -> Box<Refusal> {
    Box::new(Refusal { error: Error::internal(error), ..*proof.expired() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::AuthFlow;
    use crate::domain::auth::account::Account;
    use crate::domain::error::Exception;
    use crate::domain::lockout::Hearing;
    use crate::domain::personal::{Personal, Sealed};
    use crate::domain::second_factor::SecondFactor;
    use crate::domain::testing::{at, client, confirmed, signed_up, user, with_software_tokens};
    use crate::domain::user::User;
    use crate::domain::user::second_factors::SoftwareToken;

    #[test]
    fn the_code_of_the_time_is_right_and_others_count() {
        let pool = with_software_tokens("ON");
        let client = client(&pool, Default::default());
        let app = SoftwareToken { secret: Sealed(Vec::new()), friendly_device_name: Personal::Erased };
        let jane = User { software_token: Some(app), ..user(&[signed_up("jane", &[]), confirmed(&[])]) };
        let proof = SecondProof {
            account: Account { pool: &pool, client: &client, user: &jane, device: None },
            flow: AuthFlow::UserPassword,
            factor: SecondFactor::SoftwareToken,
            attempts: None,
            attempts_by_name: None,
            is_used_up: false,
            at: at(59),
        };
        let secret = b"12345678901234567890";
        assert_eq!(judge(&proof, secret, "287082").unwrap(), 1);
        let wrong = judge(&proof, secret, "287083").unwrap_err();
        assert_eq!(wrong.error.exception, Exception::CodeMismatchException);
        assert!(matches!(wrong.hearing, Hearing::Wrong { attempts, .. } if attempts.failures == 1));
        let unheard = judge(&SecondProof { is_used_up: true, ..proof }, secret, "287082").unwrap_err();
        assert_eq!(unheard.hearing, Hearing::Unheard, "a right code is not looked at");
        assert_eq!(judge(&proof, b"short", "287082").unwrap_err().error.exception, Exception::InternalErrorException);
    }
}

//! The device factor: what follows once it is known whether a device has proved itself.

use crate::domain::auth::AuthFlow;
use crate::domain::auth::account::{Account, may_sign_in};
use crate::domain::auth::refusal::Refusal;
use crate::domain::error::Error;
use crate::domain::lockout::{self, Attempts, Hearing};
use crate::domain::time::Timestamp;
use crate::proto::events::{SignInRefusal, UserSignInRefused};

/// A proof by a device of the user who signs in.
pub struct Proof<'a> {
    /// The user, with their pool and the client that is used.
    pub account: Account<'a>,
    /// The flow that the sign-in began with.
    pub flow: AuthFlow,
    /// Earlier wrong guesses at the user from the same kind of source.
    pub attempts: Option<Attempts>,
    /// Earlier wrong guesses at the name that the sign-in began with.
    pub attempts_by_name: Option<Attempts>,
    /// When the proof is given.
    pub at: Timestamp,
}

impl Proof<'_> {
    /// Judges the proof. A wrong one counts like a wrong password: whoever comes this far knows the password.
    pub fn judge(&self, is_right: bool) -> Result<(), Box<Refusal>> {
        if lockout::is_locked(self.attempts.as_ref(), self.at) {
            let error = Error::not_authorized("Password attempts exceeded");
            return Err(self.refused(SignInRefusal::Locked, Hearing::Unheard, error));
        }
        if !is_right {
            let error = Error::not_authorized("Incorrect username or password.");
            return Err(self.refused(SignInRefusal::WrongDevicePassword, self.one_more(), error));
        }
        let Account { pool, user, .. } = self.account;
        may_sign_in(pool, user, self.at).map_err(|(reason, error)| self.refused(reason, Hearing::Right, error))
    }

    fn one_more(&self) -> Hearing {
        let by_name = || lockout::after_failure(self.attempts_by_name.as_ref(), self.at);
        Hearing::Wrong {
            attempts: lockout::after_failure(self.attempts.as_ref(), self.at),
            by_name: self.account.client.hides_users().then(by_name),
        }
    }

    fn refused(&self, reason: SignInRefusal, hearing: Hearing, error: Error) -> Box<Refusal> {
        let activity = UserSignInRefused {
            client_id: self.account.client.client_id.to_string(),
            auth_flow: self.flow.name().to_owned(),
            reason: reason.into(),
            ..UserSignInRefused::default()
        };
        Box::new(Refusal { activity, hearing, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, client, confirmed, pool, signed_up, user};
    use crate::domain::user::User;

    /// The judgement of a proof by a device of this user, after some wrong guesses.
    fn judged(user: &User, attempts: Option<Attempts>, is_right: bool) -> Result<(), (SignInRefusal, Hearing, String)> {
        let pool = pool(Default::default());
        let client = client(&pool, Default::default());
        let account = Account { pool: &pool, client: &client, user, device: None };
        let proof = Proof { account, flow: AuthFlow::UserPassword, attempts, attempts_by_name: attempts, at: at(100) };
        proof.judge(is_right).map_err(|refusal| {
            let Refusal { activity, hearing, error } = *refusal;
            assert_eq!((activity.client_id.as_str(), activity.auth_flow.as_str()), ("client", "USER_PASSWORD_AUTH"));
            (activity.reason(), hearing, error.message.into_owned())
        })
    }

    #[test]
    fn a_right_proof_is_accepted_and_a_wrong_one_counts_like_a_wrong_password() {
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let before = Some(Attempts { failures: 3, last_at: at(90), locked_until: None });
        let after = Attempts { failures: 4, last_at: at(100), locked_until: None };
        assert_eq!(judged(&jane, before, true), Ok(()));
        let (reason, hearing, message) = judged(&jane, before, false).unwrap_err();
        assert_eq!((reason, message.as_str()), (SignInRefusal::WrongDevicePassword, "Incorrect username or password."));
        assert!(matches!(hearing, Hearing::Wrong { attempts, .. } if attempts == after));
    }

    #[test]
    fn a_user_who_is_locked_or_disabled_meanwhile_is_refused() {
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let locked = Some(Attempts { failures: 6, last_at: at(99), locked_until: Some(at(101)) });
        for is_right in [false, true] {
            let expected = (SignInRefusal::Locked, Hearing::Unheard, "Password attempts exceeded".to_owned());
            assert_eq!(judged(&jane, locked, is_right), Err(expected));
        }
        let disabled = User { enabled: false, ..jane };
        let expected = (SignInRefusal::Disabled, Hearing::Right, "User is disabled.".to_owned());
        assert_eq!(judged(&disabled, None, true), Err(expected));
    }
}

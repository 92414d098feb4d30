//! A guess at a second factor: whether it is heard at all, and how a wrong one counts.
//!
//! Wrong codes and wrong passwords count together, so that no number of sessions gives more guesses, and a right
//! password does not give new ones: only the end of a sign-in forgets them.

use crate::domain::auth::AuthFlow;
use crate::domain::auth::account::{Account, may_sign_in};
use crate::domain::auth::refusal::Refusal;
use crate::domain::error::{Error, Exception};
use crate::domain::lockout::{self, Attempts, Hearing};
use crate::domain::second_factor::SecondFactor;
use crate::domain::time::Timestamp;
use crate::domain::user::associate_software_token::not_turned_on;
use crate::domain::user::codes;
use crate::proto::events::{SignInRefusal, UserSignInRefused};

/// A guess at a user's second factor, after the first one was proved.
#[derive(Clone, Copy, Debug)]
pub struct SecondProof<'a> {
    /// The account that signs in.
    pub account: Account<'a>,
    /// The flow that the sign-in began with.
    pub flow: AuthFlow,
    /// The factor that is asked for.
    pub factor: SecondFactor,
    /// Earlier wrong guesses at the user from the same kind of source.
    pub attempts: Option<Attempts>,
    /// Earlier wrong guesses at the name that the sign-in began with.
    pub attempts_by_name: Option<Attempts>,
    /// Whether the session has had all its guesses.
    pub is_used_up: bool,
    /// When the guess is made.
    pub at: Timestamp,
}

impl SecondProof<'_> {
    /// Refuses without looking at the guess: too many came before, the account may not sign in, or the factor is gone.
    pub fn hear(&self) -> Result<(), Box<Refusal>> {
        if self.is_used_up {
            return Err(self.unheard(SignInRefusal::Locked, Error::invalid_session()));
        }
        if lockout::is_locked(self.attempts.as_ref(), self.at) {
            let error = Error::not_authorized("Password attempts exceeded");
            return Err(self.unheard(SignInRefusal::Locked, error));
        }
        let Account { pool, user, .. } = self.account;
        may_sign_in(pool, user, self.at).map_err(|(reason, error)| self.unheard(reason, error))?;
        if user.usable_factors(pool).contains(&self.factor) {
            return Ok(());
        }
        Err(self.unheard(SignInRefusal::NoFactor, no_factor(self.factor)))
    }

    /// A wrong code, which counts.
    pub fn wrong(&self) -> Box<Refusal> {
        let by_name = || lockout::after_failure(self.attempts_by_name.as_ref(), self.at);
        let hearing = Hearing::Wrong {
            attempts: lockout::after_failure(self.attempts.as_ref(), self.at),
            by_name: self.account.client.hides_users().then(by_name),
        };
        self.refused(SignInRefusal::WrongCode, hearing, codes::mismatch())
    }

    /// A code that is of no use, whatever it is: none was sent, its time is over, or it had all its guesses.
    pub fn expired(&self) -> Box<Refusal> {
        self.unheard(SignInRefusal::ExpiredCode, codes::expired())
    }

    /// A right code of an authenticator app that was used before. It counts like a wrong one: whoever comes with it has
    /// seen it, and may see more.
    pub fn used(&self) -> Box<Refusal> {
        self.refused(SignInRefusal::UsedCode, self.wrong().hearing, codes::expired())
    }

    fn unheard(&self, reason: SignInRefusal, error: Error) -> Box<Refusal> {
        self.refused(reason, Hearing::Unheard, error)
    }

    fn refused(&self, reason: SignInRefusal, hearing: Hearing, error: Error) -> Box<Refusal> {
        let activity = UserSignInRefused {
            client_id: self.account.client.client_id.to_string(),
            auth_flow: self.flow.name().to_owned(),
            reason: reason.into(),
            second_factor: self.factor.recorded().into(),
        };
        Box::new(Refusal { activity, hearing, error })
    }
}

/// The refusal of a factor that can't be asked for.
pub fn no_factor(factor: SecondFactor) -> Error {
    match factor {
        SecondFactor::SoftwareToken => not_turned_on(),
        SecondFactor::Sms | SecondFactor::Email => {
            let message = format!("{} is no second factor of the user.", factor.name());
            Error::new(Exception::MFAMethodNotFoundException, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::personal::{Personal, Sealed};
    use crate::domain::testing::{at, client, confirmed, reset, signed_up, user, with_software_tokens};
    use crate::domain::user::User;
    use crate::domain::user::second_factors::SoftwareToken;
    use crate::domain::user_pool::UserPool;
    use crate::proto::v1::CreateUserPoolClientRequest;

    fn jane() -> User {
        let secret = Sealed(b"secret".to_vec());
        let app = SoftwareToken { secret, friendly_device_name: Personal::Erased };
        User { software_token: Some(app), ..user(&[signed_up("jane", &[]), confirmed(&[])]) }
    }

    fn guess(
        pool: &UserPool,
        user: &User,
        change: impl FnOnce(&mut SecondProof<'_>),
    ) -> (Result<(), Box<Refusal>>, [Box<Refusal>; 3]) {
        let hiding = Some("ENABLED".to_owned());
        let client =
            client(pool, CreateUserPoolClientRequest { prevent_user_existence_errors: hiding, ..Default::default() });
        let mut guess = SecondProof {
            account: Account { pool, client: &client, user, device: None },
            flow: AuthFlow::UserPassword,
            factor: SecondFactor::SoftwareToken,
            attempts: Some(Attempts { failures: 3, last_at: at(90), locked_until: None }),
            attempts_by_name: None,
            is_used_up: false,
            at: at(100),
        };
        change(&mut guess);
        (guess.hear(), [guess.wrong(), guess.used(), guess.expired()])
    }

    #[test]
    fn a_guess_is_not_heard_when_the_sign_in_can_not_go_on() {
        let (on, jane) = (with_software_tokens("ON"), jane());
        assert!(guess(&on, &jane, |_| {}).0.is_ok());
        let locked = Some(Attempts { failures: 6, last_at: at(99), locked_until: Some(at(101)) });
        let unheard = |pool: &UserPool, user: &User, change: &dyn Fn(&mut SecondProof<'_>)| {
            let Refusal { activity, hearing, error } = *guess(pool, user, change).0.unwrap_err();
            assert_eq!(hearing, Hearing::Unheard);
            assert_eq!(activity.second_factor(), SecondFactor::SoftwareToken.recorded());
            (activity.reason(), error.exception, error.message.into_owned())
        };
        let told = |exception, message: &str| (exception, message.to_owned());
        let is = |answer: (SignInRefusal, Exception, String), reason, expected: (Exception, String)| {
            assert_eq!(answer, (reason, expected.0, expected.1));
        };
        use Exception::{NotAuthorizedException, PasswordResetRequiredException, SoftwareTokenMFANotFoundException};
        let expected = told(NotAuthorizedException, "Password attempts exceeded");
        is(unheard(&on, &jane, &|guess| guess.attempts = locked), SignInRefusal::Locked, expected);
        let expected = told(NotAuthorizedException, "Invalid session for the user.");
        is(unheard(&on, &jane, &|guess| guess.is_used_up = true), SignInRefusal::Locked, expected);
        let was_reset = User {
            software_token: jane.software_token.clone(),
            ..user(&[signed_up("jane", &[]), confirmed(&[]), reset()])
        };
        let expected = told(PasswordResetRequiredException, "Password reset required for the user");
        is(unheard(&on, &was_reset, &|_| {}), SignInRefusal::ResetRequired, expected);
        let expected =
            || told(SoftwareTokenMFANotFoundException, "Software Token MFA has not been enabled by the userPool");
        is(unheard(&with_software_tokens("OFF"), &jane, &|_| {}), SignInRefusal::NoFactor, expected());
        is(unheard(&on, &User { software_token: None, ..jane.clone() }, &|_| {}), SignInRefusal::NoFactor, expected());
        assert_eq!(no_factor(SecondFactor::Sms).message, "SMS_MFA is no second factor of the user.");
    }

    #[test]
    fn wrong_and_used_codes_count_for_the_user_and_the_name() {
        let (_, [wrong, used, expired]) = guess(&with_software_tokens("ON"), &jane(), |_| {});
        let attempts = |failures| Attempts { failures, last_at: at(100), locked_until: None };
        let counted = Hearing::Wrong { attempts: attempts(4), by_name: Some(attempts(1)) };
        for (refusal, reason, exception, hearing) in [
            (wrong, SignInRefusal::WrongCode, Exception::CodeMismatchException, counted),
            (used, SignInRefusal::UsedCode, Exception::ExpiredCodeException, counted),
            (expired, SignInRefusal::ExpiredCode, Exception::ExpiredCodeException, Hearing::Unheard),
        ] {
            let told = (refusal.activity.reason(), refusal.error.exception, refusal.hearing);
            assert_eq!(told, (reason, exception, hearing));
        }
    }
}

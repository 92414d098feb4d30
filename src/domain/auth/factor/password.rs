//! The password factor: what follows once it is known whether the given password matches.

use crate::domain::auth::account::may_sign_in;
use crate::domain::auth::guess::{Guess, wrong};
use crate::domain::auth::refusal::Refusal;
use crate::domain::error::Error;
use crate::domain::lockout::Hearing;
use crate::domain::user::{User, UserStatus};
use crate::proto::events::SignInRefusal;

impl Guess<'_> {
    /// Judges a guess at a name that no user has. It counts like a guess at a user.
    pub fn judge_at_nobody(&self) -> Refusal {
        self.refuse_locked().unwrap_or_else(|| {
            let error = if self.client.hides_users() { wrong() } else { Error::no_such_user() };
            self.refused(SignInRefusal::UnknownUser, self.one_more(), error)
        })
    }

    /// Judges a guess at a user's password.
    pub fn judge(&self, user: &User, matches: bool) -> Result<(), Box<Refusal>> {
        if let Some(locked) = self.refuse_locked() {
            return Err(Box::new(locked));
        }
        if !matches {
            // The guess is recorded and counted as wrong, whatever the caller is told.
            let error = self.told_anyway(user).unwrap_or_else(wrong);
            return Err(Box::new(self.refused(SignInRefusal::WrongPassword, self.one_more(), error)));
        }
        may_sign_in(self.pool, user, self.at)
            .map_err(|(reason, error)| Box::new(self.refused(reason, Hearing::Right, error)))
    }

    /// The state of an account that a client without hiding tells even after a wrong password: a code must be entered
    /// first, or a new password chosen. So an app can lead a user to that step even if they don't know a password.
    fn told_anyway(&self, user: &User) -> Option<Error> {
        let is_told = user.enabled && !self.client.hides_users();
        let waits = matches!(user.status, UserStatus::Unconfirmed | UserStatus::ResetRequired);
        may_sign_in(self.pool, user, self.at).err().map(|(_, error)| error).filter(|_| is_told && waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app_client::AppClient;
    use crate::domain::auth::AuthFlow;
    use crate::domain::error::Exception;
    use crate::domain::lockout::Attempts;
    use crate::domain::testing::{at, client, confirmed, invited, pool, reset, signed_up, user};
    use crate::domain::user_pool::UserPool;
    use crate::proto::v1::CreateUserPoolClientRequest;

    fn some_client(hides_users: bool) -> AppClient {
        let hides = if hides_users { "ENABLED" } else { "LEGACY" };
        let request =
            CreateUserPoolClientRequest { prevent_user_existence_errors: Some(hides.to_owned()), ..Default::default() };
        client(&pool(Default::default()), request)
    }

    fn guess(client: &AppClient) -> Guess<'_> {
        static POOL: std::sync::LazyLock<UserPool> = std::sync::LazyLock::new(|| pool(Default::default()));
        Guess {
            pool: &POOL,
            client,
            flow: AuthFlow::UserPassword,
            attempts: Some(Attempts { failures: 3, last_at: at(90), locked_until: None }),
            attempts_by_name: Some(Attempts { failures: 3, last_at: at(90), locked_until: None }),
            at: at(100),
        }
    }

    /// The refusal of a right password.
    fn refused(guess: &Guess<'_>, user: Option<&User>) -> Refusal {
        match user {
            Some(user) => *guess.judge(user, true).unwrap_err(),
            None => guess.judge_at_nobody(),
        }
    }

    /// The reason, the attempts from now on, and the refusal.
    fn told(refusal: Refusal) -> (SignInRefusal, Option<Attempts>, Exception, String) {
        let Refusal { activity, hearing, error } = refusal;
        let attempts = if let Hearing::Wrong { attempts, .. } = hearing { Some(attempts) } else { None };
        assert_eq!((activity.client_id.as_str(), activity.auth_flow.as_str()), ("client", "USER_PASSWORD_AUTH"));
        (activity.reason(), attempts, error.exception, error.message.into_owned())
    }

    const WRONG: &str = "Incorrect username or password.";

    #[test]
    fn the_right_password_of_a_confirmed_user_is_accepted() {
        let (client, user) = (some_client(false), user(&[signed_up("jane", &[]), confirmed(&[])]));
        assert!(guess(&client).judge(&user, true).is_ok());
    }

    #[test]
    fn a_wrong_password_counts_in_every_state_and_reveals_nothing_where_users_are_hidden() {
        let confirmed = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let unconfirmed = user(&[signed_up("jane", &[])]);
        let reset = User { status: UserStatus::ResetRequired, ..confirmed.clone() };
        let temporary = user(&[invited("jane", &[])]);
        let disabled = |user: &User| User { enabled: false, ..user.clone() };
        let wrong = (Exception::NotAuthorizedException, WRONG.to_owned());
        let not_confirmed = (Exception::UserNotConfirmedException, "User is not confirmed.".to_owned());
        let to_be_reset =
            (Exception::PasswordResetRequiredException, "Password reset required for the user".to_owned());
        for (user, openly) in [
            (&confirmed, &wrong),
            (&temporary, &wrong),
            (&unconfirmed, &not_confirmed),
            (&reset, &to_be_reset),
            (&disabled(&confirmed), &wrong),
            (&disabled(&unconfirmed), &wrong),
            (&disabled(&reset), &wrong),
        ] {
            for (hides_users, expected) in [(false, openly), (true, &wrong)] {
                let client = some_client(hides_users);
                let refused = *guess(&client).judge(user, false).unwrap_err();
                let (reason, counted, exception, message) = told(refused);
                assert_eq!((&exception, &message), (&expected.0, &expected.1), "{:?} {hides_users}", user.status);
                assert_eq!(reason, SignInRefusal::WrongPassword);
                assert_eq!(counted, Some(Attempts { failures: 4, last_at: at(100), locked_until: None }));
            }
        }
    }

    #[test]
    fn a_guess_at_an_unknown_name_counts_and_reads_the_same_where_users_are_hidden() {
        let counted = Some(Attempts { failures: 4, last_at: at(100), locked_until: None });
        let of = |hides_users| told(guess(&some_client(hides_users)).judge_at_nobody());
        let hidden = (SignInRefusal::UnknownUser, counted, Exception::NotAuthorizedException, WRONG.to_owned());
        assert_eq!(of(true), hidden);
        let message = "User does not exist.".to_owned();
        assert_eq!(of(false), (SignInRefusal::UnknownUser, counted, Exception::UserNotFoundException, message));
    }

    #[test]
    fn a_right_password_shows_what_else_prevents_the_sign_in_and_counts_no_guess() {
        let client = some_client(true);
        let unconfirmed = user(&[signed_up("jane", &[])]);
        let disabled = User { enabled: false, ..unconfirmed.clone() };
        let refused = |user: &User| told(refused(&guess(&client), Some(user)));
        let message = "User is not confirmed.".to_owned();
        let expected = (SignInRefusal::NotConfirmed, None, Exception::UserNotConfirmedException, message);
        assert_eq!(refused(&unconfirmed), expected);
        let message = "User is disabled.".to_owned();
        assert_eq!(refused(&disabled), (SignInRefusal::Disabled, None, Exception::NotAuthorizedException, message));
        let message = "Password reset required for the user".to_owned();
        let expected = (SignInRefusal::ResetRequired, None, Exception::PasswordResetRequiredException, message);
        assert_eq!(refused(&user(&[signed_up("jane", &[]), confirmed(&[]), reset()])), expected);
    }

    #[test]
    fn a_temporary_password_is_accepted_until_it_expires() {
        let (client, invited) = (some_client(false), user(&[invited("jane", &[])]));
        const DAYS: i64 = 24 * 60 * 60;
        let on = |second| Guess { at: at(second), attempts: None, ..guess(&client) };
        for second in [0, 7 * DAYS - 1] {
            assert!(on(second).judge(&invited, true).is_ok());
        }
        let message = "Temporary password has expired and must be reset by an administrator.".to_owned();
        let expired = (SignInRefusal::TemporaryPasswordExpired, None, Exception::NotAuthorizedException, message);
        assert_eq!(told(refused(&on(7 * DAYS), Some(&invited))), expired);
        let disabled = User { enabled: false, ..invited.clone() };
        assert_eq!(told(refused(&guess(&client), Some(&disabled))).0, SignInRefusal::Disabled);
        let wrong = *on(8 * DAYS).judge(&invited, false).unwrap_err();
        assert_eq!(told(wrong).3, WRONG, "whoever guesses learns nothing");
    }

    fn locked(until: i64) -> Option<Attempts> {
        Some(Attempts { failures: 6, last_at: at(99), locked_until: Some(at(until)) })
    }

    #[test]
    fn a_locked_user_is_refused_first_and_nothing_changes() {
        let user = user(&[signed_up("jane", &[]), confirmed(&[])]);
        for hides_users in [false, true] {
            let client = some_client(hides_users);
            let until = |until| Guess { attempts: locked(until), attempts_by_name: locked(until), ..guess(&client) };
            for user in [Some(&user), None] {
                let message = "Password attempts exceeded".to_owned();
                let expected = (SignInRefusal::Locked, None, Exception::NotAuthorizedException, message);
                assert_eq!(told(until(101).refuse_unheard().unwrap()), expected);
                assert_eq!(told(refused(&until(101), user)), expected);
            }
            assert!(until(100).refuse_unheard().is_none());
            assert!(until(100).judge(&user, true).is_ok());
        }
    }

    #[test]
    fn where_users_are_hidden_a_lock_holds_for_the_user_and_is_told_by_name() {
        let (client, jane) = (some_client(true), user(&[signed_up("jane", &[]), confirmed(&[])]));
        // Guesses at another name of Jane have locked her: the right password reads as a wrong one, even at the first
        // guess here.
        let elsewhere = Guess { attempts: locked(101), attempts_by_name: None, ..guess(&client) };
        assert!(elsewhere.refuse_unheard().is_none(), "it takes a hash, as at anybody");
        let Refusal { activity, hearing, error } = refused(&elsewhere, Some(&jane));
        assert_eq!((activity.reason(), &*error.message), (SignInRefusal::Locked, WRONG));
        let by_name = Some(Attempts { failures: 1, last_at: at(100), locked_until: None });
        assert_eq!(hearing, Hearing::Wrong { attempts: elsewhere.attempts.unwrap(), by_name });
        // Where users are not hidden, the lock is told.
        let open = some_client(false);
        let openly = Guess { attempts: locked(101), attempts_by_name: None, ..guess(&open) };
        assert_eq!(told(refused(&openly, Some(&jane))).3, "Password attempts exceeded");
    }

    #[test]
    fn a_right_password_is_asserted_even_if_the_sign_in_is_refused() {
        let (client, unconfirmed) = (some_client(true), user(&[signed_up("jane", &[])]));
        assert_eq!(refused(&guess(&client), Some(&unconfirmed)).hearing, Hearing::Right);
    }
}

//! ChangePassword: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::lockout::{self, Attempts, Hearing};
use crate::domain::password_policy;
use crate::domain::time::Timestamp;
use crate::domain::user::forgot_password::cannot_be_reset;
use crate::domain::user::{Password, User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{PasswordChangeRefusal, PasswordChosenBy, UserPasswordChangeRefused, UserPasswordChanged};

/// A refusal because of the previous password. It is recorded.
#[derive(Debug)]
pub struct Refused {
    /// The fact to be recorded in `activity`.
    pub activity: Activity,
    /// How the guess counts towards the lock-out.
    pub hearing: Hearing,
    /// The refusal for the caller.
    pub error: Error,
}

/// Checks everything that can be checked before a password is hashed.
pub fn check(pool: &UserPool, user: &User, previous: Option<&str>, proposed: &str) -> Result<(), Error> {
    if user.status == UserStatus::ForceChangePassword || user.password_removed {
        return Err(cannot_be_reset());
    }
    if previous.is_none() && user.password.is_some() {
        return Err(Error::invalid_parameter("Missing required parameter PreviousPassword"));
    }
    password_policy::check(&pool.password_policy(), proposed)
}

/// Refuses if too many wrong passwords came before. Called before a password is hashed.
pub fn refuse_locked(attempts: Option<&Attempts>, at: Timestamp) -> Option<Refused> {
    lockout::is_locked(attempts, at)
        .then(|| refused(PasswordChangeRefusal::Locked, Hearing::Unheard, Error::limit_exceeded()))
}

/// Refuses if the previous password does not match. A wrong password counts.
pub fn refuse_wrong(matches: bool, attempts: Option<&Attempts>, at: Timestamp) -> Option<Refused> {
    let failed = Hearing::Wrong { attempts: lockout::after_failure(attempts, at), by_name: None };
    let error = Error::not_authorized("Incorrect username or password.");
    (!matches).then(|| refused(PasswordChangeRefusal::WrongPassword, failed, error))
}

fn refused(reason: PasswordChangeRefusal, hearing: Hearing, error: Error) -> Refused {
    let activity = Activity::PasswordChangeRefused(UserPasswordChangeRefused { reason: reason.into() });
    Refused { activity, hearing, error }
}

/// Sets the new password. All sessions go on, including the one that changed it.
pub fn change_password(password: Password) -> Decision<Event, Activity, ()> {
    let changed = UserPasswordChanged {
        by: PasswordChosenBy::User.into(),
        password_hash: password.hash.0,
        srp_verifier: password.srp_verifier.0,
    };
    Decision::events(vec![Event::PasswordChanged(changed)], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::personal::Sealed;
    use crate::domain::testing::{at, confirmed, pool, refusal, signed_up, temporary_password, user};

    const PROPOSED: &str = "Better-horse-2";

    fn jane() -> User {
        user(&[signed_up("jane", &[]), confirmed(&[])])
    }

    #[test]
    fn the_new_password_conforms_and_the_previous_one_is_required() {
        let pool = pool(Default::default());
        assert!(check(&pool, &jane(), Some("x"), PROPOSED).is_ok());
        let weak = refusal(check(&pool, &jane(), Some("x"), "weak"));
        assert_eq!(weak.0, Exception::InvalidPasswordException);
        let message = "Missing required parameter PreviousPassword".to_owned();
        let unnamed = refusal(check(&pool, &jane(), None, PROPOSED));
        assert_eq!(unnamed, (Exception::InvalidParameterException, message));
        let without = User { password: None, ..jane() };
        assert!(check(&pool, &without, None, PROPOSED).is_ok(), "there is none before");
    }

    #[test]
    fn a_user_whose_password_was_removed_cannot_set_one() {
        let removed = User { password: None, password_removed: true, ..jane() };
        for previous in [None, Some("x")] {
            let refusal = refusal(check(&pool(Default::default()), &removed, previous, PROPOSED));
            let message = "User password cannot be reset in the current state.".to_owned();
            assert_eq!(refusal, (Exception::NotAuthorizedException, message));
        }
    }

    #[test]
    fn a_temporary_password_is_changed_only_by_its_challenge() {
        let temporary = user(&[signed_up("jane", &[]), temporary_password()]);
        let message = "User password cannot be reset in the current state.".to_owned();
        let refusal = refusal(check(&pool(Default::default()), &temporary, Some("x"), PROPOSED));
        assert_eq!(refusal, (Exception::NotAuthorizedException, message));
    }

    fn attempts(refused: &Refused) -> Option<Attempts> {
        if let Hearing::Wrong { attempts, .. } = refused.hearing { Some(attempts) } else { None }
    }

    fn told(refused: Refused) -> (Exception, PasswordChangeRefusal, Option<u32>) {
        let Activity::PasswordChangeRefused(fact) = &refused.activity else { panic!("another fact") };
        (refused.error.exception, fact.reason(), attempts(&refused).map(|attempts| attempts.failures))
    }

    #[test]
    fn wrong_passwords_count_and_lock() {
        assert!(refuse_wrong(true, None, at(0)).is_none());
        let mut before = None;
        for count in 1..=5 {
            assert!(refuse_locked(before.as_ref(), at(0)).is_none());
            let refused = refuse_wrong(false, before.as_ref(), at(0)).unwrap();
            before = attempts(&refused);
            let wrong = PasswordChangeRefusal::WrongPassword;
            assert_eq!(told(refused), (Exception::NotAuthorizedException, wrong, Some(count)));
        }
        let locked = refuse_locked(before.as_ref(), at(0)).unwrap();
        assert_eq!(told(locked), (Exception::LimitExceededException, PasswordChangeRefusal::Locked, None));
        assert!(refuse_locked(before.as_ref(), at(1)).is_none(), "for a second at first");
    }

    #[test]
    fn both_forms_of_the_password_are_replaced() {
        let password = Password { hash: Sealed(b"newer".to_vec()), srp_verifier: Sealed(b"other".to_vec()) };
        let decision = change_password(password.clone());
        decision.answer.unwrap();
        let events = [vec![signed_up("jane", &[]), confirmed(&[])], decision.events].concat();
        assert_eq!(user(&events).password, Some(password));
    }
}

//! ConfirmForgotPassword: the rules.

use crate::domain::error::{Error, Exception};
use crate::domain::user::codes::{self, CodeOutcome, Guess, Guessed};
use crate::domain::user::forgot_password::cannot_be_reset;
use crate::domain::user::{Password, User, UserStatus};
use crate::proto::events::CodePurpose;
use crate::proto::events::user_event::Event;
use crate::proto::events::{PasswordChosenBy, UserPasswordChanged, UserSignedOut};

/// Checks that a code allows the user to choose a new password, before that is hashed.
///
/// A caller who may not learn which users exist is told about the code alone. For an unknown name a code is stored as
/// for a user.
pub fn prove<'a>(user: Option<&'a User>, guessed: &Guessed<'_>) -> Result<&'a User, Box<Guess>> {
    let standing = standing(user);
    if !guessed.hides_users
        && let Err(error) = standing
    {
        return Err(Box::new(Guess::refuse(error)));
    }
    guessed.check().map_err(|fault| Box::new(fault.guess(CodePurpose::ForgotPassword)))?;
    // The answer is that of a wrong guess, so it counts like one.
    let mismatch = || Guess { by_name: CodeOutcome::Guessed, ..Guess::refuse_proved(codes::mismatch()) };
    standing.map_err(|_| Box::new(mismatch()))
}

/// Checks that the state of the account allows a new password.
fn standing(user: Option<&User>) -> Result<&User, Error> {
    let user = user.ok_or_else(Error::no_such_user)?;
    if !user.enabled {
        return Err(Error::not_authorized("User is disabled."));
    }
    match user.status {
        UserStatus::Confirmed | UserStatus::ResetRequired if !user.password_removed => Ok(user),
        UserStatus::Unconfirmed => Err(Error::new(Exception::UserNotConfirmedException, "User is not confirmed.")),
        UserStatus::Confirmed | UserStatus::ResetRequired | UserStatus::ForceChangePassword => Err(cannot_be_reset()),
    }
}

/// Replaces the forgotten password. If the server is set up so, all sessions end: those of anyone else who knew the
/// password, or who signed up with this user's address.
pub fn confirm_forgot_password(user: &User, password: Password, ends_sessions: bool) -> Guess {
    let changed = Event::PasswordChanged(UserPasswordChanged {
        by: PasswordChosenBy::Recovery.into(),
        password_hash: password.hash.0,
        srp_verifier: password.srp_verifier.0,
    });
    let signed_out = ends_sessions.then(|| UserSignedOut { token_generation: user.token_generation + 1 });
    Guess::right([changed].into_iter().chain(signed_out.map(Event::SignedOut)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::personal::Sealed;
    use crate::domain::source::Tally;
    use crate::domain::testing::{HERE, at, confirmed, refused, reset, sent_code, signed_up, temporary_password, user};
    use crate::domain::user::codes::SentCode;
    use crate::proto::events::UserCodeRefused;
    use crate::proto::events::user_activity::Activity;

    fn sent() -> SentCode {
        used(1)
    }

    fn used(familiar: i32) -> SentCode {
        SentCode { attempts: Tally { familiar, strange: 0 }, ..sent_code() }
    }

    fn attempt(user: Option<&User>, sent: Option<&SentCode>, hash: &[u8], hides_users: bool) -> Result<(), Box<Guess>> {
        prove(user, &Guessed { sent, by_name: sent, hides_users, hash: hash.to_vec(), guesser: HERE, at: at(99) })
            .map(drop)
    }

    fn jane() -> User {
        user(&[signed_up("jane", &[("email", "jane@example.com")]), confirmed(&["email"])])
    }

    const MISMATCH: &str = "Invalid verification code provided, please try again.";

    #[test]
    fn the_right_code_lets_a_confirmed_or_reset_user_choose_a_password() {
        let reset = user(&[signed_up("jane", &[]), confirmed(&[]), reset()]);
        for user in [jane(), reset] {
            for hides_users in [true, false] {
                assert!(attempt(Some(&user), Some(&sent()), b"right", hides_users).is_ok());
            }
        }
        let password = Password { hash: Sealed(b"newer".to_vec()), srp_verifier: Sealed(b"other".to_vec()) };
        let before = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let guess = confirm_forgot_password(&before, password.clone(), false);
        assert_eq!(guess.code, CodeOutcome::Spent);
        guess.decision.answer.unwrap();
        let changed = UserPasswordChanged {
            by: PasswordChosenBy::Recovery.into(),
            password_hash: b"newer".to_vec(),
            srp_verifier: b"other".to_vec(),
        };
        let changed = Event::PasswordChanged(changed);
        assert_eq!(guess.decision.events, std::slice::from_ref(&changed));
        let signed_out = UserSignedOut { token_generation: before.token_generation + 1 };
        let guess = confirm_forgot_password(&before, password, true);
        assert_eq!(guess.decision.events, [changed, Event::SignedOut(signed_out)], "and every session is over");
    }

    #[test]
    fn a_wrong_code_counts_for_an_unknown_name_as_for_a_user() {
        let jane = jane();
        for user in [Some(&jane), None] {
            let guess = attempt(user, Some(&sent()), b"wrong", true).unwrap_err();
            assert_eq!(guess.code, CodeOutcome::Guessed);
            let counted = UserCodeRefused { purpose: CodePurpose::ForgotPassword.into(), attempts: 2 };
            assert_eq!(guess.decision.activity, [Activity::CodeRefused(counted)]);
            let error = guess.decision.answer.unwrap_err();
            assert_eq!((error.exception, &*error.message), (Exception::CodeMismatchException, MISMATCH));

            let guess = attempt(user, Some(&used(5)), b"right", true).unwrap_err();
            assert_eq!(refused(guess.decision).0, Exception::LimitExceededException);
            let guess = attempt(user, None, b"right", true).unwrap_err();
            assert_eq!(guess.decision.answer.unwrap_err().exception, Exception::CodeMismatchException);
            assert_eq!((guess.code, guess.by_name), (CodeOutcome::Guessed, CodeOutcome::Guessed));
        }
    }

    #[test]
    fn why_a_user_can_not_choose_a_password_is_told_only_where_users_are_not_hidden() {
        let disabled = User { enabled: false, ..jane() };
        let unconfirmed = user(&[signed_up("jane", &[])]);
        let temporary = user(&[signed_up("jane", &[]), temporary_password()]);
        let removed = User { password: None, password_removed: true, ..jane() };
        for (user, exception) in [
            (Some(&removed), Exception::NotAuthorizedException),
            (None, Exception::UserNotFoundException),
            (Some(&disabled), Exception::NotAuthorizedException),
            (Some(&unconfirmed), Exception::UserNotConfirmedException),
            (Some(&temporary), Exception::NotAuthorizedException),
        ] {
            for (guess, code) in [(&b"right"[..], CodeOutcome::Asserted), (b"wrong", CodeOutcome::Guessed)] {
                let open = attempt(user, Some(&sent()), guess, false).unwrap_err();
                assert_eq!((open.code, refused(open.decision).0), (CodeOutcome::Kept, exception));
                let hidden = attempt(user, Some(&sent()), guess, true).unwrap_err();
                assert_eq!((hidden.code, hidden.by_name), (code, CodeOutcome::Guessed));
                assert_eq!(hidden.decision.answer.unwrap_err().message, MISMATCH);
            }
        }
    }
}

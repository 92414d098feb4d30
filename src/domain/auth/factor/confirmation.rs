//! The factor of a code that has just confirmed the user: whether its proof, which the session of ConfirmSignUp carries,
//! still counts.

use crate::domain::auth::account::may_sign_in;
use crate::domain::auth::guess::Guess;
use crate::domain::auth::refusal::Refusal;
use crate::domain::auth::sign_up_session::Proved;
use crate::domain::error::Error;
use crate::domain::lockout::{self, Hearing};
use crate::domain::user::User;
use crate::proto::events::SignInRefusal;

/// Judges the proof. It is no guess, so nothing is counted; but who is locked is locked for it too.
pub fn judge(guess: &Guess<'_>, user: &User, proved: &Proved) -> Result<(), Box<Refusal>> {
    let refused = |reason, error| Box::new(guess.refused(reason, Hearing::Unheard, error));
    if lockout::is_locked(guess.attempts.as_ref(), guess.at) {
        let error = Error::not_authorized("Password attempts exceeded");
        return Err(refused(SignInRefusal::Locked, error));
    }
    may_sign_in(guess.pool, user, guess.at).map_err(|(reason, error)| refused(reason, error))?;
    if proved.holds_for(user) {
        return Ok(());
    }
    Err(refused(SignInRefusal::ExpiredCode, Error::invalid_session()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::AuthFlow;
    use crate::domain::error::Exception;
    use crate::domain::lockout::Attempts;
    use crate::domain::message::Medium;
    use crate::domain::testing::{at, client, confirmed, pool, reset, signed_up, temporary_password, user};
    use crate::proto::events::UserSignedOut;
    use crate::proto::events::user_event::Event;

    #[test]
    fn a_confirmation_signs_in_a_user_who_may_sign_in_and_was_not_changed_since() {
        let pool = pool(Default::default());
        let client = client(&pool, Default::default());
        let proved = Proved { medium: Medium::Email, token_generation: 1 };
        let judged = |user: &User, attempts: Option<Attempts>| {
            let (flow, at) = (AuthFlow::User, at(100));
            let guess = Guess { pool: &pool, client: &client, flow, attempts, attempts_by_name: None, at };
            judge(&guess, user, &proved).map_err(|refusal| {
                assert_eq!(refusal.hearing, Hearing::Unheard);
                (refusal.activity.reason(), refusal.error.exception)
            })
        };
        let begun = [signed_up("jane", &[("email", "jane@example.com")]), confirmed(&["email"])];
        let after = |event: Event| user(&[begun[0].clone(), begun[1].clone(), event]);
        let (jane, refused) = (user(&begun), Exception::NotAuthorizedException);
        assert_eq!(judged(&jane, None), Ok(()));
        let locked = Attempts { failures: 6, last_at: at(99), locked_until: Some(at(101)) };
        assert_eq!(judged(&jane, Some(locked)), Err((SignInRefusal::Locked, refused)));
        let disabled = User { enabled: false, ..jane };
        assert_eq!(judged(&disabled, None), Err((SignInRefusal::Disabled, refused)));
        let expected = Err((SignInRefusal::ResetRequired, Exception::PasswordResetRequiredException));
        assert_eq!(judged(&after(reset()), None), expected);
        let signed_out = Event::SignedOut(UserSignedOut { token_generation: 2 });
        for changed in [after(signed_out), after(temporary_password())] {
            assert_eq!(judged(&changed, None), Err((SignInRefusal::ExpiredCode, refused)));
        }
    }
}

//! The factor of a passkey: what follows once it is known whether one of the user's has signed.

use crate::domain::auth::account::may_sign_in;
use crate::domain::auth::guess::Guess;
use crate::domain::auth::refusal::Refusal;
use crate::domain::error::Error;
use crate::domain::lockout::Hearing;
use crate::domain::user::User;
use crate::domain::web_authn::Fault;
use crate::proto::events::SignInRefusal;

/// Judges the proof of a passkey. A wrong one counts like a wrong password, also at a name that nobody has.
pub fn judge(guess: &Guess<'_>, user: Option<&User>, proved: Result<(), Fault>) -> Result<(), Box<Refusal>> {
    if let Some(locked) = guess.refuse_unheard() {
        return Err(Box::new(locked));
    }
    if let Some(locked) = guess.refuse_locked() {
        // Nothing but the count at the name shows that the user is locked.
        return Err(Box::new(Refusal { error: Error::unverified_passkey(), ..locked }));
    }
    let refused = |reason| Box::new(guess.refused(reason, guess.one_more(), Error::unverified_passkey()));
    match (proved, user) {
        (Ok(()), Some(user)) => may_sign_in(guess.pool, user, guess.at)
            .map_err(|(reason, error)| Box::new(guess.refused(reason, Hearing::Right, error))),
        (_, None) => Err(refused(SignInRefusal::UnknownUser)),
        (Err(Fault::Wrong), Some(_)) => Err(refused(SignInRefusal::WrongPasskey)),
        (Err(Fault::Copied), Some(_)) => Err(refused(SignInRefusal::CopiedPasskey)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::AuthFlow;
    use crate::domain::error::Exception;
    use crate::domain::lockout::Attempts;
    use crate::domain::testing::{at, client, confirmed, pool, reset, signed_up, user};
    use crate::domain::user_pool::UserPool;
    use crate::proto::v1::CreateUserPoolClientRequest;

    fn judged(
        locked: bool,
        user: Option<&User>,
        proved: Result<(), Fault>,
    ) -> Result<(), (SignInRefusal, Exception, bool)> {
        let pool: UserPool = pool(Default::default());
        let hiding = Some("ENABLED".to_owned());
        let client =
            client(&pool, CreateUserPoolClientRequest { prevent_user_existence_errors: hiding, ..Default::default() });
        let until = locked.then(|| at(101));
        let attempts = Some(Attempts { failures: 6, last_at: at(99), locked_until: until });
        let guess =
            Guess { pool: &pool, client: &client, flow: AuthFlow::User, attempts, attempts_by_name: None, at: at(100) };
        judge(&guess, user, proved).map_err(|refusal| {
            let counts = matches!(refusal.hearing, Hearing::Wrong { .. });
            assert!(!counts || refusal.error.message == Error::unverified_passkey().message);
            (refusal.activity.reason(), refusal.error.exception, counts)
        })
    }

    #[test]
    fn a_right_passkey_signs_in_and_others_count_and_read_the_same() {
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        assert_eq!(judged(false, Some(&jane), Ok(())), Ok(()));
        let refused = |reason| Err((reason, Exception::NotAuthorizedException, true));
        assert_eq!(judged(false, Some(&jane), Err(Fault::Wrong)), refused(SignInRefusal::WrongPasskey));
        assert_eq!(judged(false, Some(&jane), Err(Fault::Copied)), refused(SignInRefusal::CopiedPasskey));
        assert_eq!(judged(false, None, Err(Fault::Wrong)), refused(SignInRefusal::UnknownUser));
        assert_eq!(judged(true, Some(&jane), Ok(())), refused(SignInRefusal::Locked));
    }

    #[test]
    fn a_right_passkey_shows_what_else_prevents_the_sign_in() {
        let was_reset = user(&[signed_up("jane", &[]), confirmed(&[]), reset()]);
        let expected = (SignInRefusal::ResetRequired, Exception::PasswordResetRequiredException, false);
        assert_eq!(judged(false, Some(&was_reset), Ok(())), Err(expected));
        let wrong = judged(false, Some(&was_reset), Err(Fault::Wrong)).unwrap_err();
        assert_eq!(wrong.0, SignInRefusal::WrongPasskey);
    }
}

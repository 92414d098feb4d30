//! The factor of custom challenges, which the pool's triggers make and judge: how their verdicts count.
//!
//! A wrong answer does not end a sign-in: the triggers decide that. It counts like a wrong password all the same, so that
//! no number of sign-ins gives more guesses.

use crate::domain::auth::account::may_sign_in;
use crate::domain::auth::guess::{Guess, wrong};
use crate::domain::auth::refusal::Refusal;
use crate::domain::lockout::Hearing;
use crate::domain::user::User;
use crate::proto::events::SignInRefusal;

/// The level of the events that only servers of this release can read: a reason of refusals.
pub const LEVEL: i32 = 2;

/// Refuses to begin, where the caller may learn that the user can't sign in.
pub fn begin(guess: &Guess<'_>, user: Option<&User>) -> Result<(), Box<Refusal>> {
    match user.filter(|_| !guess.client.hides_users()) {
        Some(user) => may_sign_in(guess.pool, user, guess.at)
            .map_err(|(reason, error)| Box::new(guess.refused(reason, Hearing::Unheard, error))),
        None => Ok(()),
    }
}

/// Whether an answer counts as right, and how it is counted. The answers of a user who is locked, where the caller may not
/// learn that, are wrong whatever they are.
pub fn answered(guess: &Guess<'_>, is_right: bool) -> (bool, Hearing) {
    match guess.refuse_locked() {
        Some(locked) => (false, locked.hearing),
        None if is_right => (true, Hearing::Right),
        None => (false, guess.one_more()),
    }
}

/// Judges a user whom the triggers sign in. A name that nobody has can't be signed in, whatever the triggers say.
pub fn accept(guess: &Guess<'_>, user: Option<&User>, hearing: Hearing) -> Result<(), Box<Refusal>> {
    if let Some(locked) = guess.refuse_locked() {
        return Err(Box::new(Refusal { error: wrong(), ..locked }));
    }
    match user {
        Some(user) => may_sign_in(guess.pool, user, guess.at)
            .map_err(|(reason, error)| Box::new(guess.refused(reason, hearing, error))),
        None => {
            let hearing = if matches!(hearing, Hearing::Wrong { .. }) { hearing } else { guess.one_more() };
            Err(Box::new(guess.refused(SignInRefusal::UnknownUser, hearing, wrong())))
        }
    }
}

/// The refusal of a sign-in that the triggers have ended.
pub fn failed(guess: &Guess<'_>, user: Option<&User>, hearing: Hearing) -> Refusal {
    let reason = user.map_or(SignInRefusal::UnknownUser, |_| SignInRefusal::FailedByTrigger);
    guess.refused(reason, hearing, wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app_client::AppClient;
    use crate::domain::auth::AuthFlow;
    use crate::domain::error::Exception;
    use crate::domain::lockout::Attempts;
    use crate::domain::testing::{at, client, confirmed, pool, reset, signed_up, user};
    use crate::domain::user_pool::UserPool;
    use crate::proto::v1::CreateUserPoolClientRequest;

    const WRONG: (Exception, &str) = (Exception::NotAuthorizedException, "Incorrect username or password.");

    fn client_of(pool: &UserPool, existence: &str) -> AppClient {
        let existence = Some(existence.to_owned());
        client(pool, CreateUserPoolClientRequest { prevent_user_existence_errors: existence, ..Default::default() })
    }

    fn guess<'a>(pool: &'a UserPool, client: &'a AppClient, locked: bool) -> Guess<'a> {
        let attempts = Attempts { failures: 6, last_at: at(99), locked_until: locked.then(|| at(101)) };
        let flow = AuthFlow::Custom;
        Guess { pool, client, flow, attempts: Some(attempts), attempts_by_name: None, at: at(100) }
    }

    fn told(refusal: &Refusal) -> (SignInRefusal, Exception, &str, Hearing) {
        assert_eq!(refusal.activity.auth_flow, "CUSTOM_AUTH");
        (refusal.activity.reason(), refusal.error.exception, &refusal.error.message, refusal.hearing)
    }

    #[test]
    fn a_wrong_answer_counts_and_a_right_one_is_asserted() {
        let pool = pool(Default::default());
        let client = client_of(&pool, "ENABLED");
        let open = guess(&pool, &client, false);
        assert_eq!(answered(&open, true), (true, Hearing::Right));
        assert_eq!(answered(&open, false), (false, open.one_more()));
    }

    #[test]
    fn a_user_who_is_locked_unseen_answers_wrong_and_is_not_signed_in() {
        let pool = pool(Default::default());
        let (client, jane) = (client_of(&pool, "ENABLED"), user(&[signed_up("jane", &[]), confirmed(&[])]));
        let locked = guess(&pool, &client, true);
        let (is_right, hearing) = answered(&locked, true);
        assert!(!is_right);
        let Hearing::Wrong { attempts, by_name } = hearing else { panic!("{hearing:?}") };
        assert_eq!((Some(attempts), by_name.map(|it| it.failures)), (locked.attempts, Some(1)));
        let refusal = accept(&locked, Some(&jane), Hearing::Right).unwrap_err();
        assert_eq!(told(&refusal), (SignInRefusal::Locked, WRONG.0, WRONG.1, hearing));
    }

    #[test]
    fn nobody_is_never_signed_in() {
        let pool = pool(Default::default());
        let client = client_of(&pool, "ENABLED");
        let open = guess(&pool, &client, false);
        for hearing in [Hearing::Right, Hearing::Unheard, open.one_more()] {
            let refusal = accept(&open, None, hearing).unwrap_err();
            assert_eq!(told(&refusal), (SignInRefusal::UnknownUser, WRONG.0, WRONG.1, open.one_more()));
        }
        assert_eq!(told(&failed(&open, None, Hearing::Right)).0, SignInRefusal::UnknownUser);
    }

    #[test]
    fn whoever_has_passed_learns_what_else_prevents_the_sign_in() {
        let pool = pool(Default::default());
        let client = client_of(&pool, "ENABLED");
        let open = guess(&pool, &client, false);
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        assert!(accept(&open, Some(&jane), Hearing::Right).is_ok());
        let was_reset = user(&[signed_up("jane", &[]), confirmed(&[]), reset()]);
        let refusal = accept(&open, Some(&was_reset), Hearing::Right).unwrap_err();
        assert_eq!(told(&refusal).0, SignInRefusal::ResetRequired);
        let failed = failed(&open, Some(&jane), Hearing::Unheard);
        assert_eq!(told(&failed), (SignInRefusal::FailedByTrigger, WRONG.0, WRONG.1, Hearing::Unheard));
    }

    #[test]
    fn where_users_are_not_hidden_they_learn_it_at_once() {
        let pool = pool(Default::default());
        let disabled = User { enabled: false, ..user(&[signed_up("jane", &[]), confirmed(&[])]) };
        let (open, hiding) = (client_of(&pool, "LEGACY"), client_of(&pool, "ENABLED"));
        let refusal = begin(&guess(&pool, &open, false), Some(&disabled)).unwrap_err();
        assert_eq!(told(&refusal).0, SignInRefusal::Disabled);
        assert_eq!(refusal.hearing, Hearing::Unheard);
        assert!(begin(&guess(&pool, &hiding, false), Some(&disabled)).is_ok());
        assert!(begin(&guess(&pool, &open, false), None).is_ok());
    }
}

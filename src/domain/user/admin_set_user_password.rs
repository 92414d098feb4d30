//! AdminSetUserPassword: the rules.

use crate::domain::decision::Decision;
use crate::domain::user::Password;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{PasswordChosenBy, UserPasswordChanged, UserTemporaryPasswordSet};

/// Sets a user's password in any state: permanently, so that the user may sign in, or until they choose their own.
pub fn admin_set_user_password(password: Password, permanent: bool) -> Decision<Event, Activity, ()> {
    let Password { hash, srp_verifier } = password;
    let event = if permanent {
        Event::PasswordChanged(UserPasswordChanged {
            by: PasswordChosenBy::Administrator.into(),
            password_hash: hash.0,
            srp_verifier: srp_verifier.0,
        })
    } else {
        Event::TemporaryPasswordSet(UserTemporaryPasswordSet { password_hash: hash.0, srp_verifier: srp_verifier.0 })
    };
    Decision::events(vec![event], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::personal::Sealed;
    use crate::domain::testing::{at, confirmed, reset, signed_up, temporary_password, user};
    use crate::domain::user::UserStatus;

    fn after(before: &[Event], permanent: bool) -> (UserStatus, Vec<u8>) {
        let password = Password { hash: Sealed(b"newer".to_vec()), srp_verifier: Sealed(b"other".to_vec()) };
        let decision = admin_set_user_password(password, permanent);
        decision.answer.unwrap();
        let user = user(&[before, &decision.events].concat());
        assert_eq!(user.modified_at, at(before.len() as i64), "the time of a temporary password starts again");
        (user.status, user.password.unwrap().srp_verifier.0)
    }

    #[test]
    fn a_password_is_permanent_or_temporary_in_any_state() {
        for before in [
            vec![signed_up("jane", &[])],
            vec![signed_up("jane", &[]), confirmed(&[])],
            vec![signed_up("jane", &[]), confirmed(&[]), reset()],
            vec![signed_up("jane", &[]), temporary_password()],
        ] {
            assert_eq!(after(&before, true), (UserStatus::Confirmed, b"other".to_vec()));
            assert_eq!(after(&before, false), (UserStatus::ForceChangePassword, b"other".to_vec()));
        }
    }
}

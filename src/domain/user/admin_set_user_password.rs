//! AdminSetUserPassword: the rules.

use crate::domain::decision::Decision;
use crate::domain::user::Password;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{PasswordChosenBy, UserPasswordChanged, UserTemporaryPasswordSet};

/// Sets the password of a user in whatever state: for good, so that it may use its account, or until it has chosen its own.
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

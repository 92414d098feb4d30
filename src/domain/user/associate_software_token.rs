//! AssociateSoftwareToken: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::personal::Sealed;
use crate::domain::second_factor::SecondFactor;
use crate::domain::user_pool::UserPool;
use crate::proto::events::UserSoftwareTokenAssociated;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Refuses authenticator apps where the pool has not turned them on.
pub fn check(pool: &UserPool) -> Result<(), Error> {
    if pool.second_factors().contains(&SecondFactor::SoftwareToken) {
        return Ok(());
    }
    Err(not_turned_on())
}

/// The refusal of an authenticator app where they are not turned on.
pub fn not_turned_on() -> Error {
    let message = "Software Token MFA has not been enabled by the userPool";
    Error::new(Exception::SoftwareTokenMFANotFoundException, message)
}

/// Keeps a new secret until an authenticator app shows a code of it. An app that counts already does so until then.
pub fn associate_software_token(pool: &UserPool, secret: Sealed) -> Decision<Event, Activity, ()> {
    match check(pool) {
        Ok(()) => {
            let associated = UserSoftwareTokenAssociated { secret: secret.0 };
            Decision::events(vec![Event::SoftwareTokenAssociated(associated)], ())
        }
        Err(error) => Decision::refuse(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, pool, refused, signed_up, user, with_software_tokens};

    #[test]
    fn a_new_secret_waits_and_the_old_one_counts() {
        let pool = with_software_tokens("OPTIONAL");
        let decision = associate_software_token(&pool, Sealed(b"second".to_vec()));
        let events = [vec![signed_up("jane", &[]), confirmed(&[])], decision.events].concat();
        let jane = user(&events);
        assert_eq!((jane.software_token, jane.pending_software_token), (None, Some(Sealed(b"second".to_vec()))));
    }

    #[test]
    fn a_pool_without_authenticator_apps_has_none_set_up() {
        let refusal = refused(associate_software_token(&pool(Default::default()), Sealed(Vec::new())));
        let message = "Software Token MFA has not been enabled by the userPool".to_owned();
        assert_eq!(refusal, (Exception::SoftwareTokenMFANotFoundException, message));
    }
}

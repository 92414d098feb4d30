//! DeleteWebAuthnCredential: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::PasskeyId;
use crate::domain::user::User;
use crate::proto::events::UserPasskeyDeleted;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Deletes a passkey of a user. Sessions that it began go on.
pub fn delete_web_authn_credential(user: &User, id: PasskeyId) -> Decision<Event, Activity, ()> {
    if user.passkey(id).is_none() {
        return Decision::refuse(Error::new(Exception::ResourceNotFoundException, "Passkey does not exist."));
    }
    let event = UserPasskeyDeleted { passkey_id: id.to_string() };
    Decision::events(vec![Event::PasskeyDeleted(event)], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, refused, signed_up, user};
    use crate::domain::user::passkeys::tests::{KEY, registered};

    #[test]
    fn a_passkey_of_the_user_is_deleted_and_no_other() {
        let jane = user(&[signed_up("jane", &[]), confirmed(&[]), registered(KEY)]);
        let decision = delete_web_authn_credential(&jane, KEY);
        assert_eq!(decision.events, [Event::PasskeyDeleted(UserPasskeyDeleted { passkey_id: KEY.to_string() })]);
        let other = refused(delete_web_authn_credential(&jane, PasskeyId(uuid::Uuid::from_u128(9))));
        assert_eq!(other, (Exception::ResourceNotFoundException, "Passkey does not exist.".to_owned()));
    }
}

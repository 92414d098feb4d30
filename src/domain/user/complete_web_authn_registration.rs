//! CompleteWebAuthnRegistration: the rules about the user. What a new credential must be is in
//! [`web_authn`](crate::domain::web_authn).

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::PasskeyId;
use crate::domain::personal::Sealed;
use crate::domain::user::User;
use crate::proto::events::UserPasskeyRegistered;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// A new passkey that was verified.
pub struct CompleteWebAuthnRegistration {
    /// The id of the passkey.
    pub id: PasskeyId,
    /// The credential, sealed.
    pub credential: Sealed,
    /// Whether a user of the pool has it.
    pub is_taken: bool,
    /// The most passkeys that a user may have.
    pub most: u32,
}

/// Refuses one more passkey for a user who has the most.
pub fn check_count(user: &User, most: u32) -> Result<(), Error> {
    if user.passkeys.len() < usize::try_from(most).unwrap_or(usize::MAX) {
        return Ok(());
    }
    let message = format!("A user can have at most {most} passkeys.");
    Err(Error::new(Exception::LimitExceededException, message))
}

/// Keeps a passkey that a user has made.
pub fn complete_web_authn_registration(
    user: &User,
    command: CompleteWebAuthnRegistration,
) -> Decision<Event, Activity, ()> {
    let CompleteWebAuthnRegistration { id, credential, is_taken, most } = command;
    if is_taken || user.passkey(id).is_some() {
        let message = "The passkey is registered already.";
        return Decision::refuse(Error::new(Exception::WebAuthnCredentialNotSupportedException, message));
    }
    if let Err(error) = check_count(user, most) {
        return Decision::refuse(error);
    }
    let event = UserPasskeyRegistered { passkey_id: id.to_string(), credential: credential.0 };
    Decision::events(vec![Event::PasskeyRegistered(event)], ())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::testing::{confirmed, refused, signed_up, user};
    use crate::domain::user::passkeys::tests::{KEY, registered};

    fn command(id: PasskeyId) -> CompleteWebAuthnRegistration {
        let credential = Sealed(b"a sealed credential".to_vec());
        CompleteWebAuthnRegistration { id, credential, is_taken: false, most: 2 }
    }

    fn jane(passkeys: &[PasskeyId]) -> User {
        let events = passkeys.iter().map(|id| registered(*id));
        user(&[signed_up("jane", &[]), confirmed(&[])].into_iter().chain(events).collect::<Vec<_>>())
    }

    #[test]
    fn a_passkey_is_registered_once_in_the_pool() {
        let decision = complete_web_authn_registration(&jane(&[]), command(KEY));
        assert_eq!(decision.events, [registered(KEY)]);
        decision.answer.unwrap();
        let taken = CompleteWebAuthnRegistration { is_taken: true, ..command(KEY) };
        for (user, command) in [(jane(&[]), taken), (jane(&[KEY]), command(KEY))] {
            let (exception, message) = refused(complete_web_authn_registration(&user, command));
            assert_eq!(exception, Exception::WebAuthnCredentialNotSupportedException);
            assert_eq!(message, "The passkey is registered already.");
        }
    }

    #[test]
    fn a_user_has_no_more_passkeys_than_the_limit() {
        let [one, two] = [1, 2].map(|id| PasskeyId(Uuid::from_u128(id)));
        assert_eq!(complete_web_authn_registration(&jane(&[one]), command(KEY)).events, [registered(KEY)]);
        let refusal = refused(complete_web_authn_registration(&jane(&[one, two]), command(KEY)));
        let message = "A user can have at most 2 passkeys.".to_owned();
        assert_eq!(refusal, (Exception::LimitExceededException, message));
    }
}

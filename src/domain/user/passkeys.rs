//! The passkeys of a user, whose public keys are sealed under the user's key like everything that tells of a person.

use serde::{Deserialize, Serialize};

use crate::domain::ids::PasskeyId;
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user::identities::CLAIM_MARK;
use crate::proto::events::UserPasskeyRegistered;

/// The level from which on events about passkeys may be written.
pub const LEVEL: i32 = 2;

/// A passkey of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passkey {
    /// A keyed hash of the credential id. It stays when everything else about the passkey is erased.
    pub id: PasskeyId,
    /// The [`Credential`](crate::domain::web_authn::Credential), sealed under the user's key.
    pub credential: Sealed,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl Passkey {
    pub(super) fn registered(event: &UserPasskeyRegistered, at: Timestamp) -> Option<Self> {
        let id = PasskeyId::parse(&event.passkey_id)?;
        Some(Self { id, credential: Sealed(event.credential.clone()), created_at: at })
    }
}

/// The name that a passkey claims, so that only one user of the pool has it.
pub fn claim(id: PasskeyId) -> String {
    format!("{CLAIM_MARK}passkey:{id}")
}

impl User {
    /// The passkey with this id, if the user has it.
    pub fn passkey(&self, id: PasskeyId) -> Option<&Passkey> {
        self.passkeys.iter().find(|passkey| passkey.id == id)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::testing::{at, confirmed, signed_up, user};
    use crate::domain::user_pool::NameRules;
    use crate::proto::events::UserPasskeyDeleted;
    use crate::proto::events::user_event::Event;

    pub const KEY: PasskeyId = PasskeyId(uuid::Uuid::from_u128(0x00000000_0000_8000_8000_000000000001));

    /// The registration of a passkey.
    pub fn registered(id: PasskeyId) -> Event {
        let credential = b"a sealed credential".to_vec();
        Event::PasskeyRegistered(UserPasskeyRegistered { passkey_id: id.to_string(), credential })
    }

    #[test]
    fn a_passkey_is_the_users_until_it_is_deleted_and_claims_its_id() {
        let mut events = vec![signed_up("jane", &[]), confirmed(&[]), registered(KEY)];
        let jane = user(&events);
        let expected = Passkey { id: KEY, credential: Sealed(b"a sealed credential".to_vec()), created_at: at(2) };
        assert_eq!((jane.passkeys.as_slice(), jane.passkey(KEY)), (&[expected.clone()][..], Some(&expected)));
        assert!(jane.names(&NameRules::default()).contains(&claim(KEY)));
        events.push(Event::PasskeyDeleted(UserPasskeyDeleted { passkey_id: KEY.to_string() }));
        let after = user(&events);
        assert_eq!(after.passkeys, []);
        assert!(!after.names(&NameRules::default()).contains(&claim(KEY)));
    }

    #[test]
    fn a_text_that_is_no_id_is_no_passkey() {
        let event = UserPasskeyRegistered { passkey_id: "a key".to_owned(), credential: Vec::new() };
        assert_eq!(Passkey::registered(&event, at(0)), None);
    }
}

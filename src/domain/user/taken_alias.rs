//! Aliases that a new user takes from other users.

use crate::domain::error::{Error, Exception};
use crate::domain::user::User;
use crate::domain::user_pool::NameRules;
use crate::proto::events::UserAliasReleased;
use crate::proto::events::user_event::Event;

/// An alias that the new user takes from another user.
#[derive(Clone, PartialEq, Eq)]
pub struct TakenAlias {
    /// The attribute that holds the alias.
    pub attribute: &'static str,
    /// The alias, in the form that is compared.
    pub name: String,
}

impl std::fmt::Debug for TakenAlias {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TakenAlias({})", self.attribute)
    }
}

/// The events of a user who loses these aliases. Refused if the user holds such a name in another way.
pub fn release_aliases(owner: &User, rules: &NameRules, taken: &[TakenAlias]) -> Result<Vec<Event>, Error> {
    let names = owner.names(rules);
    let mut released = Vec::new();
    for TakenAlias { attribute, name } in taken {
        if owner.has_by_proof(rules, attribute, name) {
            released.push(Event::AliasReleased(UserAliasReleased { attribute: (*attribute).to_owned() }));
        } else if names.contains(name) {
            return Err(address_exists(attribute));
        }
    }
    Ok(released)
}

/// The refusal of an address that is another user's name.
pub fn address_exists(attribute: &str) -> Error {
    let message = format!("An account with the given {attribute} already exists.");
    Error::new(Exception::UsernameExistsException, message)
}

//! SRP at a sign-in by password: the verifier of a user, or one that looks like a user's where there is none.

use crate::app::hashing::forms::{self, stored_verifier};
use crate::domain::auth::srp::{SrpVerifier, made_up_verifier};
use crate::domain::error::Error;
use crate::domain::ids::PasswordId;
use crate::domain::user_pool::NameRules;
use crate::store::cache::PoolView;
use crate::store::keys::PoolKeys;
use crate::store::loaded::LoadedUser;

/// What an exchange with a client begins with.
pub struct Basis {
    /// The verifier of the password, or one that was made up.
    pub verifier: SrpVerifier,
    /// The password of the verifier; absent if it was made up.
    pub password: Option<PasswordId>,
    /// The identity that the client hashes: `USER_ID_FOR_SRP`.
    pub user_id: String,
}

impl Basis {
    /// The basis for a user, if the user has a verifier.
    pub fn of_user(pool: &PoolView, user: &LoadedUser) -> Result<Option<Self>, Error> {
        let Some(verifier) = stored_verifier(pool, user)? else { return Ok(None) };
        let password = forms::id_of(user.state.password.as_ref())?;
        Ok(Some(Self { verifier, password, user_id: user.state.username().to_owned() }))
    }

    /// The basis for a name at which nobody can sign in by SRP. It is the same each time.
    pub fn made_up(pool: &PoolView, written: &str) -> Self {
        let name = pool.name_rules.normalise(written);
        let verifier = made_up_verifier(&pool.keys.keyed_hash("srp verifier", &[&name]));
        let user_id = match is_never_a_username(&pool.name_rules, written) {
            true => made_up_username(&pool.keys, &name),
            false => written.to_owned(),
        };
        Self { verifier, password: None, user_id }
    }
}

/// Whether the user of this name would be shown under another one: an address stands for a user name.
fn is_never_a_username(rules: &NameRules, name: &str) -> bool {
    let has_addresses = !rules.username_attributes.is_empty() || !rules.alias_attributes.is_empty();
    has_addresses && (name.contains('@') || name.starts_with('+'))
}

/// Like the `sub` of a user, which is the user name where addresses are the names.
fn made_up_username(keys: &PoolKeys, name: &str) -> String {
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(keys.keyed_hash("srp user", &[name])) {
        *byte = hashed;
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

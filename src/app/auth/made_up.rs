//! The user name of somebody who does not exist, where a challenge shows a user name.

use crate::domain::user_pool::NameRules;
use crate::store::cache::PoolView;
use crate::store::keys::PoolKeys;

/// The user name for a name that nobody has. It is the same each time.
pub fn username(pool: &PoolView, written: &str) -> String {
    match is_never_a_username(&pool.name_rules, written) {
        true => made_up(&pool.keys, &pool.name_rules.normalise(written)),
        false => written.to_owned(),
    }
}

/// Whether the user of this name would be shown under another one: an address stands for a user name.
fn is_never_a_username(rules: &NameRules, name: &str) -> bool {
    let has_addresses = !rules.username_attributes.is_empty() || !rules.alias_attributes.is_empty();
    has_addresses && (name.contains('@') || name.starts_with('+'))
}

/// Like the `sub` of a user, which is the user name where addresses are the names.
fn made_up(keys: &PoolKeys, name: &str) -> String {
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(keys.keyed_hash("srp user", &[name])) {
        *byte = hashed;
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

//! Pools for tests of tokens.

use crate::domain::ids::UserPoolId;
use crate::environment::Random;
use crate::store::keys::{MasterKeys, PoolKeys};

/// A pool of this id, with keys of its own.
pub fn pool(id: &str) -> (UserPoolId, PoolKeys) {
    let random = Random::default();
    let master = MasterKeys::parse(&MasterKeys::generate_line("test", &random)).unwrap();
    let id = UserPoolId::new(id);
    let (keys, _) = PoolKeys::generate(&id, &master, &random);
    (id, keys)
}

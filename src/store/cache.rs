//! Pools and clients in memory, with their versions.
//!
//! Nothing here is trusted: each read asks the database for the current versions, and for the rows whose version
//! differs from the cached one. The cache only saves sending and decoding unchanged rows, so replicas need not tell
//! each other of changes. A client that a read does not find is removed; entries that were not used for long make room
//! for others.

use std::sync::Arc;

use moka::sync::Cache as Moka;

use crate::domain::app_client::AppClient;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::keys::PoolKeys;

/// A pool at one version, with its keys.
#[derive(Debug)]
pub struct PoolView {
    /// The pool's id, which starts with its region.
    pub id: UserPoolId,
    /// The version of its stream.
    pub version: i64,
    /// The pool's settings, schema and signing keys at this version.
    pub state: UserPool,
    /// The rules for comparing the names of its users.
    pub name_rules: NameRules,
    /// The pool's data keys, unwrapped.
    pub keys: Arc<PoolKeys>,
}

/// A client at one version.
#[derive(Debug)]
pub struct ClientView {
    /// The version of its stream.
    pub version: i64,
    /// The client's settings at this version.
    pub state: AppClient,
}

/// The most pools and the most clients that are cached.
const CAPACITY: u64 = 10_000;

/// The cached pools and clients.
#[derive(Debug)]
pub struct Cache {
    pub(super) pools: Moka<UserPoolId, Arc<PoolView>>,
    pub(super) clients: Moka<ClientId, Arc<ClientView>>,
    /// The pool of each client, which never changes.
    pub(super) directory: Moka<ClientId, UserPoolId>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { pools: Moka::new(CAPACITY), clients: Moka::new(CAPACITY), directory: Moka::new(CAPACITY) }
    }
}

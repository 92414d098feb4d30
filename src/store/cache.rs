//! Pools and clients in memory, each with its version.
//!
//! Nothing here is trusted: each read asks the database for the current versions, and for the rows where they differ from what
//! is kept. What is kept only saves sending and decoding a row that has not changed, so no replica tells another of a change. A
//! client that a read does not find is forgotten; a pool or client that was not used for long gives way to others.

use std::sync::Arc;

use moka::sync::Cache as Moka;

use crate::domain::app_client::AppClient;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::keys::PoolKeys;

/// A pool as it was at a version, with its keys.
#[derive(Debug)]
pub struct PoolView {
    /// Its id.
    pub id: UserPoolId,
    /// The version of its stream.
    pub version: i64,
    /// What it is.
    pub state: UserPool,
    /// How its users' names are compared.
    pub name_rules: NameRules,
    /// Its keys.
    pub keys: Arc<PoolKeys>,
}

/// A client as it was at a version.
#[derive(Debug)]
pub struct ClientView {
    /// The version of its stream.
    pub version: i64,
    /// What it is.
    pub state: AppClient,
}

/// How many of each are kept.
const CAPACITY: u64 = 10_000;

/// What is known of pools and clients.
#[derive(Debug)]
pub struct Cache {
    pub(super) pools: Moka<UserPoolId, Arc<PoolView>>,
    pub(super) clients: Moka<ClientId, Arc<ClientView>>,
    /// The pool of a client never changes.
    pub(super) directory: Moka<ClientId, UserPoolId>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { pools: Moka::new(CAPACITY), clients: Moka::new(CAPACITY), directory: Moka::new(CAPACITY) }
    }
}

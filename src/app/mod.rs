//! The use cases: one file an operation, in the folder of its service. Read, slow work, decide, commit.
//!
//! No connection is held across slow work. A commit that collides is decided again from a new read.

pub mod admin_user;
pub mod app_client;
pub mod attempts;
pub mod auth;
pub mod caller;
pub mod clients;
pub mod codes;
pub mod group;
pub mod guesses;
pub mod identity_provider;
pub mod pages;
pub mod password;

pub mod hashing;
pub mod seed;
pub mod shapes;
pub mod sign_up;
pub mod user;
pub mod user_pool;
pub mod whence;

use std::sync::Arc;

pub use crate::store::error::Failure;

use crate::environment::{Clock, Random};
use crate::limits::{Allowances, Counts, Limits, Refusals};
use crate::store::Store;
use crate::tokens::access_token;
use crate::tokens::signing_keys::Signers;

/// What all operations stand on.
#[derive(Debug)]
pub struct App {
    /// Postgres.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// The hashing of passwords.
    pub hasher: hashing::Hasher,
    /// Keys that sign tokens, parsed.
    pub signers: Signers,
    /// Checks access tokens.
    pub access_tokens: access_token::Verifier,
    /// One guess per name at a time.
    pub guesses: guesses::Guesses,
    /// Names that ids and tokens contain.
    pub identity: Identity,
    /// What the operator chose for all pools.
    pub settings: Settings,
    /// How often what may happen, and what has happened.
    pub limits: Limits,
    /// Which refusals of developer calls are recorded.
    pub refusals: Refusals,
}

/// What the operator of a server chooses for all its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether a group with members can be deleted. Their memberships end with it.
    pub delete_groups_with_members: bool,
    /// Whether all sessions of a user end when it has chosen another password by a code.
    pub recovery_ends_sessions: bool,
    /// How often what may happen.
    pub allowances: Allowances,
    /// How many there may be of what pools and users hold.
    pub counts: Counts,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delete_groups_with_members: false,
            recovery_ends_sessions: true,
            allowances: Allowances::default(),
            counts: Counts::default(),
        }
    }
}

/// What the server is called.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The address under which clients reach the HTTP door, without a slash at its end: the beginning of every `iss`.
    pub public_url: String,
    /// The account in ARNs: 12 digits.
    pub account_id: String,
    /// The region in ids and ARNs, unless a signature names another.
    pub region: String,
}

impl App {
    /// An application on a store, with the settings that are usual.
    pub fn new(store: Store, identity: Identity, hasher: hashing::Hasher) -> Arc<Self> {
        Self::with_settings(store, identity, hasher, Settings::default())
    }

    /// An application on a store.
    pub fn with_settings(store: Store, identity: Identity, hasher: hashing::Hasher, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock: Clock,
            random: Random::default(),
            hasher,
            signers: Signers::default(),
            access_tokens: access_token::Verifier::default(),
            guesses: guesses::Guesses::default(),
            identity,
            settings,
            limits: Limits::new(settings.allowances),
            refusals: Refusals::default(),
        })
    }
}

//! The use cases: one file per operation, in the folder of its service. Read, slow work, decide, commit.
//!
//! No database connection is held during slow work. A commit that collides is decided again from a new read.

pub mod admin_user;
pub mod afterwards;
pub mod alias_owners;
pub mod app_client;
pub mod attempts;
pub mod auth;
pub mod caller;
pub mod clients;
pub mod codes;
pub mod device;
pub mod group;
pub mod guesses;
pub mod identity_provider;
pub mod mfa;
pub mod migration;
pub mod pages;
pub mod password;

pub mod hashing;
pub mod seed;
pub mod shapes;
pub mod sign_up;
pub mod software_tokens;
pub mod telling;
pub mod triggers;
pub mod user;
pub mod user_pool;
pub mod web_authn;
pub mod whence;
pub mod wording;

use std::sync::Arc;

pub use crate::store::error::Failure;

use crate::environment::{Clock, Random};
use crate::limits::{Allowances, Counts, Limits, Refusals};
use crate::store::Store;
use crate::tokens::access_token;
use crate::tokens::signing_keys::Signers;
use crate::triggers::Triggers;

/// The state that all operations share.
#[derive(Debug)]
pub struct App {
    /// The tables in Postgres, with the keys to them.
    pub store: Store,
    /// The source of all times.
    pub clock: Clock,
    /// The source of ids, codes, secrets and salts.
    pub random: Random,
    /// The hashing of passwords.
    pub hasher: hashing::Hasher,
    /// Keys that sign tokens, already parsed.
    pub signers: Signers,
    /// Checks signature and expiry of access tokens.
    pub access_tokens: access_token::Verifier,
    /// Queues of password and code guesses: one guess per name and network at a time.
    pub guesses: guesses::Guesses,
    /// Names that are part of ids and tokens.
    pub identity: Identity,
    /// The operator's settings for all pools.
    pub settings: Settings,
    /// The limits and quotas, with their counts in this process.
    pub limits: Limits,
    /// Chooses the refusals of developer calls that are recorded.
    pub refusals: Refusals,
    /// What answers for the triggers of pools.
    pub triggers: Triggers,
}

/// The operator's settings for all pools of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether a group with members can be deleted. Its memberships end with it.
    pub delete_groups_with_members: bool,
    /// Whether passwords may be sent to triggers: the brokers are reached by an encrypted connection, or nobody else uses
    /// them.
    pub sends_passwords: bool,
    /// Whether all sessions of a user end when they reset their password with a code.
    pub recovery_ends_sessions: bool,
    /// The triggers that callers wait for, though they decide nothing.
    pub awaited: Awaited,
    /// How often limited actions may happen.
    pub allowances: Allowances,
    /// How much pools and users may hold.
    pub counts: Counts,
    /// Whether this is a server for development, in which triggers may be endpoints of this machine.
    pub in_development: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delete_groups_with_members: false,
            sends_passwords: false,
            recovery_ends_sessions: true,
            awaited: Awaited::default(),
            allowances: Allowances::default(),
            counts: Counts::default(),
            in_development: false,
        }
    }
}

/// Which of the triggers that decide nothing are awaited: they are asked after the commit, and their error is returned.
/// The others are told through the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// Whether post confirmation is awaited.
    pub post_confirmation: bool,
    /// Whether post authentication is awaited.
    pub post_authentication: bool,
}

/// The names of a server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The address at which clients reach the HTTP door, without a slash at its end: the beginning of every `iss`.
    pub public_url: String,
    /// The account in ARNs: 12 digits.
    pub account_id: String,
    /// The region in ids and ARNs, unless a signature names another.
    pub region: String,
}

impl App {
    /// An application on a store, with the default settings.
    pub fn new(store: Store, identity: Identity, hasher: hashing::Hasher) -> Arc<Self> {
        Self::with_settings(store, identity, hasher, Settings::default(), Triggers::default())
    }

    /// An application on a store, with these settings and these triggers.
    pub fn with_settings(
        store: Store,
        identity: Identity,
        hasher: hashing::Hasher,
        settings: Settings,
        triggers: Triggers,
    ) -> Arc<Self> {
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
            triggers,
        })
    }
}

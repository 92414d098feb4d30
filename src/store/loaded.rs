//! Rows as they were loaded for a decision: each with the version that the commit asserts.

use std::sync::Arc;

use crate::domain::group::Group;
use crate::domain::user::User;
use crate::store::seal::DataKey;

/// A user as a decision saw it.
#[derive(Clone, Debug)]
pub struct LoadedUser {
    /// What it is.
    pub state: User,
    /// The version of its stream.
    pub version: i64,
    /// Its data key.
    pub key: Arc<DataKey>,
}

/// What a decision saw of an aggregate that has no data key of its own.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// What it is.
    pub state: A,
    /// The version of its stream.
    pub version: i64,
}

/// A group as a decision saw it.
pub type LoadedGroup = Loaded<Group>;

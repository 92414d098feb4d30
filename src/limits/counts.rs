//! How many there may be of what a pool, a client or a user holds.
//!
//! What is of one stream is a rule of its own: the stream's version is asserted anyway. What a pool holds in streams of its own
//! is asserted by the commit that adds one (`store/commit`). Identity providers and resource servers of a pool will stand here
//! as well, once there are any.

/// The limits, with Cognito's own numbers where the operator says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Groups of a pool.
    pub groups_per_pool: u32,
    /// App clients of a pool.
    pub clients_per_pool: u32,
    /// Custom attributes of a pool.
    pub custom_attributes_per_pool: u32,
    /// Groups that one user is in.
    pub groups_per_user: u32,
    /// Identities of providers that stand for one user.
    pub identities_per_user: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            groups_per_pool: 10_000,
            clients_per_pool: 1_000,
            custom_attributes_per_pool: 50,
            groups_per_user: 100,
            identities_per_user: 5,
        }
    }
}

//! The most objects that a pool, a client or a user may have.
//!
//! A limit on objects in one stream is a rule, because the stream's version is asserted anyway. A limit on objects that
//! have streams of their own is asserted by the commit that adds one (`store/commit`). Limits on identity providers and
//! resource servers will be added here with these features.

/// The limits, with Cognito's values as defaults where it has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Groups in one pool.
    pub groups_per_pool: u32,
    /// App clients of one pool.
    pub clients_per_pool: u32,
    /// Custom attributes of one pool.
    pub custom_attributes_per_pool: u32,
    /// Groups that one user can be in.
    pub groups_per_user: u32,
    /// External identities that one user can have.
    pub identities_per_user: u32,
    /// Devices that one user can have. One more takes the place of another.
    pub devices_per_user: u32,
    /// Passkeys that one user can have.
    pub passkeys_per_user: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            groups_per_pool: 10_000,
            clients_per_pool: 1_000,
            custom_attributes_per_pool: 50,
            groups_per_user: 100,
            identities_per_user: 5,
            devices_per_user: 100,
            passkeys_per_user: 20,
        }
    }
}

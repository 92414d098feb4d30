//! Relying parties for tests of the rules.

use crate::domain::user_pool::UserPool;
use crate::domain::web_authn::RelyingParty;
use crate::proto::v1;

pub const CHALLENGE: &[u8] = b"a challenge of some bytes";
pub const ORIGIN: &str = "https://example.com";

/// A pool with this relying party.
pub fn pool(id: Option<&str>, user_verification: &str, factor_configuration: &str) -> UserPool {
    let mut pool = crate::domain::testing::pool(Default::default());
    pool.name = "pool".to_owned();
    pool.settings.web_authn_configuration = Some(v1::WebAuthnConfigurationType {
        relying_party_id: id.map(str::to_owned),
        user_verification: Some(user_verification.to_owned()),
        factor_configuration: Some(factor_configuration.to_owned()),
    });
    pool
}

/// A relying party with plain settings.
pub fn party(id: &str) -> RelyingParty<'_> {
    RelyingParty { id, name: "pool", verifies_users: false, counts_twice: false }
}

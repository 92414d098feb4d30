//! The factors by which users of a pool may begin a sign-in with a choice.

use crate::domain::user_pool::UserPool;

impl UserPool {
    /// Whether the pool's policy names a first factor. Without a policy, a password is allowed.
    pub fn allows_first_factor(&self, name: &str) -> bool {
        let policy = self.settings.policies.as_ref().and_then(|policies| policies.sign_in_policy.as_ref());
        match policy.map_or(&[][..], |policy| &policy.allowed_first_auth_factors) {
            [] => name == "PASSWORD",
            allowed => allowed.iter().any(|factor| factor == name),
        }
    }
}

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

    /// The domain for which passkeys of the pool are made, if it has chosen one.
    pub fn relying_party_id(&self) -> Option<&str> {
        let chosen = self.settings.web_authn_configuration.as_ref()?;
        chosen.relying_party_id.as_deref().filter(|id| !id.is_empty())
    }

    /// Whether users can begin by a passkey.
    pub fn offers_passkeys(&self) -> bool {
        self.allows_first_factor("WEB_AUTHN") && self.relying_party_id().is_some()
    }
}

//! Passkeys by WebAuthn: the relying party that a pool is, what a browser is asked for, and whether its answer holds.
//!
//! The standard's checks are those of `webauthn-rs-core`. Its own state of a ceremony is made anew from the challenge, so that
//! nothing is kept between the two calls of one.

mod assertion;
mod challenge;
mod registration;

pub use assertion::{Assertion, Fault, Proof, request_options};
pub use challenge::{Completing, RegistrationChallenge};
pub use registration::{Attestation, NewUser, creation_options};

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::proto::{COSEKey, UserVerificationPolicy};

use crate::domain::error::{Error, Exception};
use crate::domain::user_pool::UserPool;
use crate::domain::user_pool::second_factors::MfaMode;

/// How long a browser may take to make a passkey.
pub const REGISTRATION_SECONDS: i64 = 5 * 60;

/// What the passkeys of a pool are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelyingParty<'a> {
    /// The domain for which they are valid.
    pub id: &'a str,
    /// The name that browsers show.
    pub name: &'a str,
    /// Whether the authenticator has to verify the user, by a fingerprint or a PIN.
    pub verifies_users: bool,
    /// Whether a passkey that has verified the user stands for a second factor too.
    pub counts_twice: bool,
}

impl<'a> RelyingParty<'a> {
    /// The relying party of a pool, if it has chosen one.
    pub fn of(pool: &'a UserPool) -> Option<Self> {
        let (chosen, id) = (pool.settings.web_authn_configuration.as_ref()?, pool.relying_party_id()?);
        let name = if pool.name.is_empty() { id } else { &pool.name };
        let verifies_users = chosen.user_verification() == "required";
        let counts_twice = chosen.factor_configuration() == "MULTI_FACTOR_WITH_USER_VERIFICATION";
        Some(Self { id, name, verifies_users, counts_twice })
    }

    /// The relying party of a pool that lets users register passkeys.
    pub fn registering(pool: &'a UserPool) -> Result<Self, Error> {
        check_enabled(pool)?;
        Self::of(pool).ok_or_else(|| {
            let message = "The user pool has no relying party for passkeys: set WebAuthnConfiguration.RelyingPartyId.";
            Error::new(Exception::WebAuthnConfigurationMissingException, message)
        })
    }

    /// The same for a user who has chosen, or has not, that a passkey stands for a second factor: then it has to verify them.
    pub fn for_user(self, has_chosen: bool) -> Self {
        Self {
            verifies_users: self.verifies_users || has_chosen,
            counts_twice: self.counts_twice || has_chosen,
            ..self
        }
    }

    /// Whether a sign-in can begin by a passkey: not where a second factor is required of everybody, unless a passkey stands
    /// for it.
    pub fn signs_in(&self, pool: &UserPool) -> bool {
        self.counts_twice || pool.mfa_mode() != MfaMode::On
    }

    fn verification(&self) -> UserVerificationPolicy {
        if self.verifies_users { UserVerificationPolicy::Required } else { UserVerificationPolicy::Preferred }
    }

    /// The library's view: pages of the domain and of those below it, at any port. A page on the machine itself needs no
    /// HTTPS.
    fn core(&self) -> WebauthnCore {
        let schemes = if self.id == "localhost" { &["https", "http"][..] } else { &["https"][..] };
        // A relying party that is no domain has no page.
        let origins = schemes.iter().filter_map(|scheme| Url::parse(&format!("{scheme}://{}", self.id)).ok());
        let timeout = Duration::from_secs(REGISTRATION_SECONDS.unsigned_abs());
        WebauthnCore::new_unsafe_experts_only(self.name, self.id, origins.collect(), timeout, Some(true), Some(true))
    }
}

/// Refuses passkeys where the pool's policy does not name them.
pub fn check_enabled(pool: &UserPool) -> Result<(), Error> {
    if pool.allows_first_factor("WEB_AUTHN") {
        return Ok(());
    }
    Err(Error::new(Exception::WebAuthnNotEnabledException, "Passkeys are not enabled for the user pool."))
}

/// A credential that a user has registered: what is sealed of a passkey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// The id by which browsers and authenticators know it.
    #[serde(with = "crate::proto::json::base64")]
    pub id: Vec<u8>,
    /// Its public key.
    pub key: COSEKey,
    /// The counter of its signatures at the registration; 0 if it does not count.
    pub counter: u32,
    /// Whether the authenticator may copy it to other devices.
    pub backup_eligible: bool,
    /// Whether it was copied when it was registered.
    pub backed_up: bool,
    /// The domain for which it is valid.
    pub relying_party_id: String,
    /// The name that people recognise it by.
    pub name: String,
    /// `platform` or `cross-platform`, if the browser said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    /// Ways by which a browser may reach the authenticator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transports: Vec<String>,
}

/// A credential as options name it: its id, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described<'a> {
    /// The id of the credential.
    pub id: &'a [u8],
    /// Ways by which a browser may reach its authenticator.
    pub transports: &'a [String],
}

impl Described<'_> {
    fn to_json(self) -> Value {
        let mut described = json!({ "type": "public-key", "id": encoded(self.id) });
        if !self.transports.is_empty() {
            described["transports"] = json!(self.transports);
        }
        described
    }
}

impl Credential {
    /// The credential as options name it.
    pub fn described(&self) -> Described<'_> {
        Described { id: &self.id, transports: &self.transports }
    }
}

/// Bytes as WebAuthn writes them in JSON: base64url without padding.
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes that were written like that.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The challenge that a browser was given, from what it has signed.
fn challenge_in(client_data: &Value) -> Option<Vec<u8>> {
    let client_data: Value = serde_json::from_slice(&decoded(client_data.as_str()?)?).ok()?;
    decoded(client_data["challenge"].as_str()?)
}

#[cfg(test)]
mod authenticator;
#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::{party, pool};
    use super::*;

    #[test]
    fn a_pool_is_a_relying_party_once_it_has_an_id() {
        assert_eq!(RelyingParty::of(&pool(None, "", "")), None);
        let chosen = pool(Some("example.com"), "required", "MULTI_FACTOR_WITH_USER_VERIFICATION");
        let party = RelyingParty::of(&chosen).unwrap();
        assert_eq!(
            (party.id, party.name, party.verifies_users, party.counts_twice),
            ("example.com", "pool", true, true)
        );
        let plain = pool(Some("example.com"), "preferred", "SINGLE_FACTOR");
        let party = RelyingParty::of(&plain).unwrap();
        assert_eq!((party.verifies_users, party.counts_twice), (false, false));
    }

    #[test]
    fn passkeys_are_registered_where_the_policy_names_them_and_there_is_a_relying_party() {
        let refused = |pool: &UserPool| crate::domain::testing::refusal(RelyingParty::registering(pool)).0;
        let mut pool = pool(None, "", "");
        assert_eq!(refused(&pool), Exception::WebAuthnNotEnabledException);
        let policies = pool.settings.policies.get_or_insert_default();
        policies.sign_in_policy.get_or_insert_default().allowed_first_auth_factors = vec!["WEB_AUTHN".to_owned()];
        assert_eq!(refused(&pool), Exception::WebAuthnConfigurationMissingException);
        pool.settings.web_authn_configuration.get_or_insert_default().relying_party_id = Some("example.com".to_owned());
        assert_eq!(RelyingParty::registering(&pool).unwrap().id, "example.com");
    }

    #[test]
    fn a_passkey_alone_signs_nobody_in_where_everybody_needs_a_second_factor() {
        for (factors, mode, has_chosen, signs_in) in [
            ("SINGLE_FACTOR", "OFF", false, true),
            ("SINGLE_FACTOR", "OPTIONAL", false, true),
            ("SINGLE_FACTOR", "ON", false, false),
            ("SINGLE_FACTOR", "ON", true, true),
            ("MULTI_FACTOR_WITH_USER_VERIFICATION", "ON", false, true),
        ] {
            let mut pool = pool(Some("example.com"), "preferred", factors);
            pool.settings.mfa_configuration = Some(mode.to_owned());
            let party = RelyingParty::of(&pool).unwrap().for_user(has_chosen);
            assert_eq!(party.signs_in(&pool), signs_in, "{factors} {mode}");
            assert_eq!(party.verifies_users, has_chosen);
        }
    }

    #[test]
    fn a_relying_party_that_is_no_domain_has_no_page() {
        assert!(party("no domain").core().get_allowed_origins().is_empty());
        assert_eq!(party("example.com").core().get_allowed_origins().len(), 1);
        assert_eq!(party("localhost").core().get_allowed_origins().len(), 2);
    }
}

//! Identities at external providers that are linked to a user.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::personal::Personal;
use crate::domain::time::Timestamp;
use crate::proto::events::UserProviderLinked;

/// The provider name of the pool's own users in the API.
pub const OWN_PROVIDER: &str = "Cognito";
/// The attribute name of a provider's own subject.
pub const SUBJECT: &str = "Cognito_Subject";
/// The first character of claims of identities, in the namespace that they share with user names.
pub(super) const CLAIM_MARK: char = '\u{1f}';

/// The providers whose type follows from their name.
const SOCIAL: [&str; 4] = ["Facebook", "Google", "LoginWithAmazon", "SignInWithApple"];

/// A user's identity at a provider.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderIdentity {
    /// The provider's name in the pool, such as `Google`.
    pub provider_name: String,
    /// The provider's claim that identifies its users.
    pub attribute_name: String,
    /// The value of that claim.
    pub attribute_value: String,
}

impl ProviderIdentity {
    /// The name that the identity claims, so that it is linked to one user of the pool only.
    pub fn claim(&self) -> String {
        claim(&self.provider_name, &self.attribute_name, &self.attribute_value)
    }

    /// The provider's type, as far as it is known: social providers have fixed names, and only SAML providers identify
    /// users by a claim of choice.
    pub fn provider_type(&self) -> Option<&str> {
        let social = SOCIAL.into_iter().find(|name| *name == self.provider_name);
        social.or_else(|| (self.attribute_name != SUBJECT).then_some("SAML"))
    }
}

/// Hashed, so that a value of any length fits into the index.
fn claim(provider_name: &str, attribute_name: &str, attribute_value: &str) -> String {
    // As JSON, so that different parts never yield the same text.
    let parts = json!([provider_name, attribute_name, attribute_value]).to_string();
    format!("{CLAIM_MARK}{}", hex::encode(digest(&SHA256, parts.as_bytes())))
}

/// An identity that is linked to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedIdentity {
    /// The id of the link.
    pub link_id: String,
    /// The provider's name in the pool, such as `Google`.
    pub provider_name: String,
    /// The provider's type, if it was known.
    pub provider_type: Option<String>,
    /// The provider's claim that identifies its users.
    pub attribute_name: String,
    /// The value of that claim.
    pub attribute_value: Personal<String>,
    /// When the identity was linked.
    pub linked_at: Timestamp,
}

impl LinkedIdentity {
    pub(super) fn linked(event: &UserProviderLinked, at: Timestamp) -> Self {
        Self {
            link_id: event.link_id.clone(),
            provider_name: event.provider_name.clone(),
            provider_type: event.provider_type.clone(),
            attribute_name: event.provider_attribute_name.clone(),
            attribute_value: event.personal.as_ref().map(|it| it.provider_attribute_value.clone()).into(),
            linked_at: at,
        }
    }

    pub(super) fn claim(&self) -> Option<String> {
        let value = self.attribute_value.known()?;
        Some(claim(&self.provider_name, &self.attribute_name, value))
    }

    /// Whether this link is that of the identity.
    pub fn is_of(&self, identity: &ProviderIdentity) -> bool {
        self.provider_name == identity.provider_name
            && self.attribute_name == identity.attribute_name
            && self.attribute_value.known() == Some(&identity.attribute_value)
    }
}

/// The attribute `identities`, without erased values.
pub fn shown(identities: &[LinkedIdentity]) -> Value {
    let known = |identity: &LinkedIdentity| {
        let value = identity.attribute_value.known()?;
        Some(json!({
            "userId": value,
            "providerName": identity.provider_name,
            "providerType": identity.provider_type,
            "issuer": null,
            "primary": false,
            "dateCreated": identity.linked_at.0,
        }))
    };
    identities.iter().filter_map(known).collect()
}

/// The claim `identities` of an ID token: the same, with flags and times as text.
pub fn token_claim(identities: &[LinkedIdentity]) -> Value {
    let mut shown = shown(identities);
    for identity in shown.as_array_mut().into_iter().flatten() {
        for member in ["primary", "dateCreated"] {
            identity[member] = json!(identity[member].to_string());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(provider: &str, attribute: &str, value: &str) -> ProviderIdentity {
        ProviderIdentity {
            provider_name: provider.to_owned(),
            attribute_name: attribute.to_owned(),
            attribute_value: value.to_owned(),
        }
    }

    fn linked(value: Personal<String>) -> LinkedIdentity {
        LinkedIdentity {
            link_id: "link".to_owned(),
            provider_name: "Google".to_owned(),
            provider_type: Some("Google".to_owned()),
            attribute_name: SUBJECT.to_owned(),
            attribute_value: value,
            linked_at: Timestamp(1_642_699_117_273),
        }
    }

    #[test]
    fn an_identity_is_shown_as_json_and_in_a_token_with_texts() {
        let identities = [linked(Personal::Known("123".to_owned()))];
        let expected = json!([{
            "userId": "123", "providerName": "Google", "providerType": "Google", "issuer": null,
            "primary": false, "dateCreated": 1_642_699_117_273_i64,
        }]);
        assert_eq!(shown(&identities), expected);
        let expected = json!([{
            "userId": "123", "providerName": "Google", "providerType": "Google", "issuer": null,
            "primary": "false", "dateCreated": "1642699117273",
        }]);
        assert_eq!(token_claim(&identities), expected);
    }

    #[test]
    fn an_erased_identity_shows_and_claims_nothing() {
        let erased = linked(Personal::Erased);
        assert_eq!(erased.claim(), None);
        assert_eq!(shown(std::slice::from_ref(&erased)), json!([]));
        assert!(!erased.is_of(&identity("Google", SUBJECT, "123")));
    }

    #[test]
    fn the_type_of_a_provider_is_known_where_it_follows_from_the_link() {
        assert_eq!(identity("Google", SUBJECT, "1").provider_type(), Some("Google"));
        assert_eq!(identity("ADFS", "email", "1").provider_type(), Some("SAML"));
        assert_eq!(identity("ADFS", SUBJECT, "1").provider_type(), None);
    }

    #[test]
    fn different_identities_have_different_claims() {
        let claims = [
            identity("a", "b", "c"),
            identity("a", "bc", ""),
            identity("ab", "", "c"),
            identity("a\",\"b", "c", "d"),
            identity("a", "b\",\"c", "d"),
        ]
        .map(|identity| identity.claim());
        let distinct: std::collections::BTreeSet<_> = claims.iter().collect();
        assert_eq!(distinct.len(), claims.len());
        assert!(claims.iter().all(|claim| claim.starts_with(CLAIM_MARK) && claim.len() == 65));
        let linked = linked(Personal::Known("123".to_owned()));
        assert_eq!(linked.claim(), Some(identity("Google", SUBJECT, "123").claim()));
    }
}

//! A user pool: its settings, the schema of its users' attributes, its signing keys.

pub mod create_user_pool;
mod settings;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::decision::Aggregate;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{SigningKeyUse, UserPoolSettings};
use crate::proto::v1;

/// What a user pool is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserPool {
    /// Its name.
    pub name: String,
    /// The region that its id starts with.
    pub region: String,
    /// The account in its ARN.
    pub account_id: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// What its owner chose.
    pub settings: UserPoolSettings,
    /// All attributes that its users can have.
    pub schema: Vec<v1::SchemaAttributeType>,
    /// The keys that sign its tokens.
    pub signing_keys: Vec<SigningKey>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

/// A key that signs tokens, in its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The `kid` of its tokens.
    pub kid: String,
    /// What it signs.
    pub purpose: TokenUse,
    /// The RSA modulus, base64url.
    pub n: String,
    /// The RSA exponent, base64url.
    pub e: String,
    /// The private key as PKCS #8, sealed under the pool's key.
    pub private_key: Sealed,
    /// From when on it signs.
    pub active_from: Timestamp,
    /// Until when it signs: its successor's `active_from`.
    pub retired_at: Option<Timestamp>,
}

/// What a token is for: its `token_use`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenUse {
    /// An ID token.
    Id,
    /// An access token.
    Access,
}

impl TokenUse {
    /// The claim's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Access => "access",
        }
    }
}

impl Aggregate for UserPool {
    type Event = Event;
    const REVISION: i32 = 1;

    fn apply(state: Option<Self>, _: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        match event {
            Event::Created(created) => Some(Self {
                name: created.name.clone(),
                region: created.region.clone(),
                account_id: created.account_id.clone(),
                issuer: created.issuer.clone(),
                settings: created.settings.clone().unwrap_or_default(),
                schema: created.schema.clone(),
                signing_keys: Vec::new(),
                created_at: at,
                modified_at: at,
            }),
            Event::SigningKeyAdded(added) => state.map(|mut pool| {
                let purpose = match added.r#use() {
                    SigningKeyUse::Access => TokenUse::Access,
                    SigningKeyUse::Id | SigningKeyUse::Unspecified => TokenUse::Id,
                };
                let active_from = Timestamp(added.active_from_millis);
                let current = pool.signing_keys.iter_mut().filter(|key| key.purpose == purpose);
                current.filter(|key| key.retired_at.is_none()).for_each(|key| key.retired_at = Some(active_from));
                pool.signing_keys.push(SigningKey {
                    kid: added.kid.clone(),
                    purpose,
                    n: added.n.clone(),
                    e: added.e.clone(),
                    private_key: Sealed(added.private_key.clone()),
                    active_from,
                    retired_at: None,
                });
                pool
            }),
        }
    }
}

impl UserPool {
    /// The pool's ARN.
    pub fn arn(&self, id: &UserPoolId) -> String {
        format!("arn:aws:cognito-idp:{}:{}:userpool/{id}", self.region, self.account_id)
    }

    /// The key that signs tokens of a use at a time.
    pub fn signing_key(&self, purpose: TokenUse, at: Timestamp) -> Option<&SigningKey> {
        let mut keys = self.signing_keys.iter().filter(|key| key.purpose == purpose);
        keys.rfind(|key| key.active_from <= at && key.retired_at.is_none_or(|retired| at < retired))
    }

    /// How names of its users are compared and which attributes stand for a name. Fixed at creation.
    pub fn name_rules(&self) -> NameRules {
        let set = |names: &[String]| names.iter().cloned().collect();
        NameRules {
            case_sensitive: self.settings.username_configuration.as_ref().is_none_or(|it| it.case_sensitive()),
            alias_attributes: set(&self.settings.alias_attributes),
            username_attributes: set(&self.settings.username_attributes),
        }
    }

    /// The rules for passwords.
    pub fn password_policy(&self) -> v1::PasswordPolicyType {
        self.settings.policies.as_ref().and_then(|policies| policies.password_policy).unwrap_or_default()
    }
}

/// How user names of a pool are compared and what stands for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// Whether names differ by case.
    pub case_sensitive: bool,
    /// Attributes that stand for the name once they are verified (`preferred_username` at once).
    pub alias_attributes: BTreeSet<String>,
    /// Attributes one of which is the name.
    pub username_attributes: BTreeSet<String>,
}

impl NameRules {
    /// The form of a name that is compared.
    pub fn normalise(&self, name: &str) -> String {
        if self.case_sensitive { name.to_owned() } else { name.to_lowercase() }
    }
}

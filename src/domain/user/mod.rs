//! A user: their identity, the names and passwords that they sign in with, and the state of their account.

pub mod admin_add_user_to_group;
pub mod admin_confirm_sign_up;
pub mod admin_create_user;
pub mod admin_delete_user_attributes;
pub mod admin_disable_provider_for_user;
pub mod admin_disable_user;
pub mod admin_enable_user;
pub mod admin_link_provider_for_user;
pub mod admin_remove_user_from_group;
pub mod admin_reset_user_password;
pub mod admin_set_user_password;
pub mod admin_update_user_attributes;
mod apply;
pub mod associate_software_token;
pub mod attribute_change;
pub mod change_password;
pub mod choose_new_password;
pub mod codes;
pub mod complete_web_authn_registration;
pub mod confirm_forgot_password;
pub mod confirm_sign_up;
pub mod delete_user;
pub mod delete_user_attributes;
pub mod delete_web_authn_credential;
pub mod forgot_password;
pub mod get_user_attribute_verification_code;
pub mod global_sign_out;
pub mod identities;
pub mod list_users;
pub mod migrate;
pub mod passkeys;
pub mod password_history;
pub mod resend_confirmation_code;
pub mod resend_invitation;
pub mod search;
pub mod second_factors;
pub mod set_mfa_preference;
pub mod sign_up;
pub mod taken_alias;
pub mod update_user_attributes;
pub mod verify_software_token;
pub mod verify_user_attribute;
pub mod withheld;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::attributes::Attributes;
use crate::domain::decision::replay;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{GroupId, StreamId, Sub};
use crate::domain::personal::{Personal, Sealed};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Texts;
use crate::domain::user::identities::LinkedIdentity;
use crate::domain::user::passkeys::Passkey;
use crate::domain::user::second_factors::{MfaPreference, SoftwareToken};
use crate::domain::user_pool::NameRules;
use crate::proto::events::user_event::Event;

/// Attributes that can be verified. Each has a flag beside it.
const ADDRESSES: [&str; 2] = ["email", "phone_number"];
/// Attributes that can serve as a user name.
const ALIASES: [&str; 3] = ["email", "phone_number", "preferred_username"];

/// The refusal of an address or name that another user has. Where addresses are names, the message is that of a
/// sign-up.
pub fn name_exists(rules: &NameRules, attribute: &str) -> Error {
    let given = if rules.username_attributes.contains(attribute) { "given " } else { "" };
    let message = format!("An account with the {given}{attribute} already exists.");
    Error::new(Exception::AliasExistsException, message)
}

/// The state of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// A random UUID that is never used again: the claim `sub`.
    pub sub: Sub,
    /// The user name at creation.
    pub username: Personal<String>,
    /// The state of the account, as `UserStatus` shows it.
    pub status: UserStatus,
    /// Whether the account is enabled; a disabled user can't sign in.
    pub enabled: bool,
    /// The attributes, without `sub` and the verification flags.
    pub attributes: Personal<Attributes>,
    /// The names of the verified attributes.
    pub verified: BTreeSet<String>,
    /// The addresses whose verification was never declared: they have no flag.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unflagged: BTreeSet<String>,
    /// New values that wait for a code to prove them, by attribute.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requested: BTreeMap<String, Personal<String>>,
    /// The password; `None` if the user has none.
    pub password: Option<Password>,
    /// Whether an administrator removed the password: then only an administrator can set a new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_removed: bool,
    /// Hashes of passwords that the user had before, the last one first: as many as the pool's policy remembers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_passwords: Vec<Sealed>,
    /// The identities at external providers that are linked to the user.
    #[serde(default)]
    pub identities: Vec<LinkedIdentity>,
    /// The authenticator app whose codes count, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_token: Option<SoftwareToken>,
    /// The passkeys with which the user can sign in, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passkeys: Vec<Passkey>,
    /// The secret of an authenticator app that has not shown a code yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_software_token: Option<Sealed>,
    /// The second factors that are on.
    #[serde(default, skip_serializing_if = "MfaPreference::is_empty")]
    pub mfa: MfaPreference,
    /// Raised to end sessions: a session of an earlier generation is over.
    pub token_generation: i64,
    /// The groups that the user was added to. Groups that were deleted since may still be listed; their ids mean
    /// nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<GroupId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

/// A stored password. Both forms are made when it is set, and sealed under the user's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Password {
    /// The argon2id hash as a PHC string.
    pub hash: Sealed,
    /// The salt and verifier for SRP.
    pub srp_verifier: Sealed,
}

impl Password {
    /// The two forms in an event; `None` if the hash is empty.
    pub(super) fn of(hash: &[u8], srp_verifier: &[u8]) -> Option<Self> {
        (!hash.is_empty()).then(|| Self { hash: Sealed(hash.to_vec()), srp_verifier: Sealed(srp_verifier.to_vec()) })
    }
}

/// The state of an account, as the API's `UserStatus` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserStatus {
    /// Signed up, not confirmed yet.
    Unconfirmed,
    /// Confirmed: the account can be used.
    Confirmed,
    /// An administrator reset the password: the user must request a code and choose a new password.
    ResetRequired,
    /// The user has a temporary password and must choose a new one at the first sign-in.
    ForceChangePassword,
}

impl UserStatus {
    /// The value of `UserStatus` in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unconfirmed => "UNCONFIRMED",
            Self::Confirmed => "CONFIRMED",
            Self::ResetRequired => "RESET_REQUIRED",
            Self::ForceChangePassword => "FORCE_CHANGE_PASSWORD",
        }
    }
}

impl User {
    /// The value of an attribute, if the user has one.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.known().and_then(|attributes| attributes.get(name)).map(String::as_str)
    }

    /// The value that an attribute will have once a code proves it.
    pub fn requested(&self, name: &str) -> Option<&str> {
        self.requested.get(name).and_then(Personal::known).map(String::as_str)
    }

    /// The user name; empty once it is erased.
    pub fn username(&self) -> &str {
        self.username.known().map_or("", String::as_str)
    }

    /// All attributes as the API shows them: `sub` first, and a verification flag before each address whose
    /// verification was declared or proved.
    pub fn shown_attributes(&self) -> Vec<(String, String)> {
        let mut shown = vec![("sub".to_owned(), self.sub.to_string())];
        for (name, value) in self.attributes.known().into_iter().flatten() {
            if ADDRESSES.contains(&name.as_str()) && !self.unflagged.contains(name) {
                shown.push((format!("{name}_verified"), self.verified.contains(name).to_string()));
            }
            shown.push((name.clone(), value.clone()));
        }
        if !self.identities.is_empty() {
            shown.push(("identities".to_owned(), identities::shown(&self.identities).to_string()));
        }
        shown
    }

    /// The names that events would add to the user, each with its attribute.
    pub fn names_added_by(&self, events: &[Event], rules: &NameRules, at: Timestamp) -> BTreeMap<String, &'static str> {
        let stream = StreamId::user(self.sub);
        let after = replay(Some(self.clone()), &stream, events.iter().map(|event| (event, at)));
        let Some(after) = after else { return BTreeMap::new() };
        let before = self.names(rules);
        let values = ALIASES.into_iter().filter_map(|name| Some((rules.normalise(after.attribute(name)?), name)));
        let added: BTreeSet<_> = after.names(rules).difference(&before).cloned().collect();
        values.filter(|(value, _)| added.contains(value)).collect()
    }

    /// The names by which the user is found, in the form that is compared; the user claims them in the pool. An address
    /// with an unusual spelling is also claimed in its older form, which servers of the previous release look up.
    pub fn names(&self, rules: &NameRules) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(username) = self.username.known() {
            names.extend([rules.normalise(username), rules.folded(username)]);
        }
        // In every pool, the sub is a name of its user.
        names.insert(self.sub.to_string());
        for (attribute, name) in self.aliases(rules) {
            names.extend(self.attribute(attribute).map(|value| rules.folded(value)));
            names.insert(name);
        }
        names.extend(self.identities.iter().filter_map(LinkedIdentity::claim));
        names.extend(self.passkeys.iter().map(|passkey| passkeys::claim(passkey.id)));
        names
    }

    /// Whether the user holds a name only by the proof of this attribute, and would lose it with the proof.
    pub fn has_by_proof(&self, rules: &NameRules, attribute: &str, name: &str) -> bool {
        let mut unproved = self.clone();
        unproved.verified.remove(attribute);
        self.names(rules).contains(name) && !unproved.names(rules).contains(name)
    }

    /// The attributes as triggers receive them: those that the API shows, and the status.
    pub fn trigger_attributes(&self) -> Texts {
        let status = ("cognito:user_status".to_owned(), self.status.name().to_owned());
        self.shown_attributes().into_iter().chain([status]).collect()
    }

    /// The attributes that serve as names, each with its value in the form that is compared.
    pub fn aliases(&self, rules: &NameRules) -> Vec<(&'static str, String)> {
        let stands_for_name = |attribute: &str| {
            rules.username_attributes.contains(attribute)
                || rules.alias_attributes.contains(attribute)
                    && (attribute == "preferred_username" || self.verified.contains(attribute))
        };
        // The claim of an identity begins with a character that no name may begin with.
        let is_name = |value: &&str| !value.is_empty() && !value.starts_with(identities::CLAIM_MARK);
        let aliases = ALIASES.into_iter().filter(|it| stands_for_name(it));
        aliases
            .filter_map(|attribute| Some((attribute, rules.normalise(self.attribute(attribute).filter(is_name)?))))
            .collect()
    }
}

#[cfg(test)]
mod tests;

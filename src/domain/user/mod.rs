//! A user: who it is, what it can sign in with, and in which state its account is.

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
pub mod attribute_change;
pub mod change_password;
pub mod choose_new_password;
pub mod codes;
pub mod confirm_forgot_password;
pub mod confirm_sign_up;
pub mod delete_user;
pub mod delete_user_attributes;
pub mod forgot_password;
pub mod get_user_attribute_verification_code;
pub mod global_sign_out;
pub mod identities;
pub mod list_users;
pub mod resend_confirmation_code;
pub mod resend_invitation;
pub mod search;
pub mod sign_up;
pub mod update_user_attributes;
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
use crate::domain::user::identities::LinkedIdentity;
use crate::domain::user_pool::NameRules;
use crate::proto::events::user_event::Event;

/// Attributes that can be proved, each with a flag beside it that says whether it is.
const ADDRESSES: [&str; 2] = ["email", "phone_number"];
/// Attributes that can stand for a user's name.
const ALIASES: [&str; 3] = ["email", "phone_number", "preferred_username"];

/// The refusal of an address or name by which another user is found. Where addresses are names it reads as at a sign-up.
pub fn name_exists(rules: &NameRules, attribute: &str) -> Error {
    let given = if rules.username_attributes.contains(attribute) { "given " } else { "" };
    let message = format!("An account with the {given}{attribute} already exists.");
    Error::new(Exception::AliasExistsException, message)
}

/// What a user is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub sub: Sub,
    /// The name that it was created with.
    pub username: Personal<String>,
    /// In which state the account is.
    pub status: UserStatus,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// What is known of the person, without `sub` and the verification flags.
    pub attributes: Personal<Attributes>,
    /// The names of the attributes that are proved.
    pub verified: BTreeSet<String>,
    /// The addresses of whose proof nobody has said anything: no flag of them is shown.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unflagged: BTreeSet<String>,
    /// Values that attributes are to have once a code has proved them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requested: BTreeMap<String, Personal<String>>,
    /// What it can sign in with.
    pub password: Option<Password>,
    /// Whether an administrator took the password away: it has none until an administrator sets one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_removed: bool,
    /// The identities at external providers that stand for it.
    #[serde(default)]
    pub identities: Vec<LinkedIdentity>,
    /// Sessions of an earlier generation are over.
    pub token_generation: i64,
    /// The groups that it was put into. One that has ended since may still be among them; it names nothing any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<GroupId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

/// A password as it is kept: both forms are made when it is set, sealed under the user's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Password {
    /// The argon2id hash, a PHC string.
    pub hash: Sealed,
    /// Salt and verifier for SRP.
    pub srp_verifier: Sealed,
}

impl Password {
    /// The two forms as an event has them; without a hash there is no password.
    pub(super) fn of(hash: &[u8], srp_verifier: &[u8]) -> Option<Self> {
        (!hash.is_empty()).then(|| Self { hash: Sealed(hash.to_vec()), srp_verifier: Sealed(srp_verifier.to_vec()) })
    }
}

/// The state of an account, as `UserStatus` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserStatus {
    /// Signed up, nothing proved yet.
    Unconfirmed,
    /// In use.
    Confirmed,
    /// An administrator took the password back: a code must be asked for, and another password chosen.
    ResetRequired,
    /// With a temporary password, which the user has to replace at the first sign-in.
    ForceChangePassword,
}

impl UserStatus {
    /// Cognito's name of the state.
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
    /// An attribute's value, if it is there.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.known().and_then(|attributes| attributes.get(name)).map(String::as_str)
    }

    /// The value that an attribute is to have once a code has proved it.
    pub fn requested(&self, name: &str) -> Option<&str> {
        self.requested.get(name).and_then(Personal::known).map(String::as_str)
    }

    /// The name, empty once it is erased.
    pub fn username(&self) -> &str {
        self.username.known().map_or("", String::as_str)
    }

    /// All attributes as the API shows them: `sub` first, verification flags beside what they are about, if anybody has said
    /// or proved anything of it.
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

    /// The names that events would add to those by which the user is found, each with the attribute that it is.
    pub fn names_added_by(&self, events: &[Event], rules: &NameRules, at: Timestamp) -> BTreeMap<String, &'static str> {
        let stream = StreamId::user(self.sub);
        let after = replay(Some(self.clone()), &stream, events.iter().map(|event| (event, at)));
        let Some(after) = after else { return BTreeMap::new() };
        let before = self.names(rules);
        let values = ALIASES.into_iter().filter_map(|name| Some((rules.normalise(after.attribute(name)?), name)));
        let added: BTreeSet<_> = after.names(rules).difference(&before).cloned().collect();
        values.filter(|(value, _)| added.contains(value)).collect()
    }

    /// The names by which the user is found: claims of its pool, in the form that is compared. An address that is spelled in
    /// an unusual way is claimed in the older form as well, by which servers of the release before look for it.
    pub fn names(&self, rules: &NameRules) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(username) = self.username.known() {
            names.extend([rules.normalise(username), rules.folded(username)]);
        }
        // The sub finds its user in every pool.
        names.insert(self.sub.to_string());
        for (attribute, name) in self.aliases(rules) {
            names.extend(self.attribute(attribute).map(|value| rules.folded(value)));
            names.insert(name);
        }
        names.extend(self.identities.iter().filter_map(LinkedIdentity::claim));
        names
    }

    /// Whether a name is the user's by the proof of an attribute and by nothing else, so that it goes with the proof.
    pub fn has_by_proof(&self, rules: &NameRules, attribute: &str, name: &str) -> bool {
        let mut unproved = self.clone();
        unproved.verified.remove(attribute);
        self.names(rules).contains(name) && !unproved.names(rules).contains(name)
    }

    /// The attributes that stand for the name, each with its value in the form that is compared.
    pub fn aliases(&self, rules: &NameRules) -> Vec<(&'static str, String)> {
        let stands_for_name = |attribute: &str| {
            rules.username_attributes.contains(attribute)
                || rules.alias_attributes.contains(attribute)
                    && (attribute == "preferred_username" || self.verified.contains(attribute))
        };
        // What an identity claims begins with a character that no name may begin with.
        let is_name = |value: &&str| !value.is_empty() && !value.starts_with(identities::CLAIM_MARK);
        let aliases = ALIASES.into_iter().filter(|it| stands_for_name(it));
        aliases
            .filter_map(|attribute| Some((attribute, rules.normalise(self.attribute(attribute).filter(is_name)?))))
            .collect()
    }
}

#[cfg(test)]
mod tests;

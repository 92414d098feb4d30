//! A user: who it is, what it can sign in with, and in which state its account is.

pub mod admin_confirm_sign_up;
pub mod codes;
pub mod confirm_sign_up;
pub mod delete_user;
pub mod global_sign_out;
pub mod resend_confirmation_code;
pub mod sign_up;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::attributes::Attributes;
use crate::domain::decision::Aggregate;
use crate::domain::ids::{StreamId, Sub};
use crate::domain::personal::{Personal, Sealed};
use crate::domain::time::Timestamp;
use crate::domain::user_pool::NameRules;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserPersonal, UserSignedUp};

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
    /// What it can sign in with.
    pub password: Option<Password>,
    /// Sessions of an earlier generation are over.
    pub token_generation: i64,
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

/// The state of an account, as `UserStatus` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserStatus {
    /// Signed up, nothing proved yet.
    Unconfirmed,
    /// In use.
    Confirmed,
}

impl UserStatus {
    /// Cognito's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unconfirmed => "UNCONFIRMED",
            Self::Confirmed => "CONFIRMED",
        }
    }
}

impl Aggregate for User {
    type Event = Event;
    const REVISION: i32 = 1;

    fn apply(state: Option<Self>, stream: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        let change = |change: fn(&mut Self, &Event)| {
            state.clone().map(|mut user| {
                change(&mut user, event);
                user.modified_at = at;
                user
            })
        };
        match event {
            Event::SignedUp(signed_up) => Self::signed_up(stream, signed_up, at),
            Event::Confirmed(_) => change(Self::confirm),
            Event::SignedOut(signed_out) => {
                state.map(|user| Self { token_generation: signed_out.token_generation, ..user })
            }
            Event::Deleted(_) => None,
            Event::PasswordRehashed(rehashed) => state.map(|mut user| {
                if let Some(password) = &mut user.password {
                    password.hash = Sealed(rehashed.password_hash.clone());
                }
                user
            }),
            Event::AliasReleased(_) => change(Self::release_alias),
        }
    }
}

impl User {
    fn signed_up(stream: &StreamId, event: &UserSignedUp, at: Timestamp) -> Option<Self> {
        // A stream of a user is named by its sub; any other name is no user.
        let sub = Sub(stream.owner().parse().ok()?);
        let personal: Personal<UserPersonal> = event.personal.clone().into();
        Some(Self {
            sub,
            username: personal.known().and_then(|it| it.username.clone()).into(),
            status: UserStatus::Unconfirmed,
            enabled: true,
            attributes: personal.known().map(|it| it.attributes.clone()).into(),
            verified: BTreeSet::new(),
            password: (!event.password_hash.is_empty()).then(|| Password {
                hash: Sealed(event.password_hash.clone()),
                srp_verifier: Sealed(event.srp_verifier.clone()),
            }),
            token_generation: 1,
            created_at: at,
            modified_at: at,
        })
    }

    fn confirm(&mut self, event: &Event) {
        if let Event::Confirmed(confirmed) = event {
            self.status = UserStatus::Confirmed;
            self.verified.extend(confirmed.verified_attributes.iter().cloned());
        }
    }

    fn release_alias(&mut self, event: &Event) {
        if let Event::AliasReleased(released) = event {
            self.verified.remove(&released.attribute);
        }
    }

    /// An attribute's value, if it is there.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.known().and_then(|attributes| attributes.get(name)).map(String::as_str)
    }

    /// The name, empty once it is erased.
    pub fn username(&self) -> &str {
        self.username.known().map_or("", String::as_str)
    }

    /// All attributes as the API shows them: `sub` first, verification flags beside what they are about.
    pub fn shown_attributes(&self) -> Vec<(String, String)> {
        let mut shown = vec![("sub".to_owned(), self.sub.to_string())];
        for (name, value) in self.attributes.known().into_iter().flatten() {
            if matches!(name.as_str(), "email" | "phone_number") {
                shown.push((format!("{name}_verified"), self.verified.contains(name).to_string()));
            }
            shown.push((name.clone(), value.clone()));
        }
        shown
    }

    /// The names by which the user is found: claims of its pool, in the form that is compared.
    pub fn names(&self, rules: &NameRules) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(username) = self.username.known() {
            names.insert(rules.normalise(username));
        }
        // The sub finds its user in every pool.
        names.insert(self.sub.to_string());
        let stands_for_name = |attribute: &str| {
            rules.username_attributes.contains(attribute)
                || rules.alias_attributes.contains(attribute)
                    && (attribute == "preferred_username" || self.verified.contains(attribute))
        };
        for attribute in ["email", "phone_number", "preferred_username"] {
            if let Some(value) =
                self.attribute(attribute).filter(|value| !value.is_empty() && stands_for_name(attribute))
            {
                names.insert(rules.normalise(value));
            }
        }
        names
    }
}

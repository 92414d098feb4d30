//! A user: who it is, what it can sign in with, and in which state its account is.

pub mod admin_add_user_to_group;
pub mod admin_confirm_sign_up;
pub mod admin_remove_user_from_group;
pub mod codes;
pub mod confirm_sign_up;
pub mod delete_user;
pub mod global_sign_out;
pub mod list_users;
pub mod resend_confirmation_code;
pub mod search;
pub mod sign_up;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::attributes::Attributes;
use crate::domain::decision::Aggregate;
use crate::domain::ids::{GroupId, StreamId, Sub};
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
            Event::GroupJoined(joined) => state.map(|mut user| {
                user.groups.extend(GroupId::parse(&joined.group_id));
                user
            }),
            Event::GroupLeft(left) => state.map(|mut user| {
                user.groups.retain(|group| Some(*group) != GroupId::parse(&left.group_id));
                user
            }),
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
            groups: BTreeSet::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{JANE, at, confirmed, given, signed_up, texts, user};
    use crate::proto::events::{
        UserAliasReleased, UserDeleted, UserGroupJoined, UserGroupLeft, UserPasswordRehashed, UserSignedOut,
    };

    const ADDRESSES: [(&str, &str); 3] =
        [("email", "Jane@Example.com"), ("phone_number", "+12025550123"), ("preferred_username", "J")];

    fn released(attribute: &str) -> Event {
        Event::AliasReleased(UserAliasReleased { attribute: attribute.to_owned() })
    }

    fn rehashed() -> Event {
        Event::PasswordRehashed(UserPasswordRehashed { password_hash: b"newer".to_vec() })
    }

    /// The same events once their key is destroyed.
    fn erased(mut events: Vec<Event>) -> Vec<Event> {
        for event in &mut events {
            if let Event::SignedUp(signed_up) = event {
                signed_up.personal = None;
            }
        }
        events
    }

    #[test]
    fn each_event_changes_what_it_says_and_nothing_else() {
        let mut expected = User {
            sub: JANE,
            username: Personal::Known("jane".to_owned()),
            status: UserStatus::Unconfirmed,
            enabled: true,
            attributes: Personal::Known([("email".to_owned(), "j@example.com".to_owned())].into()),
            verified: BTreeSet::new(),
            password: Some(Password { hash: Sealed(b"hash".to_vec()), srp_verifier: Sealed(b"verifier".to_vec()) }),
            token_generation: 1,
            groups: BTreeSet::new(),
            created_at: at(0),
            modified_at: at(0),
        };
        let mut events = vec![signed_up("jane", &[("email", "j@example.com")])];
        assert_eq!(user(&events), expected);

        events.push(confirmed(&["email"]));
        expected.status = UserStatus::Confirmed;
        expected.verified = ["email".to_owned()].into();
        expected.modified_at = at(1);
        assert_eq!(user(&events), expected);

        events.push(Event::SignedOut(UserSignedOut { token_generation: 2 }));
        expected.token_generation = 2;
        assert_eq!(user(&events), expected);

        events.push(rehashed());
        expected.password.as_mut().unwrap().hash = Sealed(b"newer".to_vec());
        assert_eq!(user(&events), expected);

        events.push(released("email"));
        expected.verified = BTreeSet::new();
        expected.modified_at = at(4);
        assert_eq!(user(&events), expected);

        let group = GroupId(uuid::Uuid::from_u128(7));
        let (group_id, group_name) = (group.to_string(), "readers".to_owned());
        events.push(Event::GroupJoined(UserGroupJoined { group_id: group_id.clone(), group_name }));
        expected.groups = [group].into();
        assert_eq!(user(&events), expected);

        events.push(Event::GroupLeft(UserGroupLeft { group_id, group_name: None }));
        expected.groups = BTreeSet::new();
        assert_eq!(user(&events), expected);

        events.push(Event::Deleted(UserDeleted {}));
        assert_eq!(given::<User>(&StreamId::user(JANE), &events), None);
    }

    #[test]
    fn nothing_but_a_registration_makes_a_user_and_only_in_a_stream_of_one() {
        let stream = StreamId::user(JANE);
        for event in [confirmed(&[]), rehashed(), released("email"), Event::Deleted(UserDeleted {})] {
            assert_eq!(given::<User>(&stream, &[event]), None);
        }
        assert_eq!(given::<User>(&StreamId::new("users/nobody"), &[signed_up("jane", &[])]), None);
    }

    #[test]
    fn erased_events_yield_the_same_user_without_the_person() {
        let events =
            vec![signed_up("jane", &ADDRESSES), confirmed(&["email"]), rehashed(), released("email"), confirmed(&[])];
        let (known, erased) = (user(&events), user(&erased(events)));
        assert_eq!((&erased.username, &erased.attributes), (&Personal::Erased, &Personal::Erased));
        let forgotten = User { username: Personal::Erased, attributes: Personal::Erased, ..known };
        assert_eq!(erased, forgotten);
        assert_eq!((erased.username(), erased.attribute("email")), ("", None));
        assert_eq!(erased.shown_attributes(), [("sub".to_owned(), JANE.to_string())]);
    }

    #[test]
    fn a_user_without_a_password_gets_none_by_hashing_again() {
        let Event::SignedUp(mut event) = signed_up("jane", &[]) else { unreachable!() };
        event.password_hash = Vec::new();
        assert_eq!(user(&[Event::SignedUp(event), rehashed()]).password, None);
    }

    fn names(rules: &NameRules, events: &[Event]) -> Vec<String> {
        let names = user(events).names(rules);
        names.into_iter().filter(|name| *name != JANE.to_string()).collect()
    }

    fn rules(case_sensitive: bool, alias_attributes: &[&str], username_attributes: &[&str]) -> NameRules {
        let set = |names: &[&str]| texts(names).into_iter().collect();
        NameRules {
            case_sensitive,
            alias_attributes: set(alias_attributes),
            username_attributes: set(username_attributes),
        }
    }

    #[test]
    fn a_user_is_found_by_name_and_sub_and_by_an_alias_once_it_is_verified() {
        let (alone, proved) = ([signed_up("Jane", &ADDRESSES)], [signed_up("Jane", &ADDRESSES), confirmed(&["email"])]);
        assert!(user(&alone).names(&rules(true, &[], &[])).contains(&JANE.to_string()));
        assert_eq!(names(&rules(true, &[], &[]), &proved), ["Jane"]);
        let aliases = rules(true, &["email", "phone_number"], &[]);
        assert_eq!(names(&aliases, &alone), ["Jane"]);
        assert_eq!(names(&aliases, &proved), ["Jane", "Jane@Example.com"]);
        let taken_away = [proved[0].clone(), proved[1].clone(), released("email")];
        assert_eq!(names(&aliases, &taken_away), ["Jane"]);
        assert_eq!(names(&rules(true, &["preferred_username"], &[]), &alone), ["J", "Jane"], "at once");
    }

    #[test]
    fn an_address_that_is_the_name_counts_at_once() {
        let events = [signed_up(&JANE.to_string(), &ADDRESSES)];
        assert_eq!(names(&rules(true, &[], &["email"]), &events), ["Jane@Example.com"]);
        let both = names(&rules(false, &[], &["email", "phone_number"]), &events);
        assert_eq!(both, ["+12025550123", "jane@example.com"], "in the form that is compared");
    }

    #[test]
    fn an_empty_address_is_no_name() {
        let events = [signed_up("jane", &[("email", "")]), confirmed(&["email"])];
        assert_eq!(names(&rules(true, &["email"], &[]), &events), ["jane"]);
    }

    #[test]
    fn attributes_are_shown_with_what_is_known_of_their_proof() {
        let shown = user(&[signed_up("jane", &ADDRESSES), confirmed(&["phone_number"])]).shown_attributes();
        let expected = [
            ("sub", JANE.to_string()),
            ("email_verified", "false".to_owned()),
            ("email", "Jane@Example.com".to_owned()),
            ("phone_number_verified", "true".to_owned()),
            ("phone_number", "+12025550123".to_owned()),
            ("preferred_username", "J".to_owned()),
        ];
        assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value)));
    }
}

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
use crate::domain::decision::{Aggregate, replay};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{GroupId, StreamId, Sub};
use crate::domain::personal::{Personal, Sealed};
use crate::domain::time::Timestamp;
use crate::domain::user::identities::LinkedIdentity;
use crate::domain::user_pool::NameRules;
use crate::proto::events::user_event::Event;
use crate::proto::events::{
    UserAttributeChangeRequested, UserAttributeVerified, UserAttributesDeleted, UserAttributesSet,
    UserCreatedByAdministrator, UserNewPasswordChosen, UserPersonal, UserSignedUp,
};

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
    fn of(hash: &[u8], srp_verifier: &[u8]) -> Option<Self> {
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

impl Aggregate for User {
    type Event = Event;
    const REVISION: i32 = 4;

    fn apply(state: Option<Self>, stream: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        let change = |change: &dyn Fn(&mut Self)| {
            state.clone().map(|mut user| {
                change(&mut user);
                user.modified_at = at;
                user
            })
        };
        match event {
            Event::SignedUp(signed_up) => Self::signed_up(stream, signed_up, at),
            Event::Confirmed(confirmed) => change(&|user| {
                user.status = UserStatus::Confirmed;
                user.prove(&confirmed.verified_attributes);
            }),
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
            Event::AliasReleased(released) => change(&|user| {
                user.verified.remove(&released.attribute);
            }),
            Event::CreatedByAdministrator(created) => Self::created_by_administrator(stream, created, at),
            Event::NewPasswordChosen(chosen) => change(&|user| user.choose_new_password(chosen)),
            Event::Disabled(disabled) => change(&|user| {
                user.enabled = false;
                user.token_generation = disabled.token_generation;
            }),
            Event::Enabled(_) => change(&|user| user.enabled = true),
            Event::ProviderLinked(linked) => change(&|user| user.identities.push(LinkedIdentity::linked(linked, at))),
            Event::ProviderUnlinked(unlinked) => change(&|user| {
                user.identities.retain(|identity| identity.link_id != unlinked.link_id);
            }),
            Event::PasswordRemoved(_) => change(&|user| {
                user.password = None;
                user.password_removed = true;
            }),
            Event::PasswordChanged(changed) => change(&|user| {
                user.status = UserStatus::Confirmed;
                user.set_password(&changed.password_hash, &changed.srp_verifier);
            }),
            Event::TemporaryPasswordSet(set) => change(&|user| {
                user.status = UserStatus::ForceChangePassword;
                user.set_password(&set.password_hash, &set.srp_verifier);
            }),
            Event::PasswordReset(_) => change(&|user| user.status = UserStatus::ResetRequired),
            Event::AttributesSet(set) => change(&|user| user.set_attributes(set)),
            Event::AttributesDeleted(deleted) => change(&|user| user.delete_attributes(deleted)),
            Event::AttributeChangeRequested(requested) => change(&|user| user.request_change(requested)),
            Event::AttributeVerified(verified) => change(&|user| user.verify(verified)),
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
        let password = Password::of(&event.password_hash, &event.srp_verifier);
        Self::created(stream, event.personal.as_ref(), UserStatus::Unconfirmed, password, at)
    }

    fn created_by_administrator(stream: &StreamId, event: &UserCreatedByAdministrator, at: Timestamp) -> Option<Self> {
        let password = Password::of(&event.password_hash, &event.srp_verifier);
        let user = Self::created(stream, event.personal.as_ref(), UserStatus::ForceChangePassword, password, at)?;
        // Unlike who signs up, who is created may have an address of whose proof nothing is said.
        let mut user = Self { unflagged: ADDRESSES.map(str::to_owned).into(), ..user };
        user.prove(&event.verified_attributes);
        Some(user)
    }

    fn created(
        stream: &StreamId,
        personal: Option<&UserPersonal>,
        status: UserStatus,
        password: Option<Password>,
        at: Timestamp,
    ) -> Option<Self> {
        // A stream of a user is named by its sub; any other name is no user.
        let sub = Sub(stream.owner().parse().ok()?);
        Some(Self {
            sub,
            username: personal.and_then(|it| it.username.clone()).into(),
            status,
            enabled: true,
            attributes: personal.map(|it| it.attributes.clone()).into(),
            verified: BTreeSet::new(),
            unflagged: BTreeSet::new(),
            requested: BTreeMap::new(),
            password,
            password_removed: false,
            identities: Vec::new(),
            token_generation: 1,
            groups: BTreeSet::new(),
            created_at: at,
            modified_at: at,
        })
    }

    fn prove(&mut self, attributes: &[String]) {
        for name in attributes {
            self.unflagged.remove(name);
            self.verified.insert(name.clone());
        }
    }

    fn set_password(&mut self, hash: &[u8], srp_verifier: &[u8]) {
        self.password = Password::of(hash, srp_verifier);
        self.password_removed = false;
    }

    fn choose_new_password(&mut self, chosen: &UserNewPasswordChosen) {
        self.set_password(&chosen.password_hash, &chosen.srp_verifier);
        self.status = UserStatus::Confirmed;
        if let (Personal::Known(attributes), Some(personal)) = (&mut self.attributes, &chosen.personal) {
            attributes.extend(personal.attributes.clone());
        }
    }

    fn set_attributes(&mut self, event: &UserAttributesSet) {
        let values = event.personal.iter().flat_map(|personal| &personal.attributes);
        if let Personal::Known(attributes) = &mut self.attributes {
            attributes.extend(values.map(|(name, value)| (name.clone(), value.clone())));
        }
        for name in &event.attributes {
            self.requested.remove(name);
            self.unflagged.remove(name);
        }
        for name in &event.unverified {
            self.verified.remove(name);
            self.unflagged.remove(name);
        }
        self.prove(&event.verified);
    }

    fn delete_attributes(&mut self, event: &UserAttributesDeleted) {
        for name in &event.attributes {
            if let Personal::Known(attributes) = &mut self.attributes {
                attributes.remove(name);
            }
            self.requested.remove(name);
            self.verified.remove(name);
            if ADDRESSES.contains(&name.as_str()) {
                self.unflagged.insert(name.clone());
            }
        }
    }

    fn request_change(&mut self, event: &UserAttributeChangeRequested) {
        let value = event.personal.as_ref().and_then(|personal| personal.attributes.get(&event.attribute));
        self.requested.insert(event.attribute.clone(), value.cloned().into());
    }

    fn verify(&mut self, event: &UserAttributeVerified) {
        let requested = self.requested.remove(&event.attribute);
        if let (Some(Personal::Known(value)), Personal::Known(attributes)) = (requested, &mut self.attributes) {
            attributes.insert(event.attribute.clone(), value);
        }
        self.prove(std::slice::from_ref(&event.attribute));
    }

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
mod tests {
    use super::*;
    use crate::domain::testing::{
        JANE, at, confirmed, given, invited, password, reset, signed_up, temporary_password, texts, user,
    };
    use crate::proto::events::{
        PasswordChosenBy, ProviderIdentityPersonal, UserAliasReleased, UserDeleted, UserDisabled, UserEnabled,
        UserGroupJoined, UserGroupLeft, UserNewPasswordChosen, UserPasswordChanged, UserPasswordRehashed,
        UserPasswordRemoved, UserProviderLinked, UserProviderUnlinked, UserSignedOut,
    };

    const ADDRESSES: [(&str, &str); 3] =
        [("email", "Jane@Example.com"), ("phone_number", "+12025550123"), ("preferred_username", "J")];

    fn released(attribute: &str) -> Event {
        Event::AliasReleased(UserAliasReleased { attribute: attribute.to_owned() })
    }

    fn rehashed() -> Event {
        Event::PasswordRehashed(UserPasswordRehashed { password_hash: b"newer".to_vec() })
    }

    fn known(attributes: &[(&str, &str)]) -> Personal<Attributes> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Personal::Known(attributes.iter().map(owned).collect())
    }

    fn set(attributes: &[(&str, &str)], verified: &[&str], unverified: &[&str]) -> Event {
        let values = known(attributes).known().cloned().unwrap_or_default();
        Event::AttributesSet(UserAttributesSet {
            attributes: values.keys().cloned().collect(),
            personal: Some(UserPersonal { username: None, attributes: values }),
            verified: texts(verified),
            unverified: texts(unverified),
        })
    }

    fn asked_for(email: &str) -> Event {
        let attributes = [("email".to_owned(), email.to_owned())].into();
        Event::AttributeChangeRequested(UserAttributeChangeRequested {
            personal: Some(UserPersonal { username: None, attributes }),
            attribute: "email".to_owned(),
        })
    }

    /// The same events once their key is destroyed.
    fn erased(mut events: Vec<Event>) -> Vec<Event> {
        for event in &mut events {
            match event {
                Event::SignedUp(event) => event.personal = None,
                Event::CreatedByAdministrator(event) => event.personal = None,
                Event::NewPasswordChosen(event) => event.personal = None,
                Event::ProviderLinked(event) => event.personal = None,
                Event::AttributesSet(event) => event.personal = None,
                Event::AttributeChangeRequested(event) => event.personal = None,
                _ => {}
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
            unflagged: BTreeSet::new(),
            requested: BTreeMap::new(),
            password: Password::of(b"hash", b"verifier"),
            password_removed: false,
            identities: Vec::new(),
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

        events.push(reset());
        expected.status = UserStatus::ResetRequired;
        expected.modified_at = at(5);
        assert_eq!(user(&events), expected);

        events.push(temporary_password());
        expected.status = UserStatus::ForceChangePassword;
        expected.password = Password::of(b"temporary hash", b"temporary verifier");
        expected.modified_at = at(6);
        assert_eq!(user(&events), expected);

        events.push(Event::PasswordChanged(UserPasswordChanged {
            by: PasswordChosenBy::Administrator.into(),
            password_hash: b"own hash".to_vec(),
            srp_verifier: b"own verifier".to_vec(),
        }));
        expected.status = UserStatus::Confirmed;
        expected.password = Password::of(b"own hash", b"own verifier");
        expected.modified_at = at(7);
        assert_eq!(user(&events), expected);

        events.push(set(&[("name", "Jane")], &["email"], &[]));
        expected.attributes = known(&[("email", "j@example.com"), ("name", "Jane")]);
        expected.verified = ["email".to_owned()].into();
        expected.modified_at = at(8);
        assert_eq!(user(&events), expected);

        events.push(asked_for("k@example.com"));
        expected.requested = [("email".to_owned(), Personal::Known("k@example.com".to_owned()))].into();
        expected.modified_at = at(9);
        assert_eq!(user(&events), expected);

        events.push(Event::AttributeVerified(UserAttributeVerified { attribute: "email".to_owned() }));
        expected.attributes = known(&[("email", "k@example.com"), ("name", "Jane")]);
        expected.requested = BTreeMap::new();
        expected.modified_at = at(10);
        assert_eq!(user(&events), expected);

        events.push(asked_for("l@example.com"));
        events.push(set(&[("email", "m@example.com")], &[], &["email"]));
        expected.attributes = known(&[("email", "m@example.com"), ("name", "Jane")]);
        expected.verified = BTreeSet::new();
        expected.modified_at = at(12);
        assert_eq!(user(&events), expected, "what was asked for is void");

        events.push(asked_for("n@example.com"));
        events.push(Event::AttributesDeleted(UserAttributesDeleted { attributes: texts(&["email", "nickname"]) }));
        expected.attributes = known(&[("name", "Jane")]);
        expected.unflagged = ["email".to_owned()].into();
        expected.modified_at = at(14);
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
    fn each_act_of_an_administrator_changes_what_it_says_and_nothing_else() {
        let mut events = vec![invited("jane", &[("email", "j@example.com")])];
        let mut expected = user(&events);
        assert_eq!((expected.status, expected.enabled), (UserStatus::ForceChangePassword, true));
        assert_eq!((expected.password.clone(), expected.username()), (Some(password("temporary")), "jane"));
        let mut step = |event: Event, change: fn(&mut User)| {
            events.push(event);
            change(&mut expected);
            expected.modified_at = user(&events).modified_at;
            assert_eq!(user(&events), expected);
            assert_eq!(expected.modified_at, at(events.len() as i64 - 1));
        };
        step(temporary_password(), |user| {
            user.password = Password::of(b"temporary hash", b"temporary verifier");
        });
        step(Event::Disabled(UserDisabled { token_generation: 2 }), |user| {
            (user.enabled, user.token_generation) = (false, 2);
        });
        step(Event::Enabled(UserEnabled {}), |user| user.enabled = true);
        step(chosen(&[("name", "Jane"), ("email", "jane@example.com")]), |user| {
            (user.status, user.password) = (UserStatus::Confirmed, Some(password("own")));
            let attributes = [("email", "jane@example.com"), ("name", "Jane")];
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
            user.attributes = Personal::Known(attributes.into());
        });
        step(linked("one"), |user| user.identities.push(LinkedIdentity::linked(&link("one"), at(5))));
        step(linked("two"), |user| user.identities.push(LinkedIdentity::linked(&link("two"), at(6))));
        step(Event::ProviderUnlinked(UserProviderUnlinked { link_id: "one".to_owned() }), |user| {
            user.identities.remove(0);
        });
        step(Event::PasswordRemoved(UserPasswordRemoved {}), |user| {
            (user.password, user.password_removed) = (None, true);
        });
        step(temporary_password(), |user| {
            user.status = UserStatus::ForceChangePassword;
            (user.password, user.password_removed) = (Password::of(b"temporary hash", b"temporary verifier"), false);
        });
    }

    fn chosen(attributes: &[(&str, &str)]) -> Event {
        let Password { hash, srp_verifier } = password("own");
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Event::NewPasswordChosen(UserNewPasswordChosen {
            personal: Some(UserPersonal { username: None, attributes }),
            password_hash: hash.0,
            srp_verifier: srp_verifier.0,
        })
    }

    fn link(id: &str) -> UserProviderLinked {
        UserProviderLinked {
            personal: Some(ProviderIdentityPersonal { provider_attribute_value: id.to_owned() }),
            link_id: id.to_owned(),
            provider_name: "ADFS".to_owned(),
            provider_attribute_name: "email".to_owned(),
            provider_type: None,
        }
    }

    fn linked(id: &str) -> Event {
        Event::ProviderLinked(link(id))
    }

    #[test]
    fn nothing_but_its_creation_makes_a_user_and_only_in_a_stream_of_one() {
        let stream = StreamId::user(JANE);
        let set = set(&[("name", "Jane")], &[], &[]);
        let later = [confirmed(&[]), rehashed(), released("email"), chosen(&[]), linked("one"), reset(), set];
        for event in later.into_iter().chain([Event::Deleted(UserDeleted {}), Event::Enabled(UserEnabled {})]) {
            assert_eq!(given::<User>(&stream, &[event]), None);
        }
        assert_eq!(given::<User>(&StreamId::new("users/nobody"), &[invited("jane", &[])]), None);
        assert_eq!(given::<User>(&StreamId::new("users/nobody"), &[signed_up("jane", &[])]), None);
    }

    #[test]
    fn erased_events_yield_the_same_user_without_the_person() {
        let verified = || Event::AttributeVerified(UserAttributeVerified { attribute: "email".to_owned() });
        let events = vec![
            signed_up("jane", &ADDRESSES),
            confirmed(&["email"]),
            rehashed(),
            released("email"),
            set(&[("name", "Jane")], &["phone_number"], &[]),
            asked_for("k@example.com"),
            verified(),
            Event::AttributesDeleted(UserAttributesDeleted { attributes: texts(&["phone_number"]) }),
            asked_for("l@example.com"),
        ];
        let (known, erased) = (user(&events), user(&erased(events)));
        assert_eq!((&erased.username, &erased.attributes), (&Personal::Erased, &Personal::Erased));
        let requested = [("email".to_owned(), Personal::Erased)].into();
        let forgotten = User { username: Personal::Erased, attributes: Personal::Erased, requested, ..known };
        assert_eq!(erased, forgotten);
        assert_eq!((erased.username(), erased.attribute("email")), ("", None));
        assert_eq!(erased.shown_attributes(), [("sub".to_owned(), JANE.to_string())]);
    }

    #[test]
    fn an_erased_user_of_an_administrator_has_links_of_nobody() {
        let unlinked = Event::ProviderUnlinked(UserProviderUnlinked { link_id: "one".to_owned() });
        let events =
            vec![invited("jane", &ADDRESSES), chosen(&[("name", "J")]), linked("one"), linked("two"), unlinked];
        let (known, erased) = (user(&events), user(&erased(events)));
        assert_eq!((known.identities.len(), erased.identities.len()), (1, 1));
        assert_eq!(erased.identities[0].attribute_value, Personal::Erased);
        let forgotten = User {
            username: Personal::Erased,
            attributes: Personal::Erased,
            identities: erased.identities.clone(),
            ..known
        };
        assert_eq!(erased, forgotten);
        assert_eq!(names(&rules(true, &[], &[]), &[invited("jane", &[])]), ["jane"]);
    }

    #[test]
    fn an_alias_can_not_pass_for_a_linked_identity() {
        let claim = LinkedIdentity::linked(&link("one"), at(0)).claim().unwrap();
        let events = [signed_up("jane", &[("preferred_username", claim.as_str())])];
        assert_eq!(names(&rules(true, &["preferred_username"], &[]), &events), ["jane"]);
        let linked = [signed_up("jane", &[]), linked("one")];
        assert_eq!(names(&rules(true, &[], &[]), &linked), [claim, "jane".to_owned()]);
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
        let both = ["Jane", "Jane@Example.com", "Jane@example.com"];
        assert_eq!(names(&aliases, &proved), both, "as it was spelled, for servers of the release before");
        let taken_away = [proved[0].clone(), proved[1].clone(), released("email")];
        assert_eq!(names(&aliases, &taken_away), ["Jane"]);
        assert_eq!(names(&rules(true, &["preferred_username"], &[]), &alone), ["J", "Jane"], "at once");
    }

    #[test]
    fn an_address_that_is_the_name_counts_at_once() {
        let events = [signed_up(&JANE.to_string(), &ADDRESSES)];
        assert_eq!(names(&rules(true, &[], &["email"]), &events), ["Jane@Example.com", "Jane@example.com"]);
        let both = names(&rules(false, &[], &["email", "phone_number"]), &events);
        assert_eq!(both, ["+12025550123", "jane@example.com"], "in the form that is compared");
    }

    #[test]
    fn names_that_events_add_are_told_with_their_attributes() {
        let jane = user(&[signed_up("jane", &ADDRESSES), confirmed(&["email"])]);
        let added = |rules: &NameRules, event: Event| jane.names_added_by(&[event], rules, at(9));
        let aliases = rules(false, &["email", "phone_number"], &[]);
        let phone = added(&aliases, set(&[], &["phone_number"], &[]));
        assert_eq!(phone, [("+12025550123".to_owned(), "phone_number")].into());
        let unproved = set(&[("email", "K@example.com")], &[], &["email"]);
        assert_eq!(added(&aliases, unproved.clone()), BTreeMap::new(), "it counts once it is proved");
        let same = set(&[("email", "JANE@example.com")], &[], &[]);
        assert_eq!(added(&aliases, same), BTreeMap::new(), "the same name");
        let by_address = rules(false, &[], &["email"]);
        assert_eq!(added(&by_address, unproved), [("k@example.com".to_owned(), "email")].into());
        assert_eq!(added(&by_address, Event::Deleted(UserDeleted {})), BTreeMap::new());
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

    #[test]
    fn nothing_is_shown_of_a_proof_of_which_nothing_was_said() {
        let created = invited("jane", &[("email", "j@example.com"), ("phone_number", "+12025550123")]);
        let flags = |later: &[Event]| {
            let shown = user(&[std::slice::from_ref(&created), later].concat()).shown_attributes();
            let flag = |name: &str| shown.iter().find(|(shown, _)| shown == name).map(|(_, value)| value.clone());
            [flag("email_verified"), flag("phone_number_verified")]
        };
        let [yes, no] = ["true", "false"].map(|flag| Some(flag.to_owned()));
        let verified = || Event::AttributeVerified(UserAttributeVerified { attribute: "email".to_owned() });
        let deleted = || Event::AttributesDeleted(UserAttributesDeleted { attributes: texts(&["email"]) });
        assert_eq!(flags(&[]), [None, None]);
        assert_eq!(flags(&[set(&[("name", "Jane")], &[], &[])]), [None, None]);
        assert_eq!(flags(&[set(&[], &["email"], &["phone_number"])]), [yes.clone(), no.clone()]);
        assert_eq!(flags(&[set(&[("email", "k@example.com")], &[], &[])]), [no.clone(), None], "another address");
        assert_eq!(flags(&[verified(), released("email")]), [no, None], "another user proved it");
        assert_eq!(flags(&[verified()]), [yes, None]);
        assert_eq!(flags(&[asked_for("k@example.com")]), [None, None], "it is not there yet");
        assert_eq!(flags(&[verified(), deleted(), chosen(&[("email", "k@example.com")])]), [None, None], "it is gone");
    }
}

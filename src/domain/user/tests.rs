//! How events change a user, by which names it is found, and which attributes it shows.

use super::*;
use crate::domain::testing::{
    JANE, at, confirmed, given, invited, password, reset, signed_up, temporary_password, texts, user,
};
use crate::proto::events::{
    PasswordChosenBy, ProviderIdentityPersonal, UserAliasReleased, UserAttributeChangeRequested, UserAttributeVerified,
    UserAttributesDeleted, UserAttributesSet, UserDeleted, UserDisabled, UserEnabled, UserGroupJoined, UserGroupLeft,
    UserNewPasswordChosen, UserPasswordChanged, UserPasswordRehashed, UserPasswordRemoved, UserPersonal,
    UserProviderLinked, UserProviderUnlinked, UserSignedOut,
};

const ADDRESSES: [(&str, &str); 3] =
    [("email", "Jane@Example.com"), ("phone_number", "+12025550123"), ("preferred_username", "J")];

fn released(attribute: &str) -> Event {
    Event::AliasReleased(UserAliasReleased { attribute: attribute.to_owned() })
}

fn rehashed() -> Event {
    Event::PasswordRehashed(UserPasswordRehashed { password_hash: b"newer".to_vec(), srp_verifier: Vec::new() })
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

/// The same events after their key was destroyed.
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
fn each_event_changes_only_what_it_names() {
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
        former_passwords: Vec::new(),
        identities: Vec::new(),
        software_token: None,
        passkeys: Vec::new(),
        pending_software_token: None,
        mfa: Default::default(),
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
fn each_act_of_an_administrator_changes_only_what_it_names() {
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
fn only_creation_makes_a_user_and_only_in_the_stream_of_a_user() {
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
fn an_erased_user_has_links_without_identities() {
    let unlinked = Event::ProviderUnlinked(UserProviderUnlinked { link_id: "one".to_owned() });
    let events = vec![invited("jane", &ADDRESSES), chosen(&[("name", "J")]), linked("one"), linked("two"), unlinked];
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
fn an_alias_can_not_pose_as_a_linked_identity() {
    let claim = LinkedIdentity::linked(&link("one"), at(0)).claim().unwrap();
    let events = [signed_up("jane", &[("preferred_username", claim.as_str())])];
    assert_eq!(names(&rules(true, &["preferred_username"], &[]), &events), ["jane"]);
    let linked = [signed_up("jane", &[]), linked("one")];
    assert_eq!(names(&rules(true, &[], &[]), &linked), [claim, "jane".to_owned()]);
}

#[test]
fn hashing_again_gives_no_password_to_a_user_without_one() {
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
    NameRules { case_sensitive, alias_attributes: set(alias_attributes), username_attributes: set(username_attributes) }
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
fn attributes_are_shown_with_their_verification_flags() {
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
fn an_address_without_a_declared_flag_shows_none() {
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

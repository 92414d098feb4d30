//! How attributes change, whoever changes them: what may be written, what becomes of proofs, which codes go out.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::attributes::{self, Attributes, Writer};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, verification_message};
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user::sign_up::refuse_lookalike;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserAttributeChangeRequested, UserAttributesDeleted, UserAttributesSet, UserPersonal};
use crate::proto::v1;

/// Codes for the addresses that a change may have to prove.
pub struct FreshCodes {
    /// For the e-mail address.
    pub email: String,
    /// For the phone number.
    pub phone_number: String,
}

impl FreshCodes {
    /// The code for an address of a medium.
    pub fn for_medium(&self, medium: Medium) -> &str {
        match medium {
            Medium::Email => &self.email,
            Medium::Sms => &self.phone_number,
        }
    }
}

/// What a decision about attributes answers: where codes go.
pub type AttributeDecision = Decision<Event, Activity, Vec<Delivery>>;

/// A change that conforms to the schema and that its writer may make.
struct Asked {
    /// Values to set.
    set: Attributes,
    /// Attributes to take away: those with an empty value.
    removed: BTreeSet<String>,
    /// What an administrator says of the proof of an address.
    flags: BTreeMap<String, bool>,
}

/// Decides a change of attributes. An empty value takes an attribute away.
pub fn set_attributes(
    pool: &UserPool,
    user: &User,
    written: &[v1::AttributeType],
    writer: Writer<'_>,
    codes: &FreshCodes,
) -> AttributeDecision {
    match asked(pool, user, written, writer).and_then(|asked| change(pool, user, asked, codes)) {
        Ok(decision) => decision,
        Err(error) => Decision::refuse(error),
    }
}

/// Decides to take attributes away.
pub fn delete_attributes(pool: &UserPool, user: &User, names: &[String], writer: Writer<'_>) -> AttributeDecision {
    let removed: Result<BTreeSet<_>, Error> =
        names.iter().map(|name| removable(pool, name, writer).map(|()| name.clone())).collect();
    let event = removed.and_then(|removed| {
        refuse_nameless(pool, user, &removed)?;
        Ok(deletion(user, &removed))
    });
    match event {
        Ok(event) => Decision::events(event.into_iter().collect(), Vec::new()),
        Err(error) => Decision::refuse(error),
    }
}

fn asked(pool: &UserPool, user: &User, written: &[v1::AttributeType], writer: Writer<'_>) -> Result<Asked, Error> {
    let (blank, filled): (Vec<_>, Vec<_>) = written.iter().cloned().partition(|it| it.value().is_empty());
    let mut set = attributes::conform(&pool.schema, &filled, writer)?;
    for name in set.keys() {
        attributes::refuse_immutable(attributes::writable(&pool.schema, name, writer)?)?;
    }
    let mut removed = BTreeSet::new();
    for attribute in &blank {
        removable(pool, attribute.name(), writer)?;
        set.remove(attribute.name());
        removed.insert(attribute.name().to_owned());
    }
    refuse_nameless(pool, user, &removed)?;
    refuse_early_or_mistaken(pool, user, &set)?;
    let mut flags = BTreeMap::new();
    set.retain(|name, value| match attributes::flagged(name) {
        Some(attribute) => {
            flags.insert(attribute.to_owned(), value.eq_ignore_ascii_case("true"));
            false
        }
        None => true,
    });
    Ok(Asked { set, removed, flags })
}

/// Whether a writer may take an attribute away.
fn removable(pool: &UserPool, name: &str, writer: Writer<'_>) -> Result<(), Error> {
    let known = attributes::writable(&pool.schema, name, writer)?;
    if attributes::flagged(name).is_some() {
        return Err(attributes::cannot_be_updated(name));
    }
    attributes::refuse_immutable(known)?;
    attributes::refuse_required(known)
}

/// Where an address is the name, one must be left.
fn refuse_nameless(pool: &UserPool, user: &User, removed: &BTreeSet<String>) -> Result<(), Error> {
    let names = &pool.settings.username_attributes;
    let taken = names.iter().find(|name| removed.contains(*name) && user.attribute(name).is_some());
    let left = |name: &String| !removed.contains(name) && user.attribute(name).is_some_and(|value| !value.is_empty());
    match taken {
        Some(name) if !names.iter().any(left) => Err(Error::invalid_parameter(format!(
            "user.{name}: Attribute cannot be deleted: it is what the user signs in with."
        ))),
        _ => Ok(()),
    }
}

/// A preferred name that is an alias counts at once: so it may neither come before its user has proved anything, nor stand
/// in the place of an address.
fn refuse_early_or_mistaken(pool: &UserPool, user: &User, set: &Attributes) -> Result<(), Error> {
    let rules = pool.name_rules();
    let Some(preferred) = set.get("preferred_username") else { return Ok(()) };
    if !rules.alias_attributes.contains("preferred_username") {
        return Ok(());
    }
    if user.status == UserStatus::Unconfirmed {
        return Err(Error::invalid_parameter("preferred_username can not be provided for unconfirmed account"));
    }
    refuse_lookalike(&rules, "preferred_username", preferred)
}

fn change(pool: &UserPool, user: &User, asked: Asked, codes: &FreshCodes) -> Result<AttributeDecision, Error> {
    let Asked { mut set, removed, flags } = asked;
    let (mut verified, mut unverified, mut requested, mut deliveries) = (vec![], vec![], vec![], vec![]);
    for medium in [Medium::Sms, Medium::Email] {
        let attribute = medium.attribute();
        let flag = flags.get(attribute).copied();
        let new = set.get(attribute).filter(|value| user.attribute(attribute) != Some(value)).cloned();
        let (Some(address), false) = (new, flag == Some(true)) else {
            flag_address(user, &set, &removed, attribute, flag, &mut verified, &mut unverified)?;
            continue;
        };
        if must_prove_before(pool, user, attribute) {
            set.remove(attribute);
            requested.push(change_requested(attribute, &address));
            deliveries.push((medium, address));
        } else {
            unverified.push(attribute.to_owned());
            if proves_after(pool, user, attribute) {
                deliveries.push((medium, address));
            }
        }
    }
    // What is as it was is no change, unless another value is asked for.
    set.retain(|name, value| user.attribute(name) != Some(value) || user.requested.contains_key(name));
    verified.retain(|name| !user.verified.contains(name));
    unverified.retain(|name| user.verified.contains(name));
    let mut events = requested;
    if !(set.is_empty() && verified.is_empty() && unverified.is_empty()) {
        let attributes = set.keys().cloned().collect();
        let personal = Some(UserPersonal { username: None, attributes: set });
        events.push(Event::AttributesSet(UserAttributesSet { personal, verified, unverified, attributes }));
    }
    events.extend(deletion(user, &removed));
    let messages: Vec<_> = deliveries
        .iter()
        .map(|(medium, address)| {
            verification_message(&pool.settings, *medium, address, user.username(), codes.for_medium(*medium))
        })
        .collect();
    let activity: Vec<_> =
        deliveries.iter().map(|(medium, _)| codes::sent(codes::verification(*medium), *medium)).collect();
    Ok(Decision::events(events, deliveries).with_activity(activity).with_messages(messages))
}

/// What an administrator says of the proof of an address that does not change, or that comes with its proof.
fn flag_address(
    user: &User,
    set: &Attributes,
    removed: &BTreeSet<String>,
    attribute: &str,
    flag: Option<bool>,
    verified: &mut Vec<String>,
    unverified: &mut Vec<String>,
) -> Result<(), Error> {
    let Some(flag) = flag else { return Ok(()) };
    let there = set.contains_key(attribute) || user.attribute(attribute).is_some_and(|value| !value.is_empty());
    if !there || removed.contains(attribute) {
        return Err(Error::invalid_parameter(format!(
            "user.{attribute}_verified: the user has no {attribute} to be verified."
        )));
    }
    let which = if flag { verified } else { unverified };
    which.push(attribute.to_owned());
    Ok(())
}

/// Whether the old value stays until a code has proved the new one. Who has not confirmed yet could not enter one.
fn must_prove_before(pool: &UserPool, user: &User, attribute: &str) -> bool {
    let settings = pool.settings.user_attribute_update_settings.as_ref();
    let listed = settings.is_some_and(|settings| {
        settings.attributes_require_verification_before_update.iter().any(|it| it == attribute)
    });
    listed && user.status != UserStatus::Unconfirmed
}

/// Whether a code goes to an address that has changed already. Who has not confirmed yet asks for the one of its sign-up.
fn proves_after(pool: &UserPool, user: &User, attribute: &str) -> bool {
    let listed = pool.settings.auto_verified_attributes.iter().any(|it| it == attribute);
    listed && user.status != UserStatus::Unconfirmed
}

fn change_requested(attribute: &str, address: &str) -> Event {
    let attributes = [(attribute.to_owned(), address.to_owned())].into();
    Event::AttributeChangeRequested(UserAttributeChangeRequested {
        personal: Some(UserPersonal { username: None, attributes }),
        attribute: attribute.to_owned(),
    })
}

/// The event that takes attributes away, if the user has any of them.
fn deletion(user: &User, removed: &BTreeSet<String>) -> Option<Event> {
    let there = |name: &&String| user.attribute(name).is_some() || user.requested.contains_key(*name);
    let attributes: Vec<_> = removed.iter().filter(there).cloned().collect();
    (!attributes.is_empty()).then(|| Event::AttributesDeleted(UserAttributesDeleted { attributes }))
}

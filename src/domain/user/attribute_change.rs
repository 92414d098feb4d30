//! How attributes change: what may be written, which proofs are lost, and which codes are sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::attributes::{self, Attributes, Writer};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, verification_message};
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user::sign_up::{early_preferred_name, refuse_lookalike_alias};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserAttributeChangeRequested, UserAttributesDeleted, UserAttributesSet, UserPersonal};
use crate::proto::v1;

/// New codes for the addresses that a change may have to prove.
pub struct FreshCodes {
    /// The code for the e-mail address.
    pub email: String,
    /// The code for the phone number.
    pub phone_number: String,
}

impl FreshCodes {
    /// The code for this medium.
    pub fn for_medium(&self, medium: Medium) -> &str {
        match medium {
            Medium::Email => &self.email,
            Medium::Sms => &self.phone_number,
        }
    }
}

/// A decision about attributes. Its answer lists where codes go.
pub type AttributeDecision = Decision<Event, Activity, Vec<Delivery>>;

/// A change that conforms to the schema and to the writer's rights.
struct Asked {
    set: Attributes,
    /// Attributes to be removed: those that were written with an empty value.
    removed: BTreeSet<String>,
    /// The verification flags that an administrator has written, by the address's attribute.
    flags: BTreeMap<String, bool>,
}

/// Decides a change of attributes. An empty value removes an attribute.
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

/// Decides the removal of attributes.
pub fn delete_attributes(pool: &UserPool, user: &User, names: &[String], writer: Writer<'_>) -> AttributeDecision {
    let event = deletable(pool, names, writer).and_then(|removed| {
        refuse_nameless(pool, user, &removed)?;
        Ok(deletion(user, &removed))
    });
    match event {
        Ok(event) => Decision::events(event.into_iter().collect(), Vec::new()),
        Err(error) => Decision::refuse(error),
    }
}

fn deletable(pool: &UserPool, names: &[String], writer: Writer<'_>) -> Result<BTreeSet<String>, Error> {
    if let Some(missing) = names.iter().find_map(|name| attributes::missing_in_schema(&pool.schema, name)) {
        return Err(Error::invalid_parameter(format!("Invalid user attributes: {missing}")));
    }
    names.iter().map(|name| removable(pool, name, writer).map(|()| name.clone())).collect()
}

fn asked(pool: &UserPool, user: &User, written: &[v1::AttributeType], writer: Writer<'_>) -> Result<Asked, Error> {
    if let Some(missing) = written.iter().find_map(|it| attributes::missing_in_schema(&pool.schema, it.name())) {
        return Err(Error::invalid_parameter(missing));
    }
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

/// Whether a writer may remove an attribute.
fn removable(pool: &UserPool, name: &str, writer: Writer<'_>) -> Result<(), Error> {
    let known = attributes::writable(&pool.schema, name, writer)?;
    if attributes::flagged(name).is_some() {
        return Err(attributes::cannot_be_updated(name));
    }
    attributes::refuse_immutable(known)?;
    attributes::refuse_required(known)
}

/// Refuses to remove the last address where an address is the user name.
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

/// A preferred name that is an alias counts at once. So an unconfirmed user may not set it, and it may not look like an
/// address.
fn refuse_early_or_mistaken(pool: &UserPool, user: &User, set: &Attributes) -> Result<(), Error> {
    let rules = pool.name_rules();
    let is_alias = rules.alias_attributes.contains("preferred_username");
    if is_alias && set.contains_key("preferred_username") && user.status == UserStatus::Unconfirmed {
        return Err(early_preferred_name());
    }
    refuse_lookalike_alias(&rules, set)
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
    // An unchanged value is no change, unless another value waits for its proof.
    set.retain(|name, value| user.attribute(name) != Some(value) || user.requested.contains_key(name));
    verified.retain(|name| !user.verified.contains(name));
    let is_said_first = |name: &String| user.unflagged.contains(name) && !set.contains_key(name);
    unverified.retain(|name| user.verified.contains(name) || is_said_first(name));
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

/// Applies an administrator's flag to an address that stays as it is or that changes together with its flag.
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

/// Whether the old value stays until a code proves the new one. An unconfirmed user couldn't enter such a code.
fn must_prove_before(pool: &UserPool, user: &User, attribute: &str) -> bool {
    let settings = pool.settings.user_attribute_update_settings.as_ref();
    let listed = settings.is_some_and(|settings| {
        settings.attributes_require_verification_before_update.iter().any(|it| it == attribute)
    });
    listed && user.status != UserStatus::Unconfirmed
}

/// Whether a code is sent to an address that has already changed. An unconfirmed user requests the code of the sign-up
/// instead.
fn proves_after(pool: &UserPool, user: &User, attribute: &str) -> bool {
    let listed = pool.verifies(attribute);
    listed && user.status != UserStatus::Unconfirmed
}

fn change_requested(attribute: &str, address: &str) -> Event {
    let attributes = [(attribute.to_owned(), address.to_owned())].into();
    Event::AttributeChangeRequested(UserAttributeChangeRequested {
        personal: Some(UserPersonal { username: None, attributes }),
        attribute: attribute.to_owned(),
    })
}

/// The event that removes attributes, if the user has any of them.
fn deletion(user: &User, removed: &BTreeSet<String>) -> Option<Event> {
    let there = |name: &&String| user.attribute(name).is_some() || user.requested.contains_key(*name);
    let attributes: Vec<_> = removed.iter().filter(there).cloned().collect();
    if attributes.is_empty() { None } else { Some(Event::AttributesDeleted(UserAttributesDeleted { attributes })) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attributes::Permitted;
    use crate::domain::error::Exception;
    use crate::domain::testing::{
        confirmed, invited, pool, refused, refused_parameter, signed_up, texts, user, verifying_both, written,
    };

    const OLD: &str = "old@example.com";
    const NEW: &str = "new@example.com";
    const PHONE: &str = "+12025550123";

    fn codes() -> FreshCodes {
        FreshCodes { email: "111111".to_owned(), phone_number: "222222".to_owned() }
    }

    /// A pool whose users prove an address before it changes.
    fn proving_before(attributes: &[&str]) -> UserPool {
        let settings =
            v1::UserAttributeUpdateSettingsType { attributes_require_verification_before_update: texts(attributes) };
        pool(v1::CreateUserPoolRequest { user_attribute_update_settings: Some(settings), ..verifying_both() })
    }

    fn story() -> Vec<Event> {
        vec![signed_up("jane", &[("email", OLD), ("name", "Jane")]), confirmed(&["email"])]
    }

    fn jane() -> User {
        user(&story())
    }

    fn set(pool: &UserPool, user: &User, attributes: &[(&str, &str)], writer: Writer<'_>) -> AttributeDecision {
        set_attributes(pool, user, &written(attributes), writer, &codes())
    }

    /// Jane after a decision, and where codes go.
    fn after(decision: AttributeDecision) -> (User, Vec<Delivery>) {
        let deliveries = decision.answer.unwrap();
        let told: Vec<_> = decision.messages.iter().map(|message| (message.medium, message.to.clone())).collect();
        assert_eq!(told, deliveries);
        for (message, fact) in decision.messages.iter().zip(&decision.activity) {
            assert_eq!(message.code.as_deref(), Some(codes().for_medium(message.medium)));
            assert_eq!(*fact, codes::sent(codes::verification(message.medium), message.medium));
        }
        (user(&[story(), decision.events].concat()), deliveries)
    }

    const ANYTHING: Writer<'_> = Writer::Client(Permitted::All);

    #[test]
    fn a_changed_address_is_unproved_and_gets_a_code_where_the_pool_verifies_it() {
        let change = [("email", NEW), ("phone_number", PHONE), ("nickname", "J")];
        let (changed, deliveries) = after(set(&pool(verifying_both()), &jane(), &change, ANYTHING));
        assert_eq!((changed.attribute("email"), changed.verified.len()), (Some(NEW), 0));
        assert_eq!((changed.attribute("nickname"), changed.attribute("name")), (Some("J"), Some("Jane")));
        assert_eq!(deliveries, [(Medium::Sms, PHONE.to_owned()), (Medium::Email, NEW.to_owned())]);
        let (changed, deliveries) = after(set(&pool(Default::default()), &jane(), &change, ANYTHING));
        assert_eq!((changed.attribute("email"), changed.verified.len(), deliveries), (Some(NEW), 0, vec![]));
    }

    #[test]
    fn an_unchanged_value_is_no_change() {
        let decision = set(&pool(verifying_both()), &jane(), &[("email", OLD), ("name", "Jane")], ANYTHING);
        assert!(decision.events.is_empty() && decision.messages.is_empty() && decision.answer.unwrap().is_empty());
    }

    #[test]
    fn the_old_address_stays_until_the_new_one_is_proved_where_the_pool_says_so() {
        let pool = proving_before(&["email"]);
        let decision = set(&pool, &jane(), &[("email", NEW), ("phone_number", PHONE)], ANYTHING);
        let events = decision.events.clone();
        let (waiting, deliveries) = after(decision);
        assert_eq!((waiting.attribute("email"), waiting.requested("email")), (Some(OLD), Some(NEW)));
        assert_eq!(
            (waiting.verified, waiting.attributes.known().unwrap()["phone_number"].as_str()),
            (["email".to_owned()].into(), PHONE)
        );
        assert_eq!(deliveries.len(), 2);

        // A user who sets the old address again withdraws the request.
        let waiting = user(&[story(), events.clone()].concat());
        let decision = set(&pool, &waiting, &[("email", OLD)], ANYTHING);
        assert!(decision.messages.is_empty());
        let back = user(&[story(), events, decision.events].concat());
        assert_eq!((back.attribute("email"), back.requested("email")), (Some(OLD), None));
        assert!(back.verified.contains("email"));
    }

    #[test]
    fn an_administrator_declares_addresses_verified() {
        let pool = proving_before(&["email", "phone_number"]);
        let admin = |attributes: &[(&str, &str)]| set(&pool, &jane(), attributes, Writer::Administrator);
        let (changed, deliveries) = after(admin(&[("email", NEW), ("email_verified", "true")]));
        assert_eq!((changed.attribute("email"), changed.requested("email"), deliveries), (Some(NEW), None, vec![]));
        assert!(changed.verified.contains("email") && changed.attribute("email_verified").is_none());
        let (changed, _) = after(admin(&[("email_verified", "false")]));
        assert_eq!((changed.attribute("email"), changed.verified.len()), (Some(OLD), 0));
        let (waiting, deliveries) = after(admin(&[("email", NEW), ("email_verified", "false")]));
        assert_eq!((waiting.requested("email"), deliveries.len()), (Some(NEW), 1));
        assert!(admin(&[("email_verified", "true")]).events.is_empty(), "it is already");
        let message = "user.phone_number_verified: the user has no phone_number to be verified.";
        assert_eq!(refused_parameter(admin(&[("phone_number_verified", "true")])), message);
        assert!(after(admin(&[("phone_number", PHONE), ("phone_number_verified", "True")])).0.verified.len() == 2);
        let neither = admin(&[("email", ""), ("email_verified", "true")]);
        assert!(refused_parameter(neither).contains("no email"));
    }

    #[test]
    fn an_address_without_a_flag_gets_one_once_it_is_declared() {
        let pool = pool(Default::default());
        let created = [invited("jane", &[("email", OLD)])];
        let after = |attributes: &[(&str, &str)], writer| {
            let decision = set(&pool, &user(&created), attributes, writer);
            decision.answer.unwrap();
            let shown = user(&[&created[..], &decision.events].concat()).shown_attributes();
            shown.into_iter().find(|(name, _)| name == "email_verified").map(|(_, value)| value)
        };
        assert_eq!(after(&[("email", OLD)], ANYTHING), None, "no change");
        assert_eq!(after(&[("name", "Jane")], Writer::Administrator), None);
        assert_eq!(after(&[("email_verified", "false")], Writer::Administrator).as_deref(), Some("false"));
        assert_eq!(
            after(&[("email", OLD), ("email_verified", "true")], Writer::Administrator).as_deref(),
            Some("true")
        );
        for writer in [ANYTHING, Writer::Administrator] {
            assert_eq!(after(&[("email", NEW)], writer).as_deref(), Some("false"), "a changed address");
        }
    }

    #[test]
    fn an_unconfirmed_user_is_sent_no_code_that_they_could_not_enter() {
        let unconfirmed = user(&story()[..1]);
        for pool in [proving_before(&["email"]), pool(verifying_both())] {
            let decision = set(&pool, &unconfirmed, &[("email", NEW)], Writer::Administrator);
            assert!(decision.answer.unwrap().is_empty() && decision.messages.is_empty());
            assert_eq!(user(&[story()[..1].to_vec(), decision.events].concat()).attribute("email"), Some(NEW));
        }
    }

    #[test]
    fn an_empty_value_takes_an_attribute_away() {
        let pool = pool(verifying_both());
        for decision in [
            set(&pool, &jane(), &[("email", ""), ("zoneinfo", "")], ANYTHING),
            delete_attributes(&pool, &jane(), &texts(&["email", "zoneinfo"]), ANYTHING),
        ] {
            let deleted = UserAttributesDeleted { attributes: texts(&["email"]) };
            assert_eq!(decision.events, [Event::AttributesDeleted(deleted)]);
            let (gone, _) = after(decision);
            assert_eq!((gone.attribute("email"), gone.verified.len()), (None, 0));
        }
        let nothing = delete_attributes(&pool, &jane(), &texts(&["zoneinfo"]), ANYTHING);
        assert!(nothing.events.is_empty() && nothing.answer.is_ok());
    }

    fn schema() -> UserPool {
        let attribute = |name: &str| v1::SchemaAttributeType {
            name: Some(name.to_owned()),
            attribute_data_type: Some("String".to_owned()),
            ..Default::default()
        };
        let schema = vec![
            v1::SchemaAttributeType { required: Some(true), ..attribute("name") },
            v1::SchemaAttributeType { mutable: Some(false), ..attribute("born") },
            v1::SchemaAttributeType { developer_only_attribute: Some(true), ..attribute("rank") },
        ];
        pool(v1::CreateUserPoolRequest { schema, ..Default::default() })
    }

    #[test]
    fn forbidden_changes_and_removals_are_refused() {
        let pool = schema();
        let only = texts(&["email"]);
        let immutable = "user.custom:born: Attribute cannot be updated.";
        let required = "Attributes did not conform to the schema: name: The attribute is required";
        for writer in [ANYTHING, Writer::Administrator] {
            let set = |name: &str, value: &str| refused_parameter(set(&pool, &jane(), &[(name, value)], writer));
            let delete = |name: &str| refused_parameter(delete_attributes(&pool, &jane(), &texts(&[name]), writer));
            assert_eq!((set("custom:born", "1990"), delete("custom:born")), (immutable.into(), immutable.into()));
            assert_eq!((set("name", ""), delete("name")), (required.into(), required.into()));
            let missing = "user.custom:shoe: Attribute does not exist in the schema.";
            for value in ["44", ""] {
                assert_eq!(set("custom:shoe", value), missing);
            }
            assert_eq!(delete("custom:shoe"), format!("Invalid user attributes: {missing}"));
        }
        for (name, writer) in [
            ("dev:custom:rank", ANYTHING),
            ("email_verified", ANYTHING),
            ("nickname", Writer::Client(Permitted::Only(&only))),
        ] {
            for decision in [
                set(&pool, &jane(), &[(name, "true")], writer),
                set(&pool, &jane(), &[(name, "")], writer),
                delete_attributes(&pool, &jane(), &texts(&[name]), writer),
            ] {
                assert_eq!(refused(decision).0, Exception::NotAuthorizedException, "{name}");
            }
        }
        assert!(set(&pool, &jane(), &[("dev:custom:rank", "1")], Writer::Administrator).answer.is_ok());
        let flag = delete_attributes(&pool, &jane(), &texts(&["email_verified"]), Writer::Administrator);
        assert_eq!(refused_parameter(flag), "user.email_verified: Attribute cannot be updated.");
    }

    #[test]
    fn an_address_as_name_can_change_but_not_be_removed() {
        let names = texts(&["email", "phone_number"]);
        let pool = pool(v1::CreateUserPoolRequest { username_attributes: names, ..Default::default() });
        let delete = |user: &User, names: &[&str]| delete_attributes(&pool, user, &texts(names), ANYTHING);
        let message = "user.email: Attribute cannot be deleted: it is what the user signs in with.";
        assert_eq!(refused_parameter(delete(&jane(), &["email"])), message);
        assert_eq!(refused_parameter(set(&pool, &jane(), &[("email", "")], ANYTHING)), message);
        let both = user(&[signed_up("jane", &[("email", OLD), ("phone_number", PHONE)]), confirmed(&[])]);
        assert!(delete(&both, &["email"]).answer.is_ok());
        assert!(delete(&both, &["email", "phone_number"]).answer.is_err());
        assert_eq!(after(set(&pool, &jane(), &[("email", NEW)], ANYTHING)).0.attribute("email"), Some(NEW));
    }

    #[test]
    fn a_preferred_name_that_is_an_alias_waits_for_the_confirmation_and_is_no_address() {
        let aliases = texts(&["email", "phone_number", "preferred_username"]);
        let pool = pool(v1::CreateUserPoolRequest { alias_attributes: aliases, ..Default::default() });
        let prefer = |user: &User, name: &str| set(&pool, user, &[("preferred_username", name)], Writer::Administrator);
        assert!(prefer(&jane(), "j").answer.is_ok());
        let early = refused_parameter(prefer(&user(&story()[..1]), "j"));
        assert_eq!(
            early,
            "Preferred username cannot be provided for unconfirmed account, since user pool is configured for preferred \
             username alias."
        );
        assert!(refused_parameter(prefer(&jane(), NEW)).starts_with("preferred_username cannot be of email format"));
        assert!(refused_parameter(prefer(&jane(), PHONE)).contains("phone number format"));
    }
}

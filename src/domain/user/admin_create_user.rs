//! AdminCreateUser: the rules.

use std::collections::BTreeSet;

use crate::domain::attributes::{self, Attributes, Writer};
use crate::domain::decision::{Aggregate, Decision};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{StreamId, Sub};
use crate::domain::invitation_message::invitation_message;
use crate::domain::message::{Medium, Message};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Texts;
use crate::domain::user::sign_up::{name_of, refuse_lookalike_alias};
use crate::domain::user::taken_alias::{TakenAlias, address_exists};
use crate::domain::user::{Password, User};
use crate::domain::user_pool::{NameRules, UserPool};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserAttributesSet, UserCreatedByAdministrator, UserInvitationSent, UserPersonal};
use crate::proto::v1;

/// A user to be created, with a valid name and valid attributes. Required attributes may be missing: the user provides
/// them together with their first password.
#[derive(Clone, PartialEq)]
pub struct Invitee {
    /// The user name: the `sub` where an address is the name.
    pub username: String,
    /// The attributes, without the verification flags.
    pub attributes: Attributes,
    /// The names of the attributes that the administrator declares verified.
    pub verified: BTreeSet<String>,
    /// The names of the attributes that the administrator declares unverified. Other addresses get no flag.
    pub unverified: BTreeSet<String>,
}

/// Checks the name and the attributes of a request.
pub fn invitee(pool: &UserPool, sub: Sub, request: &v1::AdminCreateUserRequest) -> Result<Invitee, Error> {
    let mut attributes = attributes::conform(&pool.schema, &request.user_attributes, Writer::Administrator)?;
    let flags = ["email", "phone_number"].map(|name| (name, attributes.remove(&format!("{name}_verified"))));
    let username = name_of(pool, sub, request.username(), &mut attributes)?;
    refuse_lookalike_alias(&pool.name_rules(), &attributes)?;
    let (mut verified, mut unverified) = (BTreeSet::new(), BTreeSet::new());
    for (name, flag) in flags {
        let Some(flag) = flag else { continue };
        if !flag.eq_ignore_ascii_case("true") {
            unverified.insert(name.to_owned());
            continue;
        }
        if attributes.get(name).is_none_or(String::is_empty) {
            return Err(Error::invalid_parameter(format!("{name}_verified needs a value of {name}.")));
        }
        verified.insert(name.to_owned());
    }
    Ok(Invitee { username, attributes, verified, unverified })
}

/// The attributes as the pre sign-up trigger receives them: with the flags that the administrator has set.
pub fn trigger_attributes(invitee: &Invitee) -> Texts {
    let flags = |names: &BTreeSet<String>, flag: &str| -> Texts {
        names.iter().map(|name| (format!("{name}_verified"), flag.to_owned())).collect()
    };
    let flags = flags(&invitee.verified, "true").into_iter().chain(flags(&invitee.unverified, "false"));
    invitee.attributes.clone().into_iter().chain(flags).collect()
}

/// Every name that a request could claim, in the form that is compared. [`conflicts`] decides which of them it does
/// claim.
pub fn possible_names(rules: &NameRules, request: &v1::AdminCreateUserRequest) -> Vec<String> {
    let stands_for_name =
        |name: &str| rules.alias_attributes.contains(name) || rules.username_attributes.contains(name);
    let aliases = request.user_attributes.iter().filter(|it| stands_for_name(it.name())).map(v1::AttributeType::value);
    let names = std::iter::once(request.username()).chain(aliases);
    names.filter(|name| !name.is_empty()).map(|name| rules.normalise(name)).collect()
}

/// Compares the names of the new user with those that are taken. Returns the aliases to be taken from other users, if
/// the request forces that and they can be taken; otherwise a refusal.
pub fn conflicts(
    rules: &NameRules,
    invitee: &Invitee,
    taken: &[String],
    force_alias_creation: bool,
) -> Result<Vec<TakenAlias>, Error> {
    if taken.contains(&rules.normalise(&invitee.username)) {
        return Err(exists("User account already exists".to_owned()));
    }
    let mut aliases = Vec::new();
    for (attribute, name) in claimed_aliases(rules, invitee) {
        if !taken.contains(&name) {
            continue;
        }
        // An alias that needs no proof can't be taken, because taking an alias means removing its proof.
        let movable = rules.alias_attributes.contains(attribute) && attribute != "preferred_username";
        if !(movable && force_alias_creation) {
            return Err(address_exists(attribute));
        }
        aliases.push(TakenAlias { attribute, name });
    }
    Ok(aliases)
}

fn claimed_aliases(rules: &NameRules, invitee: &Invitee) -> Vec<(&'static str, String)> {
    let event = created(invitee.clone(), None);
    // Only the names matter, and they depend neither on the sub nor on the time.
    let user = User::apply(None, &StreamId::user(Sub(uuid::Uuid::nil())), &event, Timestamp(0));
    user.map(|user| user.aliases(rules)).unwrap_or_default()
}

fn exists(message: String) -> Error {
    Error::new(Exception::UsernameExistsException, message)
}

/// The media by which an invitation is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invitations {
    /// The request suppresses the invitation.
    Suppressed,
    /// The request names no medium: SMS, if there is a phone number.
    Unsaid,
    /// The media that the request names; each needs an address.
    By(BTreeSet<&'static str>),
}

impl Invitations {
    /// The choice in a request.
    pub fn of(request: &v1::AdminCreateUserRequest) -> Self {
        if request.message_action() == "SUPPRESS" {
            return Self::Suppressed;
        }
        let named = |medium: Medium| request.desired_delivery_mediums.iter().any(|name| name == medium.name());
        let media: BTreeSet<_> =
            [Medium::Email, Medium::Sms].into_iter().filter(|medium| named(*medium)).map(Medium::name).collect();
        if media.is_empty() { Self::Unsaid } else { Self::By(media) }
    }

    /// The media with their addresses from these attributes.
    pub fn addresses<'a>(&self, attributes: &'a Attributes) -> Result<Vec<(Medium, &'a str)>, Error> {
        let address = |medium: Medium| {
            let address = attributes.get(medium.attribute()).filter(|address| !address.is_empty());
            address.map(|address| (medium, address.as_str()))
        };
        match self {
            Self::Suppressed => Ok(Vec::new()),
            Self::Unsaid => Ok(address(Medium::Sms).into_iter().collect()),
            Self::By(media) => {
                let media = [Medium::Email, Medium::Sms].into_iter().filter(|medium| media.contains(medium.name()));
                media.map(|medium| address(medium).ok_or_else(|| undeliverable(medium))).collect()
            }
        }
    }
}

fn undeliverable(medium: Medium) -> Error {
    let message = format!("The invitation can't be delivered: the user has no {}.", medium.attribute());
    Error::new(Exception::CodeDeliveryFailureException, message)
}

/// A temporary password, and how the user is told.
pub struct TemporaryPassword {
    /// The hash and the SRP verifier, both sealed.
    pub password: Password,
    /// The password in plain text, for the invitation.
    pub text: String,
    /// The name for signing in, as the invitation shows it.
    pub username: String,
    /// The media by which the invitation is sent.
    pub invitations: Invitations,
}

/// The name that an invited user signs in with. A sub is too long to type: where an address is the name, it is the
/// address that the administrator wrote, or else the user's first one.
pub fn sign_in_name<'a>(rules: &NameRules, user: &'a User, asked: &str) -> &'a str {
    let addresses = ["email", "phone_number"].into_iter().filter(|it| rules.username_attributes.contains(*it));
    let addresses: Vec<_> = addresses.filter_map(|it| user.attribute(it)).filter(|value| !value.is_empty()).collect();
    let written = addresses.iter().find(|address| rules.normalise(address) == rules.normalise(asked));
    written.or(addresses.first()).copied().unwrap_or_else(|| user.username())
}

impl TemporaryPassword {
    /// The messages to a user with these attributes, and the facts that record them.
    pub fn invitation(&self, pool: &UserPool, attributes: &Attributes) -> Result<(Vec<Message>, Vec<Activity>), Error> {
        let addresses = self.invitations.addresses(attributes)?;
        let messages = addresses
            .iter()
            .map(|(medium, address)| invitation_message(&pool.settings, *medium, address, &self.username, &self.text));
        let facts = addresses.iter().map(|(medium, _)| {
            Activity::InvitationSent(UserInvitationSent { delivery_medium: medium.name().to_owned() })
        });
        Ok((messages.collect(), facts.collect()))
    }
}

/// Decides the creation of a user by an administrator.
pub fn admin_create_user(
    pool: &UserPool,
    invitee: Invitee,
    temporary: &TemporaryPassword,
) -> Decision<Event, Activity, ()> {
    match temporary.invitation(pool, &invitee.attributes) {
        Ok((messages, facts)) => {
            let unproved = said_unproved(&invitee);
            let created = created(invitee, Some(&temporary.password));
            Decision::events([created].into_iter().chain(unproved).collect(), ())
                .with_activity(facts)
                .with_messages(messages)
        }
        Err(error) => Decision::refuse(error),
    }
}

/// The addresses that the administrator declares unverified. This is an event of its own, because the creation event
/// lists only verified ones.
pub(super) fn said_unproved(invitee: &Invitee) -> Option<Event> {
    let unverified: Vec<_> = invitee.unverified.iter().cloned().collect();
    let personal = Some(UserPersonal::default());
    let set = UserAttributesSet { personal, unverified, ..UserAttributesSet::default() };
    (!set.unverified.is_empty()).then_some(Event::AttributesSet(set))
}

fn created(invitee: Invitee, password: Option<&Password>) -> Event {
    let Invitee { username, attributes, verified, unverified: _ } = invitee;
    let form = |form: fn(&Password) -> &Sealed| password.map_or_else(Vec::new, |password| form(password).0.clone());
    Event::CreatedByAdministrator(UserCreatedByAdministrator {
        personal: Some(UserPersonal { username: Some(username), attributes }),
        verified_attributes: verified.into_iter().collect(),
        password_hash: form(|password| &password.hash),
        srp_verifier: form(|password| &password.srp_verifier),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{JANE, confirmed, password, pool, refusal, refused, signed_up, texts, user, written};
    use crate::domain::user::UserStatus;
    use crate::domain::user::taken_alias::release_aliases;
    use crate::proto::events::UserAliasReleased;

    fn request(username: &str, attributes: &[(&str, &str)]) -> v1::AdminCreateUserRequest {
        v1::AdminCreateUserRequest {
            username: Some(username.to_owned()),
            user_attributes: written(attributes),
            ..Default::default()
        }
    }

    fn with_aliases(aliases: &[&str]) -> UserPool {
        pool(v1::CreateUserPoolRequest { alias_attributes: texts(aliases), ..Default::default() })
    }

    fn by_address(attributes: &[&str]) -> UserPool {
        pool(v1::CreateUserPoolRequest { username_attributes: texts(attributes), ..Default::default() })
    }

    fn some(pool: &UserPool, username: &str, attributes: &[(&str, &str)]) -> Invitee {
        invitee(pool, JANE, &request(username, attributes)).expect("an invitee")
    }

    fn temporary(invitations: Invitations) -> TemporaryPassword {
        TemporaryPassword {
            password: password("temporary"),
            text: "Temp-1".to_owned(),
            username: "jane".to_owned(),
            invitations,
        }
    }

    const EMAIL: (&str, &str) = ("email", "jane@example.com");
    const PHONE: (&str, &str) = ("phone_number", "+12025550123");

    #[test]
    fn an_administrator_vouches_for_addresses_that_are_there() {
        let pool = with_aliases(&[]);
        let invitee_of = |attributes: &[(&str, &str)]| invitee(&pool, JANE, &request("jane", attributes));
        let jane = invitee_of(&[EMAIL, ("email_verified", "True"), ("phone_number_verified", "false")]).unwrap();
        assert_eq!(jane.attributes.keys().collect::<Vec<_>>(), ["email"], "the flags are no attributes");
        assert_eq!(jane.verified, ["email".to_owned()].into());
        let message = refusal(invitee_of(&[("email_verified", "true")]).map(drop)).1;
        assert_eq!(message, "email_verified needs a value of email.");
        let message = refusal(invitee_of(&[("phone_number", ""), ("phone_number_verified", "true")]).map(drop)).1;
        assert_eq!(message, "phone_number_verified needs a value of phone_number.");
    }

    #[test]
    fn a_verification_flag_shows_only_what_the_administrator_declared() {
        let pool = with_aliases(&[]);
        let shown = |attributes: &[(&str, &str)]| {
            let decision =
                admin_create_user(&pool, some(&pool, "jane", attributes), &temporary(Invitations::Suppressed));
            decision.answer.unwrap();
            let shown = user(&decision.events).shown_attributes();
            shown.into_iter().filter(|(name, _)| name.ends_with("_verified")).collect::<Vec<_>>()
        };
        let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(shown(&[EMAIL, PHONE]), []);
        let said = [EMAIL, PHONE, ("email_verified", "true"), ("phone_number_verified", "False")];
        assert_eq!(shown(&said), [flag("email_verified", "true"), flag("phone_number_verified", "false")]);
        assert_eq!(shown(&said[..3]), [flag("email_verified", "true")]);
    }

    #[test]
    fn developer_only_attributes_are_written_and_required_ones_may_come_later() {
        let attribute = |name: &str, required, developer_only| v1::SchemaAttributeType {
            name: Some(name.to_owned()),
            attribute_data_type: Some("String".to_owned()),
            required: Some(required),
            developer_only_attribute: Some(developer_only),
            ..Default::default()
        };
        let schema = vec![attribute("nickname", true, false), attribute("rank", false, true)];
        let pool = pool(v1::CreateUserPoolRequest { schema, ..Default::default() });
        let jane = some(&pool, "jane", &[("dev:custom:rank", "7")]);
        assert_eq!(jane.attributes["dev:custom:rank"], "7");
        let sub = refusal(invitee(&pool, JANE, &request("jane", &[("sub", "x")])).map(drop));
        assert_eq!(sub, (Exception::InvalidParameterException, "user.sub: Attribute cannot be updated.".to_owned()));
    }

    #[test]
    fn an_address_as_name_is_an_attribute_with_its_flag() {
        let pool = by_address(&["email"]);
        let jane = some(&pool, EMAIL.1, &[("email_verified", "true")]);
        assert_eq!(jane.username, JANE.to_string());
        assert_eq!((jane.attributes["email"].as_str(), jane.verified.len()), (EMAIL.1, 1));
    }

    #[test]
    fn an_invitation_shows_the_name_for_signing_in() {
        let both = by_address(&["email", "phone_number"]).name_rules();
        let sub = JANE.to_string();
        let jane = user(&[signed_up(&sub, &[EMAIL, PHONE])]);
        assert_eq!(sign_in_name(&both, &jane, EMAIL.1), EMAIL.1);
        assert_eq!(sign_in_name(&both, &jane, PHONE.1), PHONE.1);
        assert_eq!(sign_in_name(&both, &jane, &sub), EMAIL.1);
        let by_phone = by_address(&["phone_number"]).name_rules();
        assert_eq!(sign_in_name(&by_phone, &jane, &sub), PHONE.1);
        let named = user(&[signed_up("jane", &[EMAIL])]);
        assert_eq!(sign_in_name(&with_aliases(&["email"]).name_rules(), &named, &sub), "jane");
    }

    #[test]
    fn a_user_begins_with_a_temporary_password_and_its_status_says_so() {
        let pool = with_aliases(&[]);
        let jane = some(&pool, "jane", &[EMAIL, ("email_verified", "true")]);
        let decision = admin_create_user(&pool, jane, &temporary(Invitations::Suppressed));
        decision.answer.unwrap();
        assert!(decision.messages.is_empty() && decision.activity.is_empty());
        let jane = user(&decision.events);
        assert_eq!((jane.status, jane.enabled), (UserStatus::ForceChangePassword, true));
        assert_eq!(jane.password, Some(password("temporary")));
        assert_eq!(jane.verified, ["email".to_owned()].into());
    }

    #[test]
    fn an_invitation_goes_to_the_requested_media() {
        let pool = with_aliases(&[]);
        let sent = |invitations: Invitations, attributes: &[(&str, &str)]| {
            let decision = admin_create_user(&pool, some(&pool, "jane", attributes), &temporary(invitations));
            decision.answer.unwrap();
            assert_eq!(decision.messages.len(), decision.activity.len());
            let sent = decision.messages.iter().map(|message| (message.medium, message.to.clone()));
            sent.collect::<Vec<_>>()
        };
        let to = |medium: Medium, address: (&str, &str)| (medium, address.1.to_owned());
        let (by_email, by_sms) = (to(Medium::Email, EMAIL), to(Medium::Sms, PHONE));
        let media = |names: &[&'static str]| Invitations::By(names.iter().copied().collect());
        assert_eq!(sent(Invitations::Unsaid, &[EMAIL, PHONE]), [to(Medium::Sms, PHONE)]);
        assert_eq!(sent(Invitations::Unsaid, &[EMAIL]), []);
        assert_eq!(sent(media(&["EMAIL"]), &[EMAIL, PHONE]), [to(Medium::Email, EMAIL)]);
        assert_eq!(sent(media(&["SMS", "EMAIL"]), &[EMAIL, PHONE]), [by_email, by_sms]);
        assert_eq!(sent(Invitations::Suppressed, &[EMAIL, PHONE]), []);
        let nowhere = admin_create_user(&pool, some(&pool, "jane", &[PHONE]), &temporary(media(&["EMAIL"])));
        let message = "The invitation can't be delivered: the user has no email.".to_owned();
        assert_eq!(refused(nowhere), (Exception::CodeDeliveryFailureException, message));
    }

    #[test]
    fn the_media_are_read_from_the_request() {
        let of = |media: &[&str], action: Option<&str>| {
            Invitations::of(&v1::AdminCreateUserRequest {
                desired_delivery_mediums: texts(media),
                message_action: action.map(str::to_owned),
                ..Default::default()
            })
        };
        assert_eq!(of(&[], None), Invitations::Unsaid);
        assert_eq!(of(&["EMAIL", "EMAIL"], None), Invitations::By(["EMAIL"].into()));
        assert_eq!(of(&["EMAIL"], Some("SUPPRESS")), Invitations::Suppressed);
        assert_eq!(of(&["SMS"], Some("RESEND")), Invitations::By(["SMS"].into()));
    }

    #[test]
    fn a_taken_name_is_refused() {
        let pool = with_aliases(&["email"]);
        let refusal_of = |pool: &UserPool, invitee: &Invitee, taken: &[&str], force| {
            refusal(conflicts(&pool.name_rules(), invitee, &texts(taken), force))
        };
        let expected = |message: &str| (Exception::UsernameExistsException, message.to_owned());
        let jane = some(&pool, "jane", &[EMAIL, ("email_verified", "true")]);
        assert_eq!(refusal_of(&pool, &jane, &["jane"], true), expected("User account already exists"));
        let email = "An account with the given email already exists.";
        assert_eq!(refusal_of(&pool, &jane, &[EMAIL.1], false), expected(email));
        let by_address = by_address(&["email"]);
        let named = some(&by_address, EMAIL.1, &[]);
        assert_eq!(refusal_of(&by_address, &named, &[EMAIL.1], true), expected(email), "a name is no alias");
        let preferring = with_aliases(&["preferred_username"]);
        let j = some(&preferring, "jane", &[("preferred_username", "j")]);
        let message = "An account with the given preferred_username already exists.";
        assert_eq!(refusal_of(&preferring, &j, &["j"], true), expected(message));
    }

    #[test]
    fn an_alias_counts_once_it_is_verified_and_moves_by_force() {
        let pool = with_aliases(&["email", "phone_number"]);
        let rules = pool.name_rules();
        let unproved = some(&pool, "jane", &[EMAIL]);
        assert_eq!(conflicts(&rules, &unproved, &texts(&[EMAIL.1]), false).unwrap(), []);
        let jane = some(&pool, "jane", &[EMAIL, PHONE, ("email_verified", "true"), ("phone_number_verified", "true")]);
        let taken = conflicts(&rules, &jane, &texts(&[EMAIL.1, PHONE.1]), true).unwrap();
        assert_eq!(taken.iter().map(|alias| alias.attribute).collect::<Vec<_>>(), ["email", "phone_number"]);

        let owner = user(&[signed_up("joan", &[EMAIL, PHONE]), confirmed(&["email"])]);
        let released = release_aliases(&owner, &rules, &taken).unwrap();
        assert_eq!(released, [Event::AliasReleased(UserAliasReleased { attribute: "email".to_owned() })]);
    }

    #[test]
    fn a_preferred_username_of_another_user_is_not_taken() {
        let rules = with_aliases(&["email", "preferred_username"]).name_rules();
        let owner = user(&[signed_up("joan", &[("preferred_username", EMAIL.1)])]);
        let taken = [TakenAlias { attribute: "email", name: EMAIL.1.to_owned() }];
        let message = "An account with the given email already exists.".to_owned();
        let refused = refusal(release_aliases(&owner, &rules, &taken));
        assert_eq!(refused, (Exception::UsernameExistsException, message));
    }

    #[test]
    fn all_names_that_could_be_claimed_are_looked_up() {
        let rules = with_aliases(&["email"]).name_rules();
        assert_eq!(possible_names(&rules, &request("jane", &[EMAIL, PHONE, ("name", "J")])), ["jane", EMAIL.1]);
        let rules = by_address(&["phone_number"]).name_rules();
        assert_eq!(possible_names(&rules, &request(PHONE.1, &[EMAIL, PHONE])), [PHONE.1, PHONE.1]);
    }
}

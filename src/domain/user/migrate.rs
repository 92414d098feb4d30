//! Migration of a user from another directory: the rules.

use crate::domain::attributes;
use crate::domain::decision::{Aggregate, Decision};
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, Sub};
use crate::domain::message::{Medium, Message, USERNAME_PLACE, fill_body};
use crate::domain::second_factor::SecondFactor;
use crate::domain::time::Timestamp;
use crate::domain::trigger::reply::impossible;
use crate::domain::trigger::user_migration::Profile;
use crate::domain::user::admin_create_user::{self, Invitations, Invitee};
use crate::domain::user::second_factors::MfaPreference;
use crate::domain::user::taken_alias::TakenAlias;
use crate::domain::user::{Password, User};
use crate::domain::user_pool::{NameRules, UserPool};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserMigrated, UserPersonal};
use crate::proto::v1::{AdminCreateUserRequest, AttributeType};

/// The level of events since which servers know migrated users.
pub const LEVEL: i32 = 2;

/// A user to be created as the trigger says, with a valid name and valid attributes.
pub struct Newcomer {
    /// Name and attributes.
    pub invitee: Invitee,
    invitations: Invitations,
    takes_aliases: bool,
    is_confirmed: bool,
    has_sms_factor: bool,
}

/// What the trigger says, in the form of an administrator's request for a user.
fn request(pool: &UserPool, typed: &str, profile: &Profile) -> AdminCreateUserRequest {
    let attribute =
        |(name, value): (&String, &String)| AttributeType { name: Some(name.clone()), value: Some(value.clone()) };
    // Where addresses are the names, the name is the address that was typed.
    let own_name = profile.username.clone().filter(|_| pool.name_rules().username_attributes.is_empty());
    AdminCreateUserRequest {
        username: own_name.or(Some(typed.to_owned())),
        user_attributes: profile.attributes.iter().map(attribute).collect(),
        message_action: profile.is_silent.then(|| "SUPPRESS".to_owned()),
        desired_delivery_mediums: profile.media.clone(),
        ..AdminCreateUserRequest::default()
    }
}

/// Every name that the user could claim, in the form that is compared.
pub fn possible_names(pool: &UserPool, typed: &str, profile: &Profile) -> Vec<String> {
    admin_create_user::possible_names(&pool.name_rules(), &request(pool, typed, profile))
}

/// Checks what the trigger says about the user who typed this name. Whatever can't be is the trigger's mistake.
pub fn newcomer(pool: &UserPool, sub: Sub, typed: &str, profile: &Profile) -> Result<Newcomer, Error> {
    check(pool, sub, typed, profile).map_err(of_trigger)
}

fn check(pool: &UserPool, sub: Sub, typed: &str, profile: &Profile) -> Result<Newcomer, Error> {
    let request = request(pool, typed, profile);
    let invitee = admin_create_user::invitee(pool, sub, &request)?;
    attributes::require(&pool.schema, &invitee.attributes)?;
    let invitations = Invitations::of(&request);
    invitations.addresses(&invitee.attributes)?;
    let newcomer = Newcomer {
        invitee,
        invitations,
        takes_aliases: profile.takes_aliases,
        is_confirmed: profile.is_confirmed,
        has_sms_factor: profile.has_sms_factor,
    };
    let has_phone = newcomer.invitee.attributes.get("phone_number").is_some_and(|number| !number.is_empty());
    if newcomer.has_sms_factor && !(has_phone && pool.second_factors().contains(&SecondFactor::Sms)) {
        return Err(Error::invalid_parameter(
            "enableSMSMFA needs a pool with SMS as a second factor, and a phone_number",
        ));
    }
    let rules = pool.name_rules();
    if !newcomer.names(sub, &rules).contains(&rules.normalise(typed)) {
        return Err(Error::invalid_parameter("nobody finds the user by the name that was typed"));
    }
    Ok(newcomer)
}

/// A refusal, as the mistake of the trigger that has caused it.
pub fn of_trigger(error: Error) -> Error {
    impossible(error.message.trim_end_matches('.'))
}

impl Newcomer {
    /// The names that the user has. They do not depend on the time.
    fn names(&self, sub: Sub, rules: &NameRules) -> Vec<String> {
        let user = User::apply(None, &StreamId::user(sub), &self.migrated(None, String::new()), Timestamp(0));
        user.map(|user| user.names(rules).into_iter().collect()).unwrap_or_default()
    }

    /// The aliases that the user takes from others; a refusal if a name is another user's.
    pub fn conflicts(&self, rules: &NameRules, taken: &[String]) -> Result<Vec<TakenAlias>, Error> {
        admin_create_user::conflicts(rules, &self.invitee, taken, self.takes_aliases).map_err(of_trigger)
    }

    fn migrated(&self, password: Option<Password>, client_id: String) -> Event {
        let Invitee { username, attributes, verified, .. } = self.invitee.clone();
        let must_reset_password = !self.is_confirmed || password.is_none();
        let (hash, verifier) = password.map(|it| (it.hash.0, it.srp_verifier.0)).unwrap_or_default();
        Event::Migrated(UserMigrated {
            personal: Some(UserPersonal { username: Some(username), attributes }),
            verified_attributes: verified.into_iter().collect(),
            client_id,
            password_hash: hash,
            srp_verifier: verifier,
            must_reset_password,
        })
    }

    fn messages(&self, pool: &UserPool, typed: &str) -> Result<Vec<Message>, Error> {
        let addresses = self.invitations.addresses(&self.invitee.attributes)?;
        Ok(addresses.into_iter().map(|(medium, address)| welcome(pool, medium, address, typed)).collect())
    }
}

const SUBJECT: &str = "Your account has moved";
const TEXT: &str = "Your account with the username {username} has moved.";

/// The message to a user who came over. It is not the pool's invitation: that one contains a password.
fn welcome(pool: &UserPool, medium: Medium, to: &str, username: &str) -> Message {
    let subject = (medium == Medium::Email).then(|| SUBJECT.to_owned());
    Message::new(&pool.settings, medium, to, subject, fill_body(medium, TEXT, &[(USERNAME_PLACE, username)]))
}

/// Decides the creation of a user who came over. Without a password, they have forgotten theirs and set another by a code.
pub fn migrate(
    pool: &UserPool,
    newcomer: &Newcomer,
    typed: &str,
    password: Option<Password>,
    client_id: String,
) -> Decision<Event, Activity, ()> {
    let messages = match newcomer.messages(pool, typed) {
        Ok(messages) => messages,
        Err(error) => return Decision::refuse(of_trigger(error)),
    };
    let factor = SecondFactor::Sms;
    let preference = MfaPreference { enabled: [factor].into(), preferred: Some(factor), passkeys: false };
    let preference = newcomer.has_sms_factor.then(|| Event::MfaPreferenceSet(preference.event()));
    let migrated = newcomer.migrated(password, client_id);
    let unproved = admin_create_user::said_unproved(&newcomer.invitee);
    let events = [migrated].into_iter().chain(unproved).chain(preference).collect();
    Decision::events(events, ()).with_messages(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{JANE, password, pool, refusal, texts, user};
    use crate::domain::user::UserStatus;
    use crate::proto::v1;

    const EMAIL: (&str, &str) = ("email", "jane@example.com");
    const PHONE: (&str, &str) = ("phone_number", "+12025550123");

    fn profile(attributes: &[(&str, &str)]) -> Profile {
        Profile {
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            username: None,
            is_confirmed: true,
            is_silent: true,
            media: Vec::new(),
            takes_aliases: false,
            has_sms_factor: false,
        }
    }

    fn decided(
        pool: &UserPool,
        typed: &str,
        profile: &Profile,
        known: Option<Password>,
    ) -> Decision<Event, Activity, ()> {
        let newcomer = newcomer(pool, JANE, typed, profile).unwrap();
        migrate(pool, &newcomer, typed, known, "client".to_owned())
    }

    fn refused(pool: &UserPool, typed: &str, profile: &Profile) -> String {
        let (exception, message) = refusal(newcomer(pool, JANE, typed, profile).map(drop));
        assert_eq!(exception, Exception::InvalidLambdaResponseException);
        message
    }

    fn some_pool() -> UserPool {
        pool(v1::CreateUserPoolRequest::default())
    }

    #[test]
    fn a_user_comes_over_with_attributes_and_password() {
        let profile = profile(&[EMAIL, PHONE, ("email_verified", "true"), ("phone_number_verified", "false")]);
        let decision = decided(&some_pool(), "jane", &profile, Some(password("old")));
        assert!(decision.messages.is_empty());
        let jane = user(&decision.events);
        assert_eq!(
            (jane.username(), jane.status, jane.password.clone()),
            ("jane", UserStatus::Confirmed, Some(password("old")))
        );
        let shown: std::collections::BTreeMap<_, _> = jane.shown_attributes().into_iter().collect();
        assert_eq!((shown["email_verified"].as_str(), shown["phone_number_verified"].as_str()), ("true", "false"));
    }

    #[test]
    fn without_a_status_or_a_password_the_user_has_to_set_another() {
        let reset = Profile { is_confirmed: false, ..profile(&[EMAIL]) };
        let jane = user(&decided(&some_pool(), "jane", &reset, Some(password("old"))).events);
        assert_eq!((jane.status, jane.password), (UserStatus::ResetRequired, Some(password("old"))));
        let jane = user(&decided(&some_pool(), "jane", &profile(&[EMAIL]), None).events);
        assert_eq!((jane.status, jane.password, jane.password_removed), (UserStatus::ResetRequired, None, false));
    }

    #[test]
    fn a_message_goes_where_the_trigger_says() {
        let sent = |profile: Profile| {
            let decision = decided(&some_pool(), "jane", &profile, None);
            decision.messages.into_iter().map(|message| (message.medium, message.to, message.body)).collect::<Vec<_>>()
        };
        let text = "Your account with the username jane has moved.".to_owned();
        let told = Profile { is_silent: false, ..profile(&[EMAIL, PHONE]) };
        assert_eq!(sent(told.clone()), [(Medium::Sms, PHONE.1.to_owned(), text.clone())]);
        assert_eq!(sent(Profile { media: texts(&["EMAIL"]), ..told }), [(Medium::Email, EMAIL.1.to_owned(), text)]);
        assert_eq!(sent(Profile { is_silent: false, ..profile(&[EMAIL]) }), []);
        let nowhere = Profile { is_silent: false, media: texts(&["SMS"]), ..profile(&[EMAIL]) };
        assert!(refused(&some_pool(), "jane", &nowhere).contains("the user has no phone_number"));
    }

    #[test]
    fn an_sms_factor_needs_a_pool_and_a_phone_for_it() {
        let mut pool = some_pool();
        let with_factor = |attributes: &[(&str, &str)]| Profile { has_sms_factor: true, ..profile(attributes) };
        assert!(refused(&pool, "jane", &with_factor(&[PHONE])).contains("enableSMSMFA needs"));
        pool.settings.mfa_configuration = Some("OPTIONAL".to_owned());
        pool.settings.sms_mfa_enabled = Some(true);
        assert!(refused(&pool, "jane", &with_factor(&[EMAIL])).contains("enableSMSMFA needs"));
        let jane = user(&decided(&pool, "jane", &with_factor(&[PHONE]), None).events);
        assert_eq!(jane.mfa.preferred, Some(SecondFactor::Sms));
    }

    #[test]
    fn what_does_not_fit_the_pool_is_named() {
        let pool = some_pool();
        for (attribute, value, why) in [
            ("sub", "x", "user.sub"),
            ("custom:unknown", "x", "custom:unknown"),
            ("email", "no address", "email"),
            ("email_verified", "true", "email_verified needs a value of email"),
        ] {
            let message = refused(&pool, "jane", &profile(&[(attribute, value)]));
            assert!(message.starts_with("Unrecognizable lambda output: ") && message.contains(why), "{message}");
        }
        let schema = vec![v1::SchemaAttributeType {
            name: Some("nickname".to_owned()),
            attribute_data_type: Some("String".to_owned()),
            required: Some(true),
            ..Default::default()
        }];
        let demanding = self::pool(v1::CreateUserPoolRequest { schema, ..Default::default() });
        assert!(refused(&demanding, "jane", &profile(&[EMAIL])).contains("nickname"));
    }

    #[test]
    fn the_user_is_found_by_the_name_that_was_typed() {
        let by_alias = pool(v1::CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..Default::default() });
        let named = Profile { username: Some("jane".to_owned()), ..profile(&[EMAIL, ("email_verified", "true")]) };
        let jane = user(&decided(&by_alias, EMAIL.1, &named, None).events);
        assert_eq!(jane.username(), "jane");
        let unproved = Profile { username: Some("jane".to_owned()), ..profile(&[EMAIL]) };
        assert!(refused(&by_alias, EMAIL.1, &unproved).contains("nobody finds the user"));
        assert!(refused(&by_alias, EMAIL.1, &profile(&[EMAIL])).contains("cannot be of email format"));
        let by_address =
            pool(v1::CreateUserPoolRequest { username_attributes: texts(&["email"]), ..Default::default() });
        let jane = user(&decided(&by_address, EMAIL.1, &named, None).events);
        assert_eq!((jane.username(), jane.attribute("email")), (JANE.to_string().as_str(), Some(EMAIL.1)));
        assert!(refused(&by_address, "jane", &named).contains("Username should be an email"));
    }

    #[test]
    fn the_name_of_another_user_is_not_taken_and_an_alias_by_force() {
        let pool = pool(v1::CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..Default::default() });
        let known = profile(&[EMAIL, ("email_verified", "true")]);
        let rules = pool.name_rules();
        let taken = texts(&[EMAIL.1]);
        let found = newcomer(&pool, JANE, "jane", &known).unwrap();
        let message = "Unrecognizable lambda output: An account with the given email already exists.";
        assert_eq!(refusal(found.conflicts(&rules, &taken)).1, message);
        let found = newcomer(&pool, JANE, "jane", &Profile { takes_aliases: true, ..known }).unwrap();
        assert_eq!(found.conflicts(&rules, &taken).unwrap()[0].attribute, "email");
    }
}

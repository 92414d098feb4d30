//! The answer to NEW_PASSWORD_REQUIRED: the rules.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::app_client::AppClient;
use crate::domain::attributes::{self, Attributes};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::password_policy;
use crate::domain::user::sign_up::refuse_lookalike_alias;
use crate::domain::user::{Password, User, UserStatus, name_exists};
use crate::domain::user_pool::{NameRules, UserPool};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserNewPasswordChosen, UserPersonal};
use crate::proto::v1::AttributeType;

/// The prefix of attribute names in the parameters of the challenge and in its responses.
const PREFIX: &str = "userAttributes.";
/// Attributes whose value needs a proof or is the user name: once given, the challenge can't change them.
const ADDRESSES: [&str; 2] = ["email", "phone_number"];

/// The parameters of the challenge: the attributes that the client may read, and the names of missing required ones.
pub fn parameters(pool: &UserPool, client: &AppClient, user: &User) -> BTreeMap<String, String> {
    let missing = attributes::missing(&pool.schema, user.attributes.known());
    let missing: Vec<_> = missing.map(|name| format!("{PREFIX}{name}")).collect();
    let readable = |name: &str| attributes::readable(&pool.schema, client.readable(), name) && name != "sub";
    let shown = user.shown_attributes().into_iter().filter(|(name, _)| readable(name));
    let shown: Map<String, Value> = shown.map(|(name, value)| (name, Value::String(value))).collect();
    [
        ("USER_ID_FOR_SRP", user.username().to_owned()),
        ("requiredAttributes", Value::from(missing).to_string()),
        ("userAttributes", Value::Object(shown).to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The attributes among the responses to the challenge.
pub fn written_attributes(responses: &BTreeMap<String, String>) -> Vec<AttributeType> {
    let written = responses.iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    written.map(|(name, value)| AttributeType { name: Some(name.to_owned()), value: Some(value.clone()) }).collect()
}

/// Every name that the attributes could claim, in the form that is compared.
pub fn possible_names(rules: &NameRules, written: &[AttributeType]) -> Vec<String> {
    let stands_for_name =
        |name: &str| rules.alias_attributes.contains(name) || rules.username_attributes.contains(name);
    let written = written.iter().filter(|it| stands_for_name(it.name()) && !it.value().is_empty());
    written.map(|it| rules.normalise(it.value())).collect()
}

/// Checks everything that can be checked before the password is hashed, and returns the attributes to be set.
pub fn check(
    pool: &UserPool,
    client: &AppClient,
    user: &User,
    password: &str,
    written: &[AttributeType],
    taken: &[String],
) -> Result<Attributes, Error> {
    if user.status != UserStatus::ForceChangePassword {
        return Err(Error::invalid_session());
    }
    password_policy::check_form(password)?;
    password_policy::check(&pool.password_policy(), password)?;
    let given = attributes::conform(&pool.schema, written, client.writer())?;
    for name in given.keys() {
        permit(pool, user, name)?;
    }
    refuse_lookalike_alias(&pool.name_rules(), &given)?;
    let mut all = user.attributes.known().cloned().unwrap_or_default();
    all.extend(given.clone());
    let missing: Vec<_> =
        attributes::missing(&pool.schema, Some(&all)).map(|name| format!("{name} is missing")).collect();
    if !missing.is_empty() {
        return Err(Error::invalid_parameter(format!("Invalid attributes given, {}", missing.join(", "))));
    }
    let rules = pool.name_rules();
    let before = user.names(&rules);
    let after = User { attributes: Some(all).into(), ..user.clone() };
    let is_taken = |name: &String| taken.contains(name) && !before.contains(name);
    match after.aliases(&rules).into_iter().find(|(_, name)| is_taken(name)) {
        Some((attribute, _)) => Err(name_exists(&rules, attribute)),
        None => Ok(given),
    }
}

/// Refuses to change an existing attribute that is required, an address, or immutable.
fn permit(pool: &UserPool, user: &User, name: &str) -> Result<(), Error> {
    if user.attribute(name).is_none_or(str::is_empty) {
        return Ok(());
    }
    let known = pool.schema.iter().find(|known| known.name() == name);
    if known.is_some_and(|known| known.required()) || ADDRESSES.contains(&name) {
        return Err(Error::not_authorized(format!("Cannot modify an already provided {name}")));
    }
    match known.is_some_and(|known| known.mutable()) {
        true => Ok(()),
        false => Err(Error::invalid_parameter(format!("user.{name}: Attribute cannot be updated."))),
    }
}

/// The end of a temporary password: the user is confirmed, with the checked attributes and a password of their own.
pub fn choose_new_password(attributes: Attributes, password: Password) -> Decision<Event, Activity, ()> {
    let chosen = Event::NewPasswordChosen(UserNewPasswordChosen {
        personal: Some(UserPersonal { username: None, attributes }),
        password_hash: password.hash.0,
        srp_verifier: password.srp_verifier.0,
    });
    Decision::events(vec![chosen], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{
        client, confirmed, invited, password, pool, refusal, signed_up, texts, user, written,
    };
    use crate::proto::v1;

    const PASSWORD: &str = "Correct-horse-1";

    fn attribute(name: &str, required: bool, mutable: bool) -> v1::SchemaAttributeType {
        v1::SchemaAttributeType {
            name: Some(name.to_owned()),
            attribute_data_type: Some("String".to_owned()),
            required: Some(required),
            mutable: Some(mutable),
            ..Default::default()
        }
    }

    fn some_pool() -> UserPool {
        let schema =
            vec![attribute("nickname", true, true), attribute("badge", false, false), attribute("email", false, true)];
        let alias_attributes = texts(&["preferred_username"]);
        pool(v1::CreateUserPoolRequest { schema, alias_attributes, ..Default::default() })
    }

    fn checked(pool: &UserPool, user: &User, given: &[(&str, &str)], taken: &[&str]) -> Result<Attributes, Error> {
        let client = client(pool, Default::default());
        check(pool, &client, user, PASSWORD, &written(given), &texts(taken))
    }

    #[test]
    fn the_challenge_lists_existing_and_missing_attributes() {
        let pool = some_pool();
        let client =
            client(&pool, v1::CreateUserPoolClientRequest { read_attributes: texts(&["email"]), ..Default::default() });
        let jane = user(&[invited("jane", &[("email", "j@example.com"), ("name", "Jane")])]);
        let told = parameters(&pool, &client, &jane);
        assert_eq!(told["USER_ID_FOR_SRP"], "jane");
        assert_eq!(told["requiredAttributes"], r#"["userAttributes.nickname"]"#);
        assert_eq!(told["userAttributes"], r#"{"email":"j@example.com"}"#, "nothing was said of a proof");
    }

    #[test]
    fn attributes_are_named_with_a_prefix_among_the_responses() {
        let responses = [("NEW_PASSWORD", "x"), ("userAttributes.nickname", "J"), ("USERNAME", "jane")];
        let responses = responses.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(written_attributes(&responses), written(&[("nickname", "J")]));
        let rules = some_pool().name_rules();
        assert_eq!(possible_names(&rules, &written(&[("preferred_username", "j"), ("nickname", "J")])), ["j"]);
    }

    #[test]
    fn required_attributes_come_with_the_password_and_the_policy_holds() {
        let pool = some_pool();
        let jane = user(&[invited("jane", &[])]);
        assert_eq!(checked(&pool, &jane, &[("nickname", "J")], &[]).unwrap().len(), 1);
        let message = "Invalid attributes given, nickname is missing".to_owned();
        assert_eq!(refusal(checked(&pool, &jane, &[], &[])), (Exception::InvalidParameterException, message));
        let client = client(&pool, Default::default());
        let weak = refusal(check(&pool, &client, &jane, "weak", &written(&[("nickname", "J")]), &[]));
        assert_eq!(weak.0, Exception::InvalidPasswordException);
        let choose = |password: &str| check(&pool, &client, &jane, password, &written(&[("nickname", "J")]), &[]);
        assert!(choose("Correct horse 1").is_ok(), "a space inside is a symbol");
        for wrong in [" Correct-horse-1", "Correct-horse-1 "] {
            assert_eq!(refusal(choose(wrong)).0, Exception::InvalidPasswordException, "{wrong:?}");
        }
    }

    #[test]
    fn existing_attributes_and_those_that_the_client_may_not_write_stay() {
        let pool = some_pool();
        let there = [("nickname", "J"), ("email", "j@example.com"), ("custom:badge", "7"), ("name", "Jane")];
        let jane = user(&[invited("jane", &there)]);
        let refused = |given: (&str, &str)| refusal(checked(&pool, &jane, &[given], &[]));
        for name in ["nickname", "email"] {
            let message = format!("Cannot modify an already provided {name}");
            let value = if name == "email" { "other@example.com" } else { "other" };
            assert_eq!(refused((name, value)), (Exception::NotAuthorizedException, message));
        }
        assert_eq!(refused(("custom:badge", "8")).1, "user.custom:badge: Attribute cannot be updated.");
        assert_eq!(refused(("email_verified", "true")).0, Exception::NotAuthorizedException);
        assert!(checked(&pool, &jane, &[("name", "Joan")], &[]).is_ok());
    }

    #[test]
    fn a_name_of_another_user_is_refused() {
        let pool = some_pool();
        let jane = user(&[invited("jane", &[("nickname", "J")])]);
        let given = [("preferred_username", "j")];
        assert!(checked(&pool, &jane, &given, &[]).is_ok());
        let message = "An account with the preferred_username already exists.".to_owned();
        let refused = refusal(checked(&pool, &jane, &given, &["j"]));
        assert_eq!(refused, (Exception::AliasExistsException, message));
        let username_attributes = texts(&["email"]);
        let by_address = super::tests::pool(v1::CreateUserPoolRequest { username_attributes, ..Default::default() });
        let message = "An account with the given email already exists.".to_owned();
        let refused = refusal(checked(&by_address, &jane, &[("email", "j@example.com")], &["j@example.com"]));
        assert_eq!(refused, (Exception::AliasExistsException, message));
    }

    #[test]
    fn a_name_must_not_look_like_an_address() {
        let alias_attributes = texts(&["preferred_username", "email", "phone_number"]);
        let pool = pool(v1::CreateUserPoolRequest { alias_attributes, ..Default::default() });
        let jane = user(&[invited("jane", &[])]);
        let refused = |name: &str| refusal(checked(&pool, &jane, &[("preferred_username", name)], &[]));
        for (name, form) in [("victim@example.com", "email"), ("+12025550123", "phone number")] {
            let message = format!(
                "preferred_username cannot be of {form} format, since user pool is configured for {form} alias."
            );
            assert_eq!(refused(name), (Exception::InvalidParameterException, message));
        }
        assert!(checked(&pool, &jane, &[("preferred_username", "j")], &[]).is_ok());
        let proved = [("email", "jane@example.com"), ("phone_number", "+12025550123")];
        assert!(checked(&pool, &jane, &proved, &[]).is_ok(), "these count once they are proved");
    }

    #[test]
    fn only_a_user_with_a_temporary_password_chooses_one_this_way() {
        let pool = some_pool();
        let own = user(&[signed_up("jane", &[("nickname", "J")]), confirmed(&[])]);
        assert_eq!(refusal(checked(&pool, &own, &[], &[])).1, "Invalid session for the user.");
    }

    #[test]
    fn a_new_password_confirms_the_user() {
        let events = vec![invited("jane", &[("nickname", "J")])];
        let attributes = [("name".to_owned(), "Jane".to_owned())].into();
        let decision = choose_new_password(attributes, password("own"));
        let after = user(&[events, decision.events].concat());
        assert_eq!((after.status, after.password.clone()), (UserStatus::Confirmed, Some(password("own"))));
        assert_eq!((after.attribute("name"), after.attribute("nickname")), (Some("Jane"), Some("J")));
    }
}

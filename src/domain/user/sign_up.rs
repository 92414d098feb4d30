//! SignUp: the rules.

use crate::domain::addresses;
use crate::domain::app_client::AppClient;
use crate::domain::attributes::{self, Attributes};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::message::{Medium, Message};
use crate::domain::password_policy;
use crate::domain::sign_up_message::sign_up_message;
use crate::domain::user::taken_alias::TakenAlias;
use crate::domain::user::{Password, codes};
use crate::domain::user_pool::{NameRules, UserPool};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, ConfirmedBy, UserAttributesSet, UserConfirmed, UserPersonal, UserSignedUp};
use crate::proto::v1;

/// A registration with a valid name and attributes, and with a valid password or a way to sign in without one.
#[derive(Clone, PartialEq)]
pub struct Registration {
    /// The user name: the `sub` where an address is the name.
    pub username: String,
    /// The attributes, including an address that serves as the name.
    pub attributes: Attributes,
}

/// Checks everything that can be checked before the password is hashed. Who can sign in by a code of one of these media
/// needs no password.
pub fn registration(
    pool: &UserPool,
    client: &AppClient,
    sub: Sub,
    request: &v1::SignUpRequest,
    by_code: &[Medium],
) -> Result<Registration, Error> {
    let admin_only =
        pool.settings.admin_create_user_config.as_ref().is_some_and(|it| it.allow_admin_create_user_only());
    if admin_only {
        return Err(Error::not_authorized("SignUp is not permitted for this user pool"));
    }
    if let Some(password) = &request.password {
        password_policy::check(&pool.password_policy(), password)?;
    }
    let mut attributes = attributes::conform(&pool.schema, &request.user_attributes, client.writer())?;
    let username = name_of(pool, sub, request.username(), &mut attributes)?;
    if pool.name_rules().alias_attributes.contains("preferred_username")
        && attributes.contains_key("preferred_username")
    {
        // It would be an alias at once, but the user has proved nothing yet.
        return Err(early_preferred_name());
    }
    attributes::require(&pool.schema, &attributes)?;
    // The address that the sign-up proves must be the one that takes the codes.
    let can_do_without = || code_medium(pool, &attributes).is_some_and(|medium| by_code.contains(&medium));
    if request.password.is_none() && !can_do_without() {
        return Err(Error::invalid_parameter("Missing required parameter Password"));
    }
    Ok(Registration { username, attributes })
}

const EARLY_PREFERRED_NAME: &str = "Preferred username cannot be provided for unconfirmed account, since user pool is configured for \
    preferred username alias.";

/// The refusal of a preferred name that would be an alias before the user has proved anything.
pub fn early_preferred_name() -> Error {
    Error::invalid_parameter(EARLY_PREFERRED_NAME)
}

/// Refuses a name that has the form of another user's possible address.
fn refuse_lookalike(rules: &NameRules, what: &str, name: &str) -> Result<(), Error> {
    let mistaken = |attribute: &str, is: fn(&str) -> bool| rules.alias_attributes.contains(attribute) && is(name);
    let form = if mistaken("email", addresses::is_email) {
        "email"
    } else if mistaken("phone_number", addresses::is_phone_number) {
        "phone number"
    } else {
        return Ok(());
    };
    Err(Error::invalid_parameter(format!(
        "{what} cannot be of {form} format, since user pool is configured for {form} alias."
    )))
}

/// A preferred name that is an alias counts at once, without a proof, so it must not have the form of an address
/// either.
pub fn refuse_lookalike_alias(rules: &NameRules, set: &Attributes) -> Result<(), Error> {
    match set.get("preferred_username") {
        Some(preferred) if rules.alias_attributes.contains("preferred_username") => {
            refuse_lookalike(rules, "preferred_username", preferred)
        }
        _ => Ok(()),
    }
}

/// The user name, and the attribute that is taken from it where an address is the name.
pub(super) fn name_of(pool: &UserPool, sub: Sub, asked: &str, attributes: &mut Attributes) -> Result<String, Error> {
    let rules = pool.name_rules();
    if rules.username_attributes.is_empty() {
        // A name may look like a `sub`. If it is another user's sub, it is taken, because all names share one
        // namespace.
        refuse_lookalike(&rules, "Username", asked)?;
        return Ok(asked.to_owned());
    }
    let takes = |attribute: &str| rules.username_attributes.contains(attribute);
    let attribute = match asked {
        address if takes("email") && addresses::is_email(address) => "email",
        address if takes("phone_number") && addresses::is_phone_number(address) => "phone_number",
        _ if takes("email") && takes("phone_number") => {
            return Err(Error::invalid_parameter("Username should be either an email or a phone number."));
        }
        _ if takes("email") => return Err(Error::invalid_parameter("Username should be an email.")),
        _ => return Err(Error::invalid_parameter("Username should be a phone number.")),
    };
    let given = attributes.entry(attribute.to_owned()).or_insert_with(|| asked.to_owned());
    if rules.normalise(given) != rules.normalise(asked) {
        return Err(Error::invalid_parameter(format!("The attribute {attribute} and the Username must be the same.")));
    }
    Ok(sub.to_string())
}

/// The media for the code of a sign-up; the phone is preferred.
pub const SIGN_UP_WAYS: [Medium; 2] = [Medium::Sms, Medium::Email];

/// The medium for the code of a sign-up: the first whose address the pool verifies.
pub fn code_medium(pool: &UserPool, attributes: &Attributes) -> Option<Medium> {
    let verifies = |medium: Medium| {
        let attribute = medium.attribute();
        pool.verifies(attribute) && attributes.get(attribute).is_some_and(|address| !address.is_empty())
    };
    SIGN_UP_WAYS.into_iter().find(|medium| verifies(*medium))
}

/// The parameters of the command.
pub struct SignUp {
    /// The name and the attributes, already checked.
    pub registration: Registration,
    /// The password in both stored forms; absent if the user has none.
    pub password: Option<Password>,
    /// The app client that the user signs up through.
    pub client_id: String,
    /// The code, in case one is sent.
    pub code: String,
    /// Whether the pool's trigger confirms the user at once. Then no code is sent.
    pub confirmed: bool,
    /// The names of the attributes that count as verified because the pool's trigger says so.
    pub verified: Vec<String>,
}

/// The aliases that a new user takes at once, if others have them: the addresses that count as verified.
pub fn taken_aliases(rules: &NameRules, attributes: &Attributes, verified: &[String]) -> Vec<TakenAlias> {
    let is_taken = |attribute: &&'static str| {
        rules.alias_attributes.contains(*attribute) && verified.iter().any(|name| name == attribute)
    };
    let alias = |attribute: &'static str| {
        attributes.get(attribute).map(|address| TakenAlias { attribute, name: rules.normalise(address) })
    };
    ["email", "phone_number"].into_iter().filter(is_taken).filter_map(alias).collect()
}

/// The answer to a registration.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedUp {
    /// Whether the user is confirmed.
    pub confirmed: bool,
    /// The medium and the address of the code, if one is sent.
    pub code_delivery: Option<(Medium, String)>,
}

/// Decides a registration: creates the user, and sends a code if the pool verifies an address and nothing else confirms
/// the user.
pub fn sign_up(pool: &UserPool, command: SignUp) -> Decision<Event, Activity, SignedUp> {
    let Registration { username, attributes } = command.registration;
    let medium = code_medium(pool, &attributes).filter(|_| !command.confirmed);
    let delivery =
        medium.and_then(|medium| attributes.get(medium.attribute()).map(|address| (medium, address.clone())));
    let message: Option<Message> = delivery
        .as_ref()
        .map(|(medium, address)| sign_up_message(pool, &command.client_id, *medium, address, &username, &command.code));
    let activity = medium.map(|medium| codes::sent(CodePurpose::SignUp, medium));
    let (hash, verifier) = command.password.map(|it| (it.hash.0, it.srp_verifier.0)).unwrap_or_default();
    let signed_up = UserSignedUp {
        personal: Some(UserPersonal { username: Some(username), attributes }),
        client_id: Some(command.client_id),
        password_hash: hash,
        srp_verifier: verifier,
    };
    let vouched = vouched(command.confirmed, command.verified);
    let events = [Event::SignedUp(signed_up)].into_iter().chain(vouched).collect();
    Decision::events(events, SignedUp { confirmed: command.confirmed, code_delivery: delivery })
        .with_activity(activity)
        .with_messages(message)
}

/// What the pool's trigger vouches for.
fn vouched(confirmed: bool, verified: Vec<String>) -> Option<Event> {
    if confirmed {
        let by = ConfirmedBy::Trigger.into();
        return Some(Event::Confirmed(UserConfirmed { by, verified_attributes: verified }));
    }
    let personal = Some(UserPersonal::default());
    let set = UserAttributesSet { personal, verified, ..UserAttributesSet::default() };
    (!set.verified.is_empty()).then_some(Event::AttributesSet(set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::personal::Sealed;
    use crate::domain::testing::{JANE, client, pool, refusal, texts, written};
    use crate::proto::events::UserCodeSent;

    const PASSWORD: &str = "Correct-horse-1";

    fn request(username: &str, attributes: &[(&str, &str)]) -> v1::SignUpRequest {
        v1::SignUpRequest {
            username: Some(username.to_owned()),
            password: Some(PASSWORD.to_owned()),
            user_attributes: written(attributes),
            ..Default::default()
        }
    }

    fn register(pool: &UserPool, request: &v1::SignUpRequest) -> Result<(String, Attributes), (Exception, String)> {
        let client = client(pool, v1::CreateUserPoolClientRequest::default());
        match registration(pool, &client, JANE, request, &[]) {
            Ok(registration) => Ok((registration.username, registration.attributes)),
            Err(error) => Err(refusal::<()>(Err(error))),
        }
    }

    fn invalid(what: &str) -> Result<(String, Attributes), (Exception, String)> {
        Err((Exception::InvalidParameterException, what.to_owned()))
    }

    fn by_address(username_attributes: &[&str]) -> UserPool {
        let username_attributes = texts(username_attributes);
        pool(v1::CreateUserPoolRequest { username_attributes, ..Default::default() })
    }

    #[test]
    fn a_name_and_attributes_are_taken_as_they_are() {
        let pool = pool(v1::CreateUserPoolRequest::default());
        let (username, attributes) = register(&pool, &request("jane", &[("email", "jane@example.com")])).unwrap();
        assert_eq!(username, "jane");
        assert_eq!(attributes, [("email".to_owned(), "jane@example.com".to_owned())].into());
    }

    #[test]
    fn a_pool_can_leave_sign_up_to_administrators() {
        let admin_create_user_config =
            Some(v1::AdminCreateUserConfigType { allow_admin_create_user_only: Some(true), ..Default::default() });
        let pool = pool(v1::CreateUserPoolRequest { admin_create_user_config, ..Default::default() });
        let message = "SignUp is not permitted for this user pool".to_owned();
        assert_eq!(register(&pool, &request("jane", &[])), Err((Exception::NotAuthorizedException, message)));
    }

    #[test]
    fn a_password_is_needed_and_conforms() {
        let pool = pool(v1::CreateUserPoolRequest::default());
        let without = v1::SignUpRequest { password: None, ..request("jane", &[]) };
        assert_eq!(register(&pool, &without), invalid("Missing required parameter Password"));
        let weak = v1::SignUpRequest { password: Some("weak".to_owned()), ..request("jane", &[]) };
        assert_eq!(register(&pool, &weak).unwrap_err().0, Exception::InvalidPasswordException);
    }

    #[test]
    fn who_can_sign_in_by_a_code_needs_no_password() {
        let registered = |by_code: &[Medium], verified: &[&str], attributes: &[(&str, &str)]| {
            let auto_verified_attributes = texts(verified);
            let pool = pool(v1::CreateUserPoolRequest { auto_verified_attributes, ..Default::default() });
            let client = client(&pool, v1::CreateUserPoolClientRequest::default());
            let request = v1::SignUpRequest { password: None, ..request("jane", attributes) };
            registration(&pool, &client, JANE, &request, by_code).map(drop)
        };
        let (email, phone) = (("email", "jane@example.com"), ("phone_number", "+12025550123"));
        let both = ["email", "phone_number"];
        assert!(registered(&[Medium::Email], &["email"], &[email]).is_ok());
        assert!(registered(&[Medium::Sms], &both, &[email, phone]).is_ok());
        let missing = "Missing required parameter Password";
        for refused in [
            registered(&[], &["email"], &[email]),
            registered(&[Medium::Email], &[], &[email]),
            registered(&[Medium::Email], &["email"], &[]),
            // The code of the sign-up goes to the phone, by which nobody signs in.
            registered(&[Medium::Email], &both, &[email, phone]),
        ] {
            assert_eq!(refusal(refused), (Exception::InvalidParameterException, missing.to_owned()));
        }
    }

    #[test]
    fn a_client_writes_only_what_it_may() {
        let pool = pool(v1::CreateUserPoolRequest::default());
        let client = client(
            &pool,
            v1::CreateUserPoolClientRequest { write_attributes: texts(&["email"]), ..Default::default() },
        );
        let attempt = |attributes: &[(&str, &str)]| {
            let request = request("jane", attributes);
            registration(&pool, &client, JANE, &request, &[]).map(|registration| registration.username)
        };
        assert!(attempt(&[("email", "jane@example.com")]).is_ok());
        assert_eq!(refusal(attempt(&[("name", "Jane")])).0, Exception::NotAuthorizedException);
        assert_eq!(refusal(attempt(&[("email_verified", "true")])).0, Exception::NotAuthorizedException);
    }

    #[test]
    fn missing_required_attributes_are_refused() {
        let nickname =
            v1::SchemaAttributeType { name: Some("nickname".to_owned()), required: Some(true), ..Default::default() };
        let pool = pool(v1::CreateUserPoolRequest { schema: vec![nickname], ..Default::default() });
        let missing = "Attributes did not conform to the schema: nickname: The attribute is required";
        assert_eq!(register(&pool, &request("jane", &[])), invalid(missing));
        assert_eq!(register(&pool, &request("jane", &[("nickname", "")])), invalid(missing));
        assert!(register(&pool, &request("jane", &[("nickname", "J")])).is_ok());
    }

    #[test]
    fn a_name_must_not_look_like_an_alias_and_may_look_like_a_sub() {
        let aliases = pool(v1::CreateUserPoolRequest {
            alias_attributes: texts(&["email", "phone_number", "preferred_username"]),
            ..Default::default()
        });
        let message = |username: &str| register(&aliases, &request(username, &[])).unwrap_err().1;
        assert!(message("jane@example.com").contains("email format"));
        assert!(message("+12025550123").contains("phone number format"));
        let other = "54f3b0fa-1124-4c5b-b52e-bab21ede5976";
        for uuid in [other.to_owned(), other.to_uppercase(), other.replace('-', "")] {
            assert_eq!(register(&aliases, &request(&uuid, &[])).unwrap().0, uuid);
        }
        let early = register(&aliases, &request("jane", &[("preferred_username", "j")]));
        assert_eq!(early, invalid(EARLY_PREFERRED_NAME));
        let plain = pool(v1::CreateUserPoolRequest::default());
        assert!(register(&plain, &request("jane@example.com", &[("preferred_username", "j")])).is_ok());
        assert!(register(&plain, &request("+12025550123", &[])).is_ok());
    }

    #[test]
    fn an_address_that_is_the_name_becomes_an_attribute_and_the_sub_the_name() {
        let (username, attributes) = register(&by_address(&["email"]), &request("jane@example.com", &[])).unwrap();
        assert_eq!(username, JANE.to_string());
        assert_eq!(attributes, [("email".to_owned(), "jane@example.com".to_owned())].into());
        let both = by_address(&["email", "phone_number"]);
        let (_, attributes) = register(&both, &request("+12025550123", &[("email", "j@example.com")])).unwrap();
        assert_eq!(attributes.keys().collect::<Vec<_>>(), ["email", "phone_number"]);
        let same = request("jane@example.com", &[("email", "jane@example.com")]);
        assert!(register(&both, &same).is_ok());
        let spelled_otherwise = request("jane@example.com", &[("email", "jane@EXAMPLE.com")]);
        assert_eq!(register(&both, &spelled_otherwise).unwrap().1["email"], "jane@EXAMPLE.com", "as it was written");
        let other = request("jane@example.com", &[("email", "joan@example.com")]);
        assert_eq!(register(&both, &other), invalid("The attribute email and the Username must be the same."));
    }

    #[test]
    fn where_an_address_is_the_name_other_names_are_refused() {
        for (attributes, message) in [
            (&["email"][..], "Username should be an email."),
            (&["phone_number"], "Username should be a phone number."),
            (&["email", "phone_number"], "Username should be either an email or a phone number."),
        ] {
            assert_eq!(register(&by_address(attributes), &request("jane", &[])), invalid(message));
        }
        assert!(register(&by_address(&["phone_number"]), &request("jane@example.com", &[])).is_err());
    }

    fn command(attributes: &[(&str, &str)]) -> SignUp {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SignUp {
            registration: Registration { username: "jane".to_owned(), attributes },
            password: Some(Password { hash: Sealed(b"hash".to_vec()), srp_verifier: Sealed(b"verifier".to_vec()) }),
            client_id: "client".to_owned(),
            code: "123456".to_owned(),
            confirmed: false,
            verified: Vec::new(),
        }
    }

    fn sign_up_in(pool: &UserPool, attributes: &[(&str, &str)]) -> Decision<Event, Activity, SignedUp> {
        sign_up(pool, command(attributes))
    }

    #[test]
    fn a_trigger_can_confirm_a_user_who_is_then_sent_no_code() {
        let pool =
            pool(v1::CreateUserPoolRequest { auto_verified_attributes: texts(&["email"]), ..Default::default() });
        let verified = texts(&["email"]);
        let confirmed = SignUp { confirmed: true, verified, ..command(&[("email", "jane@example.com")]) };
        let decision = sign_up(&pool, confirmed);
        assert!(decision.messages.is_empty() && decision.activity.is_empty());
        let jane = crate::domain::testing::user(&decision.events);
        assert_eq!(jane.status, crate::domain::user::UserStatus::Confirmed);
        assert!(jane.verified.contains("email"));
        assert_eq!(decision.answer.unwrap(), SignedUp { confirmed: true, code_delivery: None });
    }

    #[test]
    fn a_trigger_can_vouch_for_an_address_of_a_user_who_still_needs_the_code() {
        let pool =
            pool(v1::CreateUserPoolRequest { auto_verified_attributes: texts(&["email"]), ..Default::default() });
        let vouched = SignUp { verified: texts(&["email"]), ..command(&[("email", "jane@example.com")]) };
        let decision = sign_up(&pool, vouched);
        let jane = crate::domain::testing::user(&decision.events);
        assert_eq!(jane.status, crate::domain::user::UserStatus::Unconfirmed);
        assert!(jane.verified.contains("email"));
        assert_eq!(decision.messages.len(), 1);
    }

    #[test]
    fn a_verified_address_that_is_an_alias_is_taken_from_others() {
        let rules = NameRules { alias_attributes: ["email".to_owned()].into(), ..NameRules::default() };
        let attributes = [("email".to_owned(), "Jane@Example.com".to_owned())].into();
        let taken = |verified: &[&str]| taken_aliases(&rules, &attributes, &texts(verified));
        assert_eq!(taken(&[]), []);
        let alias = TakenAlias { attribute: "email", name: rules.normalise("Jane@Example.com") };
        assert_eq!(taken(&["email", "phone_number"]), [alias]);
    }

    #[test]
    fn a_sign_up_records_both_forms_of_the_password() {
        let pool = pool(v1::CreateUserPoolRequest::default());
        let decision = sign_up_in(&pool, &[("email", "jane@example.com")]);
        assert_eq!(decision.events, [crate::domain::testing::signed_up("jane", &[("email", "jane@example.com")])]);
        assert_eq!(decision.answer.unwrap(), SignedUp { confirmed: false, code_delivery: None });
        assert!(decision.activity.is_empty() && decision.messages.is_empty(), "the pool verifies nothing");
    }

    #[test]
    fn a_user_without_a_password_has_none() {
        let pool = pool(v1::CreateUserPoolRequest::default());
        let decision = sign_up(&pool, SignUp { password: None, ..command(&[]) });
        assert_eq!(crate::domain::testing::user(&decision.events).password, None);
    }

    #[test]
    fn a_code_goes_to_the_first_address_that_the_pool_verifies() {
        let pool = |verified: &[&str]| {
            pool(v1::CreateUserPoolRequest { auto_verified_attributes: texts(verified), ..Default::default() })
        };
        let (email, phone) = (("email", "jane@example.com"), ("phone_number", "+12025550123"));
        let both = pool(&["email", "phone_number"]);
        for (pool, attributes, medium, to) in [
            (&both, &[email, phone][..], Medium::Sms, phone.1),
            (&both, &[email], Medium::Email, email.1),
            (&both, &[email, ("phone_number", "")], Medium::Email, email.1),
            (&pool(&["email"]), &[email, phone], Medium::Email, email.1),
        ] {
            let decision = sign_up_in(pool, attributes);
            assert_eq!(decision.answer.unwrap().code_delivery, Some((medium, to.to_owned())));
            let [message] = &decision.messages[..] else { panic!("one message") };
            assert_eq!((message.medium, message.to.as_str()), (medium, to));
            assert_eq!(message.code.as_deref(), Some("123456"));
            let sent = UserCodeSent { purpose: CodePurpose::SignUp.into(), delivery_medium: medium.name().to_owned() };
            assert_eq!(decision.activity, [Activity::CodeSent(sent)]);
        }
        assert!(sign_up_in(&both, &[]).messages.is_empty(), "there is no address");
    }
}

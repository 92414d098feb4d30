//! SignUp: the rules.

use crate::domain::app_client::AppClient;
use crate::domain::attributes::{self, Attributes, Writer};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::message::verification_message;
use crate::domain::message::{Medium, Message};
use crate::domain::password_policy;
use crate::domain::user::Password;
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, UserCodeSent, UserPersonal, UserSignedUp};
use crate::proto::v1;

/// A registration whose name, password and attributes conform.
#[derive(Clone, PartialEq)]
pub struct Registration {
    /// The user name: the `sub` where an address is the name.
    pub username: String,
    /// The attributes.
    pub attributes: Attributes,
}

/// Checks everything that can be checked before the password is hashed.
pub fn registration(
    pool: &UserPool,
    client: &AppClient,
    sub: Sub,
    request: &v1::SignUpRequest,
) -> Result<Registration, Error> {
    let admin_only =
        pool.settings.admin_create_user_config.as_ref().is_some_and(|it| it.allow_admin_create_user_only());
    if admin_only {
        return Err(Error::not_authorized("SignUp is not permitted for this user pool"));
    }
    let password = request.password.as_deref();
    let password = password.ok_or_else(|| Error::invalid_parameter("Missing required parameter Password"))?;
    password_policy::check(&pool.password_policy(), password)?;
    let writer = Writer::Client(&client.settings.write_attributes);
    let mut attributes = attributes::conform(&pool.schema, &request.user_attributes, writer)?;
    let username = name_of(pool, sub, request.username(), &mut attributes)?;
    if pool.name_rules().alias_attributes.contains("preferred_username")
        && attributes.contains_key("preferred_username")
    {
        // It would be an alias at once, and nobody has proved anything yet.
        return Err(Error::invalid_parameter("preferred_username can not be provided for unconfirmed account"));
    }
    attributes::require(&pool.schema, &attributes)?;
    Ok(Registration { username, attributes })
}

/// The user name, and the attribute that is taken from it where an address is the name.
fn name_of(pool: &UserPool, sub: Sub, asked: &str, attributes: &mut Attributes) -> Result<String, Error> {
    let rules = pool.name_rules();
    if rules.username_attributes.is_empty() {
        let mistaken = |attribute: &str, is: fn(&str) -> bool| rules.alias_attributes.contains(attribute) && is(asked);
        if mistaken("email", attributes::is_email) {
            return Err(Error::invalid_parameter(
                "Username cannot be of email format, since user pool is configured for email alias.",
            ));
        }
        if mistaken("phone_number", attributes::is_phone_number) {
            return Err(Error::invalid_parameter(
                "Username cannot be of phone number format, since user pool is configured for phone number alias.",
            ));
        }
        if asked.parse::<uuid::Uuid>().is_ok() {
            return Err(Error::invalid_parameter(
                "Username cannot be of UUID format: such a name stands for a user's sub.",
            ));
        }
        return Ok(asked.to_owned());
    }
    let takes = |attribute: &str| rules.username_attributes.contains(attribute);
    let attribute = match asked {
        address if takes("email") && attributes::is_email(address) => "email",
        address if takes("phone_number") && attributes::is_phone_number(address) => "phone_number",
        _ if takes("email") && takes("phone_number") => {
            return Err(Error::invalid_parameter("Username should be either an email or a phone number."));
        }
        _ if takes("email") => return Err(Error::invalid_parameter("Username should be an email.")),
        _ => return Err(Error::invalid_parameter("Username should be a phone number.")),
    };
    let given = attributes.entry(attribute.to_owned()).or_insert_with(|| asked.to_owned());
    if given != asked {
        return Err(Error::invalid_parameter(format!("The attribute {attribute} and the Username must be the same.")));
    }
    Ok(sub.to_string())
}

/// Where the code of a sign-up goes: the first address that the pool verifies, the phone before the e-mail.
pub fn code_medium(pool: &UserPool, attributes: &Attributes) -> Option<Medium> {
    let verifies = |medium: Medium| {
        let attribute = medium.attribute();
        pool.settings.auto_verified_attributes.iter().any(|verified| verified == attribute)
            && attributes.get(attribute).is_some_and(|address| !address.is_empty())
    };
    [Medium::Sms, Medium::Email].into_iter().find(|medium| verifies(*medium))
}

/// What the command brings.
pub struct SignUp {
    /// What was checked.
    pub registration: Registration,
    /// The password in its two forms.
    pub password: Password,
    /// The client that is used.
    pub client_id: String,
    /// The code, if one is sent.
    pub code: String,
}

/// What a registration answers.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedUp {
    /// How the code travels and where to, if one is sent.
    pub code_delivery: Option<(Medium, String)>,
}

/// Decides a registration.
pub fn sign_up(pool: &UserPool, command: SignUp) -> Decision<Event, Activity, SignedUp> {
    let Registration { username, attributes } = command.registration;
    let medium = code_medium(pool, &attributes);
    let delivery =
        medium.and_then(|medium| attributes.get(medium.attribute()).map(|address| (medium, address.clone())));
    let message: Option<Message> = delivery
        .as_ref()
        .map(|(medium, address)| verification_message(&pool.settings, *medium, address, &username, &command.code));
    let activity = medium.map(|medium| {
        Activity::CodeSent(UserCodeSent {
            purpose: CodePurpose::SignUp.into(),
            delivery_medium: medium.name().to_owned(),
        })
    });
    let signed_up = UserSignedUp {
        personal: Some(UserPersonal { username: Some(username), attributes }),
        client_id: Some(command.client_id),
        password_hash: command.password.hash.0,
        srp_verifier: command.password.srp_verifier.0,
    };
    Decision::events(vec![Event::SignedUp(signed_up)], SignedUp { code_delivery: delivery })
        .with_activity(activity)
        .with_messages(message)
}

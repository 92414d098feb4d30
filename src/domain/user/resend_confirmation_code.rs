//! ResendConfirmationCode: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, verification_message};
use crate::domain::user::sign_up::code_medium;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, UserCodeSent};

/// Where a code goes: the medium and the address.
pub type Delivery = (Medium, String);

/// Decides whether another code is sent to a user, and where to.
pub fn resend_confirmation_code(pool: &UserPool, user: &User, code: &str) -> Decision<Event, Activity, Delivery> {
    if user.status != UserStatus::Unconfirmed {
        return Decision::refuse(Error::invalid_parameter("User is already confirmed."));
    }
    if !user.enabled {
        return Decision::refuse(Error::not_authorized("User is disabled."));
    }
    let attributes = user.attributes.known().cloned().unwrap_or_default();
    let medium = code_medium(pool, &attributes);
    let Some((medium, address)) = medium.and_then(|medium| attributes.get(medium.attribute()).map(|to| (medium, to)))
    else {
        return Decision::refuse(Error::invalid_parameter("Cannot resend codes. Auto verification not turned on."));
    };
    let message = verification_message(&pool.settings, medium, address, user.username(), code);
    let fact = Activity::CodeSent(UserCodeSent {
        purpose: CodePurpose::SignUp.into(),
        delivery_medium: medium.name().to_owned(),
    });
    Decision::events(Vec::new(), (medium, address.clone())).with_activity([fact]).with_messages([message])
}

/// Where a code would go if there were such a user: who may not learn that there is none reads this.
pub fn simulated_delivery(pool: &UserPool, username: &str) -> Delivery {
    let verifies = |attribute: &str| pool.settings.auto_verified_attributes.iter().any(|it| it == attribute);
    match (verifies("email"), verifies("phone_number")) {
        (_, true) if username.starts_with('+') => (Medium::Sms, username.to_owned()),
        (false, true) => (Medium::Sms, format!("+{:0>11}", username.len() * 7919 % 10_000)),
        _ => {
            let first = username.chars().next().unwrap_or('u');
            let domain = username.rsplit_once('@').map_or("example.com", |(_, domain)| domain);
            (Medium::Email, format!("{first}@{domain}"))
        }
    }
}

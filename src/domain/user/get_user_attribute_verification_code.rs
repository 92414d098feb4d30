//! GetUserAttributeVerificationCode: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, verification_message};
use crate::domain::user::User;
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// The address of a medium that waits to be proved: the one that was asked for, else the one that is there.
pub fn address_to_prove(user: &User, medium: Medium) -> Option<&str> {
    let attribute = medium.attribute();
    user.requested(attribute).or_else(|| user.attribute(attribute)).filter(|address| !address.is_empty())
}

/// Sends a code to the address of a user that waits to be proved.
pub fn get_user_attribute_verification_code(
    pool: &UserPool,
    user: &User,
    medium: Medium,
    code: &str,
) -> Decision<Event, Activity, Delivery> {
    let Some(address) = address_to_prove(user, medium) else {
        let message = format!("The user has no {} to be verified.", medium.attribute());
        return Decision::refuse(Error::invalid_parameter(message));
    };
    let message = verification_message(&pool.settings, medium, address, user.username(), code);
    let fact = codes::sent(codes::verification(medium), medium);
    Decision::events(Vec::new(), (medium, address.to_owned())).with_activity([fact]).with_messages([message])
}

//! GetUserAttributeVerificationCode: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, verification_message};
use crate::domain::user::User;
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// The address of a medium that waits for its proof: the requested new one, or else the present one.
pub fn address_to_prove(user: &User, medium: Medium) -> Option<&str> {
    let attribute = medium.attribute();
    user.requested(attribute).or_else(|| user.attribute(attribute)).filter(|address| !address.is_empty())
}

/// Sends a code to the address of a user that waits for its proof.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::personal::Personal;
    use crate::domain::testing::{confirmed, pool, refused_parameter, signed_up, user, verifying_both};

    #[test]
    fn the_code_goes_to_the_address_that_waits_for_its_proof() {
        let pool = pool(verifying_both());
        let jane = user(&[signed_up("jane", &[("email", "old@example.com")]), confirmed(&["email"])]);
        let requested = [("email".to_owned(), Personal::Known("new@example.com".to_owned()))].into();
        for (user, to) in [(jane.clone(), "old@example.com"), (User { requested, ..jane.clone() }, "new@example.com")] {
            let decision = get_user_attribute_verification_code(&pool, &user, Medium::Email, "123456");
            assert_eq!(decision.answer.unwrap(), (Medium::Email, to.to_owned()));
            let [message] = &decision.messages[..] else { panic!("one message") };
            assert_eq!((message.to.as_str(), message.code.as_deref()), (to, Some("123456")));
            assert_eq!(decision.activity, [codes::sent(codes::verification(Medium::Email), Medium::Email)]);
        }
        let nowhere = get_user_attribute_verification_code(&pool, &jane, Medium::Sms, "123456");
        assert_eq!(refused_parameter(nowhere), "The user has no phone_number to be verified.");
    }
}

//! AdminConfirmSignUp: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::user::{User, UserStatus};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{ConfirmedBy, UserConfirmed};

/// Confirms a user without a code. This proves nothing, so no address becomes verified.
pub fn admin_confirm_sign_up(user: &User) -> Decision<Event, Activity, ()> {
    if user.status != UserStatus::Unconfirmed {
        let message = format!("User cannot be confirmed. Current status is {}", user.status.name());
        return Decision::refuse(Error::not_authorized(message));
    }
    let confirmed = UserConfirmed { by: ConfirmedBy::Administrator.into(), verified_attributes: Vec::new() };
    Decision::events(vec![Event::Confirmed(confirmed)], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{refused, signed_up, user};

    #[test]
    fn an_administrator_confirms_once_and_proves_no_address() {
        let unconfirmed = [signed_up("jane", &[("email", "jane@example.com")])];
        let decision = admin_confirm_sign_up(&user(&unconfirmed));
        decision.answer.unwrap();
        let confirmed = UserConfirmed { by: ConfirmedBy::Administrator.into(), verified_attributes: Vec::new() };
        assert_eq!(decision.events, [Event::Confirmed(confirmed)]);

        let after = user(&[unconfirmed[0].clone(), decision.events[0].clone()]);
        assert!(after.verified.is_empty());
        let message = "User cannot be confirmed. Current status is CONFIRMED".to_owned();
        assert_eq!(refused(admin_confirm_sign_up(&after)), (Exception::NotAuthorizedException, message));
    }
}

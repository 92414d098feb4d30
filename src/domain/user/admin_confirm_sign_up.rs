//! AdminConfirmSignUp: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::user::{User, UserStatus};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{ConfirmedBy, UserConfirmed};

/// Confirms a user without a code. Nothing is proved by it, so no address becomes verified.
pub fn admin_confirm_sign_up(user: &User) -> Decision<Event, Activity, ()> {
    if user.status != UserStatus::Unconfirmed {
        let message = format!("User cannot be confirmed. Current status is {}", user.status.name());
        return Decision::refuse(Error::not_authorized(message));
    }
    let confirmed = UserConfirmed { by: ConfirmedBy::Administrator.into(), verified_attributes: Vec::new() };
    Decision::events(vec![Event::Confirmed(confirmed)], ())
}

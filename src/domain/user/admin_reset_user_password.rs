//! AdminResetUserPassword: the rules.

use crate::domain::decision::Decision;
use crate::domain::message::Medium;
use crate::domain::user::codes::Delivery;
use crate::domain::user::forgot_password::{contact, send};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::{Recovery, UserPool};
use crate::proto::events::UserPasswordReset;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Takes the password back and sends the user a code with which it can choose another. A user who has no verified address
/// would be locked out, and keeps its password.
pub fn admin_reset_user_password(pool: &UserPool, user: &User, code: &str) -> Decision<Event, Activity, Delivery> {
    let ways = match pool.recovery() {
        Recovery::ByUser(ways) => ways,
        // An administrator is at it.
        Recovery::ByAdministrator => vec![Medium::Sms, Medium::Email],
    };
    let delivery = match contact(user, &ways) {
        Ok(delivery) => delivery,
        Err(withheld) => return Decision::refuse(withheld.error()),
    };
    let mut decision = send(pool, user, delivery, code);
    if user.status != UserStatus::ResetRequired {
        decision.events.push(Event::PasswordReset(UserPasswordReset {}));
    }
    decision
}

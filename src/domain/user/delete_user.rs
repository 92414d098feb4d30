//! DeleteUser: the rules.

use crate::domain::decision::Decision;
use crate::domain::user::User;
use crate::proto::events::UserDeleted;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Deletes a user. Their key is destroyed with the event, so that no personal value in the log can be read.
pub fn delete_user(_: &User) -> Decision<Event, Activity, ()> {
    Decision::events(vec![Event::Deleted(UserDeleted {})], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{signed_up, user};

    #[test]
    fn a_user_can_be_deleted_in_any_state() {
        let jane = user(&[signed_up("jane", &[])]);
        for user in [User { enabled: false, ..jane.clone() }, jane] {
            let decision = delete_user(&user);
            decision.answer.unwrap();
            assert_eq!(decision.events, [Event::Deleted(UserDeleted {})]);
        }
    }
}

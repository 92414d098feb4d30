//! DeleteUser: the rules.

use crate::domain::decision::Decision;
use crate::domain::user::User;
use crate::proto::events::UserDeleted;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Ends a user. Its key is destroyed with the event, so that nothing personal is left in the log.
pub fn delete_user(_: &User) -> Decision<Event, Activity, ()> {
    Decision::events(vec![Event::Deleted(UserDeleted {})], ())
}

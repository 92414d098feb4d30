//! GlobalSignOut: the rules.

use crate::domain::decision::Decision;
use crate::domain::user::User;
use crate::proto::events::UserSignedOut;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Ends every session of a user.
pub fn global_sign_out(user: &User) -> Decision<Event, Activity, ()> {
    let token_generation = user.token_generation + 1;
    Decision::events(vec![Event::SignedOut(UserSignedOut { token_generation })], ())
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{signed_up, user};

    #[test]
    fn each_sign_out_begins_a_new_generation() {
        let mut events = vec![signed_up("jane", &[])];
        for token_generation in 2..5 {
            let decision = global_sign_out(&user(&events));
            decision.answer.unwrap();
            assert_eq!(decision.events, [Event::SignedOut(UserSignedOut { token_generation })]);
            events.extend(decision.events);
        }
        assert_eq!(user(&events).token_generation, 4);
    }
}

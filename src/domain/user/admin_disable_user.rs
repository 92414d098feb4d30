//! AdminDisableUser: the rules.

use crate::domain::decision::Decision;
use crate::domain::user::User;
use crate::proto::events::UserDisabled;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Disables a user and ends all their sessions. Nothing happens if the user is disabled already.
pub fn admin_disable_user(user: &User) -> Decision<Event, Activity, ()> {
    let disabled = UserDisabled { token_generation: user.token_generation + 1 };
    Decision::events(user.enabled.then_some(Event::Disabled(disabled)).into_iter().collect(), ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, signed_up, user};

    #[test]
    fn a_disabled_user_has_no_session_any_more() {
        let mut events = vec![signed_up("jane", &[]), confirmed(&[])];
        let decision = admin_disable_user(&user(&events));
        assert_eq!(decision.events, [Event::Disabled(UserDisabled { token_generation: 2 })]);
        events.extend(decision.events);
        let after = user(&events);
        assert_eq!((after.enabled, after.token_generation), (false, 2));
        let again = admin_disable_user(&after);
        assert!(again.events.is_empty() && again.answer.is_ok());
    }
}

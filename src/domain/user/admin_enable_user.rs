//! AdminEnableUser: the rules.

use crate::domain::decision::Decision;
use crate::domain::user::User;
use crate::proto::events::UserEnabled;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Lets a disabled user sign in again. Sessions that were ended stay ended. Nothing happens if the user is enabled
/// already.
pub fn admin_enable_user(user: &User) -> Decision<Event, Activity, ()> {
    Decision::events((!user.enabled).then_some(Event::Enabled(UserEnabled {})).into_iter().collect(), ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, signed_up, user};
    use crate::proto::events::UserDisabled;

    #[test]
    fn an_enabled_user_may_sign_in_and_old_sessions_stay_ended() {
        let mut events = vec![signed_up("jane", &[]), confirmed(&[])];
        assert!(admin_enable_user(&user(&events)).events.is_empty());
        events.push(Event::Disabled(UserDisabled { token_generation: 2 }));
        let decision = admin_enable_user(&user(&events));
        decision.answer.unwrap();
        assert_eq!(decision.events, [Event::Enabled(UserEnabled {})]);
        events.extend(decision.events);
        let after = user(&events);
        assert_eq!((after.enabled, after.token_generation), (true, 2));
    }
}

//! AdminRemoveUserFromGroup: the rules.

use crate::domain::decision::Decision;
use crate::domain::group::Group;
use crate::domain::user::User;
use crate::proto::events::UserGroupLeft;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Removes a user from a group; nothing happens if the user is not a member.
pub fn admin_remove_user_from_group(user: &User, group: &Group) -> Decision<Event, Activity, ()> {
    let left = UserGroupLeft { group_id: group.id.to_string(), group_name: Some(group.name.clone()) };
    let events = user.groups.contains(&group.id).then_some(Event::GroupLeft(left));
    Decision::events(events.into_iter().collect(), ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::tests::{READERS, created, group};
    use crate::domain::testing::{signed_up, user};
    use crate::proto::events::{GroupSettings, UserGroupJoined};

    #[test]
    fn a_user_leaves_a_group_once() {
        let readers = group(READERS, &[created("readers", GroupSettings::default())]);
        let (group_id, group_name) = (READERS.to_string(), "readers".to_owned());
        let joined = Event::GroupJoined(UserGroupJoined { group_id: group_id.clone(), group_name: group_name.clone() });
        let mut events = vec![signed_up("jane", &[]), joined];
        let decision = admin_remove_user_from_group(&user(&events), &readers);
        decision.answer.unwrap();
        let left = Event::GroupLeft(UserGroupLeft { group_id, group_name: Some(group_name) });
        assert_eq!(decision.events, [left]);

        events.extend(decision.events);
        let again = admin_remove_user_from_group(&user(&events), &readers);
        again.answer.unwrap();
        assert_eq!(again.events, []);
    }
}

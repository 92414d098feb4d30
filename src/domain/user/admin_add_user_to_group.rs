//! AdminAddUserToGroup: the rules.

use std::collections::BTreeSet;

use crate::domain::decision::Decision;
use crate::domain::group::Group;
use crate::domain::ids::GroupId;
use crate::domain::user::User;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserGroupJoined, UserGroupLeft};

/// Puts a user into a group; nothing happens to one who is in it. Groups that have ended are left behind at this occasion.
pub fn admin_add_user_to_group(
    user: &User,
    group: &Group,
    living: &BTreeSet<GroupId>,
) -> Decision<Event, Activity, ()> {
    if user.groups.contains(&group.id) {
        return Decision::events(Vec::new(), ());
    }
    let joined = UserGroupJoined { group_id: group.id.to_string(), group_name: group.name.clone() };
    let ended = user
        .groups
        .difference(living)
        .map(|id| Event::GroupLeft(UserGroupLeft { group_id: id.to_string(), group_name: None }));
    Decision::events(ended.chain([Event::GroupJoined(joined)]).collect(), ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::tests::{READERS, created, group};
    use crate::domain::testing::{signed_up, user};
    use crate::proto::events::GroupSettings;

    #[test]
    fn a_user_joins_once_and_leaves_what_has_ended() {
        let readers = group(READERS, &[created("readers", GroupSettings::default())]);
        let joined = |id: GroupId, name: &str| {
            Event::GroupJoined(UserGroupJoined { group_id: id.to_string(), group_name: name.to_owned() })
        };
        let mut events = vec![signed_up("jane", &[])];
        let decision = admin_add_user_to_group(&user(&events), &readers, &BTreeSet::new());
        assert_eq!(decision.events, [joined(READERS, "readers")]);

        let ended = GroupId(uuid::Uuid::from_u128(1));
        events.push(joined(ended, "ended"));
        let decision = admin_add_user_to_group(&user(&events), &readers, &BTreeSet::new());
        let left = Event::GroupLeft(UserGroupLeft { group_id: ended.to_string(), group_name: None });
        assert_eq!(decision.events, [left, joined(READERS, "readers")]);
        let decision = admin_add_user_to_group(&user(&events), &readers, &[ended].into());
        assert_eq!(decision.events, [joined(READERS, "readers")]);

        events.extend(decision.events);
        let again = admin_add_user_to_group(&user(&events), &readers, &[ended, READERS].into());
        again.answer.unwrap();
        assert_eq!(again.events, []);
    }
}

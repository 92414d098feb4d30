//! AdminAddUserToGroup: the rules.

use std::collections::BTreeSet;

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::ids::GroupId;
use crate::domain::user::User;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserGroupJoined, UserGroupLeft};

/// Adds a user to a group, up to the most groups that a user may be in; a member stays as it is. Memberships in deleted
/// groups are removed with the same event.
pub fn admin_add_user_to_group(
    user: &User,
    group: &Group,
    living: &BTreeSet<GroupId>,
    most: u32,
) -> Decision<Event, Activity, ()> {
    if user.groups.contains(&group.id) {
        return Decision::events(Vec::new(), ());
    }
    if user.groups.intersection(living).count() >= most as usize {
        return Decision::refuse(Error::invalid_parameter(format!("A user can be in at most {most} groups.")));
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
    use crate::domain::testing::{refused_parameter, signed_up, user};
    use crate::proto::events::GroupSettings;

    #[test]
    fn a_user_joins_once_and_leaves_deleted_groups() {
        let readers = group(READERS, &[created("readers", GroupSettings::default())]);
        let joined = |id: GroupId, name: &str| {
            Event::GroupJoined(UserGroupJoined { group_id: id.to_string(), group_name: name.to_owned() })
        };
        let mut events = vec![signed_up("jane", &[])];
        let decision = admin_add_user_to_group(&user(&events), &readers, &BTreeSet::new(), 2);
        assert_eq!(decision.events, [joined(READERS, "readers")]);

        let ended = GroupId(uuid::Uuid::from_u128(1));
        events.push(joined(ended, "ended"));
        let decision = admin_add_user_to_group(&user(&events), &readers, &BTreeSet::new(), 2);
        let left = Event::GroupLeft(UserGroupLeft { group_id: ended.to_string(), group_name: None });
        assert_eq!(decision.events, [left, joined(READERS, "readers")]);
        let decision = admin_add_user_to_group(&user(&events), &readers, &[ended].into(), 2);
        assert_eq!(decision.events, [joined(READERS, "readers")]);

        events.extend(decision.events);
        let again = admin_add_user_to_group(&user(&events), &readers, &[ended, READERS].into(), 2);
        again.answer.unwrap();
        assert_eq!(again.events, []);
    }

    #[test]
    fn the_groups_of_a_user_are_limited_and_deleted_ones_do_not_count() {
        let readers = group(READERS, &[created("readers", GroupSettings::default())]);
        let groups = [1, 2].map(|id| GroupId(uuid::Uuid::from_u128(id)));
        let joined = |id: &GroupId| {
            Event::GroupJoined(UserGroupJoined { group_id: id.to_string(), group_name: "one".to_owned() })
        };
        let mut events = vec![signed_up("jane", &[])];
        events.extend(groups.iter().map(joined));
        let jane = user(&events);
        let both = groups.into_iter().collect();
        let message = refused_parameter(admin_add_user_to_group(&jane, &readers, &both, 2));
        assert_eq!(message, "A user can be in at most 2 groups.");
        admin_add_user_to_group(&jane, &readers, &both, 3).answer.unwrap();
        admin_add_user_to_group(&jane, &readers, &[groups[0]].into(), 2).answer.unwrap();
        let again = group(groups[0], &[created("one", GroupSettings::default())]);
        admin_add_user_to_group(&jane, &again, &both, 2).answer.unwrap();
    }
}

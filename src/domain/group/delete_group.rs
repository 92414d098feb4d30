//! DeleteGroup: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::proto::events::GroupDeleted;
use crate::proto::events::group_event::Event;

/// What is known about the members of a group that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// The group has no members.
    None,
    /// The group has at least one member.
    Some,
    /// The server's setting allows the deletion of groups with members.
    Irrelevant,
}

/// Decides whether a group may be deleted.
pub fn delete_group(_: &Group, members: Members) -> Decision<Event, NoFacts, ()> {
    match members {
        Members::None | Members::Irrelevant => Decision::events(vec![Event::Deleted(GroupDeleted {})], ()),
        Members::Some => Decision::refuse(Error::invalid_parameter(
            "The group has members. Only a group without members can be deleted.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::tests::{READERS, created, group};
    use crate::domain::testing::refused_parameter;
    use crate::proto::events::GroupSettings;

    #[test]
    fn a_group_is_deleted_if_it_has_no_members_or_they_do_not_matter() {
        let readers = group(READERS, &[created("readers", GroupSettings::default())]);
        for members in [Members::None, Members::Irrelevant] {
            let decision = delete_group(&readers, members);
            decision.answer.unwrap();
            assert_eq!(decision.events, [Event::Deleted(GroupDeleted {})]);
        }
        let message = refused_parameter(delete_group(&readers, Members::Some));
        assert_eq!(message, "The group has members. Only a group without members can be deleted.");
    }
}

//! DeleteGroup: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::proto::events::GroupDeleted;
use crate::proto::events::group_event::Event;

/// What is known of a group's members when it is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// Nobody is in it.
    None,
    /// Somebody is in it.
    Some,
    /// The server's setting lets groups end with their members.
    Irrelevant,
}

/// Decides whether a group may end.
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
    fn a_group_ends_without_members_or_where_they_do_not_matter() {
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

//! CreateGroup: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::{Error, Exception};
use crate::domain::group::Group;
use crate::proto::events::group_event::Event;
use crate::proto::events::{GroupCreated, GroupSettings};
use crate::proto::v1;

/// Decides whether a group may be created. `namesake` is the group that already has its name, if any.
pub fn create_group(namesake: Option<&Group>, request: v1::CreateGroupRequest) -> Decision<Event, NoFacts, ()> {
    if namesake.is_some() {
        let message = "A group with the name already exists.";
        return Decision::refuse(Error::new(Exception::GroupExistsException, message));
    }
    let settings =
        GroupSettings { description: request.description, role_arn: request.role_arn, precedence: request.precedence };
    let name = request.group_name.unwrap_or_default();
    Decision::events(vec![Event::Created(GroupCreated { name, settings: Some(settings) })], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::tests::{READERS, created, group};
    use crate::domain::testing::refused;

    fn request() -> v1::CreateGroupRequest {
        v1::CreateGroupRequest {
            group_name: Some("readers".to_owned()),
            description: Some("may read".to_owned()),
            role_arn: Some("arn:aws:iam::123456789012:role/readers".to_owned()),
            precedence: Some(4),
            ..Default::default()
        }
    }

    #[test]
    fn a_group_has_the_requested_settings() {
        let decision = create_group(None, request());
        decision.answer.unwrap();
        let settings = GroupSettings {
            description: request().description,
            role_arn: request().role_arn,
            precedence: request().precedence,
        };
        assert_eq!(decision.events, [created("readers", settings)]);
    }

    #[test]
    fn a_group_name_is_unique() {
        let existing = group(READERS, &[created("readers", GroupSettings::default())]);
        let refusal = refused(create_group(Some(&existing), request()));
        assert_eq!(refusal, (Exception::GroupExistsException, "A group with the name already exists.".to_owned()));
    }
}

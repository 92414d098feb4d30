//! UpdateGroup: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::proto::events::group_event::Event;
use crate::proto::events::{GroupSettings, GroupSettingsChanged};
use crate::proto::{json, v1};

/// Decides a change of settings. Absent settings stay as they are.
pub fn update_group(group: &Group, request: v1::UpdateGroupRequest) -> Decision<Event, NoFacts, ()> {
    match changed(group, request) {
        Ok(None) => Decision::events(Vec::new(), ()),
        Ok(Some(changed)) => Decision::events(vec![Event::SettingsChanged(changed)], ()),
        Err(error) => Decision::refuse(error),
    }
}

fn changed(group: &Group, request: v1::UpdateGroupRequest) -> Result<Option<GroupSettingsChanged>, Error> {
    let current = group.settings.clone();
    let chosen = GroupSettings {
        description: request.description.or(current.description),
        role_arn: request.role_arn.or(current.role_arn),
        precedence: request.precedence.or(current.precedence),
    };
    let changed = json::changed(&group.settings, &chosen).map_err(Error::internal)?;
    if changed.is_empty() {
        return Ok(None);
    }
    let settings = json::only(&chosen, &changed).map_err(Error::internal)?;
    Ok(Some(GroupSettingsChanged { changed, settings: Some(settings) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::tests::{READERS, created, group};
    use crate::domain::testing::texts;

    fn readers() -> Group {
        let settings = GroupSettings { description: Some("may read".to_owned()), role_arn: None, precedence: Some(4) };
        group(READERS, &[created("readers", settings)])
    }

    #[test]
    fn given_settings_change_and_absent_ones_stay() {
        let request = v1::UpdateGroupRequest { precedence: Some(0), ..Default::default() };
        let decision = update_group(&readers(), request);
        decision.answer.unwrap();
        let settings = Some(GroupSettings { precedence: Some(0), ..GroupSettings::default() });
        let expected = GroupSettingsChanged { changed: texts(&["precedence"]), settings };
        assert_eq!(decision.events, [Event::SettingsChanged(expected)]);
    }

    #[test]
    fn an_update_without_a_change_has_no_event() {
        let same = v1::UpdateGroupRequest { description: Some("may read".to_owned()), ..Default::default() };
        for request in [v1::UpdateGroupRequest::default(), same] {
            let decision = update_group(&readers(), request);
            decision.answer.unwrap();
            assert_eq!(decision.events, []);
        }
    }
}

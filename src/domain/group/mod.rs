//! A group: a named set of users of a pool, with a role and a rank.
//!
//! Memberships are recorded in the streams of the members, by the group's id. So a membership never outlives its group,
//! and a million members cost a group nothing.

pub mod claims;
pub mod create_group;
pub mod delete_group;
pub mod update_group;

use serde::{Deserialize, Serialize};

use crate::domain::decision::Aggregate;
use crate::domain::ids::{GroupId, StreamId};
use crate::domain::time::Timestamp;
use crate::proto::events::GroupSettings;
use crate::proto::events::group_event::Event;
use crate::proto::json;

/// The state of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// A random id, so that a later group of the same name is another group.
    pub id: GroupId,
    /// Its name, unique in its pool while it exists.
    pub name: String,
    /// The settings that were chosen: description, role and precedence.
    pub settings: GroupSettings,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

impl Aggregate for Group {
    type Event = Event;
    const REVISION: i32 = 1;

    fn apply(state: Option<Self>, stream: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        match event {
            // A group's stream is named by its id; a stream of another name yields no group.
            Event::Created(created) => GroupId::parse(stream.owner()).map(|id| Self {
                id,
                name: created.name.clone(),
                settings: created.settings.clone().unwrap_or_default(),
                created_at: at,
                modified_at: at,
            }),
            Event::SettingsChanged(changed) => state.map(|group| {
                let new = changed.settings.clone().unwrap_or_default();
                // `merged` can't fail here: the same message type wrote these members.
                let settings = json::merged(&group.settings, &changed.changed, &new).unwrap_or(new);
                Self { settings, modified_at: at, ..group }
            }),
            Event::Deleted(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::testing::{at, given, texts};
    use crate::proto::events::{GroupCreated, GroupDeleted, GroupSettingsChanged};

    pub const READERS: GroupId = GroupId(uuid::Uuid::from_u128(7));

    pub fn created(name: &str, settings: GroupSettings) -> Event {
        Event::Created(GroupCreated { name: name.to_owned(), settings: Some(settings) })
    }

    pub fn group(id: GroupId, events: &[Event]) -> Group {
        given(&StreamId::group(id), events).expect("the group exists")
    }

    #[test]
    fn each_event_changes_only_what_it_names() {
        let settings = GroupSettings { description: Some("may read".to_owned()), precedence: Some(3), role_arn: None };
        let mut events = vec![created("readers", settings.clone())];
        let mut expected =
            Group { id: READERS, name: "readers".to_owned(), settings, created_at: at(0), modified_at: at(0) };
        assert_eq!(group(READERS, &events), expected);

        let settings = Some(GroupSettings { precedence: Some(0), ..GroupSettings::default() });
        events.push(Event::SettingsChanged(GroupSettingsChanged { changed: texts(&["precedence"]), settings }));
        expected.settings.precedence = Some(0);
        expected.modified_at = at(1);
        assert_eq!(group(READERS, &events), expected);

        events.push(Event::Deleted(GroupDeleted {}));
        assert_eq!(given::<Group>(&StreamId::group(READERS), &events), None);
    }

    #[test]
    fn only_the_stream_of_a_group_yields_a_group() {
        let event = created("readers", GroupSettings::default());
        assert_eq!(given::<Group>(&StreamId::new("groups/readers"), &[event]), None);
        let changed = Event::SettingsChanged(GroupSettingsChanged::default());
        assert_eq!(given::<Group>(&StreamId::group(READERS), &[changed]), None);
    }
}

//! Which level an event needs: the lowest of a server that can read it.

use serde_json::Value;

use crate::proto::EventType;

/// A step from an event's payload, as JSON, to a value in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the member of this name.
    Field(&'static str),
    /// To each element of a list, or to each value of a map.
    Each,
}

/// Something in an event's payload that only servers of a later level can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    /// The way to it.
    pub way: &'static [Step],
    /// The name of the enumeration's value, if it is one; otherwise the field counts, whatever its value.
    pub value: Option<&'static str>,
    /// The lowest level of a server that can read it.
    pub since: i32,
}

impl EventType {
    /// The level that an event of this type needs with this payload, before its personal part is sealed.
    pub fn level(&self, payload: &Value) -> i32 {
        let contained = self.later.iter().filter(|later| is_at(payload, later.way, later.value));
        contained.map(|later| later.since).fold(self.since, i32::max)
    }

    /// What servers of one level can't read and those of another can: the type itself, or what its payload may contain.
    pub fn between(&self, before: i32, level: i32) -> Vec<String> {
        let is_new = |since: i32| before < since && since <= level;
        if is_new(self.since) {
            return vec![self.name.to_owned()];
        }
        let contained = self.later.iter().filter(|later| is_new(later.since));
        contained.map(|later| format!("{} with {later}", self.name)).collect()
    }
}

/// The name of a field with those around it, and of the enumeration's value: `device.kind PASSKEY`.
impl std::fmt::Display for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.way.iter().filter_map(|step| match step {
            Step::Field(name) => Some(*name),
            Step::Each => None,
        });
        f.write_str(&names.collect::<Vec<_>>().join("."))?;
        self.value.map_or(Ok(()), |value| write!(f, " {value}"))
    }
}

/// Whether there is a value at the end of a way: any, or this name of an enumeration's value. Fields that are not set
/// are left out when a payload is written.
fn is_at(here: &Value, way: &[Step], value: Option<&str>) -> bool {
    let Some((step, rest)) = way.split_first() else {
        return value.is_none_or(|value| here.as_str() == Some(value));
    };
    match (step, here) {
        (Step::Field(name), here) => here.get(name).is_some_and(|there| is_at(there, rest, value)),
        (Step::Each, Value::Array(elements)) => elements.iter().any(|there| is_at(there, rest, value)),
        (Step::Each, Value::Object(members)) => members.values().any(|there| is_at(there, rest, value)),
        (Step::Each, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proto::{EVENT_TYPES, NEWEST_LEVEL};

    const TYPE: EventType = EventType {
        name: "user.device_remembered",
        public: &[],
        private: &[],
        personal: false,
        since: 2,
        later: &[
            Later { way: &[Step::Field("label")], value: None, since: 3 },
            Later { way: &[Step::Field("device"), Step::Field("kind")], value: Some("PASSKEY"), since: 4 },
            Later { way: &[Step::Field("keys"), Step::Each, Step::Field("curve")], value: None, since: 5 },
            Later { way: &[Step::Field("labels"), Step::Each], value: Some("OLD"), since: 6 },
        ],
    };

    #[test]
    fn an_event_needs_the_level_of_its_type_and_of_everything_that_is_set_in_it() {
        for (payload, level) in [
            (json!({}), 2),
            (json!({ "name": "phone", "device": { "label": "x" } }), 2),
            (json!({ "label": "" }), 3),
            (json!({ "device": { "kind": "PASSWORD" } }), 2),
            (json!({ "device": { "kind": "PASSKEY" } }), 4),
            (json!({ "device": { "kind": "PASSKEY" }, "label": "x" }), 4),
            (json!({ "keys": [] }), 2),
            (json!({ "keys": [{ "size": 1 }, { "size": 2, "curve": "p" }] }), 5),
            (json!({ "keys": { "a": { "size": 1 }, "b": { "curve": "p" } } }), 5),
            (json!({ "keys": "curve" }), 2),
            (json!({ "labels": { "a": "NEW", "b": "OLD" } }), 6),
            (json!({ "labels": ["NEW"] }), 2),
        ] {
            assert_eq!(TYPE.level(&payload), level, "{payload}");
        }
    }

    #[test]
    fn what_an_upgrade_adds_is_named() {
        assert_eq!(TYPE.between(1, 3), ["user.device_remembered"]);
        assert_eq!(
            TYPE.between(2, 5),
            [
                "user.device_remembered with label",
                "user.device_remembered with device.kind PASSKEY",
                "user.device_remembered with keys.curve"
            ]
        );
        assert_eq!(TYPE.between(6, 7), Vec::<String>::new());
    }

    #[test]
    fn the_newest_level_is_that_of_something() {
        let levels = EVENT_TYPES.iter().flat_map(|kind| kind.later.iter().map(|later| later.since).chain([kind.since]));
        assert_eq!(levels.max(), Some(NEWEST_LEVEL));
    }
}

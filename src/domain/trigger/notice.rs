//! What a trigger is told: an event that waits in the outbox until a broker has it.

use serde::{Deserialize, Serialize};

use crate::domain::trigger::Trigger;

/// An event for a trigger that decides nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The trigger.
    pub trigger: Trigger,
    /// The pool's value for it in `LambdaConfig`.
    pub function: String,
    /// The event, as JSON.
    pub event: String,
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Notice({})", self.trigger.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_written_as_its_topic() {
        for trigger in Trigger::ALL {
            assert_eq!(serde_json::to_value(trigger).unwrap(), trigger.topic());
        }
    }

    #[test]
    fn debug_shows_nothing_of_the_event() {
        let event = "secret".to_owned();
        let notice = Notice { trigger: Trigger::PostConfirmation, function: "f".to_owned(), event };
        assert_eq!(format!("{notice:?}"), "Notice(PostConfirmation)");
        let read: Notice = serde_json::from_str(&serde_json::to_string(&notice).unwrap()).unwrap();
        assert_eq!(read, notice);
    }
}

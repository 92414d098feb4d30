//! The state of a sign-in by custom challenges: which were answered, and what the answer to the open one is compared with.

use serde::{Deserialize, Serialize};

use crate::domain::trigger::Texts;
use crate::domain::trigger::define_auth_challenge::{Challenge, ChallengeResult};

/// A challenge that was answered: which, whether the answer was right, and the trigger's own name for it. Written as a
/// list, because a challenge token has little room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past(Challenge, bool, Option<String>);

/// The challenges of a sign-in that were answered, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History(Vec<Past>);

impl History {
    /// The history of a sign-in that begins with a proof of the password by SRP.
    pub fn begun_by_srp() -> Self {
        Self::default().with(Challenge::SrpA, true, None)
    }

    /// The same with one more challenge.
    pub fn with(mut self, challenge: Challenge, is_right: bool, metadata: Option<String>) -> Self {
        self.0.push(Past(challenge, is_right, metadata));
        self
    }

    /// The challenges as triggers receive them.
    pub fn results(&self) -> Vec<ChallengeResult> {
        let result = |Past(name, is_right, metadata): &Past| ChallengeResult {
            challenge_name: *name,
            challenge_result: *is_right,
            challenge_metadata: metadata.clone(),
        };
        self.0.iter().map(result).collect()
    }
}

/// A custom challenge that waits for its answer. Debug shows nothing of it: the private parameters are secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The challenges before it.
    pub history: History,
    /// What only the trigger that judges the answer is shown.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub private: Texts,
    /// The trigger's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The name as it was written, if no user has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_short_in_a_token_and_whole_for_triggers() {
        let history = History::begun_by_srp().with(Challenge::Custom, false, Some("CAPTCHA".to_owned()));
        let written = serde_json::to_string(&history).unwrap();
        assert_eq!(written, r#"[["SRP_A",true,null],["CUSTOM_CHALLENGE",false,"CAPTCHA"]]"#);
        assert_eq!(serde_json::from_str::<History>(&written).unwrap(), history);
        let last = ChallengeResult {
            challenge_name: Challenge::Custom,
            challenge_result: false,
            challenge_metadata: Some("CAPTCHA".to_owned()),
        };
        assert_eq!(history.results().last(), Some(&last));
        assert_eq!(History::default().results(), []);
    }

    #[test]
    fn nothing_of_an_open_challenge_is_logged() {
        let private = Texts::from([("answer".to_owned(), "hunter2".to_owned())]);
        let open = Open { private, written: Some("jane".to_owned()), ..Open::default() };
        assert_eq!(format!("{open:?}"), "Open");
        let written = serde_json::to_string(&open).unwrap();
        assert_eq!(serde_json::from_str::<Open>(&written).unwrap(), open);
    }
}

//! Verify auth challenge response: whether the answer to a custom challenge is right.

use serde::{Deserialize, Serialize};

use crate::domain::trigger::{Question, Source, Texts, Trigger};

/// A custom challenge was answered.
pub const AUTHENTICATION: Source = Source::new(Trigger::VerifyAuthChallengeResponse, "Authentication");

/// The question about an answer. It has no Debug: private parameters and answers are secret.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyAuthChallengeResponse {
    /// The attributes of the user; none of a name that nobody has.
    pub user_attributes: Texts,
    /// What the trigger that has made the challenge has left for this one.
    pub private_challenge_parameters: Texts,
    /// What the client has answered.
    pub challenge_answer: String,
    /// The `ClientMetadata` of the answer.
    pub client_metadata: Option<Texts>,
    /// Whether nobody has the name, and the client hides it.
    pub user_not_found: bool,
}

impl Question for VerifyAuthChallengeResponse {
    type Answer = Answer;

    fn source(&self) -> Source {
        AUTHENTICATION
    }
}

/// What the trigger decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// Whether the answer is right. It is not, if the trigger does not say so.
    pub answer_correct: Option<bool>,
}

impl Answer {
    /// Whether the answer is right.
    pub fn is_right(self) -> bool {
        self.answer_correct == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::trigger::reply::answer;
    use crate::domain::trigger::testing::{event_of, texts};

    fn question() -> VerifyAuthChallengeResponse {
        VerifyAuthChallengeResponse {
            user_attributes: texts(&[("sub", "1")]),
            private_challenge_parameters: texts(&[("answer", "5")]),
            challenge_answer: "6".to_owned(),
            client_metadata: None,
            user_not_found: false,
        }
    }

    #[test]
    fn the_event_has_the_members_of_cognito_s() {
        let expected = json!({
            "version": "1",
            "region": "eu-central-1",
            "userPoolId": "eu-central-1_aaaaaaaaa",
            "userName": "jane",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "client"},
            "triggerSource": "VerifyAuthChallengeResponse_Authentication",
            "request": {
                "userAttributes": {"sub": "1"},
                "privateChallengeParameters": {"answer": "5"},
                "challengeAnswer": "6",
                "clientMetadata": null,
                "userNotFound": false,
            },
            "response": {"answerCorrect": null},
        });
        assert_eq!(event_of(&question()), expected);
    }

    #[test]
    fn only_what_the_trigger_calls_right_is_right() {
        let is_right = |response: &str| {
            let reply = format!("{{\"response\":{response}}}");
            answer(&question(), reply.as_bytes()).map(Answer::is_right).ok()
        };
        assert_eq!(is_right(r#"{"answerCorrect":true}"#), Some(true));
        for wrong in [r#"{"answerCorrect":false}"#, r#"{"answerCorrect":null}"#, "{}"] {
            assert_eq!(is_right(wrong), Some(false), "{wrong}");
        }
        for nonsense in [r#"{"answerCorrect":"true"}"#, r#"{"answerCorrect":1}"#, "null"] {
            assert_eq!(is_right(nonsense), None, "{nonsense}");
        }
    }
}

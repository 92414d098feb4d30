//! Create auth challenge: a custom challenge, and what its answer will be compared with.

use serde::{Deserialize, Serialize};

use crate::domain::trigger::define_auth_challenge::{Challenge, ChallengeResult};
use crate::domain::trigger::{Question, Source, Texts, Trigger};

/// A custom challenge comes next.
pub const AUTHENTICATION: Source = Source::new(Trigger::CreateAuthChallenge, "Authentication");

/// The question for a challenge.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateAuthChallenge {
    /// The attributes of the user; none of a name that nobody has.
    pub user_attributes: Texts,
    /// The challenge that comes next.
    pub challenge_name: Challenge,
    /// The challenges that were answered so far, in their order.
    pub session: Vec<ChallengeResult>,
    /// The `ClientMetadata` of the answer to a challenge. That of the call which begins the sign-in is not handed on.
    pub client_metadata: Option<Texts>,
    /// Whether nobody has the name, and the client hides it.
    pub user_not_found: bool,
}

impl Question for CreateAuthChallenge {
    type Answer = Answer;

    fn source(&self) -> Source {
        AUTHENTICATION
    }
}

/// The challenge. It has no Debug: the private parameters are secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// What the client is shown.
    pub public_challenge_parameters: Option<Texts>,
    /// What only the trigger that judges the answer is shown.
    pub private_challenge_parameters: Option<Texts>,
    /// The trigger's own name for the challenge.
    pub challenge_metadata: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::trigger::reply::answer;
    use crate::domain::trigger::testing::{event_of, texts};

    fn question() -> CreateAuthChallenge {
        CreateAuthChallenge {
            user_attributes: texts(&[("sub", "1")]),
            challenge_name: Challenge::Custom,
            session: vec![ChallengeResult {
                challenge_name: Challenge::Custom,
                challenge_result: true,
                challenge_metadata: Some("CAPTCHA".to_owned()),
            }],
            client_metadata: Some(texts(&[("source", "app")])),
            user_not_found: true,
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
            "triggerSource": "CreateAuthChallenge_Authentication",
            "request": {
                "userAttributes": {"sub": "1"},
                "challengeName": "CUSTOM_CHALLENGE",
                "session": [
                    {"challengeName": "CUSTOM_CHALLENGE", "challengeResult": true, "challengeMetadata": "CAPTCHA"},
                ],
                "clientMetadata": {"source": "app"},
                "userNotFound": true,
            },
            "response": {
                "publicChallengeParameters": null,
                "privateChallengeParameters": null,
                "challengeMetadata": null,
            },
        });
        assert_eq!(event_of(&question()), expected);
    }

    #[test]
    fn the_answer_has_texts_or_nothing() {
        let answered = |response: &str| answer(&question(), format!("{{\"response\":{response}}}").as_bytes());
        let whole =
            r#"{"publicChallengeParameters":{"q":"1"},"privateChallengeParameters":{"a":"2"},"challengeMetadata":"M"}"#;
        let expected = Answer {
            public_challenge_parameters: Some(texts(&[("q", "1")])),
            private_challenge_parameters: Some(texts(&[("a", "2")])),
            challenge_metadata: Some("M".to_owned()),
        };
        assert!(answered(whole).is_ok_and(|answer| answer == expected));
        for empty in ["{}", r#"{"publicChallengeParameters":null}"#] {
            assert!(answered(empty).is_ok_and(|answer| answer == Answer::default()), "{empty}");
        }
        for wrong in [
            r#"{"publicChallengeParameters":"q"}"#,
            r#"{"publicChallengeParameters":{"q":1}}"#,
            r#"{"privateChallengeParameters":{"a":null}}"#,
            r#"{"privateChallengeParameters":["a"]}"#,
            r#"{"challengeMetadata":{}}"#,
            "null",
        ] {
            assert!(answered(wrong).is_err(), "{wrong}");
        }
    }
}

//! Define auth challenge: what comes next in a sign-in by custom challenges.

use serde::{Deserialize, Serialize};

use crate::domain::error::Error;
use crate::domain::trigger::{Question, Source, Texts, Trigger, reply};

/// A sign-in by custom challenges begins, or one of its challenges was answered.
pub const AUTHENTICATION: Source = Source::new(Trigger::DefineAuthChallenge, "Authentication");
/// How many challenges one sign-in has at most.
pub const MOST_CHALLENGES: usize = 20;

/// A challenge that a sign-in by custom challenges can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// The client has begun a proof of the password by SRP.
    #[serde(rename = "SRP_A")]
    SrpA,
    /// The client has proved the password.
    #[serde(rename = "PASSWORD_VERIFIER")]
    PasswordVerifier,
    /// A challenge that the pool's triggers make and judge.
    #[serde(rename = "CUSTOM_CHALLENGE")]
    Custom,
}

/// A challenge of the sign-in that was answered, as a trigger receives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeResult {
    /// The challenge.
    pub challenge_name: Challenge,
    /// Whether the answer was right.
    pub challenge_result: bool,
    /// The trigger's own name for a custom challenge.
    pub challenge_metadata: Option<String>,
}

/// The question about what comes next.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DefineAuthChallenge {
    /// The attributes of the user; none of a name that nobody has.
    pub user_attributes: Texts,
    /// The challenges that were answered so far, in their order.
    pub session: Vec<ChallengeResult>,
    /// The `ClientMetadata` of the answer to a challenge. That of the call which begins the sign-in is not handed on.
    pub client_metadata: Option<Texts>,
    /// Whether nobody has the name, and the client hides it.
    pub user_not_found: bool,
}

impl Question for DefineAuthChallenge {
    type Answer = Answer;

    fn source(&self) -> Source {
        AUTHENTICATION
    }
}

/// What the trigger decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// The challenge that comes next.
    pub challenge_name: Option<String>,
    /// Whether the user is signed in.
    pub issue_tokens: Option<bool>,
    /// Whether the sign-in fails.
    pub fail_authentication: Option<bool>,
}

/// What comes next in a sign-in by custom challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The sign-in fails.
    Failure,
    /// The user is signed in.
    Tokens,
    /// The client proves the password by SRP.
    PasswordVerifier,
    /// The trigger for it makes a custom challenge.
    CustomChallenge,
}

impl Answer {
    /// What comes next after these challenges. A failure outweighs tokens, and both outweigh a challenge.
    pub fn ruling(&self, session: &[ChallengeResult]) -> Result<Ruling, Error> {
        if self.fail_authentication == Some(true) {
            return Ok(Ruling::Failure);
        }
        if self.issue_tokens == Some(true) {
            return Ok(Ruling::Tokens);
        }
        match self.challenge_name.as_deref() {
            Some("CUSTOM_CHALLENGE") if session.len() >= MOST_CHALLENGES => {
                Err(reply::impossible(&format!("a sign-in has at most {MOST_CHALLENGES} challenges")))
            }
            Some("CUSTOM_CHALLENGE") => Ok(Ruling::CustomChallenge),
            Some("PASSWORD_VERIFIER") if is_begun_by_srp(session) => Ok(Ruling::PasswordVerifier),
            Some("PASSWORD_VERIFIER") => Err(reply::impossible("PASSWORD_VERIFIER follows nothing but SRP_A")),
            Some(_) => Err(reply::impossible("challengeName must be CUSTOM_CHALLENGE or PASSWORD_VERIFIER")),
            None => Err(reply::unrecognizable()),
        }
    }
}

fn is_begun_by_srp(session: &[ChallengeResult]) -> bool {
    matches!(session, [ChallengeResult { challenge_name: Challenge::SrpA, .. }])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::refusal;
    use crate::domain::trigger::reply::answer;
    use crate::domain::trigger::testing::{event_of, texts};

    fn result(challenge_name: Challenge, metadata: Option<&str>) -> ChallengeResult {
        ChallengeResult { challenge_name, challenge_result: true, challenge_metadata: metadata.map(str::to_owned) }
    }

    fn question(session: Vec<ChallengeResult>) -> DefineAuthChallenge {
        DefineAuthChallenge {
            user_attributes: texts(&[("sub", "1")]),
            session,
            client_metadata: None,
            user_not_found: false,
        }
    }

    fn ruled(session: &[ChallengeResult], response: &str) -> Result<Ruling, (Exception, String)> {
        let reply = format!("{{\"response\":{response}}}");
        let answer = answer(&question(session.to_vec()), reply.as_bytes());
        answer.and_then(|answer| answer.ruling(session)).map_err(|error| refusal::<()>(Err(error)))
    }

    #[test]
    fn the_event_has_the_members_of_cognito_s() {
        let session = vec![
            result(Challenge::SrpA, None),
            result(Challenge::PasswordVerifier, None),
            ChallengeResult { challenge_result: false, ..result(Challenge::Custom, Some("CAPTCHA")) },
        ];
        let expected = json!({
            "version": "1",
            "region": "eu-central-1",
            "userPoolId": "eu-central-1_aaaaaaaaa",
            "userName": "jane",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "client"},
            "triggerSource": "DefineAuthChallenge_Authentication",
            "request": {
                "userAttributes": {"sub": "1"},
                "session": [
                    {"challengeName": "SRP_A", "challengeResult": true, "challengeMetadata": null},
                    {"challengeName": "PASSWORD_VERIFIER", "challengeResult": true, "challengeMetadata": null},
                    {"challengeName": "CUSTOM_CHALLENGE", "challengeResult": false, "challengeMetadata": "CAPTCHA"},
                ],
                "clientMetadata": null,
                "userNotFound": false,
            },
            "response": {"challengeName": null, "issueTokens": null, "failAuthentication": null},
        });
        assert_eq!(event_of(&question(session)), expected);
    }

    #[test]
    fn the_answer_says_what_comes_next() {
        let begun = [result(Challenge::SrpA, None)];
        let proved = [result(Challenge::SrpA, None), result(Challenge::PasswordVerifier, None)];
        let custom = r#"{"challengeName":"CUSTOM_CHALLENGE","issueTokens":false,"failAuthentication":false}"#;
        assert_eq!(ruled(&[], custom), Ok(Ruling::CustomChallenge));
        assert_eq!(ruled(&proved, custom), Ok(Ruling::CustomChallenge));
        assert_eq!(ruled(&begun, r#"{"challengeName":"PASSWORD_VERIFIER"}"#), Ok(Ruling::PasswordVerifier));
        let tokens = r#"{"issueTokens":true,"challengeName":"CUSTOM_CHALLENGE","failAuthentication":null}"#;
        assert_eq!(ruled(&[], tokens), Ok(Ruling::Tokens));
        assert_eq!(ruled(&[], r#"{"issueTokens":true,"failAuthentication":true}"#), Ok(Ruling::Failure));
    }

    #[test]
    fn an_answer_that_says_nothing_possible_is_refused() {
        let plain = "Unrecognizable lambda output";
        let refused = |why: &str| Err((Exception::InvalidLambdaResponseException, why.to_owned()));
        for response in ["{}", r#"{"issueTokens":false}"#, r#"{"issueTokens":"yes"}"#, "null", "[]"] {
            assert_eq!(ruled(&[], response), refused(plain), "{response}");
        }
        let unknown = format!("{plain}: challengeName must be CUSTOM_CHALLENGE or PASSWORD_VERIFIER.");
        for name in ["SMS_MFA", "SOFTWARE_TOKEN_MFA", "", "custom_challenge"] {
            assert_eq!(ruled(&[], &json!({ "challengeName": name }).to_string()), refused(&unknown), "{name}");
        }
        let late = format!("{plain}: PASSWORD_VERIFIER follows nothing but SRP_A.");
        let proved = [result(Challenge::SrpA, None), result(Challenge::PasswordVerifier, None)];
        for session in [&[][..], &proved] {
            assert_eq!(ruled(session, r#"{"challengeName":"PASSWORD_VERIFIER"}"#), refused(&late));
        }
    }

    #[test]
    fn a_sign_in_does_not_go_on_for_ever() {
        let session = vec![result(Challenge::Custom, None); MOST_CHALLENGES];
        let custom = r#"{"challengeName":"CUSTOM_CHALLENGE"}"#;
        assert_eq!(ruled(&session[1..], custom), Ok(Ruling::CustomChallenge));
        let message = "Unrecognizable lambda output: a sign-in has at most 20 challenges.".to_owned();
        assert_eq!(ruled(&session, custom), Err((Exception::InvalidLambdaResponseException, message)));
        assert_eq!(ruled(&session, r#"{"issueTokens":true}"#), Ok(Ruling::Tokens));
    }
}

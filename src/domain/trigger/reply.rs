//! What a trigger has answered.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::error::{Error, Exception};
use crate::domain::trigger::{Question, Trigger};

/// The longest part of a trigger's error message that a caller is shown, in characters.
const LONGEST_MESSAGE: usize = 2_048;

/// A reply: the event with its `response`, or the error of a handler that has failed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    response: Option<Value>,
    error_message: Option<Value>,
}

/// The answer in a reply to a question.
///
/// `UserLambdaValidationException` if the handler has failed, `InvalidLambdaResponseException` if the reply is no event
/// or a member of its `response` has a wrong type.
pub fn answer<Q: Question>(question: &Q, reply: &[u8]) -> Result<Q::Answer, Error> {
    let Reply { response, error_message } = serde_json::from_slice(reply).map_err(|_| unrecognizable())?;
    if let Some(message) = error_message {
        return Err(refused(question.source().trigger, &text(&message)));
    }
    let response = response.filter(Value::is_object).ok_or_else(unrecognizable)?;
    serde_json::from_value(response).map_err(|_| unrecognizable())
}

/// The message as Lambda's runtimes write it. Other values than texts are shown as JSON.
fn text(message: &Value) -> String {
    match message {
        Value::String(text) => text.chars().take(LONGEST_MESSAGE).collect(),
        other => other.to_string().chars().take(LONGEST_MESSAGE).collect(),
    }
}

/// The trigger has refused what it was asked about.
pub fn refused(trigger: Trigger, message: &str) -> Error {
    let trigger = trigger.name();
    Error::new(Exception::UserLambdaValidationException, format!("{trigger} failed with error {message}."))
}

/// The trigger has answered something that is no answer to its question.
pub fn unrecognizable() -> Error {
    Error::new(Exception::InvalidLambdaResponseException, "Unrecognizable lambda output")
}

/// The trigger has answered something that can't be done.
pub fn impossible(why: &str) -> Error {
    Error::new(Exception::InvalidLambdaResponseException, format!("Unrecognizable lambda output: {why}."))
}

/// The trigger has not answered in time.
pub fn silent(trigger: Trigger) -> Error {
    let trigger = trigger.name();
    let message = format!("{trigger} invocation failed due to error Socket timeout while invoking Lambda function.");
    Error::new(Exception::UnexpectedLambdaException, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::refusal;
    use crate::domain::trigger::pre_sign_up::{self, PreSignUp};

    fn question() -> PreSignUp {
        PreSignUp::new(pre_sign_up::SIGN_UP, Default::default(), None, None)
    }

    fn answered(reply: &str) -> Result<pre_sign_up::Answer, (Exception, String)> {
        answer(&question(), reply.as_bytes()).map_err(|error| refusal::<()>(Err(error)))
    }

    #[test]
    fn the_response_of_the_event_is_the_answer() {
        let reply = r#"{"version":"1","response":{"autoConfirmUser":true,"autoVerifyEmail":null},"more":1}"#;
        let expected = pre_sign_up::Answer { auto_confirm_user: true, ..Default::default() };
        assert_eq!(answered(reply), Ok(expected));
        assert_eq!(answered(r#"{"response":{}}"#), Ok(Default::default()));
    }

    #[test]
    fn the_error_of_a_handler_is_a_refusal_in_its_words() {
        let told = |message: &str| {
            Err((Exception::UserLambdaValidationException, format!("PreSignUp failed with error {message}.")))
        };
        assert_eq!(answered(r#"{"errorMessage":"not you","errorType":"Error","trace":[]}"#), told("not you"));
        assert_eq!(answered(r#"{"errorMessage":"both","response":{}}"#), told("both"));
        assert_eq!(answered(r#"{"errorMessage":7}"#), told("7"));
        let long = "x".repeat(LONGEST_MESSAGE + 1);
        assert_eq!(answered(&format!(r#"{{"errorMessage":"{long}"}}"#)), told(&long[1..]));
    }

    #[test]
    fn what_is_no_event_is_unrecognizable() {
        let expected = Err((Exception::InvalidLambdaResponseException, "Unrecognizable lambda output".to_owned()));
        for reply in [
            "",
            "null",
            "7",
            "[]",
            "{}",
            "not JSON",
            r#"{"response":null}"#,
            r#"{"response":[]}"#,
            r#"{"response":{"autoConfirmUser":"true"}}"#,
            r#"{"response":{"autoConfirmUser":1}}"#,
        ] {
            assert_eq!(answered(reply), expected, "{reply}");
        }
    }

    proptest! {
        #[test]
        fn any_reply_is_an_answer_or_a_refusal(reply in any::<Vec<u8>>()) {
            let _ = answer(&question(), &reply);
        }
    }
}

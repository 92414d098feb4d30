//! Post confirmation: it is told of users who are confirmed, and of passwords that were set by a code.

use serde::Serialize;

use crate::domain::trigger::{Nothing, Question, Source, Texts, Trigger};

/// A user who signed up is confirmed.
pub const CONFIRM_SIGN_UP: Source = Source::new(Trigger::PostConfirmation, "ConfirmSignUp");
/// A user has set a new password by a code.
pub const CONFIRM_FORGOT_PASSWORD: Source = Source::new(Trigger::PostConfirmation, "ConfirmForgotPassword");

/// What the trigger is told of.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PostConfirmation {
    #[serde(skip)]
    source: Source,
    user_attributes: Texts,
    client_metadata: Option<Texts>,
}

impl PostConfirmation {
    /// A user who has these attributes from now on.
    pub fn new(source: Source, user_attributes: Texts, client_metadata: Option<Texts>) -> Self {
        Self { source, user_attributes, client_metadata }
    }
}

impl Question for PostConfirmation {
    type Answer = Nothing;

    fn source(&self) -> Source {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::trigger::reply::answer;
    use crate::domain::trigger::{About, event};

    #[test]
    fn the_event_is_that_of_a_lambda_function() {
        let attributes = Texts::from([("cognito:user_status".to_owned(), "CONFIRMED".to_owned())]);
        let question = PostConfirmation::new(CONFIRM_FORGOT_PASSWORD, attributes, None);
        let about = About { region: "us-east-1", user_pool_id: "us-east-1_a", user_name: "jane", client_id: None };
        let made: Value = serde_json::from_slice(&event(about, &question).unwrap()).unwrap();
        let expected = json!({
            "version": "1",
            "region": "us-east-1",
            "userPoolId": "us-east-1_a",
            "userName": "jane",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "CLIENT_ID_NOT_APPLICABLE"},
            "triggerSource": "PostConfirmation_ConfirmForgotPassword",
            "request": {"userAttributes": {"cognito:user_status": "CONFIRMED"}, "clientMetadata": null},
            "response": {},
        });
        assert_eq!(made, expected);
    }

    #[test]
    fn nothing_is_expected_of_the_answer_but_that_it_is_one() {
        let question = PostConfirmation::new(CONFIRM_SIGN_UP, Texts::new(), None);
        assert_eq!(answer(&question, br#"{"response":{"anything":1}}"#).unwrap(), Nothing {});
        assert!(answer(&question, b"null").is_err());
    }
}

//! Pre authentication: whether a sign-in may go on, before anything is proved.

use serde::Serialize;

use crate::domain::trigger::{Nothing, Question, Source, Texts, Trigger};

/// A sign-in begins.
pub const AUTHENTICATION: Source = Source::new(Trigger::PreAuthentication, "Authentication");

/// The question about a sign-in. Whoever refuses answers with an error; nothing else is expected.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreAuthentication {
    /// The attributes of the user; none of a name that nobody has.
    pub user_attributes: Texts,
    /// The `ClientMetadata` of the call that begins the sign-in.
    pub validation_data: Option<Texts>,
    /// Whether nobody has the name, and the client hides it.
    pub user_not_found: bool,
}

impl Question for PreAuthentication {
    type Answer = Nothing;

    fn source(&self) -> Source {
        AUTHENTICATION
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::trigger::reply::answer;
    use crate::domain::trigger::testing::{event_of, texts};

    #[test]
    fn the_event_has_the_members_of_cognito_s() {
        let question = PreAuthentication {
            user_attributes: texts(&[("sub", "1")]),
            validation_data: Some(texts(&[("source", "app")])),
            user_not_found: false,
        };
        let expected = json!({
            "version": "1",
            "region": "eu-central-1",
            "userPoolId": "eu-central-1_aaaaaaaaa",
            "userName": "jane",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "client"},
            "triggerSource": "PreAuthentication_Authentication",
            "request": {"userAttributes": {"sub": "1"}, "validationData": {"source": "app"}, "userNotFound": false},
            "response": {},
        });
        assert_eq!(event_of(&question), expected);
        let nobody = PreAuthentication { user_attributes: Texts::new(), validation_data: None, user_not_found: true };
        let request = json!({"userAttributes": {}, "validationData": null, "userNotFound": true});
        assert_eq!(event_of(&nobody)["request"], request);
        assert_eq!(answer(&nobody, br#"{"response":{"ignored":1}}"#).unwrap(), Nothing {});
        assert!(answer(&nobody, br#"{"response":null}"#).is_err());
    }
}

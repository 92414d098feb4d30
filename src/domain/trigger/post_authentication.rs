//! Post authentication: it is told of every sign-in that is complete.

use serde::Serialize;

use crate::domain::trigger::{Nothing, Question, Source, Texts, Trigger};

/// A user has signed in.
pub const AUTHENTICATION: Source = Source::new(Trigger::PostAuthentication, "Authentication");

/// What the trigger is told of.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PostAuthentication {
    user_attributes: Texts,
    new_device_used: bool,
    client_metadata: Option<Texts>,
}

impl PostAuthentication {
    /// A user with these attributes. A device is new only in a pool that remembers devices.
    pub fn new(user_attributes: Texts, new_device_used: bool, client_metadata: Option<Texts>) -> Self {
        Self { user_attributes, new_device_used, client_metadata }
    }
}

impl Question for PostAuthentication {
    type Answer = Nothing;

    fn source(&self) -> Source {
        AUTHENTICATION
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::trigger::{About, event};

    #[test]
    fn the_event_is_that_of_a_lambda_function() {
        let attributes = Texts::from([("sub".to_owned(), "1".to_owned())]);
        let metadata = Some(Texts::from([("source".to_owned(), "app".to_owned())]));
        let question = PostAuthentication::new(attributes, false, metadata);
        let about =
            About { region: "us-east-1", user_pool_id: "us-east-1_a", user_name: "jane", client_id: Some("app") };
        let made: Value = serde_json::from_slice(&event(about, &question).unwrap()).unwrap();
        let expected = json!({
            "version": "1",
            "region": "us-east-1",
            "userPoolId": "us-east-1_a",
            "userName": "jane",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "app"},
            "triggerSource": "PostAuthentication_Authentication",
            "request": {
                "userAttributes": {"sub": "1"},
                "newDeviceUsed": false,
                "clientMetadata": {"source": "app"},
            },
            "response": {},
        });
        assert_eq!(made, expected);
    }
}

//! Pre sign-up: whether a new user is let in, is confirmed at once, and has verified addresses.

use serde::{Deserialize, Serialize};

use crate::domain::attributes::Attributes;
use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::trigger::{Question, Source, Texts, Trigger, or_default, reply};

/// A user signs up.
pub const SIGN_UP: Source = Source::new(Trigger::PreSignUp, "SignUp");
/// An administrator creates a user.
pub const ADMIN_CREATE_USER: Source = Source::new(Trigger::PreSignUp, "AdminCreateUser");

/// The question about a new user.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreSignUp {
    #[serde(skip)]
    source: Source,
    user_attributes: Texts,
    validation_data: Option<Texts>,
    client_metadata: Option<Texts>,
}

impl PreSignUp {
    /// A question about a user with these attributes. They have no `sub` and no status yet.
    pub fn new(
        source: Source,
        user_attributes: Texts,
        validation_data: Option<Texts>,
        client_metadata: Option<Texts>,
    ) -> Self {
        Self { source, user_attributes, validation_data, client_metadata }
    }
}

impl Question for PreSignUp {
    type Answer = Answer;

    fn source(&self) -> Source {
        self.source
    }
}

/// What the trigger decides. Cognito ignores it for users whom an administrator creates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// Whether the user is confirmed at once.
    #[serde(deserialize_with = "or_default")]
    pub auto_confirm_user: bool,
    /// Whether the e-mail address counts as verified.
    #[serde(deserialize_with = "or_default")]
    pub auto_verify_email: bool,
    /// Whether the phone number counts as verified.
    #[serde(deserialize_with = "or_default")]
    pub auto_verify_phone: bool,
}

impl Answer {
    /// The attributes that count as verified. An address that the user does not have can't be verified.
    pub fn verified(&self, attributes: &Attributes) -> Result<Vec<String>, Error> {
        let asked = [(self.auto_verify_email, Medium::Email), (self.auto_verify_phone, Medium::Sms)];
        let verified = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, medium)| {
            let attribute = medium.attribute();
            match attributes.get(attribute).filter(|address| !address.is_empty()) {
                Some(_) => Ok(attribute.to_owned()),
                None => Err(reply::impossible(&format!("{attribute} can't be verified, because the user has none"))),
            }
        });
        verified.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::trigger::{About, event};

    #[test]
    fn the_event_has_what_is_known_of_a_new_user() {
        let attributes = Texts::from([("email".to_owned(), "jane@example.com".to_owned())]);
        let question = PreSignUp::new(SIGN_UP, attributes, None, None);
        let about = About { region: "us-east-1", user_pool_id: "us-east-1_pool", user_name: "jane", client_id: None };
        let event: Value = serde_json::from_slice(&event(about, &question).unwrap()).unwrap();
        let expected = json!({
            "version": "1",
            "region": "us-east-1",
            "userPoolId": "us-east-1_pool",
            "userName": "jane",
            "callerContext": { "awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "CLIENT_ID_NOT_APPLICABLE" },
            "triggerSource": "PreSignUp_SignUp",
            "request": {
                "userAttributes": { "email": "jane@example.com" },
                "validationData": null,
                "clientMetadata": null,
            },
            "response": { "autoConfirmUser": false, "autoVerifyEmail": false, "autoVerifyPhone": false },
        });
        assert_eq!(event, expected);
    }
}

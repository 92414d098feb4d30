//! User migration: whether another directory knows a user who is not in the pool, and what it knows about them.

use serde::{Deserialize, Serialize};

use crate::domain::error::Error;
use crate::domain::trigger::{Question, Source, Texts, Trigger, reply};

/// An unknown user signs in by password.
pub const AUTHENTICATION: Source = Source::new(Trigger::UserMigration, "Authentication");
/// An unknown user has forgotten their password.
pub const FORGOT_PASSWORD: Source = Source::new(Trigger::UserMigration, "ForgotPassword");

/// The question about a name that nobody has. It contains a password, so it has no Debug.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserMigration {
    #[serde(skip)]
    source: Source,
    password: Option<String>,
    validation_data: Option<Texts>,
    client_metadata: Option<Texts>,
}

impl UserMigration {
    /// A question about who signs in with this password.
    pub fn at_sign_in(password: String, validation_data: Option<Texts>, client_metadata: Option<Texts>) -> Self {
        Self { source: AUTHENTICATION, password: Some(password), validation_data, client_metadata }
    }

    /// A question about who has forgotten their password.
    pub fn at_forgot_password(client_metadata: Option<Texts>) -> Self {
        Self { source: FORGOT_PASSWORD, password: None, validation_data: None, client_metadata }
    }
}

impl Question for UserMigration {
    type Answer = Answer;

    fn source(&self) -> Source {
        self.source
    }
}

/// What the trigger knows about the user. Without attributes, it knows nobody.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    user_attributes: Option<Texts>,
    final_user_status: Option<String>,
    message_action: Option<String>,
    desired_delivery_mediums: Option<Vec<String>>,
    force_alias_creation: Option<bool>,
    #[serde(rename = "enableSMSMFA")]
    enable_sms_mfa: Option<bool>,
}

/// A user as another directory knows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// The attributes, with the flags of verified addresses.
    pub attributes: Texts,
    /// The user name, if it is another than the one that was typed.
    pub username: Option<String>,
    /// Whether the user can go on with the password that was typed.
    pub is_confirmed: bool,
    /// Whether the user is sent no message.
    pub is_silent: bool,
    /// The media of the message; empty if the trigger leaves it open.
    pub media: Vec<String>,
    /// Whether the user takes verified addresses from users who have them.
    pub takes_aliases: bool,
    /// Whether a code by SMS is the user's second factor.
    pub has_sms_factor: bool,
}

impl Answer {
    /// The user whom the trigger has found, if there is one.
    pub fn profile(self) -> Result<Option<Profile>, Error> {
        let Some(mut attributes) = self.user_attributes.filter(|attributes| !attributes.is_empty()) else {
            return Ok(None);
        };
        let one_of = |member: &str, value: Option<String>, values: [&str; 2]| match value {
            None => Ok(false),
            Some(value) if value == values[0] => Ok(true),
            Some(value) if value == values[1] => Ok(false),
            Some(_) => Err(reply::impossible(&format!("{member} has an unknown value"))),
        };
        let media = self.desired_delivery_mediums.unwrap_or_default();
        if media.iter().any(|medium| !["EMAIL", "SMS"].contains(&medium.as_str())) {
            return Err(reply::impossible("desiredDeliveryMediums has an unknown value"));
        }
        Ok(Some(Profile {
            username: attributes.remove("username").filter(|name| !name.is_empty()),
            attributes,
            is_confirmed: one_of("finalUserStatus", self.final_user_status, ["CONFIRMED", "RESET_REQUIRED"])?,
            is_silent: one_of("messageAction", self.message_action, ["SUPPRESS", "RESEND"])?,
            media,
            takes_aliases: self.force_alias_creation.unwrap_or_default(),
            has_sms_factor: self.enable_sms_mfa.unwrap_or_default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::refusal;
    use crate::domain::trigger::{About, event};

    const ABOUT: About<'_> =
        About { region: "us-east-1", user_pool_id: "us-east-1_pool", user_name: "jane", client_id: Some("client") };

    fn sent(question: &UserMigration) -> Value {
        serde_json::from_slice(&event(ABOUT, question).unwrap()).unwrap()
    }

    #[test]
    fn the_question_has_the_password_only_at_a_sign_in() {
        let texts = |name: &str| Some(Texts::from([(name.to_owned(), "x".to_owned())]));
        let asked = UserMigration::at_sign_in("Secret-1".to_owned(), texts("ticket"), None);
        let expected = json!({
            "version": "1",
            "region": "us-east-1",
            "userPoolId": "us-east-1_pool",
            "userName": "jane",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "client"},
            "triggerSource": "UserMigration_Authentication",
            "request": {"password": "Secret-1", "validationData": {"ticket": "x"}, "clientMetadata": null},
            "response": {
                "userAttributes": null,
                "finalUserStatus": null,
                "messageAction": null,
                "desiredDeliveryMediums": null,
                "forceAliasCreation": null,
                "enableSMSMFA": null,
            },
        });
        assert_eq!(sent(&asked), expected);
        let asked = sent(&UserMigration::at_forgot_password(texts("source")));
        assert_eq!(asked["triggerSource"], "UserMigration_ForgotPassword");
        let request = json!({"password": null, "validationData": null, "clientMetadata": {"source": "x"}});
        assert_eq!(asked["request"], request);
    }

    fn profile(response: &Value) -> Result<Option<Profile>, Error> {
        let question = UserMigration::at_forgot_password(None);
        reply::answer(&question, json!({ "response": response }).to_string().as_bytes()).and_then(Answer::profile)
    }

    #[test]
    fn who_has_no_attributes_was_not_found() {
        for response in [json!({}), json!({"userAttributes": null}), json!({"userAttributes": {}})] {
            assert!(profile(&response).unwrap().is_none(), "{response}");
        }
    }

    #[test]
    fn what_the_trigger_leaves_open_has_cognitos_defaults() {
        let found = profile(&json!({"userAttributes": {"name": "Jane"}})).unwrap().unwrap();
        let open = (found.is_confirmed, found.is_silent, found.takes_aliases, found.has_sms_factor);
        assert_eq!((open, found.media, found.username), ((false, false, false, false), Vec::new(), None));
        let all = json!({
            "userAttributes": {"name": "Jane", "username": "jane7"},
            "finalUserStatus": "CONFIRMED",
            "messageAction": "SUPPRESS",
            "desiredDeliveryMediums": ["EMAIL"],
            "forceAliasCreation": true,
            "enableSMSMFA": true,
        });
        let found = profile(&all).unwrap().unwrap();
        assert!(found.is_confirmed && found.is_silent && found.takes_aliases && found.has_sms_factor);
        assert_eq!((found.media, found.username.as_deref()), (vec!["EMAIL".to_owned()], Some("jane7")));
        assert_eq!(found.attributes.keys().collect::<Vec<_>>(), ["name"]);
    }

    #[test]
    fn wrong_types_and_unknown_values_are_no_answer() {
        for (member, value) in [
            ("userAttributes", json!({"age": 7})),
            ("userAttributes", json!("Jane")),
            ("finalUserStatus", json!("UNCONFIRMED")),
            ("finalUserStatus", json!(true)),
            ("messageAction", json!("SHOUT")),
            ("desiredDeliveryMediums", json!(["PIGEON"])),
            ("desiredDeliveryMediums", json!("EMAIL")),
            ("forceAliasCreation", json!("true")),
            ("enableSMSMFA", json!(1)),
        ] {
            let mut response = json!({"userAttributes": {"name": "Jane"}});
            response[member] = value;
            let refused = refusal(profile(&response).map(drop));
            assert_eq!(refused.0, Exception::InvalidLambdaResponseException, "{response}");
        }
    }
}

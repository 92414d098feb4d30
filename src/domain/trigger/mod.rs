//! The triggers of a pool: which there are, what each is asked, and what its answer may be.
//!
//! A trigger receives exactly the JSON that a Cognito Lambda function receives, and answers with the same JSON whose
//! `response` it has filled in. Each trigger has a file here with its `request` ([`Question`]), its `response`
//! ([`Question::Answer`]), and the rules that apply the answer.

pub mod create_auth_challenge;
pub mod custom_message;
pub mod define_auth_challenge;
pub mod function;
pub mod notice;
pub mod post_authentication;
pub mod post_confirmation;
pub mod pre_authentication;
pub mod pre_sign_up;
pub mod pre_token_generation;
pub mod reply;
#[cfg(test)]
mod schemas;
#[cfg(test)]
pub mod testing;
pub mod user_migration;
pub mod verify_auth_challenge_response;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::proto::v1::{AttributeType, LambdaConfigType};

/// The client in the events of operations that go through none.
pub const NO_CLIENT: &str = "CLIENT_ID_NOT_APPLICABLE";
/// What Cognito says of callers whose SDK it does not know.
const UNKNOWN_SDK: &str = "aws-sdk-unknown-unknown";

/// A trigger of a pool. The declaration order is that of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are Cognito's")]
pub enum Trigger {
    PreSignUp,
    PostConfirmation,
    PreAuthentication,
    PostAuthentication,
    DefineAuthChallenge,
    CreateAuthChallenge,
    VerifyAuthChallengeResponse,
    PreTokenGeneration,
    UserMigration,
    CustomMessage,
    CustomSmsSender,
    CustomEmailSender,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 12] = [
        Self::PreSignUp,
        Self::PostConfirmation,
        Self::PreAuthentication,
        Self::PostAuthentication,
        Self::DefineAuthChallenge,
        Self::CreateAuthChallenge,
        Self::VerifyAuthChallengeResponse,
        Self::PreTokenGeneration,
        Self::UserMigration,
        Self::CustomMessage,
        Self::CustomSmsSender,
        Self::CustomEmailSender,
    ];

    /// The name of its member in `LambdaConfig`, which also begins the sentences about it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreSignUp => "PreSignUp",
            Self::PostConfirmation => "PostConfirmation",
            Self::PreAuthentication => "PreAuthentication",
            Self::PostAuthentication => "PostAuthentication",
            Self::DefineAuthChallenge => "DefineAuthChallenge",
            Self::CreateAuthChallenge => "CreateAuthChallenge",
            Self::VerifyAuthChallengeResponse => "VerifyAuthChallengeResponse",
            Self::PreTokenGeneration => "PreTokenGeneration",
            Self::UserMigration => "UserMigration",
            Self::CustomMessage => "CustomMessage",
            Self::CustomSmsSender => "CustomSMSSender",
            Self::CustomEmailSender => "CustomEmailSender",
        }
    }

    /// The last part of its topic's name.
    pub fn topic(self) -> &'static str {
        match self {
            Self::PreSignUp => "pre-sign-up",
            Self::PostConfirmation => "post-confirmation",
            Self::PreAuthentication => "pre-authentication",
            Self::PostAuthentication => "post-authentication",
            Self::DefineAuthChallenge => "define-auth-challenge",
            Self::CreateAuthChallenge => "create-auth-challenge",
            Self::VerifyAuthChallengeResponse => "verify-auth-challenge-response",
            Self::PreTokenGeneration => "pre-token-generation",
            Self::UserMigration => "user-migration",
            Self::CustomMessage => "custom-message",
            Self::CustomSmsSender => "custom-sms-sender",
            Self::CustomEmailSender => "custom-email-sender",
        }
    }

    /// The trigger that a topic's name ends with.
    pub fn of_topic(topic: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.topic() == topic)
    }

    /// Whether it is told what has happened, and decides nothing.
    pub fn is_told(self) -> bool {
        matches!(
            self,
            Self::PostConfirmation | Self::PostAuthentication | Self::CustomSmsSender | Self::CustomEmailSender
        )
    }

    /// The function that a pool names for it. While there is one, the trigger is on.
    pub fn function(self, config: &LambdaConfigType) -> Option<&str> {
        let function = match self {
            Self::PreSignUp => &config.pre_sign_up,
            Self::PostConfirmation => &config.post_confirmation,
            Self::PreAuthentication => &config.pre_authentication,
            Self::PostAuthentication => &config.post_authentication,
            Self::DefineAuthChallenge => &config.define_auth_challenge,
            Self::CreateAuthChallenge => &config.create_auth_challenge,
            Self::VerifyAuthChallengeResponse => &config.verify_auth_challenge_response,
            Self::PreTokenGeneration => match &config.pre_token_generation_config {
                Some(config) => &config.lambda_arn,
                None => &config.pre_token_generation,
            },
            Self::UserMigration => &config.user_migration,
            Self::CustomMessage => &config.custom_message,
            Self::CustomSmsSender => &config.custom_sms_sender.as_ref()?.lambda_arn,
            Self::CustomEmailSender => &config.custom_email_sender.as_ref()?.lambda_arn,
        };
        function.as_deref().filter(|function| !function.is_empty())
    }
}

/// Why a trigger is asked or told: Cognito's `triggerSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The trigger.
    pub trigger: Trigger,
    /// What causes it: the second half of the name.
    pub cause: &'static str,
}

impl Source {
    /// The source of a trigger with this cause.
    pub const fn new(trigger: Trigger, cause: &'static str) -> Self {
        Self { trigger, cause }
    }

    /// The name in events, such as `PreSignUp_SignUp`.
    pub fn name(self) -> String {
        let trigger = match self.trigger {
            Trigger::PreTokenGeneration => "TokenGeneration",
            other => other.name(),
        };
        format!("{trigger}_{}", self.cause)
    }
}

/// Text values by name, such as attributes and metadata.
pub type Texts = BTreeMap<String, String>;

/// Where no metadata is given.
pub static NO_METADATA: Texts = Texts::new();

/// What a trigger is asked: the member `request` of its event.
pub trait Question: Serialize {
    /// The member `response`. Its default is what the event carries: the documented members, null or false.
    type Answer: Serialize + DeserializeOwned + Default;

    /// Why it is asked.
    fn source(&self) -> Source;

    /// The version of the event.
    fn version(&self) -> &'static str {
        "1"
    }
}

/// The answer of triggers from which nothing is expected but an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// Whom an event is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The region of the pool.
    pub region: &'a str,
    /// The pool's id.
    pub user_pool_id: &'a str,
    /// The user name; the `sub` where addresses are names. Of an unknown user, what was typed.
    pub user_name: &'a str,
    /// The app client, unless the operation goes through none.
    pub client_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a, Q: Question> {
    version: &'static str,
    region: &'a str,
    user_pool_id: &'a str,
    user_name: &'a str,
    caller_context: CallerContext<'a>,
    trigger_source: String,
    request: &'a Q,
    response: Q::Answer,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallerContext<'a> {
    aws_sdk_version: &'static str,
    client_id: &'a str,
}

/// The JSON that a trigger receives.
pub fn event<Q: Question>(about: About<'_>, question: &Q) -> serde_json::Result<Vec<u8>> {
    let client_id = about.client_id.unwrap_or(NO_CLIENT);
    let event = serde_json::to_vec(&Event {
        version: question.version(),
        region: about.region,
        user_pool_id: about.user_pool_id,
        user_name: about.user_name,
        caller_context: CallerContext { aws_sdk_version: UNKNOWN_SDK, client_id },
        trigger_source: question.source().name(),
        request: question,
        response: Q::Answer::default(),
    })?;
    #[cfg(test)]
    schemas::assert_fits(question.source().trigger, &event);
    Ok(event)
}

/// Metadata as a trigger receives it: null if none was given.
pub fn metadata(given: &Texts) -> Option<Texts> {
    (!given.is_empty()).then(|| given.clone())
}

/// Validation data as a trigger receives it: null if none was given.
pub fn validation_data(given: &[AttributeType]) -> Option<Texts> {
    let texts = given.iter().map(|it| (it.name().to_owned(), it.value().to_owned()));
    (!given.is_empty()).then(|| texts.collect())
}

/// Reads null like an absent member.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

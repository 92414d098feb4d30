//! Messages to people, as rules order them: texts come from the templates of the pool.

use serde::{Deserialize, Serialize};

use crate::proto::events::UserPoolSettings;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Medium {
    /// By e-mail.
    Email,
    /// By SMS.
    Sms,
}

impl Medium {
    /// Cognito's name of the medium.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Sms => "SMS",
        }
    }

    /// The attribute that holds the address of this medium.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "phone_number",
        }
    }
}

/// A message that is ready to be delivered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// By which way.
    pub medium: Medium,
    /// The address: an e-mail address or a phone number.
    pub to: String,
    /// The subject, for an e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text.
    pub body: String,
    /// The code that the text contains, for the development mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The link that the text contains, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({})", self.medium.name())
    }
}

/// The address as it may be shown to somebody who might not own it: `a***@e***`, `+********1234`.
pub fn mask(medium: Medium, address: &str) -> String {
    match medium {
        Medium::Email => {
            let first = |part: &str| part.chars().next().map(String::from).unwrap_or_default();
            let (local, domain) = address.split_once('@').unwrap_or((address, ""));
            format!("{}***@{}***", first(local), first(domain))
        }
        Medium::Sms => {
            let digits = address.chars().count().saturating_sub(1);
            let shown: String = address.chars().skip(1 + digits.saturating_sub(4)).collect();
            format!("+{}{shown}", "*".repeat(digits.saturating_sub(4)))
        }
    }
}

const DEFAULT_SUBJECT: &str = "Your verification code";
const DEFAULT_EMAIL: &str = "Your confirmation code is {####}";
const DEFAULT_SMS: &str = "Your confirmation code is {####}";

/// The message that carries the code of a sign-up, by the pool's templates.
pub fn verification_message(
    settings: &UserPoolSettings,
    medium: Medium,
    to: &str,
    username: &str,
    code: &str,
) -> Message {
    let template = settings.verification_message_template.as_ref();
    let text = |chosen: Option<&String>, default: &str| {
        chosen.map_or(default, String::as_str).replace("{####}", code).replace("{username}", username)
    };
    let (subject, body) = match medium {
        Medium::Email => (
            Some(text(template.and_then(|it| it.email_subject.as_ref()), DEFAULT_SUBJECT)),
            text(template.and_then(|it| it.email_message.as_ref()), DEFAULT_EMAIL),
        ),
        Medium::Sms => (None, text(template.and_then(|it| it.sms_message.as_ref()), DEFAULT_SMS)),
    };
    Message { medium, to: to.to_owned(), subject, body, code: Some(code.to_owned()), link: None }
}

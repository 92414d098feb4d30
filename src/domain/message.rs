//! Messages to people, as rules order them. Their texts come from the pool's templates.

use serde::{Deserialize, Serialize};

use crate::domain::addresses::is_email;
use crate::proto::events::UserPoolSettings;

/// The medium of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Medium {
    Email,
    Sms,
}

impl Medium {
    /// Every medium, in the order in which pages and metrics show them.
    pub const ALL: [Self; 2] = [Self::Email, Self::Sms];

    /// Cognito's name of the medium.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Sms => "SMS",
        }
    }

    /// The user attribute with the address for this medium.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "phone_number",
        }
    }
}

/// A message that is ready to be delivered. The body of an e-mail is HTML, as in Cognito.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Whether the message is an e-mail or an SMS.
    pub medium: Medium,
    /// The recipient: an e-mail address or a phone number.
    pub to: String,
    /// The sender that the pool chose, for an e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The address for replies, if the pool chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The subject, for an e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text: HTML for an e-mail, plain text for an SMS.
    pub body: String,
    /// The code that the text contains, for the development mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The link that the text contains, for the development mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({})", self.medium.name())
    }
}

/// An e-mail address with an optional display name: `Name <name@example.com>` or `name@example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAddress {
    /// The display name, if there is one.
    pub name: Option<String>,
    /// The bare address, such as `name@example.com`.
    pub address: String,
}

impl NamedAddress {
    /// Parses a named address. A text with line breaks is refused, so that it can't add headers to an e-mail.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (name.trim(), address),
            None => ("", text),
        };
        let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        let name = quoted.unwrap_or(name);
        let forbidden = |character: char| character.is_control() || ['<', '>', '"'].contains(&character);
        if !is_email(address) || address.contains(forbidden) || name.contains(forbidden) {
            return None;
        }
        let name = (!name.is_empty()).then(|| name.to_owned());
        Some(Self { name, address: address.to_owned() })
    }
}

/// Fills all placeholders at once, so that a value that looks like a placeholder stays as it is.
pub fn fill_places(text: &str, places: &[(&str, &str)]) -> String {
    let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
    let first = |rest: &str| {
        let found =
            places.iter().filter_map(|(place, value)| rest.find(place).map(|at| (at, at + place.len(), *value)));
        found.min_by_key(|(begin, ..)| *begin)
    };
    while let Some((begin, end, value)) = first(rest) {
        filled.push_str(&rest[..begin]);
        filled.push_str(value);
        rest = &rest[end..];
    }
    filled.push_str(rest);
    filled
}

/// An address in the form that may be shown to a stranger: `a***@e***`, `+********1234`.
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

/// The placeholder of a code, or of a temporary password, in a template.
pub const CODE_PLACE: &str = "{####}";
/// The placeholder of the user name in a template.
pub const USERNAME_PLACE: &str = "{username}";

impl Message {
    /// A message from the pool: an e-mail gets the pool's sender.
    pub fn new(settings: &UserPoolSettings, medium: Medium, to: &str, subject: Option<String>, body: String) -> Self {
        let email = settings.email_configuration.as_ref().filter(|_| medium == Medium::Email);
        Self {
            medium,
            to: to.to_owned(),
            from: email.and_then(|email| email.from.clone()),
            reply_to: email.and_then(|email| email.reply_to_email_address.clone()),
            subject,
            body,
            code: None,
            link: None,
        }
    }
}

/// Fills a template for the body of a message. The body of an e-mail is HTML, so values are escaped in it.
pub fn fill_body(medium: Medium, template: &str, places: &[(&str, &str)]) -> String {
    let shown = |value: &str| match medium {
        Medium::Email => escape_html(value),
        Medium::Sms => value.to_owned(),
    };
    let values: Vec<_> = places.iter().map(|(place, value)| (*place, shown(value))).collect();
    fill_places(template, &values.iter().map(|(place, value)| (*place, value.as_str())).collect::<Vec<_>>())
}

/// The message with a verification code, made from the pool's templates.
pub fn verification_message(
    settings: &UserPoolSettings,
    medium: Medium,
    to: &str,
    username: &str,
    code: &str,
) -> Message {
    let template = settings.verification_message_template.as_ref();
    let places = [(CODE_PLACE, code), (USERNAME_PLACE, username)];
    let chosen = |text: Option<&String>, default: &str| text.map_or_else(|| default.to_owned(), String::clone);
    let (subject, body) = match medium {
        Medium::Email => (
            Some(fill_places(&chosen(template.and_then(|it| it.email_subject.as_ref()), DEFAULT_SUBJECT), &places)),
            chosen(template.and_then(|it| it.email_message.as_ref()), DEFAULT_EMAIL),
        ),
        Medium::Sms => (None, chosen(template.and_then(|it| it.sms_message.as_ref()), DEFAULT_SMS)),
    };
    let body = fill_body(medium, &body, &places);
    Message { code: Some(code.to_owned()), ..Message::new(settings, medium, to, subject, body) }
}

const AUTHENTICATION: &str = "Your authentication code is {####}.";
const AUTHENTICATION_SUBJECT: &str = "Your authentication code";

/// The message with the code of a sign-in, made from the pool's templates for second factors.
pub fn authentication_message(
    settings: &UserPoolSettings,
    medium: Medium,
    to: &str,
    username: &str,
    code: &str,
) -> Message {
    let places = [(CODE_PLACE, code), (USERNAME_PLACE, username)];
    let email = settings.email_mfa_configuration.as_ref();
    let (subject, body) = match medium {
        Medium::Email => {
            let subject = email.and_then(|email| email.subject.as_deref()).unwrap_or(AUTHENTICATION_SUBJECT);
            (Some(fill_places(subject, &places)), email.and_then(|email| email.message.as_deref()))
        }
        Medium::Sms => (None, settings.sms_authentication_message.as_deref()),
    };
    let body = fill_body(medium, body.unwrap_or(AUTHENTICATION), &places);
    Message { code: Some(code.to_owned()), ..Message::new(settings, medium, to, subject, body) }
}

/// Escapes a text so that HTML shows it as it is.
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::v1::{EmailConfigurationType, EmailMfaConfigType, VerificationMessageTemplateType};

    #[test]
    fn a_masked_address_shows_its_first_letters_and_a_number_its_end() {
        assert_eq!(mask(Medium::Email, "jane@example.com"), "j***@e***");
        assert_eq!(mask(Medium::Email, "ü@é"), "ü***@é***");
        assert_eq!(mask(Medium::Email, "@"), "***@***");
        assert_eq!(mask(Medium::Email, ""), "***@***");
        assert_eq!(mask(Medium::Sms, "+12025550123"), "+*******0123");
        assert_eq!(mask(Medium::Sms, "+1234"), "+1234");
        assert_eq!(mask(Medium::Sms, "+"), "+");
        assert_eq!(mask(Medium::Sms, ""), "+");
    }

    fn message(template: VerificationMessageTemplateType, medium: Medium) -> Message {
        let settings = UserPoolSettings { verification_message_template: Some(template), ..Default::default() };
        verification_message(&settings, medium, "address", "jane", "123456")
    }

    #[test]
    fn without_a_template_a_message_has_the_text_of_cognito() {
        let email = verification_message(&UserPoolSettings::default(), Medium::Email, "to", "jane", "123456");
        assert_eq!(email.subject.as_deref(), Some("Your verification code"));
        assert_eq!(email.body, "Your confirmation code is 123456");
        let sms = message(VerificationMessageTemplateType::default(), Medium::Sms);
        assert_eq!((sms.subject, sms.body.as_str()), (None, "Your confirmation code is 123456"));
        assert_eq!((sms.to.as_str(), sms.code.as_deref(), sms.link), ("address", Some("123456"), None));
    }

    #[test]
    fn the_code_of_a_sign_in_has_templates_of_its_own() {
        let of = |settings: &UserPoolSettings, medium| authentication_message(settings, medium, "to", "jane", "123456");
        let plain = UserPoolSettings::default();
        let email = of(&plain, Medium::Email);
        assert_eq!(email.subject.as_deref(), Some("Your authentication code"));
        assert_eq!(
            (email.body.as_str(), email.code.as_deref()),
            ("Your authentication code is 123456.", Some("123456"))
        );
        assert_eq!(of(&plain, Medium::Sms).body, "Your authentication code is 123456.");
        let chosen = UserPoolSettings {
            sms_authentication_message: Some("SMS {####}".to_owned()),
            email_mfa_configuration: Some(EmailMfaConfigType {
                message: Some("<b>{####}</b>".to_owned()),
                subject: Some("For {username}".to_owned()),
            }),
            ..UserPoolSettings::default()
        };
        assert_eq!(of(&chosen, Medium::Sms).body, "SMS 123456");
        let email = of(&chosen, Medium::Email);
        assert_eq!((email.subject.as_deref(), email.body.as_str()), (Some("For jane"), "<b>123456</b>"));
    }

    #[test]
    fn a_template_of_the_pool_takes_the_code_and_the_name() {
        let template = VerificationMessageTemplateType {
            email_subject: Some("{username}, {####}".to_owned()),
            email_message: Some("{####} and {####} for {username}".to_owned()),
            sms_message: Some("{####}!".to_owned()),
            ..Default::default()
        };
        let email = message(template.clone(), Medium::Email);
        assert_eq!(email.subject.as_deref(), Some("jane, 123456"));
        assert_eq!(email.body, "123456 and 123456 for jane");
        assert_eq!(message(template, Medium::Sms).body, "123456!");
    }

    #[test]
    fn a_name_that_looks_like_a_placeholder_stays_a_name() {
        let template = VerificationMessageTemplateType {
            sms_message: Some("{username}: {####}".to_owned()),
            ..Default::default()
        };
        let settings = UserPoolSettings { verification_message_template: Some(template), ..Default::default() };
        let message = verification_message(&settings, Medium::Sms, "to", "{####}", "123456");
        assert_eq!(message.body, "{####}: 123456");
    }

    #[test]
    fn a_value_is_not_read_as_html_in_an_email_and_stays_as_it_is_elsewhere() {
        let template = VerificationMessageTemplateType {
            email_subject: Some("For {username}".to_owned()),
            email_message: Some("<b>{username}</b> {####}".to_owned()),
            sms_message: Some("{username} {####}".to_owned()),
            ..Default::default()
        };
        let settings = UserPoolSettings { verification_message_template: Some(template), ..Default::default() };
        let of = |medium| verification_message(&settings, medium, "to", "<a href='x'>&\"", "1");
        assert_eq!(of(Medium::Email).body, "<b>&lt;a href=&#39;x&#39;&gt;&amp;&quot;</b> 1");
        assert_eq!(of(Medium::Email).subject.as_deref(), Some("For <a href='x'>&\""));
        assert_eq!(of(Medium::Sms).body, "<a href='x'>&\" 1");
    }

    #[test]
    fn the_sender_of_an_email_is_the_pools() {
        let email = EmailConfigurationType {
            from: Some("App <app@example.com>".to_owned()),
            reply_to_email_address: Some("help@example.com".to_owned()),
            ..Default::default()
        };
        let settings = UserPoolSettings { email_configuration: Some(email), ..Default::default() };
        let of = |medium| verification_message(&settings, medium, "to", "jane", "1");
        let email = of(Medium::Email);
        assert_eq!(email.from.as_deref(), Some("App <app@example.com>"));
        assert_eq!(email.reply_to.as_deref(), Some("help@example.com"));
        assert_eq!((of(Medium::Sms).from, of(Medium::Sms).reply_to), (None, None));
    }

    #[test]
    fn an_address_can_have_a_name() {
        let parsed = |text: &str| NamedAddress::parse(text).map(|it| (it.name.unwrap_or_default(), it.address));
        let found = |name: &str, address: &str| Some((name.to_owned(), address.to_owned()));
        assert_eq!(parsed("a@example.com"), found("", "a@example.com"));
        assert_eq!(parsed(" <a@example.com> "), found("", "a@example.com"));
        assert_eq!(parsed("Ann O'Neil <a@example.com>"), found("Ann O'Neil", "a@example.com"));
        assert_eq!(parsed("\"Ann, Inc.\" <a@example.com>"), found("Ann, Inc.", "a@example.com"));
        for text in ["", "a", "a@", "Ann a@example.com", "Ann <a@example.com", "<<a@example.com>>", "a@b@example.com"] {
            assert_eq!(parsed(text), None, "{text}");
        }
        for text in ["a@example.com\r\nBcc: b@example.com", "Ann\nBcc: <a@example.com>", "Ann <a@exam\rple.com>"] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_an_address_has_no_line_breaks(text in any::<String>()) {
            if let Some(NamedAddress { name, address }) = NamedAddress::parse(&text) {
                let name = name.unwrap_or_default();
                prop_assert!(!name.chars().chain(address.chars()).any(char::is_control));
            }
        }
    }

    #[test]
    fn debug_shows_neither_address_nor_code() {
        let text = format!("{:?}", message(VerificationMessageTemplateType::default(), Medium::Sms));
        assert_eq!(text, "Message(SMS)");
    }
}

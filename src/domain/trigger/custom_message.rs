//! Custom message: the texts of the messages that carry codes and temporary passwords.
//!
//! The trigger never learns a code. Its texts have placeholders, which are filled afterwards.

use serde::{Deserialize, Serialize};

use crate::domain::error::Error;
use crate::domain::link_place::{has_link, with_link};
use crate::domain::message::{CODE_PLACE, Medium, Message, USERNAME_PLACE, fill_body, fill_places};
use crate::domain::trigger::{Question, Source, Texts, Trigger, reply};

const fn source(cause: &'static str) -> Source {
    Source::new(Trigger::CustomMessage, cause)
}

/// A user signs up.
pub const SIGN_UP: Source = source("SignUp");
/// An administrator invites a user, for the first time or again.
pub const ADMIN_CREATE_USER: Source = source("AdminCreateUser");
/// An unconfirmed user asks for another code.
pub const RESEND_CODE: Source = source("ResendCode");
/// A user has forgotten the password, or an administrator resets it.
pub const FORGOT_PASSWORD: Source = source("ForgotPassword");
/// An address changes.
pub const UPDATE_USER_ATTRIBUTE: Source = source("UpdateUserAttribute");
/// A user asks for the code that verifies an address.
pub const VERIFY_USER_ATTRIBUTE: Source = source("VerifyUserAttribute");
/// A user signs in.
pub const AUTHENTICATION: Source = source("Authentication");

/// The placeholder of a link. Any text may stand in the place of `Click Here`.
const LINK_PLACE: &str = "{##Click Here##}";
const LONGEST_EMAIL: usize = 20_000;
const LONGEST_SMS: usize = 140;
const LONGEST_SUBJECT: usize = 140;

/// The question how the messages of a call are worded.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomMessage {
    #[serde(skip)]
    source: Source,
    user_attributes: Texts,
    code_parameter: &'static str,
    link_parameter: &'static str,
    username_parameter: Option<&'static str>,
    client_metadata: Option<Texts>,
}

impl CustomMessage {
    /// A question about the messages to a user with these attributes.
    pub fn new(source: Source, user_attributes: Texts, client_metadata: Option<Texts>) -> Self {
        Self {
            source,
            user_attributes,
            code_parameter: CODE_PLACE,
            link_parameter: LINK_PLACE,
            username_parameter: names_user(source).then_some(USERNAME_PLACE),
            client_metadata,
        }
    }
}

/// Whether the message has to contain the user name: an invited user does not know it yet.
fn names_user(source: Source) -> bool {
    source == ADMIN_CREATE_USER
}

impl Question for CustomMessage {
    type Answer = Answer;

    fn source(&self) -> Source {
        self.source
    }
}

/// The texts. Where one is null, the pool's own template stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// The text of an SMS.
    pub sms_message: Option<String>,
    /// The text of an e-mail, which is HTML.
    pub email_message: Option<String>,
    /// The subject of an e-mail.
    pub email_subject: Option<String>,
}

impl Answer {
    /// The message with these texts, in which code, link and user name are filled in. A text for the other medium does not
    /// matter.
    pub fn applied(&self, source: Source, username: &str, message: Message) -> Result<Message, Error> {
        let (member, text, longest) = match message.medium {
            Medium::Email => ("emailMessage", &self.email_message, LONGEST_EMAIL),
            Medium::Sms => ("smsMessage", &self.sms_message, LONGEST_SMS),
        };
        let body = match text {
            Some(text) => Some(body(&message, text, (member, longest), source, username)?),
            None => None,
        };
        let subject = match &self.email_subject {
            Some(text) if message.medium == Medium::Email => Some(subject(&message, text, username)?),
            _ => None,
        };
        Ok(Message { body: body.unwrap_or(message.body), subject: subject.or(message.subject), ..message })
    }
}

fn body(
    message: &Message,
    text: &str,
    (member, longest): (&str, usize),
    source: Source,
    username: &str,
) -> Result<String, Error> {
    refuse_long(member, text, longest)?;
    if names_user(source) && !text.contains(USERNAME_PLACE) {
        return Err(lacks(member, USERNAME_PLACE));
    }
    match (&message.link, &message.code) {
        (Some(_), _) if !has_link(text) => Err(lacks(member, LINK_PLACE)),
        (Some(link), _) => {
            let filled = |text: &str| fill_body(message.medium, text, &[(USERNAME_PLACE, username)]);
            Ok(with_link(text, link, filled))
        }
        (None, Some(_)) if !text.contains(CODE_PLACE) => Err(lacks(member, CODE_PLACE)),
        (None, code) => Ok(fill_body(message.medium, text, &places(code.as_deref(), username))),
    }
}

fn subject(message: &Message, text: &str, username: &str) -> Result<String, Error> {
    refuse_long("emailSubject", text, LONGEST_SUBJECT)?;
    // A link confirms by itself, so the code is for nobody's eyes.
    let code = message.code.as_deref().filter(|_| message.link.is_none());
    Ok(fill_places(text, &places(code, username)))
}

/// The placeholders of a message with these values.
fn places<'a>(code: Option<&'a str>, username: &'a str) -> Vec<(&'static str, &'a str)> {
    code.map(|code| (CODE_PLACE, code)).into_iter().chain([(USERNAME_PLACE, username)]).collect()
}

fn refuse_long(member: &str, text: &str, longest: usize) -> Result<(), Error> {
    match text.chars().count() > longest {
        true => Err(reply::impossible(&format!("{member} has more than {longest} characters"))),
        false => Ok(()),
    }
}

fn lacks(member: &str, place: &str) -> Error {
    reply::impossible(&format!("{member} does not contain {place}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::refusal;
    use crate::domain::trigger::reply::answer;
    use crate::domain::trigger::{About, event};

    const ABOUT: About<'_> =
        About { region: "us-east-1", user_pool_id: "us-east-1_abcdefghi", user_name: "jane", client_id: Some("app") };

    fn texts(texts: &[(&str, &str)]) -> Texts {
        texts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn message(medium: Medium) -> Message {
        Message {
            medium,
            to: "to".to_owned(),
            from: None,
            reply_to: None,
            subject: (medium == Medium::Email).then(|| "Subject".to_owned()),
            body: "Body 123456".to_owned(),
            code: Some("123456".to_owned()),
            link: None,
        }
    }

    fn linking() -> Message {
        Message { link: Some("https://users.example.com/?a=1&b".to_owned()), ..message(Medium::Email) }
    }

    fn email(text: &str) -> Answer {
        Answer { email_message: Some(text.to_owned()), ..Answer::default() }
    }

    fn refused(outcome: Result<Message, Error>) -> String {
        let (exception, message) = refusal(outcome);
        assert_eq!(exception, Exception::InvalidLambdaResponseException);
        message
    }

    #[test]
    fn the_event_is_that_of_a_lambda_function_and_has_no_code() {
        let question = CustomMessage::new(SIGN_UP, texts(&[("email", "jane@example.com")]), None);
        let made: Value = serde_json::from_slice(&event(ABOUT, &question).unwrap()).unwrap();
        let expected = json!({
            "version": "1",
            "region": "us-east-1",
            "userPoolId": "us-east-1_abcdefghi",
            "userName": "jane",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "app"},
            "triggerSource": "CustomMessage_SignUp",
            "request": {
                "userAttributes": {"email": "jane@example.com"},
                "codeParameter": "{####}",
                "linkParameter": "{##Click Here##}",
                "usernameParameter": null,
                "clientMetadata": null,
            },
            "response": {"smsMessage": null, "emailMessage": null, "emailSubject": null},
        });
        assert_eq!(made, expected);
    }

    #[test]
    fn an_invitation_has_the_place_of_the_user_name() {
        let question = CustomMessage::new(ADMIN_CREATE_USER, Texts::new(), Some(texts(&[("a", "b")])));
        let made = serde_json::to_value(&question).unwrap();
        assert_eq!(made["usernameParameter"], "{username}");
        assert_eq!(made["clientMetadata"], json!({"a": "b"}));
    }

    #[test]
    fn null_and_absent_texts_leave_the_template() {
        let question = CustomMessage::new(SIGN_UP, Texts::new(), None);
        for reply in
            [r#"{"response":{}}"#, r#"{"response":{"smsMessage":null,"emailMessage":null,"emailSubject":null}}"#]
        {
            let answer = answer(&question, reply.as_bytes()).unwrap();
            assert_eq!(answer.applied(SIGN_UP, "jane", message(Medium::Email)).unwrap(), message(Medium::Email));
        }
        assert!(answer(&question, br#"{"response":{"smsMessage":7}}"#).is_err());
    }

    #[test]
    fn texts_replace_those_of_their_medium() {
        let answer = Answer {
            sms_message: Some("{####} <b>".to_owned()),
            email_message: Some("<b>{####}</b> for {username}".to_owned()),
            email_subject: Some("{####} for {username}".to_owned()),
        };
        let email = answer.applied(SIGN_UP, "<jane>", message(Medium::Email)).unwrap();
        assert_eq!(email.body, "<b>123456</b> for &lt;jane&gt;");
        assert_eq!(email.subject.as_deref(), Some("123456 for <jane>"));
        let sms = answer.applied(SIGN_UP, "jane", message(Medium::Sms)).unwrap();
        assert_eq!((sms.body.as_str(), sms.subject), ("123456 <b>", None));
        let subject = Answer { email_message: None, ..answer };
        assert_eq!(subject.applied(SIGN_UP, "jane", message(Medium::Email)).unwrap().body, "Body 123456");
    }

    #[test]
    fn a_message_without_its_code_is_refused() {
        let why =
            |member: &str, place: &str| format!("Unrecognizable lambda output: {member} does not contain {place}.");
        assert_eq!(
            refused(email("no code").applied(SIGN_UP, "jane", message(Medium::Email))),
            why("emailMessage", "{####}")
        );
        let sms = Answer { sms_message: Some(String::new()), ..Answer::default() };
        assert_eq!(refused(sms.applied(SIGN_UP, "jane", message(Medium::Sms))), why("smsMessage", "{####}"));
        // The text of a medium that is not used does not matter.
        assert!(sms.applied(SIGN_UP, "jane", message(Medium::Email)).is_ok());
    }

    #[test]
    fn an_invitation_names_the_user_too() {
        let of = |text: &str| email(text).applied(ADMIN_CREATE_USER, "jane", message(Medium::Email));
        assert_eq!(of("{username}: {####}").unwrap().body, "jane: 123456");
        assert!(refused(of("{####}")).ends_with("does not contain {username}."));
        assert!(refused(of("{username}")).ends_with("does not contain {####}."));
    }

    #[test]
    fn a_message_with_a_link_needs_the_link_in_the_place_of_the_code() {
        let of = |text: &str| email(text).applied(SIGN_UP, "jane", linking());
        let anchor = |text: &str| format!("<a href=\"https://users.example.com/?a=1&amp;b\">{text}</a>");
        assert_eq!(of("{username}: {##Click Here##}").unwrap().body, format!("jane: {}", anchor("Click Here")));
        assert_eq!(of("{####}").unwrap().body, anchor("https://users.example.com/?a=1&amp;b"));
        assert!(refused(of("nothing")).ends_with("does not contain {##Click Here##}."));
        let subject = Answer { email_subject: Some("{####}".to_owned()), ..Answer::default() };
        assert_eq!(subject.applied(SIGN_UP, "jane", linking()).unwrap().subject.as_deref(), Some("{####}"));
    }

    #[test]
    fn texts_have_a_longest_length_in_characters() {
        let long = |length: usize| format!("{{####}}{}", "ü".repeat(length - 6));
        let sms = |length| Answer { sms_message: Some(long(length)), ..Answer::default() };
        assert!(sms(140).applied(SIGN_UP, "jane", message(Medium::Sms)).is_ok());
        assert!(refused(sms(141).applied(SIGN_UP, "jane", message(Medium::Sms))).contains("more than 140 characters"));
        let of = |length| email(&long(length)).applied(SIGN_UP, "jane", message(Medium::Email));
        assert!(of(20_000).is_ok());
        assert!(refused(of(20_001)).contains("more than 20000 characters"));
        let subject = Answer { email_subject: Some("x".repeat(141)), ..Answer::default() };
        assert!(refused(subject.applied(SIGN_UP, "jane", message(Medium::Email))).contains("emailSubject has more"));
    }
}

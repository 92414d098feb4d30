//! The message that invites a user whom an administrator created, made from the pool's template.

use crate::domain::message::{CODE_PLACE, Medium, Message, USERNAME_PLACE, fill_body, fill_places};
use crate::proto::events::UserPoolSettings;

const DEFAULT_SUBJECT: &str = "Your temporary password";
const DEFAULT_TEXT: &str = "Your username is {username} and temporary password is {####}.";

/// The invitation, which contains a temporary password.
pub fn invitation_message(
    settings: &UserPoolSettings,
    medium: Medium,
    to: &str,
    username: &str,
    password: &str,
) -> Message {
    let config = settings.admin_create_user_config.as_ref();
    let template = config.and_then(|config| config.invite_message_template.as_ref());
    let places = [(CODE_PLACE, password), (USERNAME_PLACE, username)];
    let subject = template.and_then(|it| it.email_subject.as_deref()).unwrap_or(DEFAULT_SUBJECT);
    let (subject, text) = match medium {
        Medium::Email => (Some(fill_places(subject, &places)), template.and_then(|it| it.email_message.as_deref())),
        Medium::Sms => (None, template.and_then(|it| it.sms_message.as_deref())),
    };
    let body = fill_body(medium, text.unwrap_or(DEFAULT_TEXT), &places);
    Message { code: Some(password.to_owned()), ..Message::new(settings, medium, to, subject, body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{AdminCreateUserConfigType, MessageTemplateType};

    fn settings(template: MessageTemplateType) -> UserPoolSettings {
        let config = AdminCreateUserConfigType {
            invite_message_template: Some(template),
            ..AdminCreateUserConfigType::default()
        };
        UserPoolSettings { admin_create_user_config: Some(config), ..UserPoolSettings::default() }
    }

    #[test]
    fn without_a_template_an_invitation_names_user_and_password() {
        for medium in [Medium::Email, Medium::Sms] {
            let message = invitation_message(&UserPoolSettings::default(), medium, "to", "jane", "Secret-1");
            assert_eq!(message.body, "Your username is jane and temporary password is Secret-1.");
            assert_eq!((message.to.as_str(), message.code.as_deref()), ("to", Some("Secret-1")));
            assert_eq!(message.subject.is_some(), medium == Medium::Email);
        }
    }

    #[test]
    fn a_template_of_the_pool_takes_name_and_password() {
        let settings = settings(MessageTemplateType {
            email_subject: Some("For {username}".to_owned()),
            email_message: Some("{username}: {####} {or} {".to_owned()),
            sms_message: Some("{####}/{username}".to_owned()),
        });
        let email = invitation_message(&settings, Medium::Email, "to", "jane", "Secret-1");
        assert_eq!(email.subject.as_deref(), Some("For jane"));
        assert_eq!(email.body, "jane: Secret-1 {or} {");
        assert_eq!(invitation_message(&settings, Medium::Sms, "to", "jane", "Secret-1").body, "Secret-1/jane");
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_a_value() {
        let template = MessageTemplateType { sms_message: Some("{username} {####}".to_owned()), ..Default::default() };
        let message = invitation_message(&settings(template), Medium::Sms, "to", "{####}", "{username}");
        assert_eq!(message.body, "{####} {username}");
    }
}

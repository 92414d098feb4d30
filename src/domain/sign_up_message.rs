//! The message of a sign-up, made from the pool's template: with a code, or with a link that confirms the user.

use crate::domain::link_place::with_link;
use crate::domain::message::{Medium, Message, USERNAME_PLACE, fill_body, fill_places, verification_message};
use crate::domain::user_pool::UserPool;

const DEFAULT_SUBJECT: &str = "Your verification link";
const DEFAULT_EMAIL: &str = "Please follow the link to confirm your e-mail address: {##Confirm e-mail address##}";

/// The message of a sign-up: with a code, or in an e-mail with a link if the pool is set up so.
pub fn sign_up_message(
    pool: &UserPool,
    client_id: &str,
    medium: Medium,
    to: &str,
    username: &str,
    code: &str,
) -> Message {
    let message = verification_message(&pool.settings, medium, to, username, code);
    if medium != Medium::Email || !pool.confirms_with_link() {
        return message;
    }
    let template = pool.settings.verification_message_template.as_ref();
    let places = [(USERNAME_PLACE, username)];
    let subject = template.and_then(|it| it.email_subject_by_link.as_deref()).unwrap_or(DEFAULT_SUBJECT);
    let body = template.and_then(|it| it.email_message_by_link.as_deref()).unwrap_or(DEFAULT_EMAIL);
    let link = confirmation_link(&pool.issuer, client_id, username, code);
    Message {
        subject: Some(fill_places(subject, &places)),
        body: with_link(body, &link, |text| fill_body(medium, text, &places)),
        link: Some(link),
        ..message
    }
}

/// The URL that confirms a user: Cognito's path and parameters, under the pool's own address.
fn confirmation_link(issuer: &str, client_id: &str, username: &str, code: &str) -> String {
    let (client_id, username, code) = (in_query(client_id), in_query(username), in_query(code));
    format!("{issuer}/confirmUser?client_id={client_id}&user_name={username}&confirmation_code={code}")
}

/// Encodes a value for the query of a URL.
fn in_query(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::pool;
    use crate::proto::v1::{CreateUserPoolRequest, VerificationMessageTemplateType};

    fn linking(template: VerificationMessageTemplateType) -> UserPool {
        let template =
            VerificationMessageTemplateType { default_email_option: Some("CONFIRM_WITH_LINK".to_owned()), ..template };
        pool(CreateUserPoolRequest { verification_message_template: Some(template), ..Default::default() })
    }

    #[test]
    fn a_pool_can_send_a_link_by_email() {
        let template = VerificationMessageTemplateType {
            email_subject_by_link: Some("Welcome {username}".to_owned()),
            email_message_by_link: Some("<p>{username}: {##Click <b>here</b>##} or {####}</p>".to_owned()),
            ..Default::default()
        };
        let pool = linking(template);
        let message = sign_up_message(&pool, "client", Medium::Email, "to", "ja&ne", "123456");
        let link = format!("{}/confirmUser?client_id=client&user_name=ja%26ne&confirmation_code=123456", pool.issuer);
        assert_eq!(message.link.as_deref(), Some(link.as_str()));
        assert_eq!(message.code.as_deref(), Some("123456"));
        assert_eq!(message.subject.as_deref(), Some("Welcome ja&ne"));
        let shown = link.replace('&', "&amp;");
        let body =
            format!("<p>ja&amp;ne: <a href=\"{shown}\">Click <b>here</b></a> or <a href=\"{shown}\">{shown}</a></p>");
        assert_eq!(message.body, body);
    }

    #[test]
    fn a_link_needs_no_template_and_sms_carry_a_code_all_the_same() {
        let pool = linking(VerificationMessageTemplateType::default());
        let message = sign_up_message(&pool, "client", Medium::Email, "to", "jane", "123456");
        assert_eq!(message.subject.as_deref(), Some("Your verification link"));
        assert!(message.body.ends_with(">Confirm e-mail address</a>"), "{}", message.body);
        let sms = sign_up_message(&pool, "client", Medium::Sms, "to", "jane", "123456");
        assert_eq!((sms.body.as_str(), sms.link), ("Your confirmation code is 123456", None));
        let code = verification_message(&pool.settings, Medium::Email, "to", "jane", "123456");
        assert_eq!(code.link, None, "the code of anything but a sign-up is a code");
    }

    proptest! {
        #[test]
        fn a_link_gives_back_what_went_into_it(username in any::<String>()) {
            let link = confirmation_link("http://127.0.0.1/pool", "client", &username, "123456");
            let url = reqwest::Url::parse(&link).unwrap();
            let found = url.query_pairs().find(|(name, _)| name == "user_name").map(|(_, value)| value.into_owned());
            prop_assert_eq!(found, Some(username));
        }
    }
}

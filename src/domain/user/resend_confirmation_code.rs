//! ResendConfirmationCode: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::ClientId;
use crate::domain::message::{Medium, sign_up_message};
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user::sign_up::code_medium;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::CodePurpose;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Decides whether another code is sent to a user, and where to.
pub fn resend_confirmation_code(
    pool: &UserPool,
    client_id: &ClientId,
    user: &User,
    code: &str,
) -> Decision<Event, Activity, Delivery> {
    if user.status != UserStatus::Unconfirmed {
        return Decision::refuse(Error::invalid_parameter("User is already confirmed."));
    }
    if !user.enabled {
        return Decision::refuse(Error::not_authorized("User is disabled."));
    }
    let attributes = user.attributes.known().cloned().unwrap_or_default();
    let medium = code_medium(pool, &attributes);
    let Some((medium, address)) = medium.and_then(|medium| attributes.get(medium.attribute()).map(|to| (medium, to)))
    else {
        return Decision::refuse(Error::invalid_parameter("Cannot resend codes. Auto verification not turned on."));
    };
    let message = sign_up_message(pool, client_id.as_str(), medium, address, user.username(), code);
    let fact = codes::sent(CodePurpose::SignUp, medium);
    Decision::events(Vec::new(), (medium, address.clone())).with_activity([fact]).with_messages([message])
}

/// Where a code would go if there were such a user: who may not learn that there is none reads this.
pub fn simulated_delivery(pool: &UserPool, username: &str) -> Delivery {
    let verifies = |attribute: &str| pool.settings.auto_verified_attributes.iter().any(|it| it == attribute);
    match (verifies("email"), verifies("phone_number")) {
        (_, true) if username.starts_with('+') => (Medium::Sms, username.to_owned()),
        (false, true) => (Medium::Sms, format!("+{:0>11}", username.len() * 7919 % 10_000)),
        _ => {
            let first = username.chars().next().unwrap_or('u');
            let domain = username.rsplit_once('@').map_or("example.com", |(_, domain)| domain);
            (Medium::Email, format!("{first}@{domain}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{confirmed, pool, refused, signed_up, texts, user};
    use crate::proto::events::UserCodeSent;
    use crate::proto::v1::CreateUserPoolRequest;

    fn verifying(attributes: &[&str]) -> UserPool {
        pool(CreateUserPoolRequest { auto_verified_attributes: texts(attributes), ..Default::default() })
    }

    fn jane() -> User {
        user(&[signed_up("jane", &[("email", "jane@example.com")])])
    }

    #[test]
    fn another_code_goes_to_the_same_address() {
        let decision = resend_confirmation_code(&verifying(&["email"]), &ClientId::new("client"), &jane(), "654321");
        assert_eq!(decision.events, [], "nothing happened to the user");
        assert_eq!(decision.answer.unwrap(), (Medium::Email, "jane@example.com".to_owned()));
        let [message] = &decision.messages[..] else { panic!("one message") };
        assert_eq!((message.to.as_str(), message.code.as_deref()), ("jane@example.com", Some("654321")));
        let sent = UserCodeSent { purpose: CodePurpose::SignUp.into(), delivery_medium: "EMAIL".to_owned() };
        assert_eq!(decision.activity, [Activity::CodeSent(sent)]);
    }

    #[test]
    fn there_must_be_somebody_to_confirm_and_an_address_to_prove() {
        let refusal = |pool: &UserPool, user: &User| {
            refused(resend_confirmation_code(pool, &ClientId::new("client"), user, "654321"))
        };
        let pool = verifying(&["email"]);
        let confirmed = user(&[signed_up("jane", &[("email", "jane@example.com")]), confirmed(&["email"])]);
        let already = (Exception::InvalidParameterException, "User is already confirmed.".to_owned());
        assert_eq!(refusal(&pool, &confirmed), already);
        let disabled = User { enabled: false, ..jane() };
        assert_eq!(refusal(&pool, &disabled), (Exception::NotAuthorizedException, "User is disabled.".to_owned()));
        let message = "Cannot resend codes. Auto verification not turned on.".to_owned();
        let nowhere = (Exception::InvalidParameterException, message);
        assert_eq!(refusal(&verifying(&[]), &jane()), nowhere);
        assert_eq!(refusal(&pool, &user(&[signed_up("jane", &[])])), nowhere);
    }

    #[test]
    fn what_is_told_of_nobody_has_the_form_of_what_is_told_of_somebody() {
        let told = |verified: &[&str], username: &str| simulated_delivery(&verifying(verified), username);
        assert_eq!(told(&["email"], "jane"), (Medium::Email, "j@example.com".to_owned()));
        assert_eq!(told(&["email"], "jane@company.com"), (Medium::Email, "j@company.com".to_owned()));
        let phone = "+12025550123";
        assert_eq!(told(&["email", "phone_number"], phone), (Medium::Sms, phone.to_owned()));
        let (medium, number) = told(&["phone_number"], "jane");
        assert_eq!(medium, Medium::Sms);
        assert!(crate::domain::attributes::is_phone_number(&number), "{number}");
        assert_eq!(told(&["phone_number"], "jane").1, number, "each time the same");
        assert_eq!(told(&[], "").0, Medium::Email);
    }
}

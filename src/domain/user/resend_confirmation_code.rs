//! ResendConfirmationCode: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::ClientId;
use crate::domain::sign_up_message::sign_up_message;
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user::sign_up::{SIGN_UP_WAYS, code_medium};
use crate::domain::user::withheld::{self, Request, Requested, Withheld};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::CodePurpose;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// The parameters of the command.
pub struct ResendConfirmationCode<'a> {
    /// The app client that the request names.
    pub client_id: &'a ClientId,
    /// The user name as the caller wrote it.
    pub username: &'a str,
    /// Whether the answer must not reveal which users exist.
    pub hides_users: bool,
    /// A keyed hash of the name, from which a simulated address is made.
    pub disguise: &'a [u8],
    /// The code to be sent, in plain text.
    pub code: &'a str,
}

/// Decides whether another code is sent, and where to.
pub fn resend_confirmation_code(
    pool: &UserPool,
    user: Option<&User>,
    asked: &ResendConfirmationCode<'_>,
) -> Decision<Event, Activity, Requested> {
    let (purpose, ways) = (CodePurpose::SignUp, &SIGN_UP_WAYS);
    let request =
        Request { purpose, username: asked.username, hides_users: asked.hides_users, disguise: asked.disguise, ways };
    let sent = user.ok_or(Withheld::UnknownUser).and_then(|user| {
        let (medium, address) = contact(pool, user)?;
        let client_id = asked.client_id.as_str();
        let message = sign_up_message(pool, client_id, medium, &address, user.username(), asked.code);
        let sent = Decision::events(Vec::new(), (medium, address));
        Ok(sent.with_activity([codes::sent(purpose, medium)]).with_messages([message]))
    });
    withheld::answer(pool, request, sent, refusal)
}

/// Where another code goes: to the address that the user was to verify at the sign-up.
fn contact(pool: &UserPool, user: &User) -> Result<Delivery, Withheld> {
    if user.status != UserStatus::Unconfirmed {
        return Err(Withheld::State);
    }
    if !user.enabled {
        return Err(Withheld::Disabled);
    }
    let attributes = user.attributes.known().cloned().unwrap_or_default();
    let medium = code_medium(pool, &attributes).ok_or(Withheld::NoContact)?;
    let address = attributes.get(medium.attribute()).cloned().ok_or(Withheld::NoContact)?;
    Ok((medium, address))
}

fn refusal(withheld: Withheld) -> Error {
    match withheld {
        Withheld::UnknownUser => Error::no_such_user(),
        Withheld::Disabled => Error::not_authorized("User is disabled."),
        Withheld::State => Error::invalid_parameter("User is already confirmed."),
        Withheld::Limit => Error::limit_exceeded(),
        Withheld::NoContact => Error::invalid_parameter("Cannot resend codes. Auto verification not turned on."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::message::Medium;
    use crate::domain::testing::{confirmed, pool, refused, signed_up, texts, user};
    use crate::proto::events::UserCodeSent;
    use crate::proto::v1::CreateUserPoolRequest;

    fn verifying(attributes: &[&str]) -> UserPool {
        pool(CreateUserPoolRequest { auto_verified_attributes: texts(attributes), ..Default::default() })
    }

    fn jane() -> User {
        user(&[signed_up("jane", &[("email", "jane@example.com")])])
    }

    fn ask(pool: &UserPool, user: Option<&User>, hides_users: bool) -> Decision<Event, Activity, Requested> {
        let client_id = &ClientId::new("client");
        let asked = ResendConfirmationCode { client_id, username: "jane", hides_users, disguise: &[], code: "654321" };
        resend_confirmation_code(pool, user, &asked)
    }

    #[test]
    fn another_code_goes_to_the_same_address() {
        for hides_users in [true, false] {
            let decision = ask(&verifying(&["email"]), Some(&jane()), hides_users);
            assert_eq!(decision.events, [], "nothing happened to the user");
            let delivery = (Medium::Email, "jane@example.com".to_owned());
            assert_eq!(decision.answer.unwrap(), Requested { delivery, is_sent: true });
            let [message] = &decision.messages[..] else { panic!("one message") };
            assert_eq!((message.to.as_str(), message.code.as_deref()), ("jane@example.com", Some("654321")));
            let sent = UserCodeSent { purpose: CodePurpose::SignUp.into(), delivery_medium: "EMAIL".to_owned() };
            assert_eq!(decision.activity, [Activity::CodeSent(sent)]);
        }
    }

    /// The refusal where users are not hidden. Where they are hidden, the answer is always that a code was sent.
    fn withheld(pool: &UserPool, user: Option<&User>) -> (Exception, String) {
        let hidden = ask(pool, user, true);
        assert!(hidden.messages.is_empty() && hidden.events.is_empty());
        let [Activity::CodeWithheld(_)] = &hidden.activity[..] else { panic!("recorded") };
        let told = hidden.answer.unwrap();
        assert!(told.delivery.0 == Medium::Email && !told.is_sent);
        refused(ask(pool, user, false))
    }

    #[test]
    fn a_resend_needs_an_unconfirmed_user_with_an_address() {
        let pool = verifying(&["email"]);
        let unknown = (Exception::UserNotFoundException, "User does not exist.".to_owned());
        assert_eq!(withheld(&pool, None), unknown);
        let confirmed = user(&[signed_up("jane", &[("email", "jane@example.com")]), confirmed(&["email"])]);
        let already = (Exception::InvalidParameterException, "User is already confirmed.".to_owned());
        assert_eq!(withheld(&pool, Some(&confirmed)), already);
        let disabled = User { enabled: false, ..jane() };
        let disabled_is_told = (Exception::NotAuthorizedException, "User is disabled.".to_owned());
        assert_eq!(withheld(&pool, Some(&disabled)), disabled_is_told);
        let message = "Cannot resend codes. Auto verification not turned on.".to_owned();
        let nowhere = (Exception::InvalidParameterException, message);
        assert_eq!(withheld(&verifying(&[]), Some(&jane())), nowhere);
        assert_eq!(withheld(&pool, Some(&user(&[signed_up("jane", &[])]))), nowhere);
    }
}

//! A code in the place of a password: the rules of who is sent one.

use crate::domain::auth::account::may_sign_in;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, authentication_message};
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user::second_factors::Demand;
use crate::domain::user::withheld::{self, Request, Requested, Withheld};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::SignInRefusal;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// The parameters of a sign-in by a code.
pub struct OneTimeCode<'a> {
    /// The user name as the caller wrote it.
    pub username: &'a str,
    /// The medium by which the code goes.
    pub medium: Medium,
    /// Whether the answer must not reveal which users exist.
    pub hides_users: bool,
    /// A keyed hash of the name, from which a simulated address is made.
    pub disguise: &'a [u8],
    /// The code to be sent, in plain text.
    pub code: &'a str,
    /// When the code is asked for.
    pub at: Timestamp,
}

/// Decides whether a user who has proved nothing yet is sent a code to sign in with.
pub fn one_time_code(
    pool: &UserPool,
    user: Option<&User>,
    asked: &OneTimeCode<'_>,
) -> Decision<Event, Activity, Requested> {
    let purpose = codes::sign_in(asked.medium);
    let request = Request {
        purpose,
        username: asked.username,
        hides_users: asked.hides_users,
        disguise: asked.disguise,
        ways: &[asked.medium],
    };
    let sent = user.ok_or(Withheld::UnknownUser).and_then(|user| {
        let (medium, address) = contact(pool, user, asked)?;
        let message = authentication_message(&pool.settings, medium, &address, user.username(), asked.code);
        let fact = codes::sent(purpose, medium);
        let sent = Decision::events(Vec::new(), (medium, address));
        Ok(sent.with_activity([fact]).with_messages([message]))
    });
    let standing = user.and_then(|user| may_sign_in(pool, user, asked.at).err());
    withheld::answer(pool, request, sent, |withheld| refusal(withheld, standing, asked.medium))
}

/// The verified address of a user to whom a code is all that a sign-in needs. Where a second factor is asked for, the
/// first one is the password, as in Cognito.
fn contact(pool: &UserPool, user: &User, asked: &OneTimeCode<'_>) -> Result<Delivery, Withheld> {
    may_sign_in(pool, user, asked.at).map_err(|(reason, _)| match reason {
        SignInRefusal::Disabled => Withheld::Disabled,
        _ => Withheld::State,
    })?;
    if user.status == UserStatus::ForceChangePassword || user.demand(pool, None) != Demand::Nothing {
        return Err(Withheld::State);
    }
    let attribute = asked.medium.attribute();
    let address = user.attribute(attribute).filter(|_| user.verified.contains(attribute));
    let address = address.filter(|address| !address.is_empty()).ok_or(Withheld::NoContact)?;
    Ok((asked.medium, address.to_owned()))
}

/// The refusal when no code is sent, for callers who may learn the reason.
fn refusal(withheld: Withheld, standing: Option<(SignInRefusal, Error)>, medium: Medium) -> Error {
    let name = match medium {
        Medium::Email => "EMAIL_OTP",
        Medium::Sms => "SMS_OTP",
    };
    match (withheld, standing) {
        (Withheld::UnknownUser, _) => Error::no_such_user(),
        (Withheld::Limit, _) => Error::limit_exceeded(),
        (_, Some((_, error))) => error,
        (Withheld::Disabled | Withheld::State | Withheld::NoContact, None) => {
            Error::invalid_parameter(format!("{name} is not available to the user."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{at, confirmed, invited, refused, reset, signed_up, user, with_software_tokens};
    use crate::domain::testing::{pool, verifying_both};

    const ADDRESSES: [(&str, &str); 2] = [("email", "jane@example.com"), ("phone_number", "+12025550123")];

    fn jane(verified: &[&str]) -> User {
        user(&[signed_up("jane", &ADDRESSES), confirmed(verified)])
    }

    fn ask(pool: &UserPool, user: Option<&User>, medium: Medium, hides: bool) -> Decision<Event, Activity, Requested> {
        let username = "jane";
        let asked =
            OneTimeCode { username, medium, hides_users: hides, disguise: &[7; 16], code: "123456", at: at(100) };
        one_time_code(pool, user, &asked)
    }

    #[test]
    fn the_code_goes_to_the_verified_address_of_the_medium() {
        let pool = pool(verifying_both());
        for (medium, to) in [(Medium::Email, "jane@example.com"), (Medium::Sms, "+12025550123")] {
            let decision = ask(&pool, Some(&jane(&["email", "phone_number"])), medium, true);
            assert_eq!(decision.events, []);
            let [message] = &decision.messages[..] else { panic!("one message") };
            assert_eq!((message.medium, message.to.as_str(), message.code.as_deref()), (medium, to, Some("123456")));
            assert_eq!(decision.activity, [codes::sent(codes::sign_in(medium), medium)]);
            assert_eq!(decision.answer.unwrap(), Requested { delivery: (medium, to.to_owned()), is_sent: true });
        }
    }

    #[test]
    fn the_reason_for_no_code_is_told_unless_users_are_hidden() {
        use Exception::{
            InvalidParameterException as Invalid, NotAuthorizedException, PasswordResetRequiredException,
            UserNotConfirmedException, UserNotFoundException,
        };
        let plain = pool(verifying_both());
        let app = || {
            let factors = with_software_tokens("ON");
            (factors, jane(&["email"]))
        };
        let by_password = "EMAIL_OTP is not available to the user.";
        let disabled = User { enabled: false, ..jane(&["email"]) };
        let unconfirmed = user(&[signed_up("jane", &ADDRESSES)]);
        let was_reset = user(&[signed_up("jane", &ADDRESSES), confirmed(&["email"]), reset()]);
        for (pool, user, exception, message) in [
            (plain.clone(), None, UserNotFoundException, "User does not exist."),
            (plain.clone(), Some(disabled), NotAuthorizedException, "User is disabled."),
            (plain.clone(), Some(unconfirmed), UserNotConfirmedException, "User is not confirmed."),
            (plain.clone(), Some(was_reset), PasswordResetRequiredException, "Password reset required for the user"),
            (plain.clone(), Some(jane(&[])), Invalid, by_password),
            (plain.clone(), Some(user(&[invited("jane", &ADDRESSES)])), Invalid, by_password),
            (app().0, Some(app().1), Invalid, by_password),
        ] {
            let hidden = ask(&pool, user.as_ref(), Medium::Email, true);
            assert!(hidden.messages.is_empty() && hidden.events.is_empty());
            assert!(matches!(hidden.activity[..], [Activity::CodeWithheld(_)]), "recorded");
            let told = hidden.answer.unwrap();
            assert!(told.delivery.0 == Medium::Email && !told.is_sent);
            let openly = refused(ask(&pool, user.as_ref(), Medium::Email, false));
            assert_eq!(openly, (exception, message.to_owned()));
        }
        let by_sms = refused(ask(&plain, Some(&jane(&["email"])), Medium::Sms, false));
        assert_eq!(by_sms.1, "SMS_OTP is not available to the user.");
    }
}

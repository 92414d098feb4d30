//! ForgotPassword: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, verification_message};
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user::withheld::{self, Request, Requested, Withheld};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::{Recovery, UserPool};
use crate::proto::events::CodePurpose;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// The parameters of the command.
pub struct ForgotPassword<'a> {
    /// The user name as the caller wrote it.
    pub username: &'a str,
    /// Whether the answer must not reveal which users exist.
    pub hides_users: bool,
    /// A keyed hash of the name, from which a simulated address is made.
    pub disguise: &'a [u8],
    /// The code to be sent, in plain text.
    pub code: &'a str,
}

/// The refusal when no code is sent, for callers who may learn the reason.
pub fn refusal(withheld: Withheld) -> Error {
    match withheld {
        Withheld::UnknownUser => Error::no_such_user(),
        Withheld::Disabled => Error::not_authorized("User is disabled."),
        Withheld::State => cannot_be_reset(),
        Withheld::Limit => Error::limit_exceeded(),
        Withheld::NoContact => Error::invalid_parameter(
            "Cannot reset password for the user as there is no registered/verified email or phone_number",
        ),
    }
}

/// The refusal of a new password in the present state of the account.
pub fn cannot_be_reset() -> Error {
    Error::not_authorized("User password cannot be reset in the current state.")
}

/// Where a code for a new password goes: the first of these media whose address is verified.
pub fn contact(user: &User, ways: &[Medium]) -> Result<Delivery, Withheld> {
    if !user.enabled {
        return Err(Withheld::Disabled);
    }
    if user.status == UserStatus::ForceChangePassword || user.password_removed {
        return Err(Withheld::State);
    }
    let verified = |medium: &Medium| {
        let attribute = medium.attribute();
        let address = user.attribute(attribute).filter(|address| !address.is_empty())?;
        user.verified.contains(attribute).then(|| (*medium, address.to_owned()))
    };
    let delivery = ways.iter().find_map(verified).ok_or(Withheld::NoContact)?;
    // The user must confirm first: a new password would not let them sign in.
    if user.status == UserStatus::Unconfirmed { Err(Withheld::State) } else { Ok(delivery) }
}

/// The message and the fact of a code for a new password.
pub fn send(pool: &UserPool, user: &User, delivery: Delivery, code: &str) -> Decision<Event, Activity, Delivery> {
    let (medium, address) = &delivery;
    let message = verification_message(&pool.settings, *medium, address, user.username(), code);
    let fact = codes::sent(CodePurpose::ForgotPassword, *medium);
    Decision::events(Vec::new(), delivery).with_activity([fact]).with_messages([message])
}

/// Decides whether a code for a new password is sent, and where to.
pub fn forgot_password(
    pool: &UserPool,
    user: Option<&User>,
    asked: &ForgotPassword<'_>,
) -> Decision<Event, Activity, Requested> {
    let ways = match pool.recovery() {
        Recovery::ByUser(ways) => ways,
        // This depends on the pool alone, so it reveals nothing about a user.
        Recovery::ByAdministrator => {
            return Decision::refuse(Error::not_authorized("Contact administrator to reset password."));
        }
    };
    let purpose = CodePurpose::ForgotPassword;
    let request = Request {
        purpose,
        username: asked.username,
        hides_users: asked.hides_users,
        disguise: asked.disguise,
        ways: &ways,
    };
    let sent = user.ok_or(Withheld::UnknownUser).and_then(|user| {
        let delivery = contact(user, &user.recovery_ways(pool, &ways))?;
        Ok(send(pool, user, delivery, asked.code))
    });
    withheld::answer(pool, request, sent, refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{confirmed, pool, refused, signed_up, temporary_password, user, verifying_both};
    use crate::proto::v1;

    const ADDRESSES: [(&str, &str); 2] = [("email", "jane@example.com"), ("phone_number", "+12025550123")];

    fn recovering_by(mechanisms: &[(i32, &str)]) -> UserPool {
        let option = |(priority, name): &(i32, &str)| v1::RecoveryOptionType {
            priority: Some(*priority),
            name: Some((*name).to_owned()),
        };
        let setting = v1::AccountRecoverySettingType { recovery_mechanisms: mechanisms.iter().map(option).collect() };
        pool(v1::CreateUserPoolRequest { account_recovery_setting: Some(setting), ..verifying_both() })
    }

    fn jane(verified: &[&str]) -> User {
        user(&[signed_up("jane", &ADDRESSES), confirmed(verified)])
    }

    fn ask(pool: &UserPool, user: Option<&User>, hides_users: bool) -> Decision<Event, Activity, Requested> {
        forgot_password(pool, user, &ForgotPassword { username: "jane", hides_users, disguise: &[], code: "123456" })
    }

    #[test]
    fn the_code_goes_to_the_first_verified_address_in_the_pools_order() {
        let both = jane(&["email", "phone_number"]);
        let email_first = recovering_by(&[(2, "verified_phone_number"), (1, "verified_email")]);
        let phone_first = recovering_by(&[(1, "verified_phone_number"), (2, "verified_email")]);
        for (pool, user, medium, to) in [
            (&email_first, &both, Medium::Email, "jane@example.com"),
            (&phone_first, &both, Medium::Sms, "+12025550123"),
            (&phone_first, &jane(&["email"]), Medium::Email, "jane@example.com"),
            (&recovering_by(&[]), &both, Medium::Sms, "+12025550123"),
        ] {
            let decision = ask(pool, Some(user), false);
            assert_eq!(decision.events, [], "nothing happened to the user");
            let [message] = &decision.messages[..] else { panic!("one message") };
            assert_eq!((message.medium, message.to.as_str(), message.code.as_deref()), (medium, to, Some("123456")));
            assert_eq!(decision.activity, [codes::sent(CodePurpose::ForgotPassword, medium)]);
            let delivery = (medium, to.to_owned());
            assert_eq!(decision.answer.unwrap(), Requested { delivery, is_sent: true });
        }
    }

    fn withheld(user: Option<&User>) -> [(Exception, String); 1] {
        let pool = recovering_by(&[(1, "verified_email")]);
        let hidden = ask(&pool, user, true);
        assert!(hidden.messages.is_empty() && hidden.events.is_empty());
        let [Activity::CodeWithheld(_)] = &hidden.activity[..] else { panic!("recorded") };
        let told = hidden.answer.unwrap();
        assert!(told.delivery.0 == Medium::Email && !told.is_sent);
        [refused(ask(&pool, user, false))]
    }

    #[test]
    fn the_reason_for_no_code_is_told_unless_users_are_hidden() {
        let unknown = (Exception::UserNotFoundException, "User does not exist.".to_owned());
        assert_eq!(withheld(None), [unknown]);
        let disabled = User { enabled: false, ..jane(&["email"]) };
        assert_eq!(withheld(Some(&disabled)), [(Exception::NotAuthorizedException, "User is disabled.".to_owned())]);
        let message = "Cannot reset password for the user as there is no registered/verified email or phone_number";
        let no_contact = [(Exception::InvalidParameterException, message.to_owned())];
        assert_eq!(withheld(Some(&jane(&[]))), no_contact);
        assert_eq!(withheld(Some(&jane(&["phone_number"]))), no_contact, "not a way of this pool");
        assert_eq!(withheld(Some(&user(&[signed_up("jane", &ADDRESSES)]))), no_contact);
        let message = "User password cannot be reset in the current state.".to_owned();
        let state = [(Exception::NotAuthorizedException, message)];
        let events = [signed_up("jane", &ADDRESSES), confirmed(&["email"]), temporary_password()];
        assert_eq!(withheld(Some(&user(&events))), state);
        assert_eq!(withheld(Some(&User { password: None, password_removed: true, ..jane(&["email"]) })), state);
        let unconfirmed = User { verified: ["email".to_owned()].into(), ..user(&[signed_up("jane", &ADDRESSES)]) };
        assert_eq!(withheld(Some(&unconfirmed)), state);
    }

    #[test]
    fn a_pool_can_leave_recovery_to_administrators() {
        let pool = recovering_by(&[(1, "admin_only")]);
        let message = "Contact administrator to reset password.".to_owned();
        let refusal = (Exception::NotAuthorizedException, message);
        let jane = jane(&["email"]);
        for (user, hides_users) in [(None, true), (None, false), (Some(&jane), true), (Some(&jane), false)] {
            assert_eq!(refused(ask(&pool, user, hides_users)), refusal);
        }
    }
}

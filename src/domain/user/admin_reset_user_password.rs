//! AdminResetUserPassword: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{self, Delivery, SentCode};
use crate::domain::user::forgot_password::{cannot_be_reset, contact, refusal, send};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::{Recovery, UserPool};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, UserPasswordReset, UserSignedOut};

/// The parameters of the command.
pub struct ResetPassword<'a> {
    /// The code to be sent, in plain text.
    pub code: &'a str,
    /// The code that was sent before, whoever requested it.
    pub before: Option<&'a SentCode>,
    /// When the command is decided.
    pub at: Timestamp,
}

/// Resets the password, ends every session, and sends the user a code for choosing a new password. The answer says
/// where the code goes.
///
/// Nothing can block an administrator's reset. A user who can't be sent a code still loses their password: no verified
/// address, a disabled account, or too many codes that others requested. If the password was reset before, the user is
/// only sent another code, and a code that can't be sent is a refusal.
/// sent another code, and there a code that can't be sent is a refusal.
pub fn admin_reset_user_password(
    pool: &UserPool,
    user: &User,
    command: &ResetPassword<'_>,
) -> Decision<Event, Activity, Option<Delivery>> {
    let has_its_own = matches!(user.status, UserStatus::Confirmed | UserStatus::ResetRequired);
    if !has_its_own || user.password_removed {
        return Decision::refuse(cannot_be_reset());
    }
    let was_reset = user.status == UserStatus::ResetRequired;
    let mut decision = match delivery(pool, user, command) {
        Ok(delivery) => send(pool, user, delivery, command.code).map(Some),
        Err(error) if was_reset => Decision::refuse(error),
        Err(_) => Decision::events(Vec::new(), None),
    };
    if !was_reset {
        let signed_out = UserSignedOut { token_generation: user.token_generation + 1 };
        decision.events.extend([Event::PasswordReset(UserPasswordReset {}), Event::SignedOut(signed_out)]);
    }
    decision
}

fn delivery(pool: &UserPool, user: &User, command: &ResetPassword<'_>) -> Result<Delivery, Error> {
    let ways = match pool.recovery() {
        Recovery::ByUser(ways) => user.recovery_ways(pool, &ways),
        // An administrator requests this code, so it may go by either medium.
        Recovery::ByAdministrator => vec![Medium::Sms, Medium::Email],
    };
    let delivery = contact(user, &ways).map_err(refusal)?;
    codes::refuse_too_many(command.before, CodePurpose::ForgotPassword, Source::Familiar, command.at).map(|()| delivery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::source::Tally;
    use crate::domain::testing::{
        at, confirmed, pool, refused, reset, sent_code, signed_up, temporary_password, user, verifying_both,
    };
    use crate::proto::events::{CodePurpose, UserPasswordRemoved};
    use crate::proto::v1;

    const FIRST: ResetPassword<'static> = ResetPassword { code: "123456", before: None, at: Timestamp(0) };

    fn events(verified: &[&str]) -> Vec<Event> {
        vec![signed_up("jane", &[("email", "jane@example.com")]), confirmed(verified)]
    }

    fn signed_out() -> Event {
        Event::SignedOut(UserSignedOut { token_generation: 2 })
    }

    /// The events of a user who is sent no code.
    fn without_a_code(user: &User, command: &ResetPassword<'_>) -> Vec<Event> {
        let decision = admin_reset_user_password(&pool(verifying_both()), user, command);
        assert_eq!(decision.answer.unwrap(), None);
        assert!(decision.messages.is_empty() && decision.activity.is_empty());
        decision.events
    }

    #[test]
    fn the_password_is_reset_once_and_each_call_sends_a_code() {
        let pool = pool(verifying_both());
        let jane = user(&events(&["email"]));
        let decision = admin_reset_user_password(&pool, &jane, &FIRST);
        assert_eq!(decision.answer.unwrap(), Some((Medium::Email, "jane@example.com".to_owned())));
        assert_eq!(decision.events, [reset(), signed_out()]);
        assert_eq!(decision.messages[0].code.as_deref(), Some("123456"));
        assert_eq!(decision.activity, [codes::sent(CodePurpose::ForgotPassword, Medium::Email)]);

        let again = user(&[events(&["email"]), decision.events].concat());
        assert_eq!((again.status, again.password.clone()), (UserStatus::ResetRequired, jane.password));
        assert_eq!(again.token_generation, 2, "every session has ended");
        let decision = admin_reset_user_password(&pool, &again, &FIRST);
        assert_eq!((decision.events.len(), decision.messages.len()), (0, 1));
    }

    #[test]
    fn an_administrator_can_reset_where_users_can_not_recover() {
        let admin_only = v1::RecoveryOptionType { priority: Some(1), name: Some("admin_only".to_owned()) };
        let setting = v1::AccountRecoverySettingType { recovery_mechanisms: vec![admin_only] };
        let request = v1::CreateUserPoolRequest { account_recovery_setting: Some(setting), ..verifying_both() };
        let decision = admin_reset_user_password(&pool(request), &user(&events(&["email"])), &FIRST);
        assert!(decision.answer.unwrap().is_some());
    }

    #[test]
    fn a_user_who_can_not_be_sent_a_code_still_loses_their_password() {
        let disabled = User { enabled: false, ..user(&events(&["email"])) };
        for user in [user(&events(&[])), disabled] {
            assert_eq!(without_a_code(&user, &FIRST), [reset(), signed_out()]);
        }
    }

    #[test]
    fn codes_that_others_requested_do_not_block_an_administrator() {
        let before = SentCode { sent: Tally { familiar: 5, strange: 0 }, ..sent_code() };
        let within = ResetPassword { before: Some(&before), at: at(3_599), ..FIRST };
        assert_eq!(without_a_code(&user(&events(&["email"])), &within), [reset(), signed_out()]);
        let later = ResetPassword { at: at(3_600), ..within };
        let decision = admin_reset_user_password(&pool(verifying_both()), &user(&events(&["email"])), &later);
        assert!(decision.answer.unwrap().is_some());
    }

    #[test]
    fn a_second_reset_sends_a_code_or_tells_why_not() {
        let refusal = |verified: &[&str], familiar| {
            let before = SentCode { sent: Tally { familiar, strange: 0 }, ..sent_code() };
            let command = ResetPassword { before: Some(&before), at: at(1), ..FIRST };
            let lost = user(&[events(verified), vec![reset()]].concat());
            refused(admin_reset_user_password(&pool(verifying_both()), &lost, &command)).0
        };
        assert_eq!(refusal(&[], 1), Exception::InvalidParameterException);
        assert_eq!(refusal(&["email"], 5), Exception::LimitExceededException);
    }

    #[test]
    fn a_user_without_a_password_of_their_own_can_not_be_reset() {
        let pool = pool(verifying_both());
        let temporary = [events(&["email"]), vec![temporary_password()]].concat();
        let unconfirmed = vec![signed_up("jane", &[("email", "jane@example.com")])];
        let removed = [events(&["email"]), vec![Event::PasswordRemoved(UserPasswordRemoved {})]].concat();
        for events in [temporary, unconfirmed, removed] {
            let message = "User password cannot be reset in the current state.".to_owned();
            let refusal = refused(admin_reset_user_password(&pool, &user(&events), &FIRST));
            assert_eq!(refusal, (Exception::NotAuthorizedException, message));
        }
    }
}

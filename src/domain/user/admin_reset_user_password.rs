//! AdminResetUserPassword: the rules.

use crate::domain::decision::Decision;
use crate::domain::message::Medium;
use crate::domain::user::codes::Delivery;
use crate::domain::user::forgot_password::{contact, refusal, send};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::{Recovery, UserPool};
use crate::proto::events::UserPasswordReset;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Takes the password back and sends the user a code with which it can choose another. A user who has no verified address
/// would be locked out, and keeps its password.
pub fn admin_reset_user_password(pool: &UserPool, user: &User, code: &str) -> Decision<Event, Activity, Delivery> {
    let ways = match pool.recovery() {
        Recovery::ByUser(ways) => ways,
        // An administrator is at it.
        Recovery::ByAdministrator => vec![Medium::Sms, Medium::Email],
    };
    let delivery = match contact(user, &ways) {
        Ok(delivery) => delivery,
        Err(withheld) => return Decision::refuse(refusal(withheld)),
    };
    let mut decision = send(pool, user, delivery, code);
    if user.status != UserStatus::ResetRequired {
        decision.events.push(Event::PasswordReset(UserPasswordReset {}));
    }
    decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{
        confirmed, pool, refused, reset, signed_up, temporary_password, user, verifying_both,
    };
    use crate::domain::user::codes;
    use crate::proto::events::CodePurpose;
    use crate::proto::v1;

    fn events(verified: &[&str]) -> Vec<Event> {
        vec![signed_up("jane", &[("email", "jane@example.com")]), confirmed(verified)]
    }

    #[test]
    fn the_password_is_taken_back_once_and_each_time_a_code_goes_out() {
        let pool = pool(verifying_both());
        let jane = user(&events(&["email"]));
        let decision = admin_reset_user_password(&pool, &jane, "123456");
        assert_eq!(decision.answer.unwrap(), (Medium::Email, "jane@example.com".to_owned()));
        assert_eq!(decision.events, [reset()]);
        assert_eq!(decision.messages[0].code.as_deref(), Some("123456"));
        assert_eq!(decision.activity, [codes::sent(CodePurpose::ForgotPassword, Medium::Email)]);

        let again = user(&[events(&["email"]), decision.events].concat());
        assert_eq!((again.status, again.password), (UserStatus::ResetRequired, jane.password));
        let again = user(&[events(&["email"]), vec![reset()]].concat());
        let decision = admin_reset_user_password(&pool, &again, "654321");
        assert_eq!((decision.events.len(), decision.messages.len()), (0, 1));
    }

    #[test]
    fn an_administrator_can_where_only_an_administrator_can() {
        let admin_only = v1::RecoveryOptionType { priority: Some(1), name: Some("admin_only".to_owned()) };
        let setting = v1::AccountRecoverySettingType { recovery_mechanisms: vec![admin_only] };
        let request = v1::CreateUserPoolRequest { account_recovery_setting: Some(setting), ..verifying_both() };
        assert!(admin_reset_user_password(&pool(request), &user(&events(&["email"])), "123456").answer.is_ok());
    }

    #[test]
    fn nobody_is_locked_out_by_a_code_that_can_not_reach_or_help_it() {
        let pool = pool(verifying_both());
        let refusal = |user: &User| refused(admin_reset_user_password(&pool, user, "123456")).0;
        assert_eq!(refusal(&user(&events(&[]))), Exception::InvalidParameterException);
        let temporary = [events(&["email"]), vec![temporary_password()]].concat();
        assert_eq!(refusal(&user(&temporary)), Exception::NotAuthorizedException);
        let disabled = User { enabled: false, ..user(&events(&["email"])) };
        assert_eq!(refusal(&disabled), Exception::NotAuthorizedException);
    }
}

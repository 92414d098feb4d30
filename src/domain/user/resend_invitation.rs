//! AdminCreateUser with `MessageAction` RESEND: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::user::admin_create_user::TemporaryPassword;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::UserTemporaryPasswordSet;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// Checks that a user has not signed in yet and may be invited again.
pub fn check(user: &User) -> Result<(), Error> {
    if user.status != UserStatus::ForceChangePassword {
        let message = format!("The invitation can't be sent again: the user's status is {}.", user.status.name());
        return Err(Error::new(Exception::UnsupportedUserStateException, message));
    }
    if user.password_removed {
        let message = "The invitation can't be sent again: the user may not sign in by password.";
        return Err(Error::new(Exception::UnsupportedUserStateException, message));
    }
    if user.enabled { Ok(()) } else { Err(Error::not_authorized("User is disabled.")) }
}

/// Decides whether a user is invited again, with a new temporary password.
pub fn resend_invitation(pool: &UserPool, user: &User, temporary: &TemporaryPassword) -> Decision<Event, Activity, ()> {
    let attributes = user.attributes.known().cloned().unwrap_or_default();
    let invited = check(user).and_then(|()| temporary.invitation(pool, &attributes));
    match invited {
        Ok((messages, _)) if messages.is_empty() => {
            let message = "The invitation can't be delivered: the user has no address for it.";
            Decision::refuse(Error::new(Exception::CodeDeliveryFailureException, message))
        }
        Ok((messages, facts)) => {
            let set = UserTemporaryPasswordSet {
                password_hash: temporary.password.hash.0.clone(),
                srp_verifier: temporary.password.srp_verifier.0.clone(),
            };
            Decision::events(vec![Event::TemporaryPasswordSet(set)], ()).with_activity(facts).with_messages(messages)
        }
        Err(error) => Decision::refuse(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, confirmed, invited, password, pool, refused, signed_up, user};
    use crate::domain::user::admin_create_user::Invitations;

    fn temporary(media: &[&'static str]) -> TemporaryPassword {
        TemporaryPassword {
            password: password("another"),
            text: "Temp-2".to_owned(),
            username: "jane".to_owned(),
            invitations: Invitations::By(media.iter().copied().collect()),
        }
    }

    #[test]
    fn a_new_temporary_password_replaces_the_one_before() {
        let events = vec![invited("jane", &[("email", "jane@example.com")])];
        let decision = resend_invitation(&pool(Default::default()), &user(&events), &temporary(&["EMAIL"]));
        decision.answer.unwrap();
        let [message] = &decision.messages[..] else { panic!("one message") };
        assert_eq!(message.code.as_deref(), Some("Temp-2"));
        let after = user(&[events, decision.events].concat());
        assert_eq!(after.password, Some(password("another")));
        assert_eq!((after.status, after.modified_at), (UserStatus::ForceChangePassword, at(1)));
    }

    #[test]
    fn only_a_reachable_user_before_their_first_sign_in_is_invited_again() {
        let pool = pool(Default::default());
        let resent = |user: &User, media: &[&'static str]| refused(resend_invitation(&pool, user, &temporary(media)));
        let own = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let message = "The invitation can't be sent again: the user's status is CONFIRMED.".to_owned();
        assert_eq!(resent(&own, &["EMAIL"]), (Exception::UnsupportedUserStateException, message));
        let waiting = user(&[invited("jane", &[("email", "jane@example.com")])]);
        assert_eq!(resent(&waiting, &["SMS"]).0, Exception::CodeDeliveryFailureException);
        let unsaid = TemporaryPassword { invitations: Invitations::Unsaid, ..temporary(&[]) };
        let message = "The invitation can't be delivered: the user has no address for it.".to_owned();
        let nowhere = refused(resend_invitation(&pool, &waiting, &unsaid));
        assert_eq!(nowhere, (Exception::CodeDeliveryFailureException, message));
        let removed = User { password: None, password_removed: true, ..waiting.clone() };
        let message = "The invitation can't be sent again: the user may not sign in by password.".to_owned();
        assert_eq!(resent(&removed, &["EMAIL"]), (Exception::UnsupportedUserStateException, message));
        let disabled = User { enabled: false, ..waiting };
        let message = "User is disabled.".to_owned();
        assert_eq!(resent(&disabled, &["EMAIL"]), (Exception::NotAuthorizedException, message));
    }
}

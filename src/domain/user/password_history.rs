//! The passwords that a user may not choose again: as many of the last ones as the pool's policy says, the present one
//! included.

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::personal::Sealed;
use crate::domain::user::User;
use crate::domain::user_pool::UserPool;
use crate::proto::events::UserPasswordRetired;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

fn size(pool: &UserPool) -> usize {
    usize::try_from(pool.password_policy().password_history_size()).unwrap_or(0)
}

/// The hashes that a new password is compared with, the present one first.
pub fn compared<'a>(pool: &UserPool, user: &'a User) -> Vec<&'a Sealed> {
    let present = user.password.iter().map(|password| &password.hash);
    present.chain(&user.former_passwords).take(size(pool)).collect()
}

/// The refusal of a password that the user had before.
pub fn used_before() -> Error {
    let message = "Password has previously been used: please choose another one.";
    Error::new(Exception::PasswordHistoryPolicyViolationException, message)
}

/// Remembers the present password, which another one is about to replace, if the policy asks for it.
pub fn retire(pool: &UserPool, user: &User) -> Decision<Event, Activity, ()> {
    let kept = size(pool).saturating_sub(1);
    let is_remembered = kept > 0 && user.password.is_some();
    if !is_remembered && user.former_passwords.is_empty() {
        return Decision::events(Vec::new(), ());
    }
    let retired = UserPasswordRetired { kept: i32::try_from(kept).unwrap_or(i32::MAX) };
    Decision::events(vec![Event::PasswordRetired(retired)], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, pool, signed_up, temporary_password, user};
    use crate::proto::v1::{CreateUserPoolRequest, PasswordPolicyType, UserPoolPolicyType};

    fn some_pool(size: i32) -> UserPool {
        let password_policy = PasswordPolicyType { password_history_size: Some(size), ..Default::default() };
        let policies = UserPoolPolicyType { password_policy: Some(password_policy), ..Default::default() };
        pool(CreateUserPoolRequest { policies: Some(policies), ..Default::default() })
    }

    /// A user after passwords were replaced by temporary ones under these policies.
    fn after(sizes: &[i32]) -> User {
        let mut events = vec![signed_up("jane", &[]), confirmed(&[])];
        for size in sizes {
            events.extend(retire(&some_pool(*size), &user(&events)).happened().to_vec());
            events.push(temporary_password());
        }
        user(&events)
    }

    #[test]
    fn the_policy_says_how_many_passwords_are_compared() {
        for (sizes, size, expected) in [
            (&[][..], 0, 0),
            (&[][..], 5, 1),
            (&[3, 3][..], 3, 3),
            (&[3, 3, 3, 3][..], 3, 3),
            (&[3, 3, 3, 3][..], 24, 3),
            (&[1, 1, 1][..], 3, 1),
            (&[0, 0][..], 3, 1),
            (&[3, 3, 0][..], 3, 1),
            (&[24, 24, 24, 2][..], 24, 2),
        ] {
            let user = after(sizes);
            assert_eq!(compared(&some_pool(size), &user).len(), expected, "{sizes:?} {size}");
        }
    }

    #[test]
    fn without_a_history_nothing_is_recorded() {
        let user = after(&[]);
        assert!(retire(&some_pool(0), &user).is_empty() && retire(&some_pool(1), &user).is_empty());
        assert!(!retire(&some_pool(2), &user).is_empty());
    }

    #[test]
    fn the_present_password_is_compared_first() {
        let user = after(&[4]);
        let [present, former] = compared(&some_pool(4), &user)[..] else { panic!("two passwords") };
        assert_eq!(present, &user.password.as_ref().unwrap().hash);
        assert_ne!(present, former);
    }
}

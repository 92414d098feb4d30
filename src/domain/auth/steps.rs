//! What a sign-in needs next.
//!
//! ```text
//!   Password ──── FORCE_CHANGE_PASSWORD ────▶ NEW_PASSWORD_REQUIRED ──▶ NewPassword
//!      │                                                                     │
//!      └────────────── otherwise ──────────────▶ tokens ◀────────────────────┘
//! ```

use crate::domain::auth::challenge::ChallengeName;
use crate::domain::user::{User, UserStatus};

/// What the user proved last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proved {
    /// That it knows its password.
    Password,
    /// The same, and it has replaced a temporary one by its own.
    NewPassword,
}

/// What comes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A challenge.
    Challenge(ChallengeName),
    /// Nothing is left: the session begins.
    Tokens,
}

/// The step after what was proved, for a user whose account may be used.
pub fn next(user: &User, proved: Proved) -> Next {
    match (proved, user.status) {
        (Proved::Password, UserStatus::ForceChangePassword) => Next::Challenge(ChallengeName::NewPasswordRequired),
        (Proved::Password | Proved::NewPassword, _) => Next::Tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, invited, signed_up, user};

    #[test]
    fn a_temporary_password_is_replaced_before_there_are_tokens() {
        let own = user(&[signed_up("jane", &[]), confirmed(&[])]);
        assert_eq!(next(&own, Proved::Password), Next::Tokens);
        let invited = user(&[invited("jane", &[])]);
        assert_eq!(next(&invited, Proved::Password), Next::Challenge(ChallengeName::NewPasswordRequired));
        assert_eq!(next(&invited, Proved::NewPassword), Next::Tokens);
    }
}

//! The next step of a sign-in: a function of the proofs and the account alone.
//!
//! ```text
//!   flow ──▶ password ──┬── FORCE_CHANGE_PASSWORD ──▶ NEW_PASSWORD_REQUIRED ──▶ another password, no more temporary
//!                       │                                                                       │
//!                       └── otherwise ─────────────────────▶ tokens ◀───────────────────────────┘
//! ```

use crate::domain::auth::account::Account;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::Proofs;
use crate::domain::user::UserStatus;

/// The next step of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The user must answer this challenge first.
    Challenge(ChallengeName),
    /// Nothing is missing: the session begins.
    Tokens,
}

/// A sign-in has no proof, and no challenge that asks for one is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sign-in that has proved nothing asks for no challenge that is built")]
pub struct NothingProved;

/// The step after these proofs, for an account that may sign in.
pub fn next(proofs: &Proofs, account: Account<'_>) -> Result<Next, NothingProved> {
    match (proofs.password, account.user.status) {
        (None, _) => Err(NothingProved),
        (Some(_), UserStatus::ForceChangePassword) => Ok(Next::Challenge(ChallengeName::NewPasswordRequired)),
        (Some(_), UserStatus::Unconfirmed | UserStatus::Confirmed | UserStatus::ResetRequired) => Ok(Next::Tokens),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::PasswordId;
    use crate::domain::testing::{client, confirmed, invited, pool, signed_up, user};
    use crate::domain::user::User;

    fn after(proofs: Proofs, user: &User) -> Result<Next, NothingProved> {
        let pool = pool(Default::default());
        let client = client(&pool, Default::default());
        next(&proofs, Account { pool: &pool, client: &client, user, device: None })
    }

    #[test]
    fn a_temporary_password_is_replaced_before_there_are_tokens() {
        let password = Proofs { password: Some(PasswordId(Uuid::from_u128(1))) };
        let own = user(&[signed_up("jane", &[]), confirmed(&[])]);
        assert_eq!(after(password, &own), Ok(Next::Tokens));
        let invited = user(&[invited("jane", &[])]);
        assert_eq!(after(password, &invited), Ok(Next::Challenge(ChallengeName::NewPasswordRequired)));
    }

    #[test]
    fn a_sign_in_without_a_proof_gets_no_tokens() {
        for user in [user(&[signed_up("jane", &[]), confirmed(&[])]), user(&[invited("jane", &[])])] {
            assert_eq!(after(Proofs::default(), &user), Err(NothingProved));
        }
    }
}

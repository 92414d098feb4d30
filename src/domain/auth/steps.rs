//! The next step of a sign-in: a function of the proofs and the account alone.
//!
//! ```text
//!   flow ──▶ password ──┬── FORCE_CHANGE_PASSWORD ──▶ NEW_PASSWORD_REQUIRED ──▶ another password, no more temporary
//!                       │                                                                       │
//!                       └── otherwise ──▶ first factor proved ◀─────────────────────────────────┘
//!                                           │
//!     ┌── nothing more is asked ────────────┤
//!     │                                     ├── one factor, or a preferred one ──▶ SMS_MFA, EMAIL_OTP or
//!     │                                     │                                      SOFTWARE_TOKEN_MFA ──▶ proved ──┐
//!     │                                     ├── several ──▶ SELECT_MFA_TYPE ──▶ the chosen one, as above           │
//!     │                                     └── none, and one is required ──▶ MFA_SETUP ──▶ set up ────────────────┤
//!     ▼                                                                                                            │
//!   tokens ◀───────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use crate::domain::auth::account::Account;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::Proofs;
use crate::domain::user::UserStatus;
use crate::domain::user::second_factors::Demand;

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
        (Some(_), UserStatus::Unconfirmed | UserStatus::Confirmed | UserStatus::ResetRequired) => {
            Ok(after_first_factor(proofs, account))
        }
    }
}

/// The step after the first factor.
fn after_first_factor(proofs: &Proofs, account: Account<'_>) -> Next {
    if proofs.second_factor.is_some() {
        return Next::Tokens;
    }
    match account.user.demand(account.pool, proofs.chosen_factor) {
        Demand::Nothing => Next::Tokens,
        Demand::Factor(factor) => Next::Challenge(ChallengeName::asking_for(factor)),
        Demand::Choice => Next::Challenge(ChallengeName::SelectMfaType),
        Demand::SetUp => Next::Challenge(ChallengeName::MfaSetup),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::PasswordId;
    use crate::domain::testing::{client, confirmed, invited, pool, signed_up, user};
    use crate::domain::user::User;

    fn password() -> Proofs {
        Proofs::default().with_password(Some(PasswordId(Uuid::from_u128(1))))
    }

    fn after(proofs: Proofs, user: &User) -> Result<Next, NothingProved> {
        let pool = pool(Default::default());
        let client = client(&pool, Default::default());
        next(&proofs, Account { pool: &pool, client: &client, user })
    }

    #[test]
    fn a_temporary_password_is_replaced_before_there_are_tokens() {
        let password = password();
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

    #[test]
    fn a_second_factor_comes_after_the_last_password() {
        use crate::domain::second_factor::SecondFactor::{Sms, SoftwareToken};
        let mut pool = crate::domain::testing::with_software_tokens("ON");
        pool.settings.sms_mfa_enabled = Some(true);
        let client = client(&pool, Default::default());
        let step = |user: &User, proofs: Proofs| next(&proofs, Account { pool: &pool, client: &client, user }).unwrap();
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        assert_eq!(step(&jane, password()), Next::Challenge(ChallengeName::MfaSetup));
        assert_eq!(step(&jane, password().with_second_factor(SoftwareToken)), Next::Tokens);
        let with_phone = user(&[signed_up("jane", &[("phone_number", "+12025550123")]), confirmed(&[])]);
        assert_eq!(step(&with_phone, password()), Next::Challenge(ChallengeName::SmsMfa));
        assert_eq!(step(&with_phone, password().with_second_factor(Sms)), Next::Tokens);
        let app = crate::domain::user::second_factors::SoftwareToken {
            secret: crate::domain::personal::Sealed(Vec::new()),
            friendly_device_name: crate::domain::personal::Personal::Erased,
        };
        let both = User { software_token: Some(app), ..with_phone };
        assert_eq!(step(&both, password()), Next::Challenge(ChallengeName::SelectMfaType));
        let chosen = password().with_chosen_factor(SoftwareToken);
        assert_eq!(step(&both, chosen), Next::Challenge(ChallengeName::SoftwareTokenMfa));
        let invited = user(&[invited("jane", &[("phone_number", "+12025550123")])]);
        assert_eq!(step(&invited, password()), Next::Challenge(ChallengeName::NewPasswordRequired));
    }
}

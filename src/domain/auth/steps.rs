//! The next step of a sign-in: a function of the proofs and the account alone.
//!
//! ```text
//!   flow ──▶ password ──┬── FORCE_CHANGE_PASSWORD ──▶ NEW_PASSWORD_REQUIRED ──▶ another password, no more temporary
//!        ├─▶ a code ────┤                                                                       │
//!        ├─▶ a passkey ─┤                                                                       │
//!        └─▶ custom ────┤                                                                       │
//!                       └── otherwise ──▶ first factor proved ◀─────────────────────────────────┘
//!                                           │
//!     ┌── nothing more is asked, a passkey  │
//!     │   stands for both factors, or the   │
//!     │   triggers have signed the user in ─┤
//!     │                                     ├── a remembered device is named ──▶ DEVICE_SRP_AUTH ──▶
//!     │                                     │       DEVICE_PASSWORD_VERIFIER ──▶ the device is proved ─────────────┐
//!     │                                     ├── one factor, or a preferred one ──▶ SMS_MFA, EMAIL_OTP or           │
//!     │                                     │                                      SOFTWARE_TOKEN_MFA ──▶ proved ──┤
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
    match (proofs.has_begun(), account.user.status) {
        (false, _) => Err(NothingProved),
        (true, UserStatus::ForceChangePassword) => Ok(Next::Challenge(ChallengeName::NewPasswordRequired)),
        (true, UserStatus::Unconfirmed | UserStatus::Confirmed | UserStatus::ResetRequired) => {
            Ok(after_first_factor(proofs, account))
        }
    }
}

/// The step after the first factor. Where the pool's triggers define the challenges, they have said that nothing is missing.
fn after_first_factor(proofs: &Proofs, account: Account<'_>) -> Next {
    let counts_twice = proofs.passkey.is_some_and(|passkey| passkey.user_verified && account.passkeys_count_twice());
    if proofs.second_factor.is_some() || counts_twice || proofs.custom {
        return Next::Tokens;
    }
    // A remembered device proves itself in place of a second factor.
    match account.proving_device() {
        Some(device) if proofs.device == Some(device.id) => return Next::Tokens,
        Some(_) => return Next::Challenge(ChallengeName::DeviceSrpAuth),
        None => {}
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
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;
    use crate::domain::device::Device;
    use crate::domain::device::tests::{PHONE, confirmed as confirmed_device, device, tracking};
    use crate::domain::ids::{DeviceId, PasswordId};
    use crate::domain::personal::{Personal, Sealed};
    use crate::domain::testing::{JANE, client, confirmed, invited, pool, signed_up, user};
    use crate::domain::user::User;
    use crate::domain::user::second_factors::SoftwareToken;
    use crate::domain::user_pool::UserPool;

    fn password() -> Proofs {
        Proofs::default().with_password(Some(PasswordId(Uuid::from_u128(1))))
    }

    fn after(proofs: Proofs, user: &User) -> Result<Next, NothingProved> {
        after_in(&pool(Default::default()), proofs, user, None)
    }

    fn after_in(pool: &UserPool, proofs: Proofs, user: &User, device: Option<&Device>) -> Result<Next, NothingProved> {
        let client = client(pool, Default::default());
        next(&proofs, Account { pool, client: &client, user, device })
    }

    fn app() -> Option<SoftwareToken> {
        Some(SoftwareToken { secret: Sealed(Vec::new()), friendly_device_name: Personal::Erased })
    }

    #[test]
    fn the_drawing_names_the_challenges_that_can_follow_and_no_others() {
        let mut pool = crate::domain::testing::with_software_tokens("ON");
        pool.settings.sms_mfa_enabled = Some(true);
        pool.settings.email_mfa_configuration = Some(Default::default());
        pool.settings.device_configuration = tracking(false, true).settings.device_configuration;
        let remembered = device(&[confirmed_device(JANE, true)]);
        // The second step of a device's proof follows from the first one.
        let mut can_follow = BTreeSet::from([ChallengeName::DevicePasswordVerifier.name()]);
        let addresses = [("phone_number", "+12025550123"), ("email", "jane@example.com")];
        for addresses in [&[][..], &addresses[..1], &addresses[1..], &addresses] {
            let own = user(&[signed_up("jane", addresses), confirmed(&[])]);
            let with_app = User { software_token: app(), ..own.clone() };
            for user in [own, with_app, user(&[invited("jane", addresses)])] {
                for device in [None, Some(&remembered)] {
                    if let Ok(Next::Challenge(challenge)) = after_in(&pool, password(), &user, device) {
                        can_follow.insert(challenge.name());
                    }
                }
            }
        }
        let drawing = include_str!("steps.rs").lines().take_while(|line| line.starts_with("//!"));
        let words = drawing.flat_map(|line| line.split(|part: char| !part.is_ascii_uppercase() && part != '_'));
        let drawn: BTreeSet<_> = words.filter(|word| ChallengeName::of(word).is_ok()).collect();
        assert_eq!(drawn, can_follow);
    }

    #[test]
    fn a_remembered_device_proves_itself_where_the_pool_asks_for_it() {
        let password = password();
        let own = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let [remembered, other] = [true, false].map(|remembered| device(&[confirmed_device(JANE, remembered)]));
        let [asks, does_not] = [tracking(false, true), tracking(false, false)];
        let asked = Ok(Next::Challenge(ChallengeName::DeviceSrpAuth));
        assert_eq!(after_in(&asks, password, &own, Some(&remembered)), asked);
        for (pool, device) in [(&asks, None), (&asks, Some(&other)), (&does_not, Some(&remembered))] {
            assert_eq!(after_in(pool, password, &own, device), Ok(Next::Tokens));
        }
        assert_eq!(after_in(&asks, password.with_device(PHONE), &own, Some(&remembered)), Ok(Next::Tokens));
        let elsewhere = password.with_device(DeviceId(Uuid::from_u128(9)));
        assert_eq!(after_in(&asks, elsewhere, &own, Some(&remembered)), asked, "another device was proved");
        let invited = user(&[invited("jane", &[])]);
        let first = Ok(Next::Challenge(ChallengeName::NewPasswordRequired));
        assert_eq!(after_in(&asks, password, &invited, Some(&remembered)), first);
        // A device alone signs nobody in.
        assert_eq!(after_in(&asks, Proofs::default().with_device(PHONE), &own, Some(&remembered)), Err(NothingProved));
    }

    #[test]
    fn a_remembered_device_takes_the_place_of_a_second_factor() {
        use crate::domain::second_factor::SecondFactor;
        let own = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let [remembered, other] = [true, false].map(|remembered| device(&[confirmed_device(JANE, remembered)]));
        let asked = |proves_itself, proofs, device| {
            let mut pool = crate::domain::testing::with_software_tokens("ON");
            pool.settings.device_configuration = tracking(false, proves_itself).settings.device_configuration;
            after_in(&pool, proofs, &own, device).unwrap()
        };
        let (device, factor) = (ChallengeName::DeviceSrpAuth, Next::Challenge(ChallengeName::MfaSetup));
        assert_eq!(asked(true, password(), Some(&remembered)), Next::Challenge(device));
        assert_eq!(asked(true, password().with_device(PHONE), Some(&remembered)), Next::Tokens);
        // Without a device, with one that is not remembered any more, or where devices prove nothing.
        assert_eq!(asked(true, password(), None), factor);
        assert_eq!(asked(true, password().with_device(PHONE), Some(&other)), factor);
        assert_eq!(asked(false, password().with_device(PHONE), Some(&remembered)), factor);
        // Whoever has given a code is not asked for the device as well.
        assert_eq!(
            asked(true, password().with_second_factor(SecondFactor::SoftwareToken), Some(&remembered)),
            Next::Tokens
        );
    }

    #[test]
    fn a_passkey_with_user_verification_stands_for_both_factors_where_the_pool_or_the_user_says_so() {
        use crate::domain::auth::session::ProvedPasskey;
        use crate::domain::user::passkeys::tests::KEY;
        let own = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let step = |user: &User, factors: &str, mode: &str, user_verified| {
            let mut pool = crate::domain::testing::with_software_tokens(mode);
            let party = crate::domain::web_authn::testing::pool(Some("example.com"), "preferred", factors);
            pool.settings.web_authn_configuration = party.settings.web_authn_configuration;
            let proofs = Proofs::default().with_passkey(ProvedPasskey { id: KEY, user_verified });
            after_in(&pool, proofs, user, None).unwrap()
        };
        let set_up = Next::Challenge(ChallengeName::MfaSetup);
        for (factors, user_verified, next) in [
            ("MULTI_FACTOR_WITH_USER_VERIFICATION", true, Next::Tokens),
            ("MULTI_FACTOR_WITH_USER_VERIFICATION", false, set_up),
            ("SINGLE_FACTOR", true, set_up),
        ] {
            assert_eq!(step(&own, factors, "ON", user_verified), next, "{factors} {user_verified}");
            assert_eq!(step(&own, factors, "OPTIONAL", user_verified), Next::Tokens, "nothing is on for the user");
        }
        let mut chosen = own;
        chosen.mfa.passkeys = true;
        assert_eq!(step(&chosen, "SINGLE_FACTOR", "ON", true), Next::Tokens);
        assert_eq!(step(&chosen, "SINGLE_FACTOR", "ON", false), set_up);
    }

    #[test]
    fn whoever_the_triggers_sign_in_is_asked_for_no_second_factor() {
        let (pool, own) =
            (crate::domain::testing::with_software_tokens("ON"), user(&[signed_up("jane", &[]), confirmed(&[])]));
        let custom = Proofs::default().with_custom_challenges();
        assert_eq!(after_in(&pool, custom, &own, None), Ok(Next::Tokens));
        let both = password().with_custom_challenges();
        assert_eq!(after_in(&pool, both, &own, None), Ok(Next::Tokens));
        let invited = user(&[invited("jane", &[])]);
        let first = Ok(Next::Challenge(ChallengeName::NewPasswordRequired));
        assert_eq!(after_in(&pool, custom, &invited, None), first);
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
        use crate::domain::second_factor::SecondFactor;
        let mut pool = crate::domain::testing::with_software_tokens("ON");
        pool.settings.sms_mfa_enabled = Some(true);
        let client = client(&pool, Default::default());
        let step = |user: &User, proofs: Proofs| {
            next(&proofs, Account { pool: &pool, client: &client, user, device: None }).unwrap()
        };
        let jane = user(&[signed_up("jane", &[]), confirmed(&[])]);
        assert_eq!(step(&jane, password()), Next::Challenge(ChallengeName::MfaSetup));
        assert_eq!(step(&jane, password().with_second_factor(SecondFactor::SoftwareToken)), Next::Tokens);
        let with_phone = user(&[signed_up("jane", &[("phone_number", "+12025550123")]), confirmed(&[])]);
        assert_eq!(step(&with_phone, password()), Next::Challenge(ChallengeName::SmsMfa));
        assert_eq!(step(&with_phone, password().with_second_factor(SecondFactor::Sms)), Next::Tokens);
        let both = User { software_token: app(), ..with_phone };
        assert_eq!(step(&both, password()), Next::Challenge(ChallengeName::SelectMfaType));
        let chosen = password().with_chosen_factor(SecondFactor::SoftwareToken);
        assert_eq!(step(&both, chosen), Next::Challenge(ChallengeName::SoftwareTokenMfa));
        let invited = user(&[invited("jane", &[("phone_number", "+12025550123")])]);
        assert_eq!(step(&invited, password()), Next::Challenge(ChallengeName::NewPasswordRequired));
    }
}

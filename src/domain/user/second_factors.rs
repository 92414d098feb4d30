//! The second factors of a user: which they have, which are on, and what a sign-in asks for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::message::Medium;
use crate::domain::personal::{Personal, Sealed};
use crate::domain::second_factor::SecondFactor;
use crate::domain::user::User;
use crate::domain::user_pool::UserPool;
use crate::domain::user_pool::second_factors::MfaMode;
use crate::proto::events::{UserMfaPreferenceSet, UserSoftwareTokenVerified};

/// An authenticator app that has shown a right code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftwareToken {
    /// The secret that server and app share, sealed under the user's key.
    pub secret: Sealed,
    /// The name that the user gave the app; erased if they gave none.
    pub friendly_device_name: Personal<String>,
}

/// The second factors that are on, whether or not the pool has them on at present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MfaPreference {
    /// The factors that are on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub enabled: BTreeSet<SecondFactor>,
    /// The one that is asked for first. Without it, a user with several chooses at each sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred: Option<SecondFactor>,
    /// Whether a passkey that has verified the user stands for a second factor, whatever the pool says. Only beside a factor
    /// that is on, so that whoever loses the passkey still gets in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passkeys: bool,
}

impl MfaPreference {
    /// Whether no factor is on.
    pub fn is_empty(&self) -> bool {
        self.enabled.is_empty()
    }

    /// Turns a factor off.
    pub fn lose(&mut self, factor: SecondFactor) {
        self.enabled.remove(&factor);
        self.preferred = self.preferred.filter(|preferred| *preferred != factor);
        self.passkeys &= !self.enabled.is_empty();
    }

    /// The event after which these factors are on.
    pub fn event(&self) -> UserMfaPreferenceSet {
        UserMfaPreferenceSet {
            enabled: self.enabled.iter().map(|factor| factor.recorded().into()).collect(),
            preferred: self.preferred.map_or(0, |factor| factor.recorded().into()),
            passkeys: self.passkeys,
        }
    }

    pub(super) fn of_event(event: &UserMfaPreferenceSet) -> Self {
        Self {
            enabled: event.enabled().filter_map(SecondFactor::of_event).collect(),
            preferred: SecondFactor::of_event(event.preferred()),
            passkeys: event.passkeys,
        }
    }
}

/// What a sign-in asks for after the first factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing more.
    Nothing,
    /// This factor.
    Factor(SecondFactor),
    /// The choice of one of several factors.
    Choice,
    /// The pool demands a factor, and the user has none that could be asked for.
    SetUp,
}

impl User {
    /// Whether the user has what a factor needs: an address, or a verified authenticator app. A phone number need not be
    /// verified, as in Cognito: the code verifies it.
    pub fn has_factor(&self, factor: SecondFactor) -> bool {
        match factor.medium() {
            Some(medium) => self.attribute(medium.attribute()).is_some_and(|address| !address.is_empty()),
            None => self.software_token.is_some(),
        }
    }

    /// The factors that a sign-in can ask for. Where the pool demands one and the user has turned none on, all count that
    /// the user has.
    pub fn usable_factors(&self, pool: &UserPool) -> Vec<SecondFactor> {
        let has: Vec<_> = pool.second_factors().into_iter().filter(|factor| self.has_factor(*factor)).collect();
        let on: Vec<_> = has.iter().copied().filter(|factor| self.mfa.enabled.contains(factor)).collect();
        if on.is_empty() && pool.mfa_mode() == MfaMode::On { has } else { on }
    }

    /// What a sign-in asks for after the first factor, if the user has chosen this one, or none yet.
    pub fn demand(&self, pool: &UserPool, chosen: Option<SecondFactor>) -> Demand {
        let usable = self.usable_factors(pool);
        let wish = [chosen, self.mfa.preferred].into_iter().flatten().find(|wish| usable.contains(wish));
        match (wish, &usable[..]) {
            (Some(factor), _) | (None, &[factor]) => Demand::Factor(factor),
            (None, []) if pool.mfa_mode() == MfaMode::On => Demand::SetUp,
            (None, []) => Demand::Nothing,
            (None, _) => Demand::Choice,
        }
    }

    /// The ways to recover the account, without those that are the second factor: whoever has the phone would need
    /// nothing else. A pool that has not chosen how accounts are recovered keeps all ways, as in Cognito.
    pub fn recovery_ways(&self, pool: &UserPool, ways: &[Medium]) -> Vec<Medium> {
        let chosen = pool.settings.account_recovery_setting.as_ref();
        if chosen.is_none_or(|setting| setting.recovery_mechanisms.is_empty()) {
            return ways.to_vec();
        }
        let factors = pool.second_factors();
        let is_factor = |way: &Medium| {
            let factor = SecondFactor::by(*way);
            factors.contains(&factor) && self.mfa.enabled.contains(&factor)
        };
        ways.iter().copied().filter(|way| !is_factor(way)).collect()
    }

    /// Turns off the factor whose address is no longer proved or is gone.
    pub(super) fn lose_factor_of(&mut self, attribute: &str) {
        let medium = Medium::ALL.into_iter().find(|medium| medium.attribute() == attribute);
        medium.into_iter().for_each(|medium| self.mfa.lose(SecondFactor::by(medium)));
    }

    /// The secret that was made last counts from now on.
    pub(super) fn verify_software_token(&mut self, verified: &UserSoftwareTokenVerified) {
        let name = verified.personal.as_ref().map(|personal| personal.friendly_device_name.clone());
        if let Some(secret) = self.pending_software_token.take() {
            self.software_token = Some(SoftwareToken { secret, friendly_device_name: name.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{confirmed, pool, signed_up, user};
    use crate::proto::v1;

    fn asking(mode: &str) -> UserPool {
        let mut pool = pool(v1::CreateUserPoolRequest {
            mfa_configuration: Some(mode.to_owned()),
            sms_configuration: Some(Default::default()),
            ..Default::default()
        });
        pool.settings.software_token_mfa_configuration = Some(v1::SoftwareTokenMfaConfigType { enabled: Some(true) });
        pool
    }

    fn jane(enabled: &[SecondFactor], preferred: Option<SecondFactor>) -> User {
        let jane = user(&[signed_up("jane", &[("phone_number", "+12025550123")]), confirmed(&[])]);
        let app = SoftwareToken { secret: Sealed(b"secret".to_vec()), friendly_device_name: Personal::Erased };
        let mfa = MfaPreference { enabled: enabled.iter().copied().collect(), preferred, passkeys: false };
        User { software_token: Some(app), mfa, ..jane }
    }

    #[test]
    fn a_sign_in_asks_for_what_the_pool_and_the_user_have_on() {
        use SecondFactor::{Email, Sms, SoftwareToken};
        let (optional, on, off) = (asking("OPTIONAL"), asking("ON"), asking("OFF"));
        let plain = user(&[signed_up("jane", &[]), confirmed(&[])]);
        for (pool, user, demand) in [
            (&off, jane(&[Sms], Some(Sms)), Demand::Nothing),
            (&optional, jane(&[], None), Demand::Nothing),
            (&optional, plain.clone(), Demand::Nothing),
            (&optional, jane(&[Sms], None), Demand::Factor(Sms)),
            (&optional, jane(&[Sms, SoftwareToken], None), Demand::Choice),
            (&optional, jane(&[Sms, SoftwareToken], Some(SoftwareToken)), Demand::Factor(SoftwareToken)),
            (&optional, jane(&[Email], Some(Email)), Demand::Nothing),
            (&optional, jane(&[Email, Sms], Some(Email)), Demand::Factor(Sms)),
            (&on, plain, Demand::SetUp),
            (&on, User { software_token: None, ..jane(&[], None) }, Demand::Factor(Sms)),
            (&on, jane(&[], None), Demand::Choice),
            (&on, jane(&[SoftwareToken], None), Demand::Factor(SoftwareToken)),
            (&on, User { software_token: None, ..jane(&[SoftwareToken], None) }, Demand::Factor(Sms)),
        ] {
            assert_eq!(user.demand(pool, None), demand, "{:?} {:?}", pool.mfa_mode(), user.mfa);
        }
        let both = jane(&[Sms, SoftwareToken], Some(Sms));
        assert_eq!(both.demand(&optional, Some(SoftwareToken)), Demand::Factor(SoftwareToken), "a choice goes first");
        assert_eq!(both.demand(&optional, Some(Email)), Demand::Factor(Sms), "what can't be asked for is no choice");
    }

    #[test]
    fn the_phone_of_the_second_factor_recovers_no_account_where_the_pool_chose_how() {
        let option =
            |name: &str, priority| v1::RecoveryOptionType { name: Some(name.to_owned()), priority: Some(priority) };
        let recovery_mechanisms = vec![option("verified_phone_number", 1), option("verified_email", 2)];
        let mut chosen = asking("OPTIONAL");
        chosen.settings.account_recovery_setting = Some(v1::AccountRecoverySettingType { recovery_mechanisms });
        let (ways, user) = ([Medium::Sms, Medium::Email], jane(&[SecondFactor::Sms], None));
        assert_eq!(user.recovery_ways(&chosen, &ways), [Medium::Email]);
        assert_eq!(user.recovery_ways(&asking("OPTIONAL"), &ways), ways);
        assert_eq!(jane(&[SecondFactor::SoftwareToken], None).recovery_ways(&chosen, &ways), ways);
        chosen.settings.mfa_configuration = Some("OFF".to_owned());
        assert_eq!(user.recovery_ways(&chosen, &ways), ways);
    }
}

//! The second factors of a pool.

use crate::domain::second_factor::SecondFactor;
use crate::domain::user_pool::{UserPool, settings};

/// Of whom a pool asks a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MfaMode {
    /// Of nobody.
    Off,
    /// Of users who have turned one on.
    Optional,
    /// Of everybody.
    On,
}

impl UserPool {
    /// Of whom the pool asks a second factor.
    pub fn mfa_mode(&self) -> MfaMode {
        match self.settings.mfa_configuration.as_deref() {
            Some("ON") => MfaMode::On,
            Some("OPTIONAL") => MfaMode::Optional,
            _ => MfaMode::Off,
        }
    }

    /// The second factors that the pool has turned on; none where it asks nobody for one.
    pub fn second_factors(&self) -> Vec<SecondFactor> {
        let settings = &self.settings;
        let has = |factor: &SecondFactor| match factor {
            SecondFactor::Sms => settings::has_sms_factor(settings),
            SecondFactor::SoftwareToken => settings.software_token_mfa_configuration.is_some_and(|app| app.enabled()),
            SecondFactor::Email => settings.email_mfa_configuration.is_some(),
        };
        let asks = self.mfa_mode() != MfaMode::Off;
        SecondFactor::ALL.into_iter().filter(|factor| asks && has(factor)).collect()
    }

    /// Whether SMS is a second factor: as it was chosen, or by default if the pool can send SMS.
    pub fn has_sms_mfa(&self) -> bool {
        self.second_factors().contains(&SecondFactor::Sms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::pool;
    use crate::proto::v1;

    #[test]
    fn a_pool_has_the_factors_that_it_turned_on() {
        let mut pool = pool(v1::CreateUserPoolRequest {
            mfa_configuration: Some("ON".to_owned()),
            sms_configuration: Some(Default::default()),
            ..Default::default()
        });
        assert_eq!((pool.mfa_mode(), pool.second_factors()), (MfaMode::On, vec![SecondFactor::Sms]));
        pool.settings.sms_mfa_enabled = Some(false);
        pool.settings.software_token_mfa_configuration = Some(v1::SoftwareTokenMfaConfigType { enabled: Some(false) });
        assert_eq!(pool.second_factors(), []);
        pool.settings.software_token_mfa_configuration = Some(v1::SoftwareTokenMfaConfigType { enabled: Some(true) });
        pool.settings.email_mfa_configuration = Some(Default::default());
        assert_eq!(pool.second_factors(), [SecondFactor::SoftwareToken, SecondFactor::Email]);
        pool.settings.mfa_configuration = Some("OFF".to_owned());
        assert_eq!((pool.mfa_mode(), pool.second_factors()), (MfaMode::Off, vec![]));
    }
}

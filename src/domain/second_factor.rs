//! The kinds of second factors.

use serde::{Deserialize, Serialize};

use crate::domain::message::Medium;
use crate::proto::events;

/// A second factor: what a user proves after the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SecondFactor {
    /// A code that is sent as an SMS.
    #[serde(rename = "SMS_MFA")]
    Sms,
    /// A code that an authenticator app shows.
    #[serde(rename = "SOFTWARE_TOKEN_MFA")]
    SoftwareToken,
    /// A code that is sent by e-mail.
    #[serde(rename = "EMAIL_OTP")]
    Email,
}

impl SecondFactor {
    /// Every factor, in the order in which answers list them.
    pub const ALL: [Self; 3] = [Self::Sms, Self::SoftwareToken, Self::Email];

    /// Cognito's name of the factor, which is also the name of its challenge.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sms => "SMS_MFA",
            Self::SoftwareToken => "SOFTWARE_TOKEN_MFA",
            Self::Email => "EMAIL_OTP",
        }
    }

    /// The factor with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.name() == name)
    }

    /// The medium by which its codes are sent; an authenticator app is sent nothing.
    pub fn medium(self) -> Option<Medium> {
        match self {
            Self::Sms => Some(Medium::Sms),
            Self::Email => Some(Medium::Email),
            Self::SoftwareToken => None,
        }
    }

    /// The factor whose codes are sent by this medium.
    pub fn by(medium: Medium) -> Self {
        match medium {
            Medium::Sms => Self::Sms,
            Medium::Email => Self::Email,
        }
    }

    /// The names of these factors as a list in a parameter of a challenge: JSON in a text.
    pub fn listed(factors: &[Self]) -> String {
        serde_json::Value::from_iter(factors.iter().map(|factor| factor.name())).to_string()
    }

    /// The factor in the form of events and facts.
    pub fn recorded(self) -> events::SecondFactor {
        match self {
            Self::Sms => events::SecondFactor::Sms,
            Self::SoftwareToken => events::SecondFactor::SoftwareToken,
            Self::Email => events::SecondFactor::Email,
        }
    }

    /// The factor that an event names; events name no unspecified one.
    pub fn of_event(recorded: events::SecondFactor) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.recorded() == recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_factor_is_known_by_its_name_and_by_that_of_events() {
        for factor in SecondFactor::ALL {
            assert_eq!(SecondFactor::by_name(factor.name()), Some(factor));
            assert_eq!(SecondFactor::of_event(factor.recorded()), Some(factor));
            assert_eq!(serde_json::to_value(factor).unwrap(), factor.name());
            assert!(factor.medium().is_none_or(|medium| SecondFactor::by(medium) == factor));
        }
        assert_eq!(SecondFactor::listed(&SecondFactor::ALL), r#"["SMS_MFA","SOFTWARE_TOKEN_MFA","EMAIL_OTP"]"#);
        assert_eq!(SecondFactor::by_name("PASSWORD"), None);
        assert_eq!(SecondFactor::of_event(events::SecondFactor::Unspecified), None);
    }
}

//! The challenges by name: what a sign-in asks for before it gives tokens.

use serde::{Deserialize, Serialize};

use crate::domain::error::Error;

/// A challenge that this server supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeName {
    /// The client must prove by SRP that the user knows the password.
    #[serde(rename = "PASSWORD_VERIFIER")]
    PasswordVerifier,
    /// The password is temporary: the user must choose a new one.
    #[serde(rename = "NEW_PASSWORD_REQUIRED")]
    NewPasswordRequired,
    /// The remembered device that was named begins to prove itself.
    #[serde(rename = "DEVICE_SRP_AUTH")]
    DeviceSrpAuth,
    /// The device must prove by SRP that it knows its password.
    #[serde(rename = "DEVICE_PASSWORD_VERIFIER")]
    DevicePasswordVerifier,
}

impl ChallengeName {
    /// The challenge of this name. Refuses names that don't exist and challenges that are not built.
    pub fn of(name: &str) -> Result<Self, Error> {
        match name {
            "PASSWORD_VERIFIER" => Ok(Self::PasswordVerifier),
            "NEW_PASSWORD_REQUIRED" => Ok(Self::NewPasswordRequired),
            "DEVICE_SRP_AUTH" => Ok(Self::DeviceSrpAuth),
            "DEVICE_PASSWORD_VERIFIER" => Ok(Self::DevicePasswordVerifier),
            unbuilt => {
                Err(Error::invalid_parameter(format!("Challenge {unbuilt} is not supported by this server yet.")))
            }
        }
    }

    /// Cognito's name of the challenge.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordVerifier => "PASSWORD_VERIFIER",
            Self::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
            Self::DeviceSrpAuth => "DEVICE_SRP_AUTH",
            Self::DevicePasswordVerifier => "DEVICE_PASSWORD_VERIFIER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::refusal;

    #[test]
    fn a_challenge_that_is_not_built_is_named() {
        assert_eq!(ChallengeName::of("NEW_PASSWORD_REQUIRED").unwrap().name(), "NEW_PASSWORD_REQUIRED");
        let message = refusal(ChallengeName::of("SMS_MFA").map(drop)).1;
        assert_eq!(message, "Challenge SMS_MFA is not supported by this server yet.");
    }
}

//! The challenges by name: what a sign-in asks for before it gives tokens.

use serde::{Deserialize, Serialize};

use crate::domain::error::Error;
use crate::domain::second_factor::SecondFactor;

/// A challenge that this server supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeName {
    /// The user chooses a first factor.
    #[serde(rename = "SELECT_CHALLENGE")]
    SelectChallenge,
    /// The user gives the password.
    #[serde(rename = "PASSWORD")]
    Password,
    /// The client begins a proof of the password by SRP.
    #[serde(rename = "PASSWORD_SRP")]
    PasswordSrp,
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
    /// The user is sent an SMS with a code.
    #[serde(rename = "SMS_MFA")]
    SmsMfa,
    /// The user is sent an e-mail with a code: as the first factor or as the second.
    #[serde(rename = "EMAIL_OTP")]
    EmailOtp,
    /// The user is sent an SMS with a code, as the first factor.
    #[serde(rename = "SMS_OTP")]
    SmsOtp,
    /// A passkey of the user signs.
    #[serde(rename = "WEB_AUTHN")]
    WebAuthn,
    /// A challenge that the pool's triggers make and judge.
    #[serde(rename = "CUSTOM_CHALLENGE")]
    Custom,
    /// The user's authenticator app shows a code.
    #[serde(rename = "SOFTWARE_TOKEN_MFA")]
    SoftwareTokenMfa,
    /// The user has several second factors and chooses one.
    #[serde(rename = "SELECT_MFA_TYPE")]
    SelectMfaType,
    /// The pool requires a second factor, and the user has none.
    #[serde(rename = "MFA_SETUP")]
    MfaSetup,
}

impl ChallengeName {
    /// The challenge of this name. Refuses names that don't exist and challenges that are not built.
    pub fn of(name: &str) -> Result<Self, Error> {
        match name {
            "SELECT_CHALLENGE" => Ok(Self::SelectChallenge),
            "PASSWORD" => Ok(Self::Password),
            "PASSWORD_SRP" => Ok(Self::PasswordSrp),
            "PASSWORD_VERIFIER" => Ok(Self::PasswordVerifier),
            "NEW_PASSWORD_REQUIRED" => Ok(Self::NewPasswordRequired),
            "DEVICE_SRP_AUTH" => Ok(Self::DeviceSrpAuth),
            "DEVICE_PASSWORD_VERIFIER" => Ok(Self::DevicePasswordVerifier),
            "SMS_MFA" => Ok(Self::SmsMfa),
            "EMAIL_OTP" => Ok(Self::EmailOtp),
            "SMS_OTP" => Ok(Self::SmsOtp),
            "WEB_AUTHN" => Ok(Self::WebAuthn),
            "CUSTOM_CHALLENGE" => Ok(Self::Custom),
            "SOFTWARE_TOKEN_MFA" => Ok(Self::SoftwareTokenMfa),
            "SELECT_MFA_TYPE" => Ok(Self::SelectMfaType),
            "MFA_SETUP" => Ok(Self::MfaSetup),
            unbuilt => {
                Err(Error::invalid_parameter(format!("Challenge {unbuilt} is not supported by this server yet.")))
            }
        }
    }

    /// Cognito's name of the challenge.
    pub fn name(self) -> &'static str {
        match self {
            Self::SelectChallenge => "SELECT_CHALLENGE",
            Self::Password => "PASSWORD",
            Self::PasswordSrp => "PASSWORD_SRP",
            Self::PasswordVerifier => "PASSWORD_VERIFIER",
            Self::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
            Self::DeviceSrpAuth => "DEVICE_SRP_AUTH",
            Self::DevicePasswordVerifier => "DEVICE_PASSWORD_VERIFIER",
            Self::SmsMfa => "SMS_MFA",
            Self::EmailOtp => "EMAIL_OTP",
            Self::SmsOtp => "SMS_OTP",
            Self::WebAuthn => "WEB_AUTHN",
            Self::Custom => "CUSTOM_CHALLENGE",
            Self::SoftwareTokenMfa => "SOFTWARE_TOKEN_MFA",
            Self::SelectMfaType => "SELECT_MFA_TYPE",
            Self::MfaSetup => "MFA_SETUP",
        }
    }

    /// The challenge that asks for a second factor.
    pub fn asking_for(factor: SecondFactor) -> Self {
        match factor {
            SecondFactor::Sms => Self::SmsMfa,
            SecondFactor::SoftwareToken => Self::SoftwareTokenMfa,
            SecondFactor::Email => Self::EmailOtp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::refusal;

    #[test]
    fn a_challenge_that_is_not_built_is_named() {
        let built = [
            "NEW_PASSWORD_REQUIRED",
            "SMS_MFA",
            "EMAIL_OTP",
            "WEB_AUTHN",
            "CUSTOM_CHALLENGE",
            "SOFTWARE_TOKEN_MFA",
            "SELECT_MFA_TYPE",
            "MFA_SETUP",
        ];
        for name in built {
            let challenge = ChallengeName::of(name).unwrap();
            assert_eq!((challenge.name(), serde_json::to_value(challenge).unwrap()), (name, name.into()));
        }
        let message = refusal(ChallengeName::of("ADMIN_NO_SRP_AUTH").map(drop)).1;
        assert_eq!(message, "Challenge ADMIN_NO_SRP_AUTH is not supported by this server yet.");
    }

    #[test]
    fn a_second_factor_is_asked_for_by_its_own_name() {
        for factor in SecondFactor::ALL {
            assert_eq!(ChallengeName::asking_for(factor).name(), factor.name());
        }
    }
}

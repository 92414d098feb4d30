//! The answers to challenges: one file per challenge, or per kind of challenges that are answered alike.

mod custom;
mod device_password_verifier;
mod device_srp_auth;
mod first_factor;
mod mfa_setup;
mod new_password;
mod password_verifier;
mod select_mfa_type;
mod sent_code;
mod software_token;
mod web_authn;

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Answering;
pub use crate::app::auth::answering::Response;
use crate::app::auth::challenges::custom::Custom;
use crate::app::auth::challenges::device_password_verifier::DevicePasswordVerifier;
use crate::app::auth::challenges::device_srp_auth::DeviceSrpAuth;
use crate::app::auth::challenges::mfa_setup::MfaSetup;
use crate::app::auth::challenges::new_password::NewPassword;
use crate::app::auth::challenges::password_verifier::PasswordVerifier;
use crate::app::auth::challenges::select_mfa_type::SelectMfaType;
use crate::app::auth::challenges::sent_code::SentCode;
use crate::app::auth::challenges::software_token::SoftwareToken;
use crate::app::auth::challenges::web_authn::WebAuthn;
use crate::app::auth::flows;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::message::Medium;

/// An answer whose slow work is done.
pub enum Prepared<'a> {
    /// The answer to NEW_PASSWORD_REQUIRED, with the new password hashed.
    NewPassword(Box<NewPassword<'a>>),
    /// The answer to SELECT_CHALLENGE, PASSWORD or PASSWORD_SRP: the chosen factor, with its slow work done.
    FirstFactor(flows::Prepared<'a>),
    /// The answer to PASSWORD_VERIFIER, with the signature compared.
    PasswordVerifier(Box<PasswordVerifier<'a>>),
    /// The answer to DEVICE_SRP_AUTH, with the server's public value.
    DeviceSrpAuth(Box<DeviceSrpAuth>),
    /// The answer to DEVICE_PASSWORD_VERIFIER, with the signature compared.
    DevicePasswordVerifier(Box<DevicePasswordVerifier<'a>>),
    /// The answer to WEB_AUTHN.
    WebAuthn(Box<WebAuthn<'a>>),
    /// The answer to CUSTOM_CHALLENGE.
    Custom(Box<Custom<'a>>),
    /// The answer to EMAIL_OTP, SMS_OTP or SMS_MFA.
    SentCode(Box<SentCode<'a>>),
    /// The answer to SOFTWARE_TOKEN_MFA.
    SoftwareToken(Box<SoftwareToken<'a>>),
    /// The answer to SELECT_MFA_TYPE.
    SelectMfaType(Box<SelectMfaType<'a>>),
    /// The answer to MFA_SETUP.
    MfaSetup(Box<MfaSetup<'a>>),
}

/// Does the slow work of an answer.
pub async fn prepare<'a>(app: &App, caller: &Caller, response: Response<'a>) -> Result<Prepared<'a>, Failure> {
    let challenge = ChallengeName::of(response.challenge_name)?;
    let opened = async |response| Answering::of(app, caller, response, challenge).await;
    let sent = async |response, code| -> Result<Prepared<'a>, Failure> {
        Ok(Prepared::SentCode(Box::new(sent_code::prepare(app, caller, opened(response).await?, code).await?)))
    };
    Ok(match challenge {
        ChallengeName::SelectChallenge | ChallengeName::Password | ChallengeName::PasswordSrp => {
            Prepared::FirstFactor(first_factor::prepare(app, caller, response, challenge).await?)
        }
        ChallengeName::PasswordVerifier => {
            Prepared::PasswordVerifier(Box::new(password_verifier::prepare(app, caller, response).await?))
        }
        ChallengeName::DeviceSrpAuth => {
            Prepared::DeviceSrpAuth(Box::new(device_srp_auth::prepare(app, caller, response).await?))
        }
        ChallengeName::DevicePasswordVerifier => {
            let proof = device_password_verifier::prepare(app, caller, response).await?;
            Prepared::DevicePasswordVerifier(Box::new(proof))
        }
        ChallengeName::NewPasswordRequired => {
            Prepared::NewPassword(Box::new(new_password::prepare(app, caller, opened(response).await?).await?))
        }
        ChallengeName::SmsMfa => sent(response, (Medium::Sms, "SMS_MFA_CODE")).await?,
        ChallengeName::SmsOtp => sent(response, (Medium::Sms, "SMS_OTP_CODE")).await?,
        ChallengeName::EmailOtp => sent(response, (Medium::Email, "EMAIL_OTP_CODE")).await?,
        ChallengeName::WebAuthn => {
            Prepared::WebAuthn(Box::new(web_authn::prepare(app, caller, opened(response).await?).await?))
        }
        ChallengeName::Custom => {
            Prepared::Custom(Box::new(custom::prepare(app, caller, opened(response).await?).await?))
        }
        ChallengeName::SoftwareTokenMfa => {
            Prepared::SoftwareToken(Box::new(software_token::prepare(app, caller, opened(response).await?).await?))
        }
        ChallengeName::SelectMfaType => {
            Prepared::SelectMfaType(Box::new(select_mfa_type::prepare(opened(response).await?)?))
        }
        ChallengeName::MfaSetup => Prepared::MfaSetup(Box::new(mfa_setup::prepare(opened(response).await?))),
    })
}

impl Prepared<'_> {
    /// Runs one attempt to settle the answer: the next challenge, or tokens.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        match self {
            Self::NewPassword(answer) => answer.settle(app, caller).await,
            Self::FirstFactor(factor) => factor.settle(app, caller).await,
            Self::PasswordVerifier(guess) => guess.settle(app, caller).await,
            Self::DeviceSrpAuth(begun) => Ok(begun.answer()),
            Self::DevicePasswordVerifier(proof) => proof.settle(app, caller).await,
            Self::WebAuthn(answer) => answer.settle(app, caller).await,
            Self::Custom(answer) => answer.settle(app, caller).await,
            Self::SentCode(answer) => answer.settle(app, caller).await,
            Self::SoftwareToken(answer) => answer.settle(app, caller).await,
            Self::SelectMfaType(answer) => answer.settle(app, caller).await,
            Self::MfaSetup(answer) => answer.settle(app, caller).await,
        }
    }
}

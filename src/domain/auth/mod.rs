//! The rules of signing in: what a flow or a challenge proves, which step comes next, and what a session is.
//!
//! ```text
//!   flow or answer ──▶ factor: is it proved? ──▶ proofs so far ──▶ next ──▶ a challenge, or tokens
//! ```
//! A flow, or the answer to a challenge, carries a proof that a [`factor`] judges. An accepted proof is added to the
//! [`session::Proofs`] of the sign-in; the next step follows from them and the account alone ([`steps::next`]).

pub mod account;
pub mod binding;
pub mod challenge;
pub mod custom;
pub mod device_secret;
pub mod factor;
pub mod first_factor;
pub mod guess;
pub mod one_time_code;
pub mod refresh;
pub mod refusal;
pub mod second_proof;
pub mod session;
pub mod sign_up_session;
pub mod srp;
pub mod steps;

use serde::{Deserialize, Serialize};

use crate::domain::error::Error;

/// A flow of InitiateAuth or AdminInitiateAuth that this server supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthFlow {
    /// `USER_PASSWORD_AUTH`: user name and password in the request.
    #[serde(rename = "USER_PASSWORD_AUTH")]
    UserPassword,
    /// `USER_SRP_AUTH`: the user name, and a proof of the password by SRP in the next step.
    #[serde(rename = "USER_SRP_AUTH")]
    UserSrp,
    /// `USER_AUTH`: the user name, and a first factor of the caller's choice.
    #[serde(rename = "USER_AUTH")]
    User,
    /// `CUSTOM_AUTH`: the user name, and challenges that the pool's triggers make.
    #[serde(rename = "CUSTOM_AUTH")]
    Custom,
    /// `ADMIN_USER_PASSWORD_AUTH`, or `ADMIN_NO_SRP_AUTH`: the same from a trusted server.
    #[serde(rename = "ADMIN_USER_PASSWORD_AUTH")]
    AdminUserPassword,
    /// `REFRESH_TOKEN_AUTH`, or `REFRESH_TOKEN`: new tokens for a refresh token.
    #[serde(rename = "REFRESH_TOKEN_AUTH")]
    RefreshToken,
}

impl AuthFlow {
    /// The flow that a request to InitiateAuth names.
    pub fn of_initiate_auth(name: &str) -> Result<Self, Error> {
        match name {
            "USER_PASSWORD_AUTH" => Ok(Self::UserPassword),
            "USER_SRP_AUTH" => Ok(Self::UserSrp),
            "USER_AUTH" => Ok(Self::User),
            "CUSTOM_AUTH" => Ok(Self::Custom),
            "REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN" => Ok(Self::RefreshToken),
            _ => Err(Error::invalid_parameter("Initiate Auth method not supported.")),
        }
    }

    /// The flow that a request to AdminInitiateAuth names.
    pub fn of_admin_initiate_auth(name: &str) -> Result<Self, Error> {
        match name {
            "ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH" => Ok(Self::AdminUserPassword),
            other => Self::of_initiate_auth(other),
        }
    }

    /// Whether the flow takes part in the tracking of devices. As in Cognito, a trusted server's password flow does not.
    pub fn knows_devices(self) -> bool {
        self != Self::AdminUserPassword
    }

    /// Cognito's name of the flow.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserPassword => "USER_PASSWORD_AUTH",
            Self::UserSrp => "USER_SRP_AUTH",
            Self::User => "USER_AUTH",
            Self::Custom => "CUSTOM_AUTH",
            Self::AdminUserPassword => "ADMIN_USER_PASSWORD_AUTH",
            Self::RefreshToken => "REFRESH_TOKEN_AUTH",
        }
    }
}

/// The refusal of a flow that the client does not allow. A trusted server is not told which flow.
pub fn flow_not_enabled(flow: AuthFlow, is_by_server: bool) -> Error {
    Error::invalid_parameter(match is_by_server {
        true => "Auth flow not enabled for this client".to_owned(),
        false => format!("{} flow not enabled for this client", flow.name()),
    })
}

/// A parameter of `AuthParameters` that the flow requires.
pub fn required_parameter<'a>(
    parameters: &'a std::collections::BTreeMap<String, String>,
    name: &'static str,
) -> Result<&'a str, Error> {
    let value = parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| Error::invalid_parameter(format!("Missing required parameter {name}")))
}

//! Signing in, as rules: what a flow or a challenge proves, what comes next, and what a session is.
//!
//! ```text
//!   flow or answer ──▶ factor: is it proved? ──▶ proofs so far ──▶ next ──▶ a challenge, or tokens
//! ```
//! A flow, or the answer to a challenge, brings something that a [`factor`] judges. What was proved is added to the
//! [`session::Proofs`] of the sign-in, and what follows is a function of them and of the account ([`steps::next`]).

pub mod account;
pub mod challenge;
pub mod factor;
pub mod refresh;
pub mod session;
pub mod srp;
pub mod steps;

use serde::{Deserialize, Serialize};

use crate::domain::error::Error;

/// A flow of InitiateAuth that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthFlow {
    /// `USER_PASSWORD_AUTH`: name and password in the request.
    #[serde(rename = "USER_PASSWORD_AUTH")]
    UserPassword,
    /// `ADMIN_USER_PASSWORD_AUTH`, or `ADMIN_NO_SRP_AUTH`: the same from a trusted server.
    #[serde(rename = "ADMIN_USER_PASSWORD_AUTH")]
    AdminUserPassword,
    /// `REFRESH_TOKEN_AUTH`, or `REFRESH_TOKEN`: new tokens for a refresh token.
    #[serde(rename = "REFRESH_TOKEN_AUTH")]
    RefreshToken,
}

impl AuthFlow {
    /// The flow that InitiateAuth was asked for.
    pub fn of_initiate_auth(name: &str) -> Result<Self, Error> {
        match name {
            "USER_PASSWORD_AUTH" => Ok(Self::UserPassword),
            "REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN" => Ok(Self::RefreshToken),
            "ADMIN_NO_SRP_AUTH" | "ADMIN_USER_PASSWORD_AUTH" => {
                Err(Error::invalid_parameter("Initiate Auth method not supported."))
            }
            unbuilt => {
                Err(Error::invalid_parameter(format!("AuthFlow {unbuilt} is not supported by this server yet.")))
            }
        }
    }

    /// The flow that AdminInitiateAuth was asked for.
    pub fn of_admin_initiate_auth(name: &str) -> Result<Self, Error> {
        match name {
            "ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH" => Ok(Self::AdminUserPassword),
            other => Self::of_initiate_auth(other),
        }
    }

    /// Cognito's name of the flow.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserPassword => "USER_PASSWORD_AUTH",
            Self::AdminUserPassword => "ADMIN_USER_PASSWORD_AUTH",
            Self::RefreshToken => "REFRESH_TOKEN_AUTH",
        }
    }
}

/// The refusal of a flow that the client does not list. A trusted server is not told which.
pub fn flow_not_enabled(flow: AuthFlow, is_by_server: bool) -> Error {
    Error::invalid_parameter(match is_by_server {
        true => "Auth flow not enabled for this client".to_owned(),
        false => format!("{} flow not enabled for this client", flow.name()),
    })
}

/// A parameter of `AuthParameters` that a flow can't do without.
pub fn required_parameter<'a>(
    parameters: &'a std::collections::BTreeMap<String, String>,
    name: &'static str,
) -> Result<&'a str, Error> {
    let value = parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| Error::invalid_parameter(format!("Missing required parameter {name}")))
}

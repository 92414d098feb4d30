//! The answers to challenges: one file per challenge.

mod device_password_verifier;
mod device_srp_auth;
mod new_password;
mod password_verifier;

use std::collections::BTreeMap;

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::challenges::device_password_verifier::DevicePasswordVerifier;
use crate::app::auth::challenges::device_srp_auth::DeviceSrpAuth;
use crate::app::auth::challenges::new_password::NewPassword;
use crate::app::auth::challenges::password_verifier::PasswordVerifier;
use crate::app::caller::Caller;
use crate::app::whence::Server;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::required_parameter;
use crate::domain::auth::session::ChallengeSession;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, DeviceId, UserPoolId};
use crate::store::metadata::Origin;

/// The answer to a challenge, as the caller sent it.
pub struct Response<'a> {
    /// The pool that the client belongs to, or that the server names.
    pub pool_id: UserPoolId,
    /// The client that the request names.
    pub client_id: ClientId,
    /// The challenge, by its name.
    pub challenge_name: &'a str,
    /// The challenge token, unopened.
    pub session: Option<&'a str>,
    /// The members of `ChallengeResponses`, by name.
    pub responses: &'a BTreeMap<String, String>,
    /// The caller, for what the answer writes.
    pub origin: Origin,
    /// For a trusted server: what it says about the person it answers for.
    pub server: Option<Server<'a>>,
}

/// An answer whose slow work is done.
pub enum Prepared<'a> {
    /// The answer to NEW_PASSWORD_REQUIRED, with the new password hashed.
    NewPassword(Box<NewPassword<'a>>),
    /// The answer to PASSWORD_VERIFIER, with the signature compared.
    PasswordVerifier(Box<PasswordVerifier<'a>>),
    /// The answer to DEVICE_SRP_AUTH, with the server's public value.
    DeviceSrpAuth(Box<DeviceSrpAuth>),
    /// The answer to DEVICE_PASSWORD_VERIFIER, with the signature compared.
    DevicePasswordVerifier(Box<DevicePasswordVerifier<'a>>),
}

/// Does the slow work of an answer.
pub async fn prepare<'a>(app: &App, caller: &Caller, response: Response<'a>) -> Result<Prepared<'a>, Failure> {
    match ChallengeName::of(response.challenge_name)? {
        ChallengeName::NewPasswordRequired => {
            Ok(Prepared::NewPassword(Box::new(new_password::prepare(app, caller, response).await?)))
        }
        ChallengeName::PasswordVerifier => {
            Ok(Prepared::PasswordVerifier(Box::new(password_verifier::prepare(app, caller, response).await?)))
        }
        ChallengeName::DeviceSrpAuth => {
            Ok(Prepared::DeviceSrpAuth(Box::new(device_srp_auth::prepare(app, caller, response).await?)))
        }
        ChallengeName::DevicePasswordVerifier => {
            let proof = device_password_verifier::prepare(app, caller, response).await?;
            Ok(Prepared::DevicePasswordVerifier(Box::new(proof)))
        }
    }
}

impl Prepared<'_> {
    /// Runs one attempt to settle the answer: the next challenge, or tokens.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        match self {
            Self::NewPassword(answer) => answer.settle(app, caller).await,
            Self::PasswordVerifier(guess) => guess.settle(app, caller).await,
            Self::DeviceSrpAuth(begun) => Ok(begun.answer()),
            Self::DevicePasswordVerifier(proof) => proof.settle(app, caller).await,
        }
    }
}

impl<'a> Response<'a> {
    /// The challenge token, for a challenge that needs it.
    pub fn session(&self) -> Result<&'a str, Error> {
        self.session.ok_or_else(|| Error::invalid_parameter("Missing required parameter Session"))
    }

    /// A member of the responses that the challenge requires.
    pub fn required(&self, name: &'static str) -> Result<&'a str, Error> {
        required_parameter(self.responses, name)
    }

    /// The device that the caller names now, or has named in an earlier step of this sign-in.
    pub fn device(&self, session: Option<&ChallengeSession>) -> Option<DeviceId> {
        match self.responses.get("DEVICE_KEY") {
            Some(key) => DeviceId::of_key(&self.pool_id, key),
            None => session.and_then(|session| session.device),
        }
    }

    /// The proof that the client knows its secret.
    pub fn secret_hash(&self) -> Option<&'a str> {
        self.responses.get("SECRET_HASH").map(String::as_str)
    }
}
